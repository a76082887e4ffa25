"""Denoising against oracles, on planted truths, and on numbers nobody expects."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dpsynth.model import denoise
from dpsynth.model.denoise import denoise_one_way, denoise_pair, project_to_simplex, rake

SIZES = st.integers(1, 30)
FINITE = st.floats(-1e12, 1e12, allow_subnormal=False)
TOTALS = st.one_of(st.sampled_from([1e-300, 1e-20, 1e-9, 1.0, 1e12]), st.floats(1e-6, 1e9))


def simplex_oracle(values, total):
    """The same projection by bisection on the threshold ``t`` of ``sum(max(v - t, 0)) = total``."""
    low, high = values.min() - total, values.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(values - middle, 0).sum() > total else (low, middle)
    return np.maximum(values - (low + high) / 2, 0)


@given(arrays(float, SIZES, elements=st.floats(-1e3, 1e3)), st.floats(0.01, 1e4))
def test_projection_equals_bisection(values, total):
    found = project_to_simplex(values, total)
    np.testing.assert_allclose(found, simplex_oracle(values, total), atol=1e-8 * max(total, 1e3))


@given(arrays(float, SIZES, elements=st.floats(-1e3, 1e3)), st.floats(0.01, 1e4), st.integers(0, 2**32 - 1))
def test_no_point_of_the_simplex_is_nearer(values, total, seed):
    """Optimality: for every y in the simplex, (v - x) . (y - x) <= 0."""
    found = project_to_simplex(values, total)
    others = np.random.default_rng(seed).dirichlet(np.full(values.size, 0.3), 20) * total
    others = np.concatenate([others, total * np.eye(values.size)])
    assert ((others - found) @ (values - found)).max() <= 1e-7 * max(total, 1e3) * max(total, 1e3)


@given(arrays(float, SIZES, elements=FINITE), TOTALS)
def test_projection_has_its_total_however_small_beside_the_values(values, total):
    found = project_to_simplex(values, total)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("total", [0.0, -3.0])
def test_nothing_projects_to_nothing(total):
    np.testing.assert_array_equal(project_to_simplex(np.array([[3.0, -1.0]]), total), [[0.0, 0.0]])


def test_projection_keeps_the_shape():
    assert project_to_simplex(np.arange(6.0).reshape(2, 3), 4.0).shape == (2, 3)


@st.composite
def tables_with_margins(draw):
    """A noisy-looking non-negative table, and two margins of one sum; zeros among them."""
    shape = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    amounts = st.sampled_from([0.0, 0.0, 1e-12, 1e-3, 1.0, 5.0, 300.0, 1e6])
    table = draw(arrays(float, shape, elements=amounts))
    total = draw(st.sampled_from([1e-6, 1.0, 48_842.0, 1e12]))
    margins = []
    for size in shape:
        weights = draw(arrays(float, size, elements=amounts))
        weights[draw(st.integers(0, size - 1))] += 1.0
        margins.append(weights / weights.sum() * total)
    return table, *margins


@given(tables_with_margins(), st.sampled_from([0, 1, 5, 40]))
def test_raked_margins_hold_whatever_the_table(case, sweeps):
    table, rows, columns = case
    found = rake(table, rows, columns, sweeps=sweeps)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), rows, atol=1e-9 * rows.sum())
    np.testing.assert_allclose(found.sum(axis=0), columns, atol=1e-9 * rows.sum())
    assert not found[rows == 0].any()
    assert not found[:, columns == 0].any()


def test_a_table_that_has_its_margins_is_left_alone():
    table = np.random.default_rng(0).random((5, 4))
    np.testing.assert_allclose(rake(table, table.sum(axis=1), table.sum(axis=0)), table, rtol=1e-6)


def test_raking_keeps_odds_ratios():
    """Sinkhorn scales rows and columns, so that 2 x 2 cross products do not change."""
    table = np.random.default_rng(1).random((2, 2)) + 0.1
    found = rake(table, np.array([3.0, 7.0]), np.array([4.0, 6.0]), sweeps=300)
    odds = [t[0, 0] * t[1, 1] / (t[0, 1] * t[1, 0]) for t in (table, found)]
    assert odds[0] == pytest.approx(odds[1], rel=1e-6)


def test_raking_to_nothing_gives_nothing():
    np.testing.assert_array_equal(rake(np.ones((2, 2)), np.zeros(2), np.zeros(2)), np.zeros((2, 2)))


def is_estimate(found, shape, total):
    return (
        found.shape == shape
        and bool(np.isfinite(found).all())
        and bool((found >= 0).all())
        and abs(found.sum() - max(total, 0)) <= 1e-9 * max(total, 1)
    )


@given(
    st.data(),
    st.one_of(st.integers(1, 10), st.integers(11, 300)),
    st.sampled_from([2.0**-40, 1e-3, 1.0, 300.0, 1e6, 1e12]),
    st.sampled_from([0.0, 1.0, 1e-9, 1e3, 1e12]),
)
def test_one_way_estimates_are_counts_of_the_total_for_any_input(data, size, sigma, total):
    extreme = st.sampled_from([0.0, 1.0, -1.0, 1e-9, 1e6, -1e12, 1e12])
    values = data.draw(arrays(float, size, elements=extreme))
    ordered = data.draw(st.sampled_from([0, size, size // 2, max(size - 1, 0)]))
    deviation = sigma if data.draw(st.booleans()) else np.linspace(sigma, 2 * sigma, size)
    assert is_estimate(denoise_one_way(values, deviation, ordered=ordered, total=total), (size,), total)


@given(arrays(float, st.integers(8, 40), elements=st.integers(0, 1000).map(float)))
def test_without_noise_one_way_counts_stay_as_they_are(values):
    assume(values.sum() > 0)
    found = denoise_one_way(values, 1e-6, ordered=values.size, total=float(values.sum()))
    np.testing.assert_allclose(found, values, atol=1e-3)


@pytest.mark.parametrize("ordered", [0, 1_000_000])
def test_a_million_cells_are_denoised_within_time_and_memory(ordered):
    size = 1_000_000
    rng = np.random.default_rng(0)
    truth = np.zeros(size)
    truth[rng.integers(0, size, 50)] = 20_000.0
    truth[200_000:400_000] += 3.0
    noisy = truth + rng.normal(0, 20, size)
    tracemalloc.start()
    start = time.process_time()
    found = denoise_one_way(noisy, 20.0, ordered=ordered, total=float(truth.sum()))
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert is_estimate(found, (size,), float(truth.sum()))
    raw = project_to_simplex(noisy, float(truth.sum()))
    assert np.square(found - truth).sum() < np.square(raw - truth).sum()
    assert peak < 400e6
    assert seconds < 30


def test_a_few_thousand_cells_stand_for_all():
    """The prior fitted to representatives gives the estimates that all cells would give, within 2 %."""
    rng = np.random.default_rng(3)
    truth = rng.gamma(0.3, 40, 20_000)
    truth[:5] = 50_000.0
    noisy = truth + rng.normal(0, 30, truth.size)
    noise, zeros = np.full(truth.size, 900.0), np.zeros(truth.size)
    few, score = denoise._fit_mixture(noisy, zeros, noise)
    limit, denoise._MANY = denoise._MANY, truth.size
    try:
        every, exact = denoise._fit_mixture(noisy, zeros, noise)
    finally:
        denoise._MANY = limit
    estimates = [denoise._posterior_means(w, noisy, zeros, noise) for w in (few, every)]
    assert np.abs(estimates[0] - estimates[1]).sum() < 0.02 * np.abs(estimates[1]).sum()
    assert score == pytest.approx(exact, rel=1e-3)


CELLS = np.arange(120)
TRUTHS = {
    "sparse": np.where(CELLS % 15 == 0, 4_000.0, 0.0),
    "smooth": 20_000 * np.exp(-0.5 * ((CELLS - 50) / 15) ** 2) / 37.6,
    "spiky": 150 * np.exp(-CELLS / 30) + np.where(CELLS % 10 == 0, 1_500.0, 0.0),
    "flat": np.full(120, 80.0),
}


@pytest.mark.statistical
@pytest.mark.parametrize("shape", sorted(TRUTHS))
@pytest.mark.parametrize("sigma", [20.0, 100.0])
@pytest.mark.parametrize("ordered", [0, 100, 120])
def test_denoised_one_ways_beat_raw_ones_on_planted_truths(shape, sigma, ordered):
    """Mean squared error over 40 draws, against the raw values: at most 0.9 of it.

    The gain is decided draw by draw, so the margin stands in its standard errors: it must be 6 of them
    below raw (alarm 1e-9 were there no gain).
    """
    rng, truth = np.random.default_rng(11), TRUTHS[shape]
    gains = []
    for _ in range(40):
        noisy = truth + rng.normal(0, sigma, truth.size)
        found = denoise_one_way(noisy, sigma, ordered=ordered, total=float(truth.sum()))
        gains.append(np.square(noisy - truth).mean() - np.square(found - truth).mean())
    assert np.mean(gains) > 6 * np.std(gains) / np.sqrt(len(gains))
    assert np.mean(gains) > 0.1 * sigma**2


@pytest.mark.statistical
def test_knowing_the_order_helps_where_neighbours_are_alike():
    """Smooth truth, sigma 100, 40 draws: ordered beats unordered by at least 6 standard errors."""
    rng, truth = np.random.default_rng(12), TRUTHS["smooth"]
    gains = []
    for _ in range(40):
        noisy = truth + rng.normal(0, 100, truth.size)
        errors = [
            np.square(denoise_one_way(noisy, 100.0, ordered=o, total=float(truth.sum())) - truth).mean()
            for o in (0, 120)
        ]
        gains.append(errors[0] - errors[1])
    assert np.mean(gains) > 6 * np.std(gains) / np.sqrt(len(gains))


def planted_pairs():
    rng = np.random.default_rng(13)
    rows, columns = rng.dirichlet(np.ones(16)), rng.dirichlet(np.ones(12))
    independent = np.outer(rows, columns)
    block = np.kron(np.array([[1.0, 0.0], [0.0, 1.0]]), np.ones((8, 6)))
    diagonal = independent.copy()
    diagonal[np.arange(12), np.arange(12)] += 0.05
    holes = rng.dirichlet(np.full(16 * 12, 0.2)).reshape(16, 12)
    holes[3], holes[:, 5] = 0.0, 0.0
    tables = {
        "independent": independent,
        "blocks": block * independent,
        "diagonal": diagonal,
        "holes": holes,
    }
    return {name: 50_000 * t / t.sum() for name, t in tables.items()}


@pytest.mark.statistical
@pytest.mark.parametrize("kind", sorted(planted_pairs()))
@pytest.mark.parametrize("sigma", [20.0, 150.0])
def test_denoised_pairs_beat_raked_raw_ones(kind, sigma):
    """Mean squared error over 30 draws, both with the true margins: 6 standard errors (alarm 1e-9)."""
    rng, truth = np.random.default_rng(14), planted_pairs()[kind]
    rows, columns = truth.sum(axis=1), truth.sum(axis=0)
    gains = []
    for _ in range(30):
        noisy = truth + rng.normal(0, sigma, truth.shape)
        raw = rake(np.maximum(noisy, 0), rows, columns)
        found = denoise_pair(noisy, sigma, rows, columns)
        gains.append(np.square(raw - truth).mean() - np.square(found - truth).mean())
    assert np.mean(gains) > 6 * np.std(gains) / np.sqrt(len(gains))


@given(tables_with_margins(), st.sampled_from([2.0**-40, 1.0, 300.0, 1e12]), st.integers(0, 2**32 - 1))
def test_pair_estimates_have_their_margins_for_any_input(case, sigma, seed):
    table, rows, columns = case
    noisy = table + np.random.default_rng(seed).normal(0, sigma, table.shape)
    found = denoise_pair(noisy, sigma, rows, columns)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), rows, atol=1e-9 * rows.sum())
    np.testing.assert_allclose(found.sum(axis=0), columns, atol=1e-9 * rows.sum())
    assert not found[rows == 0].any()
    assert not found[:, columns == 0].any()


def test_a_pair_of_no_rows_is_empty():
    found = denoise_pair(np.ones((2, 3)), 1.0, np.zeros(2), np.zeros(3))
    np.testing.assert_array_equal(found, np.zeros((2, 3)))


@pytest.mark.statistical
def test_singular_values_of_pure_noise_are_all_dropped_and_strong_ones_kept():
    """40 x 60 cells: the noise's largest singular value exceeds its edge by 15 % with chance < 1e-9."""
    rng = np.random.default_rng(15)
    noise = rng.normal(0, 5, (40, 60)) * 0.85
    assert not denoise._shrink_singular_values(noise, 5.0).any()
    signal = np.outer(np.ones(40), np.linspace(-100, 100, 60))
    found = denoise._shrink_singular_values(signal + rng.normal(0, 5, signal.shape), 5.0)
    assert np.linalg.norm(found - signal) < 0.1 * np.linalg.norm(signal)
