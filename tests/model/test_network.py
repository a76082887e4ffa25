"""The network against a joint distribution built cell by cell, its checks and its rows."""

from __future__ import annotations

import itertools
import re
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from dpsynth.domain import Axis, Domain
from dpsynth.model import network
from dpsynth.model.calibration import CliqueTree
from dpsynth.model.inference import Beliefs
from dpsynth.model.network import NetworkModel
from dpsynth.model.structure import fit_network
from tests.strategies.models import (
    GRAPHS,
    edges_of,
    marginal_of,
    merged_groups,
    network_brute_force,
    network_joint,
    networks,
    pair_of,
)

METHODS = ("systematic", "iid")
ALARM = 1e-6


def planted(*, largest=10**6, seed=0, total=1e4):
    """Five columns in a loop, strongly dependent, some pairs seen in groups; and two chords."""
    rng = np.random.default_rng(seed)
    sizes = (4, 3, 5, 3, 4)
    joint = rng.dirichlet(np.full(int(np.prod(sizes)), 0.02)).reshape(sizes)
    pairs = [(0, 1), (2, 1), (2, 3), (3, 4), (4, 0), (1, 3), (0, 3)]
    groups = [(np.arange(s), merged_groups(s, rng)) for s in sizes]
    domain = Domain(tuple(Axis(f"c{i}", s) for i, s in enumerate(sizes)))
    nodes = tuple(marginal_of(joint, (c,)) for c in range(5))
    return fit_network(domain, total, nodes, edges_of(joint, pairs, groups, rng), largest=largest)


def pair_table(model, edge):
    """The model's marginal of an edge's columns, in the edge's groups."""
    table = np.zeros_like(edge.table)
    found = model.marginal(edge.columns) / model.total
    np.add.at(table, np.ix_(*edge.groups), found)
    return table


# ---- marginals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beyond", [False, True])
@pytest.mark.parametrize("shape", GRAPHS)
def test_the_trees_marginals_equal_the_brute_force_joint(shape, beyond, monkeypatch):
    """Any columns in any order, across components too; before interpolation and raking."""
    monkeypatch.setattr(network, "interpolation", lambda *_: None)
    monkeypatch.setattr(network, "raked", lambda joint, *rest: joint)

    @settings(max_examples=20)
    @given(networks(shape=shape, beyond=beyond), st.randoms(use_true_random=False))
    def check(model, order):
        states, codes = network_joint(model), network_brute_force(model)
        for k in range(5):
            for subset in itertools.combinations(range(len(model.domain)), k):
                columns = tuple(order.sample(subset, k))
                found = Beliefs(model.tree, model.tables.__getitem__).joint(columns)
                np.testing.assert_allclose(found, marginal_of(states, columns), atol=1e-12)
                wanted = model.total * marginal_of(codes, columns)
                np.testing.assert_allclose(model.marginal(columns), wanted, rtol=1e-9, atol=1e-9)

    check()


