"""The arithmetic of `benchmarks.sizing` against a small example worked out by hand."""

import json
from pathlib import Path

import pytest

from benchmarks.costs import ByShards, Costs
from benchmarks.sizing import Need, Plan, needs, number
from pipeline.moving_line.definition import MovingLine
from tests.conftest import ROOT, Program

# One million sequences: 960,000 in 48 shards, 20,000 in 1, 20,000 in 1; 4 ranges; every shard has 1 run.
SETTINGS = MovingLine(0, 50, "path", 960_000, 20_000, 20_000, sequences_per_shard=20_000)
COSTS = Costs(
    image_size=50,
    processor="a processor",
    rates={
        "generation, path": 100_000,
        "verification, path": 200_000,
        "reading": 8_000,
        "training": 100,
        "evaluation": 50,
    },
    peak_bytes={"generation, path": 64 * 2**20},
    record_bytes={"path": 98},
    shard_seconds={"in_memory": 0.002, "multi_processing": 0.004},
    hash_seconds=0.2e-6,
    file_seconds=0.001,
    run_seconds=0.002,
    manifest_bytes=ByShards(10_000, 200),
    opening_seconds=ByShards(0.5, 0.01),
    epoch_seconds=ByShards(2, 0.02),
    epoch_bytes=ByShards(500 * 2**20, 2**20),
)
EXPECTED = {
    "train, files": (48, "shards"),
    "train, on disk": (0.09408, "GB"),  # 960,000 x 98
    "validation, files": (1, "shards"),
    "test, on disk": (0.00196, "GB"),
    "on disk besides, while it is made": (0.008, "GB"),
    "manifest": (0.02, "MB"),  # 10,000 + 50 x 200
    "opening it": (1.0, "s"),  # 0.5 + 50 x 0.01
    "starting an epoch": (3.0, "s"),
    "memory for that": (550, "MiB"),
    "generation": (10 / 3600, "core-hours"),
    "duplicates": (0.8 / 3600, "core-hours"),  # 1,000,000 x 0.2e-6 + 4 x (50 x 0.001 + 50 x 0.002) s
    "shards' own cost": (0.2, "s"),
    "generation on 8 cores": (1.65, "s"),  # 10 / 8 + 0.8 / 4, for there are 4 ranges, + 0.2
    "memory of 8 such processes": (0.5, "GiB"),
    "verification": (5 / 3600, "core-hours"),
    "verification on 8 cores": (0.825, "s"),  # 5 / 8 + 0.8 / 4
    "read for duplicates in an object store": (0.000032, "TB"),  # 4 x 8 MB
    "reading an epoch": (120 / 3600, "core-hours"),
    "readers for one GPU": (2.5, "cores"),
    "an epoch on that GPU": (48 / 3600, "hours"),
    "an epoch without a GPU": (9_600 / 3600, "core-hours"),
    "evaluation": (400 / 3600, "core-hours"),
}


def _found() -> dict[str, Need]:
    plan = Plan(SETTINGS, cores=8, runner="multi_processing", gpu_rate=20_000)
    return {need.what: need for need in needs(COSTS, plan)}


@pytest.mark.parametrize("what", EXPECTED)
def test_a_need(what: str) -> None:
    need, (value, unit) = _found()[what], EXPECTED[what]
    assert need.value == pytest.approx(value)
    assert need.unit == unit


def test_rows_show_their_arithmetic() -> None:
    found = _found()
    row = "| generation | 0.00278 core-hours | 1,000,000 / 100,000 a second and core / 3,600 |"
    assert found["generation"].row() == row
    assert (
        "(1,000,000 x 200 ns + 4 ranges x (50 files x 1,000 µs + 50 runs x 2,000 µs))"
        in found["duplicates"].row()
    )
    assert "20,000 a second (assumed)" in found["readers for one GPU"].row()


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.00012345, "0.000123"), (2.5, "2.5"), (98, "98"), (12_345.6, "12,346")]
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_costs_by_shards_go_through_both_points() -> None:
    line = ByShards.through((36, 1.36), (1036, 11.36))
    assert (line.base, line.each) == pytest.approx((1.0, 0.01))


def test_the_kept_results_are_enough(program: Program) -> None:
    answer = program("benchmarks.sizing", "--num_sequences", "1000000000", "--gpu_rate", "12345")
    assert answer.returncode == 0, answer.stderr
    assert "| train, files | 716 shards |" in answer.stdout
    assert "Assumed, not measured: a GPU that takes 12,345 sequences a second" in answer.stdout


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--num_sequences", "0"), "--num_sequences"),
        (("--num_sequences", "2"), "--num_sequences 2"),
        (("--num_sequences", "1000", "--num_test", "995"), "--num_sequences 1000"),
        (("--num_sequences", "9000000", "--sequences_per_shard", "1"), "--num_train"),
        (("--num_sequences", "1000", "--encoding", "video"), "--encoding"),
        (("--num_sequences", "1000", "--runner", "prism"), "--runner prism"),
        (("--num_sequences", "1000", "--stages", "nowhere.json"), "--stages nowhere.json"),
    ],
)
def test_wrong_requests_are_one_line(program: Program, flags: tuple[str, ...], named: str) -> None:
    answer = program("benchmarks.sizing", *flags)
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line.startswith("benchmarks.sizing: error: ")
    assert named in line


def test_results_of_something_else_are_refused(program: Program, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    for content in ("{", json.dumps({"rounds": []}), "[]"):
        other.write_text(content)
        answer = program("benchmarks.sizing", "--num_sequences", "1000", "--many_shards", other, cwd=ROOT)
        assert answer.returncode == 2
        (line,) = answer.stderr.splitlines()
        assert f"--many_shards {other}" in line
