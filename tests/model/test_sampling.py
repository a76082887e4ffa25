"""Rows drawn from a forest: their counts, their independence, their cost.

Statistical tests state their false-alarm rate; none reruns.
"""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from dpsynth.domain import Axis, Domain
from dpsynth.model import sampling
from dpsynth.model.sampling import draw_given, draw_within
from dpsynth.model.tree import TreeModel
from tests.strategies.models import brute_force, distributions, forests, groupings, pair_of

METHODS = ("systematic", "iid")
ALARM = 1e-6


def counts_of(rows, sizes):
    """Number of rows in each cell of the joint table."""
    keys = np.ravel_multi_index(rows, sizes) if rows[0].size else np.zeros(0, dtype=np.int64)
    return np.bincount(keys, minlength=int(np.prod(sizes))).reshape(sizes)


def chi_square_tail(observed, expected):
    """The chance of so large a chi-square, cells below 10 expected rows pooled."""
    observed, expected = observed.ravel(), expected.ravel()
    small = expected < 10
    observed = np.append(observed[~small], observed[small].sum())
    expected = np.append(expected[~small], expected[small].sum())
    kept = expected > 0
    assert observed[~kept].sum() == 0
    statistic = ((observed - expected)[kept] ** 2 / expected[kept]).sum()
    return float(chi2.sf(statistic, max(int(kept.sum()) - 1, 1)))


@pytest.mark.parametrize("method", METHODS)
@given(model=forests(), n=st.integers(0, 200), seed=st.integers(0, 2**32 - 1))
def test_rows_are_codes_and_the_same_seed_gives_the_same(method, model, n, seed):
    first = model.sample(n, np.random.default_rng(seed), method=method)
    again = model.sample(n, np.random.default_rng(seed), method=method)
    assert len(first) == len(model.domain)
    for axis, column, repeat in zip(model.domain, first, again, strict=True):
        assert column.dtype == np.int64
        assert column.shape == (n,)
        assert ((column >= 0) & (column < axis.size)).all()
        np.testing.assert_array_equal(column, repeat)


@pytest.mark.parametrize("method", METHODS)
@given(model=forests(), seed=st.integers(0, 2**32 - 1))
def test_what_has_probability_zero_is_never_drawn(method, model, seed):
    """No code, and no pair of codes of an edge. (Cells of the joint table that are zero are empty.)"""
    rows = model.sample(400, np.random.default_rng(seed), method=method)
    impossible = brute_force(model) == 0
    assert not counts_of(rows, model.domain.sizes)[impossible].any()


@given(st.data(), st.integers(0, 2**32 - 1), st.integers(1, 5_000))
def test_systematic_counts_of_a_lone_column_are_the_expectation_rounded_up_or_down(data, seed, n):
    node = data.draw(distributions(data.draw(st.integers(1, 40))))
    model = TreeModel(Domain((Axis("a", node.size),)), 1.0, (node,), ())
    (column,) = model.sample(n, np.random.default_rng(seed))
    counts = np.bincount(column, minlength=node.size)
    assert (np.abs(counts - n * node) < 1 + 1e-9 * n).all()


@given(st.data(), st.integers(0, 2**32 - 1))
def test_systematic_counts_given_a_parent_are_the_expectation_rounded_up_or_down(data, seed):
    """For every parent code, the counts of the drawn groups, and of the codes within each group."""
    rng = np.random.default_rng(seed)
    parents = rng.integers(0, 4, 300)
    groups = data.draw(groupings(6))
    table = np.array([data.draw(distributions(int(groups.max()) + 1)) for _ in range(4)])
    drawn = draw_given(parents, table, rng, "systematic")
    for p in range(4):
        counts = np.bincount(drawn[parents == p], minlength=table.shape[1])
        assert (np.abs(counts - (parents == p).sum() * table[p]) < 1 + 1e-9).all()
    weights = np.arange(1.0, 7.0)
    codes = draw_within(drawn, groups, weights, rng, "systematic")
    np.testing.assert_array_equal(groups[codes], drawn)
    share = weights / np.bincount(groups, weights=weights)[groups]
    expected = np.bincount(drawn, minlength=table.shape[1])[groups] * share
    assert (np.abs(np.bincount(codes, minlength=6) - expected) < 1 + 1e-9).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_parent_or_group_without_mass_draws_evenly(method):
    rng = np.random.default_rng(0)
    drawn = draw_given(np.ones(4_000, dtype=np.int64), np.array([[1.0, 0.0], [0.0, 0.0]]), rng, method)
    assert set(drawn) == {0, 1}
    codes = draw_within(drawn, np.array([0, 1, 1]), np.array([1.0, 0.0, 0.0]), rng, method)
    assert set(codes) == {0, 1, 2}


def test_rounding_gives_no_place_to_a_code_of_weight_zero():
    """With many owners the running sum drifts; the first and last codes of each have no weight at all."""
    rng = np.random.default_rng(1)
    owners = np.repeat(np.arange(20_000), 12)
    weights = rng.random((20_000, 12))
    weights[:, [0, 5, 10, 11]] = 0.0
    flat = sampling._cumulative(weights.ravel(), owners, 20_000).reshape(20_000, 12)
    before = np.column_stack([np.arange(20_000.0), flat[:, :-1]])
    width = flat - before
    assert (width[:, [0, 5, 10, 11]] == 0).all()
    assert (width[:, [1, 4, 6, 9]] > 0).all()
    assert (flat[:, 9] == np.arange(20_000) + 1.0).all()


