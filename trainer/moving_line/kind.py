"""Moving lines, as the trainer treats them; see `trainer.tasks.trainable_kind`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from model import Observation
from model.moving_line import DrawLine, LineClassifier, observed_frames, sequence_answers
from pipeline.dataset.manifest import Manifest
from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.lines import Uint8Array, draw_frames, paths_from_frames
from trainer.evaluation.slices import Slicing
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.records import Records
from trainer.moving_line.records import batch_encoding, image_size_of, line_records
from trainer.moving_line.slicings import LINE_SLICINGS
from trainer.tasks.trainable_kind import Features, Labels, TrainableKind


class MovingLineKind(TrainableKind):
    """See `TrainableKind`; the trace of a line is its path, (S,)."""

    palette = MovingLine.palette

    def records(self, spec: DatasetSpec) -> Records:
        """See `Kind.records`: paths in blocks, frames one by one."""
        return line_records(spec)

    def image_size(self, spec: DatasetSpec) -> int:
        """See `TrainableKind.image_size`."""
        return image_size_of(spec)

    def stored_answers(
        self, classifier: keras.Model, spec: DatasetSpec, observation: Observation
    ) -> tuple[dict[str, Any], Any]:
        """See `TrainableKind.stored_answers`."""
        return sequence_answers(classifier, image_size_of(spec), batch_encoding(spec), observation)

    def observed_frames(self, spec: DatasetSpec, observation: Observation) -> tuple[dict[str, Any], Any]:
        """See `TrainableKind.observed_frames`."""
        return observed_frames(image_size_of(spec), batch_encoding(spec), observation)

    def described(self, model: keras.Model) -> str:
        """See `TrainableKind.described`."""
        kinds = set(map(type, model.layers))
        return "paths" if LineClassifier in kinds else "drawn frames" if DrawLine in kinds else "frames"

    def trace_shape(self, spec: DatasetSpec) -> tuple[int, ...]:
        """See `TrainableKind.trace_shape`."""
        return (image_size_of(spec),)

    def traces(self, features: Features, labels: Labels) -> Uint8Array:
        """See `TrainableKind.traces`."""
        return features["path"] if "path" in features else paths_from_frames(features["frames"], labels)

    def frames(self, traces: Uint8Array, labels: Labels) -> Uint8Array:
        """See `TrainableKind.frames`."""
        return draw_frames(traces, labels)

    def slicings(self) -> dict[str, Slicing]:
        """See `TrainableKind.slicings`."""
        return LINE_SLICINGS

    def fresh(
        self, image_size: int, seed: int, split: str, first: int, count: int
    ) -> tuple[DatasetSpec, Features, Labels]:
        """See `TrainableKind.fresh`: paths."""
        definition = MovingLine(seed=seed, image_size=image_size)
        paths, labels = definition.sample(split, first, count)
        return DatasetSpec(definition.name, definition.features, {}), {"path": paths, "label": labels}, labels

    def same_sample(self, trained_on: Mapping[str, Any], manifest: Manifest, split: str) -> bool:
        """See `TrainableKind.same_sample`: a seed gives the same lines in any encoding and number."""
        return split == "train" and all(
            trained_on[name] == manifest.settings[name] for name in ("seed", "image_size")
        )

    def config(self, manifest: Manifest) -> dict[str, Any]:
        """See `TrainableKind.config`."""
        return {name: manifest.settings[name] for name in ("seed", "image_size", "encoding")}
