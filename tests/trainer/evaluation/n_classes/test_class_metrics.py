import json
import warnings

import numpy as np
import pytest
import sklearn.metrics as reference
from scipy import stats
from sklearn.calibration import calibration_curve

from tests.trainer.evaluation.n_classes.answers import names_of
from trainer.evaluation.n_classes.metrics import class_metrics


def _case(num_classes: int, is_float32: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Answers with classes that are never predicted, never seen, and neither, where there are many."""
    random = np.random.default_rng(num_classes)
    count = 5003
    seen = num_classes if num_classes <= 2 else num_classes - 2
    labels = random.integers(0, seen, count)
    logits = random.normal(0, 1, (count, num_classes)) + 2 * np.eye(num_classes)[labels]
    if num_classes > 2:
        logits[:, 0] -= 50
        logits[:, -1] -= 50
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return (probabilities.astype(np.float32) if is_float32 else probabilities), labels


@pytest.mark.parametrize("num_classes", [2, 3, 8, 400])
def test_metrics_equal_scikit_learn(num_classes: int) -> None:
    probabilities, labels = _case(num_classes)
    names, classes = names_of(num_classes), np.arange(num_classes)
    metrics = class_metrics(probabilities, labels, names)
    predicted = probabilities.argmax(1)
    options = {"labels": classes, "zero_division": np.nan}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, f1, support = reference.precision_recall_fscore_support(
            labels, predicted, **options
        )
        macro = reference.precision_recall_fscore_support(labels, predicted, average="macro", **options)
        expected = {
            "loss": reference.log_loss(labels, probabilities, labels=classes),
            "accuracy": reference.accuracy_score(labels, predicted),
            "balanced_accuracy": reference.balanced_accuracy_score(labels, predicted),
            "macro_precision": macro[0],
            "macro_recall": macro[1],
            "macro_f1": macro[2],
            "brier_score": float(((probabilities - np.eye(num_classes)[labels]) ** 2).sum(1).mean()),
        }
        if num_classes > 2:
            brier = reference.brier_score_loss(labels, probabilities, labels=classes, scale_by_half=False)
            assert expected["brier_score"] == pytest.approx(brier, abs=1e-12)
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, abs=1e-9), name
    matrix = reference.confusion_matrix(labels, predicted, labels=classes)
    assert metrics["confusion_matrix"] == matrix.tolist()
    assert metrics["errors"] == int((labels != predicted).sum())
    for index, name in enumerate(names):
        row = metrics["per_class"][name]
        assert row["num_sequences"] == support[index]
        for key, values in (("precision", precision), ("recall", recall), ("f1", f1)):
            value = None if np.isnan(values[index]) else pytest.approx(values[index], abs=1e-9)
            assert row[key] == value, (name, key)
    if num_classes > 2:
        assert metrics["per_class"][names[0]]["precision"] is None
        assert metrics["per_class"][names[-1]] == {
            "num_sequences": 0,
            "precision": None,
            "precision_interval": None,
            "recall": None,
            "recall_interval": None,
            "f1": None,
        }
    json.dumps(metrics, allow_nan=False)


@pytest.mark.parametrize(("num_classes", "ks"), [(2, []), (3, []), (4, [3]), (8, [3, 5]), (400, [3, 5, 10])])
def test_the_label_is_among_the_top_k_as_scikit_learn_says(num_classes: int, ks: list[int]) -> None:
    probabilities, labels = _case(num_classes)
    top_k = class_metrics(probabilities, labels, names_of(num_classes))["top_k"]
    assert top_k.keys() == {str(k) for k in ks}
    for k in ks:
        expected = reference.top_k_accuracy_score(labels, probabilities, k=k, labels=np.arange(num_classes))
        assert top_k[str(k)] == pytest.approx(expected, abs=1e-9)


def test_of_equal_probabilities_the_first_class_comes_first() -> None:
    probabilities = np.full((5, 5), 0.2)
    metrics = class_metrics(probabilities, np.arange(5), names_of(5))
    assert metrics["confusion_matrix"] == [[1, 0, 0, 0, 0]] * 5
    assert metrics["top_k"] == {"3": 0.6}


@pytest.mark.parametrize("num_classes", [2, 8])
def test_calibration_is_that_of_the_answer(num_classes: int) -> None:
    probabilities, labels = _case(num_classes)
    metrics = class_metrics(probabilities, labels, names_of(num_classes))
    scores, correct = probabilities.max(1), probabilities.argmax(1) == labels
    share, mean = calibration_curve(correct, scores, n_bins=15)
    rows = [row for row in metrics["reliability"] if row["num_sequences"]]
    assert [row["share_of_right"] for row in rows] == pytest.approx(share, abs=1e-9)
    assert [row["mean_score"] for row in rows] == pytest.approx(mean, abs=1e-9)
    weights = np.array([row["num_sequences"] for row in rows]) / len(labels)
    expected = float(weights @ np.abs(share - mean))
    assert metrics["expected_calibration_error"] == pytest.approx(expected, abs=1e-9)


def test_intervals_are_wilsons() -> None:
    probabilities, labels = _case(8)
    metrics = class_metrics(probabilities, labels, names_of(8))
    predicted = probabilities.argmax(1)
    both = (labels == 3) & (predicted == 3)
    row = metrics["per_class"]["class 3"]
    for interval, members in (
        (metrics["accuracy_interval"], (labels == predicted)),
        (row["recall_interval"], both[labels == 3]),
        (row["precision_interval"], both[predicted == 3]),
    ):
        expected = stats.binomtest(int(members.sum()), len(members)).proportion_ci(method="wilson")
        assert interval == pytest.approx(tuple(expected), abs=1e-9)


def test_float32_is_computed_in_float64() -> None:
    probabilities, labels = _case(8, is_float32=True)
    names = names_of(8)
    assert class_metrics(probabilities, labels, names) == class_metrics(
        probabilities.astype(np.float64), labels, names
    )


@pytest.mark.parametrize("of_label", [0.0, 0.3, 1.0])
def test_one_sequence_gives_finite_numbers(of_label: float) -> None:
    probabilities = np.array([[of_label, 1 - of_label, 0.0, 0.0]], np.float32)
    metrics = class_metrics(probabilities, np.array([0]), names_of(4))
    assert metrics["loss"] == pytest.approx(-np.log(max(of_label, 2.0**-52)), abs=1e-6)
    assert metrics["brier_score"] == pytest.approx(2 * (1 - of_label) ** 2, abs=1e-6)
    json.dumps(metrics, allow_nan=False)
