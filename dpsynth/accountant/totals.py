"""What a book adds up to, for people and programs: totals of a data set, and the history of its releases."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from dpsynth.accountant import chain, database
from dpsynth.accountant.pricing import delta_beside, epsilon_within, least_epsilon
from dpsynth.accountant.records import Begun, Drawn, Record, Reserved, content_of
from dpsynth.accountant.reference import BookReference, Earlier
from dpsynth.accountant.replay import Account, Booking, State, replaying
from dpsynth.errors import InputError
from dpsynth.privacy.guarantee import CURRENCIES, Calculus

__all__ = ["History", "Totals", "chosen", "history_of", "only", "reference_of", "shown", "totals_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a data set may spend, has spent and has left.

    Attributes:
        name: Of the data set.
        number: Of the record that gave it its budget.
        at: When, UTC.
        epsilon: Of the guarantee that all its releases keep together.
        delta: Likewise.
        unit: ``"row"``, or the column that identifies the privacy unit.
        adjacency: ``"add-remove"`` or ``"replace-one"``.
        calculus: The currency of the amounts: ``"gdp"`` (``mu**2``), ``"zcdp"`` (``rho``) or ``"pure"``
            (epsilon).
        budget: What may be spent in it, exact.
        spent: What is spent, all that is reserved included.
        reserved: The part of it that belongs to fits not settled: under way, or broken off.
        epsilon_spent: What is spent as an epsilon at ``delta``, rounded up.
        epsilon_left: An epsilon that a further release at ``delta`` may have, rounded down; 0 if none may.
        delta_aside: The part of delta kept for acts that spend delta beside their price.
        delta_spent: What is spent of that, all that is reserved included.
        releases: Number of releases.
        failed: Number of fits that ended in an error.
        open: Numbers of the reservations not settled, with the times they were made.
    """

    name: str
    number: int
    at: str
    epsilon: float
    delta: float
    unit: str
    adjacency: str
    calculus: Calculus
    budget: Fraction
    spent: Fraction
    reserved: Fraction
    epsilon_spent: float
    epsilon_left: float
    delta_aside: Fraction
    delta_spent: Fraction
    releases: int
    failed: int
    open: tuple[tuple[int, str], ...]

    @property
    def left(self) -> Fraction:
        """What may still be reserved."""
        return self.budget - self.spent

    def to_dict(self) -> dict[str, Any]:
        """Return the totals as plain JSON values."""
        return {
            "dataset": self.name,
            "record": self.number,
            "at": self.at,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "unit": self.unit,
            "adjacency": self.adjacency,
            "calculus": self.calculus,
            "currency": CURRENCIES[self.calculus],
            "budget": _amount(self.budget),
            "spent": _amount(self.spent),
            "reserved": _amount(self.reserved),
            "left": _amount(self.left),
            "epsilon_spent": self.epsilon_spent,
            "epsilon_left": self.epsilon_left,
            "delta_aside": _amount(self.delta_aside),
            "delta_spent": _amount(self.delta_spent),
            "releases": self.releases,
            "failed": self.failed,
            "open": [{"reservation": number, "at": at} for number, at in self.open],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One reservation and what became of it.

    Attributes:
        number: Of its record: the number of the release in the book.
        at: When it was reserved, UTC.
        dataset: Name of the data set.
        state: ``"released"``, ``"failed"``, or ``"open"``: under way or broken off, and counted in full.
        settled_at: When it was settled, if it was.
        mechanism: What was run.
        epsilon: Of the release's guarantee.
        delta: Likewise.
        rows_per_unit: Likewise.
        calculus: The currency of the amounts, the data set's.
        reserved: What was reserved.
        cost: What it counts for.
        delta_spent: What it counts for beside that.
        statement: SHA-256 of the release's statement, if it was released.
        acts: Every act that was drawn, in order, with what it was for.
        version: The dpsynth that made it.
    """

    number: int
    at: str
    dataset: str
    state: str
    settled_at: str | None
    mechanism: str
    epsilon: float
    delta: float
    rows_per_unit: int
    calculus: Calculus
    reserved: Fraction
    cost: Fraction
    delta_spent: Fraction
    statement: str | None
    acts: tuple[Drawn, ...]
    version: str

    @property
    def purposes(self) -> Mapping[str, int]:
        """What the acts were for, and how many were for it."""
        counts: dict[str, int] = {}
        for act in self.acts:
            counts[act.purpose] = counts.get(act.purpose, 0) + 1
        return counts

    def to_dict(self) -> dict[str, Any]:
        """Return the release as plain JSON values."""
        return {
            "number": self.number,
            "at": self.at,
            "dataset": self.dataset,
            "state": self.state,
            "settled_at": self.settled_at,
            "mechanism": self.mechanism,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "rows_per_unit": self.rows_per_unit,
            "calculus": self.calculus,
            "currency": CURRENCIES[self.calculus],
            "reserved": _amount(self.reserved),
            "cost": _amount(self.cost),
            "delta_spent": _amount(self.delta_spent),
            "statement": self.statement,
            "version": self.version,
            "acts": [
                {
                    "number": act.number,
                    "purpose": act.purpose,
                    "act": dict(act.act),
                    "columns": list(act.columns),
                    "cells": act.cells,
                    "price": _amount(act.price),
                    "delta_spent": _amount(act.delta_spent),
                }
                for act in self.acts
            ],
        }


def totals_of(account: Account) -> Totals:
    """Return what an account adds up to."""
    terms = account.terms
    delta = delta_beside(terms.delta, terms.delta_aside)
    states = [booking.state for booking in account.bookings.values()]
    return Totals(
        name=terms.name,
        number=account.record,
        at=account.at,
        epsilon=terms.epsilon,
        delta=terms.delta,
        unit=terms.unit,
        adjacency=terms.adjacency,
        calculus=terms.calculus,
        budget=terms.budget,
        spent=account.spent,
        reserved=sum((booking.cost for booking in account.open), Fraction(0)),
        epsilon_spent=least_epsilon(account.spent, terms.calculus, delta),
        epsilon_left=epsilon_within(account.left, terms.calculus, terms.delta),
        delta_aside=terms.delta_aside,
        delta_spent=account.delta_spent,
        releases=states.count("released"),
        failed=states.count("failed"),
        open=tuple((booking.record, booking.at) for booking in account.open),
    )


def history_of(path: Path, connection: sqlite3.Connection, dataset: str | None) -> tuple[History, ...]:
    """Return the history of a data set, or of all, with its acts.

    Raises:
        InputError: there is no such data set.
        FlawError: the book is not as it was written.
    """
    state, acts = State(), dict[int, list[Drawn]]()
    for record, content in replaying(database.records_of(connection), state):
        if isinstance(content, Drawn):
            acts.setdefault(record.reservation or 0, []).append(content)
    chain.check_head(connection, state)
    bookings = [
        (account, booking)
        for account in chosen(path, state, dataset)
        for booking in account.bookings.values()
    ]
    bookings.sort(key=lambda pair: pair[1].record)
    return tuple(_told(account, booking, acts.get(booking.record, [])) for account, booking in bookings)


def chosen(path: Path, state: State, dataset: str | None) -> tuple[Account, ...]:
    """Return the account of a data set, or all accounts.

    Raises:
        InputError: there is no such data set.
    """
    if dataset is None:
        return tuple(state.accounts.values())
    if dataset not in state.names:
        known = ", ".join(map(repr, state.names)) or "none"
        raise InputError(f"{path}: the book has no data set {dataset!r}; it has {known}")
    return (state.accounts[state.names[dataset]],)


def only(path: Path, state: State, dataset: str | None) -> Account:
    """Return the account of a data set; without a name, of the only one.

    Raises:
        InputError: there is none of that name, or several and none was named.
    """
    found = chosen(path, state, dataset)
    if len(found) != 1:
        raise InputError(f"{path}: the book has {len(found)} data sets; name one: {', '.join(state.names)}")
    return found[0]


def reference_of(state: State, account: Account, record: Record) -> BookReference:
    """Return what a release is to say of its place in the book.

    Args:
        state: The book before the reservation.
        account: The release's data set, likewise.
        record: The reservation.
    """
    asked = cast("Reserved", content_of(record))
    terms, begun = account.terms, cast("Begun", state.begun)
    return BookReference(
        book=begun.id,
        dataset=terms.name,
        reservation=record.number,
        head=record.hash,
        epsilon=terms.epsilon,
        delta=terms.delta,
        calculus=terms.calculus,
        budget=terms.budget,
        cost=asked.cost,
        earlier=tuple(
            Earlier(
                number=booking.record,
                at=booking.at,
                epsilon=booking.asked.epsilon,
                delta=booking.asked.delta,
                cost=booking.cost,
                state=booking.state,
            )
            for booking in account.bookings.values()
        ),
    )


def shown(amount: Fraction) -> str:
    """Write an amount for people, with six digits."""
    return f"{_float(amount):.6g}"


def _told(account: Account, booking: Booking, acts: list[Drawn]) -> History:
    asked, settled = booking.asked, booking.settled
    return History(
        number=booking.record,
        at=booking.at,
        dataset=account.terms.name,
        state=booking.state,
        settled_at=booking.settled_at,
        mechanism=asked.mechanism,
        epsilon=asked.epsilon,
        delta=asked.delta,
        rows_per_unit=asked.rows_per_unit,
        calculus=account.terms.calculus,
        reserved=asked.cost,
        cost=booking.cost,
        delta_spent=booking.delta_spent,
        statement=settled.statement if settled else None,
        acts=tuple(acts),
        version=asked.version,
    )


def _amount(value: Fraction) -> dict[str, Any]:
    return {"exact": f"{value.numerator}/{value.denominator}", "decimal": _float(value)}


def _float(value: Fraction) -> float:
    return float(min(value, Fraction(10**300)))
