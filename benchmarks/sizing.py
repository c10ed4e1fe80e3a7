"""Program: what a number of sequences needs: disk, cores, time and memory, each with its arithmetic.

Nothing is measured: the figures of one core and of one shard are the kept results of the tables ``stages``
and ``many_shards``, or those of files that are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.costs import Costs, read_costs
from benchmarks.needs import Plan, needs
from pipeline.command_line.arguments import ArgumentParser, path_text, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run
from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.encodings import ENCODINGS

PROGRAM = "benchmarks.sizing"

CORES = 64
RUNNER = "multi_processing"
# Sequences a second that a GPU trains on: an assumption.
GPU_RATE = 100_000

_RESULTS = Path(__file__).parent / "results"
_KEPT = "amd-epyc-2-cores.json"


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = ArgumentParser(
        PROGRAM,
        "Say what so many sequences need, by arithmetic over measured figures.",
        f"python -m {PROGRAM} --num_sequences 1000000000",
    )
    add = parser.add_argument
    add("--num_sequences", type=positive_int, default=1_000_000_000, help="of all splits together")
    add("--num_validation", type=positive_int, help="of these, for validation (default: a hundredth)")
    add("--num_test", type=positive_int, help="of these, for tests (default: a hundredth)")
    add("--encoding", choices=tuple(ENCODINGS), default="path", help="of the records")
    add("--sequences_per_shard", type=positive_int, help="as for pipeline.generate")
    add("--cores", type=positive_int, default=CORES, help="that generate and verify at once")
    add("--runner", default=RUNNER, help="whose cost of a shard counts, as in the stages' file")
    add(
        "--gpu_rate",
        type=positive_int,
        default=GPU_RATE,
        help="sequences a second that a GPU trains on: an assumption, put your own in its place",
    )
    add(
        "--stages",
        type=path_text,
        default=_RESULTS / f"stages-{_KEPT}",
        help="result of benchmarks.bench stages",
    )
    add(
        "--many_shards",
        type=path_text,
        default=_RESULTS / f"many-shards-{_KEPT}",
        help="of benchmarks.bench many_shards",
    )
    flags = parser.parse_args(arguments)
    costs = read_costs(Path(flags.stages), Path(flags.many_shards))
    if flags.runner not in costs.shard_seconds:
        raise RequestError(f"--runner {flags.runner}: give one of {', '.join(costs.shard_seconds)}")
    if flags.encoding not in costs.record_bytes:
        raise RequestError(f"--encoding {flags.encoding}: {flags.stages} has no figures of it")
    total = flags.num_sequences
    validation, test = (count or max(1, total // 100) for count in (flags.num_validation, flags.num_test))
    if validation + test >= total:
        raise RequestError(
            f"--num_sequences {total}: validation takes {validation}, tests {test}; leave some for training"
        )
    settings = MovingLine(
        seed=0,
        image_size=costs.image_size,
        encoding=flags.encoding,
        num_train=total - validation - test,
        num_validation=validation,
        num_test=test,
        sequences_per_shard=flags.sequences_per_shard,
    )
    print(table(costs, Plan(settings, flags.cores, flags.runner, flags.gpu_rate)))
    print(f"Measured on a core of {costs.processor}, files in the page cache, imports not counted.")
    print(f"Assumed, not measured: a GPU that takes {flags.gpu_rate:,} sequences a second (--gpu_rate).")
    return 0


def table(costs: Costs, plan: Plan) -> str:
    """What a data set needs, in markdown."""
    total = sum(plan.settings.num_sequences.values())
    heading = f"| {total:,} sequences of {costs.image_size} frames need | | arithmetic |"
    return "\n".join([heading, "|---|---:|---|", *(need.row() for need in needs(costs, plan))])


if __name__ == "__main__":
    run(PROGRAM, main)