@given(networks(), st.randoms(use_true_random=False))
def test_raking_changes_little_where_the_tree_holds_every_pair(model, order):
    """Only what calibration left open: its mean gap is below 1e-4 of L1. Nothing is interpolated here."""
    columns = tuple(order.sample(range(len(model.domain)), min(3, len(model.domain))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "interpolation", lambda *_: None)
        found = model.marginal(columns)
    tree = model.total * marginal_of(network_brute_force(model), columns)
    assert np.abs(found - tree).sum() <= 0.01 * model.total


@pytest.mark.parametrize("beyond", [False, True])
@given(data=st.data())
def test_what_was_estimated_is_what_the_marginal_tells(beyond, data):
    """One-way marginals to rounding; every estimated pair to 1e-6, in the tree or beyond it."""
    model = data.draw(networks(beyond=beyond))
    for column, node in enumerate(model.nodes):
        np.testing.assert_allclose(model.marginal((column,)), model.total * node, atol=1e-9 * model.total)
    for edge in model.estimates if model.total else ():
        assert np.abs(pair_table(model, edge) - edge.table).sum() < 1e-6


@given(networks(beyond=True, max_columns=4), st.randoms(use_true_random=False))
def test_permuted_columns_give_the_permuted_marginal(model, order):
    columns = tuple(range(len(model.domain)))
    turned = tuple(order.sample(columns, len(columns)))
    expected = marginal_of(model.marginal(columns), turned)
    np.testing.assert_allclose(model.marginal(turned), expected, atol=1e-3 * model.total)
    assert model.marginal(turned).sum() == pytest.approx(model.total)


def test_the_marginal_over_no_column_is_the_total():
    assert planted().marginal(()) == 1e4


@pytest.mark.parametrize("columns", [(0, 0), (5,), (-1,), (0, 1, 0)])
def test_a_marginal_takes_different_columns_of_the_domain(columns):
    with pytest.raises(ValueError, match="different columns of the domain"):
        planted().marginal(columns)


IDENTITY = np.arange(2)
TILTED = np.array([[0.4, 0.1], [0.1, 0.4]])


def binary(count, pairs, **keywords):
    """Binary columns; each pair agrees in 8 of 10 rows."""
    edges = tuple(pair_of(a, b, IDENTITY, IDENTITY, TILTED) for a, b in pairs)
    domain = Domain(tuple(Axis(f"c{i}", 2) for i in range(count)))
    return fit_network(domain, 10.0, (np.full(2, 0.5),) * count, edges, **keywords)


def test_more_columns_than_an_array_has_axes_and_the_stack_has_frames():
    """einsum knows 52 names of axes, and a chain of cliques is as long as there are columns."""
    model = binary(1_100, [(i, i + 1) for i in range(1_099)])
    np.testing.assert_allclose(model.marginal((1_098, 1_099)), [[4, 1], [1, 4]], rtol=1e-6)
    np.testing.assert_allclose(model.marginal((1_099, 600, 0)), np.full((2, 2, 2), 10 / 8), rtol=1e-6)
    np.testing.assert_allclose(model.marginal((3, 1)), 10 * TILTED @ TILTED * 2, rtol=1e-6)


def test_seventy_columns_of_one_code_in_every_pair_still_make_a_model():
    domain = Domain(tuple(Axis(f"c{i}", 1) for i in range(70)))
    lone, one = np.zeros(1, dtype=np.int64), np.ones((1, 1))
    edges = tuple(pair_of(a, b, lone, lone, one) for a, b in itertools.combinations(range(70), 2))
    model = fit_network(domain, 3.0, (np.ones(1),) * 70, edges)
    assert max(map(len, model.tree.cliques)) == 1
    np.testing.assert_allclose(model.marginal((69, 3)), [[3.0]])
    assert all((c == 0).all() for c in model.sample(5, np.random.default_rng(0)))


def test_a_marginal_too_large_is_refused_before_it_is_made():
    size = 2**14
    node, lone = np.full(size, 1 / size), np.zeros(size, dtype=np.int64)
    domain = Domain((Axis("a", size), Axis("b", size)))
    tree = CliqueTree((1, 1), ((0,), (1,)), (-1, -1))
    model = NetworkModel(domain, 1.0, (node, node), (), (lone, lone), tree, (np.ones(1), np.ones(1)))
    with pytest.raises(ValueError, match="more than 67108864 cells"):
        model.marginal([0, 1])


def test_a_marginal_that_needs_too_large_a_table_on_the_way_is_refused():
    """Two columns of 200 states, asked for beyond a separator of 2**12 cells, make 1.6e8 cells."""
    rng = np.random.default_rng(0)
    many = rng.dirichlet(np.ones(200), size=(2,) * 12) / 2**12
    cliques = (tuple(range(12)), (*range(12), 12), (*range(12), 13), (*range(12), 14))
    sizes, node = (2,) * 12 + (200,) * 3, many.sum(axis=tuple(range(12)))
    model = NetworkModel(
        Domain(tuple(Axis(f"c{i}", s) for i, s in enumerate(sizes))),
        1.0,
        (np.full(2, 0.5),) * 12 + (node,) * 3,
        (),
        (IDENTITY,) * 12 + (np.arange(200),) * 3,
        CliqueTree(sizes, cliques, (-1, 0, 1, 2)),
        (np.full((2,) * 12, 2.0**-12), many, many, many),
    )
    assert model.marginal((12, 14)).sum() == pytest.approx(1)
    tracemalloc.start()
    with pytest.raises(ValueError, match="cells on the way"):
        model.marginal((13, 12, 14))
    assert tracemalloc.get_traced_memory()[1] < 200e6
    tracemalloc.stop()


# ---- rows ------------------------------------------------------------------------------------------------


def counts_of(rows, sizes):
    keys = np.ravel_multi_index(rows, sizes) if rows[0].size else np.zeros(0, dtype=np.int64)
    return np.bincount(keys, minlength=int(np.prod(sizes))).reshape(sizes)


@pytest.mark.parametrize("method", METHODS)
@given(model=networks(), n=st.integers(0, 100), seed=st.integers(0, 2**32 - 1))
def test_rows_are_codes_of_positive_probability_and_the_same_seed_gives_the_same(method, model, n, seed):
    first = model.sample(n, np.random.default_rng(seed), method=method)
    again = model.sample(n, np.random.default_rng(seed), method=method)
    assert len(first) == len(model.domain)
    for node, column, repeat in zip(model.nodes, first, again, strict=True):
        assert column.dtype == np.int64
        assert column.shape == (n,)
        assert (node[column] > 0).all()
        np.testing.assert_array_equal(column, repeat)


@given(networks(), st.integers(0, 2**32 - 1))
def test_independent_rows_never_fall_into_an_impossible_cell(model, seed):
    rows = model.sample(300, np.random.default_rng(seed), method="iid")
    assert not counts_of(rows, model.domain.sizes)[network_brute_force(model) == 0].any()


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("method", METHODS)
def test_no_row_and_one_row(n, method):
    assert [c.shape for c in planted().sample(n, np.random.default_rng(0), method=method)] == [(n,)] * 5


@pytest.mark.parametrize("largest", [10**6, 30, 1])
def test_systematic_rows_follow_the_marginal_of_every_estimated_pair(largest):
    """20,000 rows: total variation of each pair, in the groups it was estimated at, below 0.002 (0.005 where
    few pairs are in the tree, 0.02 where none is, so that it contradicts them in what it tells of others);
    independent rows miss that by far.
    """
    model, n = planted(largest=largest), 20_000
    inside = [model.tree.smallest(e.columns) is not None for e in model.estimates]
    assert all(inside) if largest == 10**6 else not all(inside)
    rows = {m: model.sample(n, np.random.default_rng(3), method=m) for m in METHODS}
    worst = dict.fromkeys(METHODS, 0.0)
    for edge in model.estimates:
        for method, columns in rows.items():
            grouped = edge.groups[0][columns[edge.columns[0]]], edge.groups[1][columns[edge.columns[1]]]
            gap = counts_of(grouped, edge.table.shape) / n - pair_table(model, edge)
            worst[method] = max(worst[method], np.abs(gap).sum() / 2)
    assert worst["systematic"] < {10**6: 0.002, 30: 0.005, 1: 0.02}[largest]
    assert worst["iid"] > 2 * worst["systematic"]
    for node, column in zip(model.nodes, rows["systematic"], strict=True):
        assert np.abs(np.bincount(column, minlength=node.size) - n * node).max() < 20


@pytest.mark.statistical
def test_independent_rows_follow_the_joint_distribution():
    """Chi-square over all 720 cells, 200,000 rows: alarm 1e-6 (and the guard: 2 % moved mass is seen)."""
    model, n = planted(), 200_000
    joint = network_brute_force(model)
    counts = counts_of(model.sample(n, np.random.default_rng(5), method="iid"), model.domain.sizes)

    def tail(expected):
        few = expected < 10
        seen = np.append(counts[~few], counts[few].sum())
        due = np.append(expected[~few], expected[few].sum())
        seen, due = seen[due > 0], due[due > 0]
        return chi2.sf(((seen - due) ** 2 / due).sum(), seen.size - 1)

    assert tail(n * joint) > ALARM
    assert tail(n * (0.98 * joint + 0.02 / joint.size)) < ALARM


def test_a_negative_number_of_rows_is_refused():
    with pytest.raises(ValueError, match="n=-1 rows"):
        planted().sample(-1, np.random.default_rng(0))


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="neither 'systematic' nor 'iid'"):
        planted().sample(1, np.random.default_rng(0), method="fast")


