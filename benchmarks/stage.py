"""The stages of the data's way, one after the other; for `stages`, which does each in a process on one core.

Each gives how many ``sequences`` it took, in how many ``seconds``, the ``peak_bytes`` of this process and,
where it writes records, their ``bytes``. What is done once, as imports and compilation, is not in the
seconds; evaluation, which compiles by itself, counts that.
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
_READERS = 16
_WARM_UP_STEPS = 5

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
                if (
                    listed[0].split in splits
                    and check_shard(listed, manifest.definition, data_dir, hashes).problems
                ):
                    raise WorkError(f"{data_dir}: is damaged; remove it")

        check("validation", "test")
        start = time.perf_counter()
        check("train")
        seconds = time.perf_counter() - start
    return _took(manifest.splits["train"].num_sequences, seconds)


def reading(data_dir: str, num_sequences: int) -> Figures:
    """Read shuffled training batches; TensorFlow has as many threads as it may use cores."""
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.input.feeds import Part, training_part
    from trainer.input.split_files import read_manifest, split_files
    from trainer.training.settings import TrainingSettings

    files = split_files(data_dir, read_manifest(data_dir), "train")
    settings = TrainingSettings(batch_size=READ_BATCH_SIZE)
    steps = max(1, num_sequences // READ_BATCH_SIZE)
    batches = training_part(files, settings, min(_READERS, len(files.paths)), 0, Part(0, 1))
    next(iter(batches))
    start = time.perf_counter()
    for _batch in batches.take(steps):
        pass
    return _took(steps * READ_BATCH_SIZE, time.perf_counter() - start)


def training(data_dir: str, num_sequences: int) -> Figures:
    """Train on paths that are drawn and classified, as the trainer does."""
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from benchmarks.trainers import Ours

    ours = Ours(data_dir, TRAINING_BATCH_SIZE, "float32", "cpu")
    ours.train(_WARM_UP_STEPS)
    steps = max(1, num_sequences // TRAINING_BATCH_SIZE)
    start = time.perf_counter()
    ours.train(steps)
    return _took(steps * TRAINING_BATCH_SIZE, time.perf_counter() - start)


def evaluation(data_dir: str, model_dir: str) -> Figures:
    """Judge every test sequence, with every metric."""
    from trainer.command_line.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from trainer.distributed.devices import choose_device, use_one_core_per_operation
    from trainer.evaluation.evaluator import EvaluationRequest, evaluate

    device = choose_device("cpu")
    use_one_core_per_operation()
    document = evaluate(EvaluationRequest(data_dir=data_dir, model_dir=model_dir), device=device).document
    # As the evaluator counts it: from the first record to the last sum.
    return _took(document["dataset"]["num_sequences"], document["throughput"]["seconds"])


def _took(sequences: int, seconds: float, **more: float) -> Figures:
    """See the module's docstring."""
    return {"sequences": sequences, "seconds": seconds, **more, "peak_bytes": own_peak()}
