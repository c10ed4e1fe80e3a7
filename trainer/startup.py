"""Imports TensorFlow without the lines that its C++ start-up prints past every log setting."""

from __future__ import annotations

import os


def import_tensorflow_quietly() -> None:
    """Import TensorFlow; call it before anything else does.

    While it is imported, TensorFlow writes notes on instruction sets straight to file descriptor 2, and later
    an error wherever it finds no GPU; they would drown a program's one line. What really fails is raised as
    an exception besides. Set ``TF_CPP_MIN_LOG_LEVEL=0`` to see all of it.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        return
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        import tensorflow  # noqa: F401
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
