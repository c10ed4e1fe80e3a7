"""The step of the Beam job that reads clips; it keeps a decoding process for as long as its worker lives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import apache_beam as beam

from pipeline.clips.clip_reader import ClipReader
from pipeline.clips.decoder_process import Decoder
from pipeline.clips.index_job import Cache, read_batch
from pipeline.clips.sources import Source
from pipeline.clips.versions import library_versions
from pipeline.command_line.errors import WorkError


class ReadClips(beam.DoFn):
    """Reads batches of clips; see `pipeline.clips.index_job.read_batch`."""

    def __init__(self, reader: ClipReader, cache: Cache) -> None:
        self._reader, self._cache = reader, cache
        self._versions = library_versions()

    def setup(self) -> None:
        """See `beam.DoFn.setup`.

        Raises:
            WorkError: if this worker has other versions than the program that made the job.
        """
        versions = library_versions()
        wrong = [
            f"{name} {found}, not {self._versions.get(name)}"
            for name, found in versions.items()
            if found != self._versions.get(name)
        ]
        if wrong:
            raise WorkError(f"this worker has {', '.join(wrong)}; install the same versions everywhere")
        self._decoder = Decoder()

    def process(self, batch: Sequence[Source]) -> Iterable[int]:
        """Yield the number of clips read."""
        yield read_batch(batch, self._reader, self._cache, self._decoder)

    def teardown(self) -> None:
        """See `beam.DoFn.teardown`."""
        self._decoder.close()
