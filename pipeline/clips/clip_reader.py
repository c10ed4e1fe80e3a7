"""Reads a clip: digests its file, decodes it in the decoding process, and makes its records' payloads."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pipeline.clips.decoder_process import Decoded, Decoder
from pipeline.clips.frame_settings import FrameSettings
from pipeline.clips.index import Entry, checksum
from pipeline.clips.media_files import folder_images
from pipeline.clips.records import RecordFormat
from pipeline.clips.sources import Source
from pipeline.command_line.errors import WorkError, one_line
from pipeline.storage import files

_READ_BYTES = 2**20


@dataclass(frozen=True)
class ClipReader:
    """Reads the clips of a source.

    Attributes:
        root: folder that the clips' paths are relative to.
        settings: how frames are made.
        record_format: how records are made.
    """

    root: str
    settings: FrameSettings
    record_format: RecordFormat

    def read(self, source: Source, decoder: Decoder, write: Callable[[bytes], object]) -> Entry:
        """Read a clip and write the payloads of its records, in order.

        Args:
            source: the clip as it was listed. Its group is the digest of its content if it has none.
            decoder: decodes.
            write: called with every payload.

        Returns:
            The clip's entry in the index. If it has a `reason`, or a `damage`, the payloads written are
            those of the frames before.
        """
        try:
            with self.local(source) as path:
                sha256 = digest(path)
                source = source if source.group is not None else replace(source, group=sha256)
                return self._decode(path, source, sha256, decoder, write)
        except OSError as error:
            return Entry(source, "", {}, f"cannot be read ({error.strerror or one_line(error)})")

    def check_unchanged(self, entry: Entry) -> str:
        """Compare a clip's file with its digest; return what is wrong, empty if nothing is."""
        try:
            if files.is_local(self.root):
                found = digest(os.path.join(self.root, entry.source.path))
            else:
                with self.local(entry.source) as path:
                    found = digest(path)
        except OSError as error:
            return f"cannot be read ({error.strerror or one_line(error)})"
        return "" if found == entry.sha256 else "has changed since it was indexed"

    def payloads(self, entry: Entry, decoder: Decoder, first: int, count: int) -> list[bytes]:
        """Payloads of a clip of the index, decoded again from its source; all of them are compared.

        Args:
            entry: the clip.
            decoder: decodes.
            first, count: the records whose payloads are wanted; others are not kept in memory.

        Raises:
            WorkError: if the source is not the one that was indexed, or decodes to something else.
        """
        payloads, problem = self._read_again(entry, decoder, range(first, first + count))
        if problem:
            raise WorkError(f"{files.join(self.root, entry.source.path)}: {problem}")
        return payloads

    def problem(self, entry: Entry, decoder: Decoder) -> str:
        """Decode a clip of the index again and compare; return what is wrong, empty if nothing is."""
        return self._read_again(entry, decoder, range(0))[1]

    def _read_again(self, entry: Entry, decoder: Decoder, wanted: range) -> tuple[list[bytes], str]:
        """Payloads of the records that are wanted, and what is wrong with the source."""
        if changed := self.check_unchanged(entry):
            return [], changed
        payloads: list[bytes] = []
        numbers = itertools.count()

        def keep(payload: bytes) -> None:
            if next(numbers) in wanted:
                payloads.append(payload)

        found = self.read(entry.source, decoder, keep)
        if found.records == entry.records:
            return payloads, ""
        if (found.reason, found.damage) != (entry.reason, entry.damage):
            now = found.reason or found.damage or "can be decoded to its end"
            return payloads, f"{now}, which was not so when it was indexed"
        return payloads, (
            "this program decodes other frames than the index says; install the versions that the manifest"
            " names"
        )

    @contextmanager
    def local(self, source: Source) -> Iterator[str]:
        """A local path of the clip; a remote one is copied for the duration of the block."""
        path = files.join(self.root, *source.path.split("/"))
        if files.is_local(path):
            yield path
            return
        with tempfile.TemporaryDirectory() as folder:
            name = os.path.join(folder, source.path.rpartition("/")[2])
            if files.file_exists(path):
                _copy(path, name)
            else:
                os.mkdir(name)
                for below in folder_images(files.list_names(path)):
                    _copy(files.join(path, below), os.path.join(name, below))
            yield name

    def _decode(
        self, path: str, source: Source, sha256: str, decoder: Decoder, write: Callable[[bytes], object]
    ) -> Entry:
        records: list[str] = []
        checksums: list[str] = []
        num_bytes = num_frames = 0
        for part in decoder.decode(path, self.settings, source.start, source.end):
            if isinstance(part, Decoded):
                return Entry(
                    source,
                    sha256,
                    part.facts,
                    "" if part.is_damaged and records else part.reason,
                    part.reason if part.is_damaged and records else "",
                    tuple(records),
                    tuple(checksums),
                    num_bytes,
                    num_frames,
                    part.frames_sha256,
                    tuple(part.hashes),
                    part.brightness,
                )
            payload = self.record_format.encode(self.record_format.example(source, len(records), part))
            write(payload)
            records.append(hashlib.sha256(payload).hexdigest())
            checksums.append("".join(map(checksum, part.frames)))
            num_bytes, num_frames = num_bytes + len(payload), num_frames + len(part.frames)
        raise AssertionError("the decoder ends with what it found out")


def digest(path: str) -> str:
    """Hexadecimal SHA-256 of a local file; of a folder, of its images' names and digests.

    Raises:
        OSError: if it cannot be read, or is something else.
    """
    if os.path.isdir(path):
        names = sorted(folder_images(os.listdir(path)))
        lines = "".join(f"{digest(os.path.join(path, name))} {name}\n" for name in names)
        return hashlib.sha256(lines.encode()).hexdigest()
    # Reading a pipe or a device may not end.
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(f"{os.path.basename(path)}: is no regular file")
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_READ_BYTES):
            found.update(block)
    return found.hexdigest()


def _copy(path: str, local: str) -> None:
    with files.open_binary(path) as stream, open(local, "wb") as copy:
        shutil.copyfileobj(stream, copy, _READ_BYTES)
