"""Clips on which an export is compared with its model: random frames in records of random lengths."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.clips.frame_files import encode_frame
from pipeline.dataset.features import Video
from pipeline.storage.tf_example import encode_example, encode_sequence_example
from trainer.exporting.exportable import NUM_SAMPLES
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.frame_records import FrameRecords
from trainer.input.frame_view import FrameView

_SEED = 0
# Clips are put together from so many frames, so that few are compressed.
_NUM_FRAMES = 64
_JPEG_QUALITY = 90
_BATCH_BYTES = 2**27


@dataclass(frozen=True)
class ClipBatch:
    """Some clips, in the form of each signature.

    Attributes:
        records: as `pipeline.generate` writes them, without what is not read.
        frames: what judging shows of them, uint8 (n, num_frames, H, W, C).
        lengths: how many of these are real, int32 (n,).
    """

    records: list[bytes]
    frames: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int32]


def clip_batches(spec: DatasetSpec, view: FrameView) -> Iterator[ClipBatch]:
    """Draw `NUM_SAMPLES` clips in all, the same ones every time.

    Args:
        spec: how records are laid out, without a target.
        view: what is shown of a clip; it may be longer than that, or shorter.
    """
    random = np.random.Generator(np.random.Philox(_SEED))
    shape, video = spec.frame_shape, spec.features[spec.input]
    # Different in brightness and contrast, so that answers differ.
    lowest, highest = np.sort(random.random((2, _NUM_FRAMES, 1, 1, shape[2])), axis=0)
    frames = lowest + (highest - lowest) * random.random((_NUM_FRAMES, *shape), np.float32)
    stored: Any = (256 * frames).astype(np.uint8)
    if isinstance(video, Video):
        stored = [encode_frame(frame, video.encoding, _JPEG_QUALITY) for frame in stored]
    span = view.num_frames * view.frame_step
    size = max(1, min(NUM_SAMPLES, _BATCH_BYTES // (2 * span * math.prod(shape))))
    for first in range(0, NUM_SAMPLES, size):
        count = min(size, NUM_SAMPLES - first)
        lengths = random.integers(1, 2 * span, count, endpoint=True)
        chosen = [random.integers(0, _NUM_FRAMES, spec.num_frames or length) for length in lengths]
        if isinstance(video, Video):
            clips: list[Any] = [[stored[place] for place in places] for places in chosen]
        else:
            clips = [stored[places] for places in chosen]
        records = [_record(spec, clip) for clip in clips]
        chunk = tf.data.Dataset.from_tensors(tf.constant(records))
        features, _ = next(FrameRecords(spec, view).batches(chunk, count).as_numpy_iterator())
        yield ClipBatch(records, features["frames"], features["length"])


def _record(spec: DatasetSpec, clip: Any) -> bytes:
    if spec.keys:
        return encode_sequence_example({}, {spec.keys[spec.input]: clip})
    return encode_example({spec.input: spec.features[spec.input].encode(clip)})
