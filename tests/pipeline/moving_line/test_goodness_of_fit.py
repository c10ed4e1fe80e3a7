import numpy as np
import pytest
from scipy.stats import chisquare

from pipeline.moving_line.goodness_of_fit import fits
from pipeline.moving_line.lines import sample_sequences
from pipeline.moving_line.statistics import Statistics


def test_sequences_that_do_not_follow_the_definition_are_told() -> None:
    paths, labels = sample_sequences(0, "train", 9, 0, 100_000)
    assert all(fit.holds for fit in fits("train", Statistics.of(paths, labels)))
    biased = np.where(np.arange(len(labels)) % 20 == 0, 1, labels)
    broken = {fit.counts: fit.holds for fit in fits("train", Statistics.of(paths, biased))}
    assert broken.pop("labels") is False
    assert all(broken.values())
    low = paths[paths[:, 0] < 8]
    broken = {fit.counts: fit.holds for fit in fits("train", Statistics.of(low, labels[: len(low)]))}
    assert broken["start_rows"] is False
    assert fits("train", Statistics.of(paths[:5], labels[:5]))[1].p_value is None


def test_p_values_are_those_of_scipy() -> None:
    statistics = Statistics.of(*sample_sequences(4, "train", 20, 0, 5000))
    tests = {fit.counts: fit for fit in fits("train", statistics)}
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
