"""Scores of nested options, pooled; and what noise is worth."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression

from dpsynth.mechanisms import pairs
from dpsynth.mechanisms.pairs import Option, dependence_gains, expected_gains, noise_weight
from dpsynth.privacy.marginal import Marginal


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12))
def test_rising_scores_are_the_nearest_that_do_not_fall(values):
    found, members = pairs._rising(values)
    at = 0
    while at < len(values):  # each pool holds the mean of what it pools
        pool = slice(at, at + int(members[at]))
        assert (members[pool] == members[at]).all()
        np.testing.assert_allclose(found[pool], np.mean(values[pool]), rtol=1e-9, atol=1e-6)
        at = pool.stop
    np.testing.assert_allclose(found, isotonic_regression(values).x, rtol=1e-9, atol=1e-6)
    assert (np.diff(found) >= 0).all()


class Scripted:
    """A curator whose scores are known beforehand."""

    def __init__(self, scores):
        self.scores, self.asked = np.array(scores, dtype=np.int64), []

    def score(self, queries, reference, *, budget, purpose):
        self.asked += [(reference(q).sum(), budget, purpose) for q in queries]
        return self.scores, 1.0


def option(columns, cells, stray):
    query = Marginal(columns, (np.arange(2), np.arange(cells // 2)))
    return Option(query, np.full(query.shape, cells), stray)


def test_scores_are_pooled_within_a_pair_alone_and_chance_is_taken_off():
    options = [
        option((0, 1), 4, 30.0),
        option((0, 1), 8, 40.0),
        option((0, 2), 4, 5.0),
        option((1, 2), 4, 0.0),
    ]
    curator = Scripted([70, 30, 4, -9])
    gains = dependence_gains(curator, options, Fraction(1, 7), purpose="why")
    np.testing.assert_allclose(gains, [40.0, 30.0, 0.0, 0.0])
    assert curator.asked == [(c * c, Fraction(1, 7), "why") for c in (4, 8, 4, 4)]


def test_expected_gains_reckon_with_the_noise_of_pooled_scores(monkeypatch):
    """Three scores of one pair that fall are one mean of three: a third of the variance."""
    seen = []

    def spy(scores, noise, stray, largest):
        seen.extend([scores, noise, stray, largest])
        return scores

    monkeypatch.setattr(pairs, "expected_distances", spy)
    options = [option((0, 1), cells, 1.0) for cells in (4, 8, 16)] + [option((0, 2), 4, 2.0)]
    found = expected_gains(Scripted([9, 6, 3, 5]), options, Fraction(1, 7), total=50.0)
    np.testing.assert_allclose(found, [6.0, 6.0, 6.0, 5.0])
    np.testing.assert_allclose(seen[1], [3**-0.5] * 3 + [1.0])
    np.testing.assert_allclose(seen[2], [1.0, 1.0, 1.0, 2.0])
    assert seen[3] == 100.0


@pytest.mark.parametrize(("signal", "weight"), [(0.0, 0.7), (700.0, 0.7), (7e4, 0.7 * 100**-0.57)])
def test_noise_weighs_less_where_rows_are_many(signal, weight):
    assert noise_weight(signal) == pytest.approx(weight)
