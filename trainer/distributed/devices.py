"""Chooses the device and the compiler.

Call `choose_device` before a model is built: Keras selects the LSTM kernel by the GPUs visible then.
"""

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

# By backend: the library's name, and the extra that installs its GPU support.
_LIBRARIES = {"tensorflow": ("TensorFlow", "gpu"), "jax": ("JAX", "jax-cuda")}


def backend_in_use() -> str:
    """Name of the Keras backend in use.

    Raises:
        RequestError: if it is not supported.
    """
    backend: str = keras.backend.backend()
    check_backend(backend, f"Keras runs on {backend}")
    return backend


def choose_device(device: str) -> str:
    """Choose the device of this process; call it before building a model.

    GPU memory is allocated as needed, so that other programs can share the GPU; if TensorFlow has already
    started in this process, its way of allocating stays. On JAX, TensorFlow only reads data and sees no GPU.

    If "auto" finds no GPU that the backend can use on a machine that has one, a line on stderr says why.

    Args:
        device: "cpu", "gpu", or "auto": a GPU if there is one, else the CPU.

    Returns:
        A description for users: "CPU" or "2 GPU (name)"; on JAX the kind may be another accelerator.

    Raises:
        RequestError: if "gpu" is asked for and there is none, if "cpu" is asked for and this process already
            runs on a GPU, or if the backend is not supported.
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
    """Why a backend sees no GPU, and what to do, for a message."""
    library, extra = _LIBRARIES[backend]
    if _hides_gpus(backend):
        return f"{library} sees no GPU, for this process hides them (CUDA_VISIBLE_DEVICES, JAX_PLATFORMS)"
    return f"{library} sees no GPU here: {install_command(extra)} (TF_CPP_MIN_LOG_LEVEL=0 shows why)"


def use_one_core_per_operation() -> None:
    """Let TensorFlow use one core for an operation, so that batches can be computed in parallel instead.

    For a model of many small operations this is faster than several cores for each, and results do not
    depend on the number of cores. Has no effect once TensorFlow has run an operation.
    """
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)


def num_parallel_batches() -> int:
    """Number of batches to compute in parallel.

    Returns:
        The number of usable cores, if TensorFlow computes on the CPU with one core for an operation; else 1.
    """
    on_one_core = tf.config.threading.get_intra_op_parallelism_threads() == 1
    if backend_in_use() != "tensorflow" or not on_one_core or tf.config.get_visible_devices("GPU"):
        return 1
    return usable_cores()


def make_deterministic() -> None:
    """Allow only operations with bitwise reproducible results; call it before any operation runs."""
    if backend_in_use() == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    else:
        tf.config.experimental.enable_op_determinism()


def choose_training_compiler(compiler: str, deterministic: bool) -> None:
    """Set the compiler of the models in a training; see `model.execution.choose_compiler`.

    Args:
        compiler: one of `model.execution.COMPILERS`.
        deterministic: whether the training is deterministic, for which TensorFlow does not use XLA.

    Raises:
        RequestError: if the backend, or determinism, excludes the compiler.
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
    """Set TensorFlow's devices; return their kind, "GPU" or "CPU", and their names."""
    if device == "cpu":
        with contextlib.suppress(RuntimeError):  # TensorFlow has started: its devices stay.
            tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.get_visible_devices("GPU")
    for gpu in gpus:
        # TensorFlow has started, or the caller has divided the GPU: its allocation stays.
        with contextlib.suppress(RuntimeError, ValueError):
            tf.config.experimental.set_memory_growth(gpu, True)
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return "GPU" if gpus else "CPU", [found.get("device_name", "unknown") for found in details]


def _chosen_for_jax(device: str) -> tuple[str, list[str]]:
    """Set JAX's devices; return their kind, as in "GPU", and their names."""
    import jax

    with contextlib.suppress(RuntimeError):  # TensorFlow has started: its devices stay.
        tf.config.set_visible_devices([], "GPU")
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    found = jax.local_devices()
    return found[0].platform.upper(), [each.device_kind for each in found]


def _hides_gpus(backend: str) -> bool:
    """Whether this process's environment or configuration hides the machine's GPUs."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return True
    if backend == "jax":
        import jax

        return str(jax.config.jax_platforms or "").startswith("cpu")
    return bool(tf.config.list_physical_devices("GPU"))  # The caller has found none visible.


def _has_gpu() -> bool:
    """Whether the machine, or the container, has an NVIDIA GPU, visible to the backend or not."""
    if glob.glob("/dev/nvidia[0-9]*"):
        return True
    if shutil.which("nvidia-smi") is None:
        return False
    try:  # WSL has no such device files.
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout
