"""What a release says of the book it was booked in: enough to find it there, and to miss it there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from dpsynth.privacy.guarantee import Calculus

__all__ = ["MOST_RELEASES", "BookReference", "Earlier"]

MOST_RELEASES = 10_000  # of all data sets of a book


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A release of the same data set that was booked before.

    Attributes:
        number: Of its reservation.
        at: When it was reserved, UTC.
        epsilon: Of its guarantee.
        delta: Likewise.
        cost: What it had cost when the later one was reserved, in the currency of the data set, exact.
        state: ``"released"``, ``"failed"`` or ``"open"`` (reserved, not settled: counted in full).
    """

    number: int
    at: str
    epsilon: float
    delta: float
    cost: Fraction
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BookReference:
    """The place of a release in a budget book.

    Attributes:
        book: The book's identity: 32 hexadecimal digits.
        dataset: Name of the data set in the book.
        reservation: Number of the record that reserved the budget.
        head: Hash of that record: the head of the chain when it had been written.
        epsilon: What all releases of the data set keep together.
        delta: Likewise.
        calculus: The currency in which they add up: ``"gdp"``, ``"zcdp"`` or ``"pure"``.
        budget: What they may cost together in it, exact.
        cost: What was reserved for this one in it, exact.
        earlier: The releases booked before, in order.
    """

    book: str
    dataset: str
    reservation: int
    head: str
    epsilon: float
    delta: float
    calculus: Calculus
    budget: Fraction
    cost: Fraction
    earlier: tuple[Earlier, ...]
