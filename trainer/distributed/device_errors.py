"""Errors of the device, and of the libraries that drive it, as one line with a remedy."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from pipeline.command_line.errors import WorkError
from pipeline.command_line.program import TRACEBACK_VARIABLE

# By what the libraries say: the first that is found.
_REMEDIES = {
    r"out of memory|OOM when allocating|RESOURCE_EXHAUSTED|failed to allocate": (
        "the memory does not suffice: give a smaller --batch_size, or end what else holds the GPU's memory"
        " (nvidia-smi names it)"
    ),
    r"\bDNN\b|cuDNN|No algorithm worked|(Do|Then)Rnn|cuBLAS|\bBLAS\b": (
        "the GPU's driver and the installed libraries do not fit each other, or the GPU's memory is taken"
        " (nvidia-smi names by whom): install the gpu extra in a fresh environment, train with --compile xla,"
        " which needs no LSTM of cuDNN, or run with --device cpu"
    ),
    r"libdevice|ptxas|nvlink|\bPTX\b": (
        "XLA lacks a part of CUDA that fits the GPU's driver: install the gpu extra in a fresh environment,"
        " or run with --device cpu"
    ),
}
_ANY_OTHER = f"if it comes of a GPU, --device cpu runs without one; a traceback: {TRACEBACK_VARIABLE}=1"

# What TensorFlow and Keras add to an error on its way: whole lines, and parts of them.
_AROUND = re.compile(
    r"^\s*(Graph execution error:|Detected at node |File \"|<stack traces unavailable>|\d+ root error"
    r"|Exception encountered when calling |\[\[).*"
    r"|Error in user-defined function passed to .* with iterator: \S+ "
    r"|^\s*\(\d+\) [A-Z_]+:|\{\{function_node [^}]*\}\}|\[Op:.*|\x1b\[\d*m"
)


@contextmanager
def device_errors_named() -> Iterator[None]:
    """Turn what a library raises while it computes into one line that says what to do.

    Whoever looks for the cause sets ``MOVING_LINES_TRACEBACK``: then errors stay as they are. So do those of
    files, which TensorFlow raises too.

    Raises:
        WorkError: with what the library said, and the remedy.
    """
    try:
        yield
    except _of_libraries() as error:
        text = said(error)
        remedy = next((_REMEDIES[each] for each in _REMEDIES if re.search(each, text, re.IGNORECASE)), None)
        # Only what an operation raises ends with its name.
        if remedy is None and (not isinstance(error, tf.errors.OpError) or "[Op:" in str(error)):
            remedy = _ANY_OTHER
        if remedy is None or os.environ.get(TRACEBACK_VARIABLE):
            raise
        library = "TensorFlow" if isinstance(error, tf.errors.OpError) else "JAX"
        raise WorkError(f"{library} failed ({text}); {remedy}") from error


def said(error: BaseException) -> str:
    """What a library said: the first line of an error that is not about the way it took."""
    lines = (_AROUND.sub("", line).strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)[:300]


def _of_libraries() -> tuple[type[Exception], ...]:
    if keras.backend.backend() != "jax":
        return (tf.errors.OpError,)
    import jax

    return (tf.errors.OpError, jax.errors.JaxRuntimeError)
