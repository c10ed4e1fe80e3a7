"""How sequences become TFRecord bytes: one ``tf.train.Example`` a sequence, in one of two encodings.

- ``path``: features ``path`` (uint8 of shape (S,) as S raw bytes) and ``label`` (int64).
- ``frames``: features ``frames`` (uint8 of shape (S, S, S, 1), zlib-compressed) and ``label``.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.example import decode_example, encode_example
from pipeline.lines import (
    Int64Array,
    Uint8Array,
    draw_frames,
    paths_from_frames,
)
from pipeline.tfrecord import frame_equal_records, frame_record

# Level 4 is the fastest of zlib's levels that search for long matches lazily: two thirds of the time of
# zlib's default at a third more bytes, half the bytes of the levels below it.
_ZLIB_LEVEL = 4
# Frames are drawn a few sequences at a time so that they stay in the processor's cache.
_SEQUENCES_PER_DRAWING = 16


@dataclass(frozen=True)
class Encoding:
    """One way to store a sequence.

    Attributes:
        name: as it stands on the command line and in the manifest.
        feature: name of the feature that holds the sequence.
        tfds_encoding: how TFDS calls the feature's encoding.
        encode: (paths uint8 (n, S), labels int64 (n,)) -> the framed records, one after the other.
        decode: (the feature's bytes, label, S) -> path uint8 (S,).
    """

    name: str
    feature: str
    tfds_encoding: str
    encode: Callable[[Uint8Array, Int64Array], bytes]
    decode: Callable[[bytes, int, int], Uint8Array]

    def shape(self, image_size: int) -> tuple[int, ...]:
        """Shape of the decoded feature, dtype uint8."""
        return (image_size,) if self.name == "path" else (image_size,) * 3 + (1,)

    def decode_record(self, payload: bytes, image_size: int) -> tuple[Uint8Array, int]:
        """Path, uint8 of shape (S,), and label of one record.

        Raises:
            ValueError: if the payload is not a record of this encoding and image size.
        """
        features = decode_example(payload)
        if set(features) != {self.feature, "label"}:
            raise ValueError(f"features {sorted(features)}, expected {[self.feature, 'label']}")
        (content,), (label,) = features[self.feature], features["label"]
        if not isinstance(content, bytes) or not isinstance(label, int):
            raise ValueError("a feature is of the wrong kind")
        return self.decode(content, label, image_size), label


def _encode_paths(paths: Uint8Array, labels: Int64Array) -> bytes:
    # Every record has the same size: fill in a template instead of serializing one by one.
    count, image_size = paths.shape
    template = encode_example({"label": 0, "path": bytes(image_size)})
    other_label = encode_example({"label": 1, "path": bytes(image_size)})
    (label_offset,) = (i for i in range(len(template)) if template[i] != other_label[i])
    payloads = np.empty((count, len(template)), np.uint8)
    payloads[:] = np.frombuffer(template, np.uint8)
    payloads[:, label_offset] = labels
    payloads[:, -image_size:] = paths
    return frame_equal_records(payloads).tobytes()


def _decode_path(content: bytes, label: int, image_size: int) -> Uint8Array:
    if len(content) != image_size:
        raise ValueError(f"a path of {len(content)} bytes, expected {image_size}")
    return np.frombuffer(content, np.uint8)


def _encode_frames(paths: Uint8Array, labels: Int64Array) -> bytes:
    records = []
    for start in range(0, len(paths), _SEQUENCES_PER_DRAWING):
        block = slice(start, start + _SEQUENCES_PER_DRAWING)
        for frames, label in zip(draw_frames(paths[block], labels[block]), labels[block], strict=True):
            content = zlib.compress(frames.data, _ZLIB_LEVEL)
            records.append(frame_record(encode_example({"frames": content, "label": int(label)})))
    return b"".join(records)


def _decode_frames(content: bytes, label: int, image_size: int) -> Uint8Array:
    raw = zlib.decompress(content)
    if len(raw) != image_size**3:
        raise ValueError(f"frames of {len(raw)} bytes, expected {image_size**3}")
    frames = np.frombuffer(raw, np.uint8).reshape(1, image_size, image_size, image_size, 1)
    path: Uint8Array = paths_from_frames(frames, np.array([label]))[0]
    return path


ENCODINGS = {
    "path": Encoding("path", "path", "bytes", _encode_paths, _decode_path),
    "frames": Encoding("frames", "frames", "zlib", _encode_frames, _decode_frames),
}
