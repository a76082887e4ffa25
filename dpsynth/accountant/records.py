"""What a book is made of: records in canonical JSON, chained by SHA-256.

The hash of a record covers all of it and the hash of the record before::

    hash = SHA-256({"at":…,"content":…,"dataset":…,"kind":…,"number":…,"previous":…,"reservation":…})

where the braces stand for canonical JSON: keys in order, no blanks, ASCII, every number and text in the one
form that Python's ``json`` gives it. ``content`` is itself such a text. Exact amounts are texts ``"p/q"``,
never floats.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, TypeAlias, get_args

from dpsynth.errors import VerificationError
from dpsynth.privacy.guarantee import Calculus

__all__ = [
    "KINDS",
    "LARGEST_CONTENT",
    "ORIGIN",
    "Begun",
    "Content",
    "Dataset",
    "Drawn",
    "FlawError",
    "Record",
    "Reserved",
    "Settled",
    "canonical",
    "content_of",
    "digest",
    "fraction_of",
    "hash_of",
    "text_of",
]

ORIGIN = "0" * 64  # the hash before the first record
LARGEST_CONTENT = 2**20  # bytes
_FRACTION = re.compile(r"(0|[1-9][0-9]{0,399})/([1-9][0-9]{0,399})", re.ASCII)
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)


class FlawError(VerificationError):
    """A book is not as it was written.

    Attributes:
        check: The question that was asked.
        detail: Where and what is wrong; of a book, never of a private row.
    """

    def __init__(self, check: str, detail: str, *, path: str = "the book") -> None:
        self.check, self.detail = check, detail
        super().__init__(
            f"{path}: the book was altered or damaged ({check}: {detail}). Nothing more is spent from it; "
            "compare it with its backups and releases, as docs/budget.md says"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of the book, as it is stored.

    Attributes:
        number: Position, from 1, without gaps.
        kind: What it records: one of :data:`KINDS`.
        dataset: Number of the record that opened the data set it belongs to, if it belongs to one.
        reservation: Number of the reservation it belongs to, if it belongs to one.
        at: When it was written, UTC.
        content: What it records, as canonical JSON.
        previous: Hash of the record before.
        hash: SHA-256 of all of the above.
    """

    number: int
    kind: str
    dataset: int | None
    reservation: int | None
    at: str
    content: str
    previous: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A book was begun. ``id`` is 128 random bits, so that no two books are mistaken for each other."""

    format: int
    id: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set was given a budget, once and for all.

    Attributes:
        name: What the steward calls it.
        epsilon: Of the guarantee that all its releases keep together.
        delta: Likewise; 0 for a budget of pure epsilon.
        unit: ``"row"``, or the column whose value identifies the privacy unit.
        adjacency: What a neighbouring table is: ``"add-remove"`` or ``"replace-one"``.
        calculus: The currency in which releases add up.
        delta_aside: The part of delta kept for acts that spend delta beside their price; fixed beforehand,
            since a part that may be chosen as one goes would not be bounded by their sum.
        budget: What (epsilon, delta - delta_aside) affords in that currency, exact, rounded down.
    """

    name: str
    epsilon: float
    delta: float
    unit: str
    adjacency: str
    calculus: Calculus
    delta_aside: Fraction
    budget: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """A release was promised all that its guarantee affords, before a row was read.

    Attributes:
        epsilon: Of the release's guarantee.
        delta: Likewise.
        unit: Likewise: ``"row"`` or a column.
        rows_per_unit: Likewise.
        adjacency: Likewise.
        calculus: The currency of the release's own ledger.
        budget: What its guarantee affords in that currency.
        delta_aside: The part of delta that its acts may spend beside their prices.
        cost: ``budget`` in the currency of the data set.
        mechanism: What was to be run.
        version: The dpsynth that reserved.
        nonce: 128 random bits: two reservations never have one hash.
    """

    epsilon: float
    delta: float
    unit: str
    rows_per_unit: int
    adjacency: str
    calculus: Calculus
    budget: Fraction
    delta_aside: Fraction
    cost: Fraction
    mechanism: str
    version: str
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One act of a release: one entry of its ledger, priced in the currency of the data set."""

    number: int
    act: Mapping[str, Any]
    purpose: str
    columns: tuple[str, ...]
    cells: int
    price: Fraction
    delta_spent: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A reservation was settled: what was drawn stays spent, the rest was given back.

    Attributes:
        acts: How many acts were drawn.
        cost: Sum of their prices in the currency of the data set.
        delta_spent: Sum of what they spent of delta beside that.
        outcome: ``"released"``, or ``"failed"`` when the fit ended in an error.
        statement: SHA-256 of the release's ``statement.json``; none for a failed fit.
    """

    acts: int
    cost: Fraction
    delta_spent: Fraction
    outcome: str
    statement: str | None


