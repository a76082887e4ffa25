"""Deviations estimated with the help of other pairs of the same column."""

from __future__ import annotations

import numpy as np
import pytest

from dpsynth.model.bases import Residual, shared_deviations
from dpsynth.model.denoise import center


def planted(rng, *, partners, size=16, strength=8.0, sigma=1.0):
    """Pairs (0, 1), (0, 2), ... whose deviations all run along one direction of column 0."""
    direction = center(rng.normal(size=(size, 2)))[:, 0]
    direction /= np.linalg.norm(direction)
    truths = []
    for _ in range(partners):
        other = rng.normal(size=size)
        truths.append(center(strength * np.outer(direction, (other - other.mean()) / np.linalg.norm(other))))
    groups = np.arange(size)
    noisy = [
        Residual((0, i + 1), (groups, groups), center(t + rng.normal(0, sigma, t.shape)), sigma)
        for i, t in enumerate(truths)
    ]
    return truths, noisy


def error(estimates, truths):
    return sum(float(np.square(e - t).sum()) for e, t in zip(estimates, truths, strict=True))


def test_pairs_that_share_a_column_help_each_other():
    """Eight pairs along one direction: under half the error each would have alone (0.35 was seen)."""
    together = alone = raw = 0.0
    for seed in range(10):
        truths, noisy = planted(np.random.default_rng(seed), partners=8)
        together += error(shared_deviations(noisy), truths)
        alone += error([shared_deviations([r])[0] for r in noisy], truths)
        raw += error([r.values for r in noisy], truths)
    assert together < 0.5 * alone
    assert together < 0.35 * raw


def test_pure_noise_is_shrunk_away():
    truths, noisy = planted(np.random.default_rng(3), partners=6, strength=0.0)
    assert error(shared_deviations(noisy), truths) < 0.35 * error([r.values for r in noisy], truths)


def test_a_strong_signal_is_left_as_it_is():
    truths, noisy = planted(np.random.default_rng(4), partners=3, strength=1e6)
    for estimate, truth in zip(shared_deviations(noisy), truths, strict=True):
        assert np.abs(estimate - truth).max() < 10


def test_finer_pairs_tell_of_coarser_ones_and_not_the_other_way():
    """Column 0 at 16 and at 4 groups: the coarse pair's basis is 4 x 4, and estimates keep their shapes."""
    rng = np.random.default_rng(5)
    fine, coarse = np.arange(16), np.arange(16) // 4
    residuals = [
        Residual((0, 1), (fine, np.arange(5)), center(rng.normal(size=(16, 5))), 1.0),
        Residual((2, 0), (np.arange(3), coarse), center(rng.normal(size=(3, 4))), 2.0),
    ]
    first, second = shared_deviations(residuals)
    assert first.shape == (16, 5)
    assert second.shape == (3, 4)
    assert np.isfinite(first).all()
    assert np.isfinite(second).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (2, 2)])
def test_small_tables_and_none_at_all(shape):
    assert shared_deviations([]) == []
    residual = Residual((0, 1), (np.arange(shape[0]), np.arange(shape[1])), np.zeros(shape), 3.0)
    (estimate,) = shared_deviations([residual])
    assert estimate.shape == shape
    assert np.abs(estimate).max() < 1e-9
