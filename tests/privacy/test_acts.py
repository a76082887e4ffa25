"""Prices: exact where they are rational, certified where they are not, and never below the true cost."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from dpsynth.errors import GuaranteeError
from dpsynth.privacy import acts
from dpsynth.privacy.acts import (
    DiscreteGaussian,
    DiscreteLaplace,
    ExponentialMechanism,
    RoundedGaussian,
    act_from_dict,
    act_to_dict,
    epsilon_for,
    price,
    share,
    sigma_for,
)
from tests.privacy.oracles import MP, quantile

GRID = Fraction(1, 2**100)
BUDGETS = (
    Fraction(1, 10**20),
    Fraction(1, 10**6),
    Fraction(33, 1000),
    Fraction(1, 3),
    Fraction(7),
    Fraction(10**4),
)


def _exponential(epsilon: float) -> ExponentialMechanism:
    return ExponentialMechanism(epsilon=epsilon, sensitivity=1, candidates=2)


def _mu_squared(epsilon: float) -> object:
    with MP.workdps(120):
        return (2 * quantile(1 / (1 + MP.exp(MP.mpf(epsilon) / 2)))) ** 2


@given(sigma=st.floats(2.0**-20, 2.0**40), squared=st.integers(1, 10**12))
def test_gaussian_prices_are_exact_and_rounded_up(sigma: float, squared: int) -> None:
    exact = Fraction(squared) / Fraction(sigma) ** 2
    rounded = RoundedGaussian(sigma=sigma, sensitivity_squared=squared)
    discrete = DiscreteGaussian(sigma=sigma, sensitivity_squared=squared)
    assert 0 <= price(rounded, "gdp") - exact < GRID
    assert 0 <= price(rounded, "zcdp") - exact / 2 < 2 * GRID
    assert 0 <= price(discrete, "zcdp") - exact / 2 < GRID
    assert (price(rounded, "gdp") / GRID).denominator == 1


@pytest.mark.parametrize("epsilon", [1e-12, 1e-3, 0.1, 1.0, 4.0, 30.0, 90.0, 150.0, 230.0, 1000.0, 1e4])
def test_the_exponential_mechanism_is_priced_from_above_and_closely(epsilon: float) -> None:
    """Against bisection with 120 digits. Above epsilon 120, 50 digits of erfinv once priced it too low."""
    true = _mu_squared(epsilon)
    ours = price(_exponential(epsilon), "gdp")
    ours_mp = MP.mpf(ours.numerator) / ours.denominator
    assert true <= ours_mp
    assert ours_mp - true < MP.mpf(2) ** -98 * (1 + true)
    assert price(_exponential(epsilon), "zcdp") - Fraction(epsilon) ** 2 / 8 < GRID


def test_the_price_rises_with_epsilon_and_has_its_limits() -> None:
    epsilons = np.geomspace(1e-6, 1e4, 60)
    prices = [price(_exponential(float(e)), "gdp") for e in epsilons]
    assert all(a < b for a, b in itertools.pairwise(prices))
    small = 1e-5  # mu is about epsilon sqrt(2 pi) / 4 for small epsilon, and mu^2 < 4 epsilon for large
    assert math.isclose(float(price(_exponential(small), "gdp")), small**2 * math.pi / 8, rel_tol=1e-6)
    assert price(_exponential(1e4), "gdp") < 4 * 10**4


@given(
    scores=st.lists(st.integers(-8, 8), min_size=2, max_size=6),
    data=st.data(),
    epsilon=st.floats(0.01, 12),
    sensitivity=st.integers(1, 3),
)
def test_the_price_covers_every_neighbour(
    scores: list[int], data: st.DataObject, epsilon: float, sensitivity: int
) -> None:
    """The exact trade-off function of the mechanism on two neighbours lies above that of mu-GDP.

    Its vertices are those of the Neyman-Pearson tests; between them it is linear, the Gaussian's convex.
    """
    moves = st.integers(-sensitivity, sensitivity)
    others = [q + data.draw(moves) for q in scores]
    mu = math.sqrt(price(ExponentialMechanism(epsilon=epsilon, sensitivity=sensitivity, candidates=2), "gdp"))
    p, q = (special.softmax(epsilon * np.array(s) / (2 * sensitivity)) for s in (scores, others))
    for a, b in ((p, q), (q, p)):
        order = np.argsort(b / a)[::-1]  # reject where the second is likeliest
        alpha, power = np.cumsum(a[order]), np.cumsum(b[order])
        gaussian_power = special.ndtr(special.ndtri(np.minimum(alpha, 1)) + mu)  # exact for small alpha too
        assert np.all(power <= gaussian_power + 1e-12)


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 1.0, 3.0, 10.0, 25.0])
def test_half_of_epsilon_is_the_worst_threshold(epsilon: float) -> None:
    """mu(t) of the two-point mechanism with losses t, t - epsilon is largest at t = epsilon/2.

    Proved on the page of the exponential mechanism. Also checked: ``h(x) = phi(Phi^-1(x)) / (x (1-x))``
    rises on (1/2, 1), the lemma the proof rests on.
    """
    with MP.workdps(50):
        e = MP.mpf(epsilon)

        def mu(t: object) -> object:
            stay = (1 - MP.exp(t - e)) / (1 - MP.exp(-e))  # probability of loss t
            tails = (1 - stay, stay * MP.exp(-t))
            z = [quantile(x) if x <= 0.5 else -quantile(1 - x) for x in tails]
            return z[0] + z[1]

        worst = mu(e / 2)
        assert all(mu(e * i / 20) < worst for i in range(1, 20) if i != 10)
        true = _mu_squared(epsilon)
        assert abs(worst**2 - true) < MP.mpf(10) ** -40

        def h(z: object) -> object:
            return MP.npdf(z) / (MP.ncdf(z) * MP.ncdf(-z))

        values = [h(MP.mpf(i) / 10) for i in range(100)]
        assert all(a < b for a, b in itertools.pairwise(values))


@pytest.mark.parametrize("calculus", ["gdp", "zcdp"])
@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("squared", [1, 9, 1234])
def test_sigma_for_is_the_least_within_ulps(budget: Fraction, squared: int, calculus: str) -> None:
    make = RoundedGaussian if calculus == "gdp" else DiscreteGaussian
    sigma = sigma_for(budget, squared, calculus)
    assert price(make(sigma=sigma, sensitivity_squared=squared), calculus) <= budget
    less = sigma
    for _ in range(4):
        less = math.nextafter(less, 0.0)
    assert price(make(sigma=less, sensitivity_squared=squared), calculus) > share(budget)


@pytest.mark.parametrize("calculus", ["gdp", "zcdp", "pure"])
@pytest.mark.parametrize("budget", BUDGETS[1:])
def test_epsilon_for_is_the_largest_within_ulps(budget: Fraction, calculus: str) -> None:
    epsilon = epsilon_for(budget, calculus)
    assert price(_exponential(epsilon), calculus) <= budget
    more = epsilon
    for _ in range(8):
        more = math.nextafter(more, math.inf)
    assert more > 1e4 or price(_exponential(more), calculus) > budget


@given(budget=st.fractions(Fraction(1, 2**50), 10**6), squared=st.integers(1, 10**6))
def test_what_is_bought_never_costs_more_than_was_paid(budget: Fraction, squared: int) -> None:
    for calculus, make in (("gdp", RoundedGaussian), ("zcdp", DiscreteGaussian)):
        sigma = sigma_for(budget, squared, calculus)
        assert price(make(sigma=sigma, sensitivity_squared=squared), calculus) <= budget
        assert price(_exponential(epsilon_for(budget, calculus)), calculus) <= budget


def test_tiny_and_huge_shares_end() -> None:
    """Budgets off the grid of prices once took 2**31 steps of a search, or never ended."""
    assert sigma_for(Fraction(1, 2**80), 1, "gdp") == 2.0**40
    assert sigma_for(Fraction(1, 3**48), 1, "gdp") > 2e11
    assert epsilon_for(Fraction(10) ** 400, "gdp") == epsilon_for(Fraction(10) ** 400, "zcdp") == 1e4
    assert 0 < epsilon_for(Fraction(1, 2**95), "gdp") < 1e-13
    assert sigma_for(0.25, 1, "gdp") == 2.0  # a float share is taken as the fraction it is


@pytest.mark.parametrize("calculus", ["gdp", "zcdp"])
@pytest.mark.parametrize(
    "budget", [0, -1, 0.0, float("nan"), float("inf"), None, "1", True, Fraction(1, 2**101)]
)
def test_a_share_is_a_positive_number(budget: object, calculus: str) -> None:
    with pytest.raises(GuaranteeError, match="share of the budget"):
        sigma_for(budget, 1, calculus)
    with pytest.raises(GuaranteeError, match="share of the budget"):
        epsilon_for(budget, calculus)


def test_too_small_or_too_large_a_share_for_any_noise() -> None:
    with pytest.raises(GuaranteeError, match="would exceed"):
        sigma_for(Fraction(1, 2**82), 1, "gdp")
    with pytest.raises(GuaranteeError, match="would exceed"):
        sigma_for(Fraction(1), 0, "gdp")
    with pytest.raises(GuaranteeError, match=r"sigma is outside"):
        sigma_for(Fraction(10) ** 700, 1, "gdp")
    with pytest.raises(GuaranteeError, match="too small for a selection"):
        epsilon_for(Fraction(1, 2**99), "gdp")
    assert epsilon_for(Fraction(1, 2**100), "zcdp") > 0


def test_a_selection_that_no_float_can_afford(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the price misbehaves, the search ends in a refusal, not in an overspending act."""
    monkeypatch.setattr(acts, "price", lambda *_: Fraction(10**9))
    with pytest.raises(GuaranteeError, match="too small for a selection"):
        epsilon_for(Fraction(1), "zcdp")


