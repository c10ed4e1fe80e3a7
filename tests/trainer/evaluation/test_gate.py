"""The gate as a user meets it: a worse model fails, a better one passes."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.command_line.errors import RequestError
from tests.conftest import ROOT, make_dataset
from tests.runs import copy_with_weights, weights_that_know
from trainer.evaluate import main
from trainer.evaluation.checks import Check
from trainer.evaluation.document import named_numbers

SCHEMA = json.loads((ROOT / "docs" / "metrics.schema.json").read_text())
FLIPS = "--flips=0,0.2"


@pytest.fixture(scope="module")
def better_run(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned."""
    return copy_with_weights(run_dir, tmp_path_factory.mktemp("better") / "run", weights_that_know(8))


@pytest.fixture(scope="module")
def worse_run(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has hardly begun to learn."""
    return copy_with_weights(run_dir, tmp_path_factory.mktemp("worse") / "run", weights_that_know(0.001))


@pytest.fixture(scope="module")
def baseline(path_dataset_dir: Path, better_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """metrics.json of the model that has learned."""
    path = tmp_path_factory.mktemp("documents") / "better.json"
    assert (
        main([f"--data_dir={path_dataset_dir}", f"--model_dir={better_run}", f"--output={path}", FLIPS]) == 0
    )
    return path


def _document(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_numbers_have_names(baseline: Path) -> None:
    document = _document(baseline)
    values = named_numbers(document)
    metrics = document["metrics"]
    assert values["accuracy"] == metrics["accuracy"]
    assert values["accuracy_interval.low"] == metrics["accuracy_interval"][0]
    assert values["confusion_matrix.right.left"] == metrics["confusion_matrix"][1][0]
    assert values["accuracy_by_frame.3.accuracy"] == document["accuracy_by_frame"]["frames"][2]["accuracy"]
    assert values["slices.turns.few.accuracy"] == document["slices"]["turns"]["few"]["accuracy"]
    flipped = document["robustness"][1]
    assert flipped["flipped"] == 0.2
    assert values["robustness.0.2.roc_auc_interval.high"] == flipped["roc_auc_interval"][1]
    assert document["robustness"][0]["accuracy"] == metrics["accuracy"]
    assert flipped["loss"] != metrics["loss"]


@pytest.mark.storm
def test_a_worse_model_fails_and_a_better_one_passes(
    tmp_path: Path,
    path_dataset_dir: Path,
    better_run: Path,
    worse_run: Path,
    baseline: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checks = tmp_path / "checks.yaml"
    checks.write_text(
        "accuracy: {min: 0.8, min_change: -0.05}\n"
        "loss: {max: 0.6, max_change: 0.05}\n"
        "slices.direction.left.accuracy: {min: 0.5}\n"
        "roc_auc_interval.low: {min: 0.8}\n"
        "robustness.0.2.errors: {max: 150}\n"
    )
    for name, run, code in (("better", better_run, 0), ("worse", worse_run, 1)):
        output = tmp_path / f"{name}.json"
        flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={run}", f"--output={output}", FLIPS]
        assert main([*flags, f"--checks={checks}", f"--baseline={baseline}"]) == code
        printed = capsys.readouterr().out
        document = _document(output)  # Also of a model that fails.
        jsonschema.validate(document, SCHEMA)
        assert document["passed"] == (code == 0)
        rows = document["checks"]
        assert [(row["name"], row["bound"]) for row in rows][:3] == [
            ("accuracy", "min"),
            ("accuracy", "min_change"),
            ("loss", "max"),
        ]
        for row in rows:
            value = row["value"] if row["baseline"] is None else row["value"] - row["baseline"]
            kept = value >= row["limit"] if row["bound"].startswith("min") else value <= row["limit"]
            assert row["passed"] == kept
        failed = sum(not row["passed"] for row in rows)
        assert f"{len(rows) - failed} of {len(rows)} checks passed" in printed
        assert printed.count("FAILED") == failed
        assert (failed > 0) == (name == "worse")


@pytest.mark.parametrize("errors", range(0, 10_000, 77))
def test_a_change_of_exactly_the_limit_passes(errors: int) -> None:
    before, now = {"accuracy": errors / 10_000}, {"accuracy": (errors - 10) / 10_000}
    assert Check("accuracy", "min_change", -0.001).result(now, before)["passed"]
    assert Check("accuracy", "max_change", 0.001).result(before, now)["passed"]
    assert not Check("accuracy", "min_change", -0.000999).result(now, before)["passed"]


def test_the_metrics_do_not_replace_what_they_are_made_of(
    tmp_path: Path, path_dataset_dir: Path, run_dir: Path, baseline: Path
) -> None:
    checks = tmp_path / "checks.yaml"
    checks.write_text("accuracy: {min_change: 0}")
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={run_dir}", f"--checks={checks}"]
    flags.append(f"--baseline={baseline}")
    for output in (checks, baseline, run_dir / "model.keras", run_dir / "config.json"):
        before = output.read_bytes()
        with pytest.raises(RequestError, match=f"{output.name}: would replace"):
            main([*flags, f"--output={output}"])
        assert output.read_bytes() == before
    with pytest.raises(RequestError, match=r"made: is the folder of --plots; name a file"):
        main([*flags, f"--output={tmp_path / 'made'}", f"--plots={tmp_path / 'made'}/"])
    with pytest.raises(RequestError, match="/dev/null: is no file that could be replaced"):
        main([*flags, "--output=/dev/null"])


def test_what_is_not_defined_does_not_pass(tmp_path: Path, run_dir: Path) -> None:
    alone = make_dataset(tmp_path / "d", num_test=1)
    checks = tmp_path / "checks.yaml"
    checks.write_text("roc_auc: {min: 0, max: 1}\naccuracy: {min: 0}")
    flags = [f"--data_dir={alone}", f"--model_dir={run_dir}", f"--output={tmp_path / 'm.json'}"]
    assert main([*flags, f"--checks={checks}"]) == 1
    document = _document(tmp_path / "m.json")
    jsonschema.validate(document, SCHEMA)
    assert [row["passed"] for row in document["checks"]] == [False, False, True]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "give a mapping"),
        ("- accuracy", "give a mapping"),
        ("accuracy: {min: 0.9", "is not YAML"),
        ("accuracy: 0.9", "accuracy: give bounds"),
        ("accuracy: {}", "accuracy: give bounds"),
        ("accuracy: {least: 0.9}", "least is none of min, max"),
        ("accuracy: {min: high}", "'high' is not a number"),
        ("accuracy: {min: true}", "'True' is not a number"),
        ("accuracy: {min: .nan}", "'nan' is not a number"),
        ("accuracy: {min: 2020-13-45}", "is not YAML"),
        (f"accuracy: {{min: {'9' * 400}}}", "is not a number"),
        (f"{'[' * 3000}", "is not YAML"),
        ("accuracy: {min: 0.9}\naccuracy: {min: 0.1}", "accuracy is given twice"),
        ("accuracy: {min: 0.9, min: 0.1}", "min is given twice"),
        ("acuracy: {min: 0.9}", "no number acuracy; did you mean accuracy"),
        ("slices.turns.none.accuracy: {min: 0.9}", "no number slices.turns.none.accuracy"),
        ("robustness.0.1.accuracy: {min: 0.9}", "no number robustness.0.1.accuracy"),
        ("accuracy_by_frame.9.accuracy: {min: 0.9}", "no number accuracy_by_frame.9"),
        ("accuracy: {min_change: 0}", "needs --baseline"),
    ],
)
def test_wrong_checks_are_refused_before_any_work(
    tmp_path: Path, path_dataset_dir: Path, run_dir: Path, text: str, named: str
) -> None:
    checks, output = tmp_path / "checks.yaml", tmp_path / "m.json"
    checks.write_text(text)
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={run_dir}", f"--output={output}"]
    with pytest.raises(RequestError, match=named):
        main([*flags, f"--checks={checks}"])
    assert not output.exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda document: document.pop("slices"), "is not a metrics.json"),
        (lambda document: document.update(schema_version=1), "has schema version 1"),
        (lambda document: document.pop("dataset"), "is not a metrics.json"),
        (lambda document: document["metrics"].update(loss="low"), "is not a metrics.json"),
        (lambda document: document["metrics"].update(loss=float("nan")), "is not a metrics.json"),
        (lambda document: document["request"].update(seed=9), "was measured with --seed 9"),
        (
            lambda document: document["dataset"]["left_out"].update(num_sequences=1),
            "other damaged sequences were left out",
        ),
        (lambda document: document["dataset"].update(content_sha256="0" * 64), "on other sequences"),
        (lambda document: document.update(robustness=[]), r"has no robustness\.0\.2\.accuracy"),
    ],
)
def test_baselines_that_cannot_be_compared_with(
    tmp_path: Path, path_dataset_dir: Path, run_dir: Path, baseline: Path, change: Any, named: str
) -> None:
    document = _document(baseline)
    change(document)
    baseline, checks = tmp_path / "baseline.json", tmp_path / "checks.yaml"
    baseline.write_text(json.dumps(document))
    checks.write_text("robustness.0.2.accuracy: {min_change: 0}")
    flags = [f"--data_dir={path_dataset_dir}", f"--model_dir={run_dir}", FLIPS]
    with pytest.raises(RequestError, match=named):
        main([*flags, f"--checks={checks}", f"--baseline={baseline}", f"--output={tmp_path / 'm.json'}"])
    assert not (tmp_path / "m.json").exists()
