"""What is collected, and what `results` makes of it."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.command_line.errors import RequestError
from tests.conftest import ROOT
from tests.trainer.evaluation.n_classes.answers import evidence_of, made_up_answers, names_of
from trainer.evaluation.n_classes.document import results
from trainer.evaluation.n_classes.evidence import Answers, ClassEvidence
from trainer.evaluation.n_classes.metrics import class_metrics
from trainer.evaluation.n_classes.slicings import clip_slicings
from trainer.evaluation.slices import Slicing, load_slicings


def _by_hand(probabilities: list[list[float]], labels: list[int], clips: list[str]) -> Answers:
    count = len(labels)
    return Answers(
        numbers=np.arange(count),
        labels=np.array(labels),
        probabilities=np.array(probabilities, np.float32),
        by_share=None,
        num_frames=np.full(count, 4),
        clips=clips,
        groups=[""] * count,
        frames=np.zeros((count, 4, 2, 2, 1), np.uint8),
        lengths=np.full(count, 4),
    )


@pytest.mark.parametrize("batch_size", [1, 7, 300])
def test_batches_change_nothing(batch_size: int) -> None:
    answers = made_up_answers(300, 5)
    whole = results(evidence_of(answers, names_of(5), 300), None, 1)
    found = results(evidence_of(answers, names_of(5), batch_size), None, 1)
    for row, expected in zip(found["accuracy_by_share"], whole["accuracy_by_share"], strict=True):
        assert row.pop("mean_confidence") == pytest.approx(expected.pop("mean_confidence"), abs=1e-12)
    assert found == whole


def test_the_worst_clips_show_no_padding() -> None:
    """Also where more frames are stored than the window has, at another pace."""
    frames = np.zeros((1, 4, 2, 2, 1), np.uint8)
    frames[:, :2] = 255
    answers = replace(_by_hand([[0.1, 0.9]], [0], ["a"]), frames=frames, lengths=np.array([2]))
    (strip,) = evidence_of(answers, ["a", "b"]).worst().strips.values()
    assert len(strip) == 2
    assert strip.all()


def test_views_are_averaged() -> None:
    first = [[0.6, 0.4], [0.2, 0.8], [0.9, 0.1]]
    evidence = evidence_of(_by_hand(first, [1, 1, 0], [""] * 3), ["a", "b"])
    assert results(evidence, None, 1)["metrics"]["accuracy"] == pytest.approx(2 / 3)
    evidence.add_view(0, np.array([[0.1, 0.9], [0.4, 0.6]], np.float32))
    evidence.add_view(2, np.array([[0.0, 1.0]], np.float32))
    evidence.add_view(0, np.array([[0.5, 0.5], [0.6, 0.4], [0.3, 0.7]], np.float32))
    expected = [[0.4, 0.6], [0.4, 0.6], [0.4, 0.6]]
    np.testing.assert_allclose(evidence.probabilities, expected, atol=1e-7)
    document = results(evidence, None, 3)
    assert document["views"] == 3
    assert document["metrics"]["loss"] == pytest.approx(-np.log([0.6, 0.6, 0.4]).mean(), abs=1e-6)
    assert document["metrics"]["errors"] == 1
    assert document["slices"]["class"]["b"]["accuracy"] == 1
    assert document["worst"][0] == {
        "number": 2,
        "clip": "",
        "label": "a",
        "predicted": "b",
        "probability_of_label": pytest.approx(0.4, abs=1e-6),
    }


def test_the_segments_of_a_clip_are_averaged() -> None:
    probabilities = [[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.4, 0.6], [0.6, 0.4], [0.1, 0.9]]
    answers = _by_hand(probabilities, [0, 1, 0, 0, 1, 1], ["x", "", "x", "x", "y", ""])
    clips = results(evidence_of(answers, ["a", "b"], 2), None, 1)["clip_level"]
    joined = np.array([[0.5, 0.5], [0.3, 0.7], [0.6, 0.4], [0.1, 0.9]])
    expected = class_metrics(joined, np.array([0, 1, 1, 1]), ["a", "b"])
    assert clips["num_clips"] == 4
    assert clips["accuracy"] == 0.75
    assert clips["accuracy_interval"] == expected["accuracy_interval"]
    assert clips["loss"] == pytest.approx(expected["loss"], abs=1e-6)
    assert clips["macro_f1"] == expected["macro_f1"]


def test_many_clips_are_joined_as_a_loop_would() -> None:
    random = np.random.default_rng(4)
    clips = [f"clip {number}" for number in random.integers(0, 1500, 4000)]
    answers = made_up_answers(4000, 3, clips=clips)
    answers = replace(answers, labels=np.array([int(clip[5:]) % 3 for clip in clips]))
    document = results(evidence_of(answers, names_of(3), 1000), None, 1)
    firsts = list(dict.fromkeys(clips))
    members = [np.flatnonzero(np.array(clips) == clip) for clip in firsts]
    means = np.array([answers.probabilities[each].astype(np.float64).mean(0) for each in members])
    expected = class_metrics(means, np.array([int(clip[5:]) % 3 for clip in firsts]), names_of(3))
    assert document["clip_level"]["num_clips"] == len(firsts)
    assert document["clip_level"]["accuracy"] == expected["accuracy"]
    assert document["clip_level"]["loss"] == pytest.approx(expected["loss"], abs=1e-6)
    assert document["metrics"]["accuracy_group_interval"] is not None
    assert document["clip_level"]["accuracy_group_interval"] is None


def test_clips_of_one_clip_each_are_the_records() -> None:
    document = results(evidence_of(made_up_answers(50, 4), names_of(4)), None, 1)
    for name, value in document["clip_level"].items():
        if name != "num_clips":
            assert value == document["metrics"][name]


def test_groups_have_an_interval_of_records_and_of_clips() -> None:
    groups = [f"person {number // 10}" for number in range(200)]
    document = results(evidence_of(made_up_answers(200, 4, groups=groups), names_of(4)), None, 1)
    interval = document["metrics"]["accuracy_group_interval"]
    assert interval[0] < document["metrics"]["accuracy"] < interval[1]
    assert document["clip_level"]["accuracy_group_interval"] == interval


def test_accuracy_by_share_is_counted_after_each_tenth() -> None:
    answers = made_up_answers(120, 4)
    assert answers.by_share is not None
    rows = results(evidence_of(answers, names_of(4), 50), None, 1)["accuracy_by_share"]
    assert [row["share"] for row in rows] == pytest.approx(np.arange(1, 11) / 10)
    for index, row in enumerate(rows):
        assert row["accuracy"] == (answers.by_share[:, index].argmax(1) == answers.labels).mean()
        confidence = answers.by_share[:, index].max(1).astype(np.float64).mean()
        assert row["mean_confidence"] == pytest.approx(confidence, abs=1e-12)
    without = replace(answers, by_share=None)
    assert results(evidence_of(without, names_of(4)), None, 1)["accuracy_by_share"] is None


def test_baselines_are_the_most_frequent_class_and_one_frame() -> None:
    answers = made_up_answers(100, 4, seed=1)
    names = names_of(4)
    counts = np.bincount(answers.labels, minlength=4)
    single = evidence_of(made_up_answers(100, 4, seed=1, skill=0.5), names)
    baselines = results(evidence_of(answers, names), single, 1)["baselines"]
    assert baselines["majority_class"] == {
        "class": names[counts.argmax()],
        "accuracy": counts.max() / 100,
    }
    metrics = class_metrics(single.probabilities, single.labels, names)
    kept = ("accuracy", "accuracy_interval", "loss", "macro_f1")
    assert baselines["single_frame"] == {name: metrics[name] for name in kept}
    assert results(single, None, 1)["baselines"]["single_frame"] is None


def test_slices_are_counted_by_class_and_by_length() -> None:
    answers = replace(made_up_answers(6, 3), num_frames=np.array([15, 16, 32, 33, 1, 100]))
    names = ["a.b", "", "c d/$"]
    document = results(evidence_of(answers, names, 4), None, 1)["slices"]
    assert list(document["class"]) == names
    assert {name: row["num_sequences"] for name, row in document["duration"].items()} == {
        "short": 2,
        "middle": 2,
        "long": 2,
    }
    correct = answers.probabilities.argmax(1) == answers.labels
    assert document["duration"]["middle"]["accuracy"] == correct[1:3].mean()


def test_a_slicing_of_ones_own_takes_columns() -> None:
    def by_person(columns: dict[str, np.ndarray], labels: np.ndarray) -> np.ndarray:
        assert columns["num_frames"].dtype == labels.dtype == np.int64
        columns["num_frames"][:] = 0  # Of a copy.
        return np.where(columns["clip"] == "second", 2, columns["group"] == "anna")

    answers = made_up_answers(3, 2, clips=["one", "second", "three"], groups=["anna", "anna", ""])
    slicings = {"person": Slicing(("others", "anna", "second"), by_person), **clip_slicings(["a", "b"], 16)}
    evidence = ClassEvidence(3, ["a", "b"], slicings)
    lengths = answers.num_frames.copy()
    evidence.add(answers)
    counts = {name: row["num_sequences"] for name, row in evidence.slices()["person"].items()}
    assert counts == {"others": 1, "anna": 1, "second": 1}
    np.testing.assert_array_equal(answers.num_frames, lengths)


def test_the_slicing_of_the_documentation_works(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "evaluation.md").read_text()
    (source,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "camera" in code]
    (tmp_path / "mine.py").write_text(source)
    slicings = load_slicings(str(tmp_path / "mine.py"), clip_slicings(["a", "b"], 16))
    evidence = ClassEvidence(3, ["a", "b"], slicings)
    evidence.add(made_up_answers(3, 2, clips=["street/1", "2", "a street"]))
    counts = {name: row["num_sequences"] for name, row in evidence.slices()["camera"].items()}
    assert counts == {"indoors": 1, "outdoors": 2}


def test_a_slicing_that_fails_is_named_at_the_first_batch() -> None:
    slicings = {"mine": Slicing(("x",), lambda columns, labels: columns["path"])}
    with pytest.raises(RequestError, match="slicing mine: KeyError: 'path'"):
        ClassEvidence(100, names_of(2), slicings).add(made_up_answers(2, 2))


@pytest.mark.parametrize("batch_size", [1, 7, 300])
def test_the_worst_are_in_order_with_their_frames(batch_size: int) -> None:
    answers = made_up_answers(300, 3)
    rounded = (np.round(answers.probabilities * 20) / 20).astype(np.float32)  # With ties.
    answers = replace(answers, probabilities=rounded, numbers=1000 + answers.numbers)
    evidence = evidence_of(answers, names_of(3), batch_size)
    of_labels = rounded[np.arange(300), answers.labels]
    expected = sorted(range(300), key=lambda place: (of_labels[place], place))[:16]
    worst = evidence.worst()
    assert worst.places.tolist() == expected
    assert [row["number"] for row in results(evidence, None, 1)["worst"]] == [1000 + n for n in expected]
    for place in expected:
        last = min(8, int(answers.num_frames[place])) - 1
        strip = worst.strips[place]
        assert len(strip) == min(6, last + 1)
        np.testing.assert_array_equal(strip[0], answers.frames[place, 0])
        np.testing.assert_array_equal(strip[-1], answers.frames[place, last])
    assert len(worst.strips) <= 64
