"""Documents of N classes: their schema, names, checks, summary and repetition."""

import copy
import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from pipeline.command_line.errors import RequestError
from tests.conftest import ROOT
from tests.trainer.evaluation.n_classes.answers import (
    document_of,
    evidence_of,
    made_up_answers,
    names_of,
)
from trainer.evaluation.checks import Check, Gate
from trainer.evaluation.document import named_numbers
from trainer.evaluation.n_classes.document import number_names, results
from trainer.evaluation.n_classes.slicings import clip_slicings
from trainer.evaluation.report import report
from trainer.evaluation.reproduction import differences
from trainer.evaluation.summary import summary_text

SCHEMA = json.loads((ROOT / "docs" / "metrics.schema.json").read_text())
ODD_NAMES = ["walk", "a.b", "a", "b.walk", "$x_1^2$", "播放", 'quote"\\']


def _document(num_classes: int = 8, has_all: bool = True, records_per_clip: int = 2) -> dict[str, Any]:
    count = 60
    clips = [f"{number // records_per_clip}.mp4" for number in range(count)]
    groups = [f"group {number // 4}" for number in range(count)] if has_all else None
    answers = made_up_answers(count, num_classes, clips=clips, groups=groups)
    evidence = evidence_of(answers, names_of(num_classes))
    return document_of(evidence, evidence if has_all else None)


@pytest.mark.parametrize("has_all", [True, False])
@pytest.mark.parametrize("num_classes", [2, 8, 400])
def test_the_document_is_as_its_schema_says(num_classes: int, has_all: bool) -> None:
    document = json.loads(json.dumps(_document(num_classes, has_all), allow_nan=False))
    jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize(
    ("part", "name"), [(None, "accuracy_by_frame"), (None, "other"), ("metrics", "roc_auc"), ("worst", "x")]
)
def test_the_schema_allows_nothing_else(part: str | None, name: str) -> None:
    document = _document()
    place = document if part is None else document[part]
    (place[0] if isinstance(place, list) else place)[name] = 0.5
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize("name", ["classes", "baselines", "metrics", "views"])
def test_the_schema_asks_for_every_part(name: str) -> None:
    document = _document()
    del document[name]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_numbers_have_names() -> None:
    document = _document()
    values, metrics = named_numbers(document), document["metrics"]
    assert values["accuracy"] == metrics["accuracy"]
    assert values["top_k.5"] == metrics["top_k"]["5"]
    assert values["accuracy_group_interval.low"] == metrics["accuracy_group_interval"][0]
    assert values["per_class.class 2.recall"] == metrics["per_class"]["class 2"]["recall"]
    row = metrics["per_class"]["class 2"]["precision_interval"]
    assert values["per_class.class 2.precision_interval.high"] == row[1]
    assert values["confusion_matrix.class 1.class 2"] == metrics["confusion_matrix"][1][2]
    assert values["clip_level.accuracy"] == document["clip_level"]["accuracy"]
    assert values["clip_level.top_k.3"] == document["clip_level"]["top_k"]["3"]
    assert values["accuracy_by_share.50.accuracy"] == document["accuracy_by_share"][4]["accuracy"]
    baselines = document["baselines"]
    assert values["baselines.single_frame.accuracy"] == baselines["single_frame"]["accuracy"]
    assert values["baselines.majority_class.accuracy"] == baselines["majority_class"]["accuracy"]
    assert values["slices.duration.long.accuracy"] == document["slices"]["duration"]["long"]["accuracy"]
    assert values["views"] == 1
    assert all(value is None or isinstance(value, int | float) for value in values.values())


