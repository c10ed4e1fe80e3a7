import zlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.dataset.features import ClassLabel, Feature, Tensor, decode, encode, feature_from_json
from pipeline.storage.tf_example import encode_example

FEATURES = {
    "bytes": Tensor("int16", (2, None), "bytes"),
    "zlib": Tensor("float64", (None, 3), "zlib"),
    "floats": Tensor("float32", (2, 2), "none"),
    "numbers": Tensor("int32", (None,), "none"),
    "flag": Tensor("bool", (), "none"),
    "label": ClassLabel(("a", "b", "c")),
}
EXAMPLE: dict[str, Any] = {
    "bytes": np.arange(6, dtype=np.int16).reshape(2, 3) - 300,
    "zlib": np.array([[0.1, np.inf, -0.0]]),
    "floats": np.array([[0.1, 1e-38], [-1, np.pi]], np.float32),
    "numbers": np.array([-(2**31), 0, 2**31 - 1], np.int32),
    "flag": np.array(True),
    "label": 2,
}


def test_an_example_comes_back_as_it_was() -> None:
    decoded = decode(FEATURES, encode(FEATURES, EXAMPLE))
    assert decoded.keys() == EXAMPLE.keys()
    for name, value in EXAMPLE.items():
        np.testing.assert_array_equal(decoded[name], value)
        assert np.asarray(decoded[name]).dtype == np.asarray(value).dtype


def test_an_empty_example_comes_back_as_it_was() -> None:
    features: dict[str, Feature] = {name: FEATURES[name] for name in ("bytes", "zlib", "numbers")}
    empty: dict[str, Any] = {
        "bytes": np.empty((2, 0), np.int16),
        "zlib": np.empty((0, 3)),
        "numbers": np.empty(0, np.int32),
    }
    for name, value in decode(features, encode(features, empty)).items():
        assert (value.shape, value.dtype) == (empty[name].shape, empty[name].dtype)


def test_tensorflow_reads_the_record() -> None:
    parsed = tf.io.parse_single_example(
        encode(FEATURES, EXAMPLE),
        {
            "floats": tf.io.FixedLenFeature([2, 2], tf.float32),
            "numbers": tf.io.VarLenFeature(tf.int64),
            "flag": tf.io.FixedLenFeature([], tf.int64),
            "label": tf.io.FixedLenFeature([], tf.int64),
        },
    )
    np.testing.assert_array_equal(parsed["floats"], EXAMPLE["floats"])
    np.testing.assert_array_equal(parsed["numbers"].values, EXAMPLE["numbers"])
    assert (int(parsed["flag"]), int(parsed["label"])) == (1, 2)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"label": 3}, "feature label: class 3, expected 0 to 2"),
        ({"label": -1}, "feature label: class -1"),
        ({"bytes": np.zeros((2, 3), np.int32)}, r"feature bytes: int32 of shape \(2, 3\), expected int16"),
        ({"bytes": np.zeros((3, 2), np.int16)}, r"feature bytes: int16 of shape \(3, 2\)"),
        ({"floats": np.zeros((4,), np.float32)}, r"feature floats: float32 of shape \(4,\)"),
        ({"other": 1}, r"features \['bytes'.*'other'.*expected"),
    ],
)
def test_a_value_that_is_not_of_its_feature_is_named(changed: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        encode(FEATURES, {**EXAMPLE, **changed})


@pytest.mark.parametrize(
    ("feature", "stored", "named"),
    [
        (FEATURES["bytes"], 1, "expected a single one of type bytes"),
        (FEATURES["bytes"], [b"", b""], "2 values"),
        (FEATURES["bytes"], b"12345", "no whole int16"),
        (FEATURES["bytes"], b"123456", r"3 numbers, expected an array of shape \(2, None\)"),
        (FEATURES["zlib"], b"not zlib", "cannot be decompressed"),
        (FEATURES["zlib"], zlib.compress(bytes(24))[:-1], "incomplete"),
        (Tensor("uint8", (3,), "zlib"), zlib.compress(bytes(10**6)), "more than the expected 3 bytes"),
        (FEATURES["floats"], b"", "bytes, expected numbers"),
        (FEATURES["numbers"], np.array([2**40]), "no int32"),
        (FEATURES["flag"], np.array([2]), "no bool"),
        (FEATURES["label"], 7, "class 7"),
        (FEATURES["label"], b"a", "expected a single one of type int"),
    ],
)
def test_a_stored_value_that_is_not_of_its_feature_is_named(
    feature: Feature, stored: object, named: str
) -> None:
    with pytest.raises(ValueError, match=f"feature x: .*{named}"):
        decode({"x": feature}, encode_example({"x": stored}))  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("text", ()), "data type"),
        (("U3", ()), "holds numbers"),
        (("uint8", (None, None)), "at most one dimension"),
        (("uint8", (), "jpeg"), "encoding jpeg"),
        (("float64", (), "none"), "keeps no float64"),
    ],
)
def test_a_feature_that_cannot_be_stored_is_refused(arguments: tuple[object, ...], named: str) -> None:
    with pytest.raises((ValueError, TypeError), match=named):
        Tensor(*arguments)  # type: ignore[arg-type]


def test_features_come_back_from_the_manifest() -> None:
    assert {name: feature_from_json(each.to_json()) for name, each in FEATURES.items()} == FEATURES
    with pytest.raises(ValueError, match="no kind of feature: 'sound'"):
        feature_from_json({"kind": "sound"})
