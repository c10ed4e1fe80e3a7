"""Program: how fast pipeline.verify is beside sha256sum, which reads the same bytes and only digests them.

The files are in the page cache. Verifying a data set of a few sequences tells how much of it is start-up.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Comparison, Spread
from benchmarks.jobs import command, data_set, seconds_of
from benchmarks.results_file import write_results
from pipeline.program import ArgumentParser, RequestError, positive_int, run
from pipeline.settings import DATASET_NAME

PROGRAM = "benchmarks.verification"

_FEW = 16  # Sequences of a data set that takes nothing but start-up to verify.


def main(arguments: Sequence[str]) -> int:
    """Generate what is not there, measure in turn, print a table."""
    parser = ArgumentParser(
        PROGRAM,
        "Compare pipeline.verify with sha256sum over the same shards.",
        f"python -m {PROGRAM} --output_dir /tmp/verification",
    )
    add = parser.add_argument
    add("--output_dir", required=True, help="for verification.json and the data sets, which stay")
    add("--rounds", type=positive_int, default=5, help="of both programs in turn")
    add("--num_path", type=positive_int, default=5_000_000, help="sequences, as paths")
    add("--num_frames", type=positive_int, default=200_000, help="sequences, as frames")
    flags = parser.parse_args(arguments)
    if shutil.which("sha256sum") is None:
        raise RequestError("there is no sha256sum: install the GNU core utilities")
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    few = data_set(directory, "path", _FEW)
    data_sets = {
        "path": data_set(directory, "path", flags.num_path),
        "frames": data_set(directory, "frames", flags.num_frames),
    }
    results = {name: _measure(data, few, flags.rounds) for name, data in data_sets.items()}
    path = directory / "verification.json"
    write_results(path, ("numpy", "google_crc32c"), {"rounds": results})
    print("| shards of | verify, MB/s | sha256sum, MB/s | verify / sha256sum | MB |")
    print("|---|---:|---:|---:|---:|")
    for name, rounds in results.items():
        _print_rows(name, rounds)
    start_up = Spread.of([each["start_up_seconds"] for rounds in results.values() for each in rounds])
    print(f"medians of {flags.rounds} rounds (lowest to highest); start-up {start_up.text(2)} s; {path}")
    return 0


def _measure(data: Path, few: Path, rounds: int) -> list[dict[str, float]]:
    """Seconds of both programs, and of verifying a few sequences, in turn."""
    shards = sorted(data.glob(f"{DATASET_NAME}-*.tfrecord-*"))
    for shard in shards:  # Into the page cache, for both alike.
        shard.read_bytes()
    return [
        {
            "bytes": sum(shard.stat().st_size for shard in shards),
            "start_up_seconds": seconds_of(command("pipeline.verify", few)),
            "verify_seconds": seconds_of(command("pipeline.verify", data)),
            "sha256sum_seconds": seconds_of(["sha256sum", *map(str, shards)]),
        }
        for _ in range(rounds)
    ]


def _print_rows(name: str, rounds: list[dict[str, float]]) -> None:
    def rate(each: dict[str, float], seconds: float) -> float:
        return each["bytes"] / 1e6 / seconds

    megabytes = f"{rounds[0]['bytes'] / 1e6:,.0f}"
    sha256sum = [rate(each, each["sha256sum_seconds"]) for each in rounds]
    verify = [rate(each, each["verify_seconds"]) for each in rounds]
    print(Comparison.of(list(zip(verify, sha256sum, strict=True))).row(name, 1, megabytes))
    # A small data set can take too short to be told from start-up.
    if all(each["verify_seconds"] > each["start_up_seconds"] for each in rounds):
        verify = [rate(each, each["verify_seconds"] - each["start_up_seconds"]) for each in rounds]
        compared = Comparison.of(list(zip(verify, sha256sum, strict=True)))
        print(compared.row(f"{name}, after start-up", 1, megabytes))


if __name__ == "__main__":
    run(PROGRAM, main)
