"""The README's figures are those of the results that lie in the repository."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.costs import seconds_without_imports
from benchmarks.figures import Comparison, Spread
from tests.conftest import ROOT, Program

README = (ROOT / "README.md").read_text()
SCALING = (ROOT / "docs" / "scaling.md").read_text()
TRAINING = (ROOT / "docs" / "training.md").read_text()


def _rounds(name: str) -> dict[str, list[dict[str, Any]]]:
    path: Path = ROOT / "benchmarks" / "results" / f"{name}-amd-epyc-2-cores.json"
    rounds: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())["rounds"]
    return rounds


@pytest.mark.parametrize(
    ("encoding", "side"), [(e, s) for e in ("path", "frames") for s in ("tfds", "tfds_blocks")]
)
def test_generation(encoding: str, side: str) -> None:
    pairs = [
        tuple(each[who]["sequences"] / each[who]["seconds"] for who in ("ours", side))
        for each in _rounds("generation")[encoding]
    ]
    found = Comparison.of([(one, other) for one, other in pairs])
    ratio = found.ratio
    cells = f"| {found.first.median:,.0f} | {found.second.median:,.0f} | {ratio.median:.0f} "
    assert f"{cells}({ratio.low:.0f} to {ratio.high:.0f}) |" in README


@pytest.mark.parametrize(("name", "digits"), [("paths", 2), ("frames", 1)])
def test_reading(name: str, digits: int) -> None:
    found = Comparison.of([(each["ours"], each["other"]) for each in _rounds("reading")[name]])
    low, median, high = (f"{v:.{digits}f}" for v in (found.ratio.low, found.ratio.median, found.ratio.high))
    cells = f"| {found.first.median:,.0f} | {found.second.median:,.0f} | {median} ({low} to {high}) |"
    assert cells in README


@pytest.mark.parametrize("name", ["path", "frames"])
def test_verification(name: str) -> None:
    rounds = _rounds("verification")[name]
    rates = [
        (each["bytes"] / 1e6 / each["verify_seconds"], each["bytes"] / 1e6 / each["sha256sum_seconds"])
        for each in rounds
    ]
    found = Comparison.of(rates)
    cells = f"| {found.first.median:,.0f} | {found.second.median:,.0f} | {found.ratio.median:.2f} "
    assert f"{cells}({found.ratio.low:.2f} to {found.ratio.high:.2f}) |" in README


@pytest.mark.parametrize("job", ["generating", "verifying", "reading an epoch"])
def test_memory(job: str) -> None:
    path: Path = ROOT / "benchmarks" / "results" / "memory-amd-epyc-2-cores.json"
    (measured,) = json.loads(path.read_text())["rounds"]
    few, many = measured["1000000"][job], measured["10000000"][job]
    growth = 100 * (many / few - 1)
    assert f"| {job} | {few / 2**20:.0f} MiB | {many / 2**20:.0f} MiB | {growth:.1f} % |" in README


def test_training() -> None:
    rounds: Any = _rounds("training")
    found = Comparison.of([(each["ours"], each["tutorial"]) for each in rounds])
    low, median, high = (f"{v:.1f}" for v in (found.ratio.low, found.ratio.median, found.ratio.high))
    cells = f"| {found.first.median:,.0f} | {found.second.median:,.0f} | {median} ({low} to {high}) |"
    assert cells in README


def test_evaluation() -> None:
    rounds: Any = _rounds("evaluation")
    found = Comparison.of([(each["ours"], each["tutorial"]) for each in rounds])
    low, median, high = (f"{v:.1f}" for v in (found.ratio.low, found.ratio.median, found.ratio.high))
    cells = f"| {found.first.median:,.0f} | {found.second.median:,.0f} | {median} ({low} to {high}) |"
    assert cells in README
    path: Path = ROOT / "benchmarks" / "results" / "evaluation-amd-epyc-2-cores.json"
    memory = json.loads(path.read_text())["memory"]
    few, many = memory["10000"], memory["1000000"]
    assert f"Judging 10,000 sequences takes {few / 2**20:,.0f} MiB" in README
    assert f"{many / 2**20:,.0f} MiB ({100 * (many / few - 1):.1f} % more)" in README


def test_resuming() -> None:
    rounds: Any = _rounds("resuming")
    for passed in rounds[0]:
        measured = sorted(each[passed] for each in rounds)
        assert f"| {int(passed):,} | {measured[len(measured) // 2]:.2f} | {measured[-1]:.2f} |" in TRAINING


def test_observations() -> None:
    path = ROOT / "benchmarks" / "results" / "observations-amd-epyc-2-cores.json"
    for row in json.loads(path.read_text())["observations"]:
        low, high = row["accuracy_interval"]
        cells = f"| {row['line']} | {row['window']} | {row['noise']} | {row['accuracy']:.4f} |"
        assert f"{cells} {low:.4f} to {high:.4f} |" in TRAINING
        assert f"{row['sequences_trained_on']:,} sequences" in TRAINING


def test_seeds() -> None:
    path = ROOT / "benchmarks" / "results" / "seeds-amd-epyc-2-cores.json"
    for row in json.loads(path.read_text())["seeds"]:
        cells = f"| {row['seed']} | {row['errors']} | {row['loss']:.6f} | {row['step']} |"
        assert f"{cells} {row['training_seconds']} |" in README


def test_engines() -> None:
    path = ROOT / "benchmarks" / "results" / "engines-amd-epyc-2-cores.json"
    document = json.loads(path.read_text())
    (fingerprint,) = set(document["fingerprints"].values())
    for engine, rounds in document["rounds"].items():
        seconds = Spread.of([each["seconds"] for each in rounds]).text(1)
        few = Spread.of([each["few_shards_seconds"] for each in rounds]).text(1)
        shard = Spread.of([1e3 * each["shard_seconds"] for each in rounds]).text(1)
        cells = f"| {engine} | {rounds[0]['shards']} | {seconds} | {few} | {shard} |"
        assert f"{cells} {fingerprint.removeprefix('sha256:')[:16]} |" in SCALING


def test_stages() -> None:
    rounds: Any = _rounds("stages")
    for stage in rounds[0]["stages"]:
        measured = [each["stages"][stage] for each in rounds]
        assert (
            f"| {stage} | {Spread.of([m['sequences'] / m['seconds'] for m in measured]).text(0)} |" in SCALING
        )


def test_many_shards() -> None:
    rounds: Any = _rounds("many-shards")
    cells = [
        Spread.of([seconds_without_imports(each[shards]["epoch"]) for each in rounds]).text(3)
        for shards in ("few", "many")
    ]
    assert f"| starting an epoch, s | {' | '.join(cells)} |" in SCALING


def test_sizing(program: Program) -> None:
    answer = program("benchmarks.sizing", "--num_sequences", "1000000000")
    for line in answer.stdout.splitlines():
        assert not line.startswith("|") or line in SCALING
