"""A data set's directory while it is being made.

Everything unfinished lives in a hidden folder of the output directory: the request itself, temporary
files and, for every finished shard, a small report and its sequences' hashes. The folder goes when the
manifest is there. A rerun of the same request finds the reports and makes only what is missing.

Nothing of it is believed without a digest: requests and reports carry their own, and a report has those of
the shard and of the hashes. A request names the settings and the versions that decide bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.command_line.errors import RequestError, WorkError
from pipeline.dataset.duplicates import Duplicates
from pipeline.dataset.manifest import (
    MANIFEST_NAME,
    PARSING_ERRORS,
    Manifest,
)
from pipeline.dataset.shard_plan import Shard
from pipeline.dataset.splits import ShardEntry
from pipeline.dataset.tfds_metadata import metadata_files
from pipeline.definition import Definition, reference_to
from pipeline.generation.shard_summary import ShardSummary, split_of
from pipeline.storage import atomic_files, files
from pipeline.storage.sealed_json import seal, unseal

WORK_FOLDER = ".generation"
_READ_BYTES = 2**20


@dataclass(frozen=True)
class Request:
    """What a directory is being filled for: everything that the bytes of the shards depend on.

    Attributes:
        kind: what ``--dataset`` takes to find the kind of data set.
        settings: what is asked for.
        versions: of what turns settings into bytes: definition, format and, where one decides, libraries.
    """

    kind: str
    settings: dict[str, Any]
    versions: dict[str, str]

    @classmethod
    def of(cls, definition: Definition) -> Request:
        """The request for a data set, as this process would fulfil it."""
        versions = {"definition": str(definition.version), "format": str(definition.format_version)}
        kind = reference_to(type(definition))
        return cls(kind, definition.to_json(), {**versions, **definition.libraries()})

    @classmethod
    def of_manifest(cls, manifest: Manifest) -> Request:
        """The request that a finished data set fulfils.

        Which library compressed it does not matter any more: nothing will be added to it, and a repair
        compares digests. Manifests written before they named their definition are of version 1.
        """
        request = cls.of(manifest.definition)
        definition = manifest.environment.get("definition", "1")
        return replace(request, versions={**request.versions, "definition": definition})

    def is_of_same_data_set(self, other: Request) -> bool:
        """Whether both ask for the same, perhaps of different versions."""
        return (self.kind, self.settings) == (other.kind, other.settings)

    def difference(self, other: Request) -> str:
        """What ``other`` has otherwise, for people: ``seed 3, not 4``."""
        before, after = (
            {"dataset": request.kind, **request.settings, **request.versions} for request in (self, other)
        )
        return ", ".join(
            f"{name} {before.get(name)}, not {after.get(name)}"
            for name in {**before, **after}
            if before.get(name) != after.get(name)
        )

    def to_json(self) -> dict[str, Any]:
        """As it stands in files."""
        return {"dataset": self.kind, "settings": self.settings, "versions": self.versions}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Request:
        """The inverse of `to_json`."""
        return cls(data["dataset"], dict(data["settings"]), dict(data["versions"]))


@dataclass(frozen=True)
class ShardReport:
    """What is known of a finished shard.

    Attributes:
        entry: as it will stand in the manifest.
        summary: of its sequences.
        hashes_sha256: hexadecimal digest of the file of its sequences' hashes.
        request: what it was made for.
    """

    entry: ShardEntry
    summary: ShardSummary
    hashes_sha256: str
    request: Request

    def to_bytes(self) -> bytes:
        """The content of the report's file."""
        return seal(
            {
                "entry": self.entry.to_json(),
                "summary": self.summary.to_json(),
                "hashes_sha256": self.hashes_sha256,
                "request": self.request.to_json(),
            }
        )

    @classmethod
    def from_bytes(cls, content: bytes, definition: Definition) -> ShardReport:
        """The inverse of `to_bytes`.

        Args:
            content: the file's.
            definition: of the data set.

        Raises:
            ValueError: if the content is damaged, or of another version of this program.
        """
        document = unseal(content)
        try:
            return cls(
                ShardEntry.from_json(document["entry"]),
                ShardSummary.from_json(document["summary"], definition),
                document["hashes_sha256"],
                Request.from_json(document["request"]),
            )
        except PARSING_ERRORS as error:
            raise ValueError("not a report of this version") from error


