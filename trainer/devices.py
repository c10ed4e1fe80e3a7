"""Chooses the device before a model exists: Keras picks its LSTM kernel by the GPUs that it sees then."""

from __future__ import annotations

import contextlib
import os

import keras
import tensorflow as tf

from model.execution import choose_compiler
from pipeline.cores import usable_cores
from pipeline.program import RequestError
from trainer.startup import check_backend


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

    GPU memory is then taken as needed instead of all at once, so that others can share the GPU. On another
    backend than TensorFlow, TensorFlow only reads data and is kept off the GPUs.

    Args:
        device: "cpu", "gpu", or "auto" for a GPU where there is one.

    Returns:
        What it is, for people: "CPU" or "GPU (its name)".

    Raises:
        RequestError: if a GPU is asked for and there is none, or for another backend.
    """
    if backend_in_use() == "jax":
        return _choose_for_jax(device)
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise _no_gpu("TensorFlow")
    if device == "cpu" or not gpus:
        tf.config.set_visible_devices([], "GPU")
        return "CPU"
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    names = {tf.config.experimental.get_device_details(gpu).get("device_name", "unknown") for gpu in gpus}
    return f"{len(gpus)} GPU ({', '.join(sorted(names))})"


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


def _choose_for_jax(device: str) -> str:
    import jax

    tf.config.set_visible_devices([], "GPU")
    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    found = jax.local_devices()
    if device == "gpu" and found[0].platform != "gpu":
        raise _no_gpu("JAX")
    if found[0].platform == "cpu":
        return "CPU"
    return f"{len(found)} {found[0].platform.upper()} ({found[0].device_kind})"


def _no_gpu(library: str) -> RequestError:
    return RequestError(
        f"--device gpu: {library} sees no GPU on this machine; use --device cpu, or install the gpu extra"
        " (TF_CPP_MIN_LOG_LEVEL=0 shows why)"
    )
