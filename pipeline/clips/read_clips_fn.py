"""The step of the Beam job that reads clips; it keeps a decoding process for as long as its worker lives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import apache_beam as beam

from pipeline.clips.decoder_process import Decoder
from pipeline.clips.sources import Source
from pipeline.clips.versions import library_versions
from pipeline.command_line.errors import WorkError


class ReadClips(beam.DoFn):
    """Reads batches of clips.

    Args:
        read_batch: reads the clips of a batch with a decoder, and returns their number.
    """

    def __init__(self, read_batch: Callable[[Sequence[Source], Decoder], int]) -> None:
        self._read_batch = read_batch
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
        yield self._read_batch(batch, self._decoder)

    def teardown(self) -> None:
        """See `beam.DoFn.teardown`."""
        self._decoder.close()
