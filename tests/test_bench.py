"""`benchmarks.bench`: what it is asked for, what it writes."""

import inspect
import json
import re
from pathlib import Path

import pytest

from benchmarks.tables import SECTIONS, TABLES, generation, module_of
from pipeline.moving_line.encodings import ENCODINGS
from tests.conftest import ROOT, Program


def test_every_table_has_a_module_and_a_target() -> None:
    modules = {path.stem for path in (ROOT / "benchmarks" / "tables").glob("[a-z]*.py")}
    assert modules == TABLES.keys()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert all(table.command.removeprefix("make ").split()[0] in targets for table in TABLES.values())


@pytest.mark.parametrize("name", sorted(TABLES.keys() - set(SECTIONS)))
def test_a_table_takes_its_settings(name: str) -> None:
    inspect.signature(module_of(name).measure).bind(Path("d"), **dict.fromkeys(TABLES[name].settings))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nothing"], "nothing: give names of generation, "),
        (["resuming", "--num_shards", "5"], "--num_shards: is no setting of resuming"),
        (["resuming", "--rounds", "0"], "--rounds"),
        (["many_shards", "--num_shards", "5"], "--num_shards 5: give at least "),
    ],
)
def test_wrong_requests_are_one_line(program: Program, tmp_path: Path, words: list[str], named: str) -> None:
    answer = program("benchmarks.bench", *words, "--output_dir", tmp_path)
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert line.startswith("benchmarks.bench: error: ")
    assert named in line


@pytest.mark.slow
def test_figures_are_written_with_where_they_are_from(program: Program, tmp_path: Path) -> None:
    answer = program("benchmarks.bench", "resuming", "--quick", "--num_path", "256", "--output_dir", tmp_path)
    assert answer.returncode == 0, answer.stderr
    document = json.loads((tmp_path / "resuming.json").read_text())
    assert document["command"] == "make scaling"
    assert document["machine"]["cores"] > 0
    assert document["versions"].keys() >= {"tensorflow", "numpy"}
    (measured,) = document["rounds"]
    assert all(seconds > 0 for seconds in measured.values())
    assert answer.stdout.startswith(module_of("resuming").table(document))


def test_the_comparison_measures_every_encoding() -> None:
    assert set(generation._NAMES) == set(ENCODINGS)


def test_operations_of_a_classifier_of_clips_are_those_of_its_products() -> None:
    from benchmarks.step_needs import clip_training_operations
    from model.frames import VideoClassifierOptions, build_video_classifier

    classifier = build_video_classifier((8, 8, 3), 2, VideoClassifierOptions("conv", units=5))
    # Of 8x8 pixels: 4x4 places, 2x2, pooled to 1x1, and 1x1 again; products of 3x3 pixels by channels.
    first, others = 2 * 16 * 27 * 16, 2 * (4 * 144 * 32 + 1 * 288 * 64)
    lstm = 2 * 4 * 5 * (64 + 5)
    assert clip_training_operations(classifier, 7) == 7 * (2 * first + 3 * (others + lstm))
