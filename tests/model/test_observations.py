"""Observations of one set of columns: against generalised least squares written out as linear algebra."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.model.groups import coarser_group, sum_groups
from dpsynth.model.observations import observed_tables
from dpsynth.privacy.curator import Marginal, Measurement

IDENTITY = tuple(np.arange(s) for s in (4, 3, 2, 3))
HALVES = (np.array([0, 0, 1, 1]), np.array([0, 1, 1]), np.array([0, 0]), np.array([0, 0, 1]))


def measured(columns, groups, sigma, rng):
    query = Marginal(columns, groups)
    values = np.rint(rng.normal(50, 20, query.shape)).astype(np.int64)
    return Measurement(query=query, values=values, sigma=sigma, entry=1)


def grouping_matrix(fine, coarse):
    """The sums that a coarser observation is of, as rows over the cells of the finer one."""
    part = [coarser_group(a, b) for a, b in zip(fine, coarse, strict=True)]
    each = [np.eye(int(p.max()) + 1)[p].T for p in part]
    whole = np.ones((1, 1))
    for m in each:
        whole = np.kron(whole, m)
    return whole


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0.5, 50)), min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_nested_observations_of_a_pair_are_combined_by_least_squares(others, seed):
    """One fine table and any number of coarser ones, of which at most one merges cells: then it is exact."""
    rng = np.random.default_rng(seed)
    merging = [o for o in others if o[0] or o[1]][:1]
    kept = [o for o in others if not (o[0] or o[1])] + merging
    tables = [measured((0, 1), IDENTITY[:2], 5.0, rng)]
    for first, second, sigma in kept:
        groups = (HALVES[0] if first else IDENTITY[0], HALVES[1] if second else IDENTITY[1])
        tables.append(measured((0, 1), groups, sigma, rng))
    (found,) = observed_tables(tables)
    rows = np.concatenate([grouping_matrix(IDENTITY[:2], t.query.groups) / t.sigma for t in tables])
    told = np.concatenate([t.values.ravel() / t.sigma for t in tables])
    covariance = np.linalg.inv(rows.T @ rows)
    np.testing.assert_allclose(found.values.ravel(), covariance @ rows.T @ told, rtol=1e-8)
    assert found.variance == pytest.approx(np.diag(covariance).mean())


@given(st.permutations(range(4)), st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_a_table_tells_of_every_set_inside_it(order, size, seed):
    rng = np.random.default_rng(seed)
    columns = tuple(order[:size])
    table = measured(columns, tuple(IDENTITY[c] for c in columns), 3.0, rng)
    found = {o.columns: o for o in observed_tables([table])}
    parts = [p for k in range(2, size + 1) for p in itertools.combinations(sorted(columns), k)]
    assert list(found) == parts
    for part, observation in found.items():
        away = tuple(i for i, c in enumerate(columns) if c not in part)
        sums = table.values.sum(axis=away)
        left = [c for c in columns if c in part]
        np.testing.assert_array_equal(observation.values, sums.transpose([left.index(c) for c in part]))
        assert observation.variance == pytest.approx(9.0 * table.values.size / sums.size)


def test_what_is_finer_in_another_column_is_used_as_far_as_both_can_tell():
    rng = np.random.default_rng(0)
    wide = measured((0, 1), (IDENTITY[0], HALVES[1]), 2.0, rng)
    tall = measured((0, 1), (HALVES[0], IDENTITY[1]), 3.0, rng)
    (found,) = observed_tables([tall, wide])
    assert found.groups[0] is wide.query.groups[0]
    both = sum_groups(tall.values.astype(float), coarser_group(IDENTITY[1], HALVES[1]), 1)
    rows = np.concatenate(
        [np.eye(8) / 2.0, grouping_matrix((IDENTITY[0], HALVES[1]), HALVES[:2]) / (3.0 * np.sqrt(1.5))]
    )
    told = np.concatenate([wide.values.ravel() / 2.0, both.ravel() / (3.0 * np.sqrt(1.5))])
    best = np.linalg.lstsq(rows, told, rcond=None)[0]
    np.testing.assert_allclose(found.values.ravel(), best, rtol=1e-8)


def test_the_order_of_measurements_does_not_matter_for_one_resolution():
    rng = np.random.default_rng(1)
    tables = [measured((0, 1), IDENTITY[:2], s, rng) for s in (1.0, 2.0, 5.0)]
    tables.append(measured((2, 1, 0), tuple(IDENTITY[c] for c in (2, 1, 0)), 4.0, rng))
    first = observed_tables(tables)
    for turned in itertools.permutations(tables):
        for a, b in zip(first, observed_tables(turned), strict=True):
            assert a.columns == b.columns
            np.testing.assert_allclose(a.values, b.values, rtol=1e-9)
            assert a.variance == pytest.approx(b.variance)
