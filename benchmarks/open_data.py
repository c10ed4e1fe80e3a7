"""Opening, listing and reading a data set, and nothing else, each in a process of its own.

They give ``seconds`` of every part, imports apart from the work, and the most memory of this
process, ``peak_bytes``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.process_memory import own_peak

BATCH_SIZE = 64

_MAX_READERS = 16


def _timed(step: Callable[[str], Iterator[str]]) -> Callable[[str], dict[str, Any]]:
    """What a step on a data set gives that yields the name of every part when it is done."""

    def measure(data_dir: str) -> dict[str, Any]:
        seconds, last = {}, time.perf_counter()
        for part in step(data_dir):
            now = time.perf_counter()
            seconds[part], last = now - last, now
        return {"seconds": seconds, "peak_bytes": own_peak()}

    return measure


@_timed
def open_dataset(data_dir: str) -> Iterator[str]:
    """Open it."""
    from pipeline.dataset.reader import Dataset

    yield "imports"
    Dataset.open(data_dir)
    yield "manifest"


@_timed
def list_directory(data_dir: str) -> Iterator[str]:
    """List its directory."""
    from pipeline.storage import files

    yield "imports"
    files.list_names(data_dir)
    yield "listing"


@_timed
def start_epoch(data_dir: str) -> Iterator[str]:
    """Take the first batch of an epoch."""
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.input.feeds import Part, training_part
    from trainer.input.split_files import read_manifest, split_files
    from trainer.training.settings import TrainingSettings

    yield "imports"
    manifest = read_manifest(data_dir)
    yield "manifest"
    files = split_files(data_dir, manifest, "train")
    yield "sizes of shards"
    settings = TrainingSettings(batch_size=BATCH_SIZE)
    readers = min(_MAX_READERS, len(files.paths))
    next(iter(training_part(files, settings, readers, 0, Part(0, 1))))
    yield "first batch"
