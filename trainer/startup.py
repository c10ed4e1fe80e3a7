"""What has to be settled before TensorFlow is imported: what it prints, and how many threads it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.cores import usable_cores


def import_tensorflow_quietly() -> None:
    """Import TensorFlow; call it before anything else does.

    While it is imported, TensorFlow writes notes on instruction sets straight to file descriptor 2, and later
    an error wherever it finds no GPU; they would drown a program's one line. Set ``TF_CPP_MIN_LOG_LEVEL=0``
    to see all of it.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _keep_to_quota()
    with quiet_stderr():
        import tensorflow  # noqa: F401


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
