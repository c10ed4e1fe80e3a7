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
        image_size, processor: S of the sequences that the rates are of, and what they were measured on.
        rates, peak_bytes: sequences a second, and the most memory of a process, by stage.
        record_bytes: bytes a sequence, by encoding.
        shard_seconds: what a shard takes besides its sequences, by runner.
        hash_seconds: of a sequence's hash, when duplicates are looked for.
        file_seconds, run_seconds: what each file and each sorted run adds to every range of hashes.
        manifest_bytes, opening_seconds: of a data set; imports are not counted.
        epoch_seconds, epoch_bytes: to an epoch's first batch, after imports, and memory of that process.
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
    median = statistics.median
    stages = {name: [each["stages"][name] for each in rounds] for name in rounds[0]["stages"]}
    made = {name: stages.get(f"generation, {name}") for name in ENCODINGS}
    return {
        "image_size": document["image_size"],
        "processor": document["machine"]["processor"],
        "rates": {
            name: median([work["sequences"] / work["seconds"] for work in done])
            for name, done in stages.items()
        },
        "peak_bytes": {name: median([work["peak_bytes"] for work in done]) for name, done in stages.items()},
        "record_bytes": {
            name: median([work["bytes"] / work["sequences"] for work in done])
            for name, done in made.items()
            if done
        },
        "shard_seconds": {
            runner: median([seconds_a_shard(each["shards"][runner]) for each in rounds])
            for runner in rounds[0]["shards"]
        },
        **{
            f"{part}_seconds": median([each["duplicates"][f"seconds_a_{part}"] for each in rounds])
            for part in ("hash", "file", "run")
        },
    }


def seconds_a_shard(jobs: Mapping[str, float]) -> float:
    """What a shard more took, of two jobs of the same sequences in few shards and in many."""
    return max(0.0, jobs["many_seconds"] - jobs["few_seconds"]) / jobs["shards_more"]


def _of_many_shards(document: Any) -> dict[str, Any]:
    rounds, sizes = document["rounds"], document["manifest_bytes"]

    def through(figure: Callable[[str], float]) -> ByShards:
        few, many = ((document["num_shards"][name]["all"], figure(name)) for name in ("few", "many"))
        return ByShards.through(few, many)

    def fitted(what: str, figure: Callable[[Any], float]) -> ByShards:
        return through(lambda name: statistics.median([figure(each[name][what]) for each in rounds]))

    return {
        "manifest_bytes": through(lambda name: float(sizes[name])),
        "opening_seconds": fitted("open", seconds_without_imports),
        "epoch_seconds": fitted("epoch", seconds_without_imports),
        "epoch_bytes": fitted("epoch", lambda step: float(step["peak_bytes"])),
    }


def seconds_without_imports(step: Mapping[str, Any]) -> float:
    """What a step of `benchmarks.open_data` took, but for its imports."""
    parts: dict[str, float] = step["seconds"]
    return sum(seconds for part, seconds in parts.items() if part != "imports")
