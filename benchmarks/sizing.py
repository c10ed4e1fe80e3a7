"""Program: what a number of sequences needs: disk, cores, time and memory, each with its arithmetic.

Nothing is measured: the figures of one core and of one shard are the kept results of the tables ``stages``
and ``many_shards``, or those of files that are named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.costs import ByShards, Costs, read_costs
from benchmarks.results_file import results_path
from pipeline.command_line.arguments import ArgumentParser, path_text, positive_int
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run
from pipeline.dataset.duplicates import HASH_BYTES, HASHES_PER_RUN, num_ranges
from pipeline.dataset.shard_plan import Shard
from pipeline.moving_line.definition import MovingLine
from pipeline.moving_line.encodings import ENCODINGS

PROGRAM = "benchmarks.sizing"

# In bytes and in seconds.
_UNITS = {"bytes": 1, "MB": 1e6, "MiB": 2**20, "s": 1, "µs": 1e-6}
_LONG = 600  # Seconds from which hours are easier to read.


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        settings: of the data set.
        cores: that work at once.
        runner: whose cost of a shard counts.
        gpu_rate: sequences a second that a GPU takes; an assumption.
    """

    settings: MovingLine
    cores: int
    runner: str
    gpu_rate: int


@dataclass(frozen=True)
class Need:
    """A row of the table: what is needed, how much of it, and how that comes about."""

    what: str
    value: float
    unit: str
    arithmetic: str

    def row(self) -> str:
        """For a markdown table."""
        return f"| {self.what} | {number(self.value)} {self.unit} | {self.arithmetic} |"


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    costs, plan = _asked(arguments)
    print(_table(costs, plan))
    print(f"Measured on a core of {costs.processor}, files in the page cache, imports not counted.")
    print(f"Assumed, not measured: a GPU that takes {plan.gpu_rate:,} sequences a second (--gpu_rate).")
    return 0


def table(*arguments: str) -> str:
    """What a data set needs, in markdown; without arguments of the program, a billion sequences."""
    return _table(*_asked(arguments))


def _asked(arguments: Sequence[str]) -> tuple[Costs, Plan]:
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
    add("--cores", type=positive_int, default=64, help="that generate and verify at once")
    add("--runner", default="multi_processing", help="whose cost of a shard counts, as in the stages' file")
    gpu = "sequences a second that a GPU trains on: an assumption, put your own in its place"
    add("--gpu_rate", type=positive_int, default=100_000, help=gpu)
    add("--stages", type=path_text, default=results_path("stages"), help="stages.json of make scaling")
    many_shards = results_path("many-shards")
    add("--many_shards", type=path_text, default=many_shards, help="many_shards.json of make scaling")
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
    return costs, Plan(settings, flags.cores, flags.runner, flags.gpu_rate)


def _table(costs: Costs, plan: Plan) -> str:
    total = sum(plan.settings.num_sequences.values())
    heading = f"| {total:,} sequences of {costs.image_size} frames need | | arithmetic |"
    return "\n".join([heading, "|---|---:|---|", *(need.row() for need in needs(costs, plan))])


def number(value: float) -> str:
    """To three digits, or all that stand before the point."""
    digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def needs(costs: Costs, plan: Plan) -> Iterator[Need]:
    """All rows, in order."""
    shards = plan.settings.shards()
    yield from _disk(costs, plan, shards)
    yield from _generation(costs, plan, shards)
    yield from _reading(costs, plan)


def _disk(costs: Costs, plan: Plan, shards: list[Shard]) -> Iterator[Need]:
    counts, size = plan.settings.num_sequences, costs.record_bytes[plan.settings.encoding]
    for split, count in counts.items():
        files = [shard.num_sequences for shard in shards if shard.split == split]
        most = f"{count:,} sequences, at most {max(files):,} a shard"
        yield Need(f"{split}, files", len(files), "shards", most)
        yield Need(f"{split}, on disk", count * size / 1e9, "GB", f"{count:,} x {number(size)} bytes")
    total = sum(counts.values())
    hashes = f"{total:,} x {HASH_BYTES} bytes"
    yield Need("on disk besides, while it is made", total * HASH_BYTES / 1e9, "GB", hashes)

    def by_shards(what: str, figure: ByShards, unit: str, unit_of_each: str) -> Need:
        base, each = figure.base / _UNITS[unit], figure.each / _UNITS[unit_of_each]
        arithmetic = f"{number(base)} {unit} + {len(shards):,} shards x {number(each)} {unit_of_each}"
        return Need(what, figure.at(len(shards)) / _UNITS[unit], unit, arithmetic)

    yield by_shards("manifest", costs.manifest_bytes, "MB", "bytes")
    yield by_shards("opening it", costs.opening_seconds, "s", "µs")
    yield by_shards("starting an epoch", costs.epoch_seconds, "s", "µs")
    yield by_shards("memory for that", costs.epoch_bytes, "MiB", "bytes")


