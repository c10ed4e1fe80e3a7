"""The index of a data set of clips, ``sources.jsonl``: every clip, what was found in it, and its split.

The first line holds the version, then one line for every clip, sorted by path, then one for every ignored
file. With the settings it decides every record. Its SHA-256 is one of the settings in the manifest.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from pipeline.clips.sources import Source
from pipeline.command_line.errors import WorkError
from pipeline.definition import SOURCES_NAME
from pipeline.storage import files

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """A clip of the index.

    Attributes:
        source: the clip as it was listed; with its split and group, once these are chosen.
        sha256: digest of the file, or of the names and files of a folder of images.
        facts: see `pipeline.clips.decoding.Facts`, by name.
        reason: why the clip cannot be used; empty if it can.
        damage: why only the frames before some damage are used; empty if all are.
        records: SHA-256 of the payload of each of its records.
        checksums: for each record, `checksum` of each of its images, one after the other.
        num_bytes: size of the payloads.
        num_frames: number of chosen frames.
        frames_sha256: digest of the stored frames.
        hashes: see `pipeline.clips.decoder_process.Decoded`.
        brightness: see `pipeline.clips.decoder_process.Decoded`.
    """

    source: Source
    sha256: str
    facts: Mapping[str, Any]
    reason: str = ""
    damage: str = ""
    records: tuple[str, ...] = ()
    checksums: tuple[str, ...] = ()
    num_bytes: int = 0
    num_frames: int = 0
    frames_sha256: str = ""
    hashes: tuple[int | None, ...] = ()
    brightness: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The clip in JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**values, "source": self.source.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Entry:
        """The inverse of `to_json`.

        Raises:
            LookupError, TypeError: if ``document`` is not a value that `to_json` returns.
        """
        return cls(
            **{
                **document,
                "source": Source.from_json(document["source"]),
                "records": tuple(document["records"]),
                "checksums": tuple(document["checksums"]),
                "hashes": tuple(document["hashes"]),
            }
        )

    @property
    def is_final(self) -> bool:
        """Whether reading the clip again gives the same.

        Not known if its file could not be read, or its decoder died: of too little time or memory, or killed.
        """
        return not self.reason or bool(self.facts)

    def is_whole(self, min_frames: int) -> bool:
        """Whether all of the clip can be used; if not, its file may be mended before the next run."""
        return not self.reason and not self.damage and self.num_frames >= min_frames

    def left_out(self, reason: str) -> Entry:
        """The clip as one that cannot be used."""
        return replace(self, reason=reason, damage="", records=(), checksums=(), num_bytes=0)


def checksum(image: bytes) -> str:
    """CRC-32 of a stored image, in 8 hexadecimal digits: to name the image that is damaged."""
    return f"{zlib.crc32(image):08x}"


class Entries:
    """Clips of an index; they are kept as JSON and parsed whenever asked for, which takes little memory."""

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self._lines = list(lines)

    def __iter__(self) -> Iterator[Entry]:
        return (Entry.from_json(json.loads(line)) for line in self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def append(self, entry: Entry) -> None:
        """Add a clip."""
        self._lines.append(_line(entry.to_json()))

    def to_bytes(self, ignored: Mapping[str, str]) -> bytes:
        """The content of the index's file, with the ignored files and the reasons."""
        last = [_line({"ignored": path, "reason": ignored[path]}) for path in sorted(ignored)]
        return b"".join(line + b"\n" for line in [_line({"version": _VERSION}), *self._lines, *last])


def _line(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


class Index:
    """The index in memory: its lines, parsed when asked for, and where the records of each clip are.

    Args:
        content: the file's bytes.
        seed: decides the order of the clips in their splits.
    """

    def __init__(self, content: bytes, seed: int) -> None:
        self._lines = content.splitlines()[1:]
        self._seed = seed

    def entries(self) -> Entries:
        """All clips, also those that are not used."""
        return Entries(line for line in self._lines if not line.startswith(b'{"ignored"'))

    def ignored(self) -> dict[str, str]:
        """Why files were ignored, by path."""
        documents = (json.loads(line) for line in self._lines if line.startswith(b'{"ignored"'))
        return {document["ignored"]: document["reason"] for document in documents}

    @cached_property
    def _order(self) -> dict[str, tuple[list[int], np.ndarray[Any, Any]]]:
        """By split, the lines of its clips in the order of its records, and where each one's records end."""
        found: dict[str, list[tuple[bytes, int, int]]] = {}
        for number, line in enumerate(self._lines):
            if line.startswith(b'{"ignored"'):
                continue
            entry = Entry.from_json(json.loads(line))
            if entry.records and entry.source.split is not None:
                key = hashlib.sha256(f"{self._seed}\0{entry.source.name}".encode()).digest()
                found.setdefault(entry.source.split, []).append((key, number, len(entry.records)))
        order = {}
        for split, clips in found.items():
            clips.sort()
            order[split] = [number for _, number, _ in clips], np.cumsum([count for *_, count in clips])
        return order

    def records(self, split: str, first: int, count: int) -> Iterator[tuple[Entry, int, int]]:
        """Yield (clip, first segment, number of segments) of records ``first`` .. ``first + count - 1``."""
        lines, ends = self._order[split]
        end = first + count
        while first < end:
            place = int(np.searchsorted(ends, first, "right"))
            begin = int(ends[place - 1]) if place else 0
            stop = min(end, int(ends[place]))
            yield Entry.from_json(json.loads(self._lines[lines[place]])), first - begin, stop - first
            first = stop

    def find(self, name: str) -> tuple[Entry, int] | None:
        """The clip of a name, and the number of its first record in its split (0 if it is not used).

        None if there is no such clip.
        """
        for number, line in enumerate(self._lines):
            if line.startswith(b'{"ignored"'):
                continue
            entry = Entry.from_json(json.loads(line))
            if entry.source.name == name:
                if not entry.records or entry.source.split is None:
                    return entry, 0
                lines, ends = self._order[entry.source.split]
                return entry, int(ends[lines.index(number)]) - len(entry.records)
        return None


def load_index(directory: str, sha256: str, seed: int) -> Index:
    """The index of the data set in a directory.

    Raises:
        WorkError: if it is missing or damaged.
    """
    path = files.join(directory, SOURCES_NAME)
    try:
        content = files.read_bytes(path)
    except OSError as error:
        raise WorkError(f"{path}: cannot be read ({error.strerror or error})") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WorkError(f"{path}: is damaged: restore it, or generate the data set again")
    return Index(content, seed)


# The same, but an index that was read before is not read again.
read_index = lru_cache(2)(load_index)
