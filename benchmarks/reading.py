"""Program: how fast data sets are read, beside bare tf.data and beside TFDS.

Two comparisons, each in turn in one process. Paths: the trainer's shuffled, parsed batches beside
``TFRecordDataset(...).batch(...).map(parse_example)`` in file order over the same files. Frames: paths read
by the trainer's pipeline and drawn by the model's layer, as uint8, beside TFDS reading the frames encoding,
every round with a data set object of its own, so that nothing is cached.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Comparison, verdict
from benchmarks.jobs import data_set
from benchmarks.results_file import write_results
from pipeline.program import ArgumentParser, positive_int, run

PROGRAM = "benchmarks.reading"

_MIN_OF_BARE = 0.8
_MIN_OF_TFDS = 10
_READERS = 16

# Makes a data set of batches anew, for one pass.
Batches = Callable[[], Iterable[Any]]


def main(arguments: Sequence[str]) -> int:
    """Generate what is not there, measure in turn, print a table."""
    parser = ArgumentParser(
        PROGRAM,
        "Compare reading with bare tf.data and with TFDS: sequences a second.",
        f"python -m {PROGRAM} --output_dir /tmp/reading",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="for reading.json and the data sets, which stay")
    add("--rounds", type=positive_int, default=3, help="of both sides in turn")
    add("--num_path", type=positive_int, default=6_000_000, help="sequences read as paths")
    add("--num_drawn", type=positive_int, default=1_000_000, help="of these, sequences that are drawn")
    add("--num_frames", type=positive_int, default=10_000, help="sequences read as frames")
    add("--batch_size", type=positive_int, default=1024, help="sequences a batch of paths")
    add("--frames_batch_size", type=positive_int, default=256, help="sequences a batch of frames")
    flags = parser.parse_args(arguments)
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    path_dir = str(data_set(directory, "path", flags.num_path))
    frames_dir = str(data_set(directory, "frames", flags.num_frames))

    from trainer.startup import import_tensorflow_quietly

    import_tensorflow_quietly()
    from benchmarks.readers import bare_batches, drawn_batches, tfds_batches, trainer_batches

    size, frames_size = flags.batch_size, flags.frames_batch_size
    steps, drawn = flags.num_path // size, flags.num_drawn // frames_size
    results = {
        "paths": _measure(
            lambda: trainer_batches(path_dir, size, _READERS, steps),
            lambda: bare_batches(path_dir, size, steps),
            size,
            flags.rounds,
        ),
        "frames": _measure(
            lambda: drawn_batches(path_dir, frames_size, _READERS, drawn),
            lambda: tfds_batches(frames_dir, frames_size, flags.num_frames // frames_size),
            frames_size,
            flags.rounds,
        ),
    }
    path = directory / "reading.json"
    modules = ("tensorflow", "keras", "tensorflow_datasets", "numpy")
    write_results(path, modules, {"unit": "sequences/s", "rounds": results})
    print("| sequences/s | ours | the other | ours / the other | target |")
    print("|---|---:|---:|---:|---|")
    for name, other, least in (
        ("paths", "bare tf.data, not shuffled", _MIN_OF_BARE),
        ("frames", "TFDS, zlib frames", _MIN_OF_TFDS),
    ):
        compared = Comparison.of([(each["ours"], each["other"]) for each in results[name]])
        target = verdict(f"at least {least} times", compared.ratio.median >= least)
        print(compared.row(f"{name}; other: {other}", 0, target))
    print(f"medians of {flags.rounds} rounds (lowest to highest); {path}")
    return 0


def _measure(ours: Batches, other: Batches, batch_size: int, rounds: int) -> list[dict[str, float]]:
    """Sequences a second of both, in turn, after a batch of each that builds what is built once."""
    for batches in (ours, other):
        next(iter(batches()))
    return [{"ours": _rate(ours, batch_size), "other": _rate(other, batch_size)} for _ in range(rounds)]


def _rate(batches: Batches, batch_size: int) -> float:
    start = time.perf_counter()
    count = sum(1 for _ in batches())
    return count * batch_size / (time.perf_counter() - start)


if __name__ == "__main__":
    run(PROGRAM, main)
