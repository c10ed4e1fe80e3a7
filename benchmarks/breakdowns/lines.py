"""Where the time of every stage of moving lines goes; see `benchmarks.breakdowns`."""

from __future__ import annotations

import hashlib
import io
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import stage
from benchmarks.breakdowns.measuring import Limits, figures, gradients, seconds_a_call, seconds_a_pass
from benchmarks.data import IMAGE_SIZE, SEED, data_set, data_set_to_judge, run_to_judge
from benchmarks.step_needs import Network, forward_operations, training_operations
from benchmarks.trainers import READERS, Ours, batches_of, train_files
from model import answers_by_frame
from model.moving_line import with_sequence_inputs
from pipeline.dataset.content_digest import LeafDigests
from pipeline.dataset.duplicates import HASHES_PER_RUN, HashWriter
from pipeline.moving_line.definition import MovingLine, contents_of
from pipeline.moving_line.encodings import ENCODINGS
from pipeline.moving_line.lines import paths_from_words, random_words, words_per_sequence
from pipeline.moving_line.statistics import LineStatistics
from trainer.evaluation.evidence import Evidence
from trainer.input.batches import sequential_batches
from trainer.input.shuffle_order import SHUFFLE_WINDOW
from trainer.input.split_files import read_manifest, split_files
from trainer.moving_line.records import image_size_of, line_records
from trainer.moving_line.scoring import Scorer
from trainer.moving_line.slicings import LINE_SLICINGS
from trainer.run.run_directory import RunDirectory
from trainer.run.trained_model import load_trained_model

_READ_BATCH_SIZE, _TRAINED_BATCH_SIZE, _JUDGED_BATCH_SIZE = 256, 32, 64
_FEW_STEPS, _STEPS = 50, 250


