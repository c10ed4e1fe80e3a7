"""Opening, listing and reading a data set, and nothing else, each in a process of its own.

They give ``seconds`` of every part, imports apart from the work, and the most memory of this
process, ``peak_bytes``.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.process_memory import own_peak

BATCH_SIZE = 64

_MAX_READERS = 16

Figures = dict[str, Any]


class _Clock:
    """Cuts the time that passes into named parts."""

    def __init__(self) -> None:
        self._parts: dict[str, float] = {}
        self._last = time.perf_counter()

    def part(self, name: str) -> None:
        """What passed since the part before was this one."""
        now = time.perf_counter()
        self._parts[name], self._last = now - self._last, now

    def figures(self) -> Figures:
        """See the module's docstring."""
        return {"seconds": self._parts, "peak_bytes": own_peak()}


def open_dataset(data_dir: str) -> Figures:
    """Open it."""
    clock = _Clock()
    from pipeline.dataset.reader import Dataset

    clock.part("imports")
    Dataset.open(data_dir)
    clock.part("manifest")
    return clock.figures()


def list_directory(data_dir: str) -> Figures:
    """List its directory."""
    clock = _Clock()
    from pipeline.storage import files

    clock.part("imports")
    files.list_names(data_dir)
    clock.part("listing")
    return clock.figures()


def start_epoch(data_dir: str) -> Figures:
    """Take the first batch of an epoch."""
    clock = _Clock()
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.input.feeds import Part, training_part
    from trainer.input.split_files import read_manifest, split_files
    from trainer.training.settings import TrainingSettings

    clock.part("imports")
    manifest = read_manifest(data_dir)
    clock.part("manifest")
    files = split_files(data_dir, manifest, "train")
    clock.part("sizes of shards")
    settings = TrainingSettings(batch_size=BATCH_SIZE)
    readers = min(_MAX_READERS, len(files.paths))
    next(iter(training_part(files, settings, readers, 0, Part(0, 1))))
    clock.part("first batch")
    return clock.figures()
