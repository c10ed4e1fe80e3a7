"""How fast captions are written on a CPU: a batch at once in the graph, beside the loop of Keras' example.

A captioner is trained for some steps on the digits of `make demo-describe`, until it writes sentences that
end; how good they are does not matter. Then, in one process, in turn, on the same decoded clips in memory:
the writer that `trainer.evaluate` and `trainer.predict` call, greedily and with a beam; and the loop, with
the same weights, on some of the clips. Both must write the same, up to words that are as probable as each
other: where two captions part, the loop's network may find its own word more probable by `_TIE` only. A few
clips of each side come first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.baselines.caption_loop import decoder_model, encoder_model, next_token, write_caption
from benchmarks.clip_data import digits_jobs
from benchmarks.clip_runs import trained
from benchmarks.jobs import seconds_of
from benchmarks.rows import Row, Target
from benchmarks.trainers import train_files
from model.captions import decoder_of
from pipeline.command_line.errors import WorkError
from trainer.captions.captioning import CaptionModels, Decoding
from trainer.distributed.devices import choose_device
from trainer.evaluation.scoring import answers_in_order
from trainer.input.batches import sequential_batches
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import TrainedModel, load_trained_model
from trainer.tasks.trainable_kind import trained_kind

_FRAMES, _BATCH_SIZE, _BEAM = 8, 64, 4
# Clips, of which four fifths are described; steps of the training; clips that the loop describes; rounds.
_FULL, _QUICK = (640, 120, 10, 3), (240, 60, 2, 1)
_TIE = 1e-3
_SETTINGS = {
    **{"num_frames": _FRAMES, "sampling": "segments", "max_words": 8, "units": 128},
    **{"batch_size": 32, "learning_rate": 0.002, "epochs": 1, "device": "cpu"},
}


def measure(directory: Path, quick: bool) -> list[Row]:
    """Rows beside the loop, and of a beam.

    Raises:
        WorkError: if the two sides do not write the same captions.
    """
    num_clips, steps, num_looped, num_rounds = _QUICK if quick else _FULL
    data, run = _trained(directory, num_clips, steps)
    choose_device("cpu")
    captioner = load_trained_model(run)
    view = trained_kind(run).view(captioner.settings)
    assert view is not None
    files = train_files(str(data)).shown(view.judged())
    batches = [
        {name: features[name] for name in ("frames", "length")}
        for features, _ in sequential_batches(files, batch_size=_BATCH_SIZE).as_numpy_iterator()
    ]
    frames = np.concatenate([batch["frames"] for batch in batches])[:num_looped]
    networks = _in_plain_keras(captioner, frames.shape[1:])

    def by_writer(beam: int) -> Callable[[], list[list[int]]]:
        models = CaptionModels(captioner, _FRAMES, Decoding(beam))

        def write() -> list[list[int]]:
            answers = answers_in_order(batches, dict, models.writer, _BATCH_SIZE)
            return [tokens for _, written in answers for tokens in written["tokens"].tolist()]

        return write

    def by_loop() -> list[list[int]]:
        return [write_caption(*networks, clip) for clip in frames]

    sides = (by_writer(1), by_writer(_BEAM), by_loop)
    ours, _, others = (side() for side in sides)
    _check(ours, others, networks, frames)
    rounds = [[_rate(side) for side in sides] for _ in range(num_rounds)]
    what = f"describe clips of {_FRAMES} frames, {frames.shape[3]}x{frames.shape[2]}, CPU"
    return [
        Row(
            "describe-loop",
            f"{what}, greedily, clips/s",
            "the loop of Keras' image captioning: a clip and a word at a time",
            tuple((each[0], each[2]) for each in rounds),
            digits=1,
            target=Target(50),
        ),
        Row(
            "describe-beam",
            f"… with a beam of {_BEAM}, clips/s",
            "itself, greedily",
            tuple((each[1], each[0]) for each in rounds),
        ),
    ]


def _trained(directory: Path, num_clips: int, steps: int) -> tuple[Path, RunDirectory]:
    """A data set of clips with captions and a run of it, made or found whole."""
    data, jobs = digits_jobs(directory / "captioned", num_clips, 0, 1, "--captions")
    for job in jobs:
        seconds_of(job)
    run = data.with_name(f"{data.name}-run-{steps}")
    trained(data, run, "--task", "describe", steps_per_epoch=steps, **_SETTINGS)
    return data, RunDirectory(str(run))


def _in_plain_keras(captioner: TrainedModel, shape: tuple[int, ...]) -> tuple[keras.Model, keras.Model]:
    """The loop's encoder and decoder, with our weights."""
    network, decoder = captioner.classifier, decoder_of(captioner.classifier)
    encoder = encoder_model(shape, decoder.units)
    parts = (network.get_layer(name) for name in ("encoder", "features", "lstm"))
    encoder.set_weights([weight for part in parts for weight in part.get_weights()])
    writer = decoder_model(len(decoder.words), decoder.units, captioner.settings.max_words)
    writer.get_layer("embedding").set_weights([keras.ops.convert_to_numpy(decoder.embedding)])
    for layer in (decoder.hidden, decoder.carry, decoder.lstm, decoder.seen, decoder.output_words):
        writer.get_layer(layer.name).set_weights(layer.get_weights())
    return encoder, writer


def _check(
    ours: Sequence[list[int]],
    others: Sequence[list[int]],
    networks: tuple[keras.Model, keras.Model],
    frames: np.ndarray[Any, np.dtype[np.uint8]],
) -> None:
    """See that the loop wrote what we did; see the module for words that are as probable as each other."""
    encoder, decoder = networks
    for own, other, clip in zip(ours, others, frames, strict=False):
        place = next((place for place, token in enumerate(other) if own[place] != token), None)
        if place is not None:
            probabilities = next_token(decoder, encoder(clip[None]), other[:place])
            if (gap := float(probabilities[other[place]] - probabilities[own[place]])) > _TIE:
                raise WorkError(
                    f"the loop writes {other}, not {own}: token {place} is more probable by {gap}"
                )


def _rate(write: Callable[[], list[list[int]]]) -> float:
    start = time.perf_counter()
    return len(write()) / (time.perf_counter() - start)