Content: TypeAlias = Begun | Dataset | Reserved | Drawn | Settled
_CLASSES: dict[str, type[Content]] = {
    "book": Begun,
    "dataset": Dataset,
    "reservation": Reserved,
    "act": Drawn,
    "commit": Settled,
}
KINDS = tuple(_CLASSES)


def canonical(value: object) -> str:
    """Write plain values as JSON, the same text for the same values.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in 64 hexadecimal digits."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def hash_of(
    *,
    number: int,
    kind: str,
    dataset: int | None,
    reservation: int | None,
    at: str,
    content: str,
    previous: str,
) -> str:
    """Return the hash that a record of these parts has."""
    return digest(
        canonical(
            {
                "number": number,
                "kind": kind,
                "dataset": dataset,
                "reservation": reservation,
                "at": at,
                "content": content,
                "previous": previous,
            }
        )
    )


def text_of(content: Content) -> str:
    """Write what a record says as canonical JSON."""
    return canonical({field.name: _plain(getattr(content, field.name)) for field in fields(content)})


def content_of(record: Record) -> Content:
    """Read what a record says.

    Raises:
        FlawError: it is not canonical JSON, or not what a record of its kind says.
    """
    where = f"record {record.number}"
    kind = _CLASSES.get(record.kind)
    if kind is None:
        raise FlawError("records", f"{where} is of no known kind")
    if len(record.content) > LARGEST_CONTENT:
        raise FlawError("records", f"{where} has more than {LARGEST_CONTENT} characters")
    try:
        return _read(
            kind, json.loads(record.content, parse_int=_whole, parse_constant=_refuse), record.content
        )
    except (ValueError, RecursionError, OverflowError) as error:
        said = str(error) if type(error) is ValueError else "it is not JSON of a record"
        raise FlawError("records", f"{where} ({record.kind}): {said}") from None


def fraction_of(text: object) -> Fraction:
    """Read an exact amount ``"p/q"`` in lowest terms.

    Raises:
        ValueError: it is not one.
    """
    match = _FRACTION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("an amount is not an exact fraction")
    value = Fraction(int(match[1]), int(match[2]))
    if _plain(value) != text:
        raise ValueError("an amount is not in lowest terms")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    return list(value) if isinstance(value, tuple) else value


def _read(kind: type[Content], values: object, text: str) -> Content:
    if not isinstance(values, dict) or canonical(values) != text:
        raise ValueError("it is not in canonical form")
    names = {field.name for field in fields(kind)}
    if set(values) != names:
        raise ValueError("it has not the fields of its kind")
    return kind(**{name: _READERS[name](name, values[name]) for name in names})


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= 1000:
        raise ValueError(f"{name} is not one line of text")
    return value


def _one_of(*allowed: str) -> Callable[[str, object], str]:
    def read(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"{name} is none of {', '.join(allowed)}")
        return value

    return read


def _hex(digits: int) -> Callable[[str, object], str]:
    def read(name: str, value: object) -> str:
        if not isinstance(value, str) or len(value) != digits or not _HEX.fullmatch(value):
            raise ValueError(f"{name} is not {digits} hexadecimal digits")
        return value

    return read


def _count(name: str, value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is not a whole number")
    return value


def _real(name: str, value: object) -> float:
    if type(value) is not float or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} is not a finite number")
    return value


def _amount(name: str, value: object) -> Fraction:  # noqa: ARG001  -- the form of all readers
    return fraction_of(value)


def _names(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{name} is not a list of texts")
    return tuple(value)


def _mapping(name: str, value: object) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError(f"{name} is not a mapping")


def _maybe_hash(name: str, value: object) -> str | None:
    return None if value is None else _hex(64)(name, value)


def _whole(text: str) -> int:
    if len(text) > 400:
        raise ValueError("a whole number has more than 400 digits")
    return int(text)


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "act": _mapping,
    "acts": _count,
    "adjacency": _one_of("add-remove", "replace-one"),
    "budget": _amount,
    "calculus": _one_of(*get_args(Calculus)),
    "cells": _count,
    "columns": _names,
    "cost": _amount,
    "delta": _real,
    "delta_aside": _amount,
    "delta_spent": _amount,
    "epsilon": _real,
    "format": _count,
    "id": _hex(32),
    "mechanism": _text,
    "name": _text,
    "nonce": _hex(32),
    "number": _count,
    "outcome": _one_of("released", "failed"),
    "price": _amount,
    "purpose": _text,
    "rows_per_unit": _count,
    "statement": _maybe_hash,
    "unit": _text,
    "version": _text,
}
