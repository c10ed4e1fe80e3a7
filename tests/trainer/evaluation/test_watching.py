"""The side-car beside a real training."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.command_line.errors import RequestError, WorkError
from pipeline.storage.directory_lock import locked
from pipeline.storage.tfrecord import read_records
from tests.conftest import ROOT
from tests.processes import environment
from trainer.evaluate import main
from trainer.evaluation.evaluator import EvaluationRequest, evaluate
from trainer.training.checkpoints import read_state, save_checkpoint
from trainer.training.loop import train
from trainer.training.settings import Execution, TrainingSettings

SCHEMA = json.loads((ROOT / "docs" / "metrics.schema.json").read_text())
SETTINGS = TrainingSettings(epochs=2, steps_per_epoch=40, batch_size=16, readers=4, learning_rate=0.005)


def _start(module: str, *flags: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", module, *flags]
    return subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _lines(run: Path) -> list[dict[str, Any]]:
    path = run / "evaluations" / "evaluations.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _event_steps(run: Path) -> list[int]:
    """Steps of the losses in TensorBoard's files."""
    steps = []
    for file in sorted((run / "evaluations" / "tensorboard").iterdir()):
        with file.open("rb") as stream:
            for payload in read_records(stream):
                event = tf.compat.v1.Event.FromString(payload)
                steps += [event.step for value in event.summary.value if value.tag == "loss"]
    return sorted(steps)


@pytest.mark.storm
def test_every_checkpoint_of_a_running_training_is_judged(tmp_path: Path, path_dataset_dir: Path) -> None:
    run = tmp_path / "run"
    data = f"--data_dir={path_dataset_dir}"
    side_car = _start("trainer.evaluate", "--watch", "--watch_timeout=60", data, f"--model_dir={run}")
    more = ["--batch_size=16", "--readers=4", "--checkpoint_every=10", "--keep_checkpoints=1"]
    training = _start(
        "trainer.task", data, f"--model_dir={run}", "--epochs=4", "--steps_per_epoch=100", *more
    )
    _, errors = training.communicate(timeout=120)
    assert training.returncode == 0, errors
    output, errors = side_car.communicate(timeout=60)
    assert side_car.returncode == 0, errors

    documents = _lines(run)
    steps = [document["model"]["step"] for document in documents]
    assert max(steps) == 400
    assert len(set(steps)) == len(steps) > 1
    assert all(step % 10 == 0 for step in steps)
    for document in documents:
        jsonschema.validate(document, SCHEMA)
        assert f"step {document['model']['step']}: accuracy {document['metrics']['accuracy']:.6f}" in output
    assert _event_steps(run) == sorted(steps)
    best = min(documents, key=lambda document: document["metrics"]["loss"])
    kept = json.loads((run / "evaluations" / "best.json").read_text())
    assert kept["metrics"] == best["metrics"]
    # What was passed over was named; the best one can be judged again where it lies now.
    missed = {int(step) for step in re.findall(r"step-(\d+)\.keras: was removed before", errors)}
    assert not missed & set(steps)
    again = evaluate(
        EvaluationRequest(str(path_dataset_dir), str(run), "validation", checkpoint=kept["model"]["path"])
    )
    assert again.document["metrics"]["loss"] == pytest.approx(kept["metrics"]["loss"], abs=1e-6)
    assert again.document["model"]["sha256"] == kept["model"]["sha256"]
    assert not [path for path in run.rglob(".*") if path.is_file()]


