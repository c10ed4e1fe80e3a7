"""Program: verify a data set, and repair it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

from pipeline.command_line.arguments import ArgumentParser, path_text
from pipeline.command_line.program import run
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.statistics import SIGNIFICANCE, ChiSquaredTest
from pipeline.storage import files
from pipeline.storage.directory_lock import locked
from pipeline.verification.dataset_check import DatasetCheck, verify

PROGRAM = "pipeline.verify"


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments, verify, print the report; returns the exit code."""
    start = time.monotonic()
    parser = ArgumentParser(
        PROGRAM,
        "Read every byte of a data set: framing, checksums, digests, counts, and whether every record is the"
        " sequence that the settings define. Names what is wrong and exits 1; on every core.",
        f"python -m {PROGRAM} /tmp/lines --repair",
    )
    add = parser.add_argument
    add("data_dir", type=path_text, help="a data set made by pipeline.generate")
    add("--repair", action="store_true", help="make again what is damaged or missing, byte for byte")
    add("--against_sources", action="store_true", help="of clips: decode the sources again and compare")
    add("--source", type=path_text, help="of clips: where the sources are now (default: as then)")
    add("--root", type=path_text, help="of clips named by a .csv: their folder now")
    add("--allow_leaks", action="store_true", help="of clips: the same may be seen in two splits")
    add("--json", action="store_true", help="print the report as JSON instead of text")
    flags = parser.parse_args(arguments)
    repair = flags.repair and files.directory_exists(flags.data_dir)
    with locked(flags.data_dir) if repair else nullcontext():
        result = verify(
            flags.data_dir,
            repair=repair,
            against_sources=flags.against_sources,
            allow_leaks=flags.allow_leaks,
            places={"source": flags.source or "", "root": flags.root or ""},
            progress_label=PROGRAM,
        )
    if flags.json:
        print(json.dumps(result.to_json(), indent=1, allow_nan=False))
    else:
        print("\n".join(_report_lines(result, time.monotonic() - start)))
    return 0 if result.passed else 1


def _report_lines(result: DatasetCheck, seconds: float) -> Iterator[str]:
    """The report as lines of text."""
    definition = None if result.manifest is None else result.manifest.definition
    title = "" if definition is None else f" of {definition.title or definition.name}"
    yield f"data set{title} in {result.directory}"
    if result.manifest is not None:
        yield from _manifest_lines(result.manifest)
        yield from result.manifest.definition.summary_lines(result.manifest.sources)
    if result.tests:
        yield from _test_lines(result.tests)
    for problem in result.problems:
        yield f"{problem}{' (repaired)' if problem.file in result.repaired else ''}"
    yield from result.findings
    wrong = {problem.file for problem in result.problems} - result.repaired
    if result.passed:
        repaired = f", {len(result.repaired)} files repaired" if result.repaired else ""
        yield f"verified in {seconds:,.1f} s: every byte is as it should be{repaired}"
    elif wrong:
        yield f"{len(wrong)} files are damaged, missing or unwanted"
        if result.manifest is not None and not result.repaired:
            yield f"to repair: python -m {PROGRAM} {result.directory} --repair"
    elif result.findings:
        yield f"every byte is as it should be; {len(result.findings)} findings in the sources and splits"
    else:
        yield "the sequences do not follow the definition"


def _manifest_lines(manifest: Manifest) -> Iterator[str]:
    yield f"  fingerprint    {manifest.fingerprint}"
    yield f"  content digest {manifest.content_digest}"
    for name, split in manifest.splits.items():
        labels = str(manifest.statistics(name))
        yield (
            f"  {name:<10} {split.num_sequences:>13,} sequences ({labels})  {len(split.shards):>6,} shards"
            f"  {split.num_bytes:>16,} bytes"
        )
    duplicates = manifest.duplicates
    within = ", ".join(f"{count:,} in {split}" for split, count in duplicates.within.items())
    across = ", ".join(f"{count:,} of {two} in {one}" for (one, two), count in duplicates.across.items())
    yield f"  sequences seen before: {within}; {across}"


def _test_lines(tests: list[ChiSquaredTest]) -> Iterator[str]:
    for test in tests:
        verdict = "too few to judge"
        if test.p_value is not None:
            verdict = (
                f"chi-squared {test.statistic:.2f}, {test.degrees_of_freedom} degrees of freedom,"
                f" p = {test.p_value:.3g}"
            )
        yield f"  {test.split:<10} {test.counts:<18} {test.total:>15,} counted: {verdict}"
    answer = "follow" if all(test.holds for test in tests) else "do NOT follow"
    yield f"  the sequences {answer} the definition (a p below {SIGNIFICANCE:g} would speak against it)"


if __name__ == "__main__":
    run(PROGRAM, main)
