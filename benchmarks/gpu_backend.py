"""What the table ``gpu`` measures, by this process' ``KERAS_BACKEND``.

Prints an object of JSON a line, as soon as there is one: the device, rates that it can do at best, a row of
training, or what failed and why. What fails does not keep the rest from being measured.
"""

from __future__ import annotations

import importlib
import json
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import keras

from benchmarks.data import data_set
from benchmarks.trainers import Ours, Tutorial, batches_of, train_files
from model.moving_line import DrawLine
from pipeline.command_line.errors import RequestError, one_line
from pipeline.command_line.program import print_flushed
from pipeline.moving_line.lines import sample_sequences
from trainer.command_line.startup import reset_keras_settings
from trainer.distributed.devices import choose_device

_PRECISIONS = {"float32": "float32", "mixed_bfloat16": "bfloat16"}
_DRAWN_AT_ONCE = 1024
_READ_AT_ONCE = 1024
_MOST_IN_ARRAYS = 2**14  # Sequences of the tutorial's: half a megabyte each.
_LONG_ENOUGH = 1e-3  # Seconds of an operation, beside which its call takes none.
_MOST_CHARACTERS = 600

_Result = TypeVar("_Result")


def measure(
    *,
    directory: str,
    device: str,
    batch_sizes: Sequence[int],
    steps: int,
    rounds: int,
    image_size: int,
    num_path: int,
    num_frames: int,
) -> None:
    """Measure, and print.

    On a gpu, or a cpu, which shows that it works. Of the steps a round, the first is not timed; of frames
    it is a quarter of them, of the tutorial's a tenth. ``num_path`` and ``num_frames`` are sequences of the
    data sets of paths and of frames, which stay.
    """
    try:
        found = choose_device(device)
    except RequestError as error:
        _tell(no_gpu=str(error))
        return
    one = found if found.startswith(("1 ", "CPU")) else f"one of {found}"
    backend = keras.backend.backend()
    _tell(device=one, version=importlib.import_module(backend).__version__)
    data = {
        name: str(data_set(Path(directory), encoding, count, image_size))
        for name, encoding, count in (("paths", "path", num_path), ("frames", "frames", num_frames))
    }
    limits: dict[str, float] = {}

    def limit(name: str, measure: Callable[[], float]) -> None:
        if (rate := _attempt(f"the device's best rate, {name}", measure)) is not None:
            limits[name] = rate
            _tell(limits=limits)

    limit("copy", partial(_best_rate, _copy, lambda count: 8 * count, 2**20))
    for precision, dtype in list(_PRECISIONS.items())[: 1 if device == "cpu" else None]:
        reset_keras_settings(tf32=precision != "float32")
        limit(precision, partial(_best_rate, partial(_multiply, dtype), lambda size: 2 * size**3, 2**9))
        for batch_size in batch_sizes:
            _tell(training=_training(data, device, precision, batch_size, steps, rounds, limits))
            keras.utils.clear_session()
    reading = {f"read shuffled {name}": partial(_reading, found) for name, found in data.items()}
    for what, measure in {"draw frames": partial(_drawing, image_size), **reading}.items():
        if (rate := _attempt(what, measure)) is not None:
            _tell(**{what: rate})


def _tell(**found: Any) -> None:
    print_flushed(f"{json.dumps(found)}\n")


def _attempt(what: str, call: Callable[[], _Result]) -> _Result | None:
    """What a call gives; None if it fails, which is told."""
    try:
        return call()
    except Exception as error:
        text = one_line(error)
        if len(text) > _MOST_CHARACTERS:  # The cause stands first in TensorFlow's errors, last in Keras'.
            text = f"{text[: _MOST_CHARACTERS // 2]} ... {text[-_MOST_CHARACTERS // 2 :]}"
        _tell(failed=f"{what}: {type(error).__name__}: {text}")
        return None


