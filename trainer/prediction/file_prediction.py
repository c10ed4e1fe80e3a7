"""Predicts all sequences of files, in memory independent of their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from model.moving_line import with_sequence_inputs
from pipeline.command_line.progress import Progress
from trainer.distributed.device_errors import device_errors_explained
from trainer.prediction.answers import Answer
from trainer.prediction.stored_sequences import SequenceFile, StoredSequence
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import (
    TrainedModel,
    check_finite,
    compile_for_inference,
    load_trained_model,
)

_Scorer = Callable[[list[StoredSequence]], npt.NDArray[np.float32]]


def predict_files(
    files: Sequence[SequenceFile], model_dir: str, batch_size: int, *, show_progress: bool
) -> Iterator[list[Answer]]:
    """Load the model, check that all files fit it, and predict them while the result is iterated.

    Frames of arrays and GIFs are shown to the model unchanged. Sequences of records are shown as in training
    (`TrainedModel.observation`), with their index in the file as their number.

    Args:
        files: the files, in the order of the answers.
        model_dir: the run directory of a finished training.
        batch_size: largest number of sequences in a batch; a batch also ends where the number of frames
            changes.
        show_progress: show progress on stderr, if the number of sequences is known for all files.

    Returns:
        Batches of answers, one answer per sequence. Iteration raises RequestError if a file is damaged or has
        invalid sequences, and WorkError if the device fails or answers are not finite.

    Raises:
        RequestError: if there is no model, or the frames of a file have another size.
    """
    trained = load_trained_model(RunDirectory(model_dir))
    for file in files:
        file.check(trained.image_size)
    stored = chain.from_iterable(file.sequences(trained.image_size) for file in files)
    answers = _answers(stored, _scorer(trained), batch_size)
    counts = [file.num_sequences for file in files]
    total = sum(count for count in counts if count is not None)
    return _counted(answers, total) if show_progress and None not in counts else answers


def _answers(stored: Iterable[StoredSequence], score: _Scorer, batch_size: int) -> Iterator[list[Answer]]:
    for _, alike in groupby(stored, lambda sequence: (sequence.num_frames, set(sequence.features))):
        while batch := list(islice(alike, batch_size)):
            right = score(batch)
            check_finite(right)
            yield [
                # The shortest decimal number of the same float32.
                Answer(sequence.file, sequence.index, sequence.num_frames, float(str(value)), sequence.label)
                for sequence, value in zip(batch, right, strict=True)
            ]


def _scorer(trained: TrainedModel) -> _Scorer:
    """A function from sequences of equal shape and features to probabilities of "right", float32 (n,)."""
    of_frames = compile_for_inference(trained.classifier)
    of_paths = compile_for_inference(
        with_sequence_inputs(trained.classifier, trained.image_size, "path", trained.observation)
    )

    @device_errors_explained()
    def score(batch: list[StoredSequence]) -> npt.NDArray[np.float32]:
        features: dict[str, npt.NDArray[Any]] = {
            name: np.stack([sequence.features[name] for sequence in batch]) for name in batch[0].features
        }
        if "frames" in features:
            return np.asarray(of_frames.predict_on_batch(features["frames"]), np.float32)[:, 0]
        if trained.observation.is_random:
            features["number"] = np.array([sequence.index % 2**32 for sequence in batch], np.uint32)
        return np.asarray(of_paths.predict_on_batch(features), np.float32)[:, 0]

    return score


def _counted(answers: Iterator[list[Answer]], total: int) -> Iterator[list[Answer]]:
    done = 0
    with Progress("predicting", total) as progress:
        for batch in answers:
            yield batch
            done += len(batch)
            progress.set(done)
