"""Program: what `benchmarks.gpu` measures, by this process' ``KERAS_BACKEND``. Prints JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.program import ArgumentParser, positive_int, run

PROGRAM = "benchmarks.gpu_backend"

# The exit code where the backend sees no GPU.
NO_GPU = 3
_PRECISIONS = ("float32", "mixed_bfloat16")
_DRAWN_AT_ONCE = 1024
_MOST_IN_ARRAYS = 2**15  # Sequences of the tutorial's: half a megabyte each.
_COPIED = 2**28  # float32 numbers: a GiB.
_COPIED_ON_CPU = 2**24


def main(arguments: Sequence[str]) -> int:
    """Measure."""
    parser = ArgumentParser(
        PROGRAM,
        "Measure training, drawing and reading on this process' backend.",
        f"KERAS_BACKEND=jax python -m {PROGRAM} --data_dir /tmp/lines --batch_sizes 256",
    )
    add = parser.add_argument
    add("--data_dir", required=True, help="a data set of paths")
    add("--device", choices=("gpu", "cpu"), default="gpu", help="where")
    add("--batch_sizes", type=positive_int, nargs="+", required=True, help="of training")
    add("--steps", type=positive_int, default=100, help="a round; the tutorial's has a tenth")
    add("--rounds", type=positive_int, default=3, help="of both sides in turn")
    flags = parser.parse_args(arguments)

    from trainer.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    import keras

    if flags.device == "gpu" and not keras.distribution.list_devices("gpu"):
        return NO_GPU
    from benchmarks.trainers import Ours, Tutorial

    training = []
    device = ""
    for precision in _PRECISIONS if flags.device == "gpu" else _PRECISIONS[:1]:
        for batch_size in flags.batch_sizes:
            ours = Ours(flags.data_dir, batch_size, precision, flags.device)
            device = ours.device
            few = max(1, min(flags.steps // 10, _MOST_IN_ARRAYS // batch_size))
            tutorial = Tutorial(ours, batch_size, few)
            ours.train(flags.steps)
            tutorial.train(few)
            rounds = [
                {
                    "ours": _rate(ours.train, flags.steps, batch_size),
                    "tutorial": _rate(tutorial.train, few, batch_size),
                    "input_wait": ours.input_wait,
                }
                for _ in range(flags.rounds)
            ]
            training.append({"precision": precision, "batch_size": batch_size, "rounds": rounds})
    figures = {
        "device": device,
        "training": training,
        "drawn_per_second": _DRAWN_AT_ONCE / _seconds(_drawing()),
        "read_per_second": _reading(flags.data_dir),
        "bytes_copied_per_second": _copying(_COPIED if flags.device == "gpu" else _COPIED_ON_CPU),
    }
    print(json.dumps(figures))
    return 0


def _rate(train: Callable[[int], None], steps: int, batch_size: int) -> float:
    start = time.perf_counter()
    train(steps)
    return steps * batch_size / (time.perf_counter() - start)


def _drawing() -> Callable[[], Any]:
    """Draws a batch of frames, compiled, and waits for it."""
    import keras

    from model import DrawLine
    from pipeline.lines import sample_sequences

    path = keras.layers.Input((50,), dtype="uint8")
    label = keras.layers.Input((), dtype="uint8")
    frames = DrawLine(dtype="uint8")(path, label)
    # A sum of every frame has to look at it, and is small enough to come back.
    model = keras.Model([path, label], keras.ops.sum(keras.ops.cast(frames, "float32"), axis=(2, 3, 4)))
    model.compile(jit_compile=True)
    paths, labels = sample_sequences(0, "train", 50, 0, _DRAWN_AT_ONCE)
    batch = [paths, labels.astype("uint8")]
    return lambda: model.predict_on_batch(batch)


def _reading(data_dir: str) -> float:
    """Sequences a second of the trainer's pipeline alone."""
    from trainer.datasets import read_manifest, split_files
    from trainer.input_pipeline import training_batches

    files = split_files(data_dir, read_manifest(data_dir), "train")
    batches = training_batches(files, batch_size=1024, seed=0, readers=min(16, len(files.paths)))
    steps = max(1, files.num_sequences // 1024)
    iterator = iter(batches.take(steps + 1))
    next(iterator)
    start = time.perf_counter()
    for _ in iterator:
        pass
    return steps * 1024 / (time.perf_counter() - start)


def _copying(numbers: int) -> float:
    """Bytes that the device reads and writes a second."""
    import keras

    layer = keras.layers.Rescaling(1.0, offset=1.0)
    source = keras.ops.ones((numbers // 2**20, 2**20))

    def copy() -> Any:
        # The last number waits for all.
        return float(keras.ops.convert_to_numpy(layer(source)[-1, -1]))

    return 8 * numbers / _seconds(copy)


def _seconds(call: Callable[[], Any], rounds: int = 10) -> float:
    call()
    start = time.perf_counter()
    for _ in range(rounds):
        call()
    return (time.perf_counter() - start) / rounds


if __name__ == "__main__":
    run(PROGRAM, main)
