"""The discrete Laplace: exactly the draw its bits stand for, and the law it is priced for."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.privacy import noise
from dpsynth.privacy.acts import DiscreteLaplace
from tests.privacy.oracles import (
    ALPHA,
    MP,
    Script,
    discrete_laplace_cdf,
    discrete_laplace_pmf,
    fits,
    fits_cells,
    power,
    reference_geometric,
    strongest_correlation,
)

TOP = (1 << 64) - 1
SCALES = (2.0**-40, 1e-6, 0.02, 0.3, 1.0, 7.25, 1e3, 1e6 + 0.1, 2.0**30, 2.0**40)
TESTED = (0.3, 1.0, 5.0, 50.0)
N = 200_000


def _draw(word: int, more: bytes, scale: float) -> int:
    return int(noise._invert_exponential(np.array([word], dtype="<u8"), scale, Script(more))[0])


def _more(seed: int, words: int = 12) -> bytes:
    return random.Random(seed).randbytes(4 * words)


@pytest.mark.parametrize("scale", SCALES)
def test_edges_of_the_word(scale: float) -> None:
    words = [0, 1, 2, 3, TOP, TOP - 1, 1 << 63, (1 << 63) - 1]
    words += [(1 << 20) + d for d in (-2, -1, 0, 1, 2)] + [(1 << 53) + d for d in (-1, 0, 1)]
    for word in words:
        more = _more(word)
        assert _draw(word, more, scale) == reference_geometric(word, more, scale), word


@pytest.mark.parametrize("scale", [0.3, 1.0, 7.25, 1e3, 1e6 + 0.1, 2.0**30, 2.0**37, 2.0**40])
def test_words_beside_an_integer(scale: float) -> None:
    """The fast path must not decide what it cannot see: words 0 to 2**44 steps from ``exp(-k / scale)``."""
    for nats in (1e-9, 0.1, 1.0, 6.0, 25.0):
        k = int(scale * nats) + 1
        boundary = int(MP.floor(MP.exp(-MP.mpf(k) / MP.mpf(scale)) * MP.mpf(2) ** 64))
        for distance in (0, 1, 2, 7, 100, 1 << 11, 1 << 20, 1 << 26, 1 << 44):
            for word in (boundary - distance, boundary + distance):
                if 0 <= word <= TOP:
                    more = _more(distance)
                    assert _draw(word, more, scale) == reference_geometric(word, more, scale)


@pytest.mark.parametrize("scale", [1.0, 1e3, 2.0**40])
@pytest.mark.parametrize("words", [1, 3, 6])
def test_entropy_that_follows_an_integer_for_long(scale: float, words: int) -> None:
    """The bits equal those of ``exp(-k / scale)`` for ``words`` more draws, then leave it on either side."""
    for k in (1, 2, int(2 * scale)):
        with MP.workdps(150):
            point = int(MP.floor(MP.exp(-MP.mpf(k) / MP.mpf(scale)) * MP.mpf(2) ** (64 + 32 * words)))
        word, digits = point >> (32 * words), point & ((1 << (32 * words)) - 1)
        same = [(digits >> (32 * (words - 1 - i))) & 0xFFFFFFFF for i in range(words)]
        for step in (-1, 1):
            last = same[-1] + step
            if not 0 <= last <= 0xFFFFFFFF:
                continue
            more = b"".join(w.to_bytes(4, "little") for w in [*same[:-1], last]) + _more(k)
            assert _draw(word, more, scale) == (k if step < 0 else k - 1)
            assert reference_geometric(word, more, scale) == (k if step < 0 else k - 1)


@given(
    words=st.lists(st.integers(0, TOP), min_size=1, max_size=8),
    log_scale=st.floats(-40, 40),
    seed=st.integers(0, 2**32),
)
def test_any_word_and_scale(words: list[int], log_scale: float, seed: int) -> None:
    scale, more = min(2.0**log_scale, 2.0**40), _more(seed)
    for word in words:
        assert _draw(word, more, scale) == reference_geometric(word, more, scale)


def test_a_batch_of_words_is_drawn_in_order_and_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "_CHUNK", 300)
    rng = random.Random(3)
    words = [rng.getrandbits(64) for _ in range(1_000)]
    script = Script(b"".join(w.to_bytes(8, "little") for w in words))
    for scale in (0.7, 100.0):
        script = Script(b"".join(w.to_bytes(8, "little") for w in words))
        drawn = noise._geometric(1_000, scale, script)
        assert drawn.tolist() == [reference_geometric(w, b"", scale) for w in words]
        assert script.rest == b""


def test_the_margin_of_the_logarithm_is_certified() -> None:
    """numpy's log errs by less than an eighth of the margin allowed, on doubles from 2**-65 to 1.

    8,000 of them: log-spaced; near 1, where the logarithm vanishes; and near powers of two and of sqrt(2),
    where implementations change their tables.
    """
    near = [2.0 ** (-e / 2) * (1 + s * 2.0**-d) for e in range(12) for d in range(2, 53) for s in (-1, 1)]
    points = np.concatenate([2.0 ** -np.linspace(0.01, 64, 6_500), near])
    points = points[(points >= 2.0**-65) & (points < 1)]
    found = np.log(points)
    with MP.workdps(60):
        errors = [
            float(abs(MP.mpf(f) - MP.log(MP.mpf(u))) / abs(MP.log(MP.mpf(u))))
            for u, f in zip(points.tolist(), found.tolist(), strict=True)
        ]
    assert len(errors) > 7_000
    assert max(errors) < noise._LOG_MARGIN / 8


@pytest.mark.statistical
@pytest.mark.parametrize("sampler", ["exact", "opendp"])
@pytest.mark.parametrize("scale", TESTED)
def test_it_has_its_pmf(scale: float, sampler: str) -> None:
    """Chi-square on 200,000 draws (OpenDP: 20,000); false-alarm rate 1e-6 each."""
    draws = noise.discrete_laplace(N, scale) if sampler == "exact" else noise.opendp_laplace(20_000, scale)
    assert draws.dtype == np.int64
    assert fits(draws, *discrete_laplace_pmf(scale))


@pytest.mark.statistical
@pytest.mark.parametrize("factor", [0.9, 1.1])
@pytest.mark.parametrize("scale", TESTED)
def test_ten_percent_of_scale_is_noticed(scale: float, factor: float) -> None:
    """On 200,000 draws of 0.9 or 1.1 scales the test alarms, with probability above 1 - 1e-6."""
    k, p = discrete_laplace_pmf(1.1 * scale)
    p, q = (np.interp(k, *discrete_laplace_pmf(s), left=0, right=0) for s in (scale, factor * scale))
    assert power(k, p, q, N) > 1 - ALPHA
    assert not fits(noise.discrete_laplace(N, factor * scale), *discrete_laplace_pmf(scale))


def test_guard_of_the_guard() -> None:
    """Broken samplers of 200,000 draws are rejected, a good one of numpy's is not (seeded)."""
    rng, scale = np.random.default_rng(20_241_124), 1.0
    q = np.exp(-1 / scale)
    exact = discrete_laplace_pmf(scale)
    first, second = rng.geometric(1 - q, N), rng.geometric(1 - q, N)
    assert fits(first - second, *exact)
    broken = {
        "rounded Laplace": np.rint(rng.laplace(0, scale, N)),
        "Gaussian": np.rint(rng.normal(0, np.sqrt(2) * scale, N)),
        "zero counted twice": np.where(rng.random(N) < 0.5, 1, -1) * (first - 1),
        "one-sided": np.abs(first - second),
    }
    accepted = [name for name, draws in broken.items() if fits(draws.astype(np.int64), *exact)]
    assert accepted == []


