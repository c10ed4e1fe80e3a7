"""Moving lines on which an export is compared with its model."""

from __future__ import annotations

import io
from dataclasses import dataclass

import keras
import numpy as np

from model import Observation
from model.moving_line import observed_frames
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import Int64Array, Uint8Array, sample_sequences
from pipeline.storage.tfrecord import read_records
from trainer.exporting.exportable import NUM_SAMPLES
from trainer.run.trained_model import TrainedModel

# A split of its own, so that no training has seen these sequences.
_SPLIT, _SEED = "export", 0


@dataclass(frozen=True)
class Samples:
    """Sequences in the form of each signature.

    Attributes:
        paths: uint8 (n, S).
        labels: int64 (n,), 0 = left, 1 = right.
        frames: the frames that the paths draw, uint8 (n, S, S, S, 1).
    """

    paths: Uint8Array
    labels: Int64Array
    frames: Uint8Array

    @classmethod
    def of(cls, trained: TrainedModel) -> Samples:
        """Draw `NUM_SAMPLES` sequences, as lines or dots as in the model's training."""
        size = trained.image_size
        paths, labels = sample_sequences(_SEED, _SPLIT, size, 0, NUM_SAMPLES)
        inputs, frames = observed_frames(size, "path", Observation(trained.observation.line))
        drawn = keras.Model(inputs, frames)({"path": paths, "label": labels.astype(np.uint8)})
        return cls(paths, labels, np.asarray(keras.ops.convert_to_numpy(drawn)))

    def examples(self) -> list[bytes]:
        """Serialized ``tf.train.Example`` messages of the paths."""
        return list(read_records(io.BytesIO(ENCODINGS["path"].encode(self.paths, self.labels))))
