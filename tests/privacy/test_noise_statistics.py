"""The samplers draw from the distribution they are priced for; a test that could not fail proves nothing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dpsynth.privacy import noise
from tests.conftest import ROOT
from tests.privacy.oracles import (
    ALPHA,
    discrete_gaussian_pmf,
    fits,
    power,
    rounded_gaussian_pmf,
    strongest_correlation,
)

SIGMAS = (0.3, 1.0, 5.0, 50.0)
N = 200_000


@pytest.mark.statistical
@pytest.mark.parametrize("sigma", SIGMAS)
def test_rounded_gaussian_has_its_pmf(sigma: float) -> None:
    """Chi-square on 200,000 draws; false-alarm rate 1e-6 per sigma."""
    assert fits(noise.rounded_gaussian(N, sigma), *rounded_gaussian_pmf(sigma))


@pytest.mark.statistical
@pytest.mark.parametrize("factor", [0.9, 1.1])
@pytest.mark.parametrize("sigma", SIGMAS)
def test_ten_percent_of_sigma_is_noticed(sigma: float, factor: float) -> None:
    """On 200,000 draws of 0.9 or 1.1 sigma the test for sigma alarms, with probability above 1 - 1e-6."""
    k, p = rounded_gaussian_pmf(1.1 * sigma)
    p, q = (np.interp(k, *rounded_gaussian_pmf(s), left=0, right=0) for s in (sigma, factor * sigma))
    assert power(k, p, q, N) > 1 - ALPHA
    assert not fits(noise.rounded_gaussian(N, factor * sigma), *rounded_gaussian_pmf(sigma))


@pytest.mark.parametrize("sigma", SIGMAS)
def test_guard_of_the_guard(sigma: float) -> None:
    """Broken samplers of 200,000 draws are rejected, a good one of numpy's is not (seeded)."""
    rng = np.random.default_rng(20_240_601)
    exact = rounded_gaussian_pmf(sigma)
    assert fits(np.rint(rng.normal(0, sigma, N)).astype(np.int64), *exact)
    broken = {
        "wrong sigma": rng.normal(0, 0.9 * sigma, N),
        "sigma for variance": rng.normal(0, sigma**2 if sigma != 1 else 2.0, N),
        "truncated": np.clip(rng.normal(0, sigma, N), -1.5 * sigma, 1.5 * sigma),
        "one-sided": np.abs(rng.normal(0, sigma, N)),
        "Laplace": rng.laplace(0, sigma / np.sqrt(2) if sigma >= 1 else sigma, N),  # alike on -1, 0, 1
        "biased": rng.normal(0.1 * sigma, sigma, N),
    }
    accepted = [name for name, draws in broken.items() if fits(np.rint(draws).astype(np.int64), *exact)]
    assert accepted == []
    if sigma <= 5:  # half a count is 0.01 sigma at 50: beyond the power of 200,000 draws
        assert not fits(np.floor(rng.normal(0, sigma, N)).astype(np.int64), *exact)


@pytest.mark.statistical
def test_cells_are_uncorrelated() -> None:
    """Neighbours within a call, and equal places of two calls: |r| sqrt(n) < 5.3, false alarm 4 * 1.2e-7."""
    first, second = noise.rounded_gaussian(N, 5.0), noise.rounded_gaussian(N, 5.0)
    assert strongest_correlation(first, second) < 5.3


@pytest.mark.statistical
def test_no_draw_comes_twice() -> None:
    """Two calls of 950 draws at sigma 2**40 share no value: by chance 1.8e6 pairs * 2.6e-13 = 4.6e-7.

    The same sequence on both sides of a chunk's border, 2**18, would be a reused buffer.
    """
    draws = np.concatenate([noise.rounded_gaussian(950, 2.0**40), noise.rounded_gaussian(950, 2.0**40)])
    assert np.unique(draws).size == draws.size
    long = noise.rounded_gaussian((1 << 18) + 500, 2.0**20)
    assert not np.array_equal(long[:500], long[1 << 18 :])


def test_forked_processes_do_not_repeat_each_other() -> None:
    """Two children forked after a first draw, and their parent, draw 64 numbers of sigma 2**20 each."""
    script = """
import os
import warnings
warnings.simplefilter("ignore")
from dpsynth.privacy import noise
noise.rounded_gaussian(8, 5.0)
for _ in range(2):
    if os.fork() == 0:
        os.write(1, (repr(noise.rounded_gaussian(64, 2.0**20).tolist()) + "\\n").encode())
        os._exit(0)
    os.wait()
os.write(1, (repr(noise.rounded_gaussian(64, 2.0**20).tolist()) + "\\n").encode())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stdout.split("\n")[:3]
    assert all(line.count(",") == 63 for line in lines)
    assert len(set(lines)) == 3


@pytest.mark.statistical
def test_opendp_draws_a_discrete_gaussian() -> None:
    """Chi-square on 20,000 draws at sigma 2, where rounded and discrete Gaussian differ; false alarm 1e-6."""
    draws = noise.discrete_gaussian(20_000, 2.0)
    k, p = discrete_gaussian_pmf(2.0)
    assert draws.dtype == np.int64
    assert fits(draws, k, p)
    assert power(k, p, np.interp(k, *discrete_gaussian_pmf(1.8), left=0, right=0), 20_000) > 1 - ALPHA
    assert not fits(noise.discrete_gaussian(20_000, 1.8), k, p)


def test_no_draw_at_all() -> None:
    assert noise.discrete_gaussian(0, 2.0).shape == (0,)
    assert noise.rounded_gaussian(0, 2.0).shape == (0,)


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf"), 2.0**41, 2.0**-41])
def test_sigma_out_of_range_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match=r"sigma is outside \[2\*\*-40, 2\*\*40\]"):
        noise.rounded_gaussian(1, sigma)
