"""From measurements to a forest or a network: which it is, what it recovers, what it survives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.domain import Axis, Domain
from dpsynth.model import structure
from dpsynth.model.estimation import one_way_estimates
from dpsynth.model.levels import nested_levels
from dpsynth.model.network import NetworkModel
from dpsynth.model.structure import (
    LARGEST_CLIQUE,
    Potential,
    fit_model,
    fit_network,
    read_model,
    refit_model,
    refit_network,
)
from dpsynth.model.tree import TreeModel
from dpsynth.privacy.curator import Marginal, Measurement
from dpsynth.rules import Rule
from tests.strategies.models import GRAPHS, domains, graph_edges, marginal_of, pair_of


def measurement(columns, groups, table, sigma, rng):
    noise = np.rint(rng.normal(0, sigma, table.shape))
    values = (np.rint(table) + noise).astype(np.int64)
    return Measurement(query=Marginal(columns, groups), values=values, sigma=sigma, entry=1)


def fitted(joint, pairs, *, rows=1e7, sigma=5.0, seed=0):
    """The model that a release would hold, from marginals of ``rows`` rows under little noise."""
    rng = np.random.default_rng(seed)
    domain = Domain(tuple(Axis(f"c{i}", s) for i, s in enumerate(joint.shape)))
    seen = [
        measurement(c, tuple(np.arange(joint.shape[i]) for i in c), rows * marginal_of(joint, c), sigma, rng)
        for c in [*((i,) for i in range(joint.ndim)), *pairs]
    ]
    return fit_model(domain, seen[: joint.ndim], seen[joint.ndim :])


def loop(sizes, *, closed, seed=0):
    """A chain of strong dependences, or, closed, that chain weighted by one between its ends."""
    rng = np.random.default_rng(seed)
    links = list(itertools.pairwise(range(len(sizes)))) + ([(0, len(sizes) - 1)] if closed else [])
    joint = np.ones(sizes)
    for a, b in links:
        weights = rng.dirichlet(np.ones(sizes[b]), size=sizes[a]) + 0.02
        joint = joint * weights.reshape([s if i in (a, b) else 1 for i, s in enumerate(sizes)])
    return joint / joint.sum(), links


def total_variation(model, joint, columns):
    return np.abs(model.marginal(columns) / model.total - marginal_of(joint, columns)).sum() / 2


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("sizes", [(3, 4, 2, 5), (2, 2, 2), (4, 3, 4, 3, 4)])
def test_a_planted_distribution_is_recovered(sizes, closed):
    """Pairs and triples, the measured and the others: the planted law is the one of greatest entropy."""
    joint, links = loop(sizes, closed=closed)
    model = fitted(joint, links)
    assert isinstance(model, NetworkModel if closed else TreeModel)
    assert model.total == pytest.approx(1e7, rel=1e-5)
    for k in (1, 2, 3):
        for columns in itertools.combinations(range(len(sizes)), k):
            assert total_variation(model, joint, columns) < 1e-3


def test_a_loop_is_worth_more_than_the_chain_within_it():
    joint, links = loop((4, 3, 4, 3), closed=True)
    chain = fitted(joint, links[:-1])
    assert isinstance(chain, TreeModel)
    assert (
        total_variation(chain, joint, (0, 3))
        > 0.01
        > 10 * total_variation(fitted(joint, links), joint, (0, 3))
    )


@pytest.fixture
def fits(monkeypatch):
    """Every fit of cliques: where it started from, and the gap it left."""
    seen, real = [], structure.calibrate

    def watched(*arguments, **given):
        found = real(*arguments, **given)
        seen.append((given["start"], found.gap))
        return found

    monkeypatch.setattr(structure, "calibrate", watched)
    return seen


def full_effort(monkeypatch):
    """Fits to their limit, so that two of them can be compared."""
    real = structure.calibrate

    def patient(*arguments, **given):
        return real(*arguments, **given | {"gain": 0.0, "sweeps": 3_000, "tolerance": 1e-10})

    monkeypatch.setattr(structure, "calibrate", patient)


def series(*, tables, ruled=False, seed=0):
    """Measurements of six columns in a loop, some pairs again at finer groups, and then of sets of three."""
    rng = np.random.default_rng(seed)
    joint, links = loop((6, 4, 6, 4, 6, 4), closed=True, seed=seed)
    six = np.arange(6)
    order = six[:, None] <= six[None, :]
    if ruled:
        joint = joint * order[:, None, :, None, None, None]
        joint /= joint.sum()
    rules = (Rule.over((0, 2), (six, six), order),) if ruled else ()
    domain = Domain(tuple(Axis(f"c{i}", s) for i, s in enumerate(joint.shape)), rules)

    def seen(columns, coarse):
        groups = tuple(np.arange(joint.shape[c]) // (2 if coarse else 1) for c in columns)
        table = np.zeros([int(g.max()) + 1 for g in groups])
        np.add.at(table, np.ix_(*groups), 1e7 * marginal_of(joint, columns))
        return measurement(columns, groups, table, 5.0, rng)

    one_ways = [seen((i,), coarse=False) for i in range(6)]
    asked = [
        *((p, True) for p in links),
        *((p, False) for p in links[:3]),
        ((0, 1, 5), False),
        ((1, 3), False),
    ]
    return domain, one_ways, [seen(columns, coarse) for columns, coarse in asked][:tables]


@pytest.mark.parametrize("ruled", [False, True])
@pytest.mark.parametrize("before", [6, 7, 9, 10])
def test_a_refit_agrees_with_a_cold_fit(monkeypatch, fits, before, ruled):
    """One table more, at whatever groups, over another junction tree: the same tables in the limit."""
    full_effort(monkeypatch)
    domain, one_ways, tables = series(tables=before + 1, ruled=ruled)
    _, potentials = refit_model(domain, one_ways, tables[:before], ())
    warm, _ = refit_model(domain, one_ways, tables, potentials)
    assert len(potentials) >= 6
    assert all(np.isfinite(p.logs).all() for p in potentials)
    start, warm_gap = fits[-1]
    assert start is not None
    assert sum(s.any() for s in start) == len(potentials)
    cold = fit_model(domain, one_ways, tables)
    assert fits[-1][0] is None
    assert warm_gap < fits[-1][1] + 1e-6
    assert warm.tree == cold.tree
    for here, there in zip(warm.tables, cold.tables, strict=True):
        np.testing.assert_allclose(here, there, atol=2e-4)


def test_a_refit_at_its_usual_effort_leaves_no_larger_gap_than_a_cold_one(fits):
    domain, one_ways, tables = series(tables=11)
    potentials = ()
    for count in range(6, 12):
        model, potentials = refit_model(domain, one_ways, tables[:count], potentials)
        warm = fits[-1]
        cold, _ = refit_model(domain, one_ways, tables[:count], ())
        assert (warm[0] is not None) == (count > 6)
        assert warm[1] <= max(fits[-1][1], 1e-4)
        assert model.tree == cold.tree


def test_potentials_that_have_no_place_leave_a_cold_start(fits):
    """Of columns that no table is of now, or of groups that a table does not tell apart: one in seven."""
    domain, one_ways, tables = series(tables=7)
    _, potentials = refit_model(domain, one_ways, tables, ())
    cold = fit_model(domain, one_ways, tables)
    groups = (np.arange(6), np.arange(4))
    odd = np.array([0, 1, 0, 1, 0, 1])
    for stranger in (
        Potential((0, 3), groups, np.ones((6, 4))),
        Potential((3, 4), (groups[1] // 2, odd), np.ones((2, 2))),
    ):
        kept = [p for p in potentials if p.columns != stranger.columns]
        refit_network(domain, cold.total, cold.nodes, cold.estimates, (*kept, stranger))
        assert fits[-1][0] is None
    refit_network(domain, cold.total, cold.nodes, cold.estimates, potentials)
    assert fits[-1][0] is not None


@pytest.mark.parametrize("shape", GRAPHS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_forest_is_a_forest_and_a_loop_a_network(shape, count):
    joint = np.full((2,) * count, 0.5**count)
    pairs = (
        graph_edges(shape, count, np.random.default_rng(0)) if count > 1 or shape in ("empty", "full") else []
    )
    loops = {"full": count > 2, "cycle": count > 2, "two cycles": count > 4, "random": len(pairs) >= count}
    model = fitted(joint, pairs)
    assert isinstance(model, NetworkModel if loops.get(shape) else TreeModel)
    assert {frozenset(p) for p in pairs} == {frozenset(e.columns) for e in model.estimates}


@pytest.mark.parametrize("largest", [1, 12, 40, 200, LARGEST_CLIQUE])
def test_no_clique_is_larger_than_allowed_and_every_pair_is_kept(largest):
    joint, _ = loop((4, 3, 4, 3, 5), closed=True)
    full = fitted(joint, list(itertools.combinations(range(5), 2)))
    model = fit_network(full.domain, full.total, full.nodes, full.estimates, largest=largest)
    assert len(model.estimates) == 10
    for i in range(len(model.tree.cliques)):
        alone = len(model.tree.cliques[i]) == 1
        assert alone or np.prod(model.tree.shape(i)) <= largest
    inside = [model.tree.smallest(e.columns) is not None for e in model.estimates]
    assert all(inside) == (largest >= 4 * 3 * 4 * 3 * 5)
    assert any(inside) == (largest >= 9)
    for edge in model.estimates:
        assert total_variation(model, joint, edge.columns) < 1e-3


def test_the_strongest_pairs_come_into_the_tree_first():
    half, identity = np.full(2, 0.5), np.arange(2)
    strength = {(0, 1): 0.05, (1, 2): 0.1, (0, 2): 0.2}
    edges = tuple(
        pair_of(a, b, identity, identity, np.array([[0.25 + s, 0.25 - s], [0.25 - s, 0.25 + s]]))
        for (a, b), s in strength.items()
    )
    domain = Domain(tuple(Axis(n, 2) for n in "abc"))
    model = fit_network(domain, 1.0, (half,) * 3, edges, largest=4)
    assert model.tree.smallest((0, 2)) is not None
    assert model.tree.smallest((1, 2)) is not None
    assert model.tree.smallest((0, 1)) is None


def test_a_columns_states_are_the_finest_groups_of_its_pairs():
    rng, groups = np.random.default_rng(0), (np.arange(6), np.arange(6) // 2, np.arange(6) // 3)
    domain = Domain(tuple(Axis(n, 6) for n in "abcd"))
    one_ways = [measurement((i,), (np.arange(6),), np.full(6, 1e4), 1.0, rng) for i in range(4)]
    pairs = [
        measurement(c, (groups[i], groups[j]), np.full((6 // (i + 1), 6 // (j + 1)), 1e3), 1.0, rng)
        for c, i, j in (((0, 1), 1, 2), ((1, 2), 1, 0), ((2, 0), 2, 2))
    ]
    model = fit_model(domain, one_ways, pairs)
    for found, expected in zip(model.groups, (groups[1], groups[1], groups[0], np.zeros(6)), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert model.tree.sizes == (3, 3, 6, 1)


@settings(max_examples=60)
@given(
    domains(min_columns=3, max_columns=6, max_size=12),
    st.sampled_from(["full", "cycle", "random", "two cycles"]),
    st.tuples(
        st.sampled_from([1e-6, 1.0, 100.0, 1e6, 2.0**40]), st.sampled_from([0, 1, -1_000_000, 10**9, 10**13])
    ),
    st.sampled_from(["noise", "sparse", "atom"]),
    st.integers(0, 2**32 - 1),
)
def test_whatever_was_measured_the_model_is_valid(domain, shape, scale, form, seed):
    """Values far from any table's, negative totals, margins and pairs that contradict each other."""
    (sigma, shift), rng = scale, np.random.default_rng(seed)

    def table(shape):
        if form == "sparse":
            return np.where(rng.random(shape) < 0.3, 1e6, 0.0) * rng.random(shape)
        if form == "atom":
            values = np.zeros(shape)
            values.flat[rng.integers(values.size)] = 1e9
            return values
        return rng.normal(shift, sigma, shape)

    one_ways = [
        measurement((i,), (np.arange(a.size),), table(a.size), sigma, rng) for i, a in enumerate(domain)
    ]
    _, counts = one_way_estimates(domain, one_ways)
    levels = [nested_levels(a, c) for a, c in zip(domain, counts, strict=True)]
    pairs = []
    for columns in graph_edges(shape, len(domain), rng):
        groups = tuple(levels[c][rng.integers(len(levels[c]))].groups for c in columns)
        pairs.append(measurement(columns, groups, table(tuple(int(g.max()) + 1 for g in groups)), sigma, rng))
    model = fit_model(domain, one_ways, pairs)
    assert model.total >= 0
    assert len(model.estimates) == len(pairs)
    columns = tuple(int(c) for c in rng.permutation(len(domain))[:3])
    marginal = model.marginal(columns)
    assert np.isfinite(marginal).all()
    assert marginal.min() >= 0
    assert marginal.sum() == pytest.approx(model.total)
    for edge in model.estimates:  # the pairs' margins, whatever was measured, are those of the columns
        for side, (column, groups) in enumerate(
            ((edge.columns[0], edge.groups[0]), (edge.columns[1], edge.groups[1]))
        ):
            margin = np.bincount(groups, weights=model.nodes[column])
            np.testing.assert_allclose(edge.table.sum(axis=1 - side), margin, atol=1e-6)
    for method in ("systematic", "iid"):
        assert all(c.size == 20 for c in model.sample(20, rng, method=method))


def test_another_kind_of_model_is_refused():
    joint, links = loop((2, 2, 2), closed=True)
    meta, arrays = fitted(joint, links).to_arrays()
    with pytest.raises(ValueError, match="kinds 'tree' and 'network'"):
        read_model({**meta, "model": "forest"}, arrays)
    assert isinstance(read_model(meta, arrays), NetworkModel)
    meta, arrays = fitted(joint, links[:1]).to_arrays()
    assert isinstance(read_model(meta, arrays), TreeModel)
