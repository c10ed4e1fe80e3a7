"""Program: training, drawing and reading on a GPU, on every backend that sees one.

Each backend in a process of its own. Training: the trainer's model, input and `fit`, by precision and
batch size, in turn with the tutorial's layers fed from arrays on the same device. Drawing: the layer that
draws frames. Reading: the trainer's pipeline alone. Beside them the rate at which the device copies its
memory.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_backend import NO_GPU
from benchmarks.jobs import command, data_set, failure
from benchmarks.results_file import write_results
from benchmarks.spread import Spread
from pipeline.program import ArgumentParser, RequestError, positive_int, run

PROGRAM = "benchmarks.gpu"

_BACKENDS = ("jax", "tensorflow")


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write."""
    parser = ArgumentParser(
        PROGRAM,
        "Measure training, drawing and reading on a GPU, on every backend that sees one.",
        f"python -m {PROGRAM} --output_dir build/bench",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="for gpu.json and the data set, which stay")
    add("--backends", choices=_BACKENDS, nargs="+", default=_BACKENDS, help="to try")
    add("--device", choices=("gpu", "cpu"), default="gpu", help="cpu shows that it works")
    add("--batch_sizes", type=positive_int, nargs="+", default=(256, 1024, 8192), help="of training")
    add("--steps", type=positive_int, default=100, help="a round; the tutorial's has a tenth")
    add("--rounds", type=positive_int, default=3, help="of both sides in turn")
    add("--num_path", type=positive_int, default=2_000_000, help="sequences of the data set")
    flags = parser.parse_args(arguments)
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    data = data_set(directory, "path", flags.num_path)
    measured: dict[str, Any] = {}
    for backend in flags.backends:
        job = command(
            *("benchmarks.gpu_backend", "--data_dir", data, "--device", flags.device, "--steps", flags.steps),
            *("--rounds", flags.rounds, "--batch_sizes", *flags.batch_sizes),
        )
        ended = subprocess.run(
            job, env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True, text=True
        )
        if ended.returncode == NO_GPU:
            continue
        if ended.returncode:
            raise failure(job, ended.stderr)
        measured[backend] = json.loads(ended.stdout.splitlines()[-1])
    if not measured:
        raise RequestError(
            f"no GPU is seen by {' or '.join(flags.backends)}: install '.[gpu]', or --device cpu"
        )
    path = directory / "gpu.json"
    write_results(path, "make gpu", ("keras", "numpy"), {"backends": measured})
    print(f"{table({'backends': measured})}\nmedians of {flags.rounds} rounds (lowest to highest); {path}")
    return 0


def table(figures: dict[str, Any]) -> str:
    """The results in markdown."""
    lines = [
        "| backend, device | | sequences/s | the tutorial way | ratio | waiting for input |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for backend, found in figures["backends"].items():
        where = f"{backend}, {found['device']}"
        for row in found["training"]:
            ours, others = ([each[side] for each in row["rounds"]] for side in ("ours", "tutorial"))
            ratio = Spread.of([one / other for one, other in zip(ours, others, strict=True)]).text(1)
            rates = f"{Spread.of(ours).text(0)} | {Spread.of(others).text(0)}"
            wait = max(each["input_wait"] for each in row["rounds"])
            what = f"train, {row['precision']}, batches of {row['batch_size']}"
            lines.append(f"| {where} | {what} | {rates} | {ratio} | {wait:.1%} |")
        lines.append(f"| {where} | draw frames | {found['drawn_per_second']:,.0f} | | | |")
        lines.append(f"| {where} | read shuffled paths | {found['read_per_second']:,.0f} | | | |")
        lines.append(f"| {where} | copy memory, GB/s | {found['bytes_copied_per_second'] / 1e9:,.0f} | | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(PROGRAM, main)
