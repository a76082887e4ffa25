"""A network's way to disk and back, and what it makes of content that no network wrote."""

from __future__ import annotations

import copy
import itertools
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.model.network import NetworkModel
from dpsynth.model.structure import read_model
from tests.model.test_network import CHAIN, METHODS, TRIANGLE, planted
from tests.strategies.models import networks


@pytest.mark.parametrize("beyond", [False, True])
@given(data=st.data())
def test_a_model_survives_its_arrays(beyond, data):
    model = data.draw(networks(beyond=beyond))
    meta, arrays = model.to_arrays()
    again = read_model(json.loads(json.dumps(meta)), {k: v.copy() for k, v in arrays.items()})
    assert isinstance(again, NetworkModel)
    assert (again.domain, again.total, again.tree) == (model.domain, model.total, model.tree)
    assert again.links == model.links
    for columns in itertools.permutations(range(len(model.domain)), 2):
        np.testing.assert_array_equal(again.marginal(columns), model.marginal(columns))
    for method in METHODS:
        rows = [m.sample(50, np.random.default_rng(3), method=method) for m in (model, again)]
        np.testing.assert_array_equal(rows[0], rows[1])


HUGE = [2**62, 2**63 - 1, -(2**63), 10**400, float("inf"), float("nan"), 1e300]
JUNK = st.sampled_from([*HUGE, None, -2, -1, 0, 1, 2, 3, True, "", "x", "01", [], {}, [[]], [0], [0, 1, 2]])
ODD_ARRAYS = st.sampled_from(
    [
        np.array(1.0),
        np.zeros(0),
        np.zeros(0, dtype=np.int64),
        np.ones(8),
        np.full(8, 0.125),
        np.full((2, 2, 2), 0.125),
        np.full(8, np.nan),
        np.array([2.0, -1, 0, 0, 0, 0, 0, 0]),
        np.array([1e308, 1e308]),
        np.array(["a", "b"]),
        np.array([None, 1], dtype=object),
        np.array([True, False]),
        np.array([2**63, 0], dtype=np.uint64),
        np.array([0, 2**62]),
        np.array([0, 2**63 - 1]),
        np.array([-(2**63), 0]),
        np.array([0, -1]),
        np.array([-2, -2]),
        np.array([0, 0]),
        np.array([1, 0]),
        np.array([[0, 1]]),
    ]
)


@settings(max_examples=300)
@given(st.sampled_from([TRIANGLE, CHAIN, planted(largest=30)]), st.data())
def test_hostile_content_is_refused_or_is_a_valid_model(source, data):
    """Whatever is put in place of a number or an array, only the three promised errors come out."""
    meta, arrays = source.to_arrays()
    meta = json.loads(json.dumps(meta))
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):
            arrays[data.draw(st.sampled_from(sorted(arrays)))] = data.draw(ODD_ARRAYS)
            continue
        key = data.draw(st.sampled_from(["total", "axes", "estimates", "cliques", "parents"]))
        junk, value = copy.deepcopy(data.draw(JUNK)), meta[key]
        if isinstance(value, list) and value and data.draw(st.booleans()):
            place = data.draw(st.integers(0, len(value) - 1))
            if isinstance(value[place], list) and value[place] and data.draw(st.booleans()):
                value[place][0] = junk
            else:
                value[place] = junk
        else:
            meta[key] = junk
    tracemalloc.start()
    try:
        model = read_model(meta, arrays)
    except (ValueError, KeyError, TypeError):
        return
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5e6
    assert all(len(column) == 5 for column in model.sample(5, np.random.default_rng(0)))
    assert np.isfinite(model.marginal(range(min(2, len(model.domain))))).all()


@pytest.mark.parametrize("key", ["cliques", "parents"])
def test_an_infinite_number_is_refused(key):
    meta, arrays = CHAIN.to_arrays()
    with pytest.raises(ValueError, match="far too large"):
        NetworkModel.from_arrays({**meta, key: [[float("inf")]] if key == "cliques" else [1e999]}, arrays)


@pytest.mark.parametrize("parents", [[-1, 1], [1, 0], [0, 0], [-1, -2], [-1], [-1, 0, 1]])
def test_parents_that_loop_are_refused(parents):
    meta, arrays = CHAIN.to_arrays()
    with pytest.raises(ValueError, match="parent"):
        NetworkModel.from_arrays({**meta, "parents": parents}, arrays)


@pytest.mark.parametrize("name", ["states_0", "clique_0"])
def test_a_missing_array_is_a_key_error_and_another_kind_of_number_refused(name):
    meta, arrays = CHAIN.to_arrays()
    with pytest.raises(KeyError):
        NetworkModel.from_arrays(meta, {k: v for k, v in arrays.items() if k != name})
    with pytest.raises(ValueError, match=f"{name}' is not one of"):
        NetworkModel.from_arrays(meta, {**arrays, name: np.array(["x"])})
