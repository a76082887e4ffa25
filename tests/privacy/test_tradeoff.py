"""Bounds on attackers against riskcal, dp-accounting, enumeration and their own laws."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from dp_accounting.pld import privacy_loss_distribution
from hypothesis import given, settings
from hypothesis import strategies as st
from riskcal import analysis

from dpsynth.errors import GuaranteeError
from dpsynth.privacy import tradeoff
from dpsynth.privacy.guarantee import gdp_delta, gdp_epsilon, zcdp_delta
from dpsynth.privacy.tradeoff import advantage, delta_at, detection, epsilon_at
from tests.privacy.oracles import MP, quantile, tail_of

RATES = (1e-6, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.999)
MUS = (1e-3, 0.18, 1.0, 4.0)
RHOS = (0.0306, 1.2297)
EPSILONS = (1e-3, 0.5, 1.0, 5.0, 40.0)
CALCULI = ("gdp", "zcdp", "pure")


@pytest.mark.parametrize("mu", MUS)
def test_gdp_is_riskcals_and_above_the_exact_value(mu: float) -> None:
    for rate in RATES:
        found = detection(mu**2, "gdp", rate)
        assert found == pytest.approx(1 - analysis.get_beta_from_gdp(mu, rate), rel=1e-9, abs=1e-12)
        with MP.workdps(80):
            z = -quantile(MP.mpf(rate)) if rate <= 0.5 else quantile(1 - MP.mpf(rate))
            assert found >= tail_of(-(MP.sqrt(MP.mpf(mu**2)) + z))
    found = advantage(mu**2, "gdp")
    assert found == pytest.approx(analysis.get_advantage_from_gdp(mu), rel=1e-12)
    assert found == pytest.approx(gdp_delta(mu**2, 0.0), rel=1e-12)


@pytest.mark.parametrize("rho", RHOS)
def test_zcdp_is_riskcals_within_the_steps_of_its_orders(rho: float) -> None:
    for rate in (1e-3, 0.01, 0.1, 0.5):
        theirs = 1 - analysis.get_beta_from_zcdp(rho, rate)
        assert detection(rho, "zcdp", rate) == pytest.approx(theirs, rel=1e-5)
    assert advantage(rho, "zcdp") == pytest.approx(analysis.get_advantage_from_zcdp(rho), rel=1e-5)


@pytest.mark.parametrize("mu", [0.18, 1.0, 4.0])
def test_a_gaussian_is_within_the_bounds_of_its_zcdp(mu: float) -> None:
    """``N(mu, 1)`` against ``N(0, 1)`` is ``mu**2 / 2``-zCDP; what it allows must be within the bound."""
    for rate in RATES:
        assert detection(mu**2 / 2, "zcdp", rate) >= detection(mu**2, "gdp", rate) * (1 - 1e-12)
    assert advantage(mu**2 / 2, "zcdp") > advantage(mu**2, "gdp")


def test_zcdp_is_the_least_over_all_orders() -> None:
    """A dense grid of orders finds nothing better, and no order contradicts the bound."""
    rho, rate = 0.5, 0.01
    found = detection(rho, "zcdp", rate)

    def within(p: float, q: float) -> bool:
        a = 1 + np.exp(np.linspace(-9, 6, 4000))
        logs = np.logaddexp(a * np.log(p) + (1 - a) * np.log(q), a * np.log1p(-p) + (1 - a) * np.log1p(-q))
        return bool((logs <= a * (a - 1) * rho).all())

    low, high = rate, 1 - 1e-9
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, rate) and within(rate, middle) else (low, middle)
    assert found == pytest.approx(low, rel=1e-6)


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_pure_is_randomised_response(epsilon: float) -> None:
    """The pair that every pure mechanism is a post-processing of; its tests are enumerated."""
    p = 1 / (1 + math.exp(-epsilon))
    for rate in (1e-6, 0.01, 0.3, 0.5, 0.9):
        # accuse on the answer with likelihood ratio e^epsilon first, then at random on the other
        best = p * rate / (1 - p) if rate <= 1 - p else p + (1 - p) * (rate - (1 - p)) / p
        assert detection(epsilon, "pure", rate) == pytest.approx(best, rel=1e-9)
    assert advantage(epsilon, "pure") == pytest.approx(2 * p - 1, rel=1e-9)
    assert advantage(epsilon, "pure") == pytest.approx(analysis.get_advantage_from_adp(epsilon, 0), rel=1e-9)
    for smaller in (0.0, epsilon / 3, epsilon) if epsilon < 30 else ():
        exact = max(0.0, p - math.exp(smaller) * (1 - p))
        assert delta_at(epsilon, "pure", smaller) == pytest.approx(exact, rel=1e-6, abs=1e-11)


@pytest.mark.parametrize("sigma", [0.7, 3.0])
def test_gdp_is_dp_accountings_privacy_loss_distribution(sigma: float) -> None:
    pld = privacy_loss_distribution.from_gaussian_mechanism(
        sigma, value_discretization_interval=1e-4, use_connect_dots=True
    )
    spent = sigma**-2
    for rate in (0.01, 0.1, 0.5):
        theirs = 1 - analysis.get_beta_from_pld(pld, rate)
        assert detection(spent, "gdp", rate) == pytest.approx(theirs, rel=1e-3)
    assert advantage(spent, "gdp") == pytest.approx(pld.get_delta_for_epsilon(0.0), rel=1e-6)
    assert epsilon_at(spent, "gdp", 1e-6) == pytest.approx(pld.get_epsilon_for_delta(1e-6), rel=1e-3)


@pytest.mark.parametrize("delta", [1e-3, 0.1])
@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_a_delta_beside_is_the_region_of_epsilon_and_delta(epsilon: float, delta: float) -> None:
    """riskcal's exact region is within the bound, and meets it where the first side rules."""
    for rate in (0.001, 0.05, 0.4, 0.8):
        theirs = 1 - analysis.get_beta_from_adp(epsilon, delta, rate)
        found = detection(epsilon, "pure", rate, beside=delta)
        assert found >= theirs - 1e-12
        assert found <= theirs + delta * (1 + math.exp(epsilon)) + 1e-9
    found = advantage(epsilon, "pure", beside=delta)
    assert found >= analysis.get_advantage_from_adp(epsilon, delta) - 1e-12
    assert found <= advantage(epsilon, "pure") + delta + 1e-12
    assert delta_at(epsilon, "pure", epsilon, beside=delta) == pytest.approx(delta)
    assert delta_at(epsilon, "pure", 0.1, beside=delta) == pytest.approx(
        delta_at(epsilon, "pure", 0.1) + delta
    )
    assert delta_at(1.0, "gdp", 0.5, beside=delta) == pytest.approx(gdp_delta(1.0, 0.5) + delta)
    assert epsilon_at(1.0, "gdp", delta, beside=delta / 2) >= gdp_epsilon(1.0, delta / 2)
    assert epsilon_at(1.0, "gdp", delta, beside=delta) == math.inf


