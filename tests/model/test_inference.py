"""Questions to a calibrated junction tree against its joint distribution built cell by cell."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.domain import Axis, Domain
from dpsynth.model import inference
from dpsynth.model.calibration import CliqueTree
from dpsynth.model.estimates import Estimate
from dpsynth.model.inference import Beliefs, conditioned, sharing_order
from dpsynth.model.tree import TreeModel
from tests.strategies.models import GRAPHS, SHAPES, forests, marginal_of, network_joint, networks


def subsets(count, most):
    """All sets of up to ``most`` columns."""
    return [s for k in range(most + 1) for s in itertools.combinations(range(count), k)]


@pytest.mark.parametrize("kept", [2**24, 6])
@pytest.mark.parametrize("shape", GRAPHS)
def test_many_questions_to_one_tree_are_answered_like_one(shape, kept, monkeypatch):
    """Whatever is kept of earlier questions; with room for few messages most are dropped again."""
    monkeypatch.setattr(inference, "_KEPT", kept)

    @settings(max_examples=10)
    @given(networks(shape=shape), st.randoms(use_true_random=False))
    def check(model, order):
        joint = network_joint(model)
        beliefs = Beliefs(model.tree, model.tables.__getitem__)
        queries = [order.sample(s, len(s)) for s in subsets(len(model.domain), 4)]
        for columns in order.sample(queries, len(queries)):
            np.testing.assert_allclose(beliefs.joint(columns), marginal_of(joint, columns), atol=1e-12)

    check()


@given(networks(), st.randoms(use_true_random=False))
def test_marginals_of_a_network_in_one_batch_are_those_one_by_one(model, order):
    queries = [order.sample(s, len(s)) for s in subsets(len(model.domain), 3)]
    for columns, found in zip(queries, model.marginals(queries), strict=True):
        np.testing.assert_allclose(found, model.marginal(columns), rtol=1e-9, atol=1e-12 * model.total)


@pytest.mark.parametrize("shape", SHAPES)
def test_marginals_of_a_forest_in_one_batch_are_those_one_by_one(shape):
    @settings(max_examples=10)
    @given(forests(shape=shape), st.randoms(use_true_random=False))
    def check(model, order):
        queries = [order.sample(s, len(s)) for s in subsets(len(model.domain), 3)]
        for columns, found in zip(queries, model.marginals(queries), strict=True):
            np.testing.assert_allclose(found, model.marginal(columns), rtol=1e-9, atol=1e-12 * model.total)

    check()


def test_a_batch_passes_each_message_once():
    """A chain of 30 columns: its 435 pairs need a message for each column and each link beyond it."""
    chain = binary_chain(30)
    asked = []

    class Counting(Beliefs):
        def _contract(self, parts, kept):
            asked.append(kept)
            return super()._contract(parts, kept)

    _, tree, table = chain.cliques()
    pairs = list(itertools.combinations(range(30), 2))
    beliefs = Counting(tree, table)
    for i in sharing_order(pairs):
        beliefs.joint(pairs[i])
    assert len(asked) < 2 * len(pairs)  # one to pass a column on, one to answer; alone each pair takes ten
    asked.clear()
    for columns in pairs:
        Counting(tree, table).joint(columns)
    assert len(asked) > 8 * len(pairs)


def binary_chain(count):
    """Each column agrees with the next in 8 of 10 rows."""
    own = np.arange(2)
    table = np.array([[0.4, 0.1], [0.1, 0.4]])
    edges = tuple(Estimate((i, i + 1), (own, own), table) for i in range(count - 1))
    domain = Domain(tuple(Axis(f"c{i}", 2) for i in range(count)))
    return TreeModel(domain, 10.0, (np.full(2, 0.5),) * count, edges)


def test_a_forest_as_deep_as_there_are_columns_needs_no_stack():
    chain = binary_chain(3_000)
    np.testing.assert_allclose(chain.marginal((2_999, 2_998)), [[4, 1], [1, 4]])
    np.testing.assert_allclose(chain.marginal((2_999, 1_500, 0)), np.full((2, 2, 2), 10 / 8))
    np.testing.assert_allclose(chain.marginal((3, 1)), [[3.4, 1.6], [1.6, 3.4]])


def test_classes_that_need_too_large_a_table_are_refused():
    """Groupings that are not nested tell all codes apart, although each has few groups."""
    size, half = 2**14, 2**7
    codes, own = np.arange(size), np.arange(half)
    domain = Domain(tuple(Axis(f"c{i}", s) for i, s in enumerate((size, size, half, half))))
    nodes = tuple(np.full(axis.size, 1 / axis.size) for axis in domain)
    fine, coarse = codes // half, codes % half
    table = np.full((half, half), 1 / half**2)
    edges = (
        Estimate((0, 1), (fine, fine), table),
        Estimate((0, 2), (coarse, own), table),
        Estimate((1, 3), (coarse, own), table),
    )
    model = TreeModel(domain, 1.0, nodes, edges)
    with pytest.raises(ValueError, match="cells on the way"):
        model.marginal((2, 3))


# ---- evidence --------------------------------------------------------------------------------------------


@st.composite
def weights(draw, sizes):
    """Evidence on some columns: non-negative weights of their states, some of them zero."""
    columns = draw(st.lists(st.integers(0, len(sizes) - 1), unique=True, max_size=3))
    values = st.sampled_from([0.0, 0.0, 1.0, 1.0, 0.25])
    return {c: np.array(draw(st.lists(values, min_size=sizes[c], max_size=sizes[c]))) for c in columns}


@pytest.mark.parametrize("shape", GRAPHS)
def test_conditioning_is_that_of_the_joint_distribution(shape):
    @settings(max_examples=25)
    @given(networks(shape=shape), st.data())
    def check(model, data):
        joint = network_joint(model)
        evidence = data.draw(weights(model.tree.sizes))
        for column, weight in evidence.items():
            joint = joint * weight.reshape([-1 if c == column else 1 for c in range(joint.ndim)])
        if joint.sum() <= 1e-12:
            return
        tables, probability = conditioned(model.tree, model.tables, evidence)
        assert probability == pytest.approx(joint.sum(), rel=1e-6)
        for clique, table in zip(model.tree.cliques, tables, strict=True):
            np.testing.assert_allclose(table, marginal_of(joint / joint.sum(), clique), atol=1e-9)

    check()


def test_evidence_without_probability_is_refused():
    tree = CliqueTree((2, 2), ((0, 1),), (-1,))
    table = np.array([[0.5, 0.0], [0.0, 0.5]])
    with pytest.raises(ValueError, match="probability zero"):
        conditioned(tree, [table], {0: np.array([1.0, 0.0]), 1: np.array([0.0, 1.0])})