def _generation(costs: Costs, plan: Plan, shards: list[Shard]) -> Iterator[Need]:
    """Making and verifying, which both look for duplicates."""
    total, encoding = sum(plan.settings.num_sequences.values()), plan.settings.encoding
    making = _core_hours("generation", total, costs.rates[f"generation, {encoding}"])
    verifying = _core_hours("verification", total, costs.rates[f"verification, {encoding}"])
    searching = _duplicates(costs, total, shards)
    each = costs.shard_seconds[plan.runner]
    dealing, cores = len(shards) * each, plan.cores
    yield making
    yield searching
    arithmetic = f"{len(shards):,} shards x {number(1e3 * each)} ms, {plan.runner}"
    yield Need("shards' own cost", dealing, "s", arithmetic)
    # A core has at least a shard, or a range, for itself.
    ranges = num_ranges(total)
    for_shards, for_ranges = min(cores, len(shards)), min(cores, ranges)

    def together(work: Need, besides: float) -> Need:
        """The work on all cores, and seconds in which the runner deals out shards, one after the other."""
        seconds = 3600 * (work.value / for_shards + searching.value / for_ranges) + besides
        value, unit = (seconds, "s") if seconds < _LONG else (seconds / 3600, "hours")
        parts = (work.value, for_shards), (searching.value, for_ranges)
        shared = " + ".join(f"{number(hours)} h / {count} cores" for hours, count in parts)
        arithmetic = f"{shared} + {number(besides)} s" if besides else shared
        return Need(f"{work.what} on {cores} cores", value, unit, arithmetic)

    yield together(making, dealing)
    peak = costs.peak_bytes[f"generation, {encoding}"] / 2**20
    memory = f"{cores} x {number(peak)} MiB"
    yield Need(f"memory of {cores} such processes", cores * peak / 2**10, "GiB", memory)
    yield verifying
    yield together(verifying, 0)
    hashes = total * HASH_BYTES
    arithmetic = f"{ranges:,} ranges x {number(hashes / 1e9)} GB, for pages cannot be mapped there"
    yield Need("read for duplicates in an object store", ranges * hashes / 1e12, "TB", arithmetic)


def _core_hours(what: str, count: int, rate: float) -> Need:
    arithmetic = f"{count:,} / {number(rate)} a second and core / 3,600"
    return Need(what, count / rate / 3600, "core-hours", arithmetic)


def _duplicates(costs: Costs, total: int, shards: list[Shard]) -> Need:
    """Every range of hashes is gathered from every run in every file."""
    ranges, files = num_ranges(total), len(shards)
    runs = sum(-(-shard.num_sequences // HASHES_PER_RUN) for shard in shards)
    seconds = total * costs.hash_seconds + ranges * (files * costs.file_seconds + runs * costs.run_seconds)
    opened = f"{files:,} files x {number(1e6 * costs.file_seconds)} µs"
    searched = f"{runs:,} runs x {number(1e6 * costs.run_seconds)} µs"
    hashes = f"{total:,} x {number(1e9 * costs.hash_seconds)} ns"
    arithmetic = f"({hashes} + {ranges:,} ranges x ({opened} + {searched})) / 3,600"
    return Need("duplicates", seconds / 3600, "core-hours", arithmetic)


def _reading(costs: Costs, plan: Plan) -> Iterator[Need]:
    counts, rate, gpu = plan.settings.num_sequences, costs.rates["reading"], plan.gpu_rate
    train, assumed = counts["train"], f"{gpu:,} a second (assumed)"
    if plan.settings.encoding == "path":  # The only encoding whose reading is measured.
        yield _core_hours("reading an epoch", train, rate)
        arithmetic = f"{assumed} / {number(rate)} a second and core"
        yield Need("readers for one GPU", gpu / rate, "cores", arithmetic)
    yield Need("an epoch on that GPU", train / gpu / 3600, "hours", f"{train:,} / {assumed} / 3,600")
    yield _core_hours("an epoch without a GPU", train, costs.rates["training"])
    yield _core_hours("evaluation", counts["test"], costs.rates["evaluation"])


if __name__ == "__main__":
    run(PROGRAM, main)