@pytest.mark.storm
def test_a_killed_side_car_goes_on_where_it_was(tmp_path: Path, path_dataset_dir: Path) -> None:
    run = tmp_path / "run"
    train(SETTINGS, str(path_dataset_dir), str(run), Execution(checkpoint_every=10, keep_checkpoints=100))
    flags = ["--watch", f"--data_dir={path_dataset_dir}", f"--model_dir={run}", "--flips=0.1"]
    for _ in range(2):
        before = len(_lines(run))
        side_car = _start("trainer.evaluate", *flags)
        deadline = time.monotonic() + 90
        while len(_lines(run)) < before + 2 and time.monotonic() < deadline:
            assert side_car.poll() is None
            time.sleep(0.01)
        os.kill(side_car.pid, signal.SIGKILL)
        side_car.communicate(timeout=30)
    killed_at = _lines(run)
    assert 4 <= len(killed_at) < 8
    assert main(flags) == 0
    documents = _lines(run)
    assert documents[: len(killed_at)] == killed_at
    assert [document["model"]["step"] for document in documents] == [10, 20, 30, 40, 50, 60, 70, 80]
    assert _event_steps(run) == [10, 20, 30, 40, 50, 60, 70, 80]
    assert all(document["robustness"][0]["flipped"] == 0.1 for document in documents)
    # The best is the one that the model was taken from, if it is judged by what chose it.
    best = json.loads((run / "evaluations" / "best.json").read_text())
    assert best["metrics"]["loss"] == min(document["metrics"]["loss"] for document in documents)
    # Nothing new: nothing is done.
    assert main(flags) == 0
    assert _lines(run) == documents

    # The two files of the best are one again after a kill between them.
    best_path = run / "evaluations" / "best.json"
    best_path.write_text(json.dumps({**best, "model": {**best["model"], "sha256": "0" * 64}}))
    assert main(flags) == 0
    assert json.loads(best_path.read_text())["model"]["sha256"] == best["model"]["sha256"]
    assert _lines(run) == documents
    # One file of numbers holds answers to one question.
    with pytest.raises(RequestError, match="was judged by another dataset"):
        main([*flags, "--split=test"])
    with pytest.raises(RequestError, match="was judged by another request"):
        main([*flags[:-1], "--flips=0.2"])
    with locked(str(run / "evaluations")), pytest.raises(WorkError, match="another process is working"):
        main(flags)

    # The trainer takes no offence at the folder, and a training of its own is told from this one.
    train(SETTINGS, str(path_dataset_dir), str(run), Execution(checkpoint_every=10))
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "versions": {}}))
    with pytest.raises(RequestError, match="evaluations: is of another training; remove it"):
        main(flags)


@pytest.mark.storm
def test_what_cannot_be_judged_is_named_and_passed_over(
    tmp_path: Path, path_dataset_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(SETTINGS, str(path_dataset_dir), str(run), Execution(checkpoint_every=20, keep_checkpoints=4))
    checkpoints = run / "checkpoints"
    (checkpoints / "step-00000020.keras").write_bytes(b"PK no checkpoint")
    diverged = checkpoints / "step-00000060.keras"
    state = read_state(str(diverged))
    classifier = keras.models.load_model(diverged)
    classifier.set_weights([weights * np.nan for weights in classifier.get_weights()])
    save_checkpoint(str(diverged), classifier, state)
    assert main(["--watch", f"--data_dir={path_dataset_dir}", f"--model_dir={run}"]) == 0
    assert [document["model"]["step"] for document in _lines(run)] == [40, 80]
    errors = capsys.readouterr().err
    assert "step-00000020.keras: cannot be judged" in errors
    assert "step-00000060.keras: cannot be judged (the model's answers are not finite" in errors


@pytest.mark.storm
def test_checks_decide_over_the_best(tmp_path: Path, path_dataset_dir: Path) -> None:
    run, checks = tmp_path / "run", tmp_path / "checks.yaml"
    train(SETTINGS, str(path_dataset_dir), str(run))
    flags = ["--watch", f"--data_dir={path_dataset_dir}", f"--model_dir={run}", f"--checks={checks}"]
    checks.write_text("loss: {max: 0.0}")
    assert main(flags) == 1
    assert [document["passed"] for document in _lines(run)] == [False, False]
    checks.write_text("loss: {max: 100.0}")  # Other bounds hold for what was judged before, too.
    assert main(flags) == 0
    checks.write_text("loss: {max: 1e-9}")
    assert main(flags) == 1
    checks.write_text("no_such_number: {max: 0.0}")
    with pytest.raises(RequestError, match="no number no_such_number"):
        main(flags)


def test_a_training_that_never_comes_is_not_waited_for_without_end(
    tmp_path: Path, path_dataset_dir: Path
) -> None:
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={tmp_path / 'run'}"]
    with pytest.raises(WorkError, match="no new checkpoint in 1 seconds"):
        main(["--watch", "--watch_timeout=1", *flags])
    with pytest.raises(RequestError, match="no such directory"):
        main(["--watch", f"--data_dir={tmp_path / 'no'}", *flags[1:]])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--watch", "--output=x.json"], "leave --output out"),
        (["--watch", "--plots=x", "--checkpoint=x"], "leave --checkpoint, --plots out"),
        (["--watch_timeout=1"], "--watch_timeout is of --watch"),
        (["--watch", "--split=train"], "that the model was trained on"),
    ],
)
def test_wrong_requests(path_dataset_dir: Path, run_dir: Path, flags: list[str], named: str) -> None:
    before = sorted(run_dir.rglob("*"))
    with pytest.raises(RequestError, match=named):
        main([f"--data_dir={path_dataset_dir}", f"--model_dir={run_dir}", *flags])
    assert sorted(run_dir.rglob("*")) == before
