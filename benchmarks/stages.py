"""Program: what one core does of every stage in a second, and what a shard costs besides its sequences.

Every stage is a fresh process that the system keeps on one core, all in turn. A shard's cost is the
difference between two jobs of pipeline.generate that make the same sequences, in few and in many shards.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cores import HAS_AFFINITY, one_core
from benchmarks.costs import seconds_a_shard
from benchmarks.jobs import command, data_set, output_of, seconds_of
from benchmarks.judged import data_set_to_judge, run_to_judge
from benchmarks.process_memory import HAS_PROC
from benchmarks.results_file import write_results
from benchmarks.spread import Spread
from benchmarks.stage import IMAGE_SIZE, READ_BATCH_SIZE, TRAINING_BATCH_SIZE
from pipeline.command_line.arguments import ArgumentParser, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run
from pipeline.workers.cores import usable_cores

PROGRAM = "benchmarks.stages"

# Beam runners on this machine, by what follows --direct_running_mode, and their number of workers.
_RUNNERS = {"in_memory": 1, "multi_processing": usable_cores()}
_SHARD_SEQUENCES = 10  # In each of many shards.

Figures = dict[str, float]
Rounds = list[dict[str, Any]]


def main(arguments: Sequence[str]) -> int:
    """Generate what is not there, measure in turn, print two tables."""
    parser = ArgumentParser(
        PROGRAM,
        "Measure what one core does of every stage, and what a shard costs (Linux).",
        f"python -m {PROGRAM} --output_dir /tmp/stages",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="for stages.json, the data sets and the model, which stay")
    add("--rounds", type=positive_int, default=5, help="of all stages in turn")
    add("--num_path", type=positive_int, default=2_000_000, help="sequences made, verified, read as paths")
    add("--num_frames", type=positive_int, default=100_000, help="sequences made and verified as frames")
    add("--num_trained", type=positive_int, default=3_200, help="sequences trained on")
    add("--num_judged", type=positive_int, default=5_000, help="sequences evaluated")
    add("--num_shards", type=positive_int, default=5_000, help="many shards, for what a shard costs")
    flags = parser.parse_args(arguments)
    if not (HAS_PROC and HAS_AFFINITY):
        raise RequestError("cores and memory are told by Linux, which this system is not: run it there")
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    counts = {"path": flags.num_path, "frames": flags.num_frames}
    data = {encoding: data_set(directory, encoding, count) for encoding, count in counts.items()}
    to_judge = data_set_to_judge(directory, flags.num_judged)
    model = run_to_judge(directory, to_judge)

    rounds: Rounds = []
    for _ in range(flags.rounds):
        with one_core(), tempfile.TemporaryDirectory(dir=directory) as new:
            stages = {}
            for encoding, count in counts.items():
                made = Path(new) / encoding
                arguments_of = ("--encoding", encoding)
                stages[f"generation, {encoding}"] = _stage("generation", made, count, *arguments_of)
                stages[f"verification, {encoding}"] = _stage("verification", data[encoding], count)
                shutil.rmtree(made)
            stages["reading"] = _stage("reading", data["path"], flags.num_path)
            stages["training"] = _stage("training", data["path"], flags.num_trained)
            judged = ("--model_dir", model)
            stages["evaluation"] = _stage("evaluation", to_judge, flags.num_judged, *judged)
            duplicates = json.loads(output_of(command("benchmarks.duplicate_ranges")))
        costs = {runner: _shard_cost(directory, runner, flags.num_shards) for runner in _RUNNERS}
        rounds.append({"stages": stages, "duplicates": duplicates, "shards": costs})
    figures = {
        "image_size": IMAGE_SIZE,
        "batch_sizes": {"reading": READ_BATCH_SIZE, "training": TRAINING_BATCH_SIZE},
        "workers": _RUNNERS,
        "rounds": rounds,
    }
    path = directory / "stages.json"
    write_results(path, "make scaling", ("apache_beam", "tensorflow", "keras", "numpy"), figures)
    print(f"{stages_table(figures)}\n\n{costs_table(figures)}")
    print(f"medians of {flags.rounds} rounds (lowest to highest); {path}")
    return 0


def _stage(stage: str, data: Path, count: int, *others: object) -> Figures:
    """What a stage took, in a process of its own."""
    job = command("benchmarks.stage", "--stage", stage, "--data_dir", data, "--num_sequences", count, *others)
    # The trainer prints its model first.
    figures: Figures = json.loads(output_of(job).splitlines()[-1])
    return figures


def _shard_cost(directory: Path, runner: str, num_shards: int) -> Figures:
    """Seconds of two jobs of the same sequences, in one training shard and in many."""
    sequences = num_shards * _SHARD_SEQUENCES
    workers = ("--direct_running_mode", runner, "--direct_num_workers", _RUNNERS[runner])
    splits = ("--num_train", sequences, "--num_validation", 1, "--num_test", 1)

    def seconds(sequences_per_shard: int) -> float:
        with tempfile.TemporaryDirectory(dir=directory) as data:
            size = ("--sequences_per_shard", sequences_per_shard)
            job = command("pipeline.generate", "--output_dir", data, *splits, *workers, *size)
            return seconds_of(job)

    few, many = seconds(sequences), seconds(_SHARD_SEQUENCES)
    return {"shards_more": num_shards - 1, "few_seconds": few, "many_seconds": many}


def stages_table(figures: dict[str, Any]) -> str:
    """What one core does of every stage, in markdown."""
    lines = [
        "| stage, on one core | sequences/s | bytes a sequence | peak memory, MiB |",
        "|---|---:|---:|---:|",
    ]
    rounds = figures["rounds"]
    for stage in rounds[0]["stages"]:
        measured = [each["stages"][stage] for each in rounds]
        rate = Spread.of([each["sequences"] / each["seconds"] for each in measured]).text(0)
        size = f"{measured[0]['bytes'] / measured[0]['sequences']:.1f}" if "bytes" in measured[0] else ""
        memory = Spread.of([each["peak_bytes"] / 2**20 for each in measured]).text(0)
        lines.append(f"| {stage} | {rate} | {size} | {memory} |")
    return "\n".join(lines)


def costs_table(figures: dict[str, Any]) -> str:
    """What comes on top of the sequences, in markdown."""
    lines, rounds = ["| what comes on top | each |", "|---|---:|"], figures["rounds"]
    for runner, workers in figures["workers"].items():
        costs = Spread.of([1e3 * seconds_a_shard(each["shards"][runner]) for each in rounds])
        lines.append(f"| a shard, local {runner}, workers: {workers}, ms | {costs.text(2)} |")
    for name, unit, factor in (("hash", "ns", 1e9), ("file", "µs", 1e6), ("run", "µs", 1e6)):
        taken = Spread.of([factor * each["duplicates"][f"seconds_a_{name}"] for each in rounds])
        of = "duplicates, a hash" if name == "hash" else f"… for every range, a {name}"
        lines.append(f"| {of}, {unit} | {taken.text(1)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(PROGRAM, main)
