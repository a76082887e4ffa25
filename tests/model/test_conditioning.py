"""Models given evidence, against joint distributions conditioned cell by cell; and rows against marginals."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given as sampled
from hypothesis import settings
from hypothesis import strategies as st

from dpsynth.domain import Axis, Domain
from dpsynth.model import conditioning
from dpsynth.model.conditioning import given
from dpsynth.model.estimates import Estimate
from dpsynth.model.structure import fit_network
from dpsynth.model.tree import TreeModel
from tests.strategies.models import (
    GRAPHS,
    SHAPES,
    brute_force,
    edges_of,
    forests,
    marginal_of,
    network_brute_force,
    networks,
)


@st.composite
def evidence_on(draw, sizes, most=2):
    """Weights of the codes of up to ``most`` columns, some of them zero."""
    columns = draw(st.lists(st.integers(0, len(sizes) - 1), unique=True, min_size=1, max_size=most))
    values = st.sampled_from([0.0, 1.0, 1.0, 0.25])
    return {c: np.array(draw(st.lists(values, min_size=sizes[c], max_size=sizes[c]))) for c in columns}


def applied(joint, evidence):
    """A joint distribution times the weights of its cells: not scaled to sum 1."""
    for column, weights in evidence.items():
        joint = joint * weights.reshape([-1 if c == column else 1 for c in range(joint.ndim)])
    return joint


def unordered(model):
    """A network without ordered columns: nothing is interpolated between their groups."""
    return replace(model, domain=Domain(tuple(Axis(a.name, a.size) for a in model.domain)))


def subsets(count, most):
    """All sets of one to ``most`` columns."""
    return [s for k in range(1, most + 1) for s in itertools.combinations(range(count), k)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_forest_given_evidence_is_the_joint_distribution_conditioned(shape):
    @settings(max_examples=25)
    @sampled(forests(shape=shape), st.data())
    def check(model, data):
        evidence = data.draw(evidence_on(model.domain.sizes, most=3))
        joint = applied(brute_force(model), evidence)
        if not joint.any():
            with pytest.raises(ValueError, match="probability zero"):
                given(model, evidence)
        if joint.sum() < 1e-9:
            return
        found = given(model, evidence)
        assert isinstance(found, TreeModel)
        assert found.total == pytest.approx(model.total * joint.sum(), rel=1e-9)
        np.testing.assert_allclose(brute_force(found), joint / joint.sum(), rtol=1e-7, atol=1e-12)

    check()


@pytest.mark.parametrize("shape", GRAPHS)
def test_a_network_that_holds_every_table_is_conditioned_exactly(shape):
    """To what calibration left open: its mean gap is below 1e-4 of L1."""

    @settings(max_examples=15)
    @sampled(networks(shape=shape), st.data())
    def check(model, data):
        model = unordered(model)
        evidence = data.draw(evidence_on(model.domain.sizes))
        joint = applied(network_brute_force(model), evidence)
        if joint.sum() < 1e-3:
            return
        found = given(model, evidence)
        assert found.total == pytest.approx(model.total * joint.sum(), rel=1e-2)
        for columns in subsets(len(model.domain), 3):
            wanted = found.total * marginal_of(joint, columns) / joint.sum()
            gap = np.abs(found.marginal(columns) - wanted).sum()
            assert gap <= 0.02 * found.total

    check()


@pytest.mark.parametrize("beyond", [False, True])
@settings(max_examples=30)
@sampled(data=st.data())
def test_evidence_on_one_column_cuts_the_pairs_with_it_out_of_their_marginal(beyond, data):
    """Also of estimated pairs beyond the cliques: what ``b`` is given ``a`` is what ``(a, b)`` says.

    Between the groups of an ordered column dependence is interpolated, but evidence on the column ends that:
    pairs are compared where neither column is ordered.
    """
    model = data.draw(networks(beyond=beyond))
    evidence = data.draw(evidence_on(model.domain.sizes, most=1))
    ((column, weights),) = evidence.items()
    if model.nodes[column] @ weights < 1e-3:
        return
    found = given(model, evidence)
    assert found.total == pytest.approx(model.total * (model.nodes[column] @ weights))
    np.testing.assert_allclose(
        found.marginal((column,)), model.marginal((column,)) * weights, atol=1e-9 * model.total
    )
    for other in set(range(len(model.domain))) - {column}:
        wanted = weights @ model.marginal((column, other))
        np.testing.assert_allclose(found.marginal((other,)), wanted, atol=1e-6 * model.total)
        if not any(model.domain.axes[c].ordered for c in (column, other)):
            wanted = weights[:, None] * model.marginal((column, other))
            np.testing.assert_allclose(found.marginal((column, other)), wanted, atol=1e-4 * model.total)


@settings(max_examples=30)
@sampled(networks(beyond=True), st.data())
def test_a_marginal_alone_needs_only_the_tables_among_its_columns(model, data):
    evidence = data.draw(evidence_on(model.domain.sizes))
    if min(model.nodes[c] @ w for c, w in evidence.items()) < 1e-3:
        return
    try:
        whole = given(model, evidence)
    except ValueError:
        return
    for columns in subsets(len(model.domain), 2):
        part = given(model, evidence, among=columns)
        np.testing.assert_allclose(part.marginal(columns), whole.marginal(columns), atol=1e-12 * model.total)


def planted(seed=0, largest=30):
    """Six columns that depend pair by pair, all pairs estimated; in cliques so small that most are beyond."""
    rng = np.random.default_rng(seed)
    sizes = (4, 3, 5, 3, 4, 2)
    pairs = list(itertools.combinations(range(6), 2))
    log = np.zeros(sizes)
    for pair in pairs:
        effect = rng.normal(size=[sizes[c] for c in pair])
        log = log + effect.reshape([s if c in pair else 1 for c, s in enumerate(sizes)])
    joint = np.exp(log) / np.exp(log).sum()
    domain = Domain(tuple(Axis(f"c{i}", s) for i, s in enumerate(sizes)))
    nodes = tuple(marginal_of(joint, (c,)) for c in range(6))
    edges = edges_of(joint, pairs, [(np.arange(s),) for s in sizes], rng)
    return joint, fit_network(domain, 1e5, nodes, edges, largest=largest)


@pytest.mark.parametrize(("fine", "most"), [(2**14, 0.1), (0, 0.14)])
def test_estimates_beyond_the_cliques_count_given_evidence_too(fine, most, monkeypatch):
    """Mean L1 distance of all pairs given an event from the truth, as a share of the tree's alone."""
    monkeypatch.setattr(conditioning, "_FINE", fine)
    gaps = []
    for seed in range(4):
        joint, model = planted(seed)
        for column in range(6):
            weights = np.zeros(model.domain.sizes[column])
            weights[0] = 1.0
            truth = applied(joint, {column: weights})
            found = given(model, {column: weights})
            bare = given(replace(model, estimates=()), {column: weights})
            for pair in itertools.combinations(sorted(set(range(6)) - {column}), 2):
                wanted = marginal_of(truth, pair) / truth.sum()
                gaps.append([np.abs(m.marginal(pair) / m.total - wanted).sum() for m in (found, bare)])
    ours, tree_alone = np.mean(gaps, axis=0)
    assert ours < most * tree_alone