@dataclass(frozen=True)
class Workspace:
    """Paths and steps of one data set under way in ``directory``."""

    directory: str

    @property
    def state(self) -> str:
        """The hidden folder."""
        return files.join(self.directory, WORK_FOLDER)

    @property
    def request_path(self) -> str:
        """What the directory is being filled for."""
        return files.join(self.state, "request.json")

    @property
    def manifest_path(self) -> str:
        """Written last."""
        return files.join(self.directory, MANIFEST_NAME)

    def path(self, shard: Shard) -> str:
        """A shard's final path."""
        return files.join(self.directory, shard.file_name)

    def digests_path(self, shard: Shard) -> str:
        """The final path of the digests of a shard's records, where the kind is not pure."""
        return files.join(self.directory, shard.digests_name)

    @property
    def reports(self) -> str:
        """Directory of the reports, a file a shard."""
        return files.join(self.state, "reports")

    def report_path(self, shard: Shard) -> str:
        """The report that lies beside a shard until the data set is finished."""
        return files.join(self.reports, f"{shard.file_name}.json")

    @property
    def hashes(self) -> str:
        """Directory of the hashes of sequences, a file a shard; see `pipeline.dataset.duplicates`."""
        return files.join(self.state, "hashes")

    def hashes_path(self, shard: Shard) -> str:
        """The hashes of a shard's sequences, which lie there until the data set is finished."""
        return files.join(self.hashes, shard.file_name)

    def finished_manifest(self, definition: Definition) -> Manifest | None:
        """The manifest, if the directory holds the data set that is asked for.

        Runners may do a step again that was done, or let a lost worker go on: all steps look here first.
        """
        if not files.file_exists(self.manifest_path):
            return None
        manifest = Manifest.from_bytes(files.read_bytes(self.manifest_path), self.manifest_path)
        asked = reference_to(type(definition)), definition.to_json()
        return manifest if (manifest.kind, manifest.settings) == asked else None

    def write_request(self, request: Request) -> None:
        """Claim the directory for a request."""
        atomic_files.write_bytes(self.request_path, seal(request.to_json()), self.state)

    def read_request(self) -> Request | None:
        """The request that the directory was claimed for, if any.

        Raises:
            RequestError: if it is damaged, or of a version of this program that wrote it otherwise.
        """
        if not files.file_exists(self.request_path):
            return None
        try:
            return Request.from_json(unseal(files.read_bytes(self.request_path)))
        except PARSING_ERRORS as error:
            raise RequestError(
                f"{self.request_path} is damaged, or of another version of this program;"
                f" remove {self.directory} or name another directory"
            ) from error

    def write_report(self, shard: Shard, report: ShardReport) -> None:
        """Say that a shard is finished."""
        atomic_files.write_bytes(self.report_path(shard), report.to_bytes(), self.reports, durable=False)

    def check_request(self, request: Request) -> None:
        """See that the directory is still being filled for this very request.

        Raises:
            WorkError: if not; a lost worker of an earlier request must not write into a later one's, nor a
                worker with other versions than those that the directory was claimed with.
        """
        claimed = self.read_request()
        if claimed == request:
            return
        if claimed is not None and claimed.is_of_same_data_set(request):
            raise WorkError(
                f"{self.directory}: this worker would write other bytes than the request says"
                f" ({claimed.difference(request)}); install the same versions everywhere"
            )
        raise WorkError(f"{self.directory}: is no longer being filled for this request")

    def finished_report(self, shard: Shard, request: Request, definition: Definition) -> ShardReport | None:
        """The report of a shard that an earlier run of the request finished and whose bytes check out."""
        if not files.file_exists(self.report_path(shard)):
            return None
        try:
            report = self.read_report(shard, definition)
        except ValueError:
            return None
        expected = {self.path(shard): report.entry.sha256, self.hashes_path(shard): report.hashes_sha256}
        if report.entry.digests_sha256 is not None:
            expected[self.digests_path(shard)] = report.entry.digests_sha256
        is_whole = report.request == request and all(
            files.file_exists(path) and file_sha256(path) == sha256 for path, sha256 in expected.items()
        )
        return report if is_whole else None

    def read_report(self, shard: Shard, definition: Definition) -> ShardReport:
        """The report of a finished shard.

        Raises:
            ValueError: if it is damaged.
        """
        return ShardReport.from_bytes(files.read_bytes(self.report_path(shard)), definition)

    def finished_sequences(self, shards: list[Shard]) -> int:
        """Sequences in the shards finished so far, by one listing of the reports."""
        reports = files.list_names(self.reports)
        return sum(shard.num_sequences for shard in shards if f"{shard.file_name}.json" in reports)

    def finish(self, definition: Definition, duplicates: Duplicates, environment: dict[str, str]) -> Manifest:
        """Write the metadata and, last, the manifest; then remove the hidden folder.

        Raises:
            WorkError: if a shard is not there as its report says.
        """
        splits, plan = {}, definition.shards()
        for name in definition.num_sequences:
            reports = [self._report_for_manifest(shard, definition) for shard in plan if shard.split == name]
            entries, summaries = [each.entry for each in reports], [each.summary for each in reports]
            splits[name] = split_of(entries, summaries)
        manifest = Manifest.of(definition, splits, duplicates, environment)
        self._check_shards(list(manifest.listed_shards().values()))
        atomic_files.sync(self.directory)  # The names of the shards, whose bytes are on the disk.
        for file_name, content in metadata_files(manifest).items():
            atomic_files.write_bytes(files.join(self.directory, file_name), content, self.state)
        atomic_files.write_bytes(self.manifest_path, manifest.to_bytes(), self.state)
        self.remove_state()
        return manifest

    def _report_for_manifest(self, shard: Shard, definition: Definition) -> ShardReport:
        path = self.report_path(shard)
        try:
            return self.read_report(shard, definition)
        except ValueError as error:
            raise WorkError(f"{path}: was damaged while the data set was made ({error})") from error

    def _check_shards(self, entries: Sequence[ShardEntry]) -> None:
        """See that every shard is there with its size, by one listing."""
        sizes = files.list_sizes(self.directory)
        for entry in entries:
            if (size := sizes.get(entry.file)) != entry.num_bytes:
                found = "is missing" if size is None else f"has {size} bytes"
                raise WorkError(
                    f"{files.join(self.directory, entry.file)}: {found} though it was finished with"
                    f" {entry.num_bytes} bytes; something else changes this directory"
                )

    def make_state(self) -> None:
        """Make the hidden folder. Only the lock's holder calls this, so that a stale worker fails instead."""
        for directory in (self.state, self.hashes, self.reports):
            files.make_directory(directory)

    def remove_unfinished(self) -> None:
        """Remove what killed workers left half-written in the hidden folder; for the lock's holder, too."""
        for name in files.list_sizes(self.state):
            if name.endswith(atomic_files.TEMPORARY_SUFFIX):
                files.delete_file(files.join(self.state, name))

    def remove_state(self) -> None:
        """Remove the hidden folder; what a lost worker is just writing there stays until the next run."""
        if files.directory_exists(self.state):
            with contextlib.suppress(OSError):
                files.delete_tree(self.state)


def file_sha256(path: str) -> str:
    """Hexadecimal digest of a file's bytes."""
    digest = hashlib.sha256()
    with files.open_binary(path) as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
