"""``manifest.json``: what a finished data set holds, and the fingerprint that names it.

The manifest is written last, so a directory without one is not (yet) a data set. Its **fingerprint** is
the SHA-256 of the canonical JSON (sorted keys, no spaces) of format version, data set name, settings and,
for every shard in order, its file name, number of sequences, bytes and SHA-256. It names the bytes. The
**content digest** (`pipeline.dataset.content_digest`) names the sequences, whatever their encoding and
sharding. Statistics and duplicates follow from the sequences; library versions, times and host are those of
the run that wrote it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.command_line.errors import RequestError
from pipeline.dataset.content_digest import content_digest
from pipeline.dataset.duplicates import Duplicates
from pipeline.dataset.shard_plan import DATASET_NAME, SPLITS, DatasetSettings, Shard, plan_shards
from pipeline.moving_line.statistics import Statistics

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 2
# What a JSON document can raise that is damaged, of other types, or of numbers beyond all bounds.
PARSING_ERRORS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class ShardRecord:
    """A finished shard.

    Attributes:
        file: its name in the data set's directory.
        first_sequence, num_sequences: which sequences of the split it holds.
        num_bytes: its size.
        sha256: hexadecimal digest of its bytes.
    """

    file: str
    first_sequence: int
    num_sequences: int
    num_bytes: int
    sha256: str

    def to_json(self) -> dict[str, int | str]:
        """The record as it stands in the manifest, ten times as fast as `asdict` makes it."""
        return {
            "file": self.file,
            "first_sequence": self.first_sequence,
            "num_sequences": self.num_sequences,
            "num_bytes": self.num_bytes,
            "sha256": self.sha256,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ShardRecord:
        """The inverse of `to_json`.

        Raises:
            TypeError, LookupError: if it is not what `to_json` gives.
        """
        record = cls(**data)
        numbers = (record.first_sequence, record.num_sequences, record.num_bytes)
        if any(type(number) is not int for number in numbers):  # True and 1.0 would pass for 1.
            raise TypeError("a number of a shard is not whole")
        if not (isinstance(record.file, str) and isinstance(record.sha256, str)):
            raise TypeError("a name or digest of a shard is not a text")
        return record


@dataclass(frozen=True)
class Split:
    """A split of a data set.

    Attributes:
        shards: in the order of their sequences.
        statistics: counts over its sequences.
        content_sha256: hexadecimal digest of its sequences; see `pipeline.dataset.content_digest`.
    """

    shards: tuple[ShardRecord, ...]
    statistics: Statistics
    content_sha256: str

    @property
    def num_sequences(self) -> int:
        """Sequences in all shards."""
        return sum(shard.num_sequences for shard in self.shards)

    @property
    def num_bytes(self) -> int:
        """Bytes of all shards."""
        return sum(shard.num_bytes for shard in self.shards)


@dataclass(frozen=True)
class Manifest:
    """A finished data set.

    Attributes:
        settings: what was asked for.
        splits: by name, in the order train, validation, test.
        duplicates: sequences that occur more than once.
        environment: versions, host and time of the run that wrote it; not part of the fingerprint.
    """

    settings: DatasetSettings
    splits: dict[str, Split]
    duplicates: Duplicates
    environment: dict[str, str]

    @property
    def content_digest(self) -> str:
        """``sha256:`` and 64 hexadecimal digits; equal for data sets of the same sequences."""
        return content_digest(
            self.settings.image_size, {name: split.content_sha256 for name, split in self.splits.items()}
        )

    @cached_property  # It takes most of a second for 100,000 shards.
    def fingerprint(self) -> str:
        """``sha256:`` and 64 hexadecimal digits; see the module's docstring."""
        identity = {
            "format_version": FORMAT_VERSION,
            "dataset": DATASET_NAME,
            "settings": self.settings.to_json(),
            "splits": {
                name: [shard.to_json() for shard in split.shards] for name, split in self.splits.items()
            },
        }
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"

    def listed_shards(self) -> dict[Shard, ShardRecord]:
        """The shards that the settings make, in order, and what is known of each."""
        return dict(zip(plan_shards(self.settings), self._records(), strict=True))

    def _records(self) -> list[ShardRecord]:
        return [record for split in self.splits.values() for record in split.shards]

    def to_bytes(self) -> bytes:
        """The file's content."""
        return (json.dumps(self._document(), indent=1) + "\n").encode()

    def _document(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "dataset": DATASET_NAME,
            "fingerprint": self.fingerprint,
            "content_digest": self.content_digest,
            "settings": self.settings.to_json(),
            "splits": {
                name: {
                    "num_sequences": split.num_sequences,
                    "num_bytes": split.num_bytes,
                    "content_sha256": split.content_sha256,
                    "shards": [shard.to_json() for shard in split.shards],
                    "statistics": split.statistics.to_json(),
                }
                for name, split in self.splits.items()
            },
            "duplicates": self.duplicates.to_json(),
            "environment": self.environment,
        }

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Manifest:
        """Read a manifest.

        Args:
            content: the file's bytes.
            where: its path, for the error.

        Raises:
            RequestError: if it is not a manifest of this format, or its digests are not those of the rest.
        """
        try:
            document = json.loads(content)
            version = document["format_version"]
            manifest = cls._from_document(document) if version == FORMAT_VERSION else None
            agrees = manifest is not None and manifest._document() == document
        except PARSING_ERRORS as error:
            raise RequestError(
                f"{where} is damaged ({type(error).__name__}): restore it or generate the data set again"
            ) from error
        if manifest is None:
            raise RequestError(
                f"{where} has format version {ascii(version)[:40]}: this program reads {FORMAT_VERSION}"
            )
        if not agrees:
            raise RequestError(
                f"{where} does not agree with its own digests: restore it or generate the data set again"
            )
        listed = [(r.file, r.first_sequence, r.num_sequences) for r in manifest._records()]
        plan = plan_shards(manifest.settings)
        if listed != [(shard.file_name, shard.first_sequence, shard.num_sequences) for shard in plan]:
            raise RequestError(
                f"{where} lists other shards than its settings make: restore it, or generate the set again"
            )
        return manifest

    @staticmethod
    def missing(directory: str, exists: bool) -> RequestError:
        """What to tell somebody who named a directory that is not a data set."""
        if not exists:
            return RequestError(
                f"--data_dir {directory}: no such directory; make it with python -m pipeline.generate"
            )
        return RequestError(
            f"--data_dir {directory}: has no {MANIFEST_NAME}, so it is not a finished data set;"
            " run pipeline.generate to its end"
        )

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> Manifest:
        splits = document["splits"]
        return cls(
            DatasetSettings.from_json(document["settings"]),
            {
                name: Split(
                    tuple(map(ShardRecord.from_json, splits[name]["shards"])),
                    Statistics.from_json(splits[name]["statistics"]),
                    str(splits[name]["content_sha256"]),
                )
                for name in SPLITS
            },
            Duplicates.from_json(document["duplicates"]),
            {str(name): str(value) for name, value in document["environment"].items()},
        )
