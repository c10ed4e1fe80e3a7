"""Program: training, drawing and reading on a GPU, on every backend that sees one.

Each backend in a process of its own. Training: the trainer's model, input and `fit`, on paths and on stored
frames, by precision and batch size, in turn with the tutorial's layers fed from arrays on the same device.
Drawing: the layer that draws frames. Reading: the trainer's pipeline alone. Beside them the rates at which
the device copies its memory and multiplies large matrices, and which shares of these training needs at least.

``gpu.json`` is written anew with every figure that comes. What fails is a line in it, and does not keep the
rest from being measured.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_backend import add_flags
from benchmarks.jobs import command, failure
from benchmarks.results_file import write_results
from benchmarks.spread import Spread
from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run

PROGRAM = "benchmarks.gpu"

_BACKENDS = ("jax", "tensorflow")
_SHARES = ("of_matrix_rate", "of_copy_rate")
_COLUMNS = (
    *("backend, device", "", "sequences/s", "the tutorial way", "ratio"),
    *("waiting for input", "of the matrix rate", "of the copy rate"),
)


def main(arguments: Sequence[str]) -> int:
    """Measure, write, print; 1 if something failed."""
    parser = ArgumentParser(
        PROGRAM,
        "Measure training, drawing and reading on a GPU, on every backend that sees one.",
        f"python -m {PROGRAM} --output_dir build/bench",
    )
    add_flags(parser)
    parser.add_argument("--backends", choices=_BACKENDS, nargs="+", default=_BACKENDS, help="to try")
    flags = parser.parse_args(arguments)
    path = Path(flags.output_dir) / "gpu.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    measured: dict[str, dict[str, Any]] = {}
    for backend in flags.backends:
        found: dict[str, Any] = {"training": [], "failed": []}
        measured[backend] = found
        for told in _told_by(backend, flags):
            for name, value in told.items():
                found[name] = [*found[name], value] if name in ("training", "failed") else value
            if "device" in found:
                _write(path, measured)
                if "failed" in told:
                    _say(backend, told["failed"])
    without = {
        backend: _without_device(found) for backend, found in measured.items() if "device" not in found
    }
    if len(without) == len(measured):
        raise RequestError(f"no backend sees a GPU: {'; '.join(without.values())}")
    for backend, reason in without.items():
        _say(backend, reason)
    _write(path, measured)
    print(f"{table({'backends': measured})}\nmedians of {flags.rounds} rounds (lowest to highest); {path}")
    return int(any(found["failed"] for found in measured.values()))


def _told_by(backend: str, flags: Any) -> Iterator[dict[str, Any]]:
    """All that a backend's process tells, and at last its failure."""
    job = command(
        *("benchmarks.gpu_backend", "--output_dir", flags.output_dir, "--device", flags.device),
        *("--batch_sizes", *flags.batch_sizes, "--steps", flags.steps, "--rounds", flags.rounds),
        *("--image_size", flags.image_size, "--num_path", flags.num_path, "--num_frames", flags.num_frames),
    )
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


def _say(backend: str, reason: str) -> None:
    print(f"{PROGRAM}: {backend}: {reason}", file=sys.stderr, flush=True)


def _write(path: Path, measured: dict[str, Any]) -> None:
    write_results(path, "make gpu", ("keras", "numpy"), {"backends": measured})


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


if __name__ == "__main__":
    run(PROGRAM, main)
