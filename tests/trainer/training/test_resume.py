"""Going on with a training at the very step where it stood."""

import csv
import itertools
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipeline.command_line.errors import RequestError, WorkError
from tests.conftest import ROOT
from tests.processes import environment
from tests.runs import LOWEST, set_back
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model
from trainer.training.checkpoints import read_state
from trainer.training.loop import train
from trainer.training.settings import Execution, TrainingSettings

# That a run of frames goes on exactly is a faster test's.
pytestmark = pytest.mark.slow

SETTINGS = TrainingSettings(
    epochs=2,
    steps_per_epoch=15,
    batch_size=16,
    readers=4,
    learning_rate=0.01,
    warmup_steps=3,
    line="dot",
    window=6,
    noise=0.02,
)
KEEP_ALL = Execution(checkpoint_every=4, keep_checkpoints=100)
TIMED = {"seconds", "sequences_per_second", "input_wait"}


@pytest.fixture(scope="module")
def whole_run(path_dataset_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted, with all its checkpoints."""
    run = tmp_path_factory.mktemp("whole") / "run"
    train(SETTINGS, str(path_dataset_dir), str(run), KEEP_ALL)
    return run


def untimed_history(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open() as stream:
        return [{k: v for k, v in row.items() if k not in TIMED} for row in csv.DictReader(stream)]


def weights_of(run: Path) -> list[np.ndarray]:
    weights: list[np.ndarray] = load_trained_model(RunDirectory(str(run))).classifier.get_weights()
    return weights


def assert_same_run(run: Path, whole: Path) -> None:
    assert untimed_history(run) == untimed_history(whole)
    for mine, theirs in zip(weights_of(run), weights_of(whole), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def _killed_after(step: int, whole: Path, run: Path) -> Path:
    """What a run leaves that is killed when the checkpoint of a step is its newest."""
    shutil.copytree(whole, run)
    (run / "model.keras").unlink()
    (run / "training.png").unlink()
    for path in (run / "checkpoints").glob("step-*"):
        if int(path.stem.removeprefix("step-")) > step:
            path.unlink()
    if step < 15:
        (run / "checkpoints" / "best.keras").unlink()
    return run


def test_checkpoints_stand_where_they_are_asked_for(whole_run: Path) -> None:
    steps = sorted(
        int(path.stem.removeprefix("step-")) for path in (whole_run / "checkpoints").glob("step-*")
    )
    assert steps == [4, 8, 12, 15, 16, 20, 24, 28, 30]
    for step in steps:
        assert read_state(RunDirectory(str(whole_run)).checkpoint_path(step)).step == step


@pytest.mark.parametrize(
    "step",
    [
        12,
        pytest.param(15, marks=pytest.mark.slow),
        *(pytest.param(step, marks=pytest.mark.storm) for step in (4, 24)),
    ],
)
def test_a_run_goes_on_exactly(tmp_path: Path, path_dataset_dir: Path, whole_run: Path, step: int) -> None:
    run = _killed_after(step, whole_run, tmp_path / "run")
    result = train(SETTINGS, str(path_dataset_dir), str(run), KEEP_ALL)
    assert (result.resumed_from, result.step) == (step, 30)
    assert_same_run(run, whole_run)


def test_tensorboard_has_every_step_once(tmp_path: Path, path_dataset_dir: Path, whole_run: Path) -> None:
    # Its events already tell of the second epoch, and a kill left the last of them half-written.
    run = _killed_after(12, whole_run, tmp_path / "run")
    for path in (run / "tensorboard").rglob("*tfevents*"):
        path.write_bytes(path.read_bytes()[:-5])
    train(SETTINGS, str(path_dataset_dir), str(run), KEEP_ALL)
    for name, tags in (
        ("train", {"loss", "accuracy", "learning_rate", "sequences_per_second", "input_wait"}),
        ("validation", {"loss", "accuracy"}),
    ):
        assert sorted(_events(run / "tensorboard" / name)) == sorted(
            (tag, step) for tag in tags for step in (15, 30)
        )


def _events(directory: Path) -> Iterator[tuple[str, int]]:
    for path in directory.glob("*tfevents*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                yield value.tag, event.step


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, path_dataset_dir: Path, whole_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = _killed_after(24, whole_run, tmp_path / "run")
    newest, before = (run / "checkpoints" / f"step-000000{step}.keras" for step in (24, 20))
    newest.write_bytes(newest.read_bytes()[:1000])
    content = bytearray(before.read_bytes())
    content[len(content) // 2] ^= 1
    before.write_bytes(bytes(content))
    assert train(SETTINGS, str(path_dataset_dir), str(run), KEEP_ALL).resumed_from == 16
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if "step-00000024.keras is damaged" in line]
    assert [line for line in lines if "step-00000020.keras is damaged" in line]
    assert_same_run(run, whole_run)


@pytest.mark.slow
def test_new_checkpoints_are_kept_beside_a_damaged_later_one(
    tmp_path: Path, path_dataset_dir: Path, whole_run: Path
) -> None:
    run = _killed_after(24, whole_run, tmp_path / "run")
    checkpoints = run / "checkpoints"
    (checkpoints / "step-00000024.keras").write_bytes(b"PK cut short")
    for step in (4, 8, 15, 16, 20):
        (checkpoints / f"step-{step:08d}.keras").unlink()
    train(SETTINGS, str(path_dataset_dir), str(run), Execution(checkpoint_every=5, keep_checkpoints=1))
    assert sorted(path.name for path in checkpoints.iterdir()) == ["best.keras", "step-00000030.keras"]
    assert_same_run(run, whole_run)


def test_the_best_checkpoint_is_a_last_resort(
    tmp_path: Path, path_dataset_dir: Path, whole_run: Path
) -> None:
    run = _killed_after(15, whole_run, tmp_path / "run")
    for path in (run / "checkpoints").glob("step-*"):
        path.unlink()
    best = read_state(str(run / "checkpoints" / "best.keras")).step
    assert train(SETTINGS, str(path_dataset_dir), str(run), KEEP_ALL).resumed_from == best
    assert_same_run(run, whole_run)


def test_a_finished_run_needs_no_checkpoints(tmp_path: Path, path_dataset_dir: Path, whole_run: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    shutil.rmtree(run / "checkpoints")
    result = train(SETTINGS, str(path_dataset_dir), str(run))
    assert (result.resumed_from, result.step) == (30, 30)
    assert not (run / "checkpoints").exists()


@pytest.mark.slow
def test_a_lost_best_checkpoint_is_said(
    tmp_path: Path, path_dataset_dir: Path, whole_run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    set_back(run, 15, LOWEST)
    execution = Execution(keep_checkpoints=1)  # Or the best might be among those that are kept besides.
    assert train(SETTINGS, str(path_dataset_dir), str(run), execution).kept == 15
    (run / "model.keras").unlink()
    (run / "checkpoints" / "best.keras").write_bytes(b"PK cut short")
    again = train(SETTINGS, str(path_dataset_dir), str(run), execution)
    assert (again.kept, again.step) == (30, 30)
    assert "the checkpoint of step 15, the best, is lost; step 30 is kept" in capfd.readouterr().err


def test_the_number_of_steps_is_part_of_the_run(tmp_path: Path, path_dataset_dir: Path) -> None:
    # 600 sequences are 18 batches of 32, of which 15 make whole executions.
    settings = TrainingSettings(epochs=1)
    run = str(tmp_path / "run")
    execution = Execution(steps_per_execution=5, checkpoint_every=5)
    assert train(settings, str(path_dataset_dir), run, execution).step == 15
    with pytest.raises(RequestError, match="steps_per_epoch 15, not 18"):
        train(settings, str(path_dataset_dir), run)


def test_the_newest_checkpoints_and_the_best_are_kept(tmp_path: Path, path_dataset_dir: Path) -> None:
    execution = Execution(checkpoint_every=5, keep_checkpoints=3)
    train(SETTINGS, str(path_dataset_dir), str(tmp_path / "run"), execution)
    names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert names == ["best.keras", *(f"step-000000{step}.keras" for step in (20, 25, 30))]


def test_several_steps_an_execution_compute_the_same(
    tmp_path: Path, path_dataset_dir: Path, whole_run: Path
) -> None:
    execution = Execution(steps_per_execution=5, checkpoint_every=10)
    train(SETTINGS, str(path_dataset_dir), str(tmp_path / "run"), execution)
    for mine, theirs in zip(weights_of(tmp_path / "run"), weights_of(whole_run), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_a_last_execution_of_validation_may_be_short(
    tmp_path: Path, path_dataset_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.training.loop._VALIDATION_BATCH_SIZE", 16)  # 70 sequences are 5 batches.
    settings = replace(SETTINGS, epochs=1, steps_per_epoch=3, warmup_steps=0)
    for executions in (1, 3):
        execution = Execution(steps_per_execution=executions, checkpoint_every=3)
        train(settings, str(path_dataset_dir), str(tmp_path / str(executions)), execution)
    assert untimed_history(tmp_path / "1") == untimed_history(tmp_path / "3")


@pytest.mark.slow
def test_checkpoints_come_by_the_clock_and_a_run_goes_on_from_them(
    tmp_path: Path, path_dataset_dir: Path, whole_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count(0, 0.4)  # A clock that tells more at every question.
    monkeypatch.setattr("trainer.training.sync_points.time", SimpleNamespace(monotonic=lambda: next(seconds)))
    run = tmp_path / "run"
    train(SETTINGS, str(path_dataset_dir), str(run), Execution(checkpoint_seconds=3, keep_checkpoints=100))
    steps = sorted(RunDirectory(str(run)).checkpoints())
    within = [step for step in steps if step % 15]
    assert [step // 15 for step in within] == [0, 0, 1, 1][: len(within)]
    assert_same_run(run, whole_run)
    again = _killed_after(within[0], run, tmp_path / "again")
    assert train(SETTINGS, str(path_dataset_dir), str(again), KEEP_ALL).resumed_from == within[0]
    assert_same_run(again, whole_run)


def test_files_that_a_kill_left_half_written_are_removed(
    tmp_path: Path, path_dataset_dir: Path, whole_run: Path
) -> None:
    run = _killed_after(28, whole_run, tmp_path / "run")
    left = run / "checkpoints" / f".{'0123456789abcdef' * 2}.step-00000030.keras"
    left.write_bytes(b"half")
    train(SETTINGS, str(path_dataset_dir), str(run), KEEP_ALL)
    assert not left.exists()


def test_two_trainings_do_not_share_a_directory(
    tmp_path: Path, path_dataset_dir: Path, whole_run: Path
) -> None:
    from pipeline.storage.directory_lock import locked

    run = _killed_after(28, whole_run, tmp_path / "run")
    with locked(str(run)), pytest.raises(WorkError, match="another process is working there"):
        train(SETTINGS, str(path_dataset_dir), str(run), KEEP_ALL)


def test_steps_an_execution_must_fit_the_checkpoint(
    tmp_path: Path, path_dataset_dir: Path, whole_run: Path
) -> None:
    run = _killed_after(4, whole_run, tmp_path / "run")
    with pytest.raises(RequestError, match="last checkpoint is of step 4"):
        train(SETTINGS, str(path_dataset_dir), str(run), Execution(steps_per_execution=3, checkpoint_every=3))


def test_training_stops_early_and_stays_stopped(tmp_path: Path, path_dataset_dir: Path) -> None:
    settings = TrainingSettings(epochs=6, steps_per_epoch=4, early_stopping=2)
    run = tmp_path / "run"
    train(settings, str(path_dataset_dir), str(run), KEEP_ALL)
    set_back(run, 8, LOWEST)
    result = train(settings, str(path_dataset_dir), str(run))
    assert (result.resumed_from, result.step, result.kept) == (8, 16, 8)
    again = train(settings, str(path_dataset_dir), str(run))
    assert (again.resumed_from, again.step) == (16, 16)


def test_outside_the_main_thread_no_signal_is_caught(
    tmp_path: Path, path_dataset_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = TrainingSettings(epochs=1, steps_per_epoch=2, batch_size=16, readers=4)
    before = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(train, settings, str(path_dataset_dir), str(tmp_path / "run")).result(240)
    assert result.step == 2
    assert signal.getsignal(signal.SIGTERM) is before
    (line,) = capsys.readouterr().err.splitlines()
    assert "signals are not caught" in line
    assert "after the last checkpoint" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.storm)])
def test_a_signal_saves_the_step_and_says_how_to_go_on(
    tmp_path: Path, path_dataset_dir: Path, whole_run: Path, number: signal.Signals
) -> None:
    # Every step is saved, which takes so long that the signal comes before the last of them.
    run = tmp_path / "run"
    flags = [f"--{k}={v}" for k, v in SETTINGS.to_json().items() if v is not None and v is not False]
    command = [
        sys.executable,
        "-m",
        "trainer.task",
        f"--data_dir={path_dataset_dir}",
        f"--model_dir={run}",
        *flags,
    ]
    process = subprocess.Popen(
        [*command, "--checkpoint_every=1"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(run.glob("checkpoints/step-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(number)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 1, errors
    (line,) = errors.splitlines()
    step = max(RunDirectory(str(run)).checkpoints())
    assert line == (
        f"trainer.task: error: stopped by {number.name} after step {step}, which is saved:"
        " the same command goes on from there"
    )
    assert 1 <= step < 30
    assert train(SETTINGS, str(path_dataset_dir), str(run)).resumed_from == step
    assert_same_run(run, whole_run)


def test_settings_that_differ_are_named(path_dataset_dir: Path, whole_run: Path) -> None:
    changed = replace(SETTINGS, noise=0.5, window=None)
    with pytest.raises(RequestError, match=r"window 6, not None, noise 0\.02, not 0\.5"):
        train(changed, str(path_dataset_dir), str(whole_run))
