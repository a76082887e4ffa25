"""Bounds and bins from counts of intervals: exact on counts without noise, steady on noisy ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.buying.numbers import (
    FAN,
    Leaf,
    bounds_in,
    closer,
    cut_leaves,
    doubling_edges,
    equal_shares,
    grow,
    levels_of,
    split,
    tree_and_widths,
)
from dpsynth.privacy.seller import Histogram

POINTS = st.integers(-(2**61), 2**61)


def counter(values: np.ndarray, sigma: float = 2.0, seed: int = 0) -> Callable[[Sequence[int]], Histogram]:
    """Count values between edges, with Gaussian noise of test quality; ``sigma`` is stated either way."""
    rng = np.random.default_rng(seed)

    def count(edges: Sequence[int]) -> Histogram:
        exact, _ = np.histogram(values, bins=np.array(edges, dtype=np.int64))
        last = int((values == edges[-1]).sum())  # numpy closes the last interval, a seller does not
        exact[-1] -= last
        noisy = exact + (rng.normal(0, sigma, exact.size).round().astype(int) if seed else 0)
        return Histogram(edges=tuple(edges), counts=noisy, nulls=0, elsewhere=0, sigma=sigma, entry=1)

    return count


@given(POINTS, POINTS)
def test_doubling_intervals_cover_the_range_once(one: int, other: int) -> None:
    low, high = sorted((one, other))
    edges = doubling_edges(low, high)
    assert edges[0] == low
    assert edges[-1] == high + 1
    assert all(a < b for a, b in pairwise(edges))
    assert len(edges) <= 126
    for start, stop in pairwise(edges):
        assert stop - start <= max(
            1, min(abs(start), abs(stop - 1))
        )  # as long as it is far from zero, at most


@given(st.integers(-(2**50), 2**50), st.integers(1, 2**50), st.integers(1, 40))
def test_a_split_covers_an_interval_once(start: int, length: int, parts: int) -> None:
    edges = split(start, start + length, parts)
    assert (edges[0], edges[-1], len(edges) - 1) == (start, start + length, min(parts, length))
    lengths = np.diff(np.array(edges, dtype=object))
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1


@given(st.integers(1, 2**55))
def test_levels_lead_to_single_points(length: int) -> None:
    levels = levels_of(length)
    assert FAN**levels >= length
    assert levels == 1 or FAN ** (levels - 1) < length


def test_bounds_are_the_outermost_full_intervals() -> None:
    values = np.array([-5] * 50 + [0] * 900 + [100] * 40 + [70_000])
    found = counter(values)(doubling_edges(-(2**61), 2**61))
    ends = bounds_in(found)
    assert ends is not None
    assert [(leaf.start, leaf.stop) for leaf in ends] == [(-7, -3), (64, 128)]


def test_without_rows_there_are_no_bounds() -> None:
    assert bounds_in(counter(np.zeros(0))(doubling_edges(0, 1000))) is None


def test_bounds_reach_on_while_neighbours_have_rows() -> None:
    values = np.array([20] * 500 + [40] * 6 + [70] * 6 + [9] * 6 + [300] * 6)
    ends = bounds_in(counter(values)(doubling_edges(0, 10**6)))
    assert ends is not None
    assert (ends[0].start, ends[1].stop) == (8, 128)
    whole = bounds_in(counter(np.full(50, 6))([5, 6, 7, 8]))
    assert whole == (Leaf(6, 7, 50.0), Leaf(6, 7, 50.0))
    edge = bounds_in(counter(np.array([5] * 50 + [6] * 6 + [4] * 6))([4, 5, 6, 7]))
    assert edge is not None
    assert (edge[0].start, edge[1].stop) == (4, 7)


def test_noise_alone_rarely_looks_full() -> None:
    """One false alarm in 10,000 is stated: of 400 histograms of nothing, four have a chance below 1e-6."""
    alarms = sum(
        bounds_in(counter(np.zeros(0), 30.0, seed)(doubling_edges(0, 2**61))) is not None
        for seed in range(1, 401)
    )
    assert alarms < 4


def test_bounds_come_closer() -> None:
    values = np.concatenate([np.arange(20_000, 21_000), np.arange(30_000, 31_000)]).repeat(5)
    count = counter(values)
    ends = bounds_in(count(doubling_edges(0, 10**6)))
    assert ends is not None
    for _ in range(2):
        ends = closer(ends, count)
    assert 19_936 <= ends[0].start <= 20_000  # a sixteenth of a sixteenth of 16,384 .. 32,768
    assert 31_000 <= ends[1].stop <= 31_064


def test_bounds_that_are_points_or_empty_stay() -> None:
    ends = (Leaf(3, 4, 10.0), Leaf(9, 10, 10.0))
    assert closer(ends, lambda _: pytest.fail("nothing to count")) == ends
    wide = (Leaf(0, 64, 10.0), Leaf(64, 128, 10.0))
    assert closer(wide, counter(np.zeros(0))) == wide


def spiky() -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.concatenate(
        [np.zeros(5000), np.full(300, 7688), np.full(200, 15024), rng.integers(2000, 9000, 800)]
    )


@pytest.mark.parametrize("seed", [0, 3])
def test_values_that_pile_up_end_as_bins_of_their_own(seed: int) -> None:
    count = counter(spiky(), 4.0, seed)
    leaves = grow(count(doubling_edges(0, 16_383)), lambda _: count, 0.0)
    single = {leaf.start: leaf.count for leaf in leaves if leaf.stop - leaf.start == 1}
    assert {0, 7688, 15024} <= single.keys()
    assert single[7688] == pytest.approx(300, abs=30)
    assert leaves[0].start == 0
    assert all(a.stop == b.start for a, b in pairwise(leaves))
    assert leaves[-1].stop == 16_384


def test_an_even_interval_stays_whole() -> None:
    values = np.arange(4096).repeat(3)
    count = counter(values, 20.0, 1)
    leaves = grow(count([0, 4096]), lambda _: count, 0.0)
    assert len(leaves) <= 2


def test_levels_are_told_once_and_not_exceeded() -> None:
    asked: list[int] = []
    calls: list[int] = []
    plain = counter(spiky(), 4.0)

    def some(levels: int) -> Callable[[Sequence[int]], Histogram]:
        asked.append(levels)

        def count(edges: Sequence[int]) -> Histogram:
            calls.append(len(edges))
            return plain(edges)

        return count

    grow(plain(doubling_edges(0, 16_383)), some, 0.0)
    assert asked == [4]
    assert 1 <= len(calls) <= 4


def test_where_nothing_is_full_nothing_is_asked() -> None:
    count = counter(np.zeros(0))
    leaves = grow(count([0, 8, 64]), lambda _: pytest.fail("no level"), 0.0)
    assert (leaves[0].start, leaves[-1].stop) == (0, 64)


@given(st.lists(st.integers(-5, 100), min_size=1, max_size=60), st.integers(1, 40))
def test_bins_are_as_many_as_asked(counts: list[int], bins: int) -> None:
    leaves = [Leaf(i, i + 1, float(c)) for i, c in enumerate(counts)]
    for cut in (cut_leaves, equal_shares):
        starts = cut(leaves, bins)
        assert starts[0] == 0
        assert len(starts) <= bins
        assert starts == sorted(set(starts))


@given(st.lists(st.integers(0, 100), min_size=1, max_size=60), st.integers(1, 40), st.integers(0, 40))
def test_tree_and_widths_share_the_bins(counts: list[int], bins: int, cut: int) -> None:
    leaves = [Leaf(3 * i, 3 * i + 3, float(c)) for i, c in enumerate(counts)]
    low, high = min(cut, 3 * len(counts) - 1), 3 * len(counts) - 1
    starts = tree_and_widths(leaves, low, high, bins)
    assert starts[0] == low
    assert starts[-1] <= high
    assert len(starts) <= bins
    assert starts == sorted(set(starts))
    if bins >= 2 * len(counts):
        assert {leaf.start for leaf in leaves if low < leaf.start} <= set(starts)


def test_shares_are_about_equal() -> None:
    leaves = [Leaf(i, i + 1, 10.0) for i in range(100)]
    assert equal_shares(leaves, 4) == [0, 25, 50, 75]
    assert cut_leaves([Leaf(0, 1, 50.0), Leaf(1, 2, -3.0), Leaf(2, 3, 1.0), Leaf(3, 4, 70.0)], 3) == [0, 1, 3]