@pytest.mark.statistical
@pytest.mark.parametrize("scale", [1e4, 1e6 + 0.1, 2.0**30, 2.0**40])
def test_it_has_its_quantiles_at_huge_scales(scale: float) -> None:
    """Chi-square on 30,000 draws over 60 cells of nearly equal probability; false-alarm rate 1e-6 each."""
    level = np.arange(1, 60) / 60
    far = -np.log(2 * np.minimum(level, 1 - level))
    edges = np.rint(np.sign(level - 0.5) * scale * far)
    cumulated = np.concatenate([[0.0], discrete_laplace_cdf(edges, scale), [1.0]])
    draws = noise.discrete_laplace(30_000, scale)
    assert fits_cells(draws, edges, np.diff(cumulated))
    assert not fits_cells((0.9 * draws).astype(np.int64), edges, np.diff(cumulated))


def test_a_tiny_scale_gives_no_noise() -> None:
    """At scale 1/100 a draw differs from 0 with probability 8e-44."""
    for scale in (2.0**-40, 0.01):
        assert not noise.discrete_laplace(10_000, scale).any()


@pytest.mark.statistical
def test_cells_are_uncorrelated() -> None:
    """Neighbours within a call, and equal places of two calls: |r| sqrt(n) < 5.3, false alarm 4 * 1.2e-7."""
    first, second = noise.discrete_laplace(N, 5.0), noise.discrete_laplace(N, 5.0)
    assert strongest_correlation(first, second) < 5.3


def test_the_two_halves_of_a_draw_have_entropy_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    plain = noise.os.urandom
    monkeypatch.setattr(noise.os, "urandom", lambda count: asked.append(count) or plain(count))
    assert noise.discrete_laplace(100, 3.0).any()
    assert asked == [800, 800]


def test_no_draw_at_all() -> None:
    assert noise.discrete_laplace(0, 1.0).shape == noise.opendp_laplace(0, 1.0).shape == (0,)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 2.0**41, 2.0**-41])
def test_a_scale_out_of_range_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale is outside"):
        noise.discrete_laplace(1, scale)


@pytest.mark.parametrize("scale", [0.02, 0.3, 1.0, 7.0, 1e4])
def test_the_standard_deviation_is_that_of_the_law(scale: float) -> None:
    k, p = discrete_laplace_pmf(scale)
    assert p.sum() == pytest.approx(1, rel=1e-12)
    sigma = DiscreteLaplace(scale=scale, sensitivity=1).sigma
    assert sigma == pytest.approx(np.sqrt((k.astype(float) ** 2 * p).sum()), rel=1e-9)


@pytest.mark.parametrize("scale", [2.0**-40, 1e-4, 0.01])
def test_a_standard_deviation_is_never_nothing(scale: float) -> None:
    assert DiscreteLaplace(scale=scale, sensitivity=1).sigma == 2.0**-40
