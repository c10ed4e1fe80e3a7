"""Where the time goes when sequences are judged, its compilation not counted."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks.breakdowns import Breakdown
from benchmarks.data import data_set_to_judge, run_to_judge
from benchmarks.limits import Limits, seconds_a_call
from benchmarks.step_needs import Network, forward_operations
from model import answers_by_frame
from model.moving_line import with_sequence_inputs
from trainer.evaluation.evidence import Evidence
from trainer.evaluation.scoring import Scorer
from trainer.input.batches import sequential_batches
from trainer.input.split_files import read_manifest, split_files
from trainer.moving_line.records import image_size_of
from trainer.moving_line.slicings import LINE_SLICINGS
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model

_BATCH_SIZE = 64


def measure(directory: Path, limits: Limits, num_judged: int) -> Breakdown:
    """Each part by itself; then the evaluator's scoring of the split."""
    data = str(data_set_to_judge(directory, num_judged))
    trained = load_trained_model(RunDirectory(str(run_to_judge(directory, Path(data)))))
    files = split_files(data, read_manifest(data), "test")
    image_size = image_size_of(files.spec)
    model = with_sequence_inputs(
        answers_by_frame(trained.classifier), image_size, files.spec.input, trained.observation
    )
    model.compile(jit_compile=False)
    batches = iter(sequential_batches(files, batch_size=_BATCH_SIZE).as_numpy_iterator())
    features, expected = next(batches)  # Which builds what is built once.
    start = time.perf_counter()
    count_read = sum(len(each) for _, each in batches)
    reading = (time.perf_counter() - start) / count_read
    answers = model.predict_on_batch(features)[:, :, 0]
    labels = expected[:, 0].astype(np.int64)

    def count() -> None:
        evidence = Evidence(_BATCH_SIZE, answers.shape[1], files.spec, LINE_SLICINGS)
        evidence.add(np.arange(_BATCH_SIZE), answers, labels, features["path"])

    parts = {
        "reading": reading,
        "the network, after every frame": seconds_a_call(lambda: model.predict_on_batch(features))
        / _BATCH_SIZE,
        "counting": seconds_a_call(count) / _BATCH_SIZE,
    }
    scorer = Scorer(trained, files.spec, trained.observation)
    scorer.score(files, _BATCH_SIZE, LINE_SLICINGS, "warm-up")
    start = time.perf_counter()
    scorer.score(files, _BATCH_SIZE, LINE_SLICINGS, "measured")
    whole = (time.perf_counter() - start) / num_judged
    needed = forward_operations(Network.of(trained.classifier), draws_frames=False)
    return Breakdown(
        f"evaluation, batches of {_BATCH_SIZE} paths",
        {name: 1e9 * taken for name, taken in parts.items()},
        1e9 * whole,
        1e9 * needed / limits.matrix_product,
        f"{needed / 1e6:.1f} million operations in matrix products",
    )
