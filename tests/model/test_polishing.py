"""Polishing: the distance, recomputed from scratch, only falls; nothing else about the rows changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.model import kernels, polishing
from dpsynth.model.estimates import Estimate
from dpsynth.model.polishing import polish_rows
from dpsynth.rules import Rule
from tests.strategies.models import GRAPHS, edges_of, graph_edges, marginal_of, merged_groups, pair_of


@st.composite
def problems(draw, *, min_rows=0):
    """Rows of one distribution, estimates of another; some columns in no pair, some of one code."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    joint = rng.dirichlet(np.full(int(np.prod(sizes)), 0.3)).reshape(sizes)
    shape = draw(st.sampled_from([g for g in GRAPHS if len(sizes) > 1] or ["empty"]))
    pairs = graph_edges(shape, len(sizes), rng)
    pairs = [p for p in pairs if p[0] != p[1] and (0 not in p or draw(st.booleans()))]
    groups = [(np.arange(s), merged_groups(s, rng)) for s in sizes]
    nodes = [marginal_of(joint, (c,)) for c in range(len(sizes))]
    rows = [rng.integers(0, s, draw(st.just(min_rows) | st.integers(min_rows, 300))) for s in sizes]
    n = min(map(len, rows))
    return [r[:n] for r in rows], nodes, list(edges_of(joint, pairs, groups, rng)), rng.integers(2**32)


def distance(columns, nodes, edges, weights=None):
    """The weighted squared distance, from the definition."""
    weights = [*[5.0] * len(nodes), *(np.ones(len(edges)) if weights is None else weights)]
    tables = [*nodes, *(e.table.ravel() for e in edges)]
    expected = columns[0].size * np.concatenate(tables)
    weight = np.concatenate([np.full(t.size, w) for t, w in zip(tables, weights, strict=True)])
    return (weight * np.square(excesses(columns, nodes, edges)) / np.sqrt(expected + 3)).sum()


def excesses(columns, nodes, edges):
    """Counts less estimates, one array a column and a pair; from the definition."""
    n = columns[0].size
    found = [np.bincount(c, minlength=p.size) - n * p for c, p in zip(columns, nodes, strict=True)]
    for e in edges:
        table = -n * e.table
        np.add.at(table, (e.groups[0][columns[e.columns[0]]], e.groups[1][columns[e.columns[1]]]), 1.0)
        found.append(table.ravel())
    return np.concatenate(found)


@given(problems())
def test_the_distance_never_increases(problem):
    """Without the last look, whose one-way tables weigh more, and which few rows that are off do not get."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polishing, "_SETTLED", 1.0)
        _check_that_the_distance_never_increases(problem)


def _check_that_the_distance_never_increases(problem):
    rows, nodes, edges, seed = problem
    weights = np.random.default_rng(seed).choice([0.1, 1.0, 7.0], len(edges))
    last, kept = distance(rows, nodes, edges, weights), [r.copy() for r in rows]
    for effort in (0.0, 0.2, 1.0, 6.0, 30.0):
        done = polish_rows(rows, nodes, edges, np.random.default_rng(seed), weights=weights, effort=effort)
        now = distance(done, nodes, edges, weights)
        assert now <= last * (1 + 1e-9) + 1e-9
        last = now  # the same seed: more effort goes on where less effort stopped
        for column, before, original in zip(done, rows, kept, strict=True):
            assert column.dtype == np.int64
            assert column.shape == before.shape
            assert set(column.tolist()) <= set(before.tolist())
            np.testing.assert_array_equal(before, original)


@given(problems(min_rows=1))
def test_the_excess_kept_up_step_by_step_is_that_of_the_rows(problem):
    """What the loop believes at the end of its last round, caught from its argument, against a recount."""
    rows, nodes, edges, seed = problem
    caught = []

    def spy(changed, excess, *rest):
        accepted = compiled(changed, excess, *rest)
        caught.append((changed, excess, accepted))
        return accepted

    compiled = kernels.polish
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "polish", spy)
        done = polish_rows(rows, nodes, edges, np.random.default_rng(seed))
    if not edges:
        assert not caught
        return
    changed, excess, _ = caught[-1]
    accepted = sum(a for _, _, a in caught)
    np.testing.assert_array_equal(changed, np.stack(done, axis=1))
    np.testing.assert_allclose(excess, excesses(done, nodes, edges), atol=1e-9)
    assert accepted >= np.any(changed != np.stack(rows, axis=1))


def test_polishing_ends_when_a_round_changes_little():
    """Rows that are as near as they can be are left after one round, however much effort is allowed."""
    rows, nodes, edges = far_off()
    rounds = []

    def spy(*arguments):
        rounds.append(compiled(*arguments))
        return rounds[-1]

    compiled = kernels.polish
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "polish", spy)
        polish_rows(rows, nodes, edges, np.random.default_rng(0), effort=1e6)
    assert len(rounds) < 60
    assert all(accepted >= 0.003 * 9_000 for accepted in rounds[:-1])
    assert rounds[-1] < 0.003 * 9_000


@given(problems())
def test_the_same_chance_gives_the_same_rows(problem):
    rows, nodes, edges, seed = problem
    first, again = (polish_rows(rows, nodes, edges, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_without_pairs_the_rows_are_copied_unchanged():
    rows = [np.array([0, 1, 1]), np.array([2, 0, 1])]
    done = polish_rows(rows, [np.full(2, 0.5), np.full(3, 1 / 3)], [], np.random.default_rng(0))
    np.testing.assert_array_equal(done, rows)
    assert not any(np.shares_memory(a, b) for a, b in zip(done, rows, strict=True))


def far_off(n=3_000):
    """Three columns without any dependence; the estimates say that the first two are equal."""
    rng = np.random.default_rng(1)
    rows = [rng.integers(0, 4, n), rng.integers(0, 4, n), np.minimum(rng.integers(0, 40, n), 1)]
    quarter = np.full(4, 0.25)
    edge = pair_of(1, 0, np.arange(4), np.arange(4), np.eye(4) / 4)
    return rows, [quarter, quarter, np.full(2, 0.5)], [edge]


def test_a_dependence_that_the_rows_lack_is_put_in():
    rows, nodes, edges = far_off()
    done = polish_rows(rows, nodes, edges, np.random.default_rng(0))
    assert np.mean(rows[0] == rows[1]) < 0.3
    assert np.mean(done[0] == done[1]) > 0.95
    assert distance(done, nodes, edges) < 0.01 * distance(rows, nodes, edges)


def test_a_change_within_a_group_is_weighed_by_the_column_alone():
    """One row too many of one code, one too few of another; their pair's table does not tell them apart."""
    lone, together = np.zeros(1, dtype=np.int64), np.zeros(2, dtype=np.int64)
    edge = pair_of(0, 1, together, lone, np.ones((1, 1)))
    rows, nodes = [np.array([0, 0, 0, 1]), np.zeros(4, dtype=np.int64)], [np.full(2, 0.5), np.ones(1)]
    done = polish_rows(rows, nodes, [edge], np.random.default_rng(0), effort=40)
    np.testing.assert_array_equal(np.bincount(done[0]), [2, 2])