def test_every_name_of_a_class_gives_names_of_its_own() -> None:
    evidence = evidence_of(made_up_answers(60, len(ODD_NAMES)), ODD_NAMES)
    document = document_of(evidence, None)
    values = named_numbers(document)
    matrix = [name for name in values if name.startswith("confusion_matrix.")]
    assert len(matrix) == len(ODD_NAMES) ** 2
    # Without the backslash, both would be confusion_matrix.a.b.walk.
    assert values[r"confusion_matrix.a\.b.walk"] == document["metrics"]["confusion_matrix"][1][0]
    assert values[r"confusion_matrix.a.b\.walk"] == document["metrics"]["confusion_matrix"][2][3]
    assert values[r"slices.class.a\.b.accuracy"] == document["slices"]["class"]["a.b"]["accuracy"]
    assert values['per_class.quote"\\\\.f1'] == document["metrics"]["per_class"]['quote"\\']["f1"]


@pytest.mark.parametrize("has_all", [True, False])
@pytest.mark.parametrize("num_classes", [2, 8, 30])
def test_names_are_told_before_the_evaluation(num_classes: int, has_all: bool) -> None:
    names = names_of(num_classes)
    answers = made_up_answers(60, num_classes)
    if not has_all:
        answers = replace(answers, by_share=None)
    evidence = evidence_of(answers, names)
    told = number_names(names, clip_slicings(names, 16), by_share=has_all, single_frame=has_all)
    assert told == list(named_numbers(results(evidence, evidence if has_all else None, 1)))


def test_checks_take_the_numbers() -> None:
    document = _document()
    better = copy.deepcopy(document)
    better["metrics"]["macro_f1"] += 0.25
    gate = Gate(
        (
            Check("macro_f1", "min_change", 0.2),
            Check("per_class.class 1.recall", "min", 1.1),
            Check("clip_level.accuracy_interval.low", "min", 0.0),
        ),
        document,
    )
    gate.check_names(list(named_numbers(document)))
    assert [row["passed"] for row in gate.results(better)] == [True, False, True]
    with pytest.raises(RequestError, match=r"did you mean per_class\.class 1\.recall"):
        Gate((Check("per_class.class 1.recal", "min", 0.5),)).check_names(list(named_numbers(document)))


def test_a_repetition_compares_all_numbers() -> None:
    document = _document()
    other = copy.deepcopy(document)
    assert differences(document, other) == []
    other["metrics"]["per_class"]["class 1"]["recall"] = 0.125
    other["baselines"]["majority_class"]["class"] = "another"
    found = differences(document, other)
    assert [line.partition(":")[0] for line in found] == [
        "metrics.per_class.class 1.recall",
        "baselines.majority_class.class",
    ]


def test_the_summary_names_the_worst_classes_and_the_baselines() -> None:
    document = _document()
    text = summary_text(document)
    per_class = document["metrics"]["per_class"]
    worst = sorted(per_class, key=lambda name: per_class[name]["recall"])[:3]
    lines = [line for line in text.splitlines() if line.startswith("  worst recall")]
    assert [line.rpartition("  ")[2] for line in lines] == worst
    for named in ("macro_f1", "label in the top 5", "whole clips", "always the same class", "of one frame"):
        assert named in text
    assert "of one frame" not in summary_text(_document(has_all=False))


def test_nothing_that_holds_every_sequence_repeats_the_accuracy() -> None:
    document = _document(records_per_clip=1)
    for text in (summary_text(document), report(document, {})):
        assert "whole clips" not in text
    assert "duration: short" in report(document, {})
    document["slices"]["duration"]["short"]["num_sequences"] = document["dataset"]["num_sequences"]
    assert "duration: short" not in report(document, {})


@pytest.mark.parametrize("part", ["accuracy_interval", "accuracy_group_interval"])
def test_who_may_be_guessing_is_told_so(part: str) -> None:
    document = _document(has_all=part == "accuracy_group_interval", records_per_clip=1)
    most = document["baselines"]["majority_class"]["accuracy"]
    for low, is_told in ((most, True), (most + 0.01, False)):
        document["metrics"][part] = [low, 1.0]
        for text in (summary_text(document), report(document, {})):
            assert ("not surely better" in text) == is_told
