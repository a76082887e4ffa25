"""Total variation distance against dictionaries of counts."""

from __future__ import annotations

import collections
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.evaluate import fidelity
from dpsynth.evaluate.fidelity import compare, mean_total_variation, total_variation, workload_error
from dpsynth.schema import Schema


@st.composite
def tables(draw):
    """Two tables over the same small domain, in some integer dtype, perhaps without rows."""
    sizes = [draw(st.integers(1, 5)) for _ in range(draw(st.integers(1, 4)))]
    dtype = draw(st.sampled_from([np.uint8, np.uint16, np.uint64, np.int64]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = [draw(st.sampled_from([0, 1, 7, 60])) for _ in range(2)]
    return sizes, *([rng.integers(0, s, n).astype(dtype) for s in sizes] for n in rows)


def oracle(real, synthetic):
    n, m = real[0].size, synthetic[0].size
    if n == 0 or m == 0:
        return float(n != m)
    counts = [collections.Counter(zip(*(c.tolist() for c in t), strict=True)) for t in (real, synthetic)]
    cells = set(counts[0]) | set(counts[1])
    return sum(abs(counts[0][c] / n - counts[1][c] / m) for c in cells) / 2


@given(tables(), st.booleans())
def test_it_is_half_the_sum_of_differences_of_shares(case, sparse):
    sizes, real, synthetic = case
    with pytest.MonkeyPatch.context() as patch:
        if sparse:
            patch.setattr(fidelity, "_DENSE", 0)
        found = total_variation(real, synthetic, sizes)
    assert found == pytest.approx(oracle(real, synthetic), abs=1e-12)


@given(tables())
def test_it_is_a_distance_between_zero_and_one(case):
    sizes, real, synthetic = case
    found = total_variation(real, synthetic, sizes)
    assert 0 <= found <= 1
    assert found == pytest.approx(total_variation(synthetic, real, sizes), abs=1e-12)
    assert total_variation(real, real, sizes) == 0


@given(tables(), st.integers(1, 4))
def test_the_mean_is_over_all_marginals_of_that_many_columns(case, ways):
    sizes, real, synthetic = case
    if ways > len(sizes):
        with pytest.raises(ValueError, match=f"{ways}-way marginals need at least {ways} columns"):
            mean_total_variation(real, synthetic, sizes, ways)
        return
    every = [
        oracle([real[c] for c in s], [synthetic[c] for c in s])
        for s in itertools.combinations(range(len(sizes)), ways)
    ]
    assert mean_total_variation(real, synthetic, sizes, ways) == pytest.approx(np.mean(every), abs=1e-12)


@given(tables(), st.integers(1, 4), st.booleans())
def test_a_workload_s_error_is_the_mean_gap_of_counts_for_each_real_row(case, ways, sparse):
    sizes, real, synthetic = case
    if ways > len(sizes) or not real[0].size:
        with pytest.raises(ValueError, match=r"marginals need at least|there are none"):
            workload_error(real, synthetic, sizes, ways)
        return
    gaps = []
    for s in itertools.combinations(range(len(sizes)), ways):
        counts = [
            collections.Counter(zip(*(t[c].tolist() for c in s), strict=True)) for t in (real, synthetic)
        ]
        gaps.append(sum(abs(counts[0][c] - counts[1][c]) for c in set(counts[0]) | set(counts[1])))
    with pytest.MonkeyPatch.context() as patch:
        if sparse:
            patch.setattr(fidelity, "_DENSE", 3)
        found = workload_error(real, synthetic, sizes, ways)
    assert found == pytest.approx(np.mean(gaps) / real[0].size, abs=1e-12)


def test_codes_beyond_32_bits_are_told_apart():
    big = 2**32
    column, moved = np.array([1, 1]), np.array([1, 1 + big])
    assert total_variation([column], [moved], [2 * big]) == pytest.approx(0.5)


def test_frames_are_compared_through_their_schema():
    schema = Schema.from_domain({"a": 3, "b": 2})
    real = pd.DataFrame({"a": [0, 1, 2, 2], "b": [0, 0, 1, 1]})
    synthetic = pd.DataFrame({"b": [0, 1, 0, 1], "a": [0, 1, 2, 2]})
    found = compare(schema, real, synthetic, ways=(1, 2, 3))
    assert found == pytest.approx({1: 0.0, 2: 0.5})


def test_disjoint_tables_are_at_distance_one():
    assert total_variation([np.zeros(5, dtype=int)], [np.ones(3, dtype=int)], [2]) == 1


def test_a_marginal_of_very_many_cells_is_compared_sparsely():
    rng = np.random.default_rng(0)
    sizes = [10**6] * 3
    columns = [rng.integers(0, 10**6, 1_000) for _ in sizes]
    moved = [c.copy() for c in columns]
    moved[2][:100] = (moved[2][:100] + 1) % 10**6
    assert total_variation(columns, moved, sizes) == pytest.approx(0.1)


def test_more_cells_than_integers_are_refused():
    column = np.zeros(1, dtype=int)
    with pytest.raises(ValueError, match=r"2\*\*62"):
        total_variation([column] * 4, [column] * 4, [10**6] * 4)
