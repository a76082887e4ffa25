"""The forest against a joint distribution built cell by cell, its checks, and its way to disk and back."""

from __future__ import annotations

import itertools
import json
import re
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.domain import Axis, Domain
from dpsynth.model.estimates import Estimate
from dpsynth.model.tree import TreeModel
from tests.strategies.models import SHAPES, brute_force, forests, marginal_of, pair_of

A, B = Axis("a", 2), Axis("b", 3)
HALF, THIRDS = np.full(2, 1 / 2), np.full(3, 1 / 3)
TABLE = np.array([[0.3, 0.1, 0.1], [1 / 3 - 0.3, 1 / 3 - 0.1, 1 / 3 - 0.1]])
IDENTITY = pair_of(0, 1, np.arange(2), np.arange(3), TABLE)
PAIR = TreeModel(Domain((A, B)), 12.0, (HALF, THIRDS), (IDENTITY,))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_marginal_of_up_to_four_columns_equals_the_brute_force_joint(shape):
    @given(forests(shape=shape), st.randoms(use_true_random=False))
    def check(model, order):
        joint = brute_force(model)
        assert joint.sum() == pytest.approx(1, abs=1e-9)
        for k in range(5):
            for subset in itertools.combinations(range(len(model.domain)), k):
                columns = order.sample(subset, k)
                found = model.marginal(columns)
                assert found.shape == tuple(model.domain.sizes[c] for c in columns)
                wanted = model.total * marginal_of(joint, columns)
                np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12 * max(model.total, 1))

    check()


@given(forests())
def test_one_way_marginals_are_the_nodes(model):
    for column, node in enumerate(model.nodes):
        np.testing.assert_allclose(model.marginal([column]), model.total * node, rtol=1e-12)


def test_the_marginal_over_no_column_is_the_total():
    assert PAIR.marginal(()) == 12.0


def test_a_marginal_over_the_leaves_of_a_star_of_many_codes_needs_no_table_of_all_codes():
    """The hub has a million codes in 200 groups; dense conditionals would take 200 x 10^6 doubles."""
    rng = np.random.default_rng(0)
    hub, leaves, groups = 1_000_000, 300, np.arange(1_000_000) % 200
    domain = Domain((Axis("x", leaves), Axis("hub", hub), Axis("y", leaves)))
    table = rng.random((200, leaves))
    table /= table.sum(axis=1, keepdims=True) * 200
    nodes = (table.sum(axis=0), np.full(hub, 1e-6), table.sum(axis=0))
    edges = (
        pair_of(1, 0, groups, np.arange(leaves), table),
        pair_of(2, 1, np.arange(leaves), groups[::-1].copy(), table.T),
    )
    model = TreeModel(domain, 1.0, nodes, edges)
    tracemalloc.start()
    start = time.process_time()
    found = model.marginal([2, 0])
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(found, (table[::-1].T @ table) * 200, rtol=1e-9)
    assert peak < 500e6
    assert seconds < 10


def test_links_name_the_columns():
    assert PAIR.links == (("a", "b"),)


def _edge(**changes):
    fields = {
        "first": 0,
        "second": 1,
        "first_groups": np.arange(2),
        "second_groups": np.arange(3),
        "table": TABLE,
    }
    return pair_of(**{**fields, **changes})


C = Axis("c", 2)
TRIANGLE = (
    IDENTITY,
    pair_of(1, 2, np.arange(3), np.arange(2), TABLE.T),
    pair_of(2, 0, np.arange(2), np.arange(2), np.full((2, 2), 0.25)),
)


TRIPLE = Estimate((0, 1, 2), (np.arange(2), np.arange(3), np.arange(2)), TABLE[:, :, None] * np.full(2, 0.5))


