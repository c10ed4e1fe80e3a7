"""The Beam job that reads every clip once: what is found goes into the index, the records into the cache.

    Create(batches of clips) -> Reshuffle -> read the clips of a batch -> to list

The **cache** is a folder in the work folder with two files a clip: its records, and then its entry in the
index. Generation copies the records into shards; a rerun reads only the clips that have no entry yet, and
bad ones whose file has become another: a mended file may have the size that it had. When all clips of a batch
have an entry, they are written into one file, so that few files need to be read in the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from pipeline.clips.clip_reader import ClipReader
from pipeline.clips.decoder_process import Decoder
from pipeline.clips.index import Entries, Entry
from pipeline.clips.sources import Source
from pipeline.definition import JobRunner
from pipeline.storage import atomic_files, files
from pipeline.storage.canonical_json import json_sha256
from pipeline.storage.sealed_json import seal, unseal
from pipeline.storage.tfrecord import frame_record, read_records

CACHE_NAME = "index"
_CLIPS_PER_BATCH = 32
_FEWEST_BATCHES = 64


@dataclass(frozen=True)
class Cache:
    """The cache of a data set's clips.

    Attributes:
        path: path of its folder.
        identity: digest of all that decides an entry besides the clip.
    """

    path: str
    identity: str

    def key(self, source: Source) -> str:
        """Name of a clip's files; the split, which may be chosen later, is no part of it."""
        return self._key(replace(source, split=None).to_json())

    def records_path(self, source: Source) -> str:
        """Path of a clip's records, in TFRecord framing."""
        return files.join(self.path, f"{self.key(source)}.records")

    def read_entry(self, source: Source) -> Entry | None:
        """The entry of a clip that was read before; None if there is none, or it is damaged."""
        found = self._read(f"{self.key(source)}.entry")
        return None if found is None else Entry.from_json(found)

    def write_entry(self, source: Source, entry: Entry) -> None:
        """Keep the entry of a clip whose records are written."""
        self._write(f"{self.key(source)}.entry", entry.to_json())

    def read_batch(self, batch: Sequence[Source]) -> list[Entry] | None:
        """The entries of a batch whose clips were all read; None if there are none."""
        found = self._read(f"{self._batch_key(batch)}.batch")
        return None if found is None else [Entry.from_json(each) for each in found]

    def write_batch(self, batch: Sequence[Source], entries: Sequence[Entry]) -> None:
        """Keep the entries of a batch."""
        self._write(f"{self._batch_key(batch)}.batch", [entry.to_json() for entry in entries])

    def num_entries(self) -> int:
        """Number of clips that were read, also with other settings, from one listing."""
        return sum(name.endswith(".entry") for name in files.list_names(self.path))

    def payloads(self, source: Source) -> Iterator[bytes]:
        """The records of a clip; they end where the file is damaged or missing."""
        try:
            with files.open_binary(self.records_path(source)) as stream:
                yield from read_records(stream)
        except (OSError, ValueError):
            return

    def _batch_key(self, batch: Sequence[Source]) -> str:
        return self._key([self.key(source) for source in batch])

    def _key(self, document: Any) -> str:
        return json_sha256([self.identity, document])[:32]

    def _read(self, name: str) -> Any:
        path = files.join(self.path, name)
        if not files.file_exists(path):
            return None
        try:
            return unseal(files.read_bytes(path))
        except (OSError, ValueError):
            return None

    def _write(self, name: str, document: Any) -> None:
        atomic_files.write_bytes(files.join(self.path, name), seal(document), self.path, durable=False)


def read_clips(
    sources: Sequence[Source], reader: ClipReader, cache: Cache, min_frames: int, run_job: JobRunner
) -> Entries:
    """Read all clips that were not read before; return the entries of all, in the order of the clips.

    Args:
        sources: the clips.
        reader: reads one.
        cache: keeps what was read.
        min_frames: a clip with fewer frames is bad.
        run_job: runs a Beam job.

    Raises:
        WorkError: if the job fails; what was read is kept.
    """
    per_batch = max(1, min(_CLIPS_PER_BATCH, len(sources) // _FEWEST_BATCHES))
    batches = [sources[first : first + per_batch] for first in range(0, len(sources), per_batch)]
    missing = [
        batch
        for batch in batches
        if (known := cache.read_batch(batch)) is None
        or not all(entry.is_final and entry.is_whole(min_frames) for entry in known)
    ]
    if missing:

        def build(pipeline: Any) -> Any:
            # Beam is imported only where a job is made or run.
            import apache_beam as beam

            from pipeline.clips.read_clips_fn import ReadClips

            read = partial(read_batch, reader=reader, cache=cache, min_frames=min_frames)
            files.make_directory(cache.path)
            return (
                pipeline
                | "Clips" >> beam.Create(missing)
                | "Spread clips" >> beam.Reshuffle()
                | "Read clips" >> beam.ParDo(ReadClips(read))
                | "Wait" >> beam.combiners.Count.Globally()
            )

        names = files.list_names(cache.path)
        others = cache.num_entries() - sum(f"{cache.key(source)}.entry" in names for source in sources)
        run_job(build, lambda: cache.num_entries() - others, len(sources), "clips")
    entries = Entries()
    for batch in batches:
        read = cache.read_batch(batch)
        if read is None:
            raise OSError(f"{cache.path}: the job ended but {batch[0].name} was not read")
        for source, entry in zip(batch, read, strict=True):
            entries.append(replace(entry, source=replace(entry.source, split=source.split)))
    return entries


def read_batch(
    batch: Sequence[Source], decoder: Decoder, reader: ClipReader, cache: Cache, min_frames: int
) -> int:
    """Read the clips of a batch that were not read before, and write its entries; returns their number."""
    entries = []
    for source in batch:
        entry = cache.read_entry(source)
        if entry is None or not (
            entry.is_final and (entry.is_whole(min_frames) or not reader.check_unchanged(entry))
        ):
            with atomic_files.write_atomically(
                cache.records_path(source), cache.path, durable=False
            ) as stream:
                entry = reader.read(source, decoder, lambda payload: stream.write(frame_record(payload)))
            cache.write_entry(source, entry)
        entries.append(entry)
    cache.write_batch(batch, entries)
    return len(entries)


def cached_payloads(entry: Entry, cache: Cache, first: int, count: int) -> Iterator[bytes]:
    """Yield payloads of a clip's records from the cache, as far as they are whole.

    Args:
        entry: the clip in the index.
        cache: the cache.
        first, count: the records.
    """
    source = entry.source  # As it was listed: a group that was not given is the digest of the content.
    source = replace(source, group=None) if source.group == entry.sha256 else source
    wanted = entry.records[first : first + count]
    for payload, sha256 in zip(islice(cache.payloads(source), first, first + count), wanted, strict=False):
        if hashlib.sha256(payload).hexdigest() != sha256:
            return
        yield payload
