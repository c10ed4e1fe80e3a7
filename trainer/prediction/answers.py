"""Writes a model's answers to what files hold, as JSON lines or CSV; and the answers to moving lines."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import print_flushed
from pipeline.moving_line.lines import CLASS_NAMES
from pipeline.storage.atomic_files import write_atomically
from pipeline.storage.files import check_output

COLUMNS = ("file", "index", "num_frames", "predicted", "probability_right", "expected")
JSON_LINES, CSV = ".jsonl", ".csv"
ANSWER_TYPES = (JSON_LINES, CSV)


class WrittenAnswer(Protocol):
    """An answer that is written as a line."""

    def to_json(self) -> Mapping[str, Any]:
        """What a JSON line holds."""

    def to_row(self) -> Mapping[str, Any]:
        """Cells of CSV by column; a missing one is empty."""


@dataclass(frozen=True)
class Answer:
    """A model's answer to a sequence of a file.

    Attributes:
        file: path of the file, as the user gave it.
        index: index of the sequence in the file, from 0.
        num_frames: number of frames of the stored sequence.
        right: probability of "right".
        label: 0 = left, 1 = right; None if the file has no labels.
    """

    file: str
    index: int
    num_frames: int
    right: float
    label: int | None

    def to_json(self) -> dict[str, str | int | float]:
        """Values by name of `COLUMNS`; without ``expected`` if there is no label."""
        expected = {} if self.label is None else {"expected": CLASS_NAMES[self.label]}
        return {
            "file": self.file,
            "index": self.index,
            "num_frames": self.num_frames,
            "predicted": CLASS_NAMES[int(self.right > 0.5)],
            "probability_right": self.right,
            **expected,
        }

    def to_row(self) -> dict[str, str | int | float]:
        """Values by name of `COLUMNS`."""
        return self.to_json()


def check_answers_path(path: str) -> None:
    """Check that answers can be written to a path.

    Raises:
        RequestError: if the name does not end in one of `ANSWER_TYPES`, or no file can be written there.
    """
    if os.path.splitext(path)[1] not in ANSWER_TYPES:
        raise RequestError(
            f"--output {path}: with --input, name a file that ends in {' or '.join(ANSWER_TYPES)}"
        )
    check_output(path)


def write_answers(
    batches: Iterable[Sequence[WrittenAnswer]], path: str, columns: Sequence[str] = COLUMNS
) -> None:
    """Write answers to a file, which appears only when it is complete.

    Args:
        batches: batches of answers, in order.
        path: the file; see `check_answers_path`.
        columns: of CSV.
    """
    is_csv = os.path.splitext(path)[1] == CSV
    with write_atomically(path, os.path.dirname(path) or ".") as stream:
        if is_csv:
            stream.write(_csv_row(columns).encode())
        for answers in batches:
            lines = (_csv_line(answer, columns) if is_csv else _json_line(answer) for answer in answers)
            # A file name may have bytes that are not UTF-8: write them as they are.
            stream.write("".join(lines).encode(errors="surrogateescape"))


def print_answers(batches: Iterable[Sequence[WrittenAnswer]]) -> None:
    """Print answers as JSON lines, and flush after each batch.

    Raises:
        WorkError: if stdout cannot be written.
    """
    for answers in batches:
        print_flushed("".join(map(_json_line, answers)))


def _json_line(answer: WrittenAnswer) -> str:
    return json.dumps(answer.to_json(), allow_nan=False) + "\n"


def _csv_line(answer: WrittenAnswer, columns: Sequence[str]) -> str:
    row = answer.to_row()
    return _csv_row(row.get(column, "") for column in columns)


def _csv_row(cells: Iterable[object]) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow(cells)
    return row.getvalue()
