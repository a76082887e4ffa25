"""From measurements to a forest or a network: which it is, what it recovers, what it survives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.domain import Axis, Domain
from dpsynth.model.estimation import one_way_estimates
from dpsynth.model.levels import nested_levels
from dpsynth.model.network import NetworkModel
from dpsynth.model.structure import LARGEST_CLIQUE, fit_model, fit_network, read_model
from dpsynth.model.tree import TreeModel
from dpsynth.privacy.curator import Marginal, Measurement
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
