"""What fails on the device is told at once, with its remedy; nobody searches the shards for damage."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.command_line.errors import WorkError
from pipeline.command_line.program import TRACEBACK_VARIABLE
from tests import failing_model
from tests.failing_model import DNN
from tests.processes import environment, run_python
from trainer.distributed.device_errors import device_errors_explained
from trainer.evaluate import main as evaluate_main
from trainer.predict import main as predict_main
from trainer.training.loop import train
from trainer.training.settings import TrainingSettings

SETTINGS = TrainingSettings(epochs=1, steps_per_epoch=3, batch_size=16, readers=4)
REMEDY = "the gpu extra in a fresh environment, train with --compile xla,.*or run with --device cpu"


def _train(data: Path, _run: Path, tmp_path: Path) -> None:
    train(SETTINGS, str(data), str(tmp_path / "new"))


def _evaluate(data: Path, run: Path, tmp_path: Path) -> None:
    evaluate_main([f"--data_dir={data}", f"--model_dir={run}", f"--output={tmp_path / 'm.json'}"])


def _predict(data: Path, run: Path, _tmp_path: Path) -> None:
    predict_main([f"--data_dir={data}", f"--model_dir={run}"])


def _predict_files(_data: Path, run: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((1, 8, 8, 8, 1), np.uint8))
    predict_main([f"--input={tmp_path / 'a.npy'}", f"--model_dir={run}"])


@pytest.mark.parametrize("work", [_train, _evaluate, _predict, _predict_files])
def test_an_error_of_the_model_is_told_at_once(
    tmp_path: Path,
    path_dataset_dir: Path,
    run_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[Path, Path, Path], None],
) -> None:
    data = tmp_path / "d"
    shutil.copytree(path_dataset_dir, data)

    def lose_the_data() -> None:  # Whoever opens a shard now finds none, and says so.
        if data.exists():
            data.rename(tmp_path / "elsewhere")

    error = tf.errors.FailedPreconditionError(None, None, DNN)
    fail = failing_model.failing_function(error, lose_the_data)
    monkeypatch.setattr(keras.layers.Dense, "call", failing_model.failing(keras.layers.Dense.call, fail))
    with pytest.raises(WorkError, match=REMEDY) as raised:
        work(data, run_dir, tmp_path)
    assert str(raised.value).startswith(f"TensorFlow failed (FailedPreconditionError: {DNN}); ")
    assert "\n" not in str(raised.value)
    assert not data.exists()


def _run(backend: str, how: str, module: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    of_backend = environment(KERAS_BACKEND=backend)
    return run_python("-m", "tests.failing_model", how, module, *flags, variables=of_backend)


@pytest.mark.storm
def test_transfers_that_an_error_of_the_model_stops_are_no_errors_of_reading(
    tmp_path: Path, path_dataset_dir: Path
) -> None:
    # With two devices TensorFlow's message may name them, as in [[IteratorGetNext_1/_4]].
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={tmp_path / 'run'}", "--distribution=mirrored"]
    done = _run("tensorflow", "failing_assertion", "trainer.task", *flags, "--steps_per_epoch=3")
    assert "2 replicas" in done.stdout
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"trainer.task: error: TensorFlow failed (assertion failed: [{DNN}]); ")


@pytest.mark.parametrize(
    "module",
    [
        pytest.param("trainer.task", marks=pytest.mark.slow),
        *(pytest.param(name, marks=pytest.mark.storm) for name in ("trainer.evaluate", "trainer.predict")),
    ],
)
def test_lack_of_memory_on_jax(tmp_path: Path, path_dataset_dir: Path, run_dir: Path, module: str) -> None:
    pytest.importorskip("jax")
    run = tmp_path / "run" if module == "trainer.task" else run_dir
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={run}"]
    done = _run("jax", "lack_of_memory", module, *flags)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{module}: error: JAX failed (RESOURCE_EXHAUSTED: Out of memory ")
    assert "give a smaller --batch_size" in line
    assert "nvidia-smi" in line


@pytest.mark.parametrize(
    ("text", "remedy"),
    [  # As they stand in reports of users.
        ("OOM when allocating tensor with shape[70368744177664]", "give a smaller --batch_size"),
        ("No algorithm worked!  Error messages: ...", REMEDY),
        ("Fail to find the dnn implementation.", REMEDY),
        ("DNN library is not found.", REMEDY),
        ("libdevice not found at ./libdevice.10.bc", "the gpu extra in a fresh environment,"),
        ("ptxas exited with non-zero error code 65280, output: ", "the gpu extra in a fresh environment,"),
        ("indices[0] = 7 is not in [0, 3)", "if the GPU is the cause, run with --device cpu"),
    ],
)
def test_what_is_said_has_a_remedy(monkeypatch: pytest.MonkeyPatch, text: str, remedy: str) -> None:
    def fail() -> None:
        tf.debugging.Assert(tf.random.uniform([]) > 1, [text])

    compute = tf.function(fail)
    with pytest.raises(WorkError, match=rf"^TensorFlow failed \(.*\); .*{remedy}"), device_errors_explained():
        compute()
    monkeypatch.setenv(TRACEBACK_VARIABLE, "1")
    with pytest.raises(tf.errors.InvalidArgumentError), device_errors_explained():
        compute()


@pytest.mark.slow  # TensorFlow waits 10 seconds for memory.
def test_lack_of_memory_in_the_middle_of_a_layer() -> None:
    class TooLarge(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types.
        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            return tf.fill([2**46], inputs)

    # Keras puts words of its own around what the library says.
    told = r"^TensorFlow failed \(OOM when allocating .*smaller --batch_size"
    with pytest.raises(WorkError, match=told), device_errors_explained():
        TooLarge()(tf.constant(0.0))


def test_errors_of_files_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(tf.errors.NotFoundError), device_errors_explained():
        tf.io.gfile.GFile(str(tmp_path / "none"), "rb").read()
