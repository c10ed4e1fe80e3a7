"""What sequences, shards and ranges of hashes cost, as `stages` and `many_shards` measured it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.command_line.errors import RequestError, one_line
from pipeline.moving_line.encodings import ENCODINGS


@dataclass(frozen=True)
class ByShards:
    """A figure that grows with the number of shards: ``base + each * shards``."""

    base: float
    each: float

    def at(self, shards: int) -> float:
        """Of so many shards."""
        return self.base + self.each * shards

    @classmethod
    def through(cls, few: tuple[int, float], many: tuple[int, float]) -> ByShards:
        """Fitted to two numbers of shards and the figure at each; one that falls counts as constant."""
        each = max(0.0, (many[1] - few[1]) / (many[0] - few[0]))
        return cls(max(0.0, few[1] - each * few[0]), each)


@dataclass(frozen=True)
class Costs:
    """Measured figures, medians of all rounds; rates and seconds are of one core.

    Attributes:
        image_size: S of the sequences that the rates are of.
        processor: that they were measured on.
        rates: sequences a second, by stage.
        peak_bytes: the most memory of a process, by stage.
        record_bytes: bytes a sequence, by encoding.
        shard_seconds: what a shard takes besides its sequences, by runner.
        hash_seconds: of a sequence's hash, when duplicates are looked for.
        file_seconds, run_seconds: what each file and each sorted run adds to every range of hashes.
        manifest_bytes: of a data set.
        opening_seconds: of a data set, after imports.
        epoch_seconds: to an epoch's first batch, after imports.
        epoch_bytes: memory of the process that does so.
    """

    image_size: int
    processor: str
    rates: Mapping[str, float]
    peak_bytes: Mapping[str, float]
    record_bytes: Mapping[str, float]
    shard_seconds: Mapping[str, float]
    hash_seconds: float
    file_seconds: float
    run_seconds: float
    manifest_bytes: ByShards
    opening_seconds: ByShards
    epoch_seconds: ByShards
    epoch_bytes: ByShards


def read_costs(stages: Path, many_shards: Path) -> Costs:
    """Costs from the results of the tables ``stages`` and ``many_shards``.

    Raises:
        RequestError: if a file cannot be read or is not what the program writes.
    """
    return Costs(**_read(stages, "stages", _of_stages), **_read(many_shards, "many_shards", _of_many_shards))


def _read(path: Path, program: str, figures: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    try:
        return figures(json.loads(path.read_bytes()))
    except OSError as error:
        raise RequestError(f"--{program} {one_line(error)}; name a result of the table {program}") from error
    except (ValueError, LookupError, TypeError, ZeroDivisionError) as error:
        raise RequestError(f"--{program} {path}: is no such table's result") from error


def _of_stages(document: Any) -> dict[str, Any]:
    rounds = document["rounds"]

    def median(figure: Callable[[Any], float]) -> float:
        return statistics.median([figure(each) for each in rounds])

    def of_stage(stage: str, figure: Callable[[Any], float]) -> float:
        return median(lambda each: figure(each["stages"][stage]))

    def of_runner(runner: str) -> float:
        return median(lambda each: seconds_a_shard(each["shards"][runner]))

    def of_duplicates(part: str) -> float:
        return median(lambda each: each["duplicates"][f"seconds_a_{part}"])

    stages = rounds[0]["stages"]
    return {
        "image_size": document["image_size"],
        "processor": document["machine"]["processor"],
        "rates": {name: of_stage(name, lambda work: work["sequences"] / work["seconds"]) for name in stages},
        "peak_bytes": {name: of_stage(name, lambda work: work["peak_bytes"]) for name in stages},
        "record_bytes": {
            encoding: of_stage(f"generation, {encoding}", lambda work: work["bytes"] / work["sequences"])
            for encoding in ENCODINGS
            if f"generation, {encoding}" in stages
        },
        "shard_seconds": {runner: of_runner(runner) for runner in rounds[0]["shards"]},
        **{f"{part}_seconds": of_duplicates(part) for part in ("hash", "file", "run")},
    }


def seconds_a_shard(jobs: Mapping[str, float]) -> float:
    """What a shard more took, of two jobs of the same sequences in few shards and in many."""
    return max(0.0, jobs["many_seconds"] - jobs["few_seconds"]) / jobs["shards_more"]


def _of_many_shards(document: Any) -> dict[str, Any]:
    rounds, shards = document["rounds"], document["num_shards"]

    def fitted(what: str, figure: Callable[[Any], float]) -> ByShards:
        few, many = (
            (shards[name]["all"], statistics.median([figure(each[name][what]) for each in rounds]))
            for name in ("few", "many")
        )
        return ByShards.through(few, many)

    sizes = document["manifest_bytes"]
    return {
        "manifest_bytes": ByShards.through(
            *((shards[name]["all"], float(sizes[name])) for name in ("few", "many"))
        ),
        "opening_seconds": fitted("open", seconds_without_imports),
        "epoch_seconds": fitted("epoch", seconds_without_imports),
        "epoch_bytes": fitted("epoch", lambda step: float(step["peak_bytes"])),
    }


def seconds_without_imports(step: Mapping[str, Any]) -> float:
    """What a step of `benchmarks.open_data` took, but for its imports."""
    parts: dict[str, float] = step["seconds"]
    return sum(seconds for part, seconds in parts.items() if part != "imports")
