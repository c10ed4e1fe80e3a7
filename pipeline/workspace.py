"""A data set's directory while it is being made.

Everything unfinished lives in a hidden folder of the output directory: the request itself, temporary
files and, for every finished shard, a small report and its sequences' hashes. The folder goes when the
manifest is there. A rerun of the same request finds the reports and makes only what is missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass

from pipeline import files
from pipeline.content import split_digest
from pipeline.duplicates import Duplicates
from pipeline.manifest import MANIFEST_NAME, Manifest, ShardRecord, Split
from pipeline.program import RequestError, WorkError
from pipeline.settings import DatasetSettings, Shard, plan_shards
from pipeline.statistics import Statistics
from pipeline.summary import ShardSummary
from pipeline.tfds_metadata import metadata_files

STATE_DIRECTORY = ".generation"
_READ_BYTES = 2**20


@dataclass(frozen=True)
class ShardReport:
    """What is known of a finished shard, and which request it was made for."""

    record: ShardRecord
    summary: ShardSummary
    settings: DatasetSettings

    def to_bytes(self) -> bytes:
        """The content of the report's file."""
        document = {
            "record": self.record.to_json(),
            "summary": self.summary.to_json(),
            "settings": self.settings.to_json(),
        }
        return json.dumps(document).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> ShardReport:
        """The inverse of `to_bytes`."""
        document = json.loads(content)
        record, summary = ShardRecord(**document["record"]), ShardSummary.from_json(document["summary"])
        return cls(record, summary, DatasetSettings(**document["settings"]))


@dataclass(frozen=True)
class Workspace:
    """Paths and steps of one data set under way in ``directory``."""

    directory: str

    @property
    def state(self) -> str:
        """The hidden folder."""
        return files.join(self.directory, STATE_DIRECTORY)

    @property
    def request_path(self) -> str:
        """The settings that the directory is being filled for."""
        return files.join(self.state, "request.json")

    @property
    def manifest_path(self) -> str:
        """Written last."""
        return files.join(self.directory, MANIFEST_NAME)

    def path(self, shard: Shard) -> str:
        """A shard's final path."""
        return files.join(self.directory, shard.file_name)

    @property
    def reports(self) -> str:
        """Directory of the reports, a file a shard."""
        return files.join(self.state, "reports")

    def report_path(self, shard: Shard) -> str:
        """The report that lies beside a shard until the data set is finished."""
        return files.join(self.reports, f"{shard.file_name}.json")

    @property
    def hashes(self) -> str:
        """Directory of the hashes of sequences, a file a shard; see `pipeline.duplicates`."""
        return files.join(self.state, "hashes")

    def hashes_path(self, shard: Shard) -> str:
        """The hashes of a shard's sequences, which lie there until the data set is finished."""
        return files.join(self.hashes, shard.file_name)

    def finished_manifest(self, settings: DatasetSettings) -> Manifest | None:
        """The manifest, if the directory holds what ``settings`` ask for.

        Runners may do a step again that was done, or let a lost worker go on: all steps look here first.
        """
        if not files.exists(self.manifest_path):
            return None
        manifest = Manifest.from_bytes(files.read_bytes(self.manifest_path), self.manifest_path)
        return manifest if manifest.settings == settings else None

    def write_request(self, settings: DatasetSettings) -> None:
        """Claim the directory for a request."""
        content = json.dumps(settings.to_json()).encode()
        files.write_bytes(self.request_path, content, self.state)

    def read_request(self) -> DatasetSettings | None:
        """The request that the directory was claimed for, if any."""
        if not files.exists(self.request_path):
            return None
        try:
            return DatasetSettings(**json.loads(files.read_bytes(self.request_path)))
        except (ValueError, TypeError) as error:
            raise RequestError(
                f"{self.request_path} is damaged; remove {self.directory} or name another directory"
            ) from error

    def write_report(self, shard: Shard, report: ShardReport) -> None:
        """Say that a shard is finished."""
        files.write_bytes(self.report_path(shard), report.to_bytes(), self.reports)

    def check_request(self, settings: DatasetSettings) -> None:
        """See that the directory is still being filled for these settings.

        Raises:
            WorkError: if not; a lost worker of an earlier request must not write into a later one's.
        """
        if self.read_request() != settings:
            raise WorkError(f"{self.directory}: is no longer being filled for this request")

    def finished_report(self, shard: Shard, settings: DatasetSettings) -> ShardReport | None:
        """The report of a shard that an earlier run of the request finished and whose bytes check out."""
        path = self.path(shard)
        if not all(map(files.exists, (self.report_path(shard), self.hashes_path(shard), path))):
            return None
        try:
            report = self.read_report(shard)
        except (ValueError, LookupError, TypeError):
            return None
        is_whole = report.settings == settings and _sha256(path) == report.record.sha256
        return report if is_whole else None

    def read_report(self, shard: Shard) -> ShardReport:
        """The report of a finished shard."""
        return ShardReport.from_bytes(files.read_bytes(self.report_path(shard)))

    def finished_sequences(self, shards: list[Shard]) -> int:
        """Sequences in the shards finished so far, by one listing of the reports."""
        reports = files.list_names(self.reports)
        return sum(shard.num_sequences for shard in shards if f"{shard.file_name}.json" in reports)

    def finish(
        self, settings: DatasetSettings, duplicates: Duplicates, environment: dict[str, str]
    ) -> Manifest:
        """Write the metadata and, last, the manifest; then remove the hidden folder."""
        splits, plan = {}, plan_shards(settings)
        for name in settings.num_sequences:
            reports = [self.read_report(shard) for shard in plan if shard.split == name]
            splits[name] = Split(
                tuple(report.record for report in reports),
                sum((r.summary.statistics for r in reports), Statistics.zero(settings.image_size)),
                split_digest(leaf for report in reports for leaf in report.summary.leaves),
            )
        manifest = Manifest(settings, splits, duplicates, environment)
        for file_name, content in metadata_files(manifest).items():
            files.write_bytes(files.join(self.directory, file_name), content, self.state)
        files.write_bytes(self.manifest_path, manifest.to_bytes(), self.state)
        self.remove_state()
        return manifest

    def make_state(self) -> None:
        """Make the hidden folder; only who holds the directory does, so that a lost worker cannot."""
        for directory in (self.state, self.hashes, self.reports):
            files.make_directory(directory)

    def remove_state(self) -> None:
        """Remove the hidden folder; what a lost worker is just writing there stays until the next run."""
        if files.exists(self.state):
            with contextlib.suppress(OSError):
                files.delete(self.state)


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with files.open_binary(path) as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
