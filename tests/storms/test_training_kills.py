"""A training that is killed at any moment and started again ends as if nothing had happened."""

import csv
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, make_dataset
from tests.processes import environment
from tests.trainer.captions.data_sets import described_balls
from tests.trainer.frames.data_sets import balls
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model

pytestmark = pytest.mark.storm

EPOCHS, STEPS = 3, 80
# By what is trained on: flags, and how many kills and terminations.
CASES = {
    "lines": (["--batch_size=16", "--line=dot", "--window=6", "--noise=0.02"], 20, 5),
    "frames": (
        [
            *("--batch_size=8", "--num_frames=6", "--crop=28x20", "--flip", "--brightness=0.1"),
            *("--contrast=0.1", "--units=8", "--class_weights=balanced", "--label_smoothing=0.05"),
        ],
        10,
        2,
    ),
    "captions": (
        [
            *("--task=describe", "--batch_size=8", "--num_frames=6", "--crop=28x20", "--flip", "--units=8"),
            *("--max_words=5", "--min_word_count=100", "--attention", "--tie_embeddings"),
        ],
        10,
        2,
    ),
}
MAKE: dict[str, Callable[[Path], Path]] = {
    "lines": make_dataset,
    "frames": balls,
    "captions": described_balls,
}
FLAGS = [
    f"--epochs={EPOCHS}",
    f"--steps_per_epoch={STEPS}",
    "--checkpoint_every=7",
    "--learning_rate=0.005",
    "--warmup_steps=20",
]
TIMED = {"seconds", "sequences_per_second", "input_wait"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("kills")
    return {case: make(directory / case) for case, make in MAKE.items()}


def _start(run: Path, data: dict[str, Path], case: str) -> "subprocess.Popen[str]":
    flags = [f"--data_dir={data[case]}", f"--model_dir={run}", *FLAGS, *CASES[case][0]]
    command = [sys.executable, "-m", "trainer.task", *flags]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=pipe, stderr=pipe, text=True)


def _result(run: Path) -> tuple[list[np.ndarray], list[dict[str, str]]]:
    with (run / "history.csv").open() as stream:
        rows = [{k: v for k, v in row.items() if k not in TIMED} for row in csv.DictReader(stream)]
    return load_trained_model(RunDirectory(str(run))).classifier.get_weights(), rows


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Path]) -> Callable[[str], Path]:
    """The run of a case that nothing interrupted."""

    @cache
    def made(case: str) -> Path:
        run = tmp_path_factory.mktemp("reference") / "run"
        process = _start(run, data, case)
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        return run

    return made


@pytest.mark.parametrize(
    ("case", "number", "name"),
    [
        (case, number, name)
        for case, (_, *counts) in CASES.items()
        for name, count in zip(("SIGKILL", "SIGTERM"), counts, strict=True)
        for number in range(count)
    ],
)
def test_a_killed_training_ends_as_if_nothing_had_happened(
    tmp_path: Path,
    data: dict[str, Path],
    references: Callable[[str], Path],
    case: str,
    number: int,
    name: str,
) -> None:
    reference = references(case)
    run = tmp_path / "run"
    # From the first checkpoint to the last picture, anywhere between and within two checkpoints.
    generator = random.Random(f"{name} {number}")
    step, seconds = generator.randint(0, EPOCHS * STEPS), generator.uniform(0, 0.1)
    process = _start(run, data, case)
    deadline = time.monotonic() + 240
    while process.poll() is None and max(RunDirectory(str(run)).checkpoints(), default=0) < step:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(seconds)
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=60)
    newest = max(RunDirectory(str(run)).checkpoints(), default=0)
    if name == "SIGTERM" and process.returncode == 1:
        assert f"stopped by SIGTERM after step {newest}, which is saved" in errors

    again = _start(run, data, case)
    output, errors = again.communicate(timeout=240)
    assert again.returncode == 0, errors
    if newest < EPOCHS * STEPS:
        assert f"resuming after step {newest}" in output or newest == 0
    assert errors == ""
    (weights, rows), (expected_weights, expected_rows) = _result(run), _result(reference)
    assert rows == expected_rows
    for mine, theirs in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not [path for path in run.rglob(".*") if path.is_file()], "something half-written is left"
    print(f"{name} at step {newest} of {EPOCHS * STEPS}")
