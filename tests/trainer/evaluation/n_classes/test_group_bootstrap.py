import numpy as np
import pytest

from trainer.evaluation.intervals import wilson_interval
from trainer.evaluation.n_classes.group_bootstrap import group_intervals, independent_units


def test_a_unit_is_a_group_or_else_a_clip_or_else_the_sequence() -> None:
    groups = ["a", "", "a", "", "", "", "b"]
    clips = ["x", "x", "y", "x", "", "", "a"]
    assert independent_units(groups, clips).tolist() == [0, 1, 0, 1, 2, 3, 4]


def _correlated(num_groups: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units, labels and predictions, where all of a group are right or all are wrong."""
    random = np.random.default_rng(1)
    units = np.repeat(np.arange(num_groups), size)
    labels = random.integers(0, 3, len(units))
    is_right = random.uniform(size=num_groups) < 0.8
    return units, labels, np.where(is_right[units], labels, (labels + 1) % 3)


def test_groups_that_agree_make_the_interval_as_wide_as_their_number_says() -> None:
    units, labels, predicted = _correlated(100, 20)
    correct = int((labels == predicted).sum())
    found = group_intervals(units, labels, predicted, 3)
    low, high = found["accuracy_group_interval"] or (0, 0)
    assert low < correct / 2000 < high
    naive = wilson_interval(correct, 2000)
    of_groups = wilson_interval(correct // 20, 100)
    assert high - low > 3 * (naive[1] - naive[0])
    assert high - low == pytest.approx(of_groups[1] - of_groups[0], rel=0.15)
    macro_low, macro_high = found["macro_f1_group_interval"] or (0, 0)
    assert macro_high - macro_low == pytest.approx(high - low, rel=0.3)


def test_groups_that_do_not_matter_leave_the_interval_as_it_is() -> None:
    random = np.random.default_rng(2)
    labels = random.integers(0, 3, 2000)
    predicted = np.where(random.uniform(size=2000) < 0.8, labels, (labels + 1) % 3)
    low, high = group_intervals(np.arange(2000) // 2, labels, predicted, 3)["accuracy_group_interval"] or (
        0,
        0,
    )
    naive = wilson_interval(int((labels == predicted).sum()), 2000)
    assert high - low == pytest.approx(naive[1] - naive[0], rel=0.15)


def test_it_is_the_same_each_time() -> None:
    assert group_intervals(*_correlated(30, 4), 3) == group_intervals(*_correlated(30, 4), 3)


def test_resamples_are_those_of_a_loop() -> None:
    units, labels, predicted = _correlated(10, 3)
    random = np.random.Generator(np.random.Philox(0))
    accuracies = []
    for _ in range(1000):
        drawn = random.integers(0, 10, 10)
        members = np.concatenate([np.flatnonzero(units == unit) for unit in drawn])
        accuracies.append((labels[members] == predicted[members]).mean())
    expected = np.quantile(accuracies, [0.025, 0.975])
    found = group_intervals(units, labels, predicted, 3)["accuracy_group_interval"]
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("units", [np.arange(50), np.zeros(50, int)], ids=["singletons", "one group"])
def test_without_several_groups_of_several_there_is_none(units: np.ndarray) -> None:
    found = group_intervals(units, np.zeros(50, int), np.zeros(50, int), 2)
    assert found == {"accuracy_group_interval": None, "macro_f1_group_interval": None}