@pytest.mark.parametrize(
    ("domain", "total", "nodes", "edges", "message"),
    [
        (Domain((A,)), -1.0, (HALF,), (), "total"),
        (Domain((A,)), float("nan"), (HALF,), (), "total"),
        (Domain((A,)), float("inf"), (HALF,), (), "total"),
        (Domain((A, B)), 1.0, (HALF,), (), "1 one-way distributions for 2 columns"),
        (Domain((A,)), 1.0, (THIRDS,), (), "one-way distribution of 'a' is not one over 2"),
        (Domain((A,)), 1.0, (np.array([1.5, -0.5]),), (), "one-way distribution of 'a'"),
        (Domain((A,)), 1.0, (np.array([np.nan, 1.0]),), (), "one-way distribution of 'a'"),
        (Domain((A,)), 1.0, (np.array([0.5, 0.4]),), (), "one-way distribution of 'a'"),
        (Domain((A,)), 1.0, (HALF[:, None],), (), "one-way distribution of 'a'"),
        (Domain((A, B)), 1.0, (HALF, THIRDS), (_edge(table=TABLE.ravel()),), "not a joint distribution"),
        (Domain((A, B)), 1.0, (HALF, THIRDS), (_edge(table=TABLE * 2),), "not a joint distribution"),
        (Domain((A, B)), 1.0, (HALF, THIRDS), (_edge(table=np.zeros((0, 0))),), "not a joint distribution"),
        (Domain((A, B)), 1.0, (HALF, THIRDS), (_edge(second=2),), "column outside the domain"),
        (Domain((A, B)), 1.0, (HALF, THIRDS), (_edge(first=-2),), "column outside the domain"),
        (Domain((A, B)), 1.0, (HALF, THIRDS), (_edge(first_groups=np.arange(3)),), "grouping of 'a'"),
        (Domain((A, B)), 1.0, (HALF, THIRDS), (_edge(second_groups=np.array([0, 1, 3])),), "grouping of 'b'"),
        (Domain((A, B)), 1.0, (HALF, THIRDS), (_edge(first_groups=np.array([0, -1])),), "grouping of 'a'"),
        (Domain((A, B)), 1.0, (HALF, np.array([0.2, 0.3, 0.5])), (IDENTITY,), "distribution of 'b'"),
        (Domain((A, B)), 1.0, (np.array([0.4, 0.6]), THIRDS), (IDENTITY,), "distribution of 'a'"),
        (Domain((A, B)), 1.0, (HALF, THIRDS), (IDENTITY, IDENTITY), "close a cycle"),
        (Domain((A, B, C)), 1.0, (HALF, THIRDS, HALF), TRIANGLE, "close a cycle"),
        (Domain((A, B, C)), 1.0, (HALF, THIRDS, HALF), (TRIPLE,), "tables of two columns"),
    ],
)
def test_what_is_no_model_is_refused(domain, total, nodes, edges, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        TreeModel(domain, total, nodes, edges)


def test_a_loop_is_no_edge():
    table = np.full((2, 2), 0.25)
    loop = pair_of(0, 0, np.arange(2), np.arange(2), table)
    with pytest.raises(ValueError, match="two or more columns and none twice"):
        TreeModel(Domain((A,)), 1.0, (HALF,), (loop,))


@pytest.mark.parametrize("columns", [(0, 0), (2,), (-1,), (0, 1, 0)])
def test_a_marginal_takes_different_columns_of_the_domain(columns):
    with pytest.raises(ValueError, match="different columns of the domain"):
        PAIR.marginal(columns)


def test_a_marginal_too_large_is_refused_before_it_is_made():
    size = 2**14
    node = np.full(size, 1 / size)
    model = TreeModel(Domain((Axis("a", size), Axis("b", size))), 1.0, (node, node), ())
    with pytest.raises(ValueError, match="more than 67108864 cells"):
        model.marginal([0, 1])


@given(forests())
def test_a_model_survives_its_arrays(model):
    meta, arrays = model.to_arrays()
    again = TreeModel.from_arrays(json.loads(json.dumps(meta)), {k: v.copy() for k, v in arrays.items()})
    assert again.domain == model.domain
    assert again.total == model.total
    assert again.links == model.links
    for columns in itertools.permutations(range(len(model.domain)), min(2, len(model.domain))):
        np.testing.assert_array_equal(again.marginal(columns), model.marginal(columns))
    rows = [m.sample(50, np.random.default_rng(3)) for m in (model, again)]
    np.testing.assert_array_equal(rows[0], rows[1])


JUNK = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.integers(),
    st.sampled_from([0, 1, -1, 2, 10**400, float("inf"), float("nan"), [], {}, [[]], [{}], "tree"]),
)
ODD_ARRAYS = st.sampled_from(
    [
        np.array(1.0),
        np.zeros(0),
        np.zeros((2, 0)),
        np.ones(3),
        np.full((2, 2), np.nan),
        np.full(2, np.inf),
        np.array([1e300, -1e300]),
        np.array(["a", "b"]),
        np.array([None, 1], dtype=object),
        np.array([1j, 1]),
        np.array([True, False]),
        np.array([2**63, 0], dtype=np.uint64),
        np.array([0, -1]),
        np.array(["2020-01-01", "NaT"], dtype="M8[D]"),
    ]
)


@given(st.data())
def test_hostile_content_is_refused_or_is_a_valid_model(data):
    """Whatever is put in place of a number or an array, only the three promised errors come out."""
    meta, arrays = PAIR.to_arrays()
    meta = json.loads(json.dumps(meta))
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):
            arrays[data.draw(st.sampled_from(sorted(arrays)))] = data.draw(ODD_ARRAYS)
            continue
        place, keys = meta, ["model", "total", "axes", "estimates"]
        if isinstance(meta["axes"], list) and meta["axes"] and data.draw(st.booleans()):
            place, keys = meta["axes"][0], ["name", "size", "ordered"]
        if isinstance(place, dict):
            place[data.draw(st.sampled_from(keys))] = data.draw(JUNK)
    try:
        model = TreeModel.from_arrays(meta, arrays)
    except (ValueError, KeyError, TypeError):
        return
    assert all(len(column) == 5 for column in model.sample(5, np.random.default_rng(0)))


def test_a_missing_array_is_a_key_error():
    meta, arrays = PAIR.to_arrays()
    del arrays["estimate_0_table"]
    with pytest.raises(KeyError):
        TreeModel.from_arrays(meta, arrays)


def test_another_kind_of_model_is_refused():
    meta, arrays = PAIR.to_arrays()
    with pytest.raises(ValueError, match="kind 'tree'"):
        TreeModel.from_arrays({**meta, "model": "forest"}, arrays)


def test_an_infinite_size_is_refused():
    meta, arrays = PAIR.to_arrays()
    with pytest.raises(ValueError, match="far too large"):
        TreeModel.from_arrays({**meta, "total": 10**400}, arrays)


def test_floats_are_no_grouping():
    meta, arrays = PAIR.to_arrays()
    arrays["estimate_0_groups_0"] = np.array([0.0, 1.0])
    with pytest.raises(ValueError, match="'estimate_0_groups_0' is not one of int64"):
        TreeModel.from_arrays(meta, arrays)
