"""What was asked of the rows and what it cost: the entries, their sums, and the refusal to exceed them.

Two sums are kept. The *price* of an act adds up in the ledger's calculus and stays within what the guarantee
affords. Beside it, some acts have a *delta*: but for an event of that probability they are as good as their
price says. These deltas add up too, and stay within a part of the guarantee's delta that was set aside for
them when the ledger was opened; the price's budget is what the rest of delta affords.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn

from dpsynth.errors import BudgetRefusedError
from dpsynth.privacy.acts import Act, delta_of, price, share
from dpsynth.privacy.guarantee import CURRENCIES, Calculus, Guarantee

__all__ = ["Entry", "Ledger"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the ledger.

    Attributes:
        number: Position in the ledger, from 1.
        purpose: What the act was for, such as ``"one-way marginals"``.
        act: What was done.
        price: Its cost in the ledger's calculus, a multiple of ``2**-100``.
        columns: Names of the columns it touched.
        cells: Number of noisy integers it returned (1 for a choice).
        delta: What it spends of delta beside its price; 0 for most acts.
    """

    number: int
    purpose: str
    act: Act
    price: Fraction
    columns: tuple[str, ...]
    cells: int
    delta: Fraction = Fraction(0)


class Ledger:
    """The acts done under one guarantee, and what may still be spent.

    Args:
        guarantee: What may be spent in all.
        calculus: The currency of prices.
        delta_aside: The part of the guarantee's delta that acts may spend beside their prices, exact.

    Raises:
        GuaranteeError: ``delta_aside`` is not a fraction from 0 to below the guarantee's delta, or the
            guarantee affords nothing in this calculus.

    Privacy: holds public things only. Proof: proofs/composition.md
    """

    __slots__ = (
        "__aside",
        "__budget",
        "__calculus",
        "__closed",
        "__delta",
        "__entries",
        "__guarantee",
        "__lock",
        "__spent",
    )

    def __init__(self, guarantee: Guarantee, calculus: Calculus, delta_aside: Fraction = Fraction(0)) -> None:
        self.__budget = Fraction(guarantee.budget(calculus, delta_aside))
        self.__guarantee = guarantee
        self.__calculus: Calculus = calculus
        self.__aside = delta_aside
        self.__closed = False
        self.__entries: list[Entry] = []
        self.__spent = Fraction(0)
        self.__delta = Fraction(0)
        self.__lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Ledger({self.calculus}, spent={float(self.spent):.6g} of {float(self.budget):.6g})"

    @property
    def guarantee(self) -> Guarantee:
        """What is promised in all."""
        return self.__guarantee

    @property
    def calculus(self) -> Calculus:
        """The currency of prices."""
        return self.__calculus

    @property
    def budget(self) -> Fraction:
        """What may be spent in all: what the guarantee affords with ``delta_aside`` taken from its delta."""
        return self.__budget

    @property
    def delta_aside(self) -> Fraction:
        """What may be spent of delta beside the prices."""
        return self.__aside

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The acts so far, in order."""
        return tuple(self.__entries)

    @property
    def spent(self) -> Fraction:
        """Sum of the prices of all entries."""
        return self.__spent

    @property
    def delta_spent(self) -> Fraction:
        """Sum of the deltas of all entries."""
        return self.__delta

    @property
    def left(self) -> Fraction:
        """What may still be spent."""
        return self.__budget - self.__spent

    @property
    def delta_left(self) -> Fraction:
        """What may still be spent of delta beside the prices."""
        return self.__aside - self.__delta

    def affordable(self, budget: Fraction, purpose: str) -> Fraction:
        """Return a share of the budget, rounded down to a multiple of ``2**-100``.

        Raises:
            BudgetRefusedError: it exceeds what is left.
            GuaranteeError: it is not positive or far too small.
        """
        exact = share(budget)
        if exact > self.left:
            self.refuse(purpose, exact)
        return exact

    def refuse(self, purpose: str, cost: Fraction) -> NoReturn:
        """Refuse an act that is too dear, naming asked, left and budget."""
        unit = CURRENCIES[self.calculus]
        raise BudgetRefusedError(
            f"{purpose} asks {unit} = {_shown(cost)}; {_shown(self.left)} is left of {_shown(self.budget)} "
            f"({self.guarantee}). Nothing was drawn. Lower this act's share, or start a fit with a larger "
            "epsilon"
        )

    def charge(self, act: Act, purpose: str, columns: tuple[str, ...], cells: int) -> Entry:
        """Check both sums and write the entry, in one step that no other thread can come between.

        Args:
            act: What is about to be done.
            purpose: What it is for.
            columns: Names of the columns it touches.
            cells: Number of noisy integers it returns.

        Returns:
            The entry written.

        Raises:
            BudgetRefusedError: the price exceeds what is left, or the delta what is left of what was set
                aside, or the ledger is closed; nothing has changed.
            GuaranteeError: the act has no price in this calculus.
        """
        cost, delta = price(act, self.calculus), delta_of(act)
        with self.__lock:
            if self.__closed:
                raise BudgetRefusedError(
                    f"{purpose} comes too late: the ledger is closed, and what was left may have been "
                    "given back. Nothing was drawn. Start another fit"
                )
            if cost > self.left:
                self.refuse(purpose, cost)
            if delta > self.delta_left:
                raise BudgetRefusedError(
                    f"{purpose} asks delta = {_shown(delta)}; {_shown(self.delta_left)} is left of the "
                    f"{_shown(self.delta_aside)} set aside ({self.guarantee}). Nothing was drawn. Set aside "
                    "more of delta"
                )
            entry = Entry(
                number=len(self.__entries) + 1,
                purpose=purpose,
                act=act,
                price=cost,
                columns=columns,
                cells=cells,
                delta=delta,
            )
            self.__spent += cost
            self.__delta += delta
            self.__entries.append(entry)
        return entry

    def close(self) -> tuple[Entry, ...]:
        """Refuse every further act, for good, and return those that were done: no other can come after."""
        with self.__lock:
            self.__closed = True
            return tuple(self.__entries)


def _shown(value: Fraction) -> str:
    return f"{float(min(value, Fraction(10**300))):.6g}"
