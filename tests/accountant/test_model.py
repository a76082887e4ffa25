"""A book against a model of it that fits on one screen: whatever is done in whatever order, they agree."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from dpsynth.accountant import Accountant, Hold
from dpsynth.accountant.pricing import cost_of_act
from dpsynth.errors import BudgetRefusedError, InputError
from dpsynth.privacy.guarantee import gdp_budget, zcdp_budget
from tests.accountant.conftest import DELTA, HASH, drawn, promise

NAMES = st.sampled_from(["a", "b", "c"])
EPSILONS = st.sampled_from([0.25, 0.5, 1.0, 2.0])


class BookMachine(RuleBasedStateMachine):
    """Opens data sets, reserves, settles, loses holds; the model is two dictionaries of fractions."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "book.db"
        self.book = Accountant.create(self.path, dataset="a", epsilon=2.0, delta=DELTA)
        self.budget = {"a": Fraction(gdp_budget(2.0, DELTA))}
        self.calculus = {"a": "gdp"}
        self.open: dict[int, tuple[str, float, Fraction]] = {}
        self.settled: dict[int, tuple[str, Fraction]] = {}

    def teardown(self) -> None:
        for totals in self.book.show():
            name = totals.name
            assert totals.spent == self.spent(name) <= totals.budget == self.budget[name]
            held = {number for number, (owner, _, _) in self.open.items() if owner == name}
            assert {number for number, _ in totals.open} == held
            assert totals.epsilon_spent <= totals.epsilon * (1 + 1e-12)
        assert self.book.verify().passed
        self.folder.cleanup()

    def spent(self, name: str) -> Fraction:
        held = sum((cost for owner, _, cost in self.open.values() if owner == name), Fraction(0))
        return held + sum((cost for owner, cost in self.settled.values() if owner == name), Fraction(0))

    @rule(name=NAMES, epsilon=EPSILONS, calculus=st.sampled_from(["gdp", "zcdp"]))
    def create(self, name: str, epsilon: float, calculus: str) -> None:
        try:
            Accountant.create(self.path, dataset=name, epsilon=epsilon, delta=DELTA, calculus=calculus)
        except InputError:
            assert name in self.budget
        else:
            assert name not in self.budget
            self.calculus[name] = calculus
            self.budget[name] = Fraction((gdp_budget if calculus == "gdp" else zcdp_budget)(epsilon, DELTA))

    @rule(target=holds, name=NAMES, epsilon=EPSILONS)
    def reserve(self, name: str, epsilon: float) -> object:
        try:
            hold = self.book.reserve(promise(epsilon), calculus="gdp", mechanism="m", dataset=name)
        except InputError:
            assert name not in self.budget
            return multiple()
        except BudgetRefusedError:
            assert self.cost(name, epsilon) > self.budget[name] - self.spent(name)
            return multiple()
        cost = self.cost(name, epsilon)
        assert cost <= self.budget[name] - self.spent(name)
        self.open[hold.reference.reservation] = (name, epsilon, cost)
        return hold

    def cost(self, name: str, epsilon: float) -> Fraction:
        budget = Fraction(gdp_budget(epsilon, DELTA))
        return budget if self.calculus[name] == "gdp" else budget / 2

    @rule(hold=holds, eighths=st.integers(0, 8), failed=st.booleans())
    def settle(self, hold: Hold, eighths: int, failed: bool) -> None:
        number = hold.reference.reservation
        if number not in self.open:
            return
        name, epsilon, _ = self.open.pop(number)
        entries = drawn(promise(epsilon), Fraction(eighths, 10)) if eighths else ()
        hold.commit(entries, statement=None if failed else HASH)
        prices = [cost_of_act(entry.act, self.calculus[name]) for entry in entries]
        self.settled[number] = (name, sum(prices, Fraction(0)))

    @invariant()
    def agrees(self) -> None:
        told = self.book.history()
        assert {h.number: h.cost for h in told if h.state == "open"} == {
            number: cost for number, (_, _, cost) in self.open.items()
        }
        assert {h.number: (h.dataset, h.cost) for h in told if h.state != "open"} == self.settled


def test_a_book_does_what_a_simple_model_does() -> None:
    run_state_machine_as_test(
        BookMachine, settings=settings(max_examples=8, stateful_step_count=12, deadline=None)
    )
