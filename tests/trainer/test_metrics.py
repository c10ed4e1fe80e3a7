import json

import numpy as np
import pytest
import sklearn.metrics as reference
from scipy import stats

from trainer.metrics import binary_metrics, wilson_interval


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
    }


@pytest.mark.parametrize("case", _cases())
def test_metrics_equal_scikit_learn(case: str) -> None:
    scores, labels = _cases()[case]
    predicted = scores > 0.5
    metrics = binary_metrics(scores, labels)
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


@pytest.mark.parametrize(("successes", "count"), [(0, 1), (1, 1), (5, 9), (9_999, 10_000), (10_000, 10_000)])
def test_the_interval_is_wilsons(successes: int, count: int) -> None:
    interval = stats.binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, count) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_calibration_error_by_hand() -> None:
    # Bin of 0.9: mean score 0.9, share 0.5; bin of 0.1: mean score 0.1, share 0. Half the sequences each.
    metrics = binary_metrics(np.array([0.9, 0.9, 0.1, 0.1]), np.array([1, 0, 0, 0]))
    assert metrics["expected_calibration_error"] == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)


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
