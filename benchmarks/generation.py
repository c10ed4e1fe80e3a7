"""Program: how fast data sets are generated and how large they are, ours and those that TFDS writes itself.

Every job is a fresh process, timed from its start to its end. A job of a few sequences before each tells how
much of that is start-up, which weighs the more the fewer sequences a job has. First, a small data set of each
kind is read back and must hold the sequences that it should.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.agreement import IMAGE_SIZE, SEED, check_agreement
from benchmarks.figures import Comparison, verdict
from benchmarks.jobs import command, seconds_of
from benchmarks.results_file import write_results
from pipeline.encodings import ENCODINGS
from pipeline.program import ArgumentParser, positive_int, run

PROGRAM = "benchmarks.generation"

# Ours; TFDS with a Beam element for every sequence, as its guide does it; and with one for many, its best.
_SIDES = ("ours", "tfds", "tfds_blocks")
_SEQUENCES_PER_ELEMENT = {"tfds": 1, "tfds_blocks": 1_000}
_BASELINES = {"tfds": "TFDS", "tfds_blocks": "TFDS, 1,000 sequences an element"}
_FEW = 16  # Sequences of a job that is nothing but start-up.
_CHECKED = 1_100  # More than a block of the baseline.
_MIN_TIMES_AS_FAST = {"path": 100, "frames": 10}
_MAX_PATH_BYTES = 100
_MAX_TIMES_AS_LARGE = 2

# What one job took and left, by name.
Figures = dict[str, float]
# The figures of each side.
Round = dict[str, Figures]


def main(arguments: Sequence[str]) -> int:
    """Check, measure in turn, print a table."""
    parser = ArgumentParser(
        PROGRAM,
        "Compare pipeline.generate with TFDS and Beam: sequences a second, bytes a sequence.",
        f"python -m {PROGRAM} --output_dir /tmp/generation",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="for generation.json, and for data sets while they are measured")
    add("--rounds", type=positive_int, default=2, help="of ours and TFDS in turn")
    add("--num_path", type=positive_int, default=20_000_000, help="our sequences, as paths")
    add("--num_frames", type=positive_int, default=300_000, help="our sequences, as frames")
    add("--num_tfds_path", type=positive_int, default=300_000, help="TFDS' sequences, as paths")
    add("--num_tfds_frames", type=positive_int, default=10_000, help="TFDS' sequences, as frames")
    flags = parser.parse_args(arguments)
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    counts = {
        "path": {"ours": flags.num_path, **dict.fromkeys(_BASELINES, flags.num_tfds_path)},
        "frames": {"ours": flags.num_frames, **dict.fromkeys(_BASELINES, flags.num_tfds_frames)},
    }
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        data = Path(scratch) / "data"
        for encoding in ENCODINGS:
            for side in _SIDES:
                _make(side, data, encoding, _CHECKED)
                check_agreement(data, encoding, _CHECKED)
        rounds = {
            encoding: [
                {side: _measure(side, data, encoding, counts[encoding][side]) for side in _SIDES}
                for _ in range(flags.rounds)
            ]
            for encoding in ENCODINGS
        }
    path = directory / "generation.json"
    modules = ("apache_beam", "tensorflow_datasets", "tensorflow", "numpy")
    write_results(path, modules, {"image_size": IMAGE_SIZE, "rounds": rounds})
    print("| | ours | the other | ours / the other | target |")
    print("|---|---:|---:|---:|---|")
    for encoding in ENCODINGS:
        _print_rows(encoding, rounds[encoding])
    print(f"medians of {flags.rounds} rounds (lowest to highest); {path}")
    return 0


def _make(side: str, data: Path, encoding: str, count: int) -> float:
    """Make a data set in place of what is there; seconds that it took."""
    shutil.rmtree(data, ignore_errors=True)
    flags = ("--output_dir", data, "--encoding", encoding)
    if side in _BASELINES:
        per_element = ("--sequences_per_element", _SEQUENCES_PER_ELEMENT[side])
        return seconds_of(command("benchmarks.tfds_baseline", *flags, "--num_sequences", count, *per_element))
    splits = ("--num_train", count, "--num_validation", 1, "--num_test", 1)
    ours = ("--seed", SEED, "--image_size", IMAGE_SIZE)
    return seconds_of(command("pipeline.generate", *flags, *splits, *ours))


def _measure(side: str, data: Path, encoding: str, count: int) -> Figures:
    start_up = _make(side, data, encoding, _FEW)
    seconds = _make(side, data, encoding, count)
    size = sum(shard.stat().st_size for shard in data.rglob("*-train.tfrecord-*"))
    return {"sequences": count, "seconds": seconds, "start_up_seconds": start_up, "bytes": size}


def _print_rows(encoding: str, rounds: list[Round]) -> None:
    """The rows of an encoding, with their targets."""

    def compare(side: str, figure: Callable[[Figures], float]) -> Comparison:
        return Comparison.of([(figure(each["ours"]), figure(each[side])) for each in rounds])

    least = _MIN_TIMES_AS_FAST[encoding]
    for side, name in _BASELINES.items():
        rate = compare(side, lambda job: job["sequences"] / job["seconds"])
        fast = verdict(f"at least {least} times as fast", rate.ratio.median >= least)
        print(rate.row(f"{encoding}, sequences/s; {name}", 0, fast))
        # Jobs of few sequences can be too short to be told from their start-up.
        if all(job["seconds"] > job["start_up_seconds"] for each in rounds for job in each.values()):
            running = compare(side, lambda job: job["sequences"] / (job["seconds"] - job["start_up_seconds"]))
            print(running.row(f"{encoding}, the same after start-up", 0, ""))
    print(compare("tfds", lambda job: job["start_up_seconds"]).row(f"{encoding}, start-up, s; TFDS", 1, ""))
    size = compare("tfds", lambda job: job["bytes"] / job["sequences"])
    small = {
        "path": verdict(f"at most {_MAX_PATH_BYTES} bytes", size.first.median <= _MAX_PATH_BYTES),
        "frames": verdict(
            f"at most {_MAX_TIMES_AS_LARGE} times TFDS'", size.ratio.median <= _MAX_TIMES_AS_LARGE
        ),
    }
    print(size.row(f"{encoding}, bytes a sequence; TFDS", 1, small[encoding]))


if __name__ == "__main__":
    run(PROGRAM, main)
