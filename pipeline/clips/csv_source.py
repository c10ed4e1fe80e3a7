"""Reads a CSV that names clips."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from pipeline.clips.media_files import is_text
from pipeline.clips.split_choice import SPLIT_NAMES
from pipeline.command_line.errors import RequestError
from pipeline.dataset.captions import normalised

COLUMNS = ("path", "label", "start", "end", "split", "group", "caption")
# Times beyond this are a mistake of the unit; 12 days.
_MAX_SECONDS = Decimal(10**6)


@dataclass(frozen=True)
class Row:
    """A row of a CSV.

    Attributes:
        line: number of its line in the file, from 1.
        path: path as it is written.
        label, start, end, split, group: see `pipeline.clips.sources.Source`; None where empty.
        caption: words as `pipeline.dataset.captions.normalised` returns them; None where empty.
    """

    line: int
    path: str
    label: str | None = None
    start: str | None = None
    end: str | None = None
    split: str | None = None
    group: str | None = None
    caption: str | None = None


def read_rows(content: bytes, where: str) -> list[Row]:
    """Parse a CSV in UTF-8 with a header of names of `COLUMNS`, ``path`` among them.

    Args:
        content: the file.
        where: its path, for the errors.

    Raises:
        RequestError: if it is no such CSV; the message names the line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RequestError(f"--source {where}: line {line}: is not in UTF-8; save it in UTF-8") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    try:
        rows = list(_rows(reader, where))
    except csv.Error as error:
        raise RequestError(f"--source {where}: line {reader.line_num}: {error}") from error
    if not rows:
        raise RequestError(f"--source {where}: has no rows")
    return rows


def _rows(reader: Any, where: str) -> Iterator[Row]:
    header = [name.strip().lower() for name in next(reader, [])]
    unknown = [name for name in header if name not in COLUMNS]
    if "path" not in header or unknown or len(set(header)) < len(header):
        problem = f"column {unknown[0]!r} is unknown" if unknown else "its header names no path, or one twice"
        raise RequestError(f"--source {where}: {problem}; the columns are {', '.join(COLUMNS)}")
    for cells in reader:
        line = reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise RequestError(
                f"--source {where}: line {line}: {len(cells)} cells, the header has {len(header)}"
            )
        values = {name: cell.strip() or None for name, cell in zip(header, cells, strict=True)}
        for name in ("path", "label", "group"):
            if not is_text(value := values.get(name) or ""):
                raise RequestError(
                    f"--source {where}: line {line}: {name} {value!r} has characters that are no text"
                )
        if (caption := values.get("caption")) is not None:
            values["caption"] = normalised(caption)
            if not values["caption"]:
                raise RequestError(
                    f"--source {where}: line {line}: caption {caption[:40]!r} has no word; write words or"
                    " leave it empty"
                )
        path = values.pop("path")
        if path is None:
            raise RequestError(f"--source {where}: line {line}: has no path")
        if (split := values.get("split")) is not None:
            if split not in SPLIT_NAMES:
                raise RequestError(
                    f"--source {where}: line {line}: split {split}; give train, validation or test"
                )
            values["split"] = SPLIT_NAMES[split]
        for name in ("start", "end"):
            values[name] = _seconds(values.get(name), name, f"--source {where}: line {line}")
        start, end = values["start"], values["end"]
        if end is not None and Decimal(end) <= Decimal(start or 0):
            raise RequestError(f"--source {where}: line {line}: end {end} is not after start {start or 0}")
        yield Row(line, path, **values)


def _seconds(text: str | None, name: str, where: str) -> str | None:
    """A time as a plain decimal number: ``1.50`` and ``1.5e0`` as ``1.5``."""
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 <= value <= _MAX_SECONDS:
        raise RequestError(f"{where}: {name} {text}; give seconds, as in 12.5")
    return f"{value.normalize():f}"
