"""A user's keras.json, and Keras' variables, change nothing but the backend."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.processes import environment
from trainer.evaluation.evaluator import EvaluationRequest, evaluate

ODD = {
    "floatx": "float16",
    "epsilon": 0.1,
    "image_data_format": "channels_first",
    "nnx_enabled": True,
    "backend": "tensorflow",
}
LIMITS = {"KERAS_MAX_EPOCHS": "1", "KERAS_MAX_STEPS_PER_EPOCH": "2"}
TRAIN = """
import sys
from trainer.training.settings import TrainingSettings
from trainer.training.loop import train
settings = TrainingSettings(epochs=2, steps_per_epoch=5, architecture="layerwise")
print("weights sha256:" + train(settings, *sys.argv[1:]).weights_sha256)
"""


def _home(directory: Path, text: str | None) -> Path:
    directory.mkdir()
    if text is not None:
        (directory / "keras.json").write_text(text)
    return directory


def _run(home: Path, *arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
    own = environment(KERAS_HOME=str(home), **variables)
    if "KERAS_BACKEND" not in variables:
        own.pop("KERAS_BACKEND", None)
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=own,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def _good(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def _weights(output: str) -> str:
    (line,) = [line for line in output.splitlines() if line.startswith("weights sha256:")]
    return line


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, path_dataset_dir: Path) -> str:
    """The weights of a user who has no keras.json."""
    directory = tmp_path_factory.mktemp("plain")
    return _weights(_good(_run(_home(directory / "home", None), *_task(path_dataset_dir, directory / "run"))))


def _task(data: Path, run: Path) -> list[str]:
    flags = [f"--data_dir={data}", f"--model_dir={run}", "--epochs=2", "--steps_per_epoch=5"]
    return ["-m", "trainer.task", *flags, "--architecture=layerwise"]


@pytest.mark.storm
def test_programs_give_the_weights_and_metrics_of_any_other_user(
    tmp_path: Path, path_dataset_dir: Path, expected: str
) -> None:
    home, run, metrics = (
        _home(tmp_path / "home", json.dumps(ODD)),
        tmp_path / "run",
        tmp_path / "metrics.json",
    )
    assert _weights(_good(_run(home, *_task(path_dataset_dir, run), **LIMITS))) == expected
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={run}", f"--output={metrics}"]
    _good(_run(home, "-m", "trainer.evaluate", *flags, **LIMITS))
    judged = evaluate(EvaluationRequest(str(path_dataset_dir), str(run)), device="CPU").document
    found = json.loads(metrics.read_text())
    for name in ("loss", "brier_score"):
        assert found["metrics"][name] == pytest.approx(judged["metrics"][name], abs=1e-6)
    assert json.loads((home / "keras.json").read_text()) == ODD


@pytest.mark.storm
def test_functions_give_the_weights_of_any_other_user(
    tmp_path: Path, path_dataset_dir: Path, expected: str
) -> None:
    home = _home(tmp_path / "home", json.dumps({**ODD, "nnx_enabled": False}))
    assert _weights(_good(_run(home, "-c", TRAIN, path_dataset_dir, tmp_path / "run", **LIMITS))) == expected


@pytest.mark.parametrize(
    ("program", "by_file"),
    [
        ("task", True),
        ("predict", False),
        pytest.param("task", False, marks=pytest.mark.storm),
        pytest.param("predict", True, marks=pytest.mark.storm),
        pytest.param("evaluate", True, marks=pytest.mark.storm),
        pytest.param("evaluate", False, marks=pytest.mark.storm),
    ],
)
def test_a_backend_that_is_not_supported_is_one_line(tmp_path: Path, program: str, by_file: bool) -> None:
    home = _home(tmp_path / "home", json.dumps({"backend": "torch"}) if by_file else None)
    flags = [f"--model_dir={tmp_path}", *([] if program == "predict" else [f"--data_dir={tmp_path}"])]
    done = _run(home, "-m", f"trainer.{program}", *flags, **({} if by_file else {"KERAS_BACKEND": "torch"}))
    assert done.returncode == 2, done.stderr
    chosen = f"{home / 'keras.json'} chooses the backend torch" if by_file else "KERAS_BACKEND=torch"
    assert done.stderr == (
        f"trainer.{program}: error: {chosen}: this trainer runs on TensorFlow and on JAX;"
        " set KERAS_BACKEND=tensorflow or KERAS_BACKEND=jax\n"
    )


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ('{"backend": "jax", "floatx": "float8", "epsilon": 1}', "jax"),
        pytest.param("[]", "tensorflow", marks=pytest.mark.slow),
    ],
)
def test_the_backend_of_a_file_is_taken_whatever_else_it_says(
    tmp_path: Path, text: str, backend: str
) -> None:
    if backend == "jax":
        pytest.importorskip("jax")
    code = """
from trainer.command_line.startup import import_tensorflow_quietly
import_tensorflow_quietly()
import keras, os
print(keras.backend.backend(), keras.config.floatx(), keras.config.epsilon(), os.environ["KERAS_HOME"])
"""
    home = _home(tmp_path / "home", text)
    assert _good(_run(home, "-c", code)) == f"{backend} float32 1e-07 {home}\n"
