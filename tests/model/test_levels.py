"""Laws of nested resolutions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dpsynth.domain import Axis
from dpsynth.model.levels import _TARGETS, nested_levels
from dpsynth.privacy.marginal import Marginal

MASSES = st.one_of(st.sampled_from([0.0, 1e-12, 1.0, 1e3, 1e12]), st.floats(0, 1e6))


@st.composite
def axes_and_masses(draw):
    size = draw(st.one_of(st.integers(1, 40), st.integers(41, 700)))
    ordered = draw(st.sampled_from([0, size, size - 1, size // 2]))
    kind = draw(st.integers(0, 2))
    if kind == 0:
        masses = draw(arrays(float, size, elements=MASSES))
    elif kind == 1:  # atoms between small codes, the worst case for the number of groups
        masses = np.where(np.arange(size) % 2, 1e-3, 1.0) * draw(st.sampled_from([1.0, 1e9]))
    else:
        masses = np.random.default_rng(draw(st.integers(0, 99))).pareto(0.5, size)
    return Axis("x", size, ordered), masses


@given(axes_and_masses())
def test_levels_are_nested_and_shrink_and_their_groups_have_no_gaps(case):
    axis, masses = case
    levels = nested_levels(axis, masses)
    assert levels
    for level in levels:
        assert level.groups.shape == (axis.size,)
        assert sorted(set(level.groups.tolist())) == list(range(level.size))
    for finer, coarser in itertools.pairwise(levels):
        assert coarser.size < 0.85 * finer.size
        seen = {(f, c) for f, c in zip(finer.groups.tolist(), coarser.groups.tolist(), strict=True)}
        assert len(seen) == finer.size  # a finer group lies in one coarser group


@given(axes_and_masses())
def test_the_finest_level_keeps_every_code_apart_unless_there_are_too_many(case):
    axis, masses = case
    finest = nested_levels(axis, masses)[0]
    if axis.size <= 256:
        np.testing.assert_array_equal(finest.groups, np.arange(axis.size))
        assert finest.ordered == axis.ordered
    else:
        assert finest.size < 0.85 * axis.size


@given(axes_and_masses())
def test_groups_of_the_ordered_part_are_runs_and_never_mix_with_the_others(case):
    axis, masses = case
    for level in nested_levels(axis, masses):
        line = level.groups[: axis.ordered]
        assert (np.diff(line) >= 0).all()
        assert (np.diff(line) <= 1).all()
        assert level.ordered == (int(line.max()) + 1 if line.size else 0)
        assert (level.groups[axis.ordered :] >= level.ordered).all()


@given(axes_and_masses())
def test_a_code_of_half_the_weight_stays_alone(case):
    axis, masses = case
    weights = np.maximum(masses, 1e-12) ** 0.75
    heavy = int(np.argmax(weights))
    for level in nested_levels(axis, masses):
        if weights[heavy] >= 0.5 * weights.sum():
            assert (level.groups == level.groups[heavy]).sum() == 1


@given(axes_and_masses())
def test_the_coarsest_level_has_few_groups_but_more_than_one(case):
    """The plan's bounds rest on this: at least two groups (of two codes or more), at most 32."""
    axis, masses = case
    coarsest = nested_levels(axis, masses)[-1]
    assert min(axis.size, 2) <= coarsest.size <= 32


@pytest.mark.parametrize("size", [1, 2, 4, 5, 256, 257, 300, 320, 321, 1_000])
def test_even_masses_give_about_even_groups(size):
    for level in nested_levels(Axis("x", size, size), np.ones(size)):
        counts = np.bincount(level.groups)
        assert counts.max() <= 2 * counts[:-1].min() if counts.size > 1 else True
        assert level.size == size or level.size <= 2 * max(_TARGETS) + 256


def test_a_million_codes_have_levels_too():
    masses = np.random.default_rng(0).pareto(1.0, 1_000_000)
    levels = nested_levels(Axis("x", 1_000_000, 500_000), masses)
    assert levels[0].size <= 600
    assert levels[-1].size <= 32


def test_queries_share_the_memory_of_a_level_and_nobody_can_write_to_it():
    level = nested_levels(Axis("x", 300), np.ones(300))[0]
    query = Marginal((0,), (level.groups,))
    assert query.groups[0] is level.groups
    with pytest.raises(ValueError, match="read-only"):
        level.groups[0] = 1
