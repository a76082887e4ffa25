"""What a data set's budget may be, and whether it has room for a release: granted, or refused with why.

Proof: proofs/book.md
"""

from __future__ import annotations

import secrets
from fractions import Fraction
from typing import get_args

from dpsynth import __version__
from dpsynth.accountant.pricing import cost_of_release, epsilon_within
from dpsynth.accountant.records import Dataset, Reserved
from dpsynth.accountant.reference import MOST_RELEASES
from dpsynth.accountant.replay import Account, State
from dpsynth.accountant.totals import shown
from dpsynth.errors import BudgetRefusedError, GuaranteeError, InputError
from dpsynth.privacy.guarantee import CURRENCIES, Calculus, Guarantee

__all__ = ["asked", "terms"]


def terms(
    dataset: str,
    *,
    epsilon: float,
    delta: float,
    unit: str,
    adjacency: str,
    calculus: Calculus | None,
    delta_aside: float,
) -> Dataset:
    """Return what a data set may spend, checked; the arguments are those of ``Accountant.create``.

    Raises:
        GuaranteeError: epsilon, delta or delta_aside is out of range, or affords nothing.
        InputError: the name, the unit, the adjacency or the calculus is none.
    """
    if not isinstance(dataset, str) or not dataset.isprintable() or not 0 < len(dataset.strip()) <= 200:
        raise InputError("a data set's name is one line of 1 to 200 characters")
    if not isinstance(unit, str) or not unit.isprintable() or not 0 < len(unit) <= 1000:
        raise InputError("the privacy unit is 'row' or the name of a column, on one line")
    if adjacency not in ("add-remove", "replace-one"):
        raise InputError(f"adjacency={adjacency!r} is neither 'add-remove' nor 'replace-one'")
    guarantee = Guarantee(epsilon=epsilon, delta=delta, unit=unit)
    currency: Calculus = calculus or ("pure" if delta == 0 else "gdp")
    if currency not in get_args(Calculus) or (currency == "pure") != (delta == 0):
        raise InputError(
            f"calculus={currency!r} is not for delta={delta:g}: releases add up in 'gdp' or 'zcdp', or in "
            "'pure' where delta is 0"
        )
    try:
        aside = Fraction(delta_aside)
    except (TypeError, ValueError, OverflowError):
        raise GuaranteeError("what is set aside of delta is a number from 0 to below it") from None
    return Dataset(
        name=dataset,
        epsilon=float(epsilon),
        delta=float(delta),
        unit=unit,
        adjacency=adjacency,
        calculus=currency,
        delta_aside=aside,
        budget=Fraction(guarantee.budget(currency, aside)),
    )


def asked(
    where: str,
    state: State,
    account: Account,
    guarantee: Guarantee,
    *,
    calculus: Calculus,
    delta_aside: Fraction,
    mechanism: str,
) -> Reserved:
    """Return what is to be reserved for a release: all that its guarantee affords. It is within what is left.

    Args:
        where: The book and the data set, for messages.
        state: What was read of the book, in the transaction that is to write the reservation.
        account: The data set's account in it.
        guarantee: The release's.
        calculus: The currency of its ledger.
        delta_aside: The part of its delta that acts may spend beside their prices.
        mechanism: What is to be run.

    Raises:
        BudgetRefusedError: less is left, or the release protects another unit, or has no price in the data
            set's currency; names asked, spent, left and what could be had.
        GuaranteeError: the guarantee affords nothing.
    """
    budget = Fraction(guarantee.budget(calculus, delta_aside))
    found = Reserved(
        epsilon=float(guarantee.epsilon),
        delta=float(guarantee.delta),
        unit=guarantee.unit,
        rows_per_unit=guarantee.rows_per_unit,
        adjacency=guarantee.adjacency,
        calculus=calculus,
        budget=budget,
        delta_aside=delta_aside,
        cost=_cost(where, account, guarantee, calculus, budget),
        mechanism=mechanism,
        version=__version__,
        nonce=secrets.token_hex(16),
    )
    if len(state.nonces) >= MOST_RELEASES:
        raise BudgetRefusedError(
            f"{where}: the book has {MOST_RELEASES} releases, the most it keeps. No row was read; begin "
            "a new book with what is left"
        )
    if not state.admits(account, found):
        raise BudgetRefusedError(_refusal(where, account, found))
    return found


def _cost(
    where: str, account: Account, guarantee: Guarantee, calculus: Calculus, budget: Fraction
) -> Fraction:
    protected = account.terms.unit, account.terms.adjacency
    other = guarantee.unit, guarantee.adjacency
    if other != protected:
        raise BudgetRefusedError(
            f"{where} protects {_whom(*protected)}, and this fit {_whom(*other)}: they do not add up. No "
            "row was read. Change the schema's privacy_unit, or give this unit a data set of its own"
        )
    try:
        return cost_of_release(budget, calculus, account.terms.calculus)
    except BudgetRefusedError as error:
        raise BudgetRefusedError(f"{where} refuses: {error}. No row was read") from None


def _refusal(where: str, account: Account, asked: Reserved) -> str:
    """Say what was asked, spent and left, and what could be had."""
    terms = account.terms
    if asked.delta_aside > account.delta_left:
        return (
            f"{where} refuses: the fit sets aside {shown(asked.delta_aside)} of its delta for finding "
            f"categories; of what the data set keeps for that, {shown(account.delta_spent)} is spent and "
            f"{shown(account.delta_left)} left of {shown(terms.delta_aside)}. No row was read. State the "
            "categories in the schema, or create a data set with a larger --delta-aside"
        )
    reserved = sum((booking.cost for booking in account.open), Fraction(0))
    waiting = (
        f" ({shown(reserved)} of it reserved by {len(account.open)} fits not settled)" if reserved else ""
    )
    room = epsilon_within(account.left, terms.calculus, asked.delta)
    offer = (
        f"At this delta there is room for epsilon {room:g}" if room else "Lower epsilon, if anything is left"
    )
    return (
        f"{where} refuses: asked {shown(asked.cost)} (epsilon {asked.epsilon:g}, delta {asked.delta:g}); "
        f"spent {shown(account.spent)}{waiting}, left {shown(account.left)} of {shown(terms.budget)} in "
        f"{CURRENCIES[terms.calculus]} (epsilon {terms.epsilon:g}, delta {terms.delta:g} in all). No row was "
        f"read. {offer}"
    )


def _whom(unit: str, adjacency: str) -> str:
    what = "one row" if unit == "row" else f"all rows of one {unit!r}"
    return f"{what} ({adjacency})"
