"""The stages before training; for the table ``stages``, which does each in a process on one core.

Each gives how many ``sequences`` it took, in how many ``seconds``, the ``peak_bytes`` of this process and,
where it writes records, their ``bytes``. What is done once, as imports, is not in the seconds.
"""

from __future__ import annotations

import tempfile
import time

from benchmarks.process_memory import own_peak
from pipeline.moving_line.definition import MovingLine

IMAGE_SIZE = 50
READ_BATCH_SIZE = 256
TRAINING_BATCH_SIZE = 32

_SEED = 0

Figures = dict[str, float]


def generation(data_dir: str, num_sequences: int, encoding: str) -> Figures:
    """Make the shards as a Beam worker does."""
    from pipeline.generation.request import Request
    from pipeline.generation.shard_writer import Publisher, make_shard
    from pipeline.generation.work_folder import WorkFolder

    definition = MovingLine(_SEED, IMAGE_SIZE, encoding, num_sequences, 1, 1)
    plan, workspace, publisher = definition.shards(), Workspace(data_dir), Publisher()
    workspace.make_state()
    workspace.write_request(Request.of(definition))
    for shard in plan:
        if shard.split != "train":  # Which builds what is built once.
            make_shard(shard, definition, data_dir)
    shards = [shard for shard in plan if shard.split == "train"]
    start = time.perf_counter()
    for shard in shards:
        make_shard(shard, definition, data_dir, publisher.submit)
    publisher.wait()
    seconds = time.perf_counter() - start
    num_bytes = sum(workspace.read_report(shard, definition).entry.num_bytes for shard in shards)
    return took(num_sequences, seconds, bytes=num_bytes)


def verification(data_dir: str) -> Figures:
    """Check the shards as a process of pipeline.verify does."""
    from pipeline.command_line.errors import WorkError
    from pipeline.dataset.reader import Dataset
    from pipeline.verification.shard_check import check_shard

    manifest = Dataset.open(data_dir).manifest
    with tempfile.TemporaryDirectory() as hashes:

        def check(*splits: str) -> None:
            for listed in manifest.listed_shards().items():
                if (
                    listed[0].split in splits
                    and check_shard(listed, manifest.definition, data_dir, hashes).problems
                ):
                    raise WorkError(f"{data_dir}: is damaged; remove it")

        check("validation", "test")
        start = time.perf_counter()
        check("train")
        seconds = time.perf_counter() - start
    return took(manifest.splits["train"].num_sequences, seconds)


def took(sequences: int, seconds: float, **more: float) -> Figures:
    """See the module's docstring."""
    return {"sequences": sequences, "seconds": seconds, **more, "peak_bytes": own_peak()}
