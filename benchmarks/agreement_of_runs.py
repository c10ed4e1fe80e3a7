"""Program: whether two runs of the comparison agree: in every ratio their ranges have a value in common."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rows import Row
from pipeline.command_line.arguments import ArgumentParser
from pipeline.command_line.errors import RequestError
from pipeline.command_line.program import run

PROGRAM = "benchmarks.agreement_of_runs"


def main(arguments: Sequence[str]) -> int:
    """Compare, print; 1 if a row disagrees."""
    parser = ArgumentParser(
        PROGRAM,
        "Hold two results of make bench against each other, row by row.",
        f"python -m {PROGRAM} benchmarks/results/one.json benchmarks/results/other.json",
    )
    parser.add_argument("results", type=Path, nargs=2, help="JSON files that make bench wrote")
    first, second = (_rows(path) for path in parser.parse_args(arguments).results)
    disagree = 0
    print("| | compared with | first | second | |")
    print("|---|---|---:|---:|---|")
    for key, row in first.items():
        if (other := second.get(key)) is None:
            continue
        agrees = row.ratio.meets(other.ratio)
        disagree += not agrees
        digits = max(row.ratio_digits, other.ratio_digits)
        ratios = f"{row.ratio.text(digits)} | {other.ratio.text(digits)}"
        print(f"| {row.what} | {row.other} | {ratios} | {'agree' if agrees else 'DISAGREE'} |")
    print(f"{disagree} of {len(first.keys() & second.keys())} ratios disagree")
    return 1 if disagree else 0


def _rows(path: Path) -> dict[str, Row]:
    try:
        return {row["key"]: Row.from_json(row) for row in json.loads(path.read_bytes())["rows"]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RequestError(f"{path}: is not a result of make bench ({error})") from error


if __name__ == "__main__":
    run(PROGRAM, main)
