"""Documents of captions: their schema, names, checks, summary and repetition."""

import copy
import json
from typing import Any

import jsonschema
import pytest

from pipeline.command_line.errors import RequestError
from tests.conftest import ROOT
from tests.trainer.evaluation.captions.answers import (
    WRITING,
    document_of,
    evidence_of,
    made_up_captions,
    results_of,
    written,
)
from trainer.evaluation.captions.document import number_names
from trainer.evaluation.captions.evidence import CaptionAnswers
from trainer.evaluation.captions.slicings import caption_slicings
from trainer.evaluation.captions.words import common_words
from trainer.evaluation.checks import Check, Gate, read_metrics
from trainer.evaluation.document import named_numbers
from trainer.evaluation.reproduction import differences
from trainer.evaluation.summary import summary_text

SCHEMA = json.loads((ROOT / "docs" / "metrics.schema.json").read_text())
CLASSES = ["walk", "a.b", 'quote"\\']


def _document(count: int = 120, class_names: list[str] = CLASSES) -> dict[str, Any]:
    return document_of(evidence_of(made_up_captions(count), class_names))


def _odd() -> CaptionAnswers:
    captions = ["a.b", "$x_1^2$", "播放 \\", "", "straße don't"]
    return written(captions, [[caption, "播放"] for caption in captions], groups=["g", "g", "h", "", ""])


@pytest.mark.parametrize("count", [1, 2, 120])
def test_the_document_is_as_its_schema_says(count: int) -> None:
    jsonschema.validate(json.loads(json.dumps(_document(count), allow_nan=False)), SCHEMA)
    jsonschema.validate(document_of(evidence_of(_odd())), SCHEMA)


@pytest.mark.parametrize(
    ("part", "name"),
    [(None, "views"), (None, "other"), ("metrics", "accuracy"), ("shuffled", "x"), ("worst", "label")],
)
def test_the_schema_allows_nothing_else(part: str | None, name: str) -> None:
    document = _document()
    place = document if part is None else document[part]
    (place[0] if isinstance(place, list) else place)[name] = 0.5
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize("name", ["captions", "task", "metrics", "shuffled", "by_position", "slices", "best"])
def test_the_schema_asks_for_every_part(name: str) -> None:
    document = _document()
    del document[name]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_numbers_have_names() -> None:
    document = _document()
    values, metrics = named_numbers(document), document["metrics"]
    assert values["exact_match"] == metrics["exact_match"]
    assert values["exact_match_interval.low"] == metrics["exact_match_interval"][0]
    assert values["exact_match_group_interval.low"] is None
    assert values["bleu_4"] == metrics["bleu_4"]
    assert values["shuffled.rouge_l"] == document["shuffled"]["rouge_l"]
    assert values["by_position.3.accuracy"] == document["by_position"][2]["accuracy"]
    assert values["slices.word.left.rouge_l"] == document["slices"]["word"]["left"]["rouge_l"]
    assert values[r"slices.class.a\.b.exact_match"] == document["slices"]["class"]["a.b"]["exact_match"]
    assert values["slices.length.6.num_sequences"] == 120
    assert all(value is None or isinstance(value, int | float) for value in values.values())


@pytest.mark.parametrize("count", [1, 2, 120])
def test_names_are_told_before_the_evaluation(count: int) -> None:
    for answers, class_names in ((made_up_captions(count), CLASSES), (_odd(), [])):
        count = len(answers.predicted)
        words = common_words(answers.references)
        slicings = caption_slicings(class_names, 16, WRITING.max_words)
        told = number_names(slicings, WRITING.max_words, words, shuffled=count > 1)
        assert sorted(told) == sorted(named_numbers(results_of(evidence_of(answers, class_names))))


def test_checks_take_the_numbers() -> None:
    document = _document()
    better = copy.deepcopy(document)
    better["metrics"]["bleu_4"] += 2.5
    gate = Gate(
        (
            Check("bleu_4", "min_change", 2.0),
            Check("slices.word.left.exact_match", "min", 1.1),
            Check("perplexity", "max", 2.0),
            Check("by_position.8.accuracy", "min", 0.0),  # Not defined.
        ),
        document,
    )
    gate.check_names(list(named_numbers(document)))
    assert [row["passed"] for row in gate.results(better)] == [True, False, True, False]
    with pytest.raises(RequestError, match=r"did you mean shuffled\.bleu_4"):
        Gate((Check("shuffled.bleu_3", "min", 0.5),)).check_names(list(named_numbers(document)))


def test_a_written_document_is_read_as_a_baseline(tmp_path: Any) -> None:
    document = _document()
    (tmp_path / "metrics.json").write_text(json.dumps(document))
    assert read_metrics(str(tmp_path / "metrics.json"), "--baseline") == document


def test_a_repetition_compares_numbers_and_texts() -> None:
    document = _document()
    other = copy.deepcopy(document)
    assert differences(document, other) == []
    other["shuffled"]["bleu_4"] = 0.125
    other["worst"][0]["predicted"] = "another"
    other["captions"]["decoding"]["beam"] = 3
    found = [line.partition(":")[0] for line in differences(document, other)]
    assert found == ["captions.decoding.beam", "shuffled.bleu_4", "worst.0.predicted"]


def test_the_summary_names_shuffled_numbers_and_the_worst_slice() -> None:
    document = _document(400)
    text = summary_text(document)
    assert f"shuffled {document['shuffled']['rouge_l']:.6f}" in text
    slices = [
        (row["rouge_l"], f"{name}: {group}")
        for name, groups in document["slices"].items()
        for group, row in groups.items()
        if row["num_sequences"] >= 100
    ]
    (line,) = [line for line in text.splitlines() if line.startswith("  worst slice")]
    assert line.split()[2] == f"{min(slices)[0]:.6f}"
    assert line.endswith(min(slices)[1])
    assert "shuffled" not in summary_text(_document(1))
