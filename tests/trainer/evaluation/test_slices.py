from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pipeline.command_line.errors import RequestError
from pipeline.moving_line.lines import sample_sequences
from trainer.evaluation.slices import SLICINGS, SliceTally, Slicing, load_slicings
from trainer.moving_line.slicings import LINE_SLICINGS

SIZE = 20
PATHS, LABELS = sample_sequences(5, "test", SIZE, 0, 500)


def _turns(path: np.ndarray) -> int:
    turns, direction = 0, 0
    for before, after in zip(path[:-1].tolist(), path[1:].tolist(), strict=True):
        step = after - before
        if step and direction and step != direction:
            turns += 1
        direction = step or direction
    return turns


def _group(name: str, path: np.ndarray, label: int) -> str:
    """The groups' definitions, a sequence at a time."""
    turns = _turns(path)
    usual = (SIZE - 1) / 3
    return {
        "direction": ("left", "right")[label],
        "start_row": "top" if path[0] < SIZE / 3 else "middle" if path[0] < 2 * SIZE / 3 else "bottom",
        "turns": "few" if turns < 0.8 * usual else "some" if turns < 1.2 * usual else "many",
        "border": "touched" if path.min() == 0 or path.max() == SIZE - 1 else "free",
    }[name]


@pytest.mark.parametrize("name", LINE_SLICINGS)
def test_every_group_counts_its_sequences_and_right_answers(name: str) -> None:
    correct = np.random.default_rng(0).uniform(size=len(LABELS)) < 0.8
    tally = SliceTally(LINE_SLICINGS)
    for start in range(0, 500, 64):  # In batches, the last smaller.
        part = slice(start, start + 64)
        tally.add(PATHS[part], LABELS[part], correct[part])
    groups = np.array([_group(name, path, label) for path, label in zip(PATHS, LABELS, strict=True)])
    document = tally.document()[name]
    assert set(groups) == set(document)
    for group, row in document.items():
        members = groups == group
        count, successes = int(members.sum()), int(correct[members].sum())
        assert row["num_sequences"] == count
        assert row["accuracy"] == successes / count
        interval = stats.binomtest(successes, count).proportion_ci(method="wilson")
        assert row["accuracy_interval"] == pytest.approx(tuple(interval), abs=1e-9)
        assert row["is_small"] == (count < 100)


def test_a_group_of_nobody_has_no_accuracy() -> None:
    tally = SliceTally(LINE_SLICINGS)
    tally.add(PATHS[LABELS == 1], LABELS[LABELS == 1], np.ones(int(LABELS.sum()), bool))
    left = tally.document()["direction"]["left"]
    assert left == {"num_sequences": 0, "accuracy": None, "accuracy_interval": None, "is_small": True}


def test_a_file_adds_slicings_and_leaves_the_others_alone(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from trainer.evaluation.slices import slicing\n"
        "@slicing('end', 'high', 'low')\n"
        "def end(paths, labels):\n"
        "    return (paths[:, -1] >= paths.shape[1] // 2).astype(int)\n"
    )
    before = dict(LINE_SLICINGS)
    for _ in range(2):  # A second time is no double registration.
        assert list(load_slicings(str(file), LINE_SLICINGS)) == [*before, "end"]
        assert before == LINE_SLICINGS
        assert not SLICINGS
    tally = SliceTally(load_slicings(str(file), LINE_SLICINGS))
    tally.add(PATHS, LABELS, LABELS == 1)
    low = PATHS[:, -1] >= SIZE // 2
    assert tally.document()["end"]["low"]["num_sequences"] == int(low.sum())


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("1 +", "SyntaxError"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
        ("raise SystemExit(0)", "SystemExit"),
        ("from trainer.evaluation.slices import slicing\nslicing('turns', 'a')", "already"),
        ("from trainer.evaluation.slices import slicing\nslicing('x')", "name its groups"),
        ("from trainer.evaluation.slices import slicing\nslicing('x', 'a', 'a')", "each once"),
        ("from trainer.evaluation.slices import slicing\nslicing('x', 'a.b')", "'a.b'"),
    ],
)
def test_files_that_cannot_be_loaded(tmp_path: Path, source: str, named: str) -> None:
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(RequestError, match=f"mine.py: cannot be loaded .*{named}"):
        load_slicings(str(tmp_path / "mine.py"), LINE_SLICINGS)
    assert not SLICINGS


@pytest.mark.parametrize(
    ("result", "named"),
    [
        (np.zeros(3, int), r"gave int64 \(3,\)"),
        (np.zeros(500), "gave float64"),
        (np.full(500, 2), "gave groups 2 to 2, expected 0 to 1"),
        (np.full(500, -1), "gave groups -1 to -1"),
    ],
)
def test_a_slicing_that_gives_nonsense_is_named(result: np.ndarray, named: str) -> None:
    tally = SliceTally({"nonsense": Slicing(("a", "b"), lambda paths, labels: result)})
    with pytest.raises(RequestError, match=f"slicing nonsense: ValueError: {named}"):
        tally.add(PATHS, LABELS, LABELS == 1)