def generation(directory: Path, limits: Limits, num_train: int) -> dict[str, Any]:
    """Parts of a block's way into a shard of paths, and whole shards as a Beam worker makes them."""
    count = MovingLine.examples_per_leaf
    words = random_words(SEED, "train", IMAGE_SIZE, 0, count)
    paths, labels = paths_from_words(words, IMAGE_SIZE)
    encode = ENCODINGS["path"].encode
    block = encode(paths, labels)
    contents = contents_of(paths, labels)

    def hash_a_run() -> None:
        with HashWriter(io.BytesIO()) as hashes:
            for _ in range(HASHES_PER_RUN // count):
                hashes.add(contents)

    parts = {
        "random words": seconds_a_call(lambda: random_words(SEED, "train", IMAGE_SIZE, 0, count)) / count,
        "words to paths": seconds_a_call(lambda: paths_from_words(words, IMAGE_SIZE)) / count,
        "records and their checksums": seconds_a_call(lambda: encode(paths, labels)) / count,
        "digest of the file": seconds_a_call(lambda: hashlib.sha256(block)) / count,
        "digest of the content": seconds_a_call(lambda: LeafDigests(count).add(0, contents)) / count,
        "statistics": seconds_a_call(lambda: LineStatistics.of(paths, labels)) / count,
        "hashes, sorted, for duplicates": seconds_a_call(hash_a_run) / HASHES_PER_RUN,
        "writing, to the page cache": _writing(directory, block) / count,
    }
    with TemporaryDirectory(dir=directory) as data:
        whole = stage.generation(data, num_train, "path")["seconds"] / num_train
    record, content, drawn = len(block) / count, IMAGE_SIZE + 1, words_per_sequence(IMAGE_SIZE)
    limit = (
        drawn / 2 / limits["random_words"]
        + record / limits["crc32c"]
        + (record + content) / limits["sha256"]
        + record / limits["copy"]
    )
    why = (
        f"{drawn // 2} words of Philox, {record:.0f} bytes of CRC-32C,"
        f" {record + content:.0f} of SHA-256 and {record:.0f} copied"
    )
    return figures("generation, paths", parts, whole, limit, why)


def _writing(directory: Path, block: bytes) -> float:
    """Seconds a block of a file of 64 MiB."""
    blocks = 2**26 // len(block)
    with TemporaryDirectory(dir=directory) as scratch:

        def write() -> None:
            with (Path(scratch) / "file").open("wb") as stream:
                for _ in range(blocks):
                    stream.write(block)

        return seconds_a_call(write, 1.0) / blocks


def reading(directory: Path, limits: Limits, count: int) -> dict[str, Any]:
    """Shuffled paths; each part is a pipeline with one step more, the last the trainer's, on one thread."""
    files = train_files(str(data_set(directory, "path", count)))
    kind, chunk = line_records(files.spec), SHUFFLE_WINDOW // READERS
    chunks = kind.chunks(
        tf.constant(files.paths), tf.constant(files.counts, tf.int64), tf.constant(0, tf.int64), chunk
    )
    rows = tf.concat([next(iter(chunks))] * READERS, 0)

    def shuffle() -> Any:
        draws = tf.random.uniform([len(rows)], maxval=2**62, dtype=tf.int64)
        return tf.gather(rows, tf.argsort(draws, stable=True))

    batching = tf.data.Dataset.from_tensors(rows).repeat(count // len(rows))
    parts = {
        "rows from files, every byte checked": seconds_a_pass(chunks) / count,
        "shuffling a window": seconds_a_call(shuffle) / len(rows),
        "batches of features": seconds_a_pass(kind.batches(batching, _READ_BATCH_SIZE)) / count,
    }
    steps = count // _READ_BATCH_SIZE
    whole = seconds_a_pass(batches_of(files, _READ_BATCH_SIZE).take(steps)) / (steps * _READ_BATCH_SIZE)
    record, row = files.num_bytes / files.num_sequences, image_size_of(files.spec) + 1
    limit = record / limits["crc32c"] + (2 * record + 3 * row) / limits["copy"]
    why = (
        f"{record:.0f} bytes of CRC-32C, copied from the file and as a string, and {row} bytes copied as"
        " parsed, shuffled and batched"
    )
    return figures("reading, shuffled paths", parts, whole, limit, why)


def training(directory: Path, limits: Limits) -> dict[str, Any]:
    """Forward, backward and update of the trainer's model as graphs of their own; then `fit`."""
    size = _TRAINED_BATCH_SIZE
    ours = Ours(str(data_set(directory, "path", 200_000)), size, "float32", "cpu")
    model = ours.model.sequence_model
    lstm = ours.model.classifier.get_layer("lstm")
    features, labels = ours.batch()
    variables = model.trainable_variables
    projected = tf.random.normal([size, ours.image_size, 4 * lstm.units])

    def loss() -> Any:
        return model.compute_loss(x=features, y=labels, y_pred=model(features, training=True))

    def recurrence() -> Any:
        return tf.reduce_sum(lstm.recur(projected))

    values = tuple(variable.value for variable in variables)
    recurrent = (projected, lstm.cell.recurrent_kernel.value)
    found = gradients(loss, values)
    update = tf.function(lambda: model.optimizer.apply(found, variables))
    forward, recurring = (seconds_a_call(tf.function(function)) / size for function in (loss, recurrence))
    both = seconds_a_call(lambda: gradients(loss, values)) / size
    recurring_both = seconds_a_call(lambda: gradients(recurrence, recurrent)) / size
    parts = {
        "forward: what the pixels change, times the input kernel": forward - recurring,
        "forward: the LSTM's steps": recurring,
        "backward: what the pixels change": both - recurring_both - (forward - recurring),
        "backward: the LSTM's steps": recurring_both - recurring,
        "optimizer": seconds_a_call(update) / size,
    }
    ours.train(_FEW_STEPS)
    # The difference of two lengths: what is done once at a training's start is not in it.
    few, many = (seconds_a_call(partial(ours.train, steps), 3.0) for steps in (_FEW_STEPS, _STEPS))
    whole = (many - few) / (_STEPS - _FEW_STEPS) / size
    needed = training_operations(Network.of(ours.model.classifier), draws_frames=False)
    why = f"{needed / 1e6:.1f} million operations in matrix products, forward and twice backward"
    limit = needed / limits["matrix_product"]
    return figures(f"training, batches of {size} paths", parts, whole, limit, why)


def evaluation(directory: Path, limits: Limits, num_judged: int) -> dict[str, Any]:
    """Each part by itself; then the evaluator's scoring of the split, its compilation not counted."""
    size = _JUDGED_BATCH_SIZE
    data = str(data_set_to_judge(directory, num_judged))
    trained = load_trained_model(RunDirectory(str(run_to_judge(directory, Path(data)))))
    files = split_files(data, read_manifest(data), "test")
    model = with_sequence_inputs(
        answers_by_frame(trained.classifier),
        image_size_of(files.spec),
        files.spec.input,
        trained.observation,
    )
    model.compile(jit_compile=False)
    batches = iter(sequential_batches(files, batch_size=size).as_numpy_iterator())
    features, expected = next(batches)  # Which builds what is built once.
    start = time.perf_counter()
    count_read = sum(len(each) for _, each in batches)
    parts = {"reading": (time.perf_counter() - start) / count_read}
    answers = model.predict_on_batch(features)[:, :, 0]
    labels = expected[:, 0].astype(np.int64)

    def count() -> None:
        evidence = Evidence(size, answers.shape[1], files.spec, LINE_SLICINGS)
        evidence.add(np.arange(size), answers, labels, features["path"])

    predicting = seconds_a_call(lambda: model.predict_on_batch(features))
    parts |= {"the network, after every frame": predicting / size, "counting": seconds_a_call(count) / size}
    scorer = Scorer(trained, files.spec, trained.observation)
    scorer.score(files, size, LINE_SLICINGS, "warm-up")
    start = time.perf_counter()
    scorer.score(files, size, LINE_SLICINGS, "measured")
    whole = (time.perf_counter() - start) / num_judged
    needed = forward_operations(Network.of(trained.classifier), draws_frames=False)
    why = f"{needed / 1e6:.1f} million operations in matrix products"
    return figures(
        f"evaluation, batches of {size} paths", parts, whole, needed / limits["matrix_product"], why
    )
