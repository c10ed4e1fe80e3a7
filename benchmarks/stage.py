"""The stages; for the table ``stages``, which does each in a process on one core, and for ``memory``.

Each gives how many ``sequences`` it took, in how many ``seconds``, the ``peak_bytes`` of this process and,
where it writes records, their ``bytes``. What is done once, as imports and compilation, is not in the
seconds; evaluation, which compiles by itself, counts that. A stage before training does not import
TensorFlow, which takes memory.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.data import IMAGE_SIZE, SEED
from benchmarks.process_memory import own_peak
from pipeline.dataset.duplicates import HASHES_PER_RUN, count_in_range, num_ranges
from pipeline.moving_line.definition import MovingLine

READ_BATCH_SIZE = 256
TRAINING_BATCH_SIZE = 32

_WARM_UP_STEPS = 5
_NARROW = 2**10  # So many times as many ranges of hashes as there should be.
_RUNS = 64  # Of hashes, that a range is gathered from.
_RANGES = 20  # That are timed of each kind.

Files = dict[str, list[str]]
Figures = dict[str, float]


def generation(data_dir: str, num_sequences: int, encoding: str) -> Figures:
    """Make the shards as a Beam worker does."""
    from pipeline.generation.request import Request
    from pipeline.generation.shard_writer import Publisher, make_shard
    from pipeline.generation.work_folder import WorkFolder

    definition = MovingLine(SEED, IMAGE_SIZE, encoding, num_sequences, 1, 1)
    plan, work_folder, publisher = definition.shards(), WorkFolder(data_dir), Publisher()
    work_folder.make()
    work_folder.write_request(Request.of(definition))
    for shard in plan:
        if shard.split != "train":  # Which builds what is built once.
            make_shard(shard, definition, data_dir)
    shards = [shard for shard in plan if shard.split == "train"]
    start = time.perf_counter()
    for shard in shards:
        make_shard(shard, definition, data_dir, publisher.submit)
    publisher.wait()
    seconds = time.perf_counter() - start
    num_bytes = sum(work_folder.read_report(shard, definition).entry.num_bytes for shard in shards)
    return _took(num_sequences, seconds, bytes=num_bytes)


def verification(data_dir: str) -> Figures:
    """Check the shards as a process of pipeline.verify does."""
    from pipeline.command_line.errors import WorkError
    from pipeline.dataset.reader import Dataset
    from pipeline.verification.shard_check import check_shard

    manifest = Dataset.open(data_dir).manifest
    with tempfile.TemporaryDirectory() as hashes:

        def check(*splits: str) -> None:
            for listed in manifest.listed_shards().items():
                if listed[0].split not in splits:
                    continue
                if check_shard(listed, manifest.definition, data_dir, hashes).problems:
                    raise WorkError(f"{data_dir}: is damaged; remove it")

        check("validation", "test")
        start = time.perf_counter()
        check("train")
        seconds = time.perf_counter() - start
    return _took(manifest.splits["train"].num_sequences, seconds)


def reading(data_dir: str, num_sequences: int) -> Figures:
    """Read shuffled training batches; TensorFlow has as many threads as it may use cores."""
    from benchmarks.trainers import batches_of, train_files

    steps = max(1, num_sequences // READ_BATCH_SIZE)
    batches = batches_of(train_files(data_dir), READ_BATCH_SIZE)
    next(iter(batches))
    start = time.perf_counter()
    for _batch in batches.take(steps):
        pass
    return _took(steps * READ_BATCH_SIZE, time.perf_counter() - start)


def training(data_dir: str, num_sequences: int) -> Figures:
    """Train on paths that are drawn and classified, as the trainer does."""
    from benchmarks.trainers import Ours

    ours = Ours(data_dir, TRAINING_BATCH_SIZE, "float32", "cpu")
    ours.train(_WARM_UP_STEPS)
    steps = max(1, num_sequences // TRAINING_BATCH_SIZE)
    start = time.perf_counter()
    ours.train(steps)
    return _took(steps * TRAINING_BATCH_SIZE, time.perf_counter() - start)


def evaluation(data_dir: str, model_dir: str) -> Figures:
    """Judge every test sequence, with every metric."""
    from trainer.distributed.devices import choose_device, use_one_core_per_operation
    from trainer.evaluation.evaluator import EvaluationRequest, evaluate

    device = choose_device("cpu")
    use_one_core_per_operation()
    document = evaluate(EvaluationRequest(data_dir=data_dir, model_dir=model_dir), device=device).document
    # As the evaluator counts it: from the first record to the last sum.
    return _took(document["dataset"]["num_sequences"], document["throughput"]["seconds"])


def read_epoch(data_dir: str) -> int:
    """Read one epoch of the training split in the trainer's batches; how many there are."""
    from benchmarks.trainers import batches_of, train_files

    files = train_files(data_dir)
    steps = files.num_sequences // TRAINING_BATCH_SIZE
    return sum(1 for _ in batches_of(files, TRAINING_BATCH_SIZE).take(steps))


def _took(sequences: int, seconds: float, **more: float) -> Figures:
    """See the module's docstring."""
    return {"sequences": sequences, "seconds": seconds, **more, "peak_bytes": own_peak()}


def duplicates() -> Figures:
    """What it takes to look for duplicates in one range of hashes.

    A range gathers its hashes from every run in every shard's file, so its time has three parts: its hashes,
    which are ordered and compared; the files that are opened; and the runs that are searched. Narrow ranges,
    which hold next to no hashes, give what a file and a run take.

    Returns:
        ``seconds_a_hash``, ``seconds_a_file``, ``seconds_a_run``.
    """
    with tempfile.TemporaryDirectory() as directory:
        one = _write_hashes(Path(directory), files=1, runs=1)
        many_files = _write_hashes(Path(directory), files=_RUNS, runs=1)
        many_runs = _write_hashes(Path(directory), files=1, runs=_RUNS)
        ranges = num_ranges(_RUNS * HASHES_PER_RUN)
        least, by_file, by_run = (
            _seconds_a_range(files, ranges * _NARROW) for files in (one, many_files, many_runs)
        )
        whole = _seconds_a_range(many_files, ranges)
    more = _RUNS - 1
    a_run = max(0.0, (by_run - least) / more)
    a_file = max(0.0, (by_file - least) / more - a_run)
    a_hash = max(0.0, whole - by_file) * ranges / (_RUNS * HASHES_PER_RUN)
    return {"seconds_a_hash": a_hash, "seconds_a_file": a_file, "seconds_a_run": a_run}


def _write_hashes(directory: Path, files: int, runs: int) -> Files:
    """Training's files of sorted random hashes, as `pipeline.dataset.duplicates.HashWriter` leaves them."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(files):
        path = directory / f"{files}-{runs}-{number}"
        with path.open("wb") as stream:
            for _ in range(runs):
                hashes = np.sort(random.integers(0, 2**64, HASHES_PER_RUN, np.uint64))
                stream.write(np.array([len(hashes)], "<u8").tobytes() + hashes.astype("<u8").tobytes())
        paths.append(str(path))
    nothing = directory / "nothing"
    nothing.write_bytes(np.zeros(1, "<u8").tobytes())
    return {"train": paths, "validation": [str(nothing)], "test": [str(nothing)]}


def _seconds_a_range(files: Files, ranges: int) -> float:
    """Median over ranges that lie apart; the first one opens everything and is not counted."""
    taken = []
    for number in range(_RANGES + 1):
        start = time.perf_counter()
        count_in_range(files, number * (ranges // (_RANGES + 1)), ranges)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])
