"""Chooses the device before a model exists: Keras picks its LSTM kernel by the GPUs that it sees then."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import subprocess
import sys

import keras
import tensorflow as tf

from model.execution import choose_compiler
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import install_command
from pipeline.workers.cores import usable_cores
from trainer.command_line.startup import check_backend

# By backend: its name, and the extra with which it uses a GPU.
_LIBRARIES = {"tensorflow": ("TensorFlow", "gpu"), "jax": ("JAX", "jax-cuda")}


def backend_in_use() -> str:
    """The Keras backend in use.

    Raises:
        RequestError: for one that is not supported.
    """
    backend: str = keras.backend.backend()
    check_backend(backend, f"Keras runs on {backend}")
    return backend


def choose_device(device: str) -> str:
    """Make ``device`` the one that everything after runs on; call it before building a model.

    GPU memory is then taken as needed instead of all at once, so that others can share the GPU; what has
    started TensorFlow in this process before has decided that already. On another backend than TensorFlow,
    TensorFlow only reads data and is kept off the GPUs.

    Where "auto" finds no GPU on a machine that has one, a line on stderr says what is missing.

    Args:
        device: "cpu", "gpu", or "auto" for a GPU where there is one.

    Returns:
        What it is, for people: "CPU" or "2 GPU (their name)"; on JAX it may be another accelerator's kind.

    Raises:
        RequestError: if a GPU is asked for and there is none, if the CPU is and this process has started on a
            GPU before, or for another backend.
    """
    backend = backend_in_use()
    kind, names = _chosen_for_jax(device) if backend == "jax" else _chosen_for_tensorflow(device)
    if kind != "CPU" and device == "cpu":
        raise RequestError(
            f"--device cpu: {_LIBRARIES[backend][0]} has already started on a {kind} in this process;"
            " choose the device before anything runs"
        )
    if kind == "GPU" or (kind != "CPU" and device == "auto"):
        return f"{len(names)} {kind} ({', '.join(sorted(set(names)))})"
    if device == "gpu":
        raise RequestError(f"--device gpu: {_no_gpu_seen(backend)}, or use --device cpu")
    if device == "auto" and not _hides_gpus(backend) and _has_gpu():
        print(
            f"the machine has a GPU, but {_no_gpu_seen(backend)}; going on with the CPU",
            file=sys.stderr,
            flush=True,
        )
    return "CPU"


def _no_gpu_seen(backend: str) -> str:
    """What to say, and what to do, where a backend sees no GPU."""
    library, extra = _LIBRARIES[backend]
    if _hides_gpus(backend):
        return f"{library} sees no GPU, for this process hides them (CUDA_VISIBLE_DEVICES, JAX_PLATFORMS)"
    return f"{library} sees no GPU here: {install_command(extra)} (TF_CPP_MIN_LOG_LEVEL=0 shows why)"


def compute_batches_side_by_side() -> None:
    """Let an operation use one core, so that as many batches as there are cores go on side by side.

    For a model of many small operations that is quicker than all cores on every operation, and its results do
    not depend on their number. It does nothing once TensorFlow has run an operation.
    """
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)


def batches_at_once() -> int:
    """How many batches to work on at once: as many as cores, where a core works on each."""
    on_one_core = tf.config.threading.get_intra_op_parallelism_threads() == 1
    if backend_in_use() != "tensorflow" or not on_one_core or tf.config.get_visible_devices("GPU"):
        return 1
    return usable_cores()


def make_deterministic() -> None:
    """Let only operations run that give the same bits every time; call it before any runs."""
    if backend_in_use() == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    else:
        tf.config.experimental.enable_op_determinism()


def settle_compiler(compiler: str, deterministic: bool) -> None:
    """Decide what carries out the models of a training; see `model.execution`.

    Raises:
        RequestError: if it cannot be had.
    """
    if backend_in_use() == "jax":
        if compiler == "none":
            raise RequestError("--compile none: JAX always compiles by XLA; leave it out")
    elif deterministic:
        if compiler == "xla":
            raise RequestError(
                "--compile xla: on TensorFlow Keras lets XLA compile nothing that is --deterministic; use one"
            )
        compiler = "none"
    choose_compiler(compiler)


def _chosen_for_tensorflow(device: str) -> tuple[str, list[str]]:
    """The kind of device that TensorFlow runs on from here on, and the names of its devices."""
    if device == "cpu":
        with contextlib.suppress(RuntimeError):  # It has started: what it sees stays.
            tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.get_visible_devices("GPU")
    for gpu in gpus:
        # It has started, or the caller has divided the GPU: how it takes memory stays.
        with contextlib.suppress(RuntimeError, ValueError):
            tf.config.experimental.set_memory_growth(gpu, True)
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return "GPU" if gpus else "CPU", [found.get("device_name", "unknown") for found in details]


def _chosen_for_jax(device: str) -> tuple[str, list[str]]:
    """The kind of device that JAX runs on from here on, and the names of its devices."""
    import jax

    with contextlib.suppress(RuntimeError):  # TensorFlow has started: what it sees stays.
        tf.config.set_visible_devices([], "GPU")
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    found = jax.local_devices()
    return found[0].platform.upper(), [each.device_kind for each in found]


def _hides_gpus(backend: str) -> bool:
    """Whether somebody has hidden the machine's GPUs from this process, on purpose."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return True
    if backend == "jax":
        import jax

        return str(jax.config.jax_platforms or "").startswith("cpu")
    return bool(tf.config.list_physical_devices("GPU"))  # Asked where none is visible.


def _has_gpu() -> bool:
    """Whether the machine, or the container, has an NVIDIA GPU, whatever the backend sees."""
    if glob.glob("/dev/nvidia[0-9]*"):
        return True
    if shutil.which("nvidia-smi") is None:
        return False
    try:  # Under WSL there is no such device.
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout
