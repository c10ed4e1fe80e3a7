"""Numbers of captions beside other programs, and by hand."""

import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU

from tests.trainer.evaluation.captions.answers import (
    SHUFFLED_TOKENS,
    TOKENS,
    evidence_of,
    made_up_captions,
    results_of,
    written,
)
from trainer.evaluation.captions.metrics import (
    TokenSums,
    bleu_4,
    by_position,
    exact_matches,
    rouge_l,
    shuffled_places,
    text_metrics,
    variety,
)
from trainer.evaluation.captions.words import common_words
from trainer.evaluation.intervals import wilson_interval

PREDICTED = ["a man rides a horse", "two 5-year-old dogs play", "a car", "ein hund läuft über die straße"]
REFERENCES = [
    ["a man rides a brown horse", "a man is riding a horse"],
    ["two 5-month-old dogs play"],  # sacrebleu's own tokenizer splits such words.
    ["a red car drives down the road", "a car drives", "a car"],
    ["ein hund läuft über die straße"],
]


def test_bleu_is_that_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "predicted").write_text("\n".join(PREDICTED) + "\n")
    (tmp_path / "references").write_text("\n".join(texts[0] for texts in REFERENCES) + "\n")
    command = [
        sys.executable,
        "-m",
        "sacrebleu",
        str(tmp_path / "references"),
        "-tok",
        "none",
        "-b",
        "-w",
        "9",
    ]
    command += ["-i", str(tmp_path / "predicted")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert bleu_4(PREDICTED, [texts[:1] for texts in REFERENCES]) == pytest.approx(float(printed), abs=1e-8)


def test_bleu_takes_any_number_of_references() -> None:
    third = [None, None, "a car", None]
    second = ["a man is riding a horse", None, "a car drives", None]
    streams: list[list[Any]] = [[texts[0] for texts in REFERENCES], second, third]
    expected = BLEU(tokenize="none").corpus_score(PREDICTED, streams).score
    assert bleu_4(PREDICTED, REFERENCES) == expected
    repeated = [[*texts, *texts[:1] * (3 - len(texts))] for texts in REFERENCES]  # Repeated, none is missing.
    assert bleu_4(PREDICTED, repeated) == pytest.approx(expected, abs=1e-9)


def test_bleu_by_hand() -> None:
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples and 1 of 3 quadruples are in the reference; as long as it.
    found = bleu_4(["a b c d x f"], [["a b c d e f"]])
    assert found == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25, abs=1e-9)


@pytest.mark.parametrize("caption", ["a b c", "", "x y z w v"])
def test_bleu_of_short_or_strange_captions_is_0(caption: str) -> None:
    assert bleu_4([caption], [["a b c"]]) == 0


def test_bleu_of_perfect_captions_is_100() -> None:
    captions = [f"a {number} moves left then up" for number in range(7)]
    assert bleu_4(captions, [[caption] for caption in captions]) == pytest.approx(100)
    assert bleu_4(captions, [[caption] for caption in captions]) <= 100


@pytest.mark.parametrize(
    ("predicted", "references", "expected"),
    [
        ("a b c", ["a b c"], 1),
        ("a b c d", ["a c x"], 2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3)),
        ("a b c d", ["x", "a c x", "y z"], 2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3)),
        ("c b a", ["a b c"], 1 / 3),
        ("don't stop", ["don t stop"], 0.4),  # Split at spaces only.
        ("straße 播放", ["strasse 播放"], 0.5),
        ("", ["a b"], 0),
        ("a b", ["", "a"], 2 / 3),
        ("", [""], 0),
    ],
)
def test_rouge_l_by_hand(predicted: str, references: list[str], expected: float) -> None:
    assert rouge_l([predicted], [references])[0] == pytest.approx(expected, abs=1e-12)


def test_only_an_exact_match_has_a_rouge_l_of_1() -> None:
    answers = made_up_captions(200)
    scores = rouge_l(answers.predicted, answers.references)
    exact = exact_matches(answers.predicted, answers.references)
    assert 0 < exact.sum() < 200
    np.testing.assert_array_equal(scores == 1, exact)


def test_an_exact_match_is_one_with_any_reference() -> None:
    exact = exact_matches(["a b", "a b", "", "a  b"], [["x", "a b"], ["a b c"], ["", "a"], ["a b"]])
    assert exact.tolist() == [True, False, True, False]
    metrics = text_metrics(["a"] * 4, [["a"]] * 4, exact, np.array([1, 0.5, 0, 0.25]))
    assert metrics["exact_match"] == 0.5
    assert metrics["exact_match_interval"] == list(wilson_interval(2, 4))
    assert metrics["rouge_l"] == 0.4375


def test_words_are_compared_by_position_with_the_first_reference() -> None:
    predicted = ["a b c", "a x", "", "a b c d e"]
    references = [["a b d", "a b c"], ["a b c"], ["a"], ["a b c d e"]]
    rows = by_position(predicted, references, 4)
    found = [(row["position"], row["accuracy"], row["num_sequences"]) for row in rows]
    assert found == [(1, 3 / 4, 4), (2, 2 / 3, 3), (3, 1 / 3, 3), (4, 1, 1)]
    assert rows[2]["accuracy_interval"] == list(wilson_interval(1, 3))
    behind = by_position(predicted, references, 6)[5]
    assert behind == {"position": 6, "accuracy": None, "accuracy_interval": None, "num_sequences": 0}


def test_variety_counts_captions() -> None:
    assert variety(["a", "b", "a", ""]) == {
        "distinct_captions": 3,
        "distinct_captions_share": 0.75,
        "most_common_caption_share": 0.5,
    }


def test_sums_over_tokens_are_added() -> None:
    metrics = (TokenSums(3, 1, 2.5) + TokenSums(1, 1, 0.5)).metrics()
    assert metrics == {"loss": 0.75, "perplexity": math.exp(0.75), "token_accuracy": 0.5}


@pytest.mark.parametrize("count", [2, 3, 10, 1001])
def test_shuffling_leaves_none_at_its_place(count: int) -> None:
    places = shuffled_places(count)
    assert places is not None
    assert sorted(places.tolist()) == list(range(count))
    assert (places != np.arange(count)).all()
    np.testing.assert_array_equal(places, shuffled_places(count))


def test_shuffled_captions_have_references_of_others() -> None:
    answers = made_up_captions(50)
    document = results_of(evidence_of(answers))
    places = shuffled_places(50)
    assert places is not None
    others = [answers.references[place] for place in places]
    exact, scores = exact_matches(answers.predicted, others), rouge_l(answers.predicted, others)
    expected = text_metrics(answers.predicted, others, exact, scores)
    assert document["shuffled"] == {**expected, **SHUFFLED_TOKENS.metrics()}
    assert document["shuffled"]["rouge_l"] < document["metrics"]["rouge_l"]
    assert document["metrics"]["loss"] == TOKENS.metrics()["loss"]


def test_one_caption_is_not_shuffled() -> None:
    document = results_of(evidence_of(written(["a b c d"], [["a b c d"]])))
    assert document["shuffled"] is None
    assert document["metrics"]["bleu_4"] == pytest.approx(100)
    assert document["metrics"]["exact_match_interval"] == list(wilson_interval(1, 1))


def test_captions_that_are_all_empty_have_numbers() -> None:
    document = results_of(evidence_of(written(["", ""], [["a b"], ["c d"]])))
    metrics = document["metrics"]
    assert (metrics["exact_match"], metrics["bleu_4"], metrics["rouge_l"]) == (0, 0, 0)
    assert (metrics["distinct_captions"], metrics["most_common_caption_share"]) == (1, 1)


def _in_groups(groups: Sequence[str]) -> dict[str, list[float] | None]:
    predicted = ["right" if number // 10 % 3 else "wrong" for number in range(len(groups))]
    answers = written(predicted, [["right"]] * len(groups), groups=list(groups))
    metrics = results_of(evidence_of(answers))["metrics"]
    return {name: value for name, value in metrics.items() if name.endswith("_interval")}


def test_groups_widen_the_interval() -> None:
    found = _in_groups([f"group {number // 10}" for number in range(300)])
    (low, high), wilson = found["exact_match_group_interval"] or (0, 0), found["exact_match_interval"]
    assert wilson == list(wilson_interval(200, 300))
    of_groups = wilson_interval(20, 30)
    assert high - low == pytest.approx(of_groups[1] - of_groups[0], rel=0.15)
    assert _in_groups([""] * 300)["exact_match_group_interval"] is None


def test_common_words_are_counted_once_a_sequence() -> None:
    references = [["b b b a", "a c"], ["c"], ["", "c a"], ["d"]]
    assert common_words(references) == ["c", "a", "b", "d"]
    assert common_words([["b"], ["a"]]) == ["a", "b"]
    many = [[" ".join(f"w{number:02}" for number in range(30))]]
    assert common_words(many) == [f"w{number:02}" for number in range(20)]
