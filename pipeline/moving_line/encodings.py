"""How sequences become TFRecord bytes: one ``tf.train.Example`` a sequence, in one of two encodings.

- ``path``: features ``path`` (uint8 of shape (S,) as S raw bytes) and ``label`` (int64).
- ``frames``: features ``frames`` (uint8 of shape (S, S, S, 1), zlib-compressed) and ``label``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import numpy as np

from pipeline.moving_line.frame_compression import compress_frames, compressing_libraries
from pipeline.moving_line.lines import (
    CLASS_NAMES,
    Int64Array,
    Uint8Array,
    check_sequences,
    draw_frames,
    paths_from_frames,
)
from pipeline.moving_line.path_records import path_records
from pipeline.storage.tf_example import decode_example, encode_example
from pipeline.storage.tfrecord import frame_record, read_records


@dataclass(frozen=True)
class Encoding:
    """One way to store a sequence.

    Attributes:
        name: as it stands on the command line and in the manifest.
        feature: name of the feature that holds the sequence.
        tfds_encoding: how TFDS calls the feature's encoding.
        encode: (paths uint8 (n, S), labels int64 (n,)) -> the framed records, one after the other.
        decode: (the feature's bytes, label, S) -> path uint8 (S,).
        record_bytes: S -> size of a record, framing included, if all records have the same; else None.
        libraries: S -> versions, by name, of the libraries that decide the bytes of a record.
    """

    name: str
    feature: str
    tfds_encoding: str
    encode: Callable[[Uint8Array, Int64Array], bytes]
    decode: Callable[[bytes, int, int], Uint8Array]
    record_bytes: Callable[[int], int | None]
    libraries: Callable[[int], dict[str, str]]

    def shape(self, image_size: int) -> tuple[int, ...]:
        """Shape of the decoded feature, dtype uint8."""
        return (image_size,) if self.name == "path" else (image_size,) * 3 + (1,)

    def estimated_record_bytes(self, image_size: int) -> int:
        """How many bytes a record takes on disk, framing included: exact for paths, about so for frames."""
        if (exact := self.record_bytes(image_size)) is not None:
            return exact
        # Fitted to what was written, within a tenth; the larger sizes are left to zlib.
        if image_size < 182:
            return 85 + image_size**3 // 1032 + image_size**2 // 19 + 5 * image_size // 2
        return 85 + image_size**3 // 300

    def decode_record(self, payload: bytes, image_size: int) -> tuple[Uint8Array, int]:
        """Path, uint8 of shape (S,), and label of one record.

        Raises:
            ValueError: if the payload is not a record of this encoding and image size, or holds a sequence
                that the definition does not allow.
        """
        features = decode_example(payload)
        if set(features) != {self.feature, "label"}:
            raise ValueError(f"features {sorted(features)}, expected {[self.feature, 'label']}")
        if any(len(values) != 1 for values in features.values()):
            raise ValueError("a feature does not hold one value")
        (content,), (label,) = features[self.feature], features["label"]
        if not isinstance(content, bytes) or not isinstance(label, int):
            raise ValueError("a feature is of the wrong kind")
        if label not in range(len(CLASS_NAMES)):
            raise ValueError(f"label {label}, expected 0 or 1")
        path = self.decode(content, label, image_size)
        check_sequences(path[None], np.array([label]))
        return path, label

    def read_block(self, stream: BinaryIO, count: int, image_size: int) -> tuple[Uint8Array, Int64Array]:
        """Read the next ``count`` records, checking every byte.

        Returns:
            paths, uint8 of shape (count, S), and labels, int64 of shape (count,).

        Raises:
            ValueError: if anything is wrong with any of them; what and where takes a slower look.
        """
        if self.name == "path":
            records = path_records(image_size)
            return records.decode(stream.read(count * records.record_bytes), count)
        paths, labels = np.empty((count, image_size), np.uint8), np.empty(count, np.int64)
        position = 0
        for payload in islice(read_records(stream), count):
            paths[position], labels[position] = self.decode_record(payload, image_size)
            position += 1
        if position < count:
            raise ValueError("the file ends too early")
        return paths, labels


def _encode_paths(paths: Uint8Array, labels: Int64Array) -> bytes:
    return path_records(paths.shape[1]).encode(paths, labels)


def _decode_path(content: bytes, label: int, image_size: int) -> Uint8Array:
    if len(content) != image_size:
        raise ValueError(f"a path of {len(content)} bytes, expected {image_size}")
    return np.frombuffer(content, np.uint8)


def _encode_frames(paths: Uint8Array, labels: Int64Array) -> bytes:
    contents = compress_frames(paths, labels)
    return b"".join(
        frame_record(encode_example({"frames": content, "label": label}))
        for content, label in zip(contents, labels.tolist(), strict=True)
    )


def _decode_frames(content: bytes, label: int, image_size: int) -> Uint8Array:
    try:
        # No more than is expected: a few bytes could become any number of them.
        decompressor = zlib.decompressobj()
        raw = decompressor.decompress(content, image_size**3 + 1)
        if not decompressor.eof and len(raw) <= image_size**3:
            raise zlib.error("incomplete stream")
    except zlib.error as error:
        raise ValueError(f"frames that cannot be decompressed ({error})") from error
    if len(raw) > image_size**3:
        raise ValueError(f"frames of more than the expected {image_size**3} bytes")
    if len(raw) != image_size**3:
        raise ValueError(f"frames of {len(raw)} bytes, expected {image_size**3}")
    frames = np.frombuffer(raw, np.uint8).reshape(1, image_size, image_size, image_size, 1)
    labels = np.array([label])
    paths = paths_from_frames(frames, labels)
    if draw_frames(paths, labels).tobytes() != raw:
        raise ValueError("frames that no path and label draw")
    path: Uint8Array = paths[0]
    return path


ENCODINGS = {
    "path": Encoding(
        "path",
        "path",
        "bytes",
        _encode_paths,
        _decode_path,
        lambda size: path_records(size).record_bytes,
        lambda size: {},
    ),
    "frames": Encoding(
        "frames", "frames", "zlib", _encode_frames, _decode_frames, lambda size: None, compressing_libraries
    ),
}
