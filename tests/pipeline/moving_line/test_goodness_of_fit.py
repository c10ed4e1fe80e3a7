import numpy as np
import pytest
from scipy.stats import chisquare

from pipeline.moving_line.goodness_of_fit import chi_squared_tests
from pipeline.moving_line.lines import sample_sequences
from pipeline.moving_line.statistics import LineStatistics


def _judged(statistics: LineStatistics) -> dict[str, bool]:
    return {test.counts: test.holds for test in chi_squared_tests("train", statistics)}


def test_sequences_that_do_not_follow_the_definition_are_told() -> None:
    paths, labels = sample_sequences(0, "train", 9, 0, 100_000)
    assert all(_judged(LineStatistics.of(paths, labels)).values())
    biased = np.where(np.arange(len(labels)) % 20 == 0, 1, labels)
    broken = _judged(LineStatistics.of(paths, biased))
    assert broken.pop("labels") is False
    assert all(broken.values())
    low = paths[paths[:, 0] < 8]
    broken = _judged(LineStatistics.of(low, labels[: len(low)]))
    assert broken["start_rows"] is False
    assert chi_squared_tests("train", LineStatistics.of(paths[:5], labels[:5]))[1].p_value is None


def test_p_values_are_those_of_scipy() -> None:
    statistics = LineStatistics.of(*sample_sequences(4, "train", 20, 0, 5000))
    tests = {test.counts: test for test in chi_squared_tests("train", statistics)}
    for name, counts in [
        ("labels", statistics.labels),
        ("start_rows", statistics.start_rows),
        ("steps_interior", statistics.steps[0]),
        ("steps_lower_border", statistics.steps[1][1:]),
        ("steps_upper_border", statistics.steps[2][:2]),
    ]:
        expected = chisquare(counts)
        assert tests[name].statistic == pytest.approx(expected.statistic)
        assert tests[name].p_value == pytest.approx(expected.pvalue)