@pytest.mark.parametrize("calculus", CALCULI)
def test_laws(calculus: str) -> None:
    """More spent, more false alarms: more detected. Concave, above the diagonal, symmetric, ends at 1."""
    grid = (0.0, 0.01, 0.2, 0.5, 0.8, 1.0)
    for small, large in itertools.pairwise((0.01, 0.3, 2.0)):
        assert advantage(small, calculus) < advantage(large, calculus)
        for rate in grid[1:-1]:
            assert detection(small, calculus, rate) < detection(large, calculus, rate)
    values = [detection(0.3, calculus, rate) for rate in grid]
    assert (values[0], values[-1]) == (0.0, 1.0)
    slopes = [(b - a) / (y - x) for (x, a), (y, b) in itertools.pairwise(zip(grid, values, strict=True))]
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(slopes))
    assert all(value > rate for rate, value in zip(grid[1:-1], values[1:-1], strict=True))
    for rate, value in zip(grid[1:-1], values[1:-1], strict=True):
        assert detection(0.3, calculus, 1 - value) == pytest.approx(1 - rate, abs=1e-4)
    best = max(value - rate for rate, value in zip(grid, values, strict=True))
    assert best <= advantage(0.3, calculus)
    meeting = (1 - advantage(0.3, calculus)) / 2
    assert detection(0.3, calculus, meeting) - meeting == pytest.approx(advantage(0.3, calculus), abs=1e-6)


