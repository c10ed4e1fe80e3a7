"""Program: open, list or begin to read a data set, and nothing else; for `many_shards`.

Prints JSON: ``seconds`` of every part, imports apart from the work, and the most memory of this process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from benchmarks.process_memory import own_peak
from pipeline.command_line.arguments import ArgumentParser, path_text
from pipeline.command_line.program import run

PROGRAM = "benchmarks.open_data"

OPEN, LIST, EPOCH = "open", "list", "epoch"
BATCH_SIZE = 64

_MAX_READERS = 16

# What the parts took, by name, in order.
Parts = dict[str, float]


def main(arguments: Sequence[str]) -> int:
    """Do it."""
    parser = ArgumentParser(
        PROGRAM,
        "Open a data set, list its directory or take an epoch's first batch, timed part by part.",
        f"python -m {PROGRAM} --data_dir /tmp/lines --what {OPEN}",
    )
    add = parser.add_argument
    add("--data_dir", type=path_text, required=True, help="a data set made by pipeline.generate")
    add("--what", choices=tuple(_WORK), required=True, help="what to do with it")
    flags = parser.parse_args(arguments)
    parts = _WORK[flags.what](flags.data_dir)
    print(json.dumps({"seconds": parts, "peak_bytes": own_peak()}))
    return 0


class _Clock:
    """Cuts the time that passes into named parts."""

    def __init__(self) -> None:
        self.parts: Parts = {}
        self._last = time.perf_counter()

    def part(self, name: str) -> None:
        """What passed since the part before was this one."""
        now = time.perf_counter()
        self.parts[name], self._last = now - self._last, now


def _open(data_dir: str) -> Parts:
    clock = _Clock()
    from pipeline.dataset.reader import Dataset

    clock.part("imports")
    Dataset.open(data_dir)
    clock.part("manifest")
    return clock.parts


def _list(data_dir: str) -> Parts:
    clock = _Clock()
    from pipeline.storage import files

    clock.part("imports")
    files.list_names(data_dir)
    clock.part("listing")
    return clock.parts


def _start_epoch(data_dir: str) -> Parts:
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
    return clock.parts


_WORK = {OPEN: _open, LIST: _list, EPOCH: _start_epoch}


if __name__ == "__main__":
    run(PROGRAM, main)