def test_a_quantile_that_is_too_low_is_widened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The price does not rest on the root search: a wrong root is caught by the comparison after it."""
    monkeypatch.setattr(acts, "upper_quantile", lambda mp, _: mp.mpf(0))
    assert price(_exponential(3.0), "gdp") >= Fraction(float(_mu_squared(3.0)))


def test_unknown_acts_and_calculi_are_refused() -> None:
    with pytest.raises(GuaranteeError, match="DiscreteGaussian has no known price in gdp"):
        price(DiscreteGaussian(sigma=1.0, sensitivity_squared=1), "gdp")
    with pytest.raises(GuaranteeError, match="str has no known price"):
        price("free", "gdp")
    for kind in (RoundedGaussian, DiscreteGaussian):
        with pytest.raises(GuaranteeError, match=f"{kind.__name__} has no known price in pure"):
            price(kind(sigma=1.0, sensitivity_squared=1), "pure")
    with pytest.raises(GuaranteeError, match="none of gdp, zcdp, pure"):
        price(RoundedGaussian(sigma=1.0, sensitivity_squared=1), "renyi")


@pytest.mark.parametrize("kind", [RoundedGaussian, DiscreteGaussian])
@pytest.mark.parametrize(
    "sigma", [0.0, -1.0, float("nan"), float("inf"), 2.0**41, 2.0**-41, "1", None, True, 10**400]
)
def test_sigma_is_checked_at_birth(kind: type[RoundedGaussian], sigma: float) -> None:
    with pytest.raises(GuaranteeError, match=r"sigma is outside \[2\*\*-40, 2\*\*40\]"):
        kind(sigma=sigma, sensitivity_squared=1)


@pytest.mark.parametrize("squared", [0, -1, 1.0, float("nan"), True, "1"])
def test_sensitivity_is_checked_at_birth(squared: int) -> None:
    with pytest.raises(GuaranteeError, match="sensitivity_squared"):
        RoundedGaussian(sigma=1.0, sensitivity_squared=squared)


@pytest.mark.parametrize(
    "fields",
    [{"epsilon": e} for e in (0.0, -1.0, float("nan"), float("inf"), 10_001.0, "1", True)]
    + [{"sensitivity": s} for s in (0, 1.5, True)]
    + [{"candidates": c} for c in (0, 2.0)],
)
def test_a_selection_is_checked_at_birth(fields: dict[str, float]) -> None:
    with pytest.raises(GuaranteeError, match="exponential mechanism"):
        ExponentialMechanism(**{"epsilon": 1.0, "sensitivity": 1, "candidates": 1} | fields)


ALL_ACTS = st.one_of(
    st.builds(RoundedGaussian, sigma=st.floats(2.0**-40, 2.0**40), sensitivity_squared=st.integers(1, 2**70)),
    st.builds(
        DiscreteGaussian, sigma=st.floats(2.0**-40, 2.0**40), sensitivity_squared=st.integers(1, 2**70)
    ),
    st.builds(DiscreteLaplace, scale=st.floats(2.0**-40, 2.0**40), sensitivity=st.integers(1, 2**70)),
    st.builds(
        ExponentialMechanism,
        epsilon=st.floats(0, 1e4, exclude_min=True),
        sensitivity=st.integers(1, 2**70),
        candidates=st.integers(1, 2**40),
    ),
)


@given(act=ALL_ACTS)
def test_acts_survive_json(act: acts.Act) -> None:
    assert act_from_dict(json.loads(json.dumps(act_to_dict(act)))) == act


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "RoundedGaussian",
        {},
        {"act": "Laplace", "sigma": 1.0},
        {"act": ["RoundedGaussian"]},
        {"act": "Act"},
        {"act": "RoundedGaussian", "sigma": 1.0},
        {"act": "RoundedGaussian", "sigma": 1, "sensitivity_squared": 1},
        {"act": "RoundedGaussian", "sigma": 1.0, "sensitivity_squared": True},
        {"act": "RoundedGaussian", "sigma": 1.0, "sensitivity_squared": 1.0},
        {"act": "RoundedGaussian", "sigma": 1.0, "sensitivity_squared": 1, "price": 0},
        {"act": "RoundedGaussian", "sigma": float("nan"), "sensitivity_squared": 1},
        {"act": "RoundedGaussian", "sigma": 1.0, "sensitivity_squared": 0},
        {"act": "ExponentialMechanism", "epsilon": 1e308, "sensitivity": 1, "candidates": 1},
        {"act": "ExponentialMechanism", "epsilon": 1.0, "sensitivity": 1, "candidates": "1"},
        {"act": "RoundedGaussian", 1: 1.0, "sensitivity_squared": 1},
    ],
)
def test_hostile_entries_are_refused(content: object) -> None:
    with pytest.raises(GuaranteeError):
        act_from_dict(content)
