"""The trainer's stages; for the table ``stages``, as `benchmarks.stage`, and for ``memory``.

What is done once, as compilation, is not in the seconds; evaluation, which compiles by itself, counts that.
"""

from __future__ import annotations

import time

from benchmarks.stage import READ_BATCH_SIZE, TRAINING_BATCH_SIZE, Figures, took
from benchmarks.trainers import Ours
from trainer.distributed.devices import choose_device, use_one_core_per_operation
from trainer.evaluation.evaluator import EvaluationRequest, evaluate
from trainer.input.batches import steps_per_pass, training_batches
from trainer.input.feeds import Part, training_part
from trainer.input.split_files import read_manifest, split_files
from trainer.training.settings import TrainingSettings

_READERS = 16
_WARM_UP_STEPS = 5


def reading(data_dir: str, num_sequences: int) -> Figures:
    """Read shuffled training batches; TensorFlow has as many threads as it may use cores."""
    files = split_files(data_dir, read_manifest(data_dir), "train")
    settings = TrainingSettings(batch_size=READ_BATCH_SIZE)
    steps = max(1, num_sequences // READ_BATCH_SIZE)
    batches = training_part(files, settings, min(_READERS, len(files.paths)), 0, Part(0, 1))
    next(iter(batches))
    start = time.perf_counter()
    for _batch in batches.take(steps):
        pass
    return took(steps * READ_BATCH_SIZE, time.perf_counter() - start)


def training(data_dir: str, num_sequences: int) -> Figures:
    """Train on paths that are drawn and classified, as the trainer does."""
    ours = Ours(data_dir, TRAINING_BATCH_SIZE, "float32", "cpu")
    ours.train(_WARM_UP_STEPS)
    steps = max(1, num_sequences // TRAINING_BATCH_SIZE)
    start = time.perf_counter()
    ours.train(steps)
    return took(steps * TRAINING_BATCH_SIZE, time.perf_counter() - start)


def evaluation(data_dir: str, model_dir: str) -> Figures:
    """Judge every test sequence, with every metric."""
    device = choose_device("cpu")
    use_one_core_per_operation()
    document = evaluate(EvaluationRequest(data_dir=data_dir, model_dir=model_dir), device=device).document
    # As the evaluator counts it: from the first record to the last sum.
    return took(document["dataset"]["num_sequences"], document["throughput"]["seconds"])


def read_epoch(data_dir: str) -> int:
    """Read one epoch of the training split in the trainer's batches; how many there are."""
    settings = TrainingSettings()
    files = split_files(data_dir, read_manifest(data_dir), "train")
    readers = min(_READERS, len(files.paths))
    batches = training_batches(files, batch_size=settings.batch_size, seed=settings.seed, readers=readers)
    return sum(1 for _ in batches.take(steps_per_pass(files, settings.batch_size)))
