"""Keeps TensorFlow's C++ side from printing past every log setting."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def import_tensorflow_quietly() -> None:
    """Import TensorFlow; call it before anything else does.

    While it is imported, TensorFlow writes notes on instruction sets straight to file descriptor 2, and later
    an error wherever it finds no GPU; they would drown a program's one line. Set ``TF_CPP_MIN_LOG_LEVEL=0``
    to see all of it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr():
        import tensorflow  # noqa: F401


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
