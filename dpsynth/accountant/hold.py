"""A reservation that is not settled yet."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from dpsynth.accountant import chain, database
from dpsynth.accountant.pricing import cost_of_act
from dpsynth.accountant.records import Drawn, Settled
from dpsynth.accountant.reference import BookReference
from dpsynth.errors import BookError, BudgetRefusedError, DpsynthError
from dpsynth.privacy.acts import act_to_dict
from dpsynth.privacy.guarantee import Calculus
from dpsynth.privacy.ledger import Entry

__all__ = ["Closing", "Hold"]


class Closing(Protocol):
    """Where all that is drawn is written: a :class:`~dpsynth.privacy.ledger.Ledger`, or a curator."""

    def close(self) -> tuple[Entry, ...]:
        """Refuse every further act, and return those that were done."""


class Hold:
    """A reservation, as long as it is not settled.

    As a context, it settles by itself when the block ends in an error and a ledger is followed: what was
    drawn until then is committed. A block that ends without :meth:`commit` otherwise, or a process that ends,
    leaves all of it spent.

    Args:
        path: The book it is in.
        wait: How long to wait for another process that is writing, in seconds.
        reference: What the release says of the book.
    """

    __slots__ = ("_followed", "_path", "_settled", "_wait", "reference")

    def __init__(self, path: Path, wait: float, reference: BookReference) -> None:
        self._path, self._wait = path, wait
        self.reference = reference
        self._followed: Closing | None = None
        self._settled = False

    def __repr__(self) -> str:
        return f"Hold({self.reference.dataset!r}, reservation={self.reference.reservation})"

    def follow(self, ledger: Closing) -> None:
        """Say where all that is drawn on this reservation is written; before anything is drawn.

        What is not written there is given back when the block ends in an error.
        """
        self._followed = ledger

    def commit(self, entries: Sequence[Entry], *, statement: str | None = None) -> None:
        """Settle: what was drawn stays spent, the rest is given back.

        Args:
            entries: The ledger of the release, complete: nothing may be drawn on it any more.
            statement: SHA-256 of the release's ``statement.json``; None if the fit failed.

        Raises:
            BookError: it is settled already, the entries are not those of the ledger that is followed, or the
                book cannot be written; then all of it stays spent.
            BudgetRefusedError: the entries come to more than was reserved; all of it stays spent.
            VerificationError: the book was altered meanwhile, or replaced by another; likewise.
        """
        reference, path = self.reference, self._path
        if self._followed is not None and tuple(entries) != self._followed.close():
            raise BookError(
                f"{path}: the entries to settle reservation {reference.reservation} with are not those of "
                "the ledger that was followed; all of it stays spent"
            )
        with database.writing(path, self._wait) as connection:
            state = chain.read(connection)
            account = state.accounts.get(state.names.get(reference.dataset, 0))
            booking = account.bookings.get(reference.reservation) if account else None
            if account is None or booking is None or booking.hash != reference.head:
                raise BookError(
                    f"{path}: reservation {reference.reservation} is no longer in the book; it was replaced "
                    "while the fit ran, perhaps by a backup"
                )
            if booking.settled is not None:
                raise BookError(f"{path}: reservation {reference.reservation} is settled already")
            drawn = [_drawn(entry, account.terms.calculus) for entry in entries]
            cost = sum((act.price for act in drawn), Fraction(0))
            delta = sum((act.delta_spent for act in drawn), Fraction(0))
            if cost > booking.asked.cost or delta > booking.asked.delta_aside:
                raise BudgetRefusedError(
                    f"{path}: the acts of reservation {reference.reservation} come to more than was reserved"
                )
            where = {"dataset": account.record, "reservation": booking.record}
            for act in drawn:
                chain.extend(connection, state, act, **where)
            settled = Settled(
                acts=len(drawn),
                cost=cost,
                delta_spent=delta,
                outcome="failed" if statement is None else "released",
                statement=statement,
            )
            chain.extend(connection, state, settled, **where)
        self._settled = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or self._settled or self._followed is None:
            return
        try:
            self.commit(self._followed.close())
        except DpsynthError:  # the error of the fit is the one to show; all that was reserved stays spent
            return


def _drawn(entry: Entry, currency: Calculus) -> Drawn:
    """Return an entry of a ledger as a book records it."""
    return Drawn(
        number=entry.number,
        act=act_to_dict(entry.act),
        purpose=entry.purpose,
        columns=entry.columns,
        cells=entry.cells,
        price=cost_of_act(entry.act, currency),
        delta_spent=entry.delta,
    )
