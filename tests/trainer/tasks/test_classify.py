"""Loss and metric of N classes against their formulas in float64."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.utils.class_weight import compute_class_weight

from trainer.tasks.classify import CrossEntropy, balanced_weights, is_top

RANDOM = np.random.default_rng(5)
LOGITS = RANDOM.normal(0, 3, (40, 5)).astype(np.float32)
LABELS = RANDOM.integers(0, 5, (40, 1)).astype(np.float32)
WEIGHTS = [0.5, 1.0, 2.0, 0.25, 4.0]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_mean_of_the_formula(weights: list[float] | None, smoothing: float) -> None:
    classes = LABELS[:, 0].astype(int)
    targets = (1 - smoothing) * np.eye(5)[classes] + smoothing / 5
    losses = -(targets * log_softmax(LOGITS.astype(np.float64), axis=1)).sum(1)
    losses *= 1 if weights is None else np.array(weights)[classes]
    found = CrossEntropy(weights, smoothing)(LABELS, LOGITS)
    assert float(found) == pytest.approx(losses.mean(), rel=1e-6)
    if not smoothing and weights is None:
        known = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(LABELS, LOGITS)
        assert float(found) == pytest.approx(float(known), rel=1e-6)


def test_padding_of_weight_zero_does_not_count() -> None:
    weights = np.r_[np.full(30, 40 / 30), np.zeros(10)].astype(np.float32)
    found = float(CrossEntropy()(LABELS, LOGITS, sample_weight=weights))
    assert found == pytest.approx(float(CrossEntropy()(LABELS[:30], LOGITS[:30])), rel=1e-6)


def test_confident_mistakes_have_a_loss_and_a_gradient() -> None:
    logits = np.array([[200.0, -200.0]], np.float32)
    assert float(CrossEntropy()(np.array([[1.0]]), logits)) == pytest.approx(400)


def test_the_accuracy_counts_the_most_probable_class() -> None:
    found = keras.ops.convert_to_numpy(is_top(LABELS, LOGITS))
    np.testing.assert_array_equal(found, LOGITS.argmax(1) == LABELS[:, 0])


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    classes = np.repeat(np.arange(4), [1, 5, 30, 200])
    known = compute_class_weight("balanced", classes=np.arange(4), y=classes)
    assert balanced_weights([1, 5, 30, 200]) == pytest.approx(known)
