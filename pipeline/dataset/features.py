"""The features of a record: their dtypes and shapes, and their storage in ``tf.train.Example``.

A feature is stored as TFDS stores its feature connector of the same name, so that
``tfds.builder_from_directory`` can decode it.
"""

from __future__ import annotations

import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.storage.tf_example import Value, Values, decode_example, encode_example
from pipeline.storage.tfrecord import MAX_PAYLOAD_BYTES

BYTES, ZLIB, NONE = "bytes", "zlib", "none"

_ZLIB_LEVEL = 6


class Feature(ABC):
    """One feature of a record: its type and how it is stored."""

    @abstractmethod
    def encode(self, value: Any) -> Value:
        """Convert a value of this feature to one that `encode_example` accepts.

        Raises:
            ValueError, TypeError: if the value is not of this feature's type.
        """

    @abstractmethod
    def decode(self, values: Values) -> Any:
        """The inverse of `encode`; ``values`` are those that `decode_example` returns.

        Raises:
            ValueError: if ``values`` are not a stored value of this feature.
        """

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The feature as the manifest stores it; `feature_from_json` is the inverse."""


@dataclass(frozen=True)
class Tensor(Feature):
    """An array of numbers.

    Attributes:
        dtype: NumPy's name of a boolean, integer or floating dtype; of a dtype or NumPy's class, it is taken.
        shape: shape of the array; None for a dimension that varies. At most one dimension may vary.
        encoding: "bytes" stores the array's bytes in C order, little-endian; "zlib" stores these bytes
            compressed; "none" stores a list of numbers (float32 or int64), not for float16, float64, uint64.

    Raises:
        ValueError: if the dtype or encoding is not supported, or if several dimensions vary.
        TypeError: if NumPy has no such dtype.
    """

    dtype: str
    shape: tuple[int | None, ...]
    encoding: str = BYTES

    def __post_init__(self) -> None:
        if not isinstance(self.dtype, str):
            object.__setattr__(self, "dtype", np.dtype(self.dtype).name)
        if np.dtype(self.dtype).kind not in "biuf":
            raise ValueError(f"dtype {self.dtype}: a tensor holds numbers")
        if self.encoding not in (BYTES, ZLIB, NONE):
            raise ValueError(f"encoding {self.encoding}: give {BYTES}, {ZLIB} or {NONE}")
        if self.encoding == NONE and self.dtype in ("float16", "float64", "uint64"):
            raise ValueError(f"encoding {NONE}: keeps no {self.dtype}; give {BYTES} or {ZLIB}")
        if self.shape.count(None) > 1:
            raise ValueError(f"shape {self.shape}: at most one dimension may vary")

    def encode(self, value: Any) -> Value:
        """See `Feature.encode`; ``value`` is anything that ``numpy.asarray`` accepts."""
        array = np.asarray(value)
        if array.dtype != self.dtype or not self._fits(array.shape):
            raise ValueError(
                f"{array.dtype} of shape {array.shape}, expected {self.dtype} of shape {self.shape}"
            )
        if self.encoding == NONE:
            return array.ravel()
        raw = array.astype(self._stored_dtype, copy=False).tobytes()
        return raw if self.encoding == BYTES else zlib.compress(raw, _ZLIB_LEVEL)

    def decode(self, values: Values) -> npt.NDArray[Any]:
        """See `Feature.decode`; returns an array of this dtype and shape."""
        if self.encoding == NONE:
            if any(isinstance(value, bytes) for value in values):
                raise ValueError("bytes, expected numbers")
            array = np.array(values)
            if not array.size:
                array = array.astype(self.dtype)
            if not np.array_equal(array.astype(self.dtype), array):
                raise ValueError(f"a number that is no {self.dtype}")
            return self._shaped(array.astype(self.dtype))
        raw = _single(values, bytes)
        if self.encoding == ZLIB:
            try:
                raw = decompress(raw, self._most_bytes())
            except ValueError as error:
                raise ValueError(f"content {error}") from error
        if len(raw) % np.dtype(self.dtype).itemsize:
            raise ValueError(f"{len(raw)} bytes, which are no whole {self.dtype}")
        return self._shaped(np.frombuffer(raw, self._stored_dtype).astype(self.dtype, copy=False))

    def to_json(self) -> dict[str, Any]:
        """See `Feature.to_json`."""
        return {"kind": "tensor", "dtype": self.dtype, "shape": list(self.shape), "encoding": self.encoding}

    @property
    def _stored_dtype(self) -> np.dtype[Any]:
        return np.dtype(self.dtype).newbyteorder("<")

    def _fits(self, shape: Sequence[int]) -> bool:
        return len(shape) == len(self.shape) and all(
            wanted in (None, size) for size, wanted in zip(shape, self.shape, strict=True)
        )

    def _shaped(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        shape = [-1 if size is None else size for size in self.shape]
        try:
            return array.reshape(shape)
        except ValueError as error:
            raise ValueError(f"{array.size} numbers, expected an array of shape {self.shape}") from error

    def _most_bytes(self) -> int | None:
        """Size of the array in bytes; None if a dimension varies."""
        if None in self.shape:
            return None
        return math.prod(size for size in self.shape if size) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class ClassLabel(Feature):
    """The class of an example, as its number.

    Attributes:
        names: names of the classes; class i has ``names[i]``.
    """

    names: tuple[str, ...]

    def encode(self, value: Any) -> Value:
        """See `Feature.encode`; ``value`` is the number of the class."""
        if int(value) not in range(len(self.names)):
            raise ValueError(f"class {value}, expected 0 to {len(self.names) - 1}")
        return int(value)

    def decode(self, values: Values) -> int:
        """See `Feature.decode`; returns the number of the class."""
        label = int(_single(values, int))
        if label not in range(len(self.names)):
            raise ValueError(f"class {label}, expected 0 to {len(self.names) - 1}")
        return label

    def to_json(self) -> dict[str, Any]:
        """See `Feature.to_json`."""
        return {"kind": "class_label", "names": list(self.names)}


@dataclass(frozen=True)
class Video(Feature):
    """A sequence of frames, each stored as an image of its own.

    Attributes:
        shape: (height, width, channels) of a frame; 3 channels, or 1.
        encoding: "jpeg" or "png".
    """

    shape: tuple[int, int, int]
    encoding: str

    def encode(self, value: Any) -> Value:
        """See `Feature.encode`; ``value`` is the images, at least one, as bytes."""
        if not value:
            raise ValueError("no frames")
        return list(value)

    def decode(self, values: Values) -> list[bytes]:
        """See `Feature.decode`; returns the images as bytes; whether they can be decoded is not checked."""
        if not values or not all(isinstance(value, bytes) for value in values):
            raise ValueError(f"{len(values)} values, expected images")
        return [value for value in values if isinstance(value, bytes)]

    def to_json(self) -> dict[str, Any]:
        """See `Feature.to_json`."""
        return {"kind": "video", "shape": list(self.shape), "encoding": self.encoding}


@dataclass(frozen=True)
class Text(Feature):
    """A text, stored in UTF-8; or a list of texts.

    Attributes:
        is_list: whether a value is a list of any number of texts.
    """

    is_list: bool = False

    def encode(self, value: Any) -> Value:
        """See `Feature.encode`; ``value`` is a string, or a sequence of strings."""
        return [text.encode() for text in value] if self.is_list else str(value).encode()

    def decode(self, values: Values) -> str | list[str]:
        """See `Feature.decode`; returns a string, or a list of strings."""
        if not all(isinstance(value, bytes) for value in values):
            raise ValueError("numbers, expected texts")
        if not self.is_list:
            return str(_single(values, bytes), "utf-8")
        return [str(value, "utf-8") for value in values if isinstance(value, bytes)]

    def to_json(self) -> dict[str, Any]:
        """See `Feature.to_json`."""
        return {"kind": "text", "is_list": self.is_list}


def feature_from_json(document: Mapping[str, Any]) -> Feature:
    """The inverse of `Feature.to_json`.

    Raises:
        ValueError, LookupError, TypeError: if ``document`` is not a value that `Feature.to_json` returns.
    """
    if document["kind"] == "class_label":
        return ClassLabel(tuple(map(str, document["names"])))
    if document["kind"] == "tensor":
        return Tensor(document["dtype"], tuple(document["shape"]), document["encoding"])
    if document["kind"] == "video":
        height, width, channels = document["shape"]
        return Video((height, width, channels), str(document["encoding"]))
    if document["kind"] == "text":
        return Text(bool(document["is_list"]))
    raise ValueError(f"no kind of feature: {document['kind']!r}")


def encode(features: Mapping[str, Feature], example: Mapping[str, Any]) -> bytes:
    """Serialize an example to the payload of a record.

    Args:
        features: the features by name.
        example: a value for each feature, by name.

    Raises:
        ValueError: if a feature is missing, unknown or not of its type; the message names it.
    """
    if example.keys() != features.keys():
        raise ValueError(f"features {sorted(example)}, expected {sorted(features)}")
    encoded = {}
    for name, feature in features.items():
        try:
            encoded[name] = feature.encode(example[name])
        except (ValueError, TypeError) as error:
            raise ValueError(f"feature {name}: {error}") from error
    return encode_example(encoded)


def decode(features: Mapping[str, Feature], payload: bytes) -> dict[str, Any]:
    """The inverse of `encode`.

    Raises:
        ValueError: if the payload is not a record of these features; the message gives the reason.
    """
    values = decode_example(payload)
    if values.keys() != features.keys():
        raise ValueError(f"features {sorted(values)}, expected {sorted(features)}")
    decoded = {}
    for name, feature in features.items():
        try:
            decoded[name] = feature.decode(values[name])
        except ValueError as error:
            raise ValueError(f"feature {name}: {error}") from error
    return decoded


def decompress(compressed: bytes, most_bytes: int | None) -> bytes:
    """Decompress a zlib stream, up to a bound: a small damaged stream could need any amount of memory.

    Args:
        compressed: the stream.
        most_bytes: largest allowed size of the result; None for `MAX_PAYLOAD_BYTES`.

    Raises:
        ValueError: if the stream is damaged or incomplete, or its content larger.
    """
    bound = MAX_PAYLOAD_BYTES if most_bytes is None else most_bytes
    decompressor = zlib.decompressobj()
    try:
        raw = decompressor.decompress(compressed, bound + 1)
    except zlib.error as error:
        raise ValueError(f"that cannot be decompressed ({error})") from error
    if len(raw) > bound:
        raise ValueError(f"of more than the expected {bound} bytes")
    if not decompressor.eof:
        raise ValueError("that cannot be decompressed (incomplete stream)")
    return raw


def _single(values: Values, kind: type[Any]) -> Any:
    if len(values) != 1 or not isinstance(values[0], kind):
        raise ValueError(f"{len(values)} values, expected a single one of type {kind.__name__}")
    return values[0]
