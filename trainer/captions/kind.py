"""Data sets of frames with captions, as the trainer describes them; see `trainer.tasks.trainable_kind`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras

from model import logits_of
from model.captions import SPECIAL, CaptionerOptions, build_captioner
from model.frames import clip_inputs
from pipeline.command_line.errors import RequestError
from pipeline.dataset.manifest import Manifest
from trainer.captions.caption_counts import CaptionCounts, caption_counts
from trainer.captions.judge import CaptionJudge
from trainer.command_line.startup import reset_keras_settings
from trainer.dataset_kinds import SPECIAL as SPECIAL_KINDS
from trainer.dataset_kinds import kind_of
from trainer.evaluation.captions.slicings import caption_slicings
from trainer.evaluation.slices import Slicing
from trainer.frames.kind import FramesKind, check_frames, misfits_named
from trainer.input.dataset_spec import CAPTION, DatasetSpec
from trainer.input.frame_view import FrameView
from trainer.input.split_files import SplitFiles
from trainer.run.run_directory import RunDirectory
from trainer.run.tensorflow_files import file_sha256, save_json
from trainer.run.trained_model import load_trained_model
from trainer.tasks.describe import MeanOverTokens, Perplexity, TokenCrossEntropy, is_top_token
from trainer.tasks.judging import Judge, JudgingRequest
from trainer.tasks.trainable_kind import Networks, TrainableKind
from trainer.training.settings import DESCRIBE, TrainingSettings, refuse

_OF_CLASSES = ("temporal", "class_weights", "label_smoothing")
_MAX_WORDS = 200


class CaptionsKind(FramesKind):
    """See `TrainableKind`: windows of frames, described in words."""

    def check_trainable(self, spec: DatasetSpec, data_dir: str) -> None:
        """See `TrainableKind.check_trainable`."""
        where = f"--data_dir {data_dir}: is a data set of {spec.name}"
        check_frames(spec, where)
        if not spec.has_captions:
            raise RequestError(
                f"{where} without a text named {CAPTION}; models learn to describe from captions"
            )

    def settled(self, settings: TrainingSettings, files: SplitFiles) -> tuple[TrainingSettings, FrameView]:
        """See `TrainableKind.settled`. The vocabulary is that of the training split."""
        refuse(settings, _OF_CLASSES, f"is of classes, not of --task {DESCRIBE}")
        if settings.max_words > _MAX_WORDS:
            raise RequestError(f"--max_words {settings.max_words}: give at most {_MAX_WORDS}")
        settings = self.settled_frames(replace(settings, task=DESCRIBE), files.spec)
        if settings.init_from is not None:
            settings = replace(settings, init_from_sha256=_digest(settings.init_from))
        counts = _counts(files, "training")
        vocabulary = counts.vocabulary(settings.min_word_count, settings.max_words)
        if len(vocabulary.words) == len(SPECIAL):
            raise RequestError(
                f"--min_word_count {settings.min_word_count}: no word of the training split is so frequent"
            )
        mean = counts.mean_tokens(settings.max_words)
        view = replace(self.view(settings), vocabulary=vocabulary, mean_tokens=mean)
        return replace(settings, vocabulary_sha256=vocabulary.sha256), view

    def check_validation(self, files: SplitFiles) -> None:
        """See `TrainableKind.check_validation`: every clip needs a caption."""
        _counts(files, "validation")

    def networks(self, settings: TrainingSettings, files: SplitFiles) -> Networks:
        """See `TrainableKind.networks`."""
        view = files.view
        assert view is not None
        assert view.vocabulary is not None
        assert settings.architecture is not None
        options = CaptionerOptions(
            settings.architecture,
            settings.units,
            settings.dtype_policy,
            False if settings.deterministic else None,
            settings.backbone_weights,
            settings.freeze_backbone,
            settings.attention,
            settings.tie_embeddings,
            kind_of(files.spec.name).white,
        )
        shape = view.shown_shape(files.spec.frame_shape)
        with misfits_named(settings, shape):
            captioner = build_captioner(shape, view.vocabulary.words, options)
        if settings.init_from is not None:
            _take_encoder(captioner, settings.init_from)
            # Loading has reset it.
            reset_keras_settings(tf32=settings.precision != "float32")
        inputs = clip_inputs(view.num_frames, shape)
        inputs["words"] = keras.Input((view.vocabulary.max_words + 1,), dtype="int32", name="words")
        return Networks(
            captioner,
            inputs,
            logits_of(captioner)(inputs),
            [MeanOverTokens(is_top_token, "accuracy"), Perplexity()],
            TokenCrossEntropy(view.mean_tokens),
            "sparse_categorical_crossentropy",
        )

    def described(self, model: keras.Model) -> str:
        """See `TrainableKind.described`."""
        num_words = model.output_shape[-1] - len(SPECIAL)
        return f"{super().described(model)}, writes {num_words:,} different words"

    def slicings(self, settings: TrainingSettings, spec: DatasetSpec) -> dict[str, Slicing]:
        """See `TrainableKind.slicings`."""
        assert settings.num_frames is not None
        return caption_slicings(spec.class_names, settings.num_frames, settings.max_words)

    def judge(
        self,
        settings: TrainingSettings,
        files: SplitFiles,
        request: JudgingRequest,
        slicings: Mapping[str, Slicing],
    ) -> Judge:
        """See `TrainableKind.judge`: every clip needs a caption."""
        _counts(files, request.split)
        return CaptionJudge(self.view(settings), settings.max_words, files, request, slicings)

    def same_sample(self, trained_on: Mapping[str, Any], manifest: Manifest, split: str) -> bool:
        """See `TrainableKind.same_sample`: as where the data set is classified."""
        if trained_on["name"] != manifest.dataset or manifest.dataset not in SPECIAL_KINDS:
            return False
        special = kind_of(manifest.dataset)
        assert isinstance(special, TrainableKind)
        return special.same_sample(trained_on["settings"], manifest, split)

    def identity(self, spec: DatasetSpec) -> dict[str, Any]:
        """See `TrainableKind.identity`."""
        return {"frame_shape": list(spec.frame_shape)}

    def write_files(self, run: RunDirectory, view: FrameView | None) -> None:
        """See `TrainableKind.write_files`: the vocabulary."""
        assert view is not None
        assert view.vocabulary is not None
        words = list(view.vocabulary.words)
        save_json(run.vocabulary_path, {"words": words, "sha256": view.vocabulary.sha256})


def _counts(files: SplitFiles, name: str) -> CaptionCounts:
    """Count the captions of a split.

    Raises:
        RequestError: if a clip has none.
    """
    counts = caption_counts(files.spec, files.paths)
    if counts.num_empty:
        raise RequestError(
            f"{counts.num_empty} of {counts.num_clips} clips of the {name} split have no caption;"
            " generate a data set of clips that have some"
        )
    return counts


def _digest(run: str) -> str:
    try:
        return file_sha256(RunDirectory(run).model_path)
    except Exception as error:
        raise RequestError(f"--init_from {run}: has no model.keras; name a finished training") from error


def _take_encoder(captioner: keras.Model, run: str) -> None:
    """Give a captioner the encoder's weights of a run.

    Raises:
        RequestError: if it has no such encoder.
    """
    source = load_trained_model(RunDirectory(run)).classifier
    taken = {layer.name: layer for layer in source.layers}.get("encoder")
    encoder = captioner.get_layer("encoder")
    if taken is None or [weight.shape for weight in taken.weights] != [
        weight.shape for weight in encoder.weights
    ]:
        raise RequestError(
            f"--init_from {run}: its encoder is not of this --architecture and number of channels"
        )
    encoder.set_weights(taken.get_weights())