def planted(sizes=(6, 5, 4), seed=0):
    """A chain a - b - c with strong dependence, b seen in two groups from c."""
    rng = np.random.default_rng(seed)
    first = rng.dirichlet(np.ones(sizes[0] * sizes[1]) * 0.5).reshape(sizes[:2])
    groups = np.arange(sizes[1]) // 3
    given_group = rng.dirichlet(np.ones(sizes[2]) * 0.5, size=2)
    b = first.sum(axis=0)
    second = np.bincount(groups, weights=b)[:, None] * given_group
    axes = tuple(Axis(n, s) for n, s in zip("abc", sizes, strict=True))
    edges = (
        pair_of(1, 0, np.arange(sizes[1]), np.arange(sizes[0]), first.T),
        pair_of(1, 2, groups, np.arange(sizes[2]), second),
    )
    return TreeModel(Domain(axes), 1.0, (first.sum(axis=1), b, second.sum(axis=0)), edges)


@pytest.mark.statistical
def test_iid_rows_follow_the_joint_distribution():
    """Chi-square over all 120 cells, 200,000 rows: alarm 1e-6 (and the guard: 2 % moved mass is seen)."""
    model = planted()
    joint = brute_force(model)
    n = 200_000
    counts = counts_of(model.sample(n, np.random.default_rng(5), method="iid"), model.domain.sizes)
    assert chi_square_tail(counts, n * joint) > ALARM
    assert chi_square_tail(counts, n * (0.98 * joint + 0.02 / joint.size)) < ALARM


@pytest.mark.statistical
def test_systematic_rows_are_conditionally_independent_given_the_parent():
    """Within each code of b the tables a x c are those of independent columns: alarm 5 x 2e-7.

    Systematic margins vary less than independent ones, so the chi-square is, if anything, too small. The
    guard: without the shuffle of rows before each draw, a and c would be tied by their order.
    """
    model, n = planted(), 200_000
    joint = brute_force(model)
    counts = counts_of(model.sample(n, np.random.default_rng(6)), model.domain.sizes)
    for b in range(5):
        assert chi_square_tail(counts[:, b], n * joint[:, b]) > ALARM / 5
    in_order = np.sort(np.repeat(np.arange(6), 1_000)), np.sort(np.repeat(np.arange(4), 1_500))
    assert chi_square_tail(counts_of(in_order, (6, 4)), np.full((6, 4), 250.0)) < ALARM


@pytest.mark.statistical
def test_rows_come_in_no_order():
    """Neighbouring rows of a drawn column agree as often as chance has it: 6 sigma, alarm 2e-9."""
    (column,) = TreeModel(Domain((Axis("a", 4),)), 1.0, (np.full(4, 0.25),), ()).sample(
        40_000, np.random.default_rng(8)
    )
    agreement = (column[1:] == column[:-1]).mean()
    assert abs(agreement - 0.25) < 6 * np.sqrt(0.25 * 0.75 / 40_000)


def test_systematic_margins_of_a_child_are_closer_than_independent_rows():
    """Each child margin is off by at most one row a parent group; that of i.i.d. rows by hundreds."""
    model, n = planted(), 200_000
    rows = model.sample(n, np.random.default_rng(9))
    for column, groups_above in ((0, 5), (2, 2), (1, 6)):
        counts = np.bincount(rows[column], minlength=model.domain.sizes[column])
        assert np.abs(counts - n * model.nodes[column]).max() <= 2 + 2 * groups_above


def test_a_million_codes_draw_within_time_and_memory():
    size, n = 1_000_000, 200_000
    node = np.full(size, 1 / size)
    two = np.array([0.5, 0.5])
    groups = np.arange(size) % 2
    table = np.array([[0.45, 0.05], [0.05, 0.45]])
    domain = Domain((Axis("big", size), Axis("small", 2), Axis("bigger", size)))
    edges = (
        pair_of(0, 1, groups, np.arange(2), table),
        pair_of(1, 2, np.arange(2), groups, table),
    )
    model = TreeModel(domain, 1.0, (node, two, node), edges)
    tracemalloc.start()
    start = time.process_time()
    rows = model.sample(n, np.random.default_rng(0))
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.mean(rows[0] % 2 == rows[1]) == pytest.approx(0.9, abs=0.01)
    assert np.mean(rows[2] % 2 == rows[1]) == pytest.approx(0.9, abs=0.01)
    assert peak < 300e6
    assert seconds < 10


def test_a_negative_number_of_rows_is_refused():
    with pytest.raises(ValueError, match="n=-1 rows"):
        planted().sample(-1, np.random.default_rng(0))


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="neither 'systematic' nor 'iid'"):
        planted().sample(1, np.random.default_rng(0), method="fast")


def test_a_group_that_only_one_side_knows_draws_codes_all_the_same():
    """Margins may disagree by 1e-6: a row of the table without mass, and a group without codes."""
    tiny = 5e-7
    first = np.array([1 - tiny, tiny])
    table = np.array([[1 - tiny, tiny], [0.0, 0.0]])
    edge = pair_of(0, 1, np.arange(2), np.zeros(3, dtype=np.int64), table)
    model = TreeModel(Domain((Axis("a", 2), Axis("b", 3))), 1.0, (first, np.array([0.5, 0.5, 0])), (edge,))
    assert model.marginal([0, 1]).sum() == pytest.approx(1.0, abs=1e-12)
    rows = draw_given(np.ones(100, dtype=np.int64), model._given(edge, 1), np.random.default_rng(0), "iid")
    codes = draw_within(rows, edge.groups[1], model.nodes[1], np.random.default_rng(0), "iid")
    assert set(codes) == {0, 1}
