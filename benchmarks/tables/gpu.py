"""Training, drawing and reading on a GPU, on every backend that sees one.

Each backend in a process of its own. Training: the trainer's model, input and `fit`, on paths and on stored
frames, by precision and batch size, in turn with the tutorial's layers fed from arrays on the same device.
Drawing: the layer that draws frames. Reading: the trainer's pipeline alone. Beside them the rates at which
the device copies its memory and multiplies large matrices, and which shares of these training needs at least.

What fails is a line beside the figures, and does not keep the rest from being measured.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.jobs import call, failure
from benchmarks.rows import Spread
from pipeline.command_line.errors import RequestError

_SHARES = ("of_matrix_rate", "of_copy_rate")
_COLUMNS = (
    *("backend, device", "", "sequences/s", "the tutorial way", "ratio"),
    *("waiting for input", "of the matrix rate", "of the copy rate"),
)


def measure(directory: Path, *, backends: Sequence[str], **settings: Any) -> Iterator[dict[str, Any]]:
    """Every backend in turn: all figures so far, whenever there are more of a backend that sees a GPU.

    The other settings are those of `benchmarks.gpu_backend.measure`.

    Raises:
        RequestError: if none sees a GPU.
    """
    measured: dict[str, dict[str, Any]] = {}
    for backend in backends:
        found: dict[str, Any] = {"training": [], "failed": []}
        measured[backend] = found
        job = call("gpu_backend", "measure", tensorflow=True, directory=directory, **settings)
        for told in _told_by(backend, job):
            for name, value in told.items():
                found[name] = [*found[name], value] if name in ("training", "failed") else value
            if "device" in found:
                yield {"backends": measured}
    if not any("device" in found for found in measured.values()):
        raise RequestError(f"no backend sees a GPU: {'; '.join(map(_without_device, measured.values()))}")
    yield {"backends": measured}


def problems(figures: dict[str, Any]) -> list[str]:
    """What failed."""
    backends = figures["backends"].items()
    return [f"{backend}: {reason}" for backend, found in backends for reason in found["failed"]]


def _told_by(backend: str, job: list[str]) -> Iterator[dict[str, Any]]:
    """All that a backend's process tells, and at last its failure."""
    environment = {**os.environ, "KERAS_BACKEND": backend}
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(job, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):  # Keras prints a summary of every model.
                yield json.loads(line)
        if code := process.wait():
            errors.seek(0)
            by_signal = f"its process was ended by {signal.Signals(-code).name}" if code < 0 else ""
            yield {"failed": by_signal or str(failure(job, errors.read()))}


def _without_device(found: dict[str, Any]) -> str:
    """Why a backend measured nothing."""
    return str(found.get("no_gpu") or found["failed"][0])


def table(figures: dict[str, Any]) -> str:
    """The results in markdown."""
    lines = [_line(*_COLUMNS), f"|---|---|{'---:|' * (len(_COLUMNS) - 2)}"]
    for backend, found in figures["backends"].items():
        if "device" not in found:
            lines.append(_line(backend, _without_device(found)))
            continue
        where = f"{backend}, {found['device']}"
        lines += [_line(where, *cells) for row in found["training"] for cells in _of_training(row)]
        for what in ("draw frames", "read shuffled paths", "read shuffled frames"):
            if what in found:
                lines.append(_line(where, what, f"{found[what]:,.0f}"))
        for limit, rate in found.get("limits", {}).items():
            what, unit = ("copy memory, GB/s", 1e9) if limit == "copy" else (f"{limit}, TFLOP/s", 1e12)
            lines.append(_line(where, what, f"{rate / unit:,.1f}"))
        lines += [_line(where, f"failed: {reason}") for reason in found["failed"]]
    return "\n".join(lines)


def _of_training(row: dict[str, Any]) -> Iterator[list[str]]:
    """Cells of the table for what was measured of a precision and a batch size: of paths, and of frames."""
    theirs = row["sides"].get("tutorial", {}).get("rates")
    for name, side in row["sides"].items():
        if name != "tutorial":
            ours = side["rates"]
            ratio = [one / other for one, other in zip(ours, theirs, strict=True)] if theirs else []
            yield [
                f"train on {name}, {row['precision']}, batches of {row['batch_size']}",
                Spread.of(ours).text(0),
                Spread.of(theirs).text(0) if theirs else "",
                Spread.of(ratio).text(1) if ratio else "",
                f"{side['input_wait']:.1%}",
                *(f"{side[share]:.1%}" if share in side else "" for share in _SHARES),
            ]


def _line(*cells: str) -> str:
    shown = [cell.replace("|", "/") for cell in cells]
    return f"| {' | '.join([*shown, *[''] * (len(_COLUMNS) - len(shown))])} |"
