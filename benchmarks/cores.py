"""One core for what is measured, so that a figure "of a core" is just that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

HAS_AFFINITY = hasattr(os, "sched_setaffinity")


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and every job that it starts inside the block, on one core (Linux)."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
