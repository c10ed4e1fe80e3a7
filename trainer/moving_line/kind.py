"""Moving lines, as the trainer treats them; see `trainer.tasks.trainable_kind`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from model import ARCHITECTURES, Observation, build_classifier, logits_of
from model.moving_line import DrawLine, LineClassifier, observed_frames, sequence_answers
from pipeline.command_line.errors import RequestError
from pipeline.dataset.manifest import Manifest
from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.lines import Uint8Array, draw_frames, paths_from_frames
from trainer.evaluation.slices import Slicing
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.frame_view import FrameView
from trainer.input.records import Records
from trainer.input.split_files import SplitFiles
from trainer.moving_line.judge import LineJudge
from trainer.moving_line.records import batch_encoding, image_size_of, line_records
from trainer.moving_line.slicings import LINE_SLICINGS
from trainer.run.trained_model import check_image_size
from trainer.tasks.judging import Judge, JudgingRequest
from trainer.tasks.trainable_kind import Features, Labels, Networks, TracedKind
from trainer.training.settings import OF_CAPTIONS, OF_FRAMES, TrainingSettings, refuse


class MovingLineKind(TracedKind):
    """See `TrainableKind`; the trace of a line is its path, (S,)."""

    palette = MovingLine.palette
    white = 1

    def records(self, spec: DatasetSpec) -> Records:
        """See `Kind.records`: paths in blocks, frames one by one."""
        return line_records(spec)

    def check_trainable(self, spec: DatasetSpec, data_dir: str) -> None:
        """See `TrainableKind.check_trainable`: they can."""

    def settled(
        self, settings: TrainingSettings, files: SplitFiles
    ) -> tuple[TrainingSettings, FrameView | None]:
        """See `TrainableKind.settled`."""
        refuse(settings, OF_CAPTIONS, "is of --task describe")
        refuse(settings, OF_FRAMES, "is not of moving lines")
        size = image_size_of(files.spec)
        if settings.window is not None and settings.window > size:
            raise RequestError(f"--window {settings.window}: the sequences have only {size} frames")
        architecture = settings.architecture or next(iter(ARCHITECTURES))
        if architecture not in ARCHITECTURES:
            raise RequestError(f"--architecture {architecture}: give one of {', '.join(ARCHITECTURES)}")
        return replace(settings, architecture=architecture), None

    def networks(self, settings: TrainingSettings, files: SplitFiles) -> Networks:
        """See `TrainableKind.networks`."""
        assert settings.architecture is not None
        classifier = build_classifier(
            image_size_of(files.spec),
            settings.architecture,
            precision=settings.dtype_policy,
            use_cudnn=False if settings.deterministic else None,
        )
        inputs, logits = self.stored_answers(logits_of(classifier), files.spec, settings.observation)
        return Networks(
            classifier,
            inputs,
            logits,
            [keras.metrics.MeanMetricWrapper(is_correct, name="accuracy")],
            keras.losses.BinaryCrossentropy(from_logits=True),
            "binary_crossentropy",
        )

    def stored_answers(
        self, classifier: keras.Model, spec: DatasetSpec, observation: Observation
    ) -> tuple[dict[str, Any], Any]:
        """Symbolic inputs as batches hold them, and what a classifier of frames answers, with its weights."""
        return sequence_answers(classifier, image_size_of(spec), batch_encoding(spec), observation)

    def observed_frames(self, spec: DatasetSpec, observation: Observation) -> tuple[dict[str, Any], Any]:
        """Symbolic inputs as batches hold them, and the frames that a classifier sees of them."""
        return observed_frames(image_size_of(spec), batch_encoding(spec), observation)

    def described(self, model: keras.Model) -> str:
        """See `TrainableKind.described`."""
        kinds = set(map(type, model.layers))
        return "paths" if LineClassifier in kinds else "drawn frames" if DrawLine in kinds else "frames"

    def check_fits(self, trained_on: Mapping[str, Any], spec: DatasetSpec) -> None:
        """See `TrainableKind.check_fits`."""
        if "image_size" not in trained_on:
            raise RequestError(
                "the model was trained on another kind of data set; name a matching --model_dir"
            )
        check_image_size(trained_on["image_size"], image_size_of(spec))

    def trace_shape(self, spec: DatasetSpec) -> tuple[int, ...]:
        """See `TracedKind.trace_shape`."""
        return (image_size_of(spec),)

    def traces(self, features: Features, labels: Labels) -> Uint8Array:
        """See `TracedKind.traces`."""
        return features["path"] if "path" in features else paths_from_frames(features["frames"], labels)

    def frames(self, traces: Uint8Array, labels: Labels) -> Uint8Array:
        """See `TracedKind.frames`."""
        return draw_frames(traces, labels)

    def slicings(self, settings: TrainingSettings, spec: DatasetSpec) -> dict[str, Slicing]:
        """See `TrainableKind.slicings`."""
        return LINE_SLICINGS

    def judge(
        self,
        settings: TrainingSettings,
        files: SplitFiles,
        request: JudgingRequest,
        slicings: Mapping[str, Slicing],
    ) -> Judge:
        """See `TrainableKind.judge`."""
        return LineJudge(settings.observation, files, request, slicings)

    def fresh(
        self, image_size: int, seed: int, split: str, first: int, count: int
    ) -> tuple[DatasetSpec, Features, Labels]:
        """New examples from a seed: paths.

        Args:
            image_size: S.
            seed: decides them.
            split: other names give other examples.
            first: number of the first one.
            count: how many.

        Returns:
            A data set that would hold them, and their features and labels, (n,).
        """
        definition = MovingLine(seed=seed, image_size=image_size)
        paths, labels = definition.sample(split, first, count)
        return DatasetSpec(definition.name, definition.features, {}), {"path": paths, "label": labels}, labels

    def same_sample(self, trained_on: Mapping[str, Any], manifest: Manifest, split: str) -> bool:
        """See `TrainableKind.same_sample`: a seed gives the same lines in any encoding and number."""
        return split == "train" and all(
            trained_on.get(name) == manifest.settings[name] for name in ("seed", "image_size")
        )

    def identity(self, spec: DatasetSpec) -> dict[str, Any]:
        """See `TrainableKind.identity`."""
        return {"image_size": image_size_of(spec)}

    def config(self, manifest: Manifest) -> dict[str, Any]:
        """See `TrainableKind.config`."""
        return {name: manifest.settings[name] for name in ("seed", "image_size", "encoding")}


def is_correct(labels: Any, logits: Any) -> Any:
    """Whether the more probable class is the label.

    Args:
        labels: 0 or 1, any shape and dtype.
        logits: of the class 1, in the same shape.

    Returns:
        bool, in the same shape.
    """
    return ops.equal(ops.cast(labels, "bool"), logits > 0)


def verdict(class_names: Sequence[str], label: int, probability: float) -> str:
    """A line about an answer: the class, and the predicted class with its probability.

    Args:
        class_names: names of the two classes.
        label: 0 or 1.
        probability: of class 1.
    """
    predicted = int(probability > 0.5)
    expected, name = (class_names[each].capitalize() for each in (label, predicted))
    certainty = probability if predicted else 1 - probability
    return f"Expected: {expected}, Predicted: {name} (probability {certainty:.4f})"
