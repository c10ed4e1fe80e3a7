"""How well clips are described after the demo's training, and lines; how long each step of that takes.

Every seed makes its own digits, weights and order of the data. All steps are programs and begin anew, so that
their seconds are those of whole jobs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.clip_data import digits_jobs
from benchmarks.clip_runs import judged, trained
from benchmarks.jobs import generate, seconds_of

_POSITIONS = (2, 4, 6)  # Of digits: which digit, the first and the second direction.
_BEAM = 4
_DIGITS = {
    **{"num_frames": 8, "sampling": "segments", "max_words": 8, "units": 128},
    **{"batch_size": 32, "learning_rate": 0.002},
}
_LINES = {"architecture": "classic", "max_words": 8, "learning_rate": 0.005}
_LINE_SIZE = 10


def measure(
    directory: Path,
    *,
    num_seeds: int,
    num_clips: int,
    epochs: int,
    num_lines: int,
    num_judged: int,
    line_epochs: int,
) -> dict[str, Any]:
    """Data, training and judging: digits for seeds 0 .. num_seeds - 1, and lines."""
    found = []
    with tempfile.TemporaryDirectory(dir=directory) as name:
        scratch = Path(name)
        for seed in range(num_seeds):
            data, jobs = digits_jobs(scratch, num_clips, seed, 1, "--captions")
            seconds = dict(zip(("clips", "data set"), map(seconds_of, jobs), strict=True))
            run = scratch / f"run-{seed}"
            described = _described(data, run, seconds, "--attention", epochs=epochs, seed=seed, **_DIGITS)
            beam, _ = judged(data, run, "--beam", _BEAM)
            rates = {**described["sequences_per_second"], str(_BEAM): _rate(beam)}
            found.append({"what": f"digits, seed {seed}", **described, "sequences_per_second": rates})
        data = scratch / "lines"
        job = generate(data, num_lines, held_out=num_judged, image_size=_LINE_SIZE, encoding="frames")
        seconds = {"data set": seconds_of([*job, "--captions"])}
        described = _described(data, scratch / "lines-run", seconds, epochs=line_epochs, **_LINES)
        found.append({"what": "lines", **described})
    return {"runs": found}


def _described(
    data: Path, run: Path, seconds: dict[str, float], *flags: str, **settings: object
) -> dict[str, Any]:
    """Train on a data set whose steps took some seconds, and judge."""
    seconds = {**seconds, "training": trained(data, run, "--task", "describe", *flags, **settings)}
    document, seconds["judging"] = judged(data, run)
    words = {row["position"]: row["accuracy"] for row in document["by_position"]}
    return {
        "num_sequences": document["dataset"]["num_sequences"],
        **{name: document["metrics"][name] for name in ("exact_match", "bleu_4")},
        "shuffled_exact_match": document["shuffled"]["exact_match"],
        "words": {str(position): words[position] for position in _POSITIONS},
        "seconds": {step: round(taken, 1) for step, taken in seconds.items()},
        "sequences_per_second": {"1": _rate(document)},
    }


def _rate(document: dict[str, Any]) -> float:
    """Clips that were judged in a second."""
    return float(document["throughput"]["sequences_per_second"])


def table(figures: dict[str, Any]) -> str:
    """The results in markdown: a column for every run."""
    runs = figures["runs"]
    words, steps = runs[0]["words"], runs[0]["seconds"]
    rows = {
        "held-out clips": [f"{run['num_sequences']:,}" for run in runs],
        "exact match": [f"{run['exact_match']:.2%}" for run in runs],
        "… with the captions of other clips": [f"{run['shuffled_exact_match']:.2%}" for run in runs],
        **{f"word {place}": [f"{run['words'][place]:.2%}" for run in runs] for place in words},
        "BLEU-4": [f"{run['bleu_4']:.1f}" for run in runs],
        **{f"{step}, seconds": [_cell(run["seconds"], step, 1) for run in runs] for step in steps},
        "all of that, seconds": [f"{sum(run['seconds'].values()):.1f}" for run in runs],
        "judged greedily, clips/s": [_cell(run["sequences_per_second"], "1", 0) for run in runs],
        f"judged with `--beam {_BEAM}`, clips/s": [
            _cell(run["sequences_per_second"], str(_BEAM), 0) for run in runs
        ],
    }
    head = ["", *(run["what"] for run in runs)]
    lines = [head, ["---", *["---:"] * len(runs)], *([name, *cells] for name, cells in rows.items())]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(figures: dict[str, float], name: str, digits: int) -> str:
    """A figure, or nothing where a run has none."""
    return f"{figures[name]:,.{digits}f}" if name in figures else ""