@pytest.mark.parametrize("evidence", [{0: (0, 1, 1, 0)}, {2: (0, 0, 1, 0.5, 1), 5: (1, 0)}])
def test_rows_given_evidence_follow_the_marginals_given_it(evidence):
    """L1 distance of rows from the model's own marginals, one-way and pairs, within and beyond cliques."""
    _, model = planted(1)
    weights = {c: np.array(w, dtype=float) for c, w in evidence.items()}
    found, n = given(model, weights), 20_000
    rows = found.sample(n, np.random.default_rng(0))
    for column, weight in weights.items():
        assert (weight[rows[column]] > 0).all()
    gaps = {1: [], 2: []}
    for columns in subsets(6, 2):
        table = np.zeros([model.domain.sizes[c] for c in columns])
        np.add.at(table, tuple(rows[c] for c in columns), 1 / n)
        gaps[len(columns)].append(np.abs(table - found.marginal(columns) / found.total).sum())
    assert max(gaps[1]) < 0.01
    assert np.mean(gaps[2]) < 0.02
    assert max(gaps[2]) < 0.06


def test_no_evidence_is_the_model_itself():
    _, model = planted()
    assert given(model, {}) is model


HALF = np.full(2, 0.5)
SAME = Estimate((0, 1), (np.arange(2), np.arange(2)), np.diag(HALF))
PAIR = TreeModel(Domain((Axis("a", 2), Axis("b", 2))), 10.0, (HALF, HALF), (SAME,))
NET = fit_network(PAIR.domain, 10.0, PAIR.nodes, (SAME,))


@pytest.mark.parametrize("model", [PAIR, NET], ids=["forest", "network"])
@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ({2: (1.0, 1.0)}, "outside the domain"),
        ({-1: (1.0, 1.0)}, "outside the domain"),
        ({0: (1.0, 1.0, 1.0)}, "'a' is not one weight a code"),
        ({1: (1.0, 1.5)}, "'b' has weights outside"),
        ({1: (1.0, -0.5)}, "'b' has weights outside"),
        ({1: (1.0, np.nan)}, "'b' has weights outside"),
        ({0: (0.0, 0.0)}, "probability zero"),
        ({0: (1.0, 0.0), 1: (0.0, 1.0)}, "probability zero"),
    ],
)
def test_evidence_that_cannot_be_is_refused(model, evidence, words):
    with pytest.raises(ValueError, match=words):
        given(model, {c: np.array(w) for c, w in evidence.items()})


def test_a_million_codes_are_conditioned_in_classes():
    """A column of a million codes in 200 groups, with evidence code by code."""
    rng = np.random.default_rng(0)
    hub, groups = 1_000_000, np.arange(1_000_000) % 200
    node = rng.random(hub)
    node /= node.sum()
    leaf = np.full(50, 1 / 50)
    table = np.outer(np.bincount(groups, weights=node), leaf)
    edge = Estimate((0, 1), (groups, np.arange(50)), table)
    domain = Domain((Axis("hub", hub), Axis("leaf", 50)))
    for model in (
        TreeModel(domain, 1.0, (node, leaf), (edge,)),
        fit_network(domain, 1.0, (node, leaf), (edge,)),
    ):
        weights = (np.arange(hub) < 1000).astype(float)
        found = given(model, {0: weights})
        np.testing.assert_allclose(found.nodes[0], node * weights / (node @ weights), atol=1e-12)
        np.testing.assert_allclose(found.nodes[1], leaf, atol=1e-9)
