"""Is a book as it was written, and does it know the releases that name it? Every check, whatever the outcome.

What this shows: no record was edited, moved, removed from between or cut off after the fact; every price
follows from its act, every sum from its parts; no data set was ever granted more than it has; the head
written down elsewhere is one of its records; and the releases given name entries that it has.

What this cannot show: whoever rewrites the whole file consistently, or puts back an older copy, leaves a book
that holds together. Only what was kept elsewhere shows that: a head, an export, or the releases themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dpsynth.accountant import chain, database
from dpsynth.accountant.records import FlawError
from dpsynth.accountant.reference import BookReference
from dpsynth.accountant.replay import Booking, State, replaying
from dpsynth.errors import InputError, VerificationError

__all__ = ["BookReport", "Finding", "Stated", "inspect"]

_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CHECKS = {
    "file": "SQLite reads it to the end",
    "schema": "tables, indexes and triggers are those of a book",
    "pages": "SQLite finds every page, index and constraint in order",
    "sequence": "records are numbered from 1 without a gap",
    "chain": "every record has the hash of its content and of the record before",
    "records": "every record is well formed and stands where it may",
    "acts": "every price follows from its act, every sum from its acts",
    "budgets": "no data set was ever granted more than it may spend",
    "head": "the last record is the one that the file says is last",
}
_ALL_AT_ONCE = ("sequence", "chain", "records", "acts", "budgets", "head")  # found out in one reading


class Stated(Protocol):
    """The statement of a release: what it says of a book, and the hash of itself."""

    @property
    def book(self) -> BookReference | None:
        """Where it was booked, if it was."""

    @property
    def digest(self) -> str:
        """SHA-256 of ``statement.json``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One question about a book and its answer.

    Attributes:
        name: What was asked.
        passed: Whether the book holds to it; None when it could not be asked.
        detail: What was found.
    """

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BookReport:
    """All checks of a book.

    Attributes:
        path: The book.
        records: Number of records read.
        head: Hash of the last record; None when the records are not to be relied upon.
        checks: Every check, in a fixed order.
    """

    path: str
    records: int
    head: str | None
    checks: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every check was made, and passed."""
        return all(check.passed is True for check in self.checks)

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The checks that did not pass, or could not be made."""
        return tuple(check for check in self.checks if check.passed is not True)

    def require_passed(self) -> None:
        """Go on only if every check passed.

        Raises:
            VerificationError: names the checks that failed, and why.
        """
        if self.failed:
            found = "; ".join(
                f"{check.name}: {check.detail}" for check in self.failed if check.passed is False
            )
            raise VerificationError(f"{self.path}: the book does not hold: {found}. Do not rely on it")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "path": self.path,
            "passed": self.passed,
            "records": self.records,
            "head": self.head,
            "checks": [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in self.checks],
        }


def inspect(path: Path, wait: float, head: str | None, releases: Mapping[str, Stated]) -> BookReport:
    """Make every check of a book.

    Args:
        path: The book.
        wait: How long to wait for another process, in seconds.
        head: A hash that must be that of one of its records.
        releases: Statements to look up in it, by name.

    Raises:
        InputError: ``head`` is not 64 hexadecimal digits.
        BookError: there is no book, or it cannot be opened.
    """
    if head is not None and not _HEX.fullmatch(head):
        raise InputError("a head is 64 hexadecimal digits, as dpsynth budget show and verify print it")
    state, flaw, found = State(), None, False
    try:
        with database.reading(path, wait) as connection:
            database.check_pages(connection)
            for record, _ in replaying(database.records_of(connection), state):
                found = found or record.hash == head
            chain.check_head(connection, state)
    except FlawError as error:
        flaw = error
    checks = _findings(flaw)
    if head is not None:
        checks.append(_asked("head elsewhere", flaw, found, _HEAD_IS, _HEAD_IS_NOT))
    for name, statement in releases.items():
        problem = "" if flaw else _unknown(statement, state)
        checks.append(_asked(f"release {name}", flaw, not problem, "the book has all that it names", problem))
    return BookReport(
        path=str(path), records=state.number, head=None if flaw else state.head, checks=tuple(checks)
    )


_HEAD_IS = "it is the hash of one of the records"
_HEAD_IS_NOT = "no record has this hash: the book was rewritten, or is an older copy"


def _findings(flaw: FlawError | None) -> list[Finding]:
    """Return one finding a check; what comes after the first flaw could not be asked."""
    if flaw is None:
        return [Finding(name=name, passed=True, detail=detail) for name, detail in _CHECKS.items()]
    names = list(_CHECKS)
    at = names.index(flaw.check)
    first = names.index(_ALL_AT_ONCE[0]) if flaw.check in _ALL_AT_ONCE else at
    findings = []
    for i, (name, detail) in enumerate(_CHECKS.items()):
        if i == at:
            findings.append(Finding(name=name, passed=False, detail=flaw.detail))
        elif i < first:
            findings.append(Finding(name=name, passed=True, detail=detail))
        else:
            findings.append(Finding(name=name, passed=None, detail="not checked to the end"))
    return findings


def _asked(name: str, flaw: FlawError | None, passed: bool, good: str, bad: str) -> Finding:
    if flaw is not None:
        return Finding(name=name, passed=None, detail="not checked: the book itself does not hold")
    return Finding(name=name, passed=passed, detail=good if passed else bad)


def _unknown(statement: Stated, state: State) -> str:
    """Return what a release says of the book that the book does not bear out, or nothing."""
    said = statement.book
    if said is None:
        return "it names no book: it was fitted without one"
    if state.begun is None or said.book != state.begun.id:
        return f"it names another book ({said.book})"
    named = f"reservation {said.reservation}"
    if said.reservation > state.number:
        return f"it names {named}; this book ends with record {state.number}: an older copy, or cut short"
    account = state.accounts.get(state.names.get(said.dataset, 0))
    booking = account.bookings.get(said.reservation) if account else None
    if account is None or booking is None:
        return f"it names {named} of data set {said.dataset!r}, which this book has not"
    missing = [e.number for e in said.earlier if e.number not in account.bookings]
    if missing:
        return f"it names earlier release {missing[0]}, which this book has not"
    return _differing(booking, said.head, statement.digest, named)


def _differing(booking: Booking, head: str, digest: str, named: str) -> str:
    if booking.hash != head:
        return (
            f"{named} has another hash than it names: the book was rewritten, or went on from an older copy"
        )
    if booking.settled is None:
        return f"{named} was never settled in this book, and yet there is a release: it is an older copy"
    if booking.settled.statement != digest:
        return f"{named} was settled with another statement than this one"
    return ""
