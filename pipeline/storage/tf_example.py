"""``tf.train.Example`` messages without TensorFlow.

They are written here, in the order of their features' names, as deterministic protobuf serialization does, so
that equal examples give equal bytes whatever the version of protobuf. They are read by the protobuf library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import DecodeError

# What a feature is written from: one value, several byte strings, or numbers of shape (n,), of which floats
# become float32 and all others int64.
Value = bytes | int | list[bytes] | npt.NDArray[Any]
Values = list[bytes] | list[int] | list[float]

# As in tensorflow/core/example/example.proto and feature.proto, but the map stands as what it is on the wire,
# a list of entries: from a map, protobuf leaves out entries with fields that it does not know.
_SCHEMA = """
name: "example.proto" package: "tensorflow" syntax: "proto3"
message_type {
  name: "BytesList" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_BYTES }
}
message_type {
  name: "FloatList" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_FLOAT }
}
message_type {
  name: "Int64List" field { name: "value" number: 1 label: LABEL_REPEATED type: TYPE_INT64 }
}
message_type {
  name: "Feature" oneof_decl { name: "kind" }
  field { name: "bytes_list" number: 1 oneof_index: 0 type: TYPE_MESSAGE type_name: "BytesList" }
  field { name: "float_list" number: 2 oneof_index: 0 type: TYPE_MESSAGE type_name: "FloatList" }
  field { name: "int64_list" number: 3 oneof_index: 0 type: TYPE_MESSAGE type_name: "Int64List" }
}
message_type {
  name: "FeatureEntry"
  field { name: "key" number: 1 type: TYPE_STRING }
  field { name: "value" number: 2 type: TYPE_MESSAGE type_name: "Feature" }
}
message_type {
  name: "Features"
  field { name: "feature" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: "FeatureEntry" }
}
message_type {
  name: "Example" field { name: "features" number: 1 type: TYPE_MESSAGE type_name: "Features" }
}
"""
_LENGTH = 2  # The wire type of what is preceded by its length.
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_SMALL_VARINTS = [bytes([value]) for value in range(0x80)]


def _example_class() -> Any:
    """The class of Examples; in a pool of its own, for TensorFlow adds its own class to protobuf's."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


_Example = _example_class()


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
    try:
        example = _Example.FromString(message)
    except DecodeError as error:
        raise ValueError(f"is no Example ({error})") from error
    features: dict[str, Values] = {}
    for entry in example.features.feature:
        kind = entry.value.WhichOneof("kind")
        if kind is None:
            raise ValueError("a feature holds no values")
        features[entry.key] = list(getattr(entry.value, kind).value)
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


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    if 0 <= value < 0x80:  # The usual case, made fast.
        return _SMALL_VARINTS[value]
    value &= 2**64 - 1
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
