"""The report of a finished shard, which is kept in the work folder until the data set is finished."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.dataset.manifest import PARSING_ERRORS
from pipeline.dataset.splits import ShardEntry
from pipeline.definition import Definition
from pipeline.generation.request import Request
from pipeline.generation.shard_summary import ShardSummary
from pipeline.storage.sealed_json import seal, unseal


@dataclass(frozen=True)
class ShardReport:
    """The report of a finished shard.

    Attributes:
        entry: the shard's entry in the manifest.
        summary: summary of the shard's examples.
        hashes_sha256: hexadecimal SHA-256 of the file with the hashes of the shard's examples.
        request: the request that the shard was made for.
    """

    entry: ShardEntry
    summary: ShardSummary
    hashes_sha256: str
    request: Request

    def to_bytes(self) -> bytes:
        """The content of the report's file, with its own digest; see `pipeline.storage.sealed_json`."""
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
            content: content of the report's file.
            definition: definition of the data set.

        Raises:
            ValueError: if the content is damaged, or was written by another version of this program.
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
