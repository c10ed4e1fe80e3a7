"""Imports TensorFlow and Keras with settings that do not depend on the user's configuration."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.command_line.errors import RequestError
from pipeline.workers.cores import usable_cores

BACKENDS = ("tensorflow", "jax")

# Environment variables by which Keras limits training, or changes its layers.
_KERAS_VARIABLES = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED")


def ask_for_onednn() -> None:
    """Have TensorFlow compute with oneDNN on x86-64, unless the environment says otherwise.

    TensorFlow's own choice is oneDNN only where a processor has instructions for neural networks, but
    convolutions and their gradients take half the time with it on others, too.
    """
    if platform.machine() == "x86_64":
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def import_tensorflow_quietly() -> None:
    """Import TensorFlow and Keras without their messages; call it before any other import of them.

    TensorFlow writes messages about instruction sets and missing GPUs to file descriptor 2. They are hidden
    unless ``TF_CPP_MIN_LOG_LEVEL=0`` is set. It computes with oneDNN on x86-64, unless
    ``TF_ENABLE_ONEDNN_OPTS=0`` is set.

    Of the user's ``keras.json`` only the backend is used; for all else see `reset_keras_settings`.

    Raises:
        RequestError: if the backend is not supported.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    ask_for_onednn()
    _limit_threads_to_quota()
    backend, chosen_by = _chosen_backend()
    check_backend(backend, chosen_by)
    os.environ["KERAS_BACKEND"] = backend
    for name in _KERAS_VARIABLES:
        os.environ.pop(name, None)
    with quiet_stderr(), _without_keras_json():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


def check_backend(backend: str, chosen_by: str) -> None:
    """Check that a Keras backend is supported.

    Args:
        backend: name of the backend.
        chosen_by: the setting that chose it, for the error.

    Raises:
        RequestError: if it is not.
    """
    if backend not in BACKENDS:
        raise RequestError(
            f"{chosen_by}: this trainer runs on TensorFlow and on JAX;"
            f" set {' or '.join(f'KERAS_BACKEND={name}' for name in BACKENDS)}"
        )


def reset_keras_settings(tf32: bool = False) -> None:
    """Set all settings that ``keras.json`` and the environment can change to Keras' defaults.

    Weights and metrics depend on them, and a run must not depend on who starts it. The settings hold for the
    whole process. The backend is not changed.

    Args:
        tf32: whether GPUs may round the factors of float32 products to 10 mantissa bits (TF32), which is the
            default of TensorFlow and of JAX. If False, float32 is computed as float32 on every device.
    """
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if tf32 else "float32")

    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)


def _chosen_backend() -> tuple[str, str]:
    """The backend that Keras would choose, and a phrase for errors that says which setting chose it."""
    if backend := os.environ.get("KERAS_BACKEND"):
        return backend, f"KERAS_BACKEND={backend}"
    folder = os.environ.get("KERAS_HOME")
    if folder is None:
        home = os.path.expanduser("~")
        folder = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    path = os.path.expanduser(os.path.join(folder, "keras.json"))
    try:
        with open(path, encoding="utf-8") as stream:
            backend = json.load(stream)["backend"]
    except (OSError, ValueError, LookupError, TypeError):  # No such file, no JSON, or no backend in it.
        return BACKENDS[0], "Keras"
    return str(backend), f"{path} chooses the backend {backend}"


@contextmanager
def _without_keras_json() -> Iterator[None]:
    """Hide ``keras.json`` from Keras, by a ``KERAS_HOME`` that cannot contain files."""
    home = os.environ.get("KERAS_HOME")
    os.environ["KERAS_HOME"] = os.devnull
    try:
        yield
    finally:
        del os.environ["KERAS_HOME"]
        if home is not None:
            os.environ["KERAS_HOME"] = home


def _limit_threads_to_quota() -> None:
    """Limit TensorFlow's threads to a container's CPU quota. TensorFlow respects only the affinity."""
    cores = usable_cores()
    if hasattr(os, "sched_getaffinity") and cores < len(os.sched_getaffinity(0)):
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(cores))
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(cores))


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Discard writes to file descriptor 2 inside the block, unless ``TF_CPP_MIN_LOG_LEVEL`` is 0.

    Failures still reach the caller, as exceptions.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        yield
        return
    stderr = os.dup(2)
    null_device = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null_device, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null_device)
