"""What is collected of captions: texts, slices, and strips of the best and the worst."""

import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.command_line.errors import RequestError
from tests.conftest import ROOT
from tests.trainer.evaluation.captions.answers import evidence_of, made_up_captions, results_of, written
from trainer.evaluation.captions.evidence import CaptionEvidence
from trainer.evaluation.captions.slicings import caption_slicings
from trainer.evaluation.slices import Slicing, load_slicings


@pytest.mark.parametrize("batch_size", [1, 7])
def test_batches_change_nothing(batch_size: int) -> None:
    answers = made_up_captions(100)
    whole, found = (evidence_of(answers, ["a", "b", "c"], size) for size in (100, batch_size))
    assert results_of(found) == results_of(whole)
    assert found.strips.keys() == whole.strips.keys()
    for place, strip in whole.strips.items():
        np.testing.assert_array_equal(found.strips[place], strip)


@pytest.mark.parametrize("batch_size", [1, 7, 300])
def test_the_best_and_the_worst_are_in_order_with_their_frames(batch_size: int) -> None:
    answers = made_up_captions(300)
    evidence = evidence_of(answers, batch_size=batch_size)
    document = results_of(evidence)
    quality = list(zip(evidence.rouge_l, answers.log_probabilities, strict=True))
    worst = sorted(range(300), key=lambda place: (*quality[place], place))[:16]
    best = sorted(range(300), key=lambda place: (-quality[place][0], -quality[place][1], place))[:16]
    assert [row["number"] for row in document["worst"]] == worst
    assert [row["number"] for row in document["best"]] == best
    assert evidence.strips.keys() == {*worst, *best}
    for place, strip in evidence.strips.items():
        length = int(answers.length[place])
        assert len(strip) == min(6, length)
        np.testing.assert_array_equal(strip[0], answers.frames[place, 0])
        np.testing.assert_array_equal(strip[-1], answers.frames[place, length - 1])


def test_the_best_and_the_worst_have_their_texts() -> None:
    answers = written(
        ["a b", "c", ""],
        [["x", "a b"], ["c d"], ["e"]],
        numbers=np.array([5, 7, 9]),
        clips=["one", "two", ""],
        log_probabilities=np.array([-0.5, -1.5, -2.5]),
    )
    document = results_of(evidence_of(answers))
    assert [row["number"] for row in document["worst"]] == [9, 7, 5]
    assert document["best"][0] == {
        "number": 5,
        "clip": "one",
        "predicted": "a b",
        "references": ["x", "a b"],
        "exact_match": True,
        "rouge_l": 1.0,
        "log_probability": -0.5,
    }
    assert document["metrics"]["mean_log_probability"] == -1.5


def test_slices_by_word_overlap() -> None:
    answers = written(["a b", "a", "c"], [["a b"], ["a c", "b"], ["d"]])
    words = results_of(evidence_of(answers))["slices"]["word"]
    assert list(words) == ["a", "b", "c", "d"]
    assert [row["num_sequences"] for row in words.values()] == [2, 2, 1, 1]
    assert words["a"]["exact_match"] == 0.5
    assert words["a"]["rouge_l"] == pytest.approx((1 + 2 / 3) / 2)
    assert words["d"] == {
        "num_sequences": 1,
        "exact_match": 0,
        "exact_match_interval": [0.0, pytest.approx(0.793, abs=1e-3)],
        "rouge_l": 0,
        "is_small": True,
    }


def test_slices_by_length_duration_and_class() -> None:
    references = [[" ".join("abcdefghij"[:count]), "another"] for count in (1, 2, 2, 8, 9, 10)]
    answers = written(
        ["a"] * 6,
        references,
        labels=np.array([0, 1, 1, 0, 0, 0]),
        stored_lengths=np.array([1, 16, 16, 33, 33, 33]),
    )
    slices = results_of(evidence_of(answers, ["a.b", "c"]))["slices"]
    counts = {
        name: {group: row["num_sequences"] for group, row in rows.items()} for name, rows in slices.items()
    }
    lengths = dict.fromkeys(("1", "2", "3", "4", "5", "6", "7", "8", "more"), 0)
    assert counts["length"] == lengths | {"1": 1, "2": 2, "8": 1, "more": 2}
    assert counts["duration"] == {"short": 1, "middle": 2, "long": 3}
    assert counts["class"] == {"a.b": 4, "c": 2}
    assert slices["length"]["3"]["exact_match"] is slices["length"]["3"]["rouge_l"] is None
    assert "class" not in results_of(evidence_of(answers))["slices"]


def test_lengths_of_long_captions_are_counted_up_to_16() -> None:
    assert caption_slicings((), 16, 40)["length"].groups[-2:] == ("16", "more")


def test_a_slicing_of_ones_own_takes_the_caption() -> None:
    def negated(columns: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
        assert labels.tolist() == [-1, -1]
        assert columns["num_frames"].dtype == np.int64
        columns["num_frames"][:] = 0  # Of a copy.
        return np.array(["not" in caption.split(" ") for caption in columns["caption"]]).astype(int)

    evidence = CaptionEvidence(2, {"negated": Slicing(("no", "yes"), negated)})
    answers = written(["a", "a"], [["a", "not a"], ["a not"]])
    evidence.add(answers)
    assert answers.stored_lengths.tolist() == [16, 16]
    counts = {name: row["num_sequences"] for name, row in evidence.slices()["negated"].items()}
    assert counts == {"no": 1, "yes": 1}


def test_the_slicing_of_the_documentation_works(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "evaluation.md").read_text()
    (source,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "caption" in code]
    (tmp_path / "mine.py").write_text(source)
    evidence = CaptionEvidence(2, load_slicings(str(tmp_path / "mine.py"), caption_slicings((), 16, 8)))
    evidence.add(written(["a", "a"], [["a 3 moves left"], ["a 3 moves left then up"]]))
    counts = {name: row["num_sequences"] for name, row in evidence.slices()["turn"].items()}
    assert counts == {"none": 1, "one": 1}


def test_slicings_that_do_not_fit_are_named() -> None:
    with pytest.raises(RequestError, match="slicing word: is built in; give another name"):
        CaptionEvidence(1, {"word": Slicing(("x",), lambda columns, labels: labels)})
    evidence = CaptionEvidence(1, {"mine": Slicing(("x",), lambda columns, labels: labels)})
    with pytest.raises(RequestError, match="slicing mine: ValueError: gave groups -1 to -1, expected 0 to 0"):
        evidence.add(written(["a"], [["a"]]))
