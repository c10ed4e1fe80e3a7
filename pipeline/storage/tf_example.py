"""``tf.train.Example`` and ``tf.train.SequenceExample`` messages without TensorFlow.

They are written here, in the order of their features' names, as deterministic protobuf serialization does, so
that equal examples give equal bytes whatever the version of protobuf. They are read by the protobuf library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
message_type {
  name: "FeatureList"
  field { name: "feature" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: "Feature" }
}
message_type {
  name: "FeatureListEntry"
  field { name: "key" number: 1 type: TYPE_STRING }
  field { name: "value" number: 2 type: TYPE_MESSAGE type_name: "FeatureList" }
}
message_type {
  name: "FeatureLists"
  field {
    name: "feature_list" number: 1 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: "FeatureListEntry"
  }
}
message_type {
  name: "SequenceExample"
  field { name: "context" number: 1 type: TYPE_MESSAGE type_name: "Features" }
  field { name: "feature_lists" number: 2 type: TYPE_MESSAGE type_name: "FeatureLists" }
}
"""
_LENGTH = 2  # The wire type of what is preceded by its length.
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_SMALL_VARINTS = [bytes([value]) for value in range(0x80)]


def _classes() -> tuple[Any, Any]:
    """Both messages' classes; in a pool of their own, for TensorFlow adds its classes to protobuf's."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto()))
    names = ("tensorflow.Example", "tensorflow.SequenceExample")
    example, sequence = (message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names)
    return example, sequence


_Example, _SequenceExample = _classes()


def encode_example(features: Mapping[str, Value]) -> bytes:
    """Serialize an Example."""
    return _field(1, _encode_features(features))


def encode_sequence_example(context: Mapping[str, Value], lists: Mapping[str, Sequence[Value]]) -> bytes:
    """Serialize a SequenceExample.

    Args:
        context: the features of the context by name.
        lists: the feature lists by name, a value for each step.
    """
    entries = (
        _field(
            1,
            _field(1, name.encode())
            + _field(2, b"".join(_field(1, _encode_feature(each)) for each in steps)),
        )
        for name, steps in sorted(lists.items())
    )
    return _field(1, _encode_features(context)) + _field(2, b"".join(entries))


def decode_example(message: bytes) -> dict[str, Values]:
    """Parse a serialized Example into its features' values.

    Raises:
        ValueError: if the message is not a well-formed Example.
    """
    return _decode_features(_parsed(_Example, message).features)


def decode_sequence_example(message: bytes) -> tuple[dict[str, Values], dict[str, list[Values]]]:
    """The inverse of `encode_sequence_example`; each value, and each step of a list, as a list of values.

    Raises:
        ValueError: if the message is not a well-formed SequenceExample.
    """
    example = _parsed(_SequenceExample, message)
    lists = {
        entry.key: [_values(feature) for feature in entry.value.feature]
        for entry in example.feature_lists.feature_list
    }
    return _decode_features(example.context), lists


def _parsed(kind: Any, message: bytes) -> Any:
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise ValueError(f"is no {kind.DESCRIPTOR.name} ({error})") from error


def _encode_features(features: Mapping[str, Value]) -> bytes:
    return b"".join(
        _field(1, _field(1, name.encode()) + _field(2, _encode_feature(features[name])))
        for name in sorted(features)
    )


def _decode_features(features: Any) -> dict[str, Values]:
    return {entry.key: _values(entry.value) for entry in features.feature}


def _values(feature: Any) -> Values:
    kind = feature.WhichOneof("kind")
    if kind is None:
        raise ValueError("a feature holds no values")
    return list(getattr(feature, kind).value)


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