def _training(
    data: dict[str, str],
    device: str,
    precision: str,
    batch_size: int,
    steps: int,
    rounds: int,
    limits: dict[str, float],
) -> dict[str, Any]:
    """What paths, stored frames and the tutorial come to, in turn; a side that fails is left out.

    The first step of a round is not in its rate: beside a GPU's steps, what starts reading takes long.
    """
    few = max(2, min(steps // 10, _MOST_IN_ARRAYS // batch_size))
    steps_of = {"paths": max(2, steps), "frames": max(2, steps // 4), "tutorial": few}
    rates: dict[str, list[float]] = {name: [] for name in steps_of}
    waits: dict[str, list[float]] = {name: [] for name in data}
    sides: dict[str, Any] = {}

    def train(name: str) -> float:
        if name not in sides:
            side = Ours(data.get(name, data["paths"]), batch_size, precision, device)
            sides[name] = side if name in data else Tutorial(side, batch_size, few)
        sides[name].train(steps_of[name])
        rate: float = sides[name].rate
        return rate

    for number in range(rounds + 1):
        for name in tuple(rates):
            what = f"train on {name}" if name in data else f"train as the {name} does"
            rate = _attempt(f"{what}, {precision}, batches of {batch_size}", partial(train, name))
            if rate is None:
                del rates[name]
                sides.pop(name, None)  # And the memory that it holds.
            elif number:  # The first round compiles.
                rates[name].append(rate)
                if name in data:
                    waits[name].append(sides[name].input_wait)
    found: dict[str, Any] = {name: {"rates": rates[name]} for name in rates}
    for name in found.keys() & data.keys():
        needs, rate = sides[name].needs, statistics.median(rates[name])
        found[name] |= {**needs, "input_wait": max(waits[name])}
        for share, limit, need in (("matrix", precision, "operations"), ("copy", "copy", "bytes")):
            if limit in limits:
                found[name][f"of_{share}_rate"] = needs[need] * rate / limits[limit]
    return {"precision": precision, "batch_size": batch_size, "sides": found}


def _drawing(image_size: int) -> float:
    """Sequences a second that are drawn, compiled, and every pixel looked at."""
    path = keras.layers.Input((image_size,), dtype="uint8")
    label = keras.layers.Input((), dtype="uint8")
    frames = DrawLine(dtype="uint8")(path, label)
    # A sum of every frame has to look at it, and is small enough to come back.
    model = keras.Model([path, label], keras.ops.sum(keras.ops.cast(frames, "float32"), axis=(2, 3, 4)))
    model.compile(jit_compile=True)
    paths, labels = sample_sequences(0, "train", image_size, 0, _DRAWN_AT_ONCE)
    batch = [paths, labels.astype("uint8")]
    return _DRAWN_AT_ONCE / _seconds(lambda: model.predict_on_batch(batch), lambda _: None)


def _reading(data_dir: str) -> float:
    """Sequences a second of the trainer's pipeline alone."""
    files = train_files(data_dir)
    size = min(_READ_AT_ONCE, files.num_sequences)
    steps = files.num_sequences // size
    iterator = iter(batches_of(files, size).take(steps + 1))
    next(iterator)
    start = time.perf_counter()
    for _ in iterator:
        pass
    return steps * size / (time.perf_counter() - start)


def _copy(count: int) -> Callable[[], Any]:
    """Reads float32 numbers and writes as many, in one operation."""
    source = keras.ops.ones((count // 2**10, 2**10))
    return lambda: source + 1


def _multiply(dtype: str, size: int) -> Callable[[], Any]:
    """Multiplies square matrices."""
    matrix = keras.ops.ones((size, size), dtype)
    return lambda: keras.ops.matmul(matrix, matrix)


def _best_rate(make: Callable[[int], Callable[[], Any]], work: Callable[[int], float], size: int) -> float:
    """Work a second, at the first size, doubled and doubled again, that takes long enough."""

    def wait(result: Any) -> None:
        float(keras.ops.cast(result[-1, -1], "float32"))  # The last number waits for all.

    while (seconds := _seconds(make(size), wait)) < _LONG_ENOUGH:
        size *= 2
    return work(size) / seconds


def _seconds(call: Callable[[], Any], wait: Callable[[Any], None], count: int = 10) -> float:
    """Seconds of a call, of several in a row; the device does one after the other."""
    wait(call())
    start = time.perf_counter()
    for _ in range(count):
        last = call()
    wait(last)
    return (time.perf_counter() - start) / count
