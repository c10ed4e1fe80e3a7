"""Checks every byte of a data set, and repairs the data set on request."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.command_line.errors import RequestError, one_line
from pipeline.command_line.progress import Progress
from pipeline.dataset.duplicates import Duplicates, count_in_range, num_ranges
from pipeline.dataset.manifest import MANIFEST_NAME, Manifest
from pipeline.dataset.shard_plan import Shard, is_shard_name
from pipeline.dataset.splits import ShardEntry
from pipeline.dataset.statistics import ChiSquaredTest
from pipeline.dataset.tfds_metadata import metadata_files
from pipeline.definition import Definition
from pipeline.generation.request import Request
from pipeline.generation.shard_summary import split_of
from pipeline.generation.work_folder import WorkFolder
from pipeline.storage import atomic_files, files
from pipeline.storage.tfrecord import HEADER_BYTES, MAX_PAYLOAD_BYTES
from pipeline.verification.damage import Problem
from pipeline.verification.repair import MIN_PARALLEL_BYTES, rebuild
from pipeline.verification.shard_check import ShardCheck, check_shard
from pipeline.workers.local_pool import Pool, local_pool

_SKIP_BYTES = 2**20


@dataclass
class DatasetCheck:
    """Result of the check of a data set.

    Attributes:
        directory: directory of the data set.
        manifest: its manifest; if all shards are correct, with statistics, duplicates and content digests
            computed from the examples read. None if the manifest cannot be read.
        problems: the problems found, at most `MAX_PROBLEMS_PER_SHARD` of a shard.
        findings: what is wrong with the sources or the splits, not with a file of the data set.
        repaired: names of the files that were written again and are correct now.
        tests: chi-squared tests of the examples; empty if a shard is damaged.
    """

    directory: str
    manifest: Manifest | None = None
    problems: list[Problem] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    repaired: set[str] = field(default_factory=set)
    tests: list[ChiSquaredTest] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether problems are repaired, nothing else was found and examples follow the definition."""
        is_whole = all(problem.file in self.repaired for problem in self.problems)
        return is_whole and not self.findings and self.follows_definition

    @property
    def follows_definition(self) -> bool:
        """Whether every chi-squared test holds."""
        return all(test.holds for test in self.tests)

    def to_json(self) -> dict[str, Any]:
        """The result in JSON values, as ``pipeline.verify --json`` prints it."""
        document: dict[str, Any] = {
            "data_dir": self.directory,
            "passed": self.passed,
            "problems": [
                {**problem.to_json(), "repaired": problem.file in self.repaired} for problem in self.problems
            ],
            "findings": self.findings,
            "fits": [test.to_json() for test in self.tests],
        }
        if self.manifest is not None:
            splits = self.manifest.splits
            document |= {
                "fingerprint": self.manifest.fingerprint,
                "content_digest": self.manifest.content_digest,
                "num_sequences": {name: split.num_sequences for name, split in splits.items()},
                "num_bytes": {name: split.num_bytes for name, split in splits.items()},
                "statistics": {name: split.statistics for name, split in splits.items()},
                "duplicates": self.manifest.duplicates.to_json(),
            }
        return document


def verify(
    directory: str,
    *,
    repair: bool = False,
    against_sources: bool = False,
    allow_leaks: bool = False,
    places: Mapping[str, str] | None = None,
    progress_label: str = "verifying",
) -> DatasetCheck:
    """Check every byte of a data set, on all cores.

    Args:
        directory: directory of the data set.
        repair: write damaged and missing files again, with the same bytes. Needs the directory's lock.
        against_sources: read the sources of a kind that has some, too, and compare.
        allow_leaks: whether examples of one split may repeat in another; see `Definition.findings`.
        places: where the sources are now; by default, where they were. See `Definition.at`.
        progress_label: shown in front of the progress.

    Raises:
        RequestError: if the directory holds no data set, not even a damaged one, or the kind cannot be found.
        WorkError: if a worker process died, or the digest of a repaired shard is not the manifest's.
        OSError: if a file cannot be written.
    """
    result = DatasetCheck(directory)
    names = _list(directory)
    result.manifest = manifest = _read_manifest(result, names)
    if manifest is None:
        return result
    made, known = Request.of_manifest(manifest), Request.of(manifest.definition)
    if made != known:
        reason = f"is of another version of this program ({made.difference(known)}); verify it with that one"
        result.problems.append(Problem(MANIFEST_NAME, reason))
        return result
    shards = manifest.listed_shards()
    definition = manifest.definition.at(directory, places).at(directory, manifest.environment)
    for name in sorted(name for name in names - manifest.file_names() if is_shard_name(name)):
        result.problems.append(Problem(name, "is no part of the data set: remove it"))
    with (
        local_pool(sum(entry.num_bytes for entry in shards.values()) >= MIN_PARALLEL_BYTES) as pool,
        tempfile.TemporaryDirectory() as hashes,
    ):
        checks = _check(pool, shards, definition, directory, hashes, progress_label)
        result.problems += [
            _located(problem, shard, definition, directory)
            for shard in shards
            for problem in checks[shard].problems
        ]
        damaged = {shard: entry for shard, entry in shards.items() if checks[shard].problems}
        if repair and damaged:
            rebuild(pool, damaged, definition, directory, f"{progress_label}: repairing")
            again = f"{progress_label}: reading the repaired"
            checks |= _check(pool, damaged, definition, directory, hashes, again)
            for shard, entry in damaged.items():
                if not checks[shard].problems:
                    result.repaired |= (
                        {entry.file} if definition.is_pure else {entry.file, shard.digests_name}
                    )
        run = pool.run if against_sources else None
        result.findings += definition.findings(run, allow_leaks)
        if not any(check.problems for check in checks.values()):
            actual = _sum_up(pool, checks, manifest, hashes)
            result.manifest = actual
            for name in actual.splits:
                result.tests += definition.chi_squared_tests(name, actual.statistics(name))
    _check_small_files(result, manifest, repair)
    return result


