"""What has to be settled before TensorFlow and Keras are imported, and as they are."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.command_line.errors import RequestError
from pipeline.workers.cores import usable_cores

BACKENDS = ("tensorflow", "jax")

# What limits the runs of Keras, or changes its layers, by the environment.
_VARIABLES = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED")


def import_tensorflow_quietly() -> None:
    """Import TensorFlow and Keras; call it before anything else does.

    While it is imported, TensorFlow writes notes on instruction sets straight to file descriptor 2, and later
    an error wherever it finds no GPU; they would drown a program's one line. Set ``TF_CPP_MIN_LOG_LEVEL=0``
    to see all of it.

    Of what the user's ``keras.json`` says, the backend is taken and nothing else; see `settle_keras`.

    Raises:
        RequestError: for a backend that is not supported.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _keep_to_quota()
    backend, chosen_by = _chosen_backend()
    check_backend(backend, chosen_by)
    os.environ["KERAS_BACKEND"] = backend
    for name in _VARIABLES:
        os.environ.pop(name, None)
    with quiet_stderr(), _without_keras_json():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


def check_backend(backend: str, chosen_by: str) -> None:
    """Refuse a Keras backend that is not supported.

    Raises:
        RequestError: saying what chose it.
    """
    if backend not in BACKENDS:
        raise RequestError(
            f"{chosen_by}: this trainer runs on TensorFlow and on JAX;"
            f" set {' or '.join(f'KERAS_BACKEND={name}' for name in BACKENDS)}"
        )


def settle_keras(tf32: bool = False) -> None:
    """Set all that ``keras.json`` and the environment may set to what Keras does by itself.

    Weights and metrics depend on it, and a run is to be the same whoever starts it. It holds for the whole
    process. The backend stays what it is.

    Args:
        tf32: whether GPUs may round float32 numbers to 10 bits (TF32) before they multiply them, as both
            libraries let them by themselves. Without it float32 is float32 on every device.
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
    """The backend that Keras would choose, and what chooses it, for people."""
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
    except (OSError, ValueError, LookupError, TypeError):  # Not there, no JSON, or not with a backend.
        return BACKENDS[0], "Keras"
    return str(backend), f"{path} chooses the backend {backend}"


@contextmanager
def _without_keras_json() -> Iterator[None]:
    """Let Keras find no ``keras.json``: while it is imported, its directory is one that cannot hold any."""
    home = os.environ.get("KERAS_HOME")
    os.environ["KERAS_HOME"] = os.devnull
    try:
        yield
    finally:
        del os.environ["KERAS_HOME"]
        if home is not None:
            os.environ["KERAS_HOME"] = home


def _keep_to_quota() -> None:
    """Let TensorFlow start no more threads than a container's quota has cores; of affinity it knows."""
    cores = usable_cores()
    if hasattr(os, "sched_getaffinity") and cores < len(os.sched_getaffinity(0)):
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(cores))
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(cores))


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send file descriptor 2 nowhere, unless ``TF_CPP_MIN_LOG_LEVEL`` is 0.

    What really fails inside the block is raised as an exception besides.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        yield
        return
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
