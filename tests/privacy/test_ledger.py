"""The ledger: two sums, each within its bound, written in one step."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest

from dpsynth.errors import BudgetRefusedError, GuaranteeError
from dpsynth.privacy import ledger as module
from dpsynth.privacy.acts import ExponentialMechanism, RoundedGaussian, delta_of
from dpsynth.privacy.guarantee import Guarantee, gdp_budget, gdp_delta, zcdp_budget
from dpsynth.privacy.ledger import Entry, Ledger
from tests.privacy.tables import curator, marginal, rows

PROMISE = Guarantee(epsilon=1.0, delta=1e-6)
ACT = RoundedGaussian(sigma=100.0, sensitivity_squared=1)
ASIDE = Fraction(1, 4 * 10**6)


@pytest.fixture
def leaky(monkeypatch: pytest.MonkeyPatch) -> Fraction:
    """Let every act have a delta."""
    delta = ASIDE / 3
    monkeypatch.setattr(module, "delta_of", lambda act: delta)
    return delta


def _unchanged(ledger: Ledger, match: str, act: Any) -> None:
    before = (ledger.entries, ledger.spent, ledger.delta_spent)
    with pytest.raises(BudgetRefusedError, match=match):
        ledger.charge(act, "p", ("a",), 1)
    assert (ledger.entries, ledger.spent, ledger.delta_spent) == before


def test_an_entry_has_no_delta_unless_said() -> None:
    ledger = Ledger(PROMISE, "gdp")
    entry = ledger.charge(ACT, "p", ("a", "b"), 6)
    assert entry == Entry(number=1, purpose="p", act=ACT, price=entry.price, columns=("a", "b"), cells=6)
    assert (entry.delta, ledger.delta_spent, ledger.delta_aside, ledger.delta_left) == (0, 0, 0, 0)
    assert (ledger.entries, ledger.spent, ledger.guarantee) == ((entry,), entry.price, PROMISE)
    assert ledger.left == ledger.budget - entry.price
    assert repr(ledger) == f"Ledger(gdp, spent=0.0001 of {float(ledger.budget):.6g})"


@pytest.mark.parametrize("calculus", ["gdp", "zcdp"])
def test_the_budget_is_what_the_rest_of_delta_affords(calculus: str) -> None:
    """Independent of the code: the rest, rounded down, is the delta of the budget bought."""
    rest = math.nextafter(0.75e-6, 0)
    assert Fraction(rest) <= Fraction(1e-6) - ASIDE
    expected = (gdp_budget if calculus == "gdp" else zcdp_budget)(1.0, rest)
    ledger = Ledger(PROMISE, calculus, ASIDE)
    assert ledger.delta_aside == ASIDE
    assert float(ledger.budget) == pytest.approx(expected, rel=1e-14)
    assert ledger.budget < Ledger(PROMISE, calculus).budget
    if calculus == "gdp":
        assert Fraction(gdp_delta(ledger.budget, 1.0)) + ASIDE <= Fraction(1e-6)


@pytest.mark.parametrize("aside", [Fraction(1, 3 * 10**7), Fraction(1, 7 * 10**9), Fraction(1, 2**90)])
def test_what_is_left_of_delta_is_rounded_down(aside: Fraction) -> None:
    rest = PROMISE.delta_beside(aside)
    assert 0 <= Fraction(1e-6) - aside - Fraction(rest) < Fraction(1, 2**70)
    assert PROMISE.delta_beside(Fraction(0)) == 1e-6


@pytest.mark.parametrize("aside", [Fraction(-1, 10**9), Fraction(1e-6), Fraction(1), 1e-7, 0])
def test_no_more_than_delta_can_be_set_aside(aside: Any) -> None:
    with pytest.raises(GuaranteeError, match="no Fraction from 0 to below delta"):
        Ledger(PROMISE, "gdp", aside)
    with pytest.raises(GuaranteeError, match="no Fraction from 0 to below delta"):
        curator(rows(3), delta_aside=aside)


def test_an_overspent_price_is_refused(leaky: Fraction) -> None:
    ledger = Ledger(PROMISE, "gdp", ASIDE)
    ledger.charge(RoundedGaussian(sigma=8.0, sensitivity_squared=1), "p", ("a",), 1)
    _unchanged(
        ledger, "p asks mu\\^2 = 0.04; .* is left of", RoundedGaussian(sigma=5.0, sensitivity_squared=1)
    )


def test_an_overspent_delta_is_refused(leaky: Fraction) -> None:
    ledger = Ledger(PROMISE, "gdp", ASIDE)
    for number in range(1, 4):
        assert ledger.charge(ACT, "p", ("a",), 1).delta == leaky
        assert ledger.delta_spent == number * leaky
    assert ledger.delta_left == 0
    _unchanged(ledger, "p asks delta = 8.33333e-08; 0 is left of the 2.5e-07 set aside", ACT)
    _unchanged(Ledger(PROMISE, "gdp"), "0 is left of the 0 set aside", ACT)


def test_no_present_act_spends_delta_and_what_is_no_act_is_refused() -> None:
    for act in (ACT, ExponentialMechanism(epsilon=1.0, sensitivity=1, candidates=2)):
        assert delta_of(act) == 0
    with pytest.raises(GuaranteeError, match="float is not an act"):
        delta_of(0.5)  # type: ignore[arg-type]


def test_the_charge_is_made_under_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look from inside the critical section: another thread cannot come between check and entry."""
    ledger = Ledger(PROMISE, "gdp")
    lock = ledger._Ledger__lock  # type: ignore[attr-defined]
    held: list[bool] = []

    def watching(**fields: Any) -> Entry:
        held.append(lock.locked())
        return Entry(**fields)

    monkeypatch.setattr(module, "Entry", watching)
    ledger.charge(ACT, "p", ("a",), 1)
    assert held == [True]
    assert not lock.locked()


def test_the_curator_sets_aside_what_it_is_told() -> None:
    asked = curator(rows(9), delta_aside=ASIDE)
    assert asked.delta_aside == ASIDE
    assert asked.budget == Ledger(asked.guarantee, "gdp", ASIDE).budget


def test_a_closed_ledger_refuses_and_says_what_was_done() -> None:
    ledger = Ledger(PROMISE, "gdp")
    first = ledger.charge(ACT, "p", ("a",), 1)
    assert ledger.close() == (first,)
    _unchanged(ledger, "p comes too late: the ledger is closed", ACT)
    assert ledger.close() == (first,)


def test_nothing_is_drawn_after_a_curator_is_closed() -> None:
    found, query = curator(rows(9)), marginal(0)
    found.measure(query, budget=found.budget / 4, purpose="before")
    entries = found.close()
    assert [entry.purpose for entry in entries] == ["before"]
    with pytest.raises(BudgetRefusedError, match="after comes too late"):
        found.measure(query, budget=found.budget / 4, purpose="after")
    assert found.entries == entries
