"""``manifest.json``: the content of a finished data set.

The manifest is written last, so a directory without one is not a finished data set. Its **fingerprint**
(`pipeline.dataset.fingerprint`) identifies the bytes. The **content digest**
(`pipeline.dataset.content_digest`) identifies the examples, independently of encoding and sharding.
Statistics and duplicates follow from the examples. Library versions, time and host are those of the run that
wrote the manifest.

Format 2 is used for moving lines, format 3 for all other kinds. Format 3 also stores the kind's reference and
the features, so that a data set can be read without the kind's module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pipeline.command_line.errors import RequestError, one_line
from pipeline.dataset.content_digest import content_digest
from pipeline.dataset.duplicates import Duplicates
from pipeline.dataset.features import Feature, feature_from_json
from pipeline.dataset.fingerprint import fingerprint
from pipeline.dataset.shard_plan import Shard
from pipeline.dataset.splits import ShardEntry, Split
from pipeline.dataset.statistics import Statistics
from pipeline.definition import KINDS, SOURCES_NAME, Definition, find_kind, reference_to

MANIFEST_NAME = "manifest.json"
FORMAT_VERSIONS = (2, 3)
# Errors of reading a JSON document that is damaged, has other types or has numbers that are too large.
PARSING_ERRORS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


@dataclass(frozen=True)
class Manifest:
    """The content of a finished data set.

    Attributes:
        format_version: one of `FORMAT_VERSIONS`.
        dataset: name of the kind of data set.
        kind: the kind's reference: the value of ``--dataset`` that finds it.
        version: version of the kind.
        settings: the definition's settings, by name.
        features: the features of every record, by name.
        splits: the splits by name, in the order of the definition.
        duplicates: numbers of examples that occur more than once.
        sources: what is said of the sources; empty for kinds without sources.
        environment: versions, host and time of the run that wrote the manifest; not in the fingerprint.
    """

    format_version: int
    dataset: str
    kind: str
    version: int
    settings: Mapping[str, Any]
    features: Mapping[str, Feature]
    splits: dict[str, Split]
    duplicates: Duplicates
    environment: dict[str, str]
    sources: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        definition: Definition,
        splits: dict[str, Split],
        duplicates: Duplicates,
        environment: dict[str, str],
        sources: Mapping[str, Any] | None = None,
    ) -> Manifest:
        """The manifest of a data set that was made from a definition."""
        return cls(
            definition.format_version,
            definition.name,
            reference_to(type(definition)),
            definition.version,
            definition.to_json(),
            definition.features,
            splits,
            duplicates,
            environment,
            sources or {},
        )

    @cached_property
    def definition(self) -> Definition:
        """The definition of the examples.

        Raises:
            RequestError: if the kind cannot be found, or has other settings.
        """
        try:
            return find_kind(self.kind).from_json(self.settings)
        except TypeError as error:
            raise RequestError(f"--dataset {self.kind}: takes other settings ({one_line(error)})") from error

    def statistics(self, split: str) -> Statistics:
        """Statistics of a split's examples.

        Raises:
            RequestError: see `definition`.
        """
        return self.definition.statistics_from_json(self.splits[split].statistics)

    @property
    def content_digest(self) -> str:
        """``sha256:`` and 64 hexadecimal digits; equal for data sets of the same examples."""
        # In format 3 the identity is in the manifest, so the kind's module is not needed.
        identity = self.definition.content_identity if self.kind in KINDS else {"dataset": self.dataset}
        return content_digest(identity, {name: split.content_sha256 for name, split in self.splits.items()})

    @cached_property  # Takes most of a second for 100,000 shards.
    def fingerprint(self) -> str:
        """See `pipeline.dataset.fingerprint`."""
        return fingerprint(self._head(), self.settings, self.splits)

    def listed_shards(self) -> dict[Shard, ShardEntry]:
        """All shards in order, each with its entry."""
        return {
            Shard(
                self.dataset, name, index, len(split.shards), entry.first_sequence, entry.num_sequences
            ): entry
            for name, split in self.splits.items()
            for index, entry in enumerate(split.shards)
        }

    def file_names(self) -> set[str]:
        """Names of the shards, of the files with their records' digests, and of the index of sources."""
        listed = self.listed_shards().items()
        digests = {shard.digests_name for shard, entry in listed if entry.digests_sha256 is not None}
        return {entry.file for _, entry in listed} | digests | ({SOURCES_NAME} if self.sources else set())

    def to_bytes(self) -> bytes:
        """The content of ``manifest.json``."""
        return (json.dumps(self._document(), indent=1) + "\n").encode()

    def _head(self) -> dict[str, Any]:
        """The entries that identify the format and the kind."""
        head: dict[str, Any] = {"format_version": self.format_version, "dataset": self.dataset}
        if self.format_version > 2:
            features = {name: feature.to_json() for name, feature in self.features.items()}
            head |= {"kind": self.kind, "version": self.version, "features": features}
        return head

    def _document(self) -> dict[str, Any]:
        head = self._head()
        return {
            "format_version": head.pop("format_version"),
            "dataset": head.pop("dataset"),
            "fingerprint": self.fingerprint,
            "content_digest": self.content_digest,
            **head,
            "settings": self.settings,
            "splits": {
                name: {
                    "num_sequences": split.num_sequences,
                    "num_bytes": split.num_bytes,
                    "content_sha256": split.content_sha256,
                    "shards": [shard.to_json() for shard in split.shards],
                    "statistics": split.statistics,
                }
                for name, split in self.splits.items()
            },
            "duplicates": self.duplicates.to_json(),
            **({"sources": self.sources} if self.sources else {}),
            "environment": self.environment,
        }

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> Manifest:
        """The inverse of `to_bytes`.

        Args:
            content: the file's bytes.
            where: path of the file, for the error.

        Raises:
            RequestError: if it is not a manifest of a known format, if its digests do not match the rest, or
                if its shards are not those of its settings.
        """
        try:
            document = json.loads(content)
            version = document["format_version"]
            manifest = cls._from_document(document) if version in FORMAT_VERSIONS else None
            agrees = manifest is not None and manifest._document() == document
        except PARSING_ERRORS as error:
            raise RequestError(
                f"{where} is damaged ({type(error).__name__}): restore it or generate the data set again"
            ) from error
        if manifest is None:
            known = " and ".join(map(str, FORMAT_VERSIONS))
            raise RequestError(
                f"{where} has format version {ascii(version)[:40]}: this program reads {known}"
            )
        if not agrees:
            raise RequestError(
                f"{where} does not agree with its own digests: restore it or generate the data set again"
            )
        if not manifest._is_consistent():
            raise RequestError(
                f"{where} lists other shards than its settings make: restore it, or generate the set again"
            )
        return manifest

    @staticmethod
    def missing(directory: str, exists: bool) -> RequestError:
        """The error for a directory without a manifest.

        Args:
            directory: path, as the user gave it.
            exists: whether there is such a directory.
        """
        if not exists:
            return RequestError(
                f"--data_dir {directory}: no such directory; make it with python -m pipeline.generate"
            )
        return RequestError(
            f"--data_dir {directory}: has no {MANIFEST_NAME}, so it is not a finished data set;"
            " run pipeline.generate to its end"
        )

    def _is_consistent(self) -> bool:
        """Whether the shards are those of the settings.

        The plan of a kind that is not built in is not known without its module: for such a kind, check only
        that file names and example numbers follow each other.
        """
        listed = self.listed_shards()
        if self.kind in KINDS:
            return list(listed) == self.definition.shards() and all(
                shard.file_name == entry.file for shard, entry in listed.items()
            )
        next_sequence = dict.fromkeys(self.splits, 0)
        for shard, entry in listed.items():
            if shard.file_name != entry.file or shard.first_sequence != next_sequence[shard.split]:
                return False
            next_sequence[shard.split] += shard.num_sequences
        return True

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> Manifest:
        settings, version = document["settings"], document["format_version"]
        splits = {
            str(name): Split(
                tuple(map(ShardEntry.from_json, split["shards"])),
                dict(split["statistics"]),
                str(split["content_sha256"]),
            )
            for name, split in document["splits"].items()
        }
        duplicates = Duplicates.from_json(document["duplicates"])
        environment = {str(name): str(value) for name, value in document["environment"].items()}
        sources = dict(document.get("sources", {}))
        kind = str(document["kind"]) if version > 2 else str(document["dataset"])
        if kind not in KINDS:
            features = {name: feature_from_json(each) for name, each in document["features"].items()}
            of_kind = (str(document["dataset"]), kind, document["version"], settings, features)
            return cls(version, *of_kind, splits, duplicates, environment, sources)
        definition = find_kind(kind).from_json(settings)
        splits = {name: splits[name] for name in definition.num_sequences}
        for split in splits.values():
            definition.statistics_from_json(split.statistics)
        return cls.of(definition, splits, duplicates, environment, sources)
