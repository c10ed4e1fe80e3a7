"""What the model says of sequences in files, as JSON lines and as CSV."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import print_flushed
from pipeline.moving_line.lines import CLASS_NAMES
from pipeline.storage.atomic_files import write_atomically
from pipeline.storage.files import check_output

COLUMNS = ("file", "index", "num_frames", "predicted", "probability_right", "expected")


@dataclass(frozen=True)
class Answer:
    """What the model says of a sequence.

    Attributes:
        file: that holds the sequence, as it was named.
        index: of the sequence in the file, from 0.
        num_frames: of the sequence as the file holds it.
        right: probability of "right".
        label: 0 = left, 1 = right; None where the file does not say.
    """

    file: str
    index: int
    num_frames: int
    right: float
    label: int | None

    def to_json(self) -> dict[str, str | int | float]:
        """The `COLUMNS`, without ``expected`` where the file does not say."""
        expected = {} if self.label is None else {"expected": CLASS_NAMES[self.label]}
        return {
            "file": self.file,
            "index": self.index,
            "num_frames": self.num_frames,
            "predicted": CLASS_NAMES[int(self.right > 0.5)],
            "probability_right": self.right,
            **expected,
        }


@dataclass(frozen=True)
class AnswerFormat:
    """One way to write answers as text.

    Attributes:
        header: what stands before them.
        line: an answer as a line, its end included.
    """

    header: str
    line: Callable[[Answer], str]


def _json_line(answer: Answer) -> str:
    return json.dumps(answer.to_json(), allow_nan=False) + "\n"


def _csv_row(cells: Iterable[object]) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow(cells)
    return row.getvalue()


def _csv_line(answer: Answer) -> str:
    document = answer.to_json()
    return _csv_row(document.get(column, "") for column in COLUMNS)


FORMATS = {".jsonl": AnswerFormat("", _json_line), ".csv": AnswerFormat(_csv_row(COLUMNS), _csv_line)}


def check_answers_path(path: str) -> None:
    """See whether answers can be written there.

    Raises:
        RequestError: for a name that does not end in one of `FORMATS`, or a place that takes no file.
    """
    if os.path.splitext(path)[1] not in FORMATS:
        raise RequestError(f"--output {path}: with --input, name a file that ends in {' or '.join(FORMATS)}")
    check_output(path)


def write_answers(batches: Iterable[Sequence[Answer]], path: str) -> None:
    """Write answers as they come to a file that appears when it is whole.

    Args:
        batches: answers in order.
        path: the file; see `check_answers_path`.
    """
    kind = FORMATS[os.path.splitext(path)[1]]
    with write_atomically(path, os.path.dirname(path) or ".") as stream:
        stream.write(kind.header.encode())
        for answers in batches:
            # Names of files are bytes, and come as they were given; in JSON they are escaped.
            stream.write("".join(map(kind.line, answers)).encode(errors="surrogateescape"))


def print_answers(batches: Iterable[Sequence[Answer]]) -> None:
    """Print answers as JSON lines, each batch as it comes.

    Raises:
        WorkError: if stdout takes no more of them.
    """
    for answers in batches:
        print_flushed("".join(map(_json_line, answers)))
