"""Between currencies: never too cheap, and never more in parts than as a whole."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from dpsynth.accountant.pricing import (
    cost_of_act,
    cost_of_release,
    delta_beside,
    epsilon_within,
    keeps,
    least_epsilon,
)
from dpsynth.errors import BudgetRefusedError, GuaranteeError
from dpsynth.privacy.acts import (
    DiscreteGaussian,
    DiscreteLaplace,
    ExponentialMechanism,
    RoundedGaussian,
    price,
)
from dpsynth.privacy.guarantee import Guarantee, gdp_budget, gdp_delta, zcdp_delta

CURRENCIES = ("gdp", "zcdp", "pure")


@pytest.mark.parametrize("calculus", CURRENCIES)
def test_within_one_currency_nothing_changes(calculus: str) -> None:
    assert cost_of_release(Fraction(1, 7), calculus, calculus) == Fraction(1, 7)


@pytest.mark.parametrize("epsilon", [0.001, 0.1, 1.0, 3.0, 20.0])
def test_pure_epsilon_in_the_others(epsilon: float) -> None:
    """Against the two-point mechanism (randomised response) that pure epsilon allows, on its own curve."""
    exact = Fraction(epsilon)
    mu_squared = cost_of_release(exact, "pure", "gdp")
    mu = math.sqrt(mu_squared)
    assert norm.cdf(-mu / 2) == pytest.approx(1 / (1 + math.exp(epsilon)), rel=1e-9)
    for a in np.linspace(0.001, 0.999, 97):  # type II error of the best test, and of N(0,1) against N(mu,1)
        least = max(0.0, 1 - math.exp(epsilon) * a, math.exp(-epsilon) * (1 - a))
        assert least >= norm.cdf(norm.ppf(1 - a) - mu) - 1e-9
    rho = cost_of_release(exact, "pure", "zcdp")
    assert rho == min(exact**2, mu_squared) / 2
    p = math.exp(epsilon) / (1 + math.exp(epsilon))
    for alpha in (1.01, 1.5, 2.0, 5.0, 50.0):  # Renyi divergence of randomised response
        logs = [
            alpha * math.log(p) + (1 - alpha) * math.log(1 - p),
            alpha * math.log(1 - p) + (1 - alpha) * math.log(p),
        ]
        divergence = (max(logs) + math.log1p(math.exp(min(logs) - max(logs)))) / (alpha - 1)
        assert divergence <= alpha * float(rho) * (1 + 1e-9)


def test_gdp_in_zcdp_is_half_and_exact_at_every_order() -> None:
    """The Renyi divergence of N(mu, 1) from N(0, 1) is alpha mu^2 / 2, and rho is half of mu^2."""
    mu_squared = Fraction(gdp_budget(1.0, 1e-9))
    rho = cost_of_release(mu_squared, "gdp", "zcdp")
    assert rho == mu_squared / 2
    for epsilon in (0.1, 1.0, 3.0):
        assert gdp_delta(mu_squared, epsilon) <= zcdp_delta(rho, epsilon)


@pytest.mark.parametrize(("calculus", "currency"), [("zcdp", "gdp"), ("gdp", "pure"), ("zcdp", "pure")])
def test_what_says_nothing_in_another_currency_is_refused(calculus: str, currency: str) -> None:
    with pytest.raises(BudgetRefusedError, match=r"calculus is zcdp|delta"):
        cost_of_release(Fraction(1, 100), calculus, currency)


def test_too_large_a_pure_epsilon_is_refused() -> None:
    with pytest.raises(GuaranteeError, match="above 5000 has no price"):
        cost_of_release(Fraction(10**400), "pure", "gdp")


def test_acts_take_the_least_of_their_prices() -> None:
    gaussian = RoundedGaussian(sigma=10.0, sensitivity_squared=1)
    assert cost_of_act(gaussian, "gdp") == price(gaussian, "gdp")
    assert cost_of_act(gaussian, "zcdp") == price(gaussian, "gdp") / 2
    small, large = (ExponentialMechanism(epsilon=e, sensitivity=1, candidates=2) for e in (0.1, 100.0))
    assert cost_of_act(small, "zcdp") == price(small, "zcdp") < price(small, "gdp") / 2
    assert cost_of_act(large, "zcdp") == price(large, "gdp") / 2 < price(large, "zcdp")
    discrete = DiscreteGaussian(sigma=10.0, sensitivity_squared=1)
    assert cost_of_act(discrete, "zcdp") == price(discrete, "zcdp")
    for act, currency in ((discrete, "gdp"), (discrete, "pure"), (gaussian, "pure")):
        with pytest.raises(GuaranteeError, match=f"has no price in {currency}"):
            cost_of_act(act, currency)


@given(
    epsilons=st.lists(st.floats(2.0**-10, 8.0), min_size=1, max_size=6),
    currency=st.sampled_from(CURRENCIES),
    choices=st.booleans(),
)
def test_sums_of_prices_stay_within_the_reservation(
    epsilons: list[float], currency: str, choices: bool
) -> None:
    """A release of pure epsilon is never dearer act by act than it was as a whole."""
    acts = [
        ExponentialMechanism(epsilon=e, sensitivity=1, candidates=2)
        if choices
        else DiscreteLaplace(scale=1 / e, sensitivity=1)
        for e in epsilons
    ]
    whole = sum((price(act, "pure") for act in acts), Fraction(0))
    parts = sum((cost_of_act(act, currency) for act in acts), Fraction(0))
    assert parts <= cost_of_release(whole, "pure", currency)


def test_mu_squared_of_pure_epsilon_grows_faster_than_epsilon() -> None:
    """What makes it superadditive (claim 3)."""
    grid = [Fraction(i, 16) for i in range(1, 200)]
    ratios = [cost_of_release(e, "pure", "gdp") / e for e in grid]
    assert ratios == sorted(ratios)


@pytest.mark.parametrize("currency", CURRENCIES)
def test_an_epsilon_that_covers_what_was_spent(currency: str) -> None:
    delta = 0.0 if currency == "pure" else 1e-9
    assert least_epsilon(Fraction(0), currency, delta) == 0.0
    spent = Fraction(1, 30)
    epsilon = least_epsilon(spent, currency, delta)
    assert keeps(spent, currency, epsilon, delta)
    assert not keeps(spent, currency, epsilon * (1 - 1e-9), delta)
    assert math.isinf(least_epsilon(Fraction(10**400), currency, delta))
    assert not keeps(Fraction(10**400), currency, 1e4, delta)


def test_no_epsilon_may_be_enough() -> None:
    assert math.isinf(least_epsilon(Fraction(10**11), "gdp", 1e-300))


@pytest.mark.parametrize("currency", CURRENCIES)
@pytest.mark.parametrize("left", ["1/1000", "1/7", "3", "50", "1000000"])
def test_the_room_that_is_left_is_room(currency: str, left: str) -> None:
    delta = 0.0 if currency == "pure" else 1e-9
    room = epsilon_within(Fraction(left), currency, delta)
    assert 0 < room <= 1e4
    assert Guarantee(epsilon=room, delta=delta).budget(currency) <= Fraction(left)
    assert room == 1e4 or Guarantee(epsilon=room * 1.002, delta=delta).budget(currency) > Fraction(left)


def test_there_may_be_no_room() -> None:
    assert epsilon_within(Fraction(0), "gdp", 1e-9) == 0.0


@pytest.mark.parametrize("aside", [Fraction(0), Fraction(1, 3 * 10**9), Fraction(1, 10**12)])
def test_what_is_beside_is_rounded_down(aside: Fraction) -> None:
    rest = delta_beside(1e-9, aside)
    assert Fraction(rest) <= Fraction(1e-9) - aside < Fraction(math.nextafter(rest, 1))


@pytest.mark.parametrize(("delta", "aside"), [(1e-9, 1e-9), (1e-9, -1e-12), (0.0, 1e-12)])
def test_not_all_may_be_set_aside(delta: float, aside: float) -> None:
    with pytest.raises(GuaranteeError, match="from 0 to below it"):
        delta_beside(delta, Fraction(aside))


def test_a_pure_data_set_sets_nothing_aside() -> None:
    assert delta_beside(0.0, Fraction(0)) == 0.0
