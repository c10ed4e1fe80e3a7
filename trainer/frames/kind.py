"""Data sets of frames with a class label, as the trainer treats them; see `trainer.tasks.trainable_kind`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from model import logits_of
from model.frames import ARCHITECTURES, VideoClassifierOptions, build_video_classifier, clip_inputs
from model.frames.encoders import application_names
from pipeline.command_line.errors import RequestError, one_line
from pipeline.dataset.manifest import Manifest
from trainer.evaluation.n_classes.slicings import clip_slicings
from trainer.evaluation.slices import Slicing
from trainer.frames.judge import ClassJudge
from trainer.input.dataset_spec import DatasetSpec
from trainer.input.frame_records import stored_labels
from trainer.input.frame_view import WINDOW, FrameView
from trainer.input.split_files import SplitFiles
from trainer.run.tensorflow_files import file_sha256
from trainer.tasks.classify import CrossEntropy, balanced_weights, is_top
from trainer.tasks.judging import Judge, JudgingRequest
from trainer.tasks.trainable_kind import Networks, TrainableKind
from trainer.training.settings import DESCRIBE, OF_CAPTIONS, OF_LINES, TrainingSettings, refuse

_DEFAULT_ARCHITECTURE = "conv"
_DEFAULT_FRAMES = 16
_MAX_FRAMES = 1024
_COUNTED_AT_ONCE = 4096


class FramesKind(TrainableKind):
    """See `TrainableKind`: windows of frames, N classes."""

    def check_trainable(self, spec: DatasetSpec, data_dir: str) -> None:
        """See `TrainableKind.check_trainable`."""
        where = f"--data_dir {data_dir}: is a data set of {spec.name}"
        check_frames(spec, where)
        if spec.target is None:
            raise RequestError(f"{where} without class labels; models are trained on labelled frames")
        if len(spec.class_names) < 2:
            raise RequestError(f"{where} of a single class, {spec.class_names[0]}; give at least two")

    def settled(self, settings: TrainingSettings, files: SplitFiles) -> tuple[TrainingSettings, FrameView]:
        """See `TrainableKind.settled`."""
        refuse(settings, OF_CAPTIONS, f"is of --task {DESCRIBE}")
        settled = self.settled_frames(replace(settings, task=None), files.spec)
        return settled, self.view(settled)

    def settled_frames(self, settings: TrainingSettings, spec: DatasetSpec) -> TrainingSettings:
        """The settings of frames and their encoder, with their defaults."""
        refuse(settings, OF_LINES, f"is of moving lines, not of {spec.name}")
        fixed = spec.num_frames
        frames = settings.num_frames or min(fixed or _DEFAULT_FRAMES, _DEFAULT_FRAMES)
        if fixed is not None and frames > fixed:
            raise RequestError(f"--num_frames {frames}: the clips have only {fixed} frames")
        if frames > _MAX_FRAMES:
            raise RequestError(f"--num_frames {frames}: give at most {_MAX_FRAMES}")
        if settings.sampling != WINDOW and settings.frame_step > 1:
            raise RequestError(f"--frame_step {settings.frame_step}: is of --sampling window; leave it out")
        height, width, _ = spec.frame_shape
        if (crop := settings.crop_size) is not None and (crop[0] > height or crop[1] > width):
            raise RequestError(f"--crop {settings.crop}: the frames have only {width}x{height} pixels")
        architecture = settings.architecture or _DEFAULT_ARCHITECTURE
        settled = replace(settings, num_frames=frames, architecture=architecture)
        return _with_backbone(settled)

    def view(self, settings: TrainingSettings) -> FrameView:
        """See `TrainableKind.view`."""
        assert settings.num_frames is not None
        return FrameView(
            settings.num_frames,
            settings.sampling,
            settings.frame_step,
            settings.crop_size,
            is_random=True,
            seed=settings.seed,
            flip=settings.flip,
            brightness=settings.brightness,
            contrast=settings.contrast,
        )

    def networks(self, settings: TrainingSettings, files: SplitFiles) -> Networks:
        """See `TrainableKind.networks`."""
        spec, view = files.spec, files.view
        assert view is not None
        assert settings.architecture is not None
        options = VideoClassifierOptions(
            settings.architecture,
            settings.temporal,
            settings.units,
            settings.dtype_policy,
            False if settings.deterministic else None,
            settings.backbone_weights,
            settings.freeze_backbone,
        )
        shape = view.shown_shape(spec.frame_shape)
        with misfits_named(settings, shape):
            classifier = build_video_classifier(shape, len(spec.class_names), options)
        inputs = clip_inputs(view.num_frames, shape)
        weights = None
        if settings.class_weights is not None:
            weights = balanced_weights(_counts(files))
        return Networks(
            classifier,
            inputs,
            logits_of(classifier)(inputs),
            [keras.metrics.MeanMetricWrapper(is_top, name="accuracy")],
            CrossEntropy(weights, settings.label_smoothing),
            "sparse_categorical_crossentropy",
        )

    def described(self, model: keras.Model) -> str:
        """See `TrainableKind.described`."""
        (shape,) = (each.shape[1:] for each in model.inputs if each.name == "frames")
        return f"{shape[0]} frames of {shape[2]}x{shape[1]}x{shape[3]}"

    def check_fits(self, trained_on: Mapping[str, Any], spec: DatasetSpec) -> None:
        """See `TrainableKind.check_fits`."""
        if "frame_shape" not in trained_on:
            raise RequestError("the model was trained on moving lines; name a matching --model_dir")
        for name, found in self.identity(spec).items():
            if trained_on[name] != found:
                told = "frames of shape" if name == "frame_shape" else "the classes"
                raise RequestError(
                    f"the model was trained on {told} {_listed(trained_on[name])}, the data set has"
                    f" {_listed(found)}; name a matching --model_dir or --data_dir"
                )

    def slicings(self, settings: TrainingSettings, spec: DatasetSpec) -> dict[str, Slicing]:
        """See `TrainableKind.slicings`."""
        assert settings.num_frames is not None
        return clip_slicings(spec.class_names, settings.num_frames)

    def judge(
        self,
        settings: TrainingSettings,
        files: SplitFiles,
        request: JudgingRequest,
        slicings: Mapping[str, Slicing],
    ) -> Judge:
        """See `TrainableKind.judge`."""
        return ClassJudge(self.view(settings), files, request, slicings)

    def same_sample(self, trained_on: Mapping[str, Any], manifest: Manifest, split: str) -> bool:
        """See `TrainableKind.same_sample`: only the content tells."""
        return False

    def identity(self, spec: DatasetSpec) -> dict[str, Any]:
        """See `TrainableKind.identity`."""
        return {"frame_shape": list(spec.frame_shape), "class_names": list(spec.class_names)}

    def config(self, manifest: Manifest) -> dict[str, Any]:
        """See `TrainableKind.config`. From features and keys, exports read records without the data set."""
        spec = DatasetSpec.of(manifest)
        return {
            "name": manifest.dataset,
            "kind": manifest.kind,
            **self.identity(spec),
            "features": {name: feature.to_json() for name, feature in spec.features.items()},
            "keys": dict(spec.keys),
            "settings": dict(manifest.settings),
        }


def check_frames(spec: DatasetSpec, where: str) -> None:
    """Check that the input of a data set is frames.

    Raises:
        RequestError: if not; it begins with ``where``.
    """
    if not spec.has_frames:
        raise RequestError(
            f"{where}, whose input {spec.input} is no frames; models are trained on a video, or on uint8"
            " (T, H, W, C) with C = 1 or 3"
        )


@contextmanager
def misfits_named(settings: TrainingSettings, shape: tuple[int, int, int]) -> Iterator[None]:
    """Turn what Keras raises for an encoder that cannot have such frames, or weights, into one line.

    Raises:
        RequestError: with the flags.
    """
    try:
        yield
    except Exception as error:  # Keras raises errors of many kinds for shapes and files that do not fit.
        flags = f"--architecture {settings.architecture}" + (
            f" --backbone_weights {settings.backbone_weights}" if settings.backbone_weights else ""
        )
        raise RequestError(
            f"{flags}: cannot be made for frames of {shape[1]}x{shape[0]} pixels ({one_line(error)[:200]})"
        ) from error


def _with_backbone(settings: TrainingSettings) -> TrainingSettings:
    """Check the encoder's settings, and add the digest of its weights."""
    architecture, weights = settings.architecture, settings.backbone_weights
    if architecture not in (*ARCHITECTURES, *application_names()):
        known = ", ".join(ARCHITECTURES)
        raise RequestError(
            f"--architecture {architecture}: give one of {known}, or a name of keras.applications, as in"
            " MobileNetV2"
        )
    if architecture in ARCHITECTURES and weights is not None:
        raise RequestError(f"--backbone_weights: is of keras.applications, not of {architecture}")
    if architecture in ARCHITECTURES and settings.freeze_backbone and settings.init_from is None:
        raise RequestError(f"--freeze_backbone: {architecture} has no weights to keep; leave it out")
    if weights is None:
        return settings
    if not tf.io.gfile.exists(weights) or tf.io.gfile.isdir(weights):
        raise RequestError(f"--backbone_weights {weights}: no such file")
    return replace(settings, backbone_sha256=file_sha256(weights))


def _counts(files: SplitFiles) -> list[int]:
    """Numbers of examples by class, which a pass over the split counts.

    Raises:
        RequestError: if a class has none.
    """
    names = files.spec.class_names
    counts = np.zeros(len(names), np.int64)
    for labels in stored_labels(files.spec, files.paths).batch(_COUNTED_AT_ONCE).as_numpy_iterator():
        counts += np.bincount(labels, minlength=len(names))
    if not counts.all():
        missing = names[int(counts.argmin())]
        raise RequestError(f"--class_weights balanced: the training split has no example of {missing}")
    return [int(count) for count in counts]


def _listed(values: Any) -> str:
    text = ", ".join(map(str, values))
    return text if len(text) <= 100 else f"{text[:100]}..."
