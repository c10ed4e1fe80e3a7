"""The work folder: a hidden folder in the output directory of a data set that is being made.

It holds the request, temporary files and, for every finished shard, a small report and the hashes of the
shard's examples. It is removed when the manifest is written. A rerun of the same request reads the reports
and makes only the shards that are missing.

A rerun checks a digest of everything that it uses: a request and a report contain their own, and a report
contains those of the shard and of the hashes. A request names the settings and the versions that decide the
bytes, so shards of another request or version are not used.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.command_line.errors import RequestError, WorkError
from pipeline.dataset.duplicates import Duplicates
from pipeline.dataset.manifest import MANIFEST_NAME, PARSING_ERRORS, Manifest
from pipeline.dataset.shard_plan import Shard
from pipeline.dataset.splits import ShardEntry
from pipeline.dataset.tfds_metadata import metadata_files
from pipeline.definition import Definition, reference_to
from pipeline.generation.finished_shard import ShardReport
from pipeline.generation.request import Request
from pipeline.generation.shard_summary import split_of
from pipeline.storage import atomic_files, files
from pipeline.storage.sealed_json import seal, unseal

WORK_FOLDER_NAME = ".generation"
_READ_BYTES = 2**20


@dataclass(frozen=True)
class WorkFolder:
    """The work folder of one data set, its paths and the steps of making the data set.

    Attributes:
        directory: directory of the data set, which contains the work folder.
    """

    directory: str

    @property
    def path(self) -> str:
        """Path of the work folder."""
        return files.join(self.directory, WORK_FOLDER_NAME)

    @property
    def request_path(self) -> str:
        """Path of the request that the directory is filled for."""
        return files.join(self.path, "request.json")

    @property
    def manifest_path(self) -> str:
        """Path of the manifest, which is written last, in the data set's directory."""
        return files.join(self.directory, MANIFEST_NAME)

    def shard_path(self, shard: Shard) -> str:
        """Final path of a shard, in the data set's directory."""
        return files.join(self.directory, shard.file_name)

    def digests_path(self, shard: Shard) -> str:
        """Final path of the digests of a shard's records, which only a kind that is not pure has."""
        return files.join(self.directory, shard.digests_name)

    @property
    def reports_directory(self) -> str:
        """Directory of the reports, one file per shard."""
        return files.join(self.path, "reports")

    def report_path(self, shard: Shard) -> str:
        """Path of a shard's report."""
        return files.join(self.reports_directory, f"{shard.file_name}.json")

    @property
    def hashes_directory(self) -> str:
        """Directory of the hashes of examples, one file per shard; see `pipeline.dataset.duplicates`."""
        return files.join(self.path, "hashes")

    def hashes_path(self, shard: Shard) -> str:
        """Path of the hashes of a shard's examples."""
        return files.join(self.hashes_directory, shard.file_name)

    def finished_manifest(self, definition: Definition) -> Manifest | None:
        """The manifest, if the directory holds the finished data set of this definition; else None.

        Every step of the job calls this first: a runner may repeat a step after the last one has ended, or
        leave a worker running that it has given up.

        Raises:
            RequestError: if the manifest is damaged.
        """
        if not files.file_exists(self.manifest_path):
            return None
        manifest = Manifest.from_bytes(files.read_bytes(self.manifest_path), self.manifest_path)
        asked = reference_to(type(definition)), definition.to_json()
        return manifest if (manifest.kind, manifest.settings) == asked else None

    def write_request(self, request: Request) -> None:
        """Record that the directory is filled for a request. The work folder must exist."""
        atomic_files.write_bytes(self.request_path, seal(request.to_json()), self.path)

    def read_request(self) -> Request | None:
        """The request that the directory is filled for; None if there is none.

        Raises:
            RequestError: if its file is damaged, or has the form of another version of this program.
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
        """Record that a shard is finished. Not durable: a rerun checks the report's digest."""
        atomic_files.write_bytes(
            self.report_path(shard), report.to_bytes(), self.reports_directory, durable=False
        )

    def check_request(self, request: Request) -> None:
        """Check that the directory is still filled for this request.

        A stale worker of an earlier request must not write into the directory of a later one, and a worker
        must have the versions that the request names.

        Raises:
            WorkError: if the directory is filled for another request, or for this one with other versions.
            RequestError: see `read_request`.
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
        """The report of a shard that an earlier run of this request finished.

        Returns:
            None if there is no report, if it is damaged or of another request, or if the digest of one of the
            shard's files does not match.
        """
        if not files.file_exists(self.report_path(shard)):
            return None
        try:
            report = self.read_report(shard, definition)
        except ValueError:
            return None
        expected = {
            self.shard_path(shard): report.entry.sha256,
            self.hashes_path(shard): report.hashes_sha256,
        }
        if report.entry.digests_sha256 is not None:
            expected[self.digests_path(shard)] = report.entry.digests_sha256
        is_whole = report.request == request and all(
            files.file_exists(path) and file_sha256(path) == sha256 for path, sha256 in expected.items()
        )
        return report if is_whole else None

    def read_report(self, shard: Shard, definition: Definition) -> ShardReport:
        """The report of a finished shard.

        Raises:
            OSError: if it cannot be read.
            ValueError: if it is damaged.
        """
        return ShardReport.from_bytes(files.read_bytes(self.report_path(shard)), definition)

    def finished_sequences(self, shards: list[Shard]) -> int:
        """Number of examples in the shards finished so far, from one listing of the reports."""
        reports = files.list_names(self.reports_directory)
        return sum(shard.num_sequences for shard in shards if f"{shard.file_name}.json" in reports)

    def finish(self, definition: Definition, duplicates: Duplicates, environment: dict[str, str]) -> Manifest:
        """Write the TFDS metadata and then the manifest; then remove the work folder.

        Args:
            definition: definition of the data set, all of whose shards have a report.
            duplicates: numbers of examples that occur more than once.
            environment: see `Manifest`.

        Raises:
            WorkError: if a report is damaged, or a shard is missing or has another size than in its report.
            OSError: if a report cannot be read, or a file cannot be written.
        """
        splits, plan = {}, definition.shards()
        for name in definition.num_sequences:
            reports = [self._report_for_manifest(shard, definition) for shard in plan if shard.split == name]
            entries, summaries = [each.entry for each in reports], [each.summary for each in reports]
            splits[name] = split_of(entries, summaries)
        definition = definition.at(self.directory)
        sources = definition.sources_summary()
        manifest = Manifest.of(definition, splits, duplicates, environment, sources)
        self._check_shards(list(manifest.listed_shards().values()))
        atomic_files.sync(self.directory)  # Makes the shards' names durable; their bytes are already.
        for file_name, content in metadata_files(manifest).items():
            atomic_files.write_bytes(files.join(self.directory, file_name), content, self.path)
        atomic_files.write_bytes(self.manifest_path, manifest.to_bytes(), self.path)
        self.remove()
        return manifest

    def _report_for_manifest(self, shard: Shard, definition: Definition) -> ShardReport:
        path = self.report_path(shard)
        try:
            return self.read_report(shard, definition)
        except ValueError as error:
            raise WorkError(f"{path}: was damaged while the data set was made ({error})") from error

    def _check_shards(self, entries: Sequence[ShardEntry]) -> None:
        """Check by one listing that every shard exists and has its size; raises WorkError if not."""
        sizes = files.list_sizes(self.directory)
        for entry in entries:
            if (size := sizes.get(entry.file)) != entry.num_bytes:
                found = "is missing" if size is None else f"has {size} bytes"
                raise WorkError(
                    f"{files.join(self.directory, entry.file)}: {found} though it was finished with"
                    f" {entry.num_bytes} bytes; something else changes this directory"
                )

    def make(self) -> None:
        """Make the work folder and its subdirectories, if they do not exist.

        Only the holder of the directory's lock calls this: a stale worker must fail instead of making the
        folder again.
        """
        for directory in (self.path, self.hashes_directory, self.reports_directory):
            files.make_directory(directory)

    def remove_temporary_files(self) -> None:
        """Remove the temporary files of killed workers; only for the holder of the directory's lock."""
        for name in files.list_sizes(self.path):
            if name.endswith(atomic_files.TEMPORARY_SUFFIX):
                files.delete_file(files.join(self.path, name))

    def remove(self) -> None:
        """Remove the work folder, if it exists.

        Errors are ignored: a stale worker may be writing a file there, which stays until the next run.
        """
        if files.directory_exists(self.path):
            with contextlib.suppress(OSError):
                files.delete_tree(self.path)


def file_sha256(path: str) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with files.open_binary(path) as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
