"""Moving lines, as the trainer treats them; see `trainer.kinds` and `trainer.tasks.learned_kind`."""

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
from trainer.moving_line.records import image_size_of, line_records
from trainer.moving_line.slicings import LINE_SLICINGS
from trainer.tasks.learned_kind import Features, Labels, LearnedKind


class MovingLineKind(LearnedKind):
    """See `LearnedKind`; the trace of a line is its path, (S,)."""

    palette = MovingLine.palette

    def records(self, spec: DatasetSpec) -> Records:
        """See `Kind.records`: paths in blocks, frames one by one."""
        return line_records(spec)

    def image_size(self, spec: DatasetSpec) -> int:
        """See `LearnedKind.image_size`."""
        return image_size_of(spec)

    def stored_answers(
        self, classifier: keras.Model, spec: DatasetSpec, observation: Observation
    ) -> tuple[dict[str, Any], Any]:
        """See `LearnedKind.stored_answers`."""
        return sequence_answers(classifier, image_size_of(spec), spec.input, observation)

    def observed_frames(self, spec: DatasetSpec, observation: Observation) -> tuple[dict[str, Any], Any]:
        """See `LearnedKind.observed_frames`."""
        return observed_frames(image_size_of(spec), spec.input, observation)

    def described(self, model: keras.Model) -> str:
        """See `LearnedKind.described`."""
        kinds = set(map(type, model.layers))
        return "paths" if LineClassifier in kinds else "drawn frames" if DrawLine in kinds else "frames"

    def trace_shape(self, spec: DatasetSpec) -> tuple[int, ...]:
        """See `LearnedKind.trace_shape`."""
        return (image_size_of(spec),)

    def traces(self, features: Features, labels: Labels) -> Uint8Array:
        """See `LearnedKind.traces`."""
        return features["path"] if "path" in features else paths_from_frames(features["frames"], labels)

    def frames(self, traces: Uint8Array, labels: Labels) -> Uint8Array:
        """See `LearnedKind.frames`."""
        return draw_frames(traces, labels)

    def slicings(self) -> dict[str, Slicing]:
        """See `LearnedKind.slicings`."""
        return LINE_SLICINGS

    def fresh(
        self, image_size: int, seed: int, split: str, first: int, count: int
    ) -> tuple[DatasetSpec, Features, Labels]:
        """See `LearnedKind.fresh`: paths."""
        definition = MovingLine(seed=seed, image_size=image_size)
        paths, labels = definition.sample(split, first, count)
        return DatasetSpec(definition.name, definition.features, {}), {"path": paths, "label": labels}, labels

    def same_sample(self, trained_on: Mapping[str, Any], manifest: Manifest, split: str) -> bool:
        """See `LearnedKind.same_sample`: a seed gives the same lines in any encoding and number."""
        return split == "train" and all(
            trained_on[name] == manifest.settings[name] for name in ("seed", "image_size")
        )

    def config(self, manifest: Manifest) -> dict[str, Any]:
        """See `LearnedKind.config`."""
        return {name: manifest.settings[name] for name in ("seed", "image_size", "encoding")}
