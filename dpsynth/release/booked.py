"""What a statement says of the budget book it was booked in: as JSON, checked, and in plain English."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, get_args

from dpsynth.accountant.pricing import cost_of_release, keeps
from dpsynth.accountant.records import fraction_of
from dpsynth.accountant.reference import MOST_RELEASES, BookReference, Earlier
from dpsynth.errors import DpsynthError, ReleaseError
from dpsynth.privacy.guarantee import CURRENCIES, Calculus
from dpsynth.release.documents import check_fields, number, shown

__all__ = ["book_from_dict", "book_lines", "book_to_dict", "unsound"]

_STATES = ("released", "failed", "open")
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)
_MOST_LINES = 12

_Fields = Mapping[str, type | tuple[type, ...]]
_BOOK: _Fields = {
    "id": str,
    "dataset": str,
    "reservation": int,
    "head": str,
    "epsilon": (float, int),
    "delta": (float, int),
    "calculus": str,
    "budget": dict,
    "cost": dict,
    "earlier": list,
}
_EARLIER: _Fields = {
    "number": int,
    "at": str,
    "epsilon": (float, int),
    "delta": (float, int),
    "cost": dict,
    "state": str,
}


def book_to_dict(book: BookReference) -> dict[str, Any]:
    """Return it as plain JSON values; ``book_from_dict`` reads them back."""
    return {
        "id": book.book,
        "dataset": book.dataset,
        "reservation": book.reservation,
        "head": book.head,
        "epsilon": book.epsilon,
        "delta": book.delta,
        "calculus": book.calculus,
        "budget": _exact(book.budget),
        "cost": _exact(book.cost),
        "earlier": [
            {
                "number": e.number,
                "at": e.at,
                "epsilon": e.epsilon,
                "delta": e.delta,
                "cost": _exact(e.cost),
                "state": e.state,
            }
            for e in book.earlier
        ],
    }


def book_from_dict(content: object) -> BookReference:
    """Rebuild it from :func:`book_to_dict`.

    Raises:
        ReleaseError: says which part is not what a statement says of a book.
    """
    where = "the statement's book"
    fields = check_fields(content, _BOOK, where)
    if fields["calculus"] not in get_args(Calculus):
        raise ReleaseError(f"{where}: its calculus is none of {', '.join(get_args(Calculus))}")
    for key, digits in (("id", 32), ("head", 64)):
        if len(fields[key]) != digits or not _HEX.fullmatch(fields[key]):
            raise ReleaseError(f"{where}: its {key} is not {digits} hexadecimal digits")
    if not fields["dataset"].isprintable() or not 0 < len(fields["dataset"]) <= 200:
        raise ReleaseError(f"{where}: its dataset is not one line of at most 200 characters")
    if len(fields["earlier"]) > MOST_RELEASES:
        raise ReleaseError(f"{where} names more than {MOST_RELEASES} earlier releases")
    return BookReference(
        book=fields["id"],
        dataset=fields["dataset"],
        reservation=fields["reservation"],
        head=fields["head"],
        epsilon=number(fields["epsilon"], where),
        delta=number(fields["delta"], where),
        calculus=fields["calculus"],
        budget=_amount(fields["budget"], where),
        cost=_amount(fields["cost"], where),
        earlier=tuple(
            _earlier(item, f"earlier release {i} of {where}") for i, item in enumerate(fields["earlier"], 1)
        ),
    )


def unsound(book: BookReference, budget: Fraction, calculus: Calculus) -> str:
    """Return what cannot be true of what a statement says of its book, or nothing.

    Args:
        book: What it says.
        budget: What the release's guarantee affords in its own calculus.
        calculus: The currency of its ledger.
    """
    numbers = [e.number for e in book.earlier]
    if numbers != sorted(set(numbers)) or not all(1 < n < book.reservation for n in numbers):
        return "earlier releases are not numbered upwards, below this one"
    try:
        due = cost_of_release(budget, calculus, book.calculus)
    except DpsynthError as error:
        return f"it could not have been booked: {error}"
    if book.cost != due:
        return "what was reserved is not what the guarantee affords"
    if not keeps(book.budget, book.calculus, book.epsilon, book.delta):
        return "its data set's budget is more than its epsilon and delta afford"
    if sum((e.cost for e in book.earlier), book.cost) > book.budget:
        return "with the earlier releases it comes to more than its data set may spend"
    return ""


def book_lines(book: BookReference) -> list[str]:
    """Return what an officer should read of the book, as sentences and table rows of a Markdown text."""
    currency = CURRENCIES[book.calculus]
    before = sum((e.cost for e in book.earlier), Fraction(0))
    text = (
        f"Its whole budget was reserved in the budget book {book.book}, data set {shown(book.dataset, 40)}, "
        f"as record {book.reservation}, before a row was read. All releases of that data set keep epsilon "
        f"{book.epsilon:g} and delta {book.delta:g} together: {currency} = {float(book.budget):.6g}, of "
        f"which {float(before):.6g} was spent or reserved by {len(book.earlier)} earlier ones and "
        f"{float(book.cost):.6g} was reserved for this one. 'dpsynth budget verify BOOK --release "
        "RELEASE' looks it up."
    )
    lines = [text]
    if len(book.earlier) > _MOST_LINES:
        lines.append(f"The last {_MOST_LINES} of {len(book.earlier)} earlier releases:")
    lines += [
        f"- record {e.number}, {e.at[:10]}: epsilon {e.epsilon:g}, delta {e.delta:g}, {currency} "
        f"{float(e.cost):.6g}, {e.state}"
        for e in book.earlier[-_MOST_LINES:]
    ]
    return lines


def _earlier(content: object, where: str) -> Earlier:
    fields = check_fields(content, _EARLIER, where)
    if fields["state"] not in _STATES or not _AT.fullmatch(fields["at"]):
        raise ReleaseError(f"{where} states no time, or no state")
    return Earlier(
        number=fields["number"],
        at=fields["at"],
        epsilon=number(fields["epsilon"], where),
        delta=number(fields["delta"], where),
        cost=_amount(fields["cost"], where),
        state=fields["state"],
    )


def _exact(value: Fraction) -> dict[str, Any]:
    return {"exact": f"{value.numerator}/{value.denominator}", "decimal": float(value)}


def _amount(content: object, where: str) -> Fraction:
    fields = check_fields(content, {"exact": str, "decimal": (float, int)}, where)
    try:
        value = fraction_of(fields["exact"])
    except ValueError as error:
        raise ReleaseError(f"{where}: {error}") from None
    if value > 2**100:
        raise ReleaseError(f"{where} has an amount above 2**100")
    return value
