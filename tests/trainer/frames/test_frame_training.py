"""Training on data sets of frames: what it leaves, and going on at the very step."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.processes import environment, run_python
from tests.trainer.frames import data_sets
from tests.trainer.frames.conftest import KEEP_ALL, SETTINGS
from tests.trainer.training.test_resume import assert_same_run
from tests.trainer.two_devices import train_on_two_devices
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model
from trainer.training.history import read_history
from trainer.training.loop import train
from trainer.training.settings import Execution, TrainingSettings


def test_a_run_says_what_it_was_trained_on(balls_dir: Path, balls_run: Path) -> None:
    config = json.loads((balls_run / "config.json").read_text())
    dataset, settings = config["dataset"], config["settings"]
    assert dataset["name"] == "bouncing_balls"
    assert dataset["frame_shape"] == [24, 32, 3]
    assert dataset["class_names"] == ["red", "green", "blue"]
    assert dataset["settings"]["more_frames"] == 12
    assert TrainingSettings.from_json(settings) == replace(SETTINGS, architecture="conv")
    assert not {"line", "window", "noise"} & settings.keys()
    trained = load_trained_model(RunDirectory(str(balls_run)))
    assert not trained.is_of_lines
    assert [each.shape for each in trained.classifier.inputs] == [(None, None, 20, 28, 3), (None,)]


@pytest.mark.slow
def test_it_learns_the_colours(tmp_path: Path) -> None:
    data = data_sets.balls(tmp_path / "data", num_train=600)
    settings = TrainingSettings(epochs=2, batch_size=16, learning_rate=0.004, num_frames=8)
    train(settings, str(data), str(tmp_path / "run"))
    assert float(read_history(str(tmp_path / "run" / "history.csv"))[-1]["val_accuracy"]) > 0.9


@pytest.mark.parametrize("step", [5, pytest.param(15, marks=pytest.mark.slow)])
def test_a_run_goes_on_exactly(tmp_path: Path, balls_dir: Path, balls_run: Path, step: int) -> None:
    run = tmp_path / "run"
    shutil.copytree(balls_run, run)
    for path in [run / "model.keras", *(run / "checkpoints").glob("step-*")]:
        if path.stem == "model" or int(path.stem.removeprefix("step-")) > step:
            path.unlink()
    if step < 12:
        (run / "checkpoints" / "best.keras").unlink()
    result = train(SETTINGS, str(balls_dir), str(run), KEEP_ALL)
    assert (result.resumed_from, result.step) == (step, 24)
    assert_same_run(run, balls_run)


@pytest.mark.slow
def test_two_devices_train_as_one(tmp_path: Path, balls_dir: Path, balls_run: Path) -> None:
    """Their sums are rounded in another order."""
    train_on_two_devices(balls_run / "config.json", tmp_path / "run")
    for mine, theirs in zip(_weights(tmp_path / "run"), _weights(balls_run), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=0.01)
    one, two = (read_history(str(run / "history.csv"))[0] for run in (balls_run, tmp_path / "run"))
    assert float(one["loss"]) == pytest.approx(float(two["loss"]), rel=1e-3)


def _weights(run: Path) -> list[np.ndarray]:
    weights: list[np.ndarray] = load_trained_model(RunDirectory(str(run))).classifier.get_weights()
    return weights


@pytest.mark.slow
def test_jax_goes_on_with_what_tensorflow_began(tmp_path: Path, balls_dir: Path, balls_run: Path) -> None:
    pytest.importorskip("jax")
    run = tmp_path / "run"
    shutil.copytree(balls_run, run)
    (run / "model.keras").unlink()
    for path in (run / "checkpoints").glob("step-*"):
        if int(path.stem.removeprefix("step-")) > 12:
            path.unlink()
    flags = [f"--config={balls_run / 'config.json'}", f"--model_dir={run}"]
    done = run_python("-m", "trainer.task", *flags, variables=environment(KERAS_BACKEND="jax"))
    assert done.returncode == 0, done.stderr
    assert "resuming after step 12" in done.stdout
    for mine, theirs in zip(_weights(run), _weights(balls_run), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=0.01)


@pytest.mark.slow
def test_classes_that_are_rare_weigh_more(tmp_path: Path, balls_dir: Path) -> None:
    """The numbers of the three classes are nearly alike here, and so are the losses."""
    settings = TrainingSettings(epochs=1, steps_per_epoch=2, batch_size=8, num_frames=4, units=4, readers=1)
    losses = []
    for name, weights in (("balanced", "balanced"), ("plain", None)):
        run = tmp_path / name
        train(replace(settings, class_weights=weights), str(balls_dir), str(run), Execution())
        losses.append(float(read_history(str(run / "history.csv"))[0]["loss"]))
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.3)
