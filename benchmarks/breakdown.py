"""Program: where the time of every stage goes on one core, and how far that is from what the core can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.breakdowns import Breakdown
from benchmarks.cores import HAS_AFFINITY, one_core
from benchmarks.limits import Limits, measure_limits
from benchmarks.results_file import write_results
from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run

PROGRAM = "benchmarks.breakdown"


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write."""
    parser = ArgumentParser(
        PROGRAM,
        "Measure the parts of every stage beside the limits of a core (Linux).",
        f"python -m {PROGRAM} --output_dir /tmp/breakdown",
    )
    parser.add_argument(
        "--output_dir", required=True, help="for breakdown.json and the data sets, which stay"
    )
    flags = parser.parse_args(arguments)
    if not HAS_AFFINITY:
        raise RequestError("a process is held to one core by Linux, which this system is not: run it there")
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    with one_core():  # From before TensorFlow counts the cores.
        from trainer.command_line.startup import import_tensorflow_quietly

        import_tensorflow_quietly()
        from benchmarks.breakdowns import evaluation, generation, reading, training

        limits = measure_limits()
        stages = [stage.measure(directory, limits) for stage in (generation, reading, training, evaluation)]
    figures = {"limits": limits.to_json(), "stages": [stage.to_json() for stage in stages]}
    path = directory / "breakdown.json"
    modules = ("google_crc32c", "keras", "numpy", "tensorflow")
    write_results(path, "make breakdown", modules, figures)
    print("\n\n".join([limits_table(figures), *(stage_table(figures, stage.stage) for stage in stages)]))
    print(path)
    return 0


def limits_table(figures: dict[str, Any]) -> str:
    """The limits in markdown."""
    return Limits(**figures["limits"]).table()


def stage_table(figures: dict[str, Any], stage: str) -> str:
    """A stage's parts in markdown; the stage by the beginning of its name."""
    found = next(each for each in figures["stages"] if each["stage"].startswith(stage))
    return Breakdown(**found).table()


if __name__ == "__main__":
    run(PROGRAM, main)
