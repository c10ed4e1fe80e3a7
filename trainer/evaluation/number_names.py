"""Names of the numbers in a row of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def named_row(prefix: str, row: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """The numbers of a row by name, with a prefix; the ends of an interval have ``.low`` and ``.high``."""
    for name, value in row.items():
        if name.endswith("_interval"):
            low, high = value or (None, None)
            yield f"{prefix}{name}.low", low
            yield f"{prefix}{name}.high", high
        elif not isinstance(value, bool):
            yield f"{prefix}{name}", value
