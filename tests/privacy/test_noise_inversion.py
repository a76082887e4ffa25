"""Lazy inversion against many digits: whatever the bits, the draw is the one those bits stand for."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from dpsynth.privacy import noise
from dpsynth.privacy.precise import precise, upper_quantile
from tests.privacy.oracles import MP, Script, quantile, reference_draw, tail_of

TOP = (1 << 63) - 1
SIGMAS = (2.0**-40, 1e-6, 0.3, 1.0, 7.25, 1e3, 1e6 + 0.1, 2.0**30, 2.0**37, 2.0**40)


def _draw(word: int, more: bytes, sigma: float) -> int:
    return int(noise._invert(np.array([word], dtype="<u8"), sigma, Script(more))[0])


def _more(seed: int, words: int = 12) -> bytes:
    return random.Random(seed).randbytes(4 * words)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_edges_of_the_word(sigma: float) -> None:
    tails = [0, 1, 2, 3, TOP, TOP - 1, 1 << 62, (1 << 62) - 1]
    tails += [(1 << 20) + d for d in (-2, -1, 0, 1, 2)] + [(1 << 53) + d for d in (-1, 0, 1)]
    for tail in tails:
        for sign in (0, 1 << 63):
            more = _more(tail)
            assert _draw(sign | tail, more, sigma) == reference_draw(sign | tail, more, sigma), (tail, sign)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 7.25, 1e3, 1e6 + 0.1, 2.0**30, 2.0**37, 2.0**40])
def test_words_beside_a_rounding_boundary(sigma: float) -> None:
    """The fast path must not decide what it cannot see: tails 0 to 2**44 steps from ``Q((k+1/2)/sigma)``."""
    for z in (1e-9, 0.1, 1.0, 3.0, 6.0):
        k = int(sigma * z)
        boundary = int(MP.floor(tail_of((MP.mpf(k) + MP.mpf(1) / 2) / MP.mpf(sigma)) * MP.mpf(2) ** 64))
        for distance in (0, 1, 2, 7, 100, 1 << 11, 1 << 20, 1 << 26, 1 << 44):
            for tail in (boundary - distance, boundary + distance):
                if 0 <= tail <= TOP:
                    more = _more(distance)
                    assert _draw(tail, more, sigma) == reference_draw(tail, more, sigma), (z, distance)


@pytest.mark.parametrize("sigma", [1.0, 1e3, 2.0**40])
@pytest.mark.parametrize("words", [1, 3, 6])
def test_entropy_that_follows_a_boundary_for_long(sigma: float, words: int) -> None:
    """The bits equal those of a boundary for ``words`` more draws, then leave it on either side."""
    for k in (0, 1, int(2 * sigma)):
        exact = tail_of((MP.mpf(k) + MP.mpf(1) / 2) / MP.mpf(sigma))
        point = int(MP.floor(exact * MP.mpf(2) ** (64 + 32 * words)))
        tail, digits = point >> (32 * words), point & ((1 << (32 * words)) - 1)
        same = [(digits >> (32 * (words - 1 - i))) & 0xFFFFFFFF for i in range(words)]
        for step in (-1, 1):
            last = same[-1] + step
            if not 0 <= last <= 0xFFFFFFFF:
                continue
            more = b"".join(w.to_bytes(4, "little") for w in [*same[:-1], last]) + _more(k)
            expected = k if step > 0 else k + 1
            assert reference_draw(tail, more, sigma) == expected
            assert _draw(tail, more, sigma) == expected


@given(
    words=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=8),
    log_sigma=st.floats(-40, 40),
    seed=st.integers(0, 2**32),
)
def test_any_word_and_sigma(words: list[int], log_sigma: float, seed: int) -> None:
    sigma, more = min(2.0**log_sigma, 2.0**40), _more(seed)
    for word in words:
        assert _draw(word, more, sigma) == reference_draw(word, more, sigma)


def test_a_batch_of_random_words_equals_the_reference() -> None:
    """A thousand words at once: the vectorised path gives each its own draw, in order."""
    rng = random.Random(3)
    words = [rng.getrandbits(64) for _ in range(1_000)]
    for sigma in (0.7, 1e4):
        drawn = noise._invert(np.array(words, dtype="<u8"), sigma, Script(_more(1, 200)))
        expected = [reference_draw(word, _more(1), sigma) for word in words]
        assert drawn.tolist() == expected


def test_the_sign_is_the_top_bit_and_zero_has_none() -> None:
    words = np.array([5 << 59, (5 << 59) | (1 << 63), TOP, TOP | (1 << 63)], dtype="<u8")
    a, b, zero, other_zero = noise._invert(words, 100.0, Script(b""))
    assert a == -b > 0
    assert zero == other_zero == 0


def test_bytes_become_words_little_endian_and_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "_CHUNK", 3)
    words = [(1 << 61) + (i << 40) for i in range(8)]
    script = Script(b"".join(w.to_bytes(8, "little") for w in words))
    assert noise._rounded_gaussian(8, 50.0, script).tolist() == [reference_draw(w, b"", 50.0) for w in words]
    assert script.rest == b""


def test_the_margin_of_ndtri_is_certified() -> None:
    """|ndtri error| is below a hundredth of the margin allowed for it, on tails from 2**-64 to 1/2.

    7,000 tails: log-spaced, and around the joints of the Cephes approximation (exp(-2), exp(-32)) and 1/2.
    The error is read off one Newton step at 60 digits.
    """
    joints = [np.exp(-2.0), np.exp(-32.0), 0.5, 1 - np.exp(-2.0)]
    near = [j * (1 + s * 2.0**-e) for j in joints for e in range(2, 53) for s in (-1, 1)]
    near += [float(np.nextafter(j, d)) for j in joints for d in (0, 1)]
    tails = np.concatenate([2.0 ** -np.linspace(1, 64, 6_500), near])
    tails = tails[(tails >= 2.0**-65) & (tails <= 0.5)]
    z = -special.ndtri(tails)
    worst = 0.0
    with MP.workdps(60):
        for u, guess in zip(tails.tolist(), z.tolist(), strict=True):
            step = abs((tail_of(guess) - MP.mpf(u)) / MP.npdf(guess))
            worst = max(worst, float(step) / (1 + guess))
    assert worst < noise._NDTRI_MARGIN / 100


def test_the_mills_ratio_bound() -> None:
    """``(1 - Phi) / phi`` is largest at 0, where it is ``sqrt(pi/2)``; the constant is not below."""
    assert MP.mpf(noise._MILLS) >= MP.sqrt(MP.pi / 2) * (1 - MP.mpf(2) ** -52)
    ratios = [tail_of(z) / MP.npdf(z) for z in np.linspace(0, 10, 200).tolist()]
    assert all(a > b for a, b in itertools.pairwise(ratios))


@pytest.mark.parametrize(
    "tail", ["0.5", "0.499999999999999999999999999999", "0.3", "1e-3", "1e-20", "1e-300"]
)
def test_the_quantile_of_many_digits(tail: str) -> None:
    expected = quantile(MP.mpf(tail))
    with precise(300) as mp:
        found = upper_quantile(mp, mp.mpf(MP.mpf(tail)))
        assert abs(found - mp.mpf(expected)) < mp.mpf(10) ** -60 * (1 + found)
