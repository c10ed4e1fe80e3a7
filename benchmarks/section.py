"""Program: one section of the comparison, in this process; for `bench`. Prints its rows as JSON, last."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.sections import SECTIONS, section
from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.program import run

PROGRAM = "benchmarks.section"

_USE_TENSORFLOW = ("reading", "training")


def main(arguments: Sequence[str]) -> int:
    """Measure it."""
    parser = ArgumentParser(
        PROGRAM,
        "Measure one section of the comparison.",
        f"python -m {PROGRAM} --name reading --output_dir /tmp/bench",
    )
    add = parser.add_argument
    add("--name", choices=SECTIONS, required=True, help="which")
    add("--output_dir", required=True, help="for data sets and models, which stay")
    add("--quick", action="store_true", help="few sequences and one round")
    flags = parser.parse_args(arguments)
    if flags.name in _USE_TENSORFLOW:
        from trainer.command_line.startup import import_tensorflow_quietly

        import_tensorflow_quietly()
    directory = Path(flags.output_dir)
    directory.mkdir(parents=True, exist_ok=True)
    rows = section(flags.name)(directory, flags.quick)
    print(json.dumps([row.to_json() for row in rows]))
    return 0


if __name__ == "__main__":
    run(PROGRAM, main)