def test_a_column_in_no_pair_comes_to_its_own_distribution():
    rows, nodes, edges = far_off()
    done = polish_rows(rows, nodes, edges, np.random.default_rng(0), effort=60)
    assert abs(np.bincount(rows[2])[0] - 1_500) > 1_000
    assert abs(np.bincount(done[2])[0] - 1_500) < 30


def test_of_two_estimates_that_contradict_each_other_the_weightier_is_followed():
    rows, nodes, (equal,) = far_off()
    unequal = pair_of(0, 1, np.arange(4), np.arange(4), (1 - np.eye(4)) / 12)
    for weights, low, high in (([1.0, 0.1], 0.7, 1.0), ([0.1, 1.0], 0.0, 0.3)):
        done = polish_rows(rows, nodes, [equal, unequal], np.random.default_rng(0), weights=weights)
        assert low <= np.mean(done[0] == done[1]) <= high


@pytest.mark.parametrize(("visits", "followed"), [(1e9, True), (3_000 * 5 * 2.9, False)])
def test_where_few_rounds_are_affordable_pairs_come_before_larger_tables(visits, followed, monkeypatch):
    """Two equal columns, and a table of three that says otherwise of the third."""
    rows, nodes, (pair,) = far_off()
    groups = (np.arange(4), np.arange(4), np.arange(2))
    third = np.zeros((4, 4, 2))
    third[range(4), range(4), [0, 0, 1, 1]] = 0.25
    triple = Estimate((0, 1, 2), groups, third)
    monkeypatch.setattr(polishing, "_MOST_VISITS", visits)
    done = polish_rows(rows, nodes, [pair, triple], np.random.default_rng(0), effort=20)
    agreeing = np.mean((done[0] >= 2) == done[2])
    assert (agreeing > 0.9) == followed
    assert np.mean(done[0] == done[1]) > 0.6


def contradicted(n=20_000):
    """Two equal columns, and a pair that says of two codes twice what the columns say."""
    nodes = [np.array([0.2, 0.2, 0.3, 0.3, 0.0])] * 2
    rows = [np.random.default_rng(1).choice(5, n, p=nodes[0])] * 2
    edge = pair_of(0, 1, np.arange(5), np.arange(5), np.diag([0.4, 0.4, 0.1, 0.1, 0.0]))
    return rows, nodes, [edge]


def test_a_column_that_pairs_pull_away_is_brought_back_at_the_end(monkeypatch):
    rows, nodes, edges = contradicted()
    off = []
    for settled in (1.0, polishing._SETTLED):
        monkeypatch.setattr(polishing, "_SETTLED", settled)
        done = polish_rows(rows, nodes, edges, np.random.default_rng(0), weights=[9.0])
        off.append(np.abs(excesses(done, nodes, [])).sum())
        assert all((column != 4).all() for column in done)
    assert off[1] < 0.75 * off[0]


def test_few_rows_off_are_left_as_they_are(monkeypatch):
    rows, nodes, edges = contradicted(n=250)
    done = [polish_rows(rows, nodes, edges, np.random.default_rng(0))]
    monkeypatch.setattr(polishing, "_SETTLED", 1.0)
    done.append(polish_rows(rows, nodes, edges, np.random.default_rng(0)))
    np.testing.assert_array_equal(*done)


def test_the_last_look_keeps_rules():
    rows, nodes, edges = contradicted()
    rule = Rule((0, 1), (np.arange(5), np.arange(5)), np.eye(5, dtype=np.bool_))
    done = polish_rows(rows, nodes, edges, np.random.default_rng(0), rules=(rule,))
    np.testing.assert_array_equal(*done)
