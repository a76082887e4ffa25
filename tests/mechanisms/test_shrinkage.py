"""Distances expected of noisy scores: nearer to the truth, and equal to the scores without noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.mechanisms.shrinkage import expected_distances


def planted(rng, m=600, dependent=0.1):
    """Most pairs independent, some dependent to all degrees."""
    true = np.where(rng.random(m) < dependent, rng.uniform(1_000, 20_000, m), rng.uniform(0, 100, m))
    return true, rng.uniform(200, 800, m)


@pytest.mark.parametrize("sigma", [300.0, 3_000.0])
def test_they_are_nearer_to_the_truth_and_unbiased(sigma):
    rng = np.random.default_rng(0)
    true, stray = planted(rng)
    scores = np.hypot(true, stray) + rng.normal(0, sigma, true.size)
    plain = np.sqrt(np.maximum(np.square(np.maximum(scores, 0)) - np.square(stray), 0))
    found = expected_distances(scores, np.full(true.size, sigma), stray, 100_000.0)
    assert np.square(found - true).mean() < 0.7 * np.square(plain - true).mean()
    assert abs(found.mean() - true.mean()) < abs(plain.mean() - true.mean())
    believed = found > np.quantile(found, 0.97)  # the largest are no longer too large
    assert found[believed].mean() == pytest.approx(true[believed].mean(), rel=0.1)


def test_without_noise_they_are_what_chance_leaves_of_the_scores():
    true, stray = planted(np.random.default_rng(1))
    found = expected_distances(np.hypot(true, stray), np.full(true.size, 1e-3), stray, 100_000.0)
    large = true > 1_000
    np.testing.assert_allclose(found[large], true[large], rtol=0.01)


@given(st.lists(st.floats(-1e5, 3e5), min_size=1, max_size=40), st.floats(0.1, 1e5), st.floats(0, 1e4))
def test_any_scores_give_distances_within_bounds(scores, sigma, stray):
    m = len(scores)
    found = expected_distances(np.array(scores), np.full(m, sigma), np.full(m, stray), 1e5)
    assert found.shape == (m,)
    assert np.isfinite(found).all()
    assert ((found >= 0) & (found <= 1e5)).all()
