"""``manifest.json``: what a finished data set holds, and the fingerprint that names it.

The manifest is written last, so a directory without one is not (yet) a data set. Its **fingerprint** is
the SHA-256 of the canonical JSON (sorted keys, no spaces) of format version, data set name, settings and,
for every shard in order, its file name, number of sequences, bytes and SHA-256. The statistics follow from
those; library versions, times and host stand beside the fingerprint, not in it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.program import RequestError
from pipeline.settings import DATASET_NAME, DatasetSettings
from pipeline.statistics import Statistics

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1


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


@dataclass(frozen=True)
class Split:
    """The shards of a split, in the order of their sequences, and its statistics."""

    shards: tuple[ShardRecord, ...]
    statistics: Statistics

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
        environment: versions, host and time of the run that wrote it; not part of the fingerprint.
    """

    settings: DatasetSettings
    splits: dict[str, Split]
    environment: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """``sha256:`` and 64 hexadecimal digits; see the module's docstring."""
        identity = {
            "format_version": FORMAT_VERSION,
            "dataset": DATASET_NAME,
            "settings": self.settings.to_json(),
            "splits": {
                name: [asdict(shard) for shard in split.shards] for name, split in self.splits.items()
            },
        }
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"

    def to_bytes(self) -> bytes:
        """The file's content."""
        document = {
            "format_version": FORMAT_VERSION,
            "dataset": DATASET_NAME,
            "fingerprint": self.fingerprint,
            "settings": self.settings.to_json(),
            "splits": {
                name: {
                    "num_sequences": split.num_sequences,
                    "num_bytes": split.num_bytes,
                    "shards": [asdict(shard) for shard in split.shards],
                    "statistics": split.statistics.to_json(),
                }
                for name, split in self.splits.items()
            },
            "environment": self.environment,
        }
        return (json.dumps(document, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Manifest:
        """Read a manifest.

        Args:
            content: the file's bytes.
            where: its path, for the error.

        Raises:
            RequestError: if it is not a manifest of this format or does not agree with its own fingerprint.
        """
        try:
            document = json.loads(content)
            version, fingerprint = document["format_version"], document["fingerprint"]
            manifest = cls._from_document(document) if version == FORMAT_VERSION else None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise RequestError(
                f"{where} is damaged ({type(error).__name__}): restore it or generate the data set again"
            ) from error
        if manifest is None:
            raise RequestError(f"{where} has format version {version}: this program reads {FORMAT_VERSION}")
        if manifest.fingerprint != fingerprint:
            raise RequestError(
                f"{where} does not agree with its own fingerprint: restore it or generate the data set again"
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
        return cls(
            DatasetSettings(**document["settings"]),
            {
                name: Split(
                    tuple(ShardRecord(**shard) for shard in split["shards"]),
                    Statistics.from_json(split["statistics"]),
                )
                for name, split in document["splits"].items()
            },
            dict(document["environment"]),
        )