def _located(problem: Problem, shard: Shard, definition: Definition, directory: str) -> Problem:
    """The problem with what the kind says of the place, if it is a record's."""
    if problem.record is None or problem.record >= shard.num_sequences or problem.file != shard.file_name:
        return problem
    with suppress(OSError), files.open_binary(files.join(directory, problem.file)) as stream:
        for _ in range((problem.offset_bytes or 0) // _SKIP_BYTES):
            stream.read(_SKIP_BYTES)
        stream.read((problem.offset_bytes or 0) % _SKIP_BYTES)
        header = stream.read(HEADER_BYTES)
        size = int.from_bytes(header[:8], "little")
        payload = stream.read(size) if size <= MAX_PAYLOAD_BYTES else b""
        where = definition.locate(shard.split, shard.first_sequence + problem.record, payload)
        return replace(problem, reason=f"{problem.reason} ({where})") if where else problem
    return problem


def _list(directory: str) -> set[str]:
    try:
        if not files.directory_exists(directory):
            raise RequestError(f"{directory}: no such directory; name one that pipeline.generate made")
        names = files.list_names(directory)
    except (OSError, ValueError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"{directory}: cannot be read ({one_line(error)})") from error
    if MANIFEST_NAME not in names and not any(map(is_shard_name, names)):
        raise RequestError(f"{directory}: holds no data set; name a directory that pipeline.generate made")
    return names


def _read_manifest(result: DatasetCheck, names: set[str]) -> Manifest | None:
    path = WorkFolder(result.directory).manifest_path
    if MANIFEST_NAME not in names:
        reason = "is missing: the data set is not finished; run pipeline.generate with its settings again"
    else:
        try:
            return Manifest.from_bytes(files.read_bytes(path), path)
        except (OSError, RequestError) as error:
            reason = one_line(error).replace(f"{path} ", "").replace(f"{path}: ", "")
    result.problems.append(Problem(MANIFEST_NAME, reason))
    return None


def _check(
    pool: Pool,
    shards: Mapping[Shard, ShardEntry],
    definition: Definition,
    directory: str,
    hashes: str,
    progress_label: str,
) -> dict[Shard, ShardCheck]:
    checks, done = {}, 0
    with Progress(progress_label, sum(shard.num_sequences for shard in shards)) as progress:
        arguments = definition, directory, hashes
        for (shard, _), check in pool.run(check_shard, shards.items(), *arguments):
            checks[shard] = check
            done += shard.num_sequences
            progress.set(done)
    return checks


def _sum_up(pool: Pool, checks: Mapping[Shard, ShardCheck], manifest: Manifest, hashes: str) -> Manifest:
    """The manifest with statistics, content digests and duplicates of the examples that were read."""
    splits = {}
    for name, split in manifest.splits.items():
        summaries = [
            check.summary
            for shard, check in sorted(checks.items(), key=lambda item: item[0].index)
            if shard.split == name and check.summary is not None
        ]
        splits[name] = split_of(split.shards, summaries)
    paths = {
        split: [os.path.join(hashes, shard.file_name) for shard in checks if shard.split == split]
        for split in manifest.splits
    }
    ranges = num_ranges(sum(shard.num_sequences for shard in checks))
    counts = (found for _, found in pool.run(_count, range(ranges), paths, ranges))
    return replace(manifest, splits=splits, duplicates=sum(counts, Duplicates.zero(manifest.splits)))


def _count(index: int, paths: Mapping[str, list[str]], ranges: int) -> Duplicates:
    return count_in_range(paths, index, ranges)


def _check_small_files(result: DatasetCheck, read: Manifest, repair: bool) -> None:
    """Compare manifest and TFDS metadata with those of the examples read; write them again on request."""
    actual = result.manifest or read
    wrong = {}
    if actual != read:
        wrong[MANIFEST_NAME] = "statistics, duplicates or content digest are not those of the sequences"
    contents = metadata_files(actual)
    for name, content in contents.items():
        path = files.join(result.directory, name)
        try:
            if not files.file_exists(path):
                wrong[name] = "is missing"
            elif files.read_bytes(path) != content:
                wrong[name] = "does not say what the manifest says"
        except OSError as error:
            wrong[name] = f"cannot be read ({error.strerror or one_line(error)})"
    result.problems += [Problem(name, reason) for name, reason in wrong.items()]
    if repair and wrong:
        contents[MANIFEST_NAME] = actual.to_bytes()
        work_folder = WorkFolder(result.directory)
        work_folder.make()
        for name in wrong:
            atomic_files.write_bytes(files.join(result.directory, name), contents[name], work_folder.path)
        work_folder.remove()
        result.repaired |= set(wrong)
