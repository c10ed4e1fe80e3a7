"""How fast the classifier of clips is trained on a CPU, beside arrays in memory and beside plain Keras.

On gray clips, as `make demo-clips` makes them. All in one process, in turn: the trainer's model, input and
`fit` on shards of clips; the same compiled model on batches that were read before, by `train_on_batch`; and
the same network in TimeDistributed layers, by `fit` on arrays in memory. Batch size, optimizer and initial
weights are the same; before the first step both networks must give the same answers. The first pass of each,
which compiles, is not counted, and neither is the first step of a `fit`. In bfloat16 only where the processor
has AMX: others emulate it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from benchmarks.baselines.time_distributed import time_distributed_model
from benchmarks.clip_data import digits_data_set
from benchmarks.rows import Row, Target
from benchmarks.step_needs import clip_training_operations
from benchmarks.trainers import FirstStep, Ours
from pipeline.command_line.errors import WorkError

_BATCH_SIZE = 32
# Clips; steps of a round, of which the arrays hold some, again and again; rounds.
_FULL, _QUICK = (1_000, 40, 3), (200, 10, 1)
_HELD_BATCHES = 10
_AGREE_TO = 1e-5
_MATRIX = 1536


def measure(directory: Path, quick: bool) -> list[Row]:
    """Rows of speed, of the share of the processor's peak, and of bfloat16.

    Raises:
        WorkError: if the two networks do not give the same answers.
    """
    num_clips, steps, num_rounds = _QUICK if quick else _FULL
    data = str(digits_data_set(directory, num_clips, channels=1))
    ours = Ours(data, _BATCH_SIZE, "float32", "cpu")
    held = list(ours.batches(0).take(min(_HELD_BATCHES, steps)).as_numpy_iterator())
    frames = np.concatenate([features["frames"] for features, _ in held])
    labels = np.concatenate([labels[:, 0] for _, labels in held])
    keras_model = _time_distributed(ours, frames)

    def on_batches(count: int) -> float:
        start = time.perf_counter()
        for step in range(count):
            ours.model.sequence_model.train_on_batch(*held[step % len(held)])
        return count * _BATCH_SIZE / (time.perf_counter() - start)

    def by_keras(count: int) -> float:
        first = FirstStep(lambda: 0.0)
        epochs = -(-count // len(held))
        keras_model.fit(frames, labels, batch_size=_BATCH_SIZE, epochs=epochs, verbose=0, callbacks=[first])
        return (epochs * len(held) - 1) * _BATCH_SIZE / (time.perf_counter() - first.time)

    sides: list[Callable[[int], float]] = [lambda count: _by_trainer(ours, count), on_batches, by_keras]
    has_bf16 = _has_amx_bf16()
    if has_bf16:
        bf16 = Ours(data, _BATCH_SIZE, "mixed_bfloat16", "cpu")
        sides.append(lambda count: _by_trainer(bf16, count))
    else:
        print("train-clips-bf16: left out, for the processor has no AMX")
    for side in sides:
        side(2)
    rounds = [[*(side(steps) for side in sides), _matrix_rate()] for _ in range(num_rounds)]
    what = f"train `conv` on clips, batches of {_BATCH_SIZE}, float32, CPU"
    operations = clip_training_operations(ours.model.classifier, frames.shape[1]) / 1e9
    rows = [
        Row(
            "train-clips-arrays",
            f"{what}, from shards, clips/s",
            "the same model's `train_on_batch`, decoded batches in memory",
            tuple((each[0], each[1]) for each in rounds),
            target=Target(0.9),
        ),
        Row(
            "train-clips-keras",
            f"{what}, from shards, clips/s",
            "plain Keras: TimeDistributed layers, LSTM, `fit` from arrays",
            tuple((each[0], each[2]) for each in rounds),
            target=Target(1.2),
        ),
        Row(
            "train-clips-peak",
            f"… its products, {operations:.2f} billion operations a clip, 1e9/s",
            f"a float32 product of matrices of {_MATRIX}x{_MATRIX}",
            tuple((each[0] * operations, each[-1] / 1e9) for each in rounds),
            digits=1,
        ),
    ]
    if has_bf16:
        against = tuple((each[3], each[0]) for each in rounds)
        bf16_what = what.replace("float32", "mixed_bfloat16")
        rows.append(Row("train-clips-bf16", f"{bf16_what}, clips/s", "itself, float32", against))
    return rows


def _by_trainer(ours: Ours, steps: int) -> float:
    ours.train(steps)
    return ours.rate


def _time_distributed(ours: Ours, frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> keras.Model:
    """The network in plain Keras, with our weights."""
    classifier, optimizer = ours.model.classifier, ours.model.sequence_model.optimizer
    units, num_classes = classifier.get_layer("lstm").units, classifier.output_shape[-1]
    shape = frames.shape[1:]
    assert len(shape) == 4
    model = time_distributed_model(
        shape, units, num_classes, type(optimizer).from_config(optimizer.get_config())
    )
    model.set_weights(classifier.get_weights())
    few = frames[:_BATCH_SIZE]
    lengths = np.full(len(few), shape[0], np.int32)
    answers = [
        keras.ops.convert_to_numpy(each)
        for each in (classifier({"frames": few, "length": lengths}), model(few))
    ]
    if (difference := float(np.abs(answers[0] - answers[1]).max())) > _AGREE_TO:
        raise WorkError(f"the two models' answers differ by {difference}")
    return model


def _matrix_rate() -> float:
    """Float32 operations a second in a product of large matrices by TensorFlow, on all cores."""
    matrix = tf.random.uniform([_MATRIX, _MATRIX])
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        tf.reduce_sum(tf.matmul(matrix, matrix)).numpy()
        rates.append(2 * _MATRIX**3 / (time.perf_counter() - start))
    return max(rates)


def _has_amx_bf16() -> bool:
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
