"""From noisy marginals to a forest: a planted truth is found, and no noise breaks the model."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.domain import Axis, Domain
from dpsynth.model import estimation
from dpsynth.model.consistency import reconcile_column
from dpsynth.model.estimation import one_way_estimates
from dpsynth.model.levels import nested_levels
from dpsynth.model.structure import fit_model
from dpsynth.model.tree import TreeModel
from dpsynth.privacy.curator import Marginal, Measurement
from tests.strategies.models import brute_force, domains, ends_of, forests, marginal_of


def measurement(columns, groups, table, sigma, rng):
    noise = np.rint(rng.normal(0, sigma, table.shape))
    values = (np.rint(table) + noise).astype(np.int64)
    return Measurement(query=Marginal(columns, groups), values=values, sigma=sigma, entry=1)


def one_ways_of(tables, sigma, rng):
    return [measurement((i,), (np.arange(t.size),), t, sigma, rng) for i, t in enumerate(tables)]


@given(forests(max_columns=4), st.integers(0, 2**32 - 1))
def test_a_planted_forest_is_found_when_noise_is_tiny(planted, seed):
    """Marginals of 10^8 rows, noise of 10: the fitted joint distribution is within 0.001 of the truth.

    Groupings of one column must be nested, so each edge is measured at full resolution.
    """
    rng, rows = np.random.default_rng(seed), 1e8
    joint = rows * brute_force(planted)
    one_ways = one_ways_of([marginal_of(joint, [i]) for i in range(len(planted.domain))], 10.0, rng)
    pairs = []
    for edge in planted.estimates:
        columns = edge.columns
        groups = tuple(np.arange(planted.domain.axes[c].size) for c in columns)
        pairs.append(measurement(columns, groups, marginal_of(joint, columns), 10.0, rng))
    model = fit_model(planted.domain, one_ways, pairs)
    assert model.total == pytest.approx(rows, rel=1e-5)
    assert np.abs(brute_force(model) - joint / rows).sum() / 2 < 1e-3


@given(
    domains(min_columns=1, max_columns=4, max_size=12),
    st.sampled_from(["chain", "star", "disconnected", "lone"]),
    st.sampled_from([1.0, 100.0, 1e6, 2.0**40]),
    st.sampled_from([0, 1, -1_000_000, 10**9, 10**13]),
    st.integers(0, 2**32 - 1),
)
def test_whatever_was_measured_the_model_is_valid(domain, shape, sigma, shift, seed):
    """Values far from any table's, negative totals, margins that contradict each other."""
    rng = np.random.default_rng(seed)
    noise = [np.full(a.size, shift) + rng.normal(0, sigma, a.size) for a in domain]
    one_ways = one_ways_of(noise, sigma, rng)
    _, counts = one_way_estimates(domain, one_ways)
    levels = [nested_levels(a, c) for a, c in zip(domain, counts, strict=True)]
    pairs = []
    for columns in ends_of(shape, len(domain), rng):
        groups = tuple(levels[c][rng.integers(len(levels[c]))].groups for c in columns)
        table = rng.normal(shift, 3 * sigma, tuple(int(g.max()) + 1 for g in groups))
        pairs.append(measurement(columns, groups, table, sigma, rng))
    model = fit_model(domain, one_ways, pairs)
    assert isinstance(model, TreeModel)
    assert len(model.estimates) == len(pairs)
    assert model.total >= 0
    assert all(c.size == 20 for c in model.sample(20, rng))


def test_measuring_twice_halves_the_variance():
    """Two equal measurements of opposite error cancel; unequal ones are weighted by precision."""
    domain = Domain((Axis("a", 2),))

    def seen(values, sigma):
        query = Marginal((0,), (np.arange(2),))
        return Measurement(query=query, values=np.array(values), sigma=sigma, entry=1)

    total, (counts,) = one_way_estimates(domain, [seen([110, 90], 2.0), seen([90, 110], 2.0)])
    assert total == pytest.approx(200)
    np.testing.assert_allclose(counts, [100, 100])
    model = fit_model(domain, [seen([110, 90], 1.0), seen([60, 140], 2.0)], [])
    np.testing.assert_allclose(model.nodes[0], [0.5, 0.5])


def test_a_pairs_margin_is_as_noisy_as_the_cells_it_sums(monkeypatch):
    """What reconciliation is told: a margin over k cells of variance v has variance k v."""
    told = []

    def spy(fine, coarse, *, ordered, total, stages):
        told.append([fine.variance, *(o.variance for o in coarse)])
        return reconcile_column(fine, coarse, ordered=ordered, total=total, stages=stages)

    monkeypatch.setattr(estimation, "reconcile_column", spy)
    rng = np.random.default_rng(0)
    domain = Domain((Axis("a", 3), Axis("b", 5)))
    pair = measurement((1, 0), (np.arange(5), np.arange(3)), np.full((5, 3), 40.0), 7.0, rng)
    fit_model(domain, one_ways_of([np.full(3, 200.0), np.full(5, 120.0)], 2.0, rng), [pair])
    assert told == [[4.0, 5 * 49.0], [4.0, 3 * 49.0]]


def test_a_negative_total_is_a_model_of_no_rows():
    domain = Domain((Axis("a", 3),))
    model = fit_model(domain, one_ways_of([np.full(3, -500.0)], 1.0, np.random.default_rng(0)), [])
    assert model.total == 0
    assert model.nodes[0].sum() == pytest.approx(1)
