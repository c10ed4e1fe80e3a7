"""The same programs on JAX, in processes of their own: Keras chooses its backend once a process."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.processes import environment, run_python
from tests.runs import begin_with_weights, weights_that_know
from trainer.training.settings import TrainingSettings

pytest.importorskip("jax")


def _run(backend: str, module: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    return run_python("-m", module, *flags, variables=environment(KERAS_BACKEND=backend))


@pytest.fixture(scope="module")
def jax_run(path_dataset_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("jax") / "run"
    settings = TrainingSettings(epochs=1, steps_per_epoch=10, learning_rate=0.01, readers=4)
    begin_with_weights(run, path_dataset_dir, settings, weights_that_know(0))
    flags = ["--epochs=1", "--steps_per_epoch=10", "--learning_rate=0.01", "--readers=4"]
    done = _run("jax", "trainer.task", f"--data_dir={path_dataset_dir}", f"--model_dir={run}", *flags)
    assert done.returncode == 0, done.stderr
    return run


@pytest.mark.storm
def test_a_model_trained_on_jax_is_judged_alike_by_both_backends(
    tmp_path: Path, path_dataset_dir: Path, jax_run: Path
) -> None:
    metrics = {}
    for backend in ("jax", "tensorflow"):
        output = tmp_path / f"{backend}.json"
        flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={jax_run}", f"--output={output}"]
        done = _run(backend, "trainer.evaluate", *flags)
        assert done.returncode == 0, done.stderr
        document = json.loads(output.read_text())
        assert document["environment"]["backend"] == backend
        metrics[backend] = document["metrics"]
    assert metrics["jax"]["accuracy"] > 0.9
    for name in ("loss", "accuracy", "brier_score"):
        assert metrics["jax"][name] == pytest.approx(metrics["tensorflow"][name], abs=1e-5), name
    # Answers that are alike to rounding may come in either order.
    assert metrics["jax"]["roc_auc"] == pytest.approx(metrics["tensorflow"]["roc_auc"], abs=0.05)


def test_other_backends_are_refused_in_one_line(tmp_path: Path, path_dataset_dir: Path) -> None:
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={tmp_path / 'run'}"]
    done = _run("numpy", "trainer.task", *flags)
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        "trainer.task: error: KERAS_BACKEND=numpy: this trainer runs on TensorFlow and on JAX;"
        " set KERAS_BACKEND=tensorflow or KERAS_BACKEND=jax\n"
    )
