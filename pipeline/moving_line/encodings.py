"""The two encodings of sequences as TFRecords: one ``tf.train.Example`` per sequence.

- ``path``: features ``path`` (uint8 of shape (S,) as S raw bytes) and ``label`` (int64).
- ``frames``: features ``frames`` (uint8 of shape (S, S, S, 1), zlib-compressed) and ``label``, and on request
  ``caption``, the text of `CAPTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pipeline.dataset.features import decompress
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
from pipeline.storage.tfrecord import frame_record

# By label; normalised, see `pipeline.dataset.captions`.
CAPTIONS = tuple(f"a line grows to the {name}" for name in CLASS_NAMES)


@dataclass(frozen=True)
class Encoding:
    """One encoding of sequences.

    Attributes:
        name: name on the command line and in the manifest.
        feature: name of the feature that holds the sequence.
        tfds_encoding: TFDS's name of the feature's encoding.
        shape: S -> shape of the decoded feature, dtype uint8.
        encode: (paths uint8 (n, S), labels int64 (n,)) -> n framed records, concatenated.
        decode: (the feature's bytes, label, S) -> path uint8 (S,).
        record_bytes: S -> size of a record, framing included: exact, or an estimate.
        libraries: S -> versions, by name, of the libraries that decide the bytes of a record.
        may_have_caption: whether a record may have the feature ``caption``.
    """

    name: str
    feature: str
    tfds_encoding: str
    shape: Callable[[int], tuple[int, ...]]
    encode: Callable[[Uint8Array, Int64Array], bytes]
    decode: Callable[[bytes, int, int], Uint8Array]
    record_bytes: Callable[[int], int]
    libraries: Callable[[int], dict[str, str]]
    may_have_caption: bool = False

    def decode_record(self, payload: bytes, image_size: int) -> tuple[Uint8Array, int]:
        """Path, uint8 of shape (S,), and label, 0 or 1, of one record.

        Raises:
            ValueError: if the payload is not a record of this encoding and image size, or its sequence is not
                allowed by the definition.
        """
        features = decode_example(payload)
        optional = {"caption"} if self.may_have_caption else set()
        if set(features) - optional != {self.feature, "label"}:
            raise ValueError(f"features {sorted(features)}, expected {[self.feature, 'label']}")
        if any(len(values) != 1 for values in features.values()):
            raise ValueError("a feature does not hold one value")
        (content,), (label,) = features[self.feature], features["label"]
        if not isinstance(content, bytes) or not isinstance(label, int):
            raise ValueError("a feature is of the wrong kind")
        if label not in range(len(CLASS_NAMES)):
            raise ValueError(f"label {label}, expected 0 or 1")
        if "caption" in features and features["caption"][0] != CAPTIONS[label].encode():
            raise ValueError(f"caption {features['caption'][0]!r}, expected {CAPTIONS[label]!r}")
        path = self.decode(content, label, image_size)
        check_sequences(path[None], np.array([label]))
        return path, label


def _encode_paths(paths: Uint8Array, labels: Int64Array) -> bytes:
    return path_records(paths.shape[1]).encode(paths, labels)


def _decode_path(content: bytes, label: int, image_size: int) -> Uint8Array:
    if len(content) != image_size:
        raise ValueError(f"a path of {len(content)} bytes, expected {image_size}")
    return np.frombuffer(content, np.uint8)


def _encode_frames(paths: Uint8Array, labels: Int64Array, has_caption: bool = False) -> bytes:
    captions = [{"caption": [text.encode()]} if has_caption else {} for text in CAPTIONS]
    return b"".join(
        frame_record(encode_example({"frames": content, "label": label, **captions[label]}))
        for content, label in zip(compress_frames(paths, labels), labels.tolist(), strict=True)
    )


def _decode_frames(content: bytes, label: int, image_size: int) -> Uint8Array:
    try:
        raw = decompress(content, image_size**3)
    except ValueError as error:
        raise ValueError(f"frames {error}") from error
    if len(raw) != image_size**3:
        raise ValueError(f"frames of {len(raw)} bytes, expected {image_size**3}")
    frames = np.frombuffer(raw, np.uint8).reshape(1, image_size, image_size, image_size, 1)
    labels = np.array([label])
    paths = paths_from_frames(frames, labels)
    if draw_frames(paths, labels).tobytes() != raw:
        raise ValueError("frames that no path and label draw")
    path: Uint8Array = paths[0]
    return path


def _frames_record_bytes(image_size: int) -> int:
    # Fitted to written data sets, within 10 %. From S = 182 on, zlib's compressor is used.
    if image_size < 182:
        return 85 + image_size**3 // 1032 + image_size**2 // 19 + 5 * image_size // 2
    return 85 + image_size**3 // 300


ENCODINGS = {
    "path": Encoding(
        name="path",
        feature="path",
        tfds_encoding="bytes",
        shape=lambda size: (size,),
        encode=_encode_paths,
        decode=_decode_path,
        record_bytes=lambda size: path_records(size).record_bytes,
        libraries=lambda size: {},
    ),
    "frames": Encoding(
        name="frames",
        feature="frames",
        tfds_encoding="zlib",
        shape=lambda size: (size, size, size, 1),
        encode=_encode_frames,
        decode=_decode_frames,
        record_bytes=_frames_record_bytes,
        libraries=compressing_libraries,
        may_have_caption=True,
    ),
}

# The encoding ``frames`` with captions. Its records are read as those without.
CAPTIONED_FRAMES = replace(
    ENCODINGS["frames"],
    encode=partial(_encode_frames, has_caption=True),
    record_bytes=lambda size: _frames_record_bytes(size) + 41,
)
