"""The compiled loops against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from dpsynth.model import kernels


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_marginalise_is_bincount(cells, groups, seed):
    rng = np.random.default_rng(seed)
    table, index = rng.random(cells), rng.integers(0, groups, cells).astype(np.int32)
    out = np.full(groups, np.nan)
    kernels.marginalise(table, index, out)
    np.testing.assert_allclose(out, np.bincount(index, weights=table, minlength=groups), atol=1e-12)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_scaling_meets_the_target_where_there_is_mass_and_tells_the_gap(cells, groups, seed):
    rng = np.random.default_rng(seed)
    table = np.where(rng.random(cells) < 0.3, 0.0, rng.random(cells))
    index, target = rng.integers(0, groups, cells).astype(np.int32), rng.random(groups)
    before = np.bincount(index, weights=table, minlength=groups)
    scaled = table.copy()
    gap = kernels.scale_to(scaled, index, target, np.empty(groups))
    assert gap == pytest.approx(np.abs(before - target).sum())
    after = np.bincount(index, weights=scaled, minlength=groups)
    np.testing.assert_allclose(after, np.where(before > 0, target, 0.0), atol=1e-12)
    np.testing.assert_allclose(scaled * before[index], table * after[index], atol=1e-12)
    assert (scaled[table == 0] == 0).all()


@pytest.mark.statistical
@pytest.mark.parametrize("bound", [2, 3, 10, 1000])
def test_the_generator_is_even_and_its_halves_are_independent(bound):
    """Chi-square of 100,000 draws from each half of a word, and of both together in 2 x 2 parts: alarm 1e-7
    each, 3e-7 in all. The guard: draws that never give the last tenth of the values are seen.
    """
    state, high, low = np.uint64(88172645463325252), [], []
    for _ in range(100_000):
        state, word = kernels._next_word(state)
        high.append(kernels._below(np.uint64(int(word) >> 32), bound))
        low.append(kernels._below(np.uint64(int(word) & 0xFFFFFFFF), bound))
        state = np.uint64(state)

    def tail(values, size):
        counts, due = np.bincount(values, minlength=size), len(values) / size
        return chi2.sf(((counts - due) ** 2 / due).sum(), size - 1)

    assert max(high) < bound
    assert tail(high, bound) > 1e-7
    assert tail(low, bound) > 1e-7
    both = np.array(high) * 2 // bound * 2 + np.array(low) * 2 // bound
    if bound % 2 == 0:
        assert tail(both, 4) > 1e-7
        assert tail(np.minimum(both, 2), 4) < 1e-7
    assert tail(np.minimum(high, bound * 9 // 10 - 1), bound) < 1e-7
