"""What one core does of every stage in a second, and what a shard costs besides its sequences.

Every stage is a fresh process that the system keeps on one core, all in turn. A shard's cost is the
difference between two jobs of pipeline.generate that make the same sequences, in few and in many shards.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.costs import seconds_a_shard
from benchmarks.data import IMAGE_SIZE, data_set, data_set_to_judge, run_to_judge
from benchmarks.jobs import call, generate, one_core, result_of, seconds_of
from benchmarks.rows import Spread
from benchmarks.stage import READ_BATCH_SIZE, TRAINING_BATCH_SIZE
from pipeline.workers.cores import usable_cores

# Beam runners on this machine, by what follows --direct_running_mode, and their number of workers.
_RUNNERS = {"in_memory": 1, "multi_processing": usable_cores()}
_ENCODINGS = ("path", "frames")
_SHARD_SEQUENCES = 10  # In each of many shards.


def measure(directory: Path, *, rounds: int, num_shards: int, **counts: int) -> dict[str, Any]:
    """All stages in turn.

    Counts of sequences: ``num_path`` and ``num_frames``, made and verified in an encoding; of paths, these
    are read; ``num_trained`` and ``num_judged``. ``num_shards`` are many, for what a shard costs.
    """
    data = {encoding: data_set(directory, encoding, counts[f"num_{encoding}"]) for encoding in _ENCODINGS}
    to_judge = data_set_to_judge(directory, counts["num_judged"])
    model = run_to_judge(directory, to_judge)
    found = []
    for _ in range(rounds):
        with one_core():
            stages = {}
            for encoding in _ENCODINGS:
                count = counts[f"num_{encoding}"]
                with tempfile.TemporaryDirectory(dir=directory) as new:
                    making = call("stage", "generation", data_dir=new, num_sequences=count, encoding=encoding)
                    stages[f"generation, {encoding}"] = result_of(making)
                checking = call("stage", "verification", data_dir=data[encoding])
                stages[f"verification, {encoding}"] = result_of(checking)
            for stage, asked in (
                ("reading", {"data_dir": data["path"], "num_sequences": counts["num_path"]}),
                ("training", {"data_dir": data["path"], "num_sequences": counts["num_trained"]}),
                ("evaluation", {"data_dir": to_judge, "model_dir": model}),
            ):
                stages[stage] = result_of(call("stage", stage, tensorflow=True, **asked))
            duplicates = result_of(call("stage", "duplicates"))
        costs = {runner: _shard_cost(directory, runner, num_shards) for runner in _RUNNERS}
        found.append({"stages": stages, "duplicates": duplicates, "shards": costs})
    return {
        "image_size": IMAGE_SIZE,
        "batch_sizes": {"reading": READ_BATCH_SIZE, "training": TRAINING_BATCH_SIZE},
        "workers": _RUNNERS,
        "rounds": found,
    }


def _shard_cost(directory: Path, runner: str, num_shards: int) -> dict[str, float]:
    """Seconds of two jobs of the same sequences, in one training shard and in many."""
    sequences = num_shards * _SHARD_SEQUENCES
    workers: dict[str, Any] = {"direct_running_mode": runner, "direct_num_workers": _RUNNERS[runner]}

    def seconds(sequences_per_shard: int) -> float:
        with tempfile.TemporaryDirectory(dir=directory) as data:
            size = {"sequences_per_shard": sequences_per_shard}
            return seconds_of(generate(Path(data), sequences, **workers, **size))

    few, many = seconds(sequences), seconds(_SHARD_SEQUENCES)
    return {"shards_more": num_shards - 1, "few_seconds": few, "many_seconds": many}


def stages_table(figures: dict[str, Any]) -> str:
    """What one core does of every stage, in markdown."""
    rounds = figures["rounds"]
    lines = [
        "| stage, on one core | sequences/s | bytes a sequence | peak memory, MiB |\n|---|---:|---:|---:|"
    ]
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


def table(figures: dict[str, Any]) -> str:
    """Both tables."""
    return f"{stages_table(figures)}\n\n{costs_table(figures)}"
