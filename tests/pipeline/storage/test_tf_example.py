import numpy as np
import pytest
import tensorflow as tf

from pipeline.storage.tf_example import decode_example, encode_example


def _protobuf(features: dict[str, bytes | int]) -> tf.train.Example:
    def feature(value: bytes | int) -> tf.train.Feature:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    return tf.train.Example(
        features=tf.train.Features(feature={name: feature(value) for name, value in features.items()})
    )


CASES: list[dict[str, bytes | int]] = [
    {"label": 0, "path": b"\0" * 2},
    {"label": 1, "path": bytes(range(256))},
    {"frames": b"q" * 20_000, "label": 1},
    {"negative": -5, "large": 2**62},
    {},
]


@pytest.mark.parametrize("features", CASES)
def test_bytes_are_those_of_deterministic_protobuf(features: dict[str, bytes | int]) -> None:
    assert encode_example(features) == _protobuf(features).SerializeToString(deterministic=True)


@pytest.mark.parametrize("features", CASES)
def test_values_come_back(features: dict[str, bytes | int]) -> None:
    assert decode_example(encode_example(features)) == {name: [value] for name, value in features.items()}


def test_lists_that_other_writers_leave_unpacked_are_read() -> None:
    # Field 1 of Int64List twice, as single varints, inside feature "a" of an Example.
    feature = b"\x1a\x04\x08\x07\x08\x09"
    entry = b"\x0a\x01a\x12" + bytes([len(feature)]) + feature
    content = b"\x0a" + bytes([len(entry)]) + entry
    assert decode_example(b"\x0a" + bytes([len(content)]) + content) == {"a": [7, 9]}


def test_fields_that_are_not_known_are_passed_over() -> None:
    message = encode_example({"label": 1})
    assert decode_example(b"\x10\x05" + message + b"\x1d\0\0\0\0" + b"\x21" + bytes(8)) == {"label": [1]}


def test_fields_of_a_feature_that_are_not_known_are_passed_over() -> None:
    feature = b"\x1a\x03\x0a\x01\x07"
    entry = b"\x0a\x01a" + b"\x32\x01z" + b"\x12" + bytes([len(feature)]) + feature
    content = b"\x0a" + bytes([len(entry)]) + entry
    assert decode_example(b"\x0a" + bytes([len(content)]) + content) == {"a": [7]}


@pytest.mark.parametrize("cut", range(1, 17))
def test_a_message_that_is_cut_short_is_refused(cut: int) -> None:
    message = encode_example({"label": 1})
    with pytest.raises(ValueError, match="is no Example"):
        decode_example(message[:-cut])


@pytest.mark.parametrize("message", [b"\x0b", b"\x0f", encode_example({"label": 1}).replace(b"l", b"\xff")])
def test_what_is_no_example_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="is no Example"):
        decode_example(message)


def test_lists_are_read_as_tensorflow_writes_them_and_written_alike() -> None:
    numbers, floats, texts = [-(2**63), 0, 300, 2**63 - 1], [0.5, -1e30, float("inf")], [b"", b"a\0b"]
    message = tf.train.Example(
        features=tf.train.Features(
            feature={
                "floats": tf.train.Feature(float_list=tf.train.FloatList(value=floats)),
                "numbers": tf.train.Feature(int64_list=tf.train.Int64List(value=numbers)),
                "texts": tf.train.Feature(bytes_list=tf.train.BytesList(value=texts)),
            }
        )
    ).SerializeToString(deterministic=True)
    read = decode_example(message)
    assert read == {
        "floats": np.array(floats, np.float32).tolist(),
        "numbers": numbers,
        "texts": texts,
    }
    written = encode_example(
        {"floats": np.array(floats, np.float32), "numbers": np.array(numbers), "texts": texts}
    )
    assert written == message


def test_a_feature_without_values_is_refused() -> None:
    message = tf.train.Example(
        features=tf.train.Features(feature={"a": tf.train.Feature()})
    ).SerializeToString()
    with pytest.raises(ValueError, match="holds no values"):
        decode_example(message)


def test_lists_have_as_many_values_as_were_written() -> None:
    empty, several = tf.train.Int64List(), tf.train.BytesList(value=[b"x", b"", b"y"])
    features = {"a": tf.train.Feature(int64_list=empty), "b": tf.train.Feature(bytes_list=several)}
    message = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    assert decode_example(message) == {"a": [], "b": [b"x", b"", b"y"]}
