"""One estimate of a column from everything measured: against dense generalised least squares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.domain import Axis
from dpsynth.model import consistency
from dpsynth.model.consistency import Observation, reconcile_column, total_estimate
from dpsynth.model.levels import nested_levels


@st.composite
def cases(draw, *, most=14):
    """A column's one-way measurement and margins at some of its nested levels, some levels twice."""
    size = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = rng.gamma(1.0, 100.0, size)
    ordered = draw(st.sampled_from([0, size]))
    levels = nested_levels(Axis("x", size, ordered), truth)
    scale = draw(st.sampled_from([1e-3, 1.0, 50.0, 1e6]))
    used = draw(st.lists(st.integers(0, len(levels) - 1), max_size=4))

    def observe(groups):
        variance = float(np.square(scale * rng.uniform(0.3, 3)))
        sums = np.bincount(groups, weights=truth)
        return Observation(groups, sums + rng.normal(0, np.sqrt(variance), sums.size), variance)

    fine = observe(np.arange(size))
    return fine, [observe(levels[i].groups) for i in used], ordered, float(truth.sum())


def dense_least_squares(fine, coarse, total):
    """Minimise the sum of squared errors over their variances subject to the total, by stacked rows.

    The constraint is eliminated: x = total/n + (basis of vectors of sum zero) @ z.
    """
    size = fine.values.size
    basis = np.linalg.svd(np.ones((1, size)))[2][1:].T
    rows, targets = [], []
    for seen in (fine, *coarse):
        design = np.zeros((seen.values.size, size))
        design[seen.groups, np.arange(size)] = 1.0
        rows.append(design / np.sqrt(seen.variance))
        targets.append(seen.values / np.sqrt(seen.variance))
    design, target = np.concatenate(rows), np.concatenate(targets)
    start = np.full(size, total / size)
    free = np.linalg.lstsq(design @ basis, target - design @ start, rcond=None)[0]
    return start + basis @ free


def linear_estimate(fine, coarse, total):
    """The module's closed form before non-negativity."""
    chain = consistency._chain(fine, coarse, total)
    estimates, variances = consistency._combine_upwards(chain)
    adjusted = np.array([total])
    for level in range(len(chain) - 1, -1, -1):
        parents = chain[level][1]
        adjusted = consistency._spread(estimates[level], variances[level], parents, adjusted)
    return adjusted


@given(cases())
def test_the_closed_form_is_generalised_least_squares(case):
    fine, coarse, _, total = case
    wanted = dense_least_squares(fine, coarse, total)
    scale = max(np.abs(wanted).max(), total)
    np.testing.assert_allclose(linear_estimate(fine, coarse, total), wanted, atol=1e-7 * scale)


@given(cases(most=7))
def test_a_small_column_in_much_noise_is_the_least_squares_estimate_where_that_is_positive(case):
    """Below eight codes nothing is shrunk, so what comes out is the projection of the linear estimate."""
    fine, coarse, ordered, total = case
    wanted = dense_least_squares(fine, coarse, total)
    found = reconcile_column(fine, coarse, ordered=ordered, total=total)
    low_signal = total / (fine.values.size * np.sqrt(fine.variance)) < 5
    if (wanted > 0).all() and low_signal:
        np.testing.assert_allclose(found, wanted, atol=1e-6 * total)


@given(cases())
def test_estimates_are_counts_of_the_total(case):
    fine, coarse, ordered, total = case
    for wanted in (total, 1e-9 * total, 1.0):
        found = reconcile_column(fine, coarse, ordered=ordered, total=wanted)
        assert found.shape == fine.values.shape
        assert np.isfinite(found).all()
        assert (found >= 0).all()
        assert found.sum() == pytest.approx(wanted, rel=1e-9)


def test_margins_at_full_resolution_are_not_forgotten():
    """Two codes, both measurements at full resolution: the answer is their weighted mean."""
    fine = Observation(np.arange(2), np.array([600.0, 400.0]), 9.0)
    again = Observation(np.arange(2), np.array([700.0, 300.0]), 3.0)
    found = reconcile_column(fine, [again], ordered=0, total=1_000.0)
    np.testing.assert_allclose(found, [675.0, 325.0])


@pytest.mark.statistical
@pytest.mark.parametrize("sigma", [3.0, 200.0])
def test_more_observations_make_better_estimates(sigma):
    """60 draws, 60 codes, margins at three levels of half the noise: 6 standard errors (alarm 1e-9)."""
    rng = np.random.default_rng(0)
    truth = np.random.default_rng(1).gamma(1.0, 200.0, 60)
    levels = nested_levels(Axis("x", 60), truth)
    gains = []
    for _ in range(60):
        seen = []
        for groups in (np.arange(60), *(level.groups for level in levels[-3:])):
            sums = np.bincount(groups, weights=truth)
            deviation = sigma if groups.size == sums.size else sigma / 2
            seen.append(Observation(groups, sums + rng.normal(0, deviation, sums.size), deviation**2))
        errors = [
            np.square(reconcile_column(seen[0], more, ordered=0, total=float(truth.sum())) - truth).sum()
            for more in ([], seen[1:])
        ]
        gains.append(errors[0] - errors[1])
    assert np.mean(gains) > 6 * np.std(gains) / np.sqrt(len(gains))


@given(st.lists(st.tuples(st.integers(1, 6), st.floats(0.1, 1e6)), min_size=1, max_size=6), st.data())
def test_the_total_is_the_minimum_variance_mean_of_the_sums(sizes, data):
    """Oracle: weighted least squares of the sums on one constant."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    seen = [Observation(np.arange(n), rng.normal(100, 50, n), v) for n, v in sizes]
    deviations = np.sqrt([n * v for n, v in sizes])
    design = (1 / deviations)[:, None]
    target = np.array([o.values.sum() for o in seen]) / deviations
    wanted = np.linalg.lstsq(design, target, rcond=None)[0][0]
    assert total_estimate(seen) == pytest.approx(wanted, rel=1e-9, abs=1e-9)
