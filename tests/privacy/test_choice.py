"""The exponential mechanism's sampler is exact: in law, where it can be enumerated, and in frequency."""

from __future__ import annotations

import secrets
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from dpsynth.privacy import noise
from tests.privacy.oracles import ALPHA, MP

N = 40_000


def _closed_form(scores: list[int], epsilon: float, sensitivity: int) -> np.ndarray:
    weight = [MP.exp(MP.mpf(epsilon) * s / (2 * sensitivity)) for s in scores]
    return np.array([float(w / sum(weight)) for w in weight])


def _agrees(counts: np.ndarray, p: np.ndarray) -> bool:
    return bool(stats.chisquare(counts, p * counts.sum()).pvalue > ALPHA)


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("scores", "epsilon", "sensitivity"),
    [([0, 1, 2], 1.0, 1), ([5, 5, 5, 5], 0.7, 1), ([-3, 4, 0], 1.5, 3), ([10**30, 10**30 - 2], 1.0, 1)],
)
def test_frequencies(scores: list[int], epsilon: float, sensitivity: int) -> None:
    """40,000 choices, chi-square at 1e-6; the same counts reject half or double the epsilon."""
    chosen = [noise.exponential_choice(scores, epsilon, sensitivity) for _ in range(N)]
    counts = np.bincount(chosen, minlength=len(scores))
    p = _closed_form(scores, epsilon, sensitivity)
    assert _agrees(counts, p)
    if len(set(scores)) > 1:
        for wrong in (epsilon / 2, epsilon * 2):
            q = _closed_form(scores, wrong, sensitivity)
            freedom = len(scores) - 1
            reach = stats.ncx2.sf(stats.chi2.isf(ALPHA, freedom), freedom, N * ((p - q) ** 2 / q).sum())
            assert reach > 1 - ALPHA
            assert not _agrees(counts, q)


def test_one_candidate_and_hopeless_candidates() -> None:
    assert noise.exponential_choice([-(10**40)], 1e-3, 1) == 0
    assert all(noise.exponential_choice([0, 10**25, -(10**25)], 10.0, 1) == 1 for _ in range(20))


@pytest.mark.parametrize("x", [Fraction(0), Fraction(1, 3), Fraction(1), Fraction(2, 7)])
def test_bernoulli_exp_is_exact(x: Fraction, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enumerate the paths: ``s`` successes then a failure has probability ``x**s/s! (1 - x/(s+1))``.

    True after an even ``s``; the sum over them is ``exp(-x)``. The script also pins the bounds that are asked
    of ``randbelow``, so the probabilities of the single steps are exactly ``x/k``.
    """
    total = MP.mpf(0)
    for successes in range(60 if x else 1):
        asked: list[int] = []

        def scripted(bound: int, asked: list[int] = asked, successes: int = successes) -> int:
            asked.append(bound)
            return 0 if len(asked) <= successes else bound - 1

        monkeypatch.setattr(secrets, "randbelow", scripted)
        if x == 1 and successes == 0:
            continue  # the first step of x = 1 cannot fail
        outcome = noise._bernoulli_exp_unit(x)
        assert asked == [x.denominator * k for k in range(1, successes + 2)]
        assert outcome == (successes % 2 == 0)
        path = Fraction(1)
        for k in range(1, successes + 1):
            path *= x / k
        path *= 1 - x / (successes + 1)
        total += MP.mpf((path if outcome else Fraction(0)).numerator) / path.denominator
    assert abs(total - MP.exp(-MP.mpf(x.numerator) / x.denominator)) < MP.mpf(10) ** -50


@pytest.mark.parametrize(("x", "units"), [(Fraction(5, 2), [1, 1, Fraction(1, 2)]), (Fraction(2), [1, 1])])
def test_above_one_the_exponent_is_split(
    x: Fraction, units: list[Fraction], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``exp(-x)`` is the product of the parts', whose sum is ``x``; the first False ends it."""
    seen: list[Fraction] = []
    monkeypatch.setattr(noise, "_bernoulli_exp_unit", lambda part: seen.append(part) or True)
    assert noise._bernoulli_exp(x)
    assert seen == units
    assert sum(seen) == x
    monkeypatch.setattr(noise, "_bernoulli_exp_unit", lambda part: False)
    assert not noise._bernoulli_exp(x)


def test_proposals_are_uniform_and_rates_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """``randbelow(m)`` proposes; acceptance is asked with ``epsilon (max - q_i) / (2 D)``, a rational."""
    rates: list[Fraction] = []
    proposals = iter([0, 2, 1])
    monkeypatch.setattr(secrets, "randbelow", lambda m: next(proposals) if m == 3 else -1)
    monkeypatch.setattr(noise, "_bernoulli_exp", lambda x: rates.append(x) or len(rates) == 3)
    assert noise.exponential_choice([7, 9, 4], 0.1, 3) == 1
    assert rates == [Fraction(0.1) * 2 / 6, Fraction(0.1) * 5 / 6, Fraction(0)]
