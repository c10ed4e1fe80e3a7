"""Turns errors of TensorFlow, JAX and the device into one line with a remedy."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from pipeline.command_line.errors import WorkError
from pipeline.command_line.program import TRACEBACK_VARIABLE

# Remedies by a pattern in the library's message; the first match counts.
_REMEDIES = {
    r"out of memory|OOM when allocating|RESOURCE_EXHAUSTED|failed to allocate": (
        "the memory is too small: give a smaller --batch_size, or end other programs that use the GPU's"
        " memory (nvidia-smi lists them)"
    ),
    r"\bDNN\b|cuDNN|No algorithm worked|(Do|Then)Rnn|cuBLAS|\bBLAS\b": (
        "the GPU's driver and the installed libraries are not compatible, or other programs use the GPU's"
        " memory (nvidia-smi lists them): install the gpu extra in a fresh environment, train with --compile"
        " xla, which needs no LSTM of cuDNN, or run with --device cpu"
    ),
    r"libdevice|ptxas|nvlink|\bPTX\b": (
        "XLA finds no part of CUDA compatible with the GPU's driver: install the gpu extra in a fresh"
        " environment, or run with --device cpu"
    ),
}
_ANY_OTHER = f"if the GPU is the cause, run with --device cpu; a traceback: {TRACEBACK_VARIABLE}=1"

# Lines, and parts of lines, that TensorFlow and Keras add around the message of an error.
_ADDED_TEXT = re.compile(
    r"^\s*(Graph execution error:|Detected at node |File \"|<stack traces unavailable>|\d+ root error"
    r"|Exception encountered when calling |\[\[).*"
    r"|Error in user-defined function passed to .* with iterator: \S+ "
    r"|^\s*\(\d+\) [A-Z_]+:|\{\{function_node [^}]*\}\}|\[Op:.*|\x1b\[\d*m"
)


@contextmanager
def device_errors_explained() -> Iterator[None]:
    """Replace an error that TensorFlow or JAX raises while it computes by one line with a remedy.

    Errors of files, which TensorFlow raises too, are not replaced. If ``MOVING_LINES_TRACEBACK`` is set, no
    error is.

    Raises:
        WorkError: with the library's message and the remedy.
    """
    try:
        yield
    except _library_errors() as error:
        text = library_message(error)
        remedy = next((_REMEDIES[each] for each in _REMEDIES if re.search(each, text, re.IGNORECASE)), None)
        # An error of an operation ends with the operation's name; an error of a file does not.
        if remedy is None and (not isinstance(error, tf.errors.OpError) or "[Op:" in str(error)):
            remedy = _ANY_OTHER
        if remedy is None or os.environ.get(TRACEBACK_VARIABLE):
            raise
        library = "TensorFlow" if isinstance(error, tf.errors.OpError) else "JAX"
        raise WorkError(f"{library} failed ({text}); {remedy}") from error


def library_message(error: BaseException) -> str:
    """The first line of an error that is not part of a traceback, at most 300 characters."""
    lines = (_ADDED_TEXT.sub("", line).strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)[:300]


def _library_errors() -> tuple[type[Exception], ...]:
    if keras.backend.backend() != "jax":
        return (tf.errors.OpError,)
    import jax

    return (tf.errors.OpError, jax.errors.JaxRuntimeError)
