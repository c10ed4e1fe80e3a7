import json

import numpy as np
import pytest
import sklearn.metrics as reference
from scipy import stats
from sklearn.calibration import calibration_curve

from trainer.evaluation.intervals import wilson_interval
from trainer.evaluation.metrics import binary_metrics
from trainer.evaluation.ranking import Ranking


def _cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 100_000)
    return {
        "random": (random.uniform(size=1000), labels[:1000]),
        "good": (np.clip(labels * 0.8 + random.normal(0.1, 0.2, labels.size), 0, 1), labels),
        "ties": (random.integers(0, 5, 777) / 4, labels[:777]),
        "perfect": (labels[:50] * 0.98 + 0.01, labels[:50]),
        "worst": (1 - labels[:50] * 1.0, labels[:50]),
        "all the same": (np.full(60, 0.7), labels[:60]),
        "a positive alone": (random.uniform(size=40), np.arange(40) == 7),
        "more than a block": (random.integers(0, 1000, labels.size) / 999, labels),
        "float32": (random.uniform(size=70_001).astype(np.float32), labels[:70_001]),
    }


@pytest.mark.parametrize("case", _cases())
def test_metrics_equal_scikit_learn(case: str) -> None:
    scores, labels = _cases()[case]
    predicted = scores > 0.5
    metrics = binary_metrics(scores, labels)
    scores = scores.astype(np.float64)
    expected = {
        "loss": reference.log_loss(labels, scores),
        "accuracy": reference.accuracy_score(labels, predicted),
        "precision": reference.precision_score(labels, predicted),
        "recall": reference.recall_score(labels, predicted),
        "f1": reference.f1_score(labels, predicted),
        "roc_auc": reference.roc_auc_score(labels, scores),
        "brier_score": reference.brier_score_loss(labels, scores),
    }
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, abs=1e-9), name
    assert metrics["confusion_matrix"] == reference.confusion_matrix(labels, predicted).tolist()
    assert metrics["errors"] == int((predicted != labels).sum())
    true_positives = int((predicted & (labels == 1)).sum())
    for name, count in (("precision", predicted.sum()), ("recall", labels.sum())):
        if count:
            expected_interval = stats.binomtest(true_positives, int(count)).proportion_ci(method="wilson")
            assert metrics[f"{name}_interval"] == pytest.approx(tuple(expected_interval), abs=1e-9)


@pytest.mark.parametrize("case", ["random", "good", "ties", "perfect", "worst", "all the same"])
def test_the_interval_of_the_area_is_delongs(case: str) -> None:
    scores, labels = (values[:1500] for values in _cases()[case])
    positives, negatives = scores[labels == 1], scores[labels == 0]
    # As the paper writes it: a kernel of every pair, averaged over one class for every member of the other.
    kernel = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    area = kernel.mean()
    variance = kernel.mean(1).var(ddof=1) / len(positives) + kernel.mean(0).var(ddof=1) / len(negatives)
    half = stats.norm.ppf(0.975) * np.sqrt(variance)
    metrics = binary_metrics(scores, labels)
    assert metrics["roc_auc"] == pytest.approx(area, abs=1e-9)
    expected = (max(0, area - half), min(1, area + half))
    assert metrics["roc_auc_interval"] == pytest.approx(expected, abs=1e-7 if variance < 1e-12 else 1e-9)


def test_the_roc_curve_is_scikit_learns() -> None:
    for scores, labels in _cases().values():
        false, true, _ = reference.roc_curve(labels, scores, drop_intermediate=False)
        curve = Ranking.of(scores, labels == 1).curve()
        assert curve[0][0] == curve[1][0] == 0
        assert curve[0][-1] == curve[1][-1] == 1
        whole = set(zip(false.round(9), true.round(9), strict=True))
        assert set(zip(*(rates.round(9) for rates in curve), strict=True)) <= whole


@pytest.mark.parametrize("case", ["random", "good", "ties"])
def test_the_reliability_table_is_scikit_learns(case: str) -> None:
    scores, labels = _cases()[case]
    scores = np.where((scores * 15) % 1 == 0, scores + 1e-6, scores).clip(0, 1)  # Not on the bins' edges.
    share, mean = calibration_curve(labels, scores, n_bins=15)
    metrics = binary_metrics(scores, labels)
    rows = [row for row in metrics["reliability"] if row["num_sequences"]]
    assert [row["share_of_right"] for row in rows] == pytest.approx(share, abs=1e-9)
    assert [row["mean_score"] for row in rows] == pytest.approx(mean, abs=1e-9)
    weights = np.array([row["num_sequences"] for row in rows]) / len(scores)
    assert metrics["expected_calibration_error"] == pytest.approx(
        float(weights @ np.abs(share - mean)), abs=1e-9
    )


@pytest.mark.parametrize(("successes", "count"), [(0, 1), (1, 1), (5, 9), (9_999, 10_000), (10_000, 10_000)])
def test_the_interval_is_wilsons(successes: int, count: int) -> None:
    interval = stats.binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, count) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_calibration_error_by_hand() -> None:
    # Bin of 0.9: mean score 0.9, share 0.5; bin of 0.1: mean score 0.1, share 0. Half the sequences each.
    metrics = binary_metrics(np.array([0.9, 0.9, 0.1, 0.1]), np.array([1, 0, 0, 0]))
    assert metrics["expected_calibration_error"] == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("count", [1, 2, 999])
def test_with_one_class_the_rest_is_still_scikit_learns(label: int, count: int) -> None:
    scores, labels = np.random.default_rng(3).uniform(size=count), np.full(count, label)
    metrics = binary_metrics(scores, labels)
    both = [0, 1]
    expected = {
        "loss": reference.log_loss(labels, scores, labels=both),
        "accuracy": reference.accuracy_score(labels, scores > 0.5),
        "brier_score": float(np.mean((scores - labels) ** 2)),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    matrix = reference.confusion_matrix(labels, scores > 0.5, labels=both)
    assert metrics["confusion_matrix"] == matrix.tolist()
    assert metrics["roc_auc"] is metrics["roc_auc_interval"] is None
    if label == 0:
        assert metrics["recall"] is metrics["recall_interval"] is None


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("score", [0.0, 0.2, 0.5, 1.0])
def test_one_sequence_of_one_class_gives_finite_numbers_or_null(label: int, score: float) -> None:
    metrics = binary_metrics(np.array([score]), np.array([label]))
    assert metrics["roc_auc"] is None
    assert metrics["accuracy"] == float((score > 0.5) == label)
    json.dumps(metrics, allow_nan=False)


def test_metrics_of_float32_scores_are_computed_in_float64() -> None:
    scores = np.random.default_rng(1).uniform(size=500).astype(np.float32)
    labels = np.random.default_rng(2).integers(0, 2, 500)
    assert binary_metrics(scores, labels) == binary_metrics(scores.astype(np.float64), labels)