@given(
    amount=st.floats(1e-6, 50),
    rate=st.floats(0, 1),
    calculus=st.sampled_from(["gdp", "pure"]),
    beside=st.sampled_from([0.0, 1e-9, 0.01]),
)
@settings(deadline=None, max_examples=40)
def test_bounds_are_rates_and_follow_the_profile(
    amount: float, rate: float, calculus: str, beside: float
) -> None:
    found = detection(amount, calculus, rate, beside=beside)
    assert rate <= found <= 1
    assert found - rate <= advantage(amount, calculus, beside=beside) + beside + 1e-12
    for epsilon in (0.0, 1.0):  # the curve lies below every line that delta(epsilon) draws, mirrored at most
        line = math.exp(epsilon) * (rate + beside) + delta_at(amount, calculus, epsilon) + beside
        assert found <= line * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("calculus", CALCULI)
def test_extremes(calculus: str) -> None:
    assert detection(0.0, calculus, 0.3) == pytest.approx(0.3, abs=1e-9)
    assert advantage(0.0, calculus) == pytest.approx(0.0, abs=1e-9)
    assert detection(1e13, calculus, 0.3) == advantage(1e13, calculus) == 1.0
    assert detection(Fraction(1, 3), calculus, 0.3) >= detection(0.333, calculus, 0.3)
    assert detection(0.1, calculus, 0.0) == 0.0
    assert detection(0.1, calculus, 0.0, beside=0.25) >= 0.25
    assert detection(0.1, calculus, 0.999, beside=0.01) == 1.0
    assert epsilon_at(1.0, calculus, 0.999) < 0.01
    assert epsilon_at(1e10, calculus, 1e-9) in (math.inf, 1e10)
    assert epsilon_at(1e13, calculus, 1e-9) in (math.inf, 1e13)


def test_conversions_are_those_of_the_guarantee() -> None:
    assert delta_at(0.5, "gdp", 1.0) == gdp_delta(0.5, 1.0)
    assert delta_at(0.5, "zcdp", 1.0) == zcdp_delta(0.5, 1.0)
    assert epsilon_at(0.5, "gdp", 1e-6) == gdp_epsilon(0.5, 1e-6)
    assert epsilon_at(1.0, "pure", 0.0) == pytest.approx(1.0)
    assert epsilon_at(1.0, "pure", 0.0) >= 1.0
    assert epsilon_at(Fraction(1, 3), "pure", 0.0) >= Fraction(1, 3)
    halfway = epsilon_at(1.0, "pure", 0.1)
    assert delta_at(1.0, "pure", halfway) == pytest.approx(0.1, rel=1e-9)
    assert epsilon_at(1.0, "pure", 0.5) == 0.0
    assert epsilon_at(1.0, "gdp", 0.0) == math.inf
    assert epsilon_at(1.0, "pure", 0.1, beside=0.2) == math.inf


def test_a_p_far_out_is_not_within_reach() -> None:
    """The guard of the search: nothing is near a coin that never falls on heads."""
    assert not tradeoff._within(math, 2.0, 1.0, 0.5, 0.0)
    assert not tradeoff._within(math, 2.0, 1.0, 0.5, 1.0)
    assert tradeoff._within(math, 2.0, 1.0, 0.0, 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, "gdp", 0.1), "at least 0"),
        ((math.nan, "gdp", 0.1), "at least 0"),
        ((math.inf, "gdp", 0.1), "at least 0"),
        ((1.0, "renyi", 0.1), "none of gdp, zcdp, pure"),
        ((1.0, "gdp", 1.1), "not a rate"),
        ((1.0, "gdp", math.nan), "not a rate"),
    ],
)
def test_what_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(GuaranteeError, match=message):
        detection(*arguments)


def test_a_delta_of_one_is_refused() -> None:
    with pytest.raises(GuaranteeError, match="is not a delta"):
        advantage(1.0, "gdp", beside=1)