# ---- checks ----------------------------------------------------------------------------------------------

TRIANGLE = binary(3, [(0, 1), (1, 2), (2, 0)])
CHAIN = binary(3, [(0, 1), (1, 2)])
EDGE = TRIANGLE.estimates[0]
UNEVEN = np.array([[0.5, 0.2], [0.2, 0.1]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total": -1.0}, "total"),
        ({"nodes": TRIANGLE.nodes[:2]}, "2 one-way distributions for 3 columns"),
        ({"estimates": (*TRIANGLE.estimates, EDGE)}, "two tables of the same columns"),
        (
            {"estimates": (EDGE, pair_of(1, 0, IDENTITY, IDENTITY, TILTED))},
            "two tables of the same columns",
        ),
        (
            {"estimates": (pair_of(1, 1, IDENTITY, IDENTITY, TILTED),)},
            "two or more columns and none twice",
        ),
        ({"estimates": (pair_of(0, 1, IDENTITY, IDENTITY, UNEVEN),)}, "disagrees with the one-way"),
        ({"groups": TRIANGLE.groups[:2]}, "do not fit the number of columns"),
        ({"tree": CliqueTree((2, 2), ((0, 1),), (-1,))}, "do not fit the number of columns"),
        ({"groups": (np.arange(3), IDENTITY, IDENTITY)}, "states of 'c0'"),
        ({"groups": (np.zeros(2, dtype=np.int64), IDENTITY, IDENTITY)}, "states of 'c0'"),
        ({"groups": (IDENTITY, np.array([0, -1]), IDENTITY)}, "states of 'c1'"),
        ({"tree": CliqueTree((2, 2, 3), ((0, 1, 2),), (-1,))}, "states of 'c2'"),
        ({"tables": ()}, "one table a clique"),
        ({"tables": (np.full((2, 2), 0.25),)}, "not a joint distribution"),
        ({"tables": (np.full((2, 2, 2), 0.25),)}, "not a joint distribution"),
        ({"tables": (np.full((2, 2, 2), np.nan),)}, "not a joint distribution"),
        ({"tables": (np.array([2.0, -1, 0, 0, 0, 0, 0, 0]).reshape(2, 2, 2),)}, "not a joint distribution"),
    ],
)
def test_what_is_no_network_is_refused(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(TRIANGLE, **changes)


def test_neighbouring_cliques_must_agree():
    assert len(CHAIN.tables) == 2
    with pytest.raises(ValueError, match="neighbouring cliques disagree"):
        replace(CHAIN, tables=(CHAIN.tables[0], UNEVEN))


def test_states_without_probability_hold_nothing():
    with pytest.raises(ValueError, match="states of 'c1' that have no probability"):
        replace(
            CHAIN,
            nodes=(CHAIN.nodes[0], np.array([1.0, 0.0]), CHAIN.nodes[2]),
            estimates=(),
            groups=CHAIN.groups,
        )


def test_estimates_that_rule_out_every_cell_leave_the_tree_as_it_is():
    """The pair's own table says equal, the clique's says different: there is nothing to rescale."""
    equal, different = np.eye(2) / 2, (1 - np.eye(2)) / 2
    edges = (pair_of(0, 1, IDENTITY, IDENTITY, equal),)
    model = replace(binary(2, [(0, 1)]), estimates=edges, tables=(different,))
    np.testing.assert_allclose(model.marginal((0, 1)), 10 * different)


def test_the_tree_of_many_columns_is_met_in_time():
    """Thirty columns, every pair estimated: fitted, drawn and asked within 20 seconds."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 9, 30)
    joint_of = {}
    nodes = tuple(rng.dirichlet(np.ones(s)) for s in sizes)
    for a, b in itertools.combinations(range(30), 2):
        joint_of[a, b] = np.outer(nodes[a], nodes[b])
    edges = tuple(
        pair_of(a, b, np.arange(sizes[a]), np.arange(sizes[b]), table) for (a, b), table in joint_of.items()
    )
    start = time.process_time()
    domain = Domain(tuple(Axis(f"c{i}", int(s)) for i, s in enumerate(sizes)))
    model = fit_network(domain, 1e4, nodes, edges)
    rows = model.sample(5_000, rng)
    assert model.marginal((0, 29, 11)).sum() == pytest.approx(1e4)
    assert time.process_time() - start < 20
    assert len(rows) == 30
