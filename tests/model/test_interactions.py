"""Three and more columns: planted interactions are found, absent ones are not made up."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.domain import Axis, Domain
from dpsynth.model.estimation import estimate_marginals
from dpsynth.model.interactions import interaction_of
from dpsynth.model.network import NetworkModel
from dpsynth.model.structure import fit_model
from dpsynth.privacy.curator import Marginal, Measurement
from tests.strategies.models import marginal_of, network_brute_force

SIZES = (4, 3, 5, 2)


def joint_with_interactions(rng, sizes=SIZES):
    return rng.dirichlet(np.full(int(np.prod(sizes)), 0.7)).reshape(sizes)


def measured(joint, columns, groups, rows, sigma, rng):  # noqa: PLR0917
    query = Marginal(columns, groups)
    table = marginal_of(joint, columns) * rows
    for axis, g in enumerate(groups):
        member = np.eye(int(g.max()) + 1)[g]
        table = np.moveaxis(np.tensordot(table, member, axes=(axis, 0)), -1, axis)
    values = np.rint(table + rng.normal(0, sigma, table.shape)).astype(np.int64)
    return Measurement(query=query, values=values, sigma=max(sigma, 0.5), entry=1)


def fine(columns, sizes=SIZES):
    return tuple(np.arange(sizes[c]) for c in columns)


def domain_of(sizes=SIZES):
    return Domain(tuple(Axis(f"c{i}", s) for i, s in enumerate(sizes)))


def one_ways(joint, rows, sigma, rng):
    sizes = joint.shape
    return [measured(joint, (c,), fine((c,), sizes), rows, sigma, rng) for c in range(len(sizes))]


@pytest.mark.parametrize("sets", [[(0, 1, 2)], [(2, 0, 1), (3, 1)], [(0, 1, 2), (3, 2, 1)], [(3, 1, 0, 2)]])
def test_planted_tables_are_found_when_noise_is_tiny(sets):
    """10^8 rows, noise of 10: estimates and the model's marginals are within .001 of the truth."""
    rng, rows = np.random.default_rng(3), 10**8
    joint = joint_with_interactions(rng)
    tables = [measured(joint, s, fine(s), rows, 10.0, rng) for s in sets]
    model = fit_model(domain_of(), one_ways(joint, rows, 10.0, rng), tables)
    assert isinstance(model, NetworkModel)
    for columns in sets:
        truth = marginal_of(joint, columns)
        assert np.abs(model.marginal(columns) / rows - truth).sum() / 2 < 1e-3
    for estimate in model.estimates:
        assert np.abs(estimate.table - marginal_of(joint, estimate.columns)).sum() / 2 < 1e-3
    inside = {p for s in sets for k in range(2, len(s) + 1) for p in itertools.combinations(sorted(s), k)}
    assert {e.columns for e in model.estimates} == inside
    codes = model.sample(200_000, np.random.default_rng(0))
    for columns in sets:
        found = np.zeros([SIZES[c] for c in columns])
        np.add.at(found, tuple(codes[c] for c in columns), 1 / 200_000)
        assert np.abs(found - marginal_of(joint, columns)).sum() / 2 < 2e-3


def test_without_an_interaction_none_is_made_up():
    """Three columns that depend in pairs only: the estimate is nearer to that than the raw noisy table."""
    rng, rows, sigma = np.random.default_rng(5), 20_000, 60.0
    sizes = (6, 5, 4)
    a, b, c = (rng.normal(0, 0.8, s) for s in ((6, 5), (5, 4), (6, 4)))
    joint = np.exp(a[:, :, None] + b[None, :, :] + c[:, None, :])
    joint /= joint.sum()
    tables = [measured(joint, (0, 1, 2), fine((0, 1, 2), sizes), rows, sigma, rng)]
    _, _, estimates = estimate_marginals(domain_of(sizes), one_ways(joint, rows, 20.0, rng), tables)
    (triple,) = (e for e in estimates if len(e.columns) == 3)
    raw = tables[0].values / rows
    assert np.abs(triple.table - joint).sum() < 0.9 * np.abs(raw - joint).sum()
    error, noise = (np.abs(interaction_of(t - joint)).sum() for t in (triple.table, raw))
    assert error < 0.7 * noise


def test_an_interaction_that_pairs_cannot_carry_is_kept():
    """Exclusive or: every pair is independent, the three columns are not."""
    rng, rows = np.random.default_rng(0), 10_000
    joint = np.array([[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]])
    sizes = joint.shape
    tables = [measured(joint, (0, 1, 2), fine((0, 1, 2), sizes), rows, 40.0, rng)]
    model = fit_model(domain_of(sizes), one_ways(joint, rows, 40.0, rng), tables)
    codes = model.sample(rows, np.random.default_rng(1))
    assert np.mean((codes[0] ^ codes[1]) == codes[2]) > 0.95


@given(st.data())
def test_whatever_was_measured_the_model_is_valid(data):
    """Any sets, any nested groupings, any noise: the model's own checks pass, and it draws rows."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=3, max_size=4))
    joint = joint_with_interactions(rng, sizes)
    levels = []
    for size in sizes:
        halved = np.arange(size) // 2
        levels.append([np.arange(size), halved, np.zeros(size, dtype=np.int64)])
    rows = data.draw(st.sampled_from([0, 1, 300, 10**7]))
    sigma = data.draw(st.sampled_from([0.0, 5.0, 1e4, 1e9]))
    tables = []
    for _ in range(data.draw(st.integers(1, 4))):
        columns = tuple(
            data.draw(st.permutations(range(len(sizes))))[: data.draw(st.integers(2, len(sizes)))]
        )
        groups = tuple(levels[c][data.draw(st.integers(0, 2))] for c in columns)
        tables.append(measured(joint, columns, groups, rows, sigma, rng))
    model = fit_model(domain_of(sizes), one_ways(joint, rows, sigma, rng), tables)
    codes = model.sample(50, np.random.default_rng(0))
    assert all(c.size == 50 and c.max() < s for c, s in zip(codes, sizes, strict=True))
    for estimate in model.estimates if isinstance(model, NetworkModel) else ():
        found = model.marginal(estimate.columns)
        assert found.sum() == pytest.approx(model.total)
    if isinstance(model, NetworkModel):
        assert network_brute_force(model).sum() == pytest.approx(1.0)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_an_interaction_has_no_margins_and_is_the_nearest_such_table(sizes, seed):
    table = np.random.default_rng(seed).normal(size=sizes)
    found = interaction_of(table)
    for axis in range(table.ndim):
        np.testing.assert_allclose(found.sum(axis=axis), 0.0, atol=1e-9)
    assert float((found * (table - found)).sum()) == pytest.approx(0.0, abs=1e-9)
