"""Reading a book from its first record to its last: is it as it was written, and what does it add up to?

There is one way to read a book, and it checks everything: hashes, numbers, the order of records, every price,
every sum, and that no reservation was ever admitted beyond its data set's budget. What is shown, what is
exported and what a reservation is granted on all come from it.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from dpsynth.accountant.pricing import cost_of_act, cost_of_release, delta_beside, keeps
from dpsynth.accountant.records import (
    ORIGIN,
    Begun,
    Content,
    Dataset,
    Drawn,
    FlawError,
    Record,
    Reserved,
    Settled,
    canonical,
    content_of,
    hash_of,
)
from dpsynth.accountant.reference import MOST_RELEASES
from dpsynth.errors import DpsynthError, GuaranteeError
from dpsynth.privacy.acts import act_from_dict, delta_of
from dpsynth.privacy.guarantee import Calculus

__all__ = ["FORMAT", "MOST_DATASETS", "MOST_RECORDS", "Account", "Booking", "State", "replaying"]

FORMAT = 1
MOST_DATASETS = 1_000
MOST_RECORDS = 2_000_000
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)


@dataclass(slots=True, kw_only=True)
class Booking:
    """A reservation and what became of it.

    Attributes:
        record: The number of its record.
        hash: The hash of its record.
        at: When it was reserved.
        asked: What was asked for.
        settled: What was settled, once it was.
        settled_at: When.
    """

    record: int
    hash: str
    at: str
    asked: Reserved
    settled: Settled | None = None
    settled_at: str | None = None

    @property
    def cost(self) -> Fraction:
        """What it counts for: all that was reserved, until it is settled."""
        return self.settled.cost if self.settled else self.asked.cost

    @property
    def delta_spent(self) -> Fraction:
        """What it counts for beside its cost."""
        return self.settled.delta_spent if self.settled else self.asked.delta_aside

    @property
    def state(self) -> str:
        """``"open"``, ``"released"`` or ``"failed"``."""
        return self.settled.outcome if self.settled else "open"


@dataclass(slots=True, kw_only=True)
class Account:
    """A data set: its terms, its bookings in order, and their sums, kept as they come."""

    record: int
    at: str
    terms: Dataset
    bookings: dict[int, Booking] = field(default_factory=dict)
    spent: Fraction = Fraction(0)
    delta_spent: Fraction = Fraction(0)

    @property
    def open(self) -> list[Booking]:
        """The bookings that were not settled."""
        return [booking for booking in self.bookings.values() if booking.settled is None]

    @property
    def left(self) -> Fraction:
        """What may still be reserved."""
        return self.terms.budget - self.spent

    @property
    def delta_left(self) -> Fraction:
        """What may still be set aside of delta."""
        return self.terms.delta_aside - self.delta_spent


@dataclass(slots=True, kw_only=True)
class State:
    """What the records so far add up to."""

    begun: Begun | None = None
    number: int = 0
    head: str = ORIGIN
    accounts: dict[int, Account] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    nonces: set[str] = field(default_factory=set)  # of all reservations
    drawing: int | None = None  # the reservation whose acts are being read
    acts: int = 0  # how many of them so far, and their sums
    acts_cost: Fraction = Fraction(0)
    acts_delta: Fraction = Fraction(0)

    def admits(self, account: Account, asked: Reserved) -> bool:
        """Return whether a data set has room for what is asked, counting all that is reserved as spent.

        Proof: proofs/book.md
        """
        return asked.cost <= account.left and asked.delta_aside <= account.delta_left


def replaying(records: Iterable[Record], state: State) -> Iterator[tuple[Record, Content]]:
    """Check record after record, and add each to the state.

    Args:
        records: All of a book, in order.
        state: A new one; after the last record it is the book's.

    Yields:
        Each record with what it says, once it has been checked.

    Raises:
        FlawError: the first thing that is not as it was written.
    """
    for record in records:
        _check_link(record, state)
        content = content_of(record)
        _admit(record, content, state)
        state.number, state.head = record.number, record.hash
        yield record, content
    if state.begun is None:
        raise FlawError("records", "there is not even a first record: the book was emptied")
    if state.drawing is not None:
        raise FlawError("records", f"the acts of reservation {state.drawing} end without a settlement")


def _check_link(record: Record, state: State) -> None:
    where = f"record {record.number}"
    if record.number != state.number + 1:
        raise FlawError("sequence", f"{where} follows record {state.number}: one was removed, added or moved")
    if record.number > MOST_RECORDS:
        raise FlawError("sequence", f"a book has at most {MOST_RECORDS} records")
    if record.previous != state.head:
        raise FlawError("chain", f"{where} does not continue from the record before it")
    parts = {
        name: getattr(record, name) for name in ("number", "kind", "dataset", "reservation", "at", "content")
    }
    if hash_of(**parts, previous=record.previous) != record.hash:
        raise FlawError("chain", f"{where} has not the hash that was stated for it: it was edited")
    if not _AT.fullmatch(record.at):
        raise FlawError("records", f"{where} states no time")


def _admit(record: Record, content: Content, state: State) -> None:
    """Check what a record says against all before it, and add it up."""
    where = f"record {record.number} ({record.kind})"
    if (record.number == 1) != isinstance(content, Begun):
        raise FlawError("records", f"{where}: a book begins with its own record, and only with it")
    if state.drawing is not None and (
        record.reservation != state.drawing or not isinstance(content, (Drawn, Settled))
    ):
        raise FlawError("records", f"{where} stands among the acts of reservation {state.drawing}")
    if isinstance(content, Begun):
        _begin(record, content, state, where)
    elif isinstance(content, Dataset):
        _open(record, content, state, where)
    else:
        account = state.accounts.get(record.dataset or 0)
        if account is None:
            raise FlawError("records", f"{where} belongs to no data set of this book")
        if isinstance(content, Reserved):
            _reserve(record, content, account, state, where)
            return
        booking = account.bookings.get(record.reservation or 0)
        if booking is None or booking.settled is not None:
            raise FlawError("records", f"{where} belongs to no open reservation of its data set")
        if isinstance(content, Drawn):
            _draw(record, content, account, state, where)
        else:
            _settle(record, content, account, booking, state)


def _begin(record: Record, content: Begun, state: State, where: str) -> None:
    if record.dataset is not None or record.reservation is not None:
        raise FlawError("records", f"{where} names a data set or a reservation")
    if content.format != FORMAT:
        raise FlawError("records", f"{where} states format {content.format}; the file's is {FORMAT}")
    state.begun = content


def _open(record: Record, content: Dataset, state: State, where: str) -> None:
    if record.dataset is not None or record.reservation is not None:
        raise FlawError("records", f"{where} names a data set or a reservation")
    if content.name in state.names:
        raise FlawError("records", f"{where} opens a data set that is open already")
    if len(state.names) >= MOST_DATASETS:
        raise FlawError("records", f"a book has at most {MOST_DATASETS} data sets")
    if (content.calculus == "pure") != (content.delta == 0):
        raise FlawError("budgets", f"{where}: its calculus does not fit its delta")
    try:
        rest = delta_beside(content.delta, content.delta_aside)
        within = keeps(content.budget, content.calculus, content.epsilon, rest)
    except GuaranteeError as error:
        raise FlawError("budgets", f"{where}: {error}") from None
    if not within:
        raise FlawError("budgets", f"{where}: the budget is more than its epsilon and delta afford")
    state.names[content.name] = record.number
    state.accounts[record.number] = Account(record=record.number, at=record.at, terms=content)


def _reserve(record: Record, content: Reserved, account: Account, state: State, where: str) -> None:
    if record.reservation is not None:
        raise FlawError("records", f"{where} names a reservation")
    if len(state.nonces) >= MOST_RELEASES:
        raise FlawError("records", f"a book has at most {MOST_RELEASES} releases")
    if content.nonce in state.nonces:
        raise FlawError("records", f"{where} stands twice")
    state.nonces.add(content.nonce)
    terms = account.terms
    if (content.unit, content.adjacency) != (terms.unit, terms.adjacency):
        raise FlawError("budgets", f"{where} protects another unit than its data set")
    try:
        due = cost_of_release(content.budget, content.calculus, terms.calculus)
        rest = delta_beside(content.delta, content.delta_aside)
        within = keeps(content.budget, content.calculus, content.epsilon, rest)
    except DpsynthError as error:
        raise FlawError("budgets", f"{where}: {error}") from None
    if content.cost != due or not within:
        raise FlawError("budgets", f"{where}: what it reserves does not follow from its epsilon and delta")
    if not state.admits(account, content):
        raise FlawError("budgets", f"{where} reserves more than was left")
    account.spent += content.cost
    account.delta_spent += content.delta_aside
    account.bookings[record.number] = Booking(
        record=record.number, hash=record.hash, at=record.at, asked=content
    )


def _draw(record: Record, content: Drawn, account: Account, state: State, where: str) -> None:
    if content.number != state.acts + 1:
        raise FlawError("acts", f"{where} is not the next entry of its release's ledger")
    price, delta = _price(canonical(content.act), account.terms.calculus, where)
    if (content.price, content.delta_spent) != (price, delta):
        raise FlawError("acts", f"{where}: its price is not what the act costs")
    state.acts, state.drawing = content.number, record.reservation
    state.acts_cost += price
    state.acts_delta += delta


def _settle(record: Record, content: Settled, account: Account, booking: Booking, state: State) -> None:
    where = f"record {record.number} (commit)"
    cost, delta = state.acts_cost, state.acts_delta
    if (content.acts, content.cost, content.delta_spent) != (state.acts, cost, delta):
        raise FlawError("acts", f"{where}: its sums are not those of the acts before it")
    if cost > booking.asked.cost or delta > booking.asked.delta_aside:
        raise FlawError("budgets", f"{where}: more was drawn than had been reserved")
    if (content.outcome == "released") != (content.statement is not None):
        raise FlawError("records", f"{where}: a release has a statement, a failed fit has none")
    account.spent -= booking.asked.cost - cost
    account.delta_spent -= booking.asked.delta_aside - delta
    booking.settled, booking.settled_at = content, record.at
    state.drawing, state.acts = None, 0
    state.acts_cost = state.acts_delta = Fraction(0)


def _price(act: str, currency: Calculus, where: str) -> tuple[Fraction, Fraction]:
    try:
        return _priced(act, currency)
    except GuaranteeError as error:
        raise FlawError("acts", f"{where}: {error}") from None


@functools.lru_cache(maxsize=4096)
def _priced(text: str, currency: Calculus) -> tuple[Fraction, Fraction]:
    act = act_from_dict(json.loads(text))
    return cost_of_act(act, currency), delta_of(act)
