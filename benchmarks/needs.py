"""What a number of sequences needs, by arithmetic over measured costs. Nothing is measured here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.costs import ByShards, Costs
from pipeline.dataset.duplicates import HASH_BYTES, HASHES_PER_RUN, num_ranges
from pipeline.dataset.shard_plan import Shard
from pipeline.moving_line.definition import MovingLine

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
    settings = plan.settings
    size = costs.record_bytes[settings.encoding]
    for split, count in settings.num_sequences.items():
        files = [shard.num_sequences for shard in shards if shard.split == split]
        yield Need(
            f"{split}, files", len(files), "shards", f"{count:,} sequences, at most {max(files):,} a shard"
        )
        yield Need(f"{split}, on disk", count * size / 1e9, "GB", f"{count:,} x {number(size)} bytes")
    total = sum(settings.num_sequences.values())
    yield Need(
        "on disk besides, while it is made", total * HASH_BYTES / 1e9, "GB", f"{total:,} x {HASH_BYTES} bytes"
    )
    yield _by_shards("manifest", costs.manifest_bytes, len(shards), "MB", "bytes")
    yield _by_shards("opening it", costs.opening_seconds, len(shards), "s", "µs")
    yield _by_shards("starting an epoch", costs.epoch_seconds, len(shards), "s", "µs")
    yield _by_shards("memory for that", costs.epoch_bytes, len(shards), "MiB", "bytes")


def _by_shards(what: str, figure: ByShards, shards: int, unit: str, unit_of_each: str) -> Need:
    base, each = figure.base / _UNITS[unit], figure.each / _UNITS[unit_of_each]
    arithmetic = f"{number(base)} {unit} + {shards:,} shards x {number(each)} {unit_of_each}"
    return Need(what, figure.at(shards) / _UNITS[unit], unit, arithmetic)


def _generation(costs: Costs, plan: Plan, shards: list[Shard]) -> Iterator[Need]:
    """Making and verifying, which both look for duplicates."""
    total, encoding = sum(plan.settings.num_sequences.values()), plan.settings.encoding
    making = _core_hours("generation", total, costs.rates[f"generation, {encoding}"])
    verifying = _core_hours("verification", total, costs.rates[f"verification, {encoding}"])
    searching = _duplicates(costs, total, shards)
    each = costs.shard_seconds[plan.runner]
    dealing = len(shards) * each
    yield making
    yield searching
    yield Need(
        "shards' own cost", dealing, "s", f"{len(shards):,} shards x {number(1e3 * each)} ms, {plan.runner}"
    )
    # A core has at least a shard, or a range, for itself.
    ranges = num_ranges(total)
    for_shards, for_ranges = min(plan.cores, len(shards)), min(plan.cores, ranges)

    def together(work: Need, besides: float) -> Need:
        """The work on all cores, and seconds in which the runner deals out shards, one after the other."""
        seconds = 3600 * (work.value / for_shards + searching.value / for_ranges) + besides
        value, unit = (seconds, "s") if seconds < _LONG else (seconds / 3600, "hours")
        shared = (
            f"{number(work.value)} h / {for_shards} cores + {number(searching.value)} h / {for_ranges} cores"
        )
        arithmetic = f"{shared} + {number(besides)} s" if besides else shared
        return Need(f"{work.what} on {plan.cores} cores", value, unit, arithmetic)

    yield together(making, dealing)
    peak = costs.peak_bytes[f"generation, {encoding}"] / 2**20
    yield Need(
        f"memory of {plan.cores} such processes",
        plan.cores * peak / 2**10,
        "GiB",
        f"{plan.cores} x {number(peak)} MiB",
    )
    yield verifying
    yield together(verifying, 0)
    yield Need(
        "read for duplicates in an object store",
        ranges * total * HASH_BYTES / 1e12,
        "TB",
        f"{ranges:,} ranges x {number(total * HASH_BYTES / 1e9)} GB, for pages cannot be mapped there",
    )


def _core_hours(what: str, count: int, rate: float) -> Need:
    arithmetic = f"{count:,} / {number(rate)} a second and core / 3,600"
    return Need(what, count / rate / 3600, "core-hours", arithmetic)


def _duplicates(costs: Costs, total: int, shards: list[Shard]) -> Need:
    """Every range of hashes is gathered from every run in every file."""
    ranges = num_ranges(total)
    runs = sum(-(-shard.num_sequences // HASHES_PER_RUN) for shard in shards)
    files = len(shards)
    seconds = total * costs.hash_seconds + ranges * (files * costs.file_seconds + runs * costs.run_seconds)
    parts = (
        f"{files:,} files x {number(1e6 * costs.file_seconds)} µs",
        f"{runs:,} runs x {number(1e6 * costs.run_seconds)} µs",
    )
    hashes = f"{total:,} x {number(1e9 * costs.hash_seconds)} ns"
    arithmetic = f"({hashes} + {ranges:,} ranges x ({' + '.join(parts)})) / 3,600"
    return Need("duplicates", seconds / 3600, "core-hours", arithmetic)


def _reading(costs: Costs, plan: Plan) -> Iterator[Need]:
    counts, rate = plan.settings.num_sequences, costs.rates["reading"]
    train, test, gpu = counts["train"], counts["test"], plan.gpu_rate
    if plan.settings.encoding == "path":  # The only encoding whose reading is measured.
        yield _core_hours("reading an epoch", train, rate)
        arithmetic = f"{gpu:,} a second (assumed) / {number(rate)} a second and core"
        yield Need("readers for one GPU", gpu / rate, "cores", arithmetic)
    yield Need(
        "an epoch on that GPU", train / gpu / 3600, "hours", f"{train:,} / {gpu:,} a second (assumed) / 3,600"
    )
    yield _core_hours("an epoch without a GPU", train, costs.rates["training"])
    yield _core_hours("evaluation", test, costs.rates["evaluation"])
