"""Calibration against fitting on the whole product space, on every shape of junction tree."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.model import kernels
from dpsynth.model.calibration import CliqueTree, Target, calibrate, cell_index
from dpsynth.model.junction import JunctionForest
from tests.strategies.models import GRAPHS, edges_of, fitted_joint, graph_edges, marginal_of, merged_groups


def tree_for(sizes, pairs):
    forest = JunctionForest(sizes)
    for pair in pairs:
        forest.add(pair)
    return CliqueTree(tuple(sizes), *forest.ordered())


def target_of(edge):
    return Target(edge.columns, edge.groups, edge.table)


def found_by(tree, tables, columns):
    """The marginal of columns in the smallest clique that holds them."""
    home = tree.smallest(columns)
    return marginal_of(tables[home], [tree.cliques[home].index(c) for c in columns])


def grouped(table, edge):
    sums = np.zeros_like(edge.table)
    np.add.at(sums, np.ix_(*edge.groups), table)
    return sums


def assert_consistent(tree, tables, atol=1e-9):
    for i, table in enumerate(tables):
        assert table.shape == tree.shape(i)
        assert np.isfinite(table).all()
        assert (table >= 0).all()
        assert table.sum() == pytest.approx(1, abs=1e-9)
        shared, parent = tree.separator(i), tree.parents[i]
        if parent >= 0:
            here, there = (
                marginal_of(tables[j], [tree.cliques[j].index(c) for c in shared]) for j in (i, parent)
            )
            np.testing.assert_allclose(here, there, atol=atol)


@st.composite
def problems(draw, shape, *, zeros=False):
    """A joint distribution, the graph's pairs, and their tables at random groupings."""
    count = draw(st.integers(1 if shape in ("empty", "full") else 3, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = [draw(st.integers(1, 4)) for _ in range(count)]
    joint = rng.random(sizes) + 0.05
    if zeros:
        for axis, size in enumerate(sizes):
            if size > 1 and rng.random() < 0.5:
                joint = np.where(np.indices(sizes)[axis] == rng.integers(size), 0.0, joint)
    pairs = graph_edges(shape, count, rng)
    groups = [(np.arange(s), merged_groups(s, rng)) for s in sizes]
    joint /= joint.sum()
    return joint, pairs, edges_of(joint, pairs, groups, rng)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("shape", GRAPHS)
def test_consistent_targets_give_the_distribution_of_greatest_entropy(shape, zeros):
    """Oracle: iterative proportional fitting of the whole joint table, to its limit."""

    @settings(max_examples=40)
    @given(problems(shape, zeros=zeros))
    def check(problem):
        joint, pairs, edges = problem
        tree = tree_for(joint.shape, pairs)
        margins = [marginal_of(joint, (c,)) for c in range(joint.ndim)]
        targets = [target_of(e) for e in edges]
        tables, gap, _ = calibrate(tree, margins, targets, sweeps=3_000, tolerance=1e-12)
        assert_consistent(tree, tables)
        assert gap < 1e-6
        for column, margin in enumerate(margins):
            np.testing.assert_allclose(found_by(tree, tables, (column,)), margin, atol=1e-6)
        for edge in edges:
            found = grouped(found_by(tree, tables, edge.columns), edge)
            assert np.abs(found - edge.table).sum() < 1e-6
        oracle = fitted_joint(joint, edges)
        for clique, table in zip(tree.cliques, tables, strict=True):
            np.testing.assert_allclose(table, marginal_of(oracle, clique), atol=1e-6)

    check()


def test_the_default_effort_meets_a_cycle_to_the_tolerance_it_states():
    rng = np.random.default_rng(4)
    joint = rng.dirichlet(np.full(4**4, 0.3)).reshape(4, 4, 4, 4)
    pairs = [(0, 1), (1, 2), (2, 3), (3, 0)]
    edges = edges_of(joint, pairs, [(np.arange(4),)] * 4, rng)
    tree = tree_for(joint.shape, pairs)
    tables, gap, _ = calibrate(
        tree, [marginal_of(joint, (c,)) for c in range(4)], [target_of(e) for e in edges]
    )
    gaps = [np.abs(found_by(tree, tables, p) - e.table).sum() for p, e in zip(pairs, edges, strict=True)]
    assert np.mean(gaps) <= gap
    assert gap < 1e-4


@settings(max_examples=40)
@given(
    st.sampled_from(["full", "cycle", "random"]),
    st.integers(3, 6),
    st.sampled_from([1e-12, 1e-6, 0.1]),
    st.integers(0, 2**32 - 1),
)
def test_targets_that_contradict_each_other_leave_finite_tables_that_agree(shape, count, floor, seed):
    """Each pair's table is drawn by itself, most of its cells as good as impossible."""
    rng = np.random.default_rng(seed)
    sizes = [int(s) for s in rng.integers(1, 4, count)]
    margins = [rng.dirichlet(np.full(s, 0.2)) for s in sizes]
    pairs = graph_edges(shape, count, rng)
    targets = []
    for a, b in pairs:
        table = np.maximum(np.where(rng.random((sizes[a], sizes[b])) < 0.4, 1.0, 0.0), floor)
        targets.append(Target((a, b), (np.arange(sizes[a]), np.arange(sizes[b])), table / table.sum()))
    tree = tree_for(sizes, pairs)
    tables, gap, _ = calibrate(tree, margins, targets, sweeps=60)
    assert np.isfinite(gap)
    assert_consistent(tree, tables)


def test_without_targets_every_clique_is_independent():
    margins = [np.array([0.2, 0.8]), np.array([0.0, 0.3, 0.7]), np.array([1.0])]
    tree = CliqueTree((2, 3, 1), ((0, 1), (1, 2)), (-1, 0))
    tables, gap, _ = calibrate(tree, margins, [])
    assert gap == 0
    np.testing.assert_allclose(tables[0], np.outer(margins[0], margins[1]))
    np.testing.assert_allclose(tables[1], margins[1][:, None])


@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_an_index_map_sums_as_einsum_does(count, seed):
    rng = np.random.default_rng(seed)
    sizes = [int(s) for s in rng.integers(1, 5, 6)]
    clique = tuple(sorted(int(c) for c in rng.choice(6, count, replace=False)))
    columns = tuple(int(c) for c in rng.permutation(clique)[: rng.integers(0, count + 1)])
    groups = [merged_groups(sizes[c], rng) for c in columns]
    table = rng.random([sizes[c] for c in clique])
    index = cell_index(clique, sizes, columns, groups)
    assert index.dtype == np.int32
    assert index.shape == (table.size,)
    shape = [int(g.max()) + 1 for g in groups]
    sums = np.bincount(index, weights=table.ravel(), minlength=int(np.prod(shape))).reshape(shape)
    places = list(range(count))
    operands = [table, places]
    for i, (column, group) in enumerate(zip(columns, groups, strict=True)):
        operands += [np.eye(int(group.max()) + 1)[group], [clique.index(column), 10 + i]]
    np.testing.assert_allclose(sums, np.einsum(*operands, [10 + i for i in range(len(columns))]))


@pytest.mark.parametrize(
    ("sizes", "cliques", "parents", "message"),
    [
        ((2,), ((0,),), (), "one parent a clique"),
        ((2, 2), ((0,), (1,)), (-1, 1), "must come before it"),
        ((2, 2), ((0,), (1,)), (1, -1), "must come before it"),
        ((2, 2), ((0,), (1,)), (-2, -1), "must come before it"),
        ((2, 2), ((1, 0),), (-1,), "must increase"),
        ((2, 2), ((0, 0, 1),), (-1,), "must increase"),
        ((2, 2), ((0, 2), (1,)), (-1, -1), "must increase"),
        ((2, 2), ((-1, 0, 1),), (-1,), "must increase"),
        ((2, 2, 2), ((0, 1), (1, 2), (0, 2)), (-1, 0, 1), "not connected"),
        ((2, 2), ((0, 1), (1,)), (-1, -1), "not connected"),
        ((2, 2), ((0,),), (-1,), "is in no clique"),
        ((2,), (), (), "is in no clique"),
    ],
)
def test_what_is_no_clique_tree_is_refused(sizes, cliques, parents, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        CliqueTree(sizes, cliques, parents)


def test_a_target_that_no_clique_holds_is_refused():
    target = Target((0, 1), (np.arange(2), np.arange(2)), np.full((2, 2), 0.25))
    with pytest.raises(ValueError, match="no clique holds"):
        calibrate(CliqueTree((2, 2), ((0,), (1,)), (-1, -1)), [np.full(2, 0.5)] * 2, [target])


def test_the_smallest_clique_is_the_one_of_fewest_cells():
    tree = CliqueTree((2, 3, 9, 2), ((0, 1, 2), (0, 1, 3), (1, 3)), (-1, 0, 1))
    assert tree.smallest((0, 1)) == 1
    assert tree.smallest((1, 3)) == 2
    assert tree.smallest((2, 3)) is None
    assert [tree.separator(i) for i in range(3)] == [(), (0, 1), (1, 3)]
    assert tree.shape(0) == (2, 3, 9)


# ---- warm starts, and no work where nothing changed -----------------------------------------------------


def ring(count=6, size=5, seed=0, *, strong=False):
    """Columns in a ring with chords: consistent targets, and their junction tree."""
    rng = np.random.default_rng(seed)
    sizes = [size] * count
    joint = rng.dirichlet(np.full(size**count, 0.3)).reshape(sizes)
    pairs = [(i, (i + 1) % count) for i in range(count)] + [(0, count // 2)]
    for a, b in pairs if strong else ():
        weights = rng.dirichlet(np.full(size, 0.3), size=size) + 0.01
        joint = joint * weights.reshape([s if i in (a, b) else 1 for i, s in enumerate(sizes)])
    joint /= joint.sum()
    edges = edges_of(joint, pairs, [(np.arange(size),)] * count, rng)
    margins = [marginal_of(joint, (c,)) for c in range(count)]
    return tree_for(sizes, pairs), margins, [target_of(e) for e in edges]


@pytest.fixture
def work(monkeypatch):
    """Counts rescalings of a clique's table: the inner loop that takes the time."""
    calls = []
    rescale = kernels.scale_to

    def counted(table, *arguments):
        calls.append(table.size)
        return rescale(table, *arguments)

    monkeypatch.setattr(kernels, "scale_to", counted)
    return calls


def test_a_fit_started_from_its_own_result_looks_at_each_target_once(work):
    tree, margins, targets = ring()
    fitted, gap, potentials = calibrate(tree, margins, targets, tolerance=1e-8, sweeps=500)
    assert gap < 1e-8
    cold = len(work)
    work.clear()
    again, gap, _ = calibrate(tree, margins, targets, start=potentials, tolerance=1e-6)
    assert gap < 1e-6
    assert len(work) <= len(targets) + 3 * len(tree.cliques) < cold  # 2 a clique to begin with, 1 to end with
    for first, second in zip(fitted, again, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-7)


def test_a_warm_start_finds_the_same_fit_in_less_work(work):
    """One target more than before, and all a little moved: the distribution is that of a cold fit."""
    tree, margins, targets = ring(strong=True)
    rng = np.random.default_rng(1)
    moved = [Target(t.columns, t.groups, t.table * rng.uniform(0.99, 1.01, t.table.shape)) for t in targets]
    before = calibrate(tree, margins, moved[:-1], tolerance=1e-7, sweeps=2_000)
    start = [*before.potentials, np.zeros(targets[-1].table.shape)]
    for sweeps in (1, 2, 3):
        cold = calibrate(tree, margins, targets, sweeps=sweeps)
        warm = calibrate(tree, margins, targets, start=start, sweeps=sweeps)
        assert warm.gap < cold.gap
    done = calibrate(tree, margins, moved, tolerance=1e-7, sweeps=2_000).potentials
    work.clear()
    cold = calibrate(tree, margins, targets, tolerance=1e-5, sweeps=2_000)
    needed = sum(work)
    work.clear()
    warm = calibrate(tree, margins, targets, start=done, tolerance=1e-5, sweeps=2_000)
    assert sum(work) < 0.8 * needed
    for first, second in zip(cold.tables, warm.tables, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-4)


def test_a_component_that_is_done_is_left_alone(work):
    """Two rings side by side, one fitted already: its tables are rescaled once a target and no more."""
    tree, margins, targets = ring()
    count, cliques = len(tree.sizes), len(tree.cliques)
    both = CliqueTree(
        tree.sizes * 2,
        (*tree.cliques, *(tuple(c + count for c in clique) for clique in tree.cliques)),
        (*tree.parents, *(p + cliques if p >= 0 else p for p in tree.parents)),
    )
    moved = [Target(tuple(c + count for c in t.columns), t.groups, t.table) for t in targets]
    done = calibrate(tree, margins, targets, tolerance=1e-9, sweeps=2_000).potentials
    fresh = [np.zeros(t.table.shape) for t in targets]
    work.clear()
    calibrate(tree, margins, targets, start=fresh, tolerance=1e-6, sweeps=500)
    alone = len(work)
    work.clear()
    found, gap, _ = calibrate(
        both, [*margins, *margins], [*targets, *moved], start=[*done, *fresh], tolerance=1e-6, sweeps=500
    )
    assert gap < 1e-6
    assert len(work) <= alone + len(targets) + 4 * cliques
    assert_consistent(both, found)


@pytest.mark.parametrize("shape", GRAPHS)
@settings(max_examples=15)
@given(data=st.data())
def test_tables_are_the_columns_times_the_potentials(shape, data):
    """Oracle: the product on the whole space, for a fit that has not converged."""
    joint, pairs, edges = data.draw(problems(shape))
    tree = tree_for(joint.shape, pairs)
    margins = [marginal_of(joint, (c,)) for c in range(joint.ndim)]
    targets = [target_of(e) for e in edges]
    tables, _, potentials = calibrate(tree, margins, targets, sweeps=2, tolerance=1e-9)
    product = np.ones(())
    for margin in margins:
        product = np.multiply.outer(product, margin)
    for target, potential in zip(targets, potentials, strict=True):
        places = [i if i in target.columns else None for i in range(joint.ndim)]
        spread = potential[np.ix_(*target.groups)]
        spread = spread.transpose(np.argsort(target.columns))
        product = product * np.exp(spread.reshape([1 if p is None else joint.shape[p] for p in places]))
    product /= product.sum()
    for clique, table in zip(tree.cliques, tables, strict=True):
        np.testing.assert_allclose(table, marginal_of(product, clique), atol=1e-9)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("shape", GRAPHS)
def test_a_start_from_any_potentials_ends_where_a_cold_one_does(shape, zeros):
    """Also from potentials that are far off, and over another tree: two fits to the limit."""

    @settings(max_examples=6)
    @given(problems(shape, zeros=zeros), st.sampled_from([0.1, 3.0, 40.0]), st.integers(0, 2**32 - 1))
    def check(problem, scale, seed):
        joint, pairs, edges = problem
        rng = np.random.default_rng(seed)
        margins = [marginal_of(joint, (c,)) for c in range(joint.ndim)]
        targets = [target_of(e) for e in edges]
        tree = tree_for(joint.shape, pairs)
        cold = calibrate(tree, margins, targets, sweeps=3_000, tolerance=1e-12)
        other = tree_for(joint.shape, [*pairs[::-1], *([(0, joint.ndim - 1)] if joint.ndim > 1 else [])])
        start = [p + rng.uniform(-scale, scale, p.shape) for p in cold.potentials]
        warm = calibrate(other, margins, targets, start=start, sweeps=3_000, tolerance=1e-12)
        assert_consistent(other, warm.tables)
        for target in targets:
            np.testing.assert_allclose(
                found_by(tree, cold.tables, target.columns),
                found_by(other, warm.tables, target.columns),
                atol=1e-5,
            )

    check()


def test_potentials_too_large_for_a_float_still_give_tables():
    """Each of many cliques beside one says another state of it is impossible."""
    count = 12
    tree = CliqueTree((2,) * (count + 1), tuple((0, i + 1) for i in range(count)), (-1, *[0] * (count - 1)))
    half, identity = np.full(2, 0.5), np.arange(2)
    targets = [Target((0, i + 1), (identity,) * 2, np.full((2, 2), 0.25)) for i in range(count)]
    start = [np.array([[900.0, 900.0], [0.0, 0.0]]) * (-1) ** i for i in range(count)]
    for potentials in (start, start[:1] * count):
        tables, gap, _ = calibrate(tree, [half] * (count + 1), targets, start=potentials, sweeps=100)
        assert gap < 1e-4
        assert_consistent(tree, tables)
