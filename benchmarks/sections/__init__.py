"""The parts of the comparison. Each measures in a process of its own and gives rows.

A section is a module with ``measure(directory, quick)``: data sets and models go to the directory, and
stay there to be found by the next run; ``quick`` takes few sequences and one round, to see that
everything works.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks.rows import Row

# In the order in which they run and stand in tables.
SECTIONS = (
    "generation",
    "record_size",
    "verification",
    "reading",
    "training",
    "evaluation",
    "memory",
    "zero_errors",
)

Measure = Callable[[Path, bool], list[Row]]


def section(name: str) -> Measure:
    """The function that measures a section; importing it imports what it measures."""
    measure: Measure = import_module(f"{__name__}.{name}").measure
    return measure
