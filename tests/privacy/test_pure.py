"""Pure epsilon: what the acts cost, what the door draws, what it refuses."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.errors import BudgetRefusedError, GuaranteeError
from dpsynth.privacy.acts import (
    DiscreteLaplace,
    ExponentialMechanism,
    RoundedGaussian,
    epsilon_for,
    noise_for,
    price,
    scale_for,
    share,
)
from dpsynth.privacy.sensitivity import Sensitivity
from tests.privacy.oracles import MP, quantile
from tests.privacy.tables import brute_force, curator, every_marginal, marginal, rows

GRID = Fraction(1, 2**100)


def zeros(query: Any) -> np.ndarray:
    return np.zeros(query.shape, dtype=np.int64)


@given(scale=st.floats(2.0**-40, 2.0**40), sensitivity=st.integers(1, 10**6))
def test_prices_are_exact_and_rounded_up(scale: float, sensitivity: int) -> None:
    act, exact = (
        DiscreteLaplace(scale=scale, sensitivity=sensitivity),
        Fraction(sensitivity) / Fraction(scale),
    )
    assert 0 <= price(act, "pure") - exact < GRID
    assert 0 <= price(act, "zcdp") - exact**2 / 2 < GRID


@pytest.mark.parametrize("epsilon", [1e-6, 0.5, 1.0, 90.0, 1e4])
def test_a_choice_costs_its_epsilon(epsilon: float) -> None:
    act = ExponentialMechanism(epsilon=epsilon, sensitivity=3, candidates=4)
    assert 0 <= price(act, "pure") - Fraction(epsilon) < GRID
    assert epsilon_for(Fraction(epsilon), "pure") <= epsilon
    assert epsilon_for(Fraction(epsilon), "pure") == pytest.approx(epsilon, rel=1e-15)
    assert epsilon_for(Fraction(10**6), "pure") == 1e4


@pytest.mark.parametrize("epsilon", [1e-6, 0.01, 0.5, 1.0, 8.0, 40.0, 2.0**13])
def test_the_gdp_price_is_that_of_the_kink_of_the_trade_off(epsilon: float) -> None:
    """``mu = -2 Phi^-1(1 / (1 + e^epsilon))`` with 120 digits: not below, and close."""
    with MP.workdps(120):
        mu_squared = (2 * quantile(1 / (1 + MP.exp(MP.mpf(epsilon))))) ** 2
        found = price(DiscreteLaplace(scale=1 / epsilon, sensitivity=1), "gdp")
        exact = MP.mpf(found.numerator) / found.denominator
        if 1 / Fraction(1 / epsilon) == Fraction(epsilon):
            assert exact >= mu_squared
        assert abs(exact - mu_squared) <= 1e-14 * mu_squared + 1e-29


def test_a_pure_price_in_gdp_has_its_limit() -> None:
    with pytest.raises(GuaranteeError, match="an epsilon above 10000 has no known price in gdp"):
        price(DiscreteLaplace(scale=1.0, sensitivity=10_001), "gdp")


@given(budget=st.fractions(Fraction(1, 2**35), 10**7), sensitivity=st.integers(1, 30))
def test_the_scale_bought_is_the_least(budget: Fraction, sensitivity: int) -> None:
    scale = scale_for(budget, sensitivity)
    assert price(DiscreteLaplace(scale=scale, sensitivity=sensitivity), "pure") <= budget
    less = scale
    for _ in range(3):
        less = math.nextafter(less, 0.0)
    assert Fraction(sensitivity) / Fraction(less) > share(budget)


def test_a_share_for_any_scale() -> None:
    assert scale_for(Fraction(2**50), 1) == 2.0**-40
    assert scale_for(Fraction(1, 2**40), 1) == 2.0**40
    for budget in (Fraction(1, 2**41), Fraction(1, 2**90)):
        with pytest.raises(GuaranteeError, match="would exceed 2\\*\\*40 rows"):
            scale_for(budget, 1)
    with pytest.raises(GuaranteeError, match="sensitivity is not a whole number"):
        scale_for(Fraction(1), 0)


def test_the_noise_bought_is_that_of_the_calculus() -> None:
    moved = Sensitivity(l1=6, l2_squared=12)
    assert noise_for(Fraction(1, 2), moved, "pure") == DiscreteLaplace(scale=12.0, sensitivity=6)
    gaussian = noise_for(Fraction(3), moved, "gdp")
    assert gaussian == RoundedGaussian(sigma=2.0, sensitivity_squared=12)
    assert noise_for(Fraction(3, 2), moved, "zcdp").sigma == 2.0


@pytest.mark.parametrize(
    "fields", [{"scale": s} for s in (0.0, -1.0, math.nan, math.inf, 2.0**41, "1", True)]
)
def test_a_scale_is_checked_at_birth(fields: dict[str, Any]) -> None:
    with pytest.raises(GuaranteeError, match=r"scale is outside \[2\*\*-40, 2\*\*40\]"):
        DiscreteLaplace(**{"sensitivity": 1} | fields)


@pytest.mark.parametrize("sensitivity", [0, -1, 1.0, True, "1"])
def test_a_sensitivity_is_checked_at_birth(sensitivity: Any) -> None:
    with pytest.raises(GuaranteeError, match="sensitivity is not a whole number"):
        DiscreteLaplace(scale=1.0, sensitivity=sensitivity)


@pytest.mark.parametrize(("backend", "sampler"), [("exact", "laplace"), ("opendp", "opendp laplace")])
@pytest.mark.parametrize("k", [1, 3])
def test_every_door_books_and_draws_laplace(
    backend: Any, sampler: str, k: int, no_noise: list[tuple[str, Any]]
) -> None:
    content = rows(20)
    asked = curator(content, k=k, backend=backend, delta=0.0)
    tenth = asked.budget / 10
    assert (asked.calculus, asked.budget) == ("pure", 10)
    measured = asked.measure(marginal(0, 1), budget=tenth, purpose="m")
    assert np.array_equal(measured.values, brute_force(content, marginal(0, 1)))
    scores, sigma = asked.score(every_marginal(), zeros, budget=tenth, purpose="s")
    assert scores.tolist() == [20] * 7
    asked.select(every_marginal(), zeros, budget=tenth, purpose="x", weights=[2] * 7)
    first, second, third = asked.entries
    assert first.act == DiscreteLaplace(scale=float(k), sensitivity=k)
    assert second.act == DiscreteLaplace(scale=float(7 * k), sensitivity=7 * k)
    assert third.act == ExponentialMechanism(epsilon=1.0, sensitivity=2 * k, candidates=7)
    assert (measured.sigma, sigma) == (first.act.sigma, second.act.sigma)
    assert [name for name, _ in no_noise] == [sampler, sampler, "exponential"]
    assert [asked_for for _, asked_for in no_noise[:2]] == [(6, float(k)), (7, float(7 * k))]
    assert asked.spent == sum(e.price for e in asked.entries) == 3


def test_real_noise_of_the_scale_is_added() -> None:
    """At scale 20 the 24 cells are all exact with probability below 0.03**24, all below 3 with 0.13**24."""
    for backend in ("exact", "opendp"):
        asked = curator(rows(0), delta=0.0, backend=backend)
        measured = asked.measure(marginal(0, 1, 2), budget=Fraction(1, 20), purpose="m")
        assert measured.values.shape == (3, 2, 4)
        assert np.abs(measured.values).max() >= 3


def test_overspending_is_refused(explosive: Any) -> None:
    asked = curator(rows(5), delta=0.0)
    explosive()
    with pytest.raises(BudgetRefusedError, match="asks epsilon = 11; 10 is left of 10"):
        asked.measure(marginal(0), budget=Fraction(11), purpose="m")
    assert asked.entries == ()
