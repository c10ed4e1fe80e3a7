"""``tf.train.Example`` messages without TensorFlow.

Wire format (protobuf, ``tensorflow/core/example/example.proto`` and ``feature.proto``):
``Example{features=1}``, ``Features{map<string, Feature> feature=1}``,
``Feature{bytes_list=1 | float_list=2 | int64_list=3}``, each list with its values in field 1, numbers packed.
Features are written in the order of their names, as deterministic protobuf serialization does, so equal
examples give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

# What a feature is written from: one value, several byte strings, or numbers of shape (n,), of which floats
# become float32 and all others int64.
Value = bytes | int | list[bytes] | npt.NDArray[Any]
Values = list[bytes] | list[int] | list[float]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_SMALL_VARINTS = [bytes([value]) for value in range(0x80)]


def encode_example(features: Mapping[str, Value]) -> bytes:
    """Serialize an Example."""
    entries = (
        _field(1, _field(1, name.encode()) + _field(2, _encode_feature(features[name])))
        for name in sorted(features)
    )
    return _field(1, b"".join(entries))


def decode_example(message: bytes) -> dict[str, Values]:
    """Parse a serialized Example into its features' values.

    Raises:
        ValueError: if the message is not a well-formed Example.
    """
    features: dict[str, Values] = {}
    for content in _length_fields(message, 1):
        for entry in _length_fields(content, 1):
            name = b"".join(_length_fields(entry, 1)).decode()
            features[name] = _decode_feature(b"".join(_length_fields(entry, 2)))
    return features


def _encode_feature(value: Value) -> bytes:
    if isinstance(value, bytes):
        return _field(_BYTES_LIST, _field(1, value))
    if isinstance(value, int):
        return _field(_INT64_LIST, _field(1, _varint(value)))
    if isinstance(value, list):
        return _field(_BYTES_LIST, b"".join(_field(1, each) for each in value))
    if value.dtype.kind == "f":
        return _field(_FLOAT_LIST, _field(1, value.astype("<f4").tobytes()))
    return _field(_INT64_LIST, _field(1, b"".join(map(_varint, value.tolist()))))


def _decode_feature(message: bytes) -> Values:
    for number, _, content in _fields(message):
        if number == _BYTES_LIST and isinstance(content, bytes):
            return list(_length_fields(content, 1))
        if number == _INT64_LIST and isinstance(content, bytes):
            return list(_int64_values(content))
        if number == _FLOAT_LIST and isinstance(content, bytes):
            floats = np.frombuffer(b"".join(_length_fields(content, 1)), "<f4")
            return list(map(float, floats))
    raise ValueError("a feature holds no values")


def _int64_values(message: bytes) -> Iterator[int]:
    for number, _, content in _fields(message):
        if number != 1:
            continue
        if isinstance(content, int):
            yield _signed(content)
            continue
        position = 0
        while position < len(content):
            value, position = _read_varint(content, position)
            yield _signed(value)


def _length_fields(message: bytes, wanted: int) -> Iterator[bytes]:
    for number, wire_type, content in _fields(message):
        if number == wanted and wire_type == _LENGTH and isinstance(content, bytes):
            yield content


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes | int]]:
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _read_varint(message, position)
            yield number, wire_type, value
            continue
        if wire_type == _LENGTH:
            size, position = _read_varint(message, position)
        elif wire_type in (_FIXED64, _FIXED32):
            size = 8 if wire_type == _FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {wire_type}")
        if position + size > len(message):
            raise ValueError("the message is cut short")
        yield number, wire_type, message[position : position + size]
        position += size


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    if 0 <= value < 0x80:  # Nearly all of them.
        return _SMALL_VARINTS[value]
    value &= 2**64 - 1
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message) and shift < 70:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("a varint is cut short")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value
