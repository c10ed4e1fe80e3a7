"""What `fit` reads: the part of every batch that one process trains on, and of validation.

The shards are dealt to **feeds** once and for all, and every batch takes the same number of sequences from
each, in the order of `trainer.input.shuffle_order`. So a batch holds the same sequences whether one process
reads all feeds or each process some. Each feed passes over its own shards at its own pace: where shards
differ in size, one feed begins its next pass some steps before another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from trainer.input.batches import sequential_batches, training_batches
from trainer.input.data_service import DataService
from trainer.input.records import Numbering
from trainer.input.split_files import SplitFiles
from trainer.training.settings import TrainingSettings


@dataclass(frozen=True)
class Part:
    """Which part of every batch: part ``index`` of ``count`` equal ones."""

    index: int
    count: int


def training_part(
    files: SplitFiles,
    settings: TrainingSettings,
    readers: int,
    first_step: int,
    part: Part,
    service: DataService | None = None,
) -> tf.data.Dataset:
    """Endless batches for training, from a step of the run on.

    Args:
        files: the training split.
        settings: of the run.
        readers: shards that each feed reads in parallel.
        first_step: batches of the run that lie before.
        part: of every batch; ``settings.feeds`` is a multiple of its count.
        service: reads for this process; None reads here.

    Returns:
        Batches (features, labels) as `trainer.input.batches.training_batches` gives, of ``batch_size /
        count`` sequences, and with ``"number"``: uint32, which sequence of the run it is, if the observation
        is random.
    """
    feed_size = settings.batch_size // settings.feeds
    own = settings.feeds // part.count
    feeds = range(part.index * own, (part.index + 1) * own)
    read = [
        training_batches(
            files.dealt(feed, settings.feeds),
            batch_size=feed_size,
            seed=settings.seed + 2**32 * feed,
            readers=readers,
            first_step=first_step,
            service=service,
            numbering=Numbering(feed * feed_size, settings.batch_size),
        )
        for feed in feeds
    ]
    batches = read[0] if own == 1 else tf.data.Dataset.zip(tuple(read)).map(_join)
    if not settings.observation.is_random:
        return batches
    size = own * feed_size
    within = tf.range(size, dtype=tf.int64) + part.index * size
    steps = tf.data.Dataset.counter(first_step)
    return tf.data.Dataset.zip((steps, batches)).map(
        lambda step, batch: (_numbered(batch[0], step * settings.batch_size + within), batch[1])
    )


def num_validation_batches(files: SplitFiles, batch_size: int, part: Part) -> int:
    """How many batches `validation_part` gives, the same for every part."""
    return -(-files.num_sequences // (batch_size * part.count))


def validation_part(
    files: SplitFiles, settings: TrainingSettings, batch_size: int, part: Part
) -> tf.data.Dataset:
    """Batches for validation, which together with all other parts hold every sequence once.

    Every part has the same number of batches, all of one size; what does not come out even is padded with
    sequences of weight 0. The other weights are such that means over everything are means over the sequences.

    Args:
        files: the validation split.
        settings: of the run.
        batch_size: sequences in this part's batches.
        part: of the split.

    Returns:
        Batches (features, labels, weights float32 (batch_size,)), as many as `num_validation_batches` says.
    """
    count = files.num_sequences
    num_batches = num_validation_batches(files, batch_size, part)
    size = num_batches * batch_size
    first = part.index * size
    weight = size * part.count / count
    padding = sequential_batches(files, batch_size=min(batch_size, count)).take(1).repeat()
    batches = padding
    if first < count:
        batches = sequential_batches(files, batch_size=batch_size, first=first).take(num_batches)
        batches = batches.concatenate(padding)

    def padded(index: tf.Tensor, batch: tuple[dict[str, tf.Tensor], tf.Tensor]) -> tuple[Any, Any, Any]:
        features, labels = batch
        numbers = first + index * batch_size + tf.range(batch_size, dtype=tf.int64)
        if settings.observation.is_random:
            features = _numbered(features, numbers[: tf.shape(labels)[0]])
        features, labels = tf.nest.map_structure(lambda rows: _fill(rows, batch_size), (features, labels))
        return features, labels, tf.where(numbers < count, tf.constant(weight, tf.float32), 0.0)

    return batches.take(num_batches).enumerate().map(padded).prefetch(1)


def _fill(rows: tf.Tensor, batch_size: int) -> tf.Tensor:
    missing = batch_size - tf.shape(rows)[0]
    filled = tf.pad(rows, [[0, missing], *[[0, 0]] * (rows.shape.rank - 1)])
    return tf.ensure_shape(filled, [batch_size, *rows.shape[1:]])


def _join(*batches: tuple[dict[str, tf.Tensor], tf.Tensor]) -> Any:
    return tf.nest.map_structure(_concatenated, *batches)


def _concatenated(*parts: tf.Tensor) -> tf.Tensor:
    """The rows of all parts; where shapes vary, each part is padded to the longest."""
    if parts[0].shape[1:].is_fully_defined():
        return tf.concat(parts, 0)
    shapes = [tf.shape(part)[1:] for part in parts]
    longest = tf.reduce_max(tf.stack(shapes), axis=0)
    rows = [
        tf.pad(part, tf.concat([[[0, 0]], tf.stack([tf.zeros_like(shape), longest - shape], 1)], 0))
        for part, shape in zip(parts, shapes, strict=True)
    ]
    return tf.ensure_shape(tf.concat(rows, 0), [None, *parts[0].shape[1:]])


def _numbered(features: dict[str, tf.Tensor], numbers: tf.Tensor) -> dict[str, tf.Tensor]:
    return {**features, "number": tf.cast(numbers, tf.uint32)}
