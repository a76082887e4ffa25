"""The statement: what is promised, what it cost, what is assumed. Public, and complete by itself.

It is written from the curator's ledger, never from the rows. Saved as JSON it holds the acts; prices and
totals are recomputed when it is read, and the figures beside them are for people.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Self, get_args

from dpsynth import __version__
from dpsynth.accountant import BookReference
from dpsynth.errors import GuaranteeError, ReleaseError
from dpsynth.privacy.acts import act_from_dict, act_to_dict, delta_of, price
from dpsynth.privacy.curator import Backend, Curator, Entry
from dpsynth.privacy.guarantee import Calculus, Guarantee, gdp_epsilon, zcdp_epsilon
from dpsynth.release.booked import book_from_dict, book_to_dict
from dpsynth.release.documents import check_fields, dump, number, shown
from dpsynth.release.provenance import ColumnProvenance, assumptions_of, provenance_of, unit_of
from dpsynth.release.software import versions
from dpsynth.schema import Schema

__all__ = ["ROW_COUNT", "ColumnProvenance", "Statement", "epsilon_of"]

ROW_COUNT = "estimated from noisy measurements"
_MAX_ENTRIES = 20_000
_MAX_SOFTWARE = 64
_NAME = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,63}")
_RELEASED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+!-]{0,63}", re.ASCII)
_LARGEST = 1.7976931348623157e308


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a release promises and what it cost.

    Attributes:
        guarantee: The promise.
        calculus: Currency of the ledger: ``"gdp"`` (``mu**2``), ``"zcdp"`` (``rho``) or ``"pure"`` (epsilon).
        budget: What the guarantee affords in that currency, exact.
        entries: The ledger, in order.
        mechanism: Name of the mechanism.
        backend: Source of the noise.
        processing: Names of what was done to the noisy answers, in order; the wording explains each.
        assumptions: Names of what the promise rests on; :mod:`dpsynth.release.wording` explains each.
        provenance: One record a column of the schema, in order.
        version: Version of dpsynth that wrote it.
        software: What the guarantee rests on at the fit: names of programs with their versions.
        delta_aside: The part of delta kept for acts that spend some beside their price, exact; the budget is
            what the rest affords.
        book: Its place in a budget book, and the releases booked before it; None if fitted without one.

    Raises:
        ReleaseError: a field is not of its kind. Whether the figures are true is for ``verify`` to say.
    """

    guarantee: Guarantee
    calculus: Calculus
    budget: Fraction
    entries: tuple[Entry, ...]
    mechanism: str
    backend: Backend
    processing: tuple[str, ...]
    assumptions: tuple[str, ...]
    provenance: tuple[ColumnProvenance, ...]
    version: str
    delta_aside: Fraction = Fraction(0)
    software: tuple[tuple[str, str], ...] = ()
    book: BookReference | None = None

    def __post_init__(self) -> None:
        if self.calculus not in get_args(Calculus):
            raise ReleaseError(f"the statement's calculus is none of {', '.join(get_args(Calculus))}")
        if self.backend not in get_args(Backend):
            raise ReleaseError(f"the statement's backend is none of {', '.join(get_args(Backend))}")
        if not 0 < self.budget < 2**100:
            raise ReleaseError("the statement's budget is not between 0 and 2**100")
        if self.delta_aside != 0 and not 0 < self.delta_aside < self.guarantee.delta:
            raise ReleaseError("the statement's delta_aside is not from 0 to below its delta")
        names = (self.mechanism, self.version, *self.processing, *self.assumptions)
        if not all(_NAME.fullmatch(name) for name in names):
            raise ReleaseError(
                "the statement's mechanism, version, processing and assumptions are names of at most 64 "
                "small letters, digits and -_.+"
            )
        if len(self.software) > _MAX_SOFTWARE or not all(
            _NAME.fullmatch(name) and _RELEASED.fullmatch(version) for name, version in self.software
        ):
            raise ReleaseError(
                f"the statement's software is not at most {_MAX_SOFTWARE} names, each with a version"
            )
        if not all(e.purpose.isprintable() and 0 < len(e.purpose) <= 200 for e in self.entries):
            raise ReleaseError("a purpose in the ledger is not one line of at most 200 characters")

    @classmethod
    def from_curator(
        cls,
        curator: Curator,
        schema: Schema,
        mechanism: str,
        *,
        processing: Sequence[str] = (),
        book: BookReference | None = None,
        bought: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    ) -> Self:
        """Write the statement of what a curator has done.

        Args:
            curator: After its last act.
            schema: The schema that the rows were coded by.
            mechanism: Name of the mechanism.
            processing: Names of what was done to the noisy answers afterwards.
            book: Its place in a budget book, if its budget was reserved in one.
            bought: For each column that was bought from, the keys of the schema that were.

        Raises:
            ReleaseError: the guarantee protects another unit than the schema states.

        Privacy: free; the ledger and the schema are public.
        """
        unit, rows = unit_of(schema)
        if (curator.guarantee.unit, curator.guarantee.rows_per_unit) != (unit, rows):
            raise ReleaseError(
                f"the guarantee is for {curator.guarantee.rows_per_unit} of the rows of "
                f"{shown(curator.guarantee.unit)}, the schema's privacy unit is {rows} of {shown(unit)}; "
                "make the guarantee from the schema"
            )
        return cls(
            guarantee=curator.guarantee,
            calculus=curator.calculus,
            budget=curator.budget,
            entries=curator.entries,
            mechanism=mechanism,
            backend=curator.backend,
            processing=tuple(processing),
            assumptions=assumptions_of(curator.backend, curator.calculus, schema, bought=bool(bought)),
            provenance=provenance_of(schema, bought),
            version=__version__,
            delta_aside=curator.delta_aside,
            software=versions(curator.backend),
            book=book,
        )

    @property
    def digest(self) -> str:
        """SHA-256 of ``statement.json`` as it is saved: what a budget book keeps of a release."""
        return hashlib.sha256(dump(self.to_dict())).hexdigest()

    @property
    def spent(self) -> Fraction:
        """Sum of the prices of all entries, exact."""
        return sum((entry.price for entry in self.entries), Fraction(0))

    @property
    def delta_spent(self) -> Fraction:
        """Sum of what the entries spent of delta beside their prices, exact."""
        return sum((entry.delta for entry in self.entries), Fraction(0))

    @property
    def epsilon_spent(self) -> float:
        """The epsilon that was really spent, at the guarantee's delta, rounded up."""
        return self.epsilon_at(self.spent)

    def epsilon_at(self, spent: Fraction) -> float:
        """Return the epsilon of so much of the budget, at what is left of delta beside ``delta_aside``."""
        return epsilon_of(spent, self.calculus, self.guarantee.delta_beside(self.delta_aside))

    def __str__(self) -> str:
        from dpsynth.release.wording import text_of  # noqa: PLC0415  -- the wording is written on top of this

        return text_of(self)

    def __repr__(self) -> str:
        return f"Statement({self.guarantee}, entries={len(self.entries)}, mechanism={self.mechanism!r})"

    def to_dict(self) -> dict[str, Any]:
        """Return the statement as plain JSON values; ``from_dict`` reads them back."""
        epsilon_spent = self.epsilon_spent
        return {
            "guarantee": {
                "epsilon": float(self.guarantee.epsilon),
                "delta": float(self.guarantee.delta),
                "unit": self.guarantee.unit,
                "rows_per_unit": self.guarantee.rows_per_unit,
                **({"adjacency": "replace-one"} if self.guarantee.adjacency == "replace-one" else {}),
            },
            "calculus": self.calculus,
            "budget": _exact(self.budget),
            "spent": _exact(self.spent),
            **(
                {"delta_aside": _exact(self.delta_aside), "delta_spent": _exact(self.delta_spent)}
                if self.delta_aside
                else {}
            ),
            "epsilon_spent": epsilon_spent if math.isfinite(epsilon_spent) else None,
            "mechanism": self.mechanism,
            "backend": self.backend,
            "row_count": ROW_COUNT,
            "ledger": [
                {
                    "number": e.number,
                    "purpose": e.purpose,
                    "act": act_to_dict(e.act),
                    "price": _decimal(e.price),
                    "columns": list(e.columns),
                    "cells": e.cells,
                    **({"delta": _decimal(e.delta)} if e.delta else {}),
                }
                for e in self.entries
            ],
            "processing": list(self.processing),
            "assumptions": list(self.assumptions),
            "columns": [p.to_dict() for p in self.provenance],
            "version": self.version,
            **({"software": dict(self.software)} if self.software else {}),
            **({} if self.book is None else {"book": book_to_dict(self.book)}),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild a statement from :meth:`to_dict`; prices and totals are computed anew.

        Raises:
            ReleaseError: says which part is not that of a statement, or names an act that is unknown.
        """
        where = "the statement"
        fields = check_fields(content, _FIELDS, where, optional={**_ASIDE, "software": dict, "book": dict})
        where = "the statement's guarantee"
        said = check_fields(fields["guarantee"], _GUARANTEE, where, optional={"adjacency": str})
        if fields["row_count"] != ROW_COUNT:
            raise ReleaseError(f"the statement's row_count is not {ROW_COUNT!r}")
        if len(fields["ledger"]) > _MAX_ENTRIES:
            raise ReleaseError(f"the ledger has {len(fields['ledger'])} entries; {_MAX_ENTRIES} is the limit")
        try:
            guarantee = Guarantee(
                epsilon=number(said["epsilon"], "epsilon"),
                delta=number(said["delta"], "delta"),
                unit=said["unit"],
                rows_per_unit=said["rows_per_unit"],
                adjacency=said.get("adjacency", "add-remove"),
            )
        except GuaranteeError as error:
            raise ReleaseError(f"{where}: {error}") from None
        return cls(
            guarantee=guarantee,
            calculus=fields["calculus"],
            budget=_fraction(fields["budget"], "the statement's budget"),
            entries=tuple(
                _entry(item, fields["calculus"], f"entry {i} of the ledger")
                for i, item in enumerate(fields["ledger"], 1)
            ),
            mechanism=fields["mechanism"],
            backend=fields["backend"],
            processing=_texts(fields["processing"], "the statement's processing"),
            assumptions=_texts(fields["assumptions"], "the statement's assumptions"),
            provenance=tuple(
                ColumnProvenance.from_dict(item, f"column {i} of the statement")
                for i, item in enumerate(fields["columns"], 1)
            ),
            version=fields["version"],
            delta_aside=_aside(fields),
            software=_software(fields.get("software", {})),
            book=book_from_dict(fields["book"]) if "book" in fields else None,
        )


_FIELDS: dict[str, type | tuple[type, ...]] = {
    "guarantee": dict,
    "calculus": str,
    "budget": dict,
    "spent": dict,
    "epsilon_spent": (float, int, type(None)),
    "mechanism": str,
    "backend": str,
    "row_count": str,
    "ledger": list,
    "processing": list,
    "assumptions": list,
    "columns": list,
    "version": str,
}
_ASIDE: dict[str, type | tuple[type, ...]] = {"delta_aside": dict, "delta_spent": dict}
_GUARANTEE: dict[str, type | tuple[type, ...]] = {
    "epsilon": (float, int),
    "delta": (float, int),
    "unit": str,
    "rows_per_unit": int,
}
_ENTRY: dict[str, type | tuple[type, ...]] = {
    "number": int,
    "purpose": str,
    "act": dict,
    "price": (float, int),
    "columns": list,
    "cells": int,
}


@functools.lru_cache(maxsize=1024)
def epsilon_of(budget: Fraction, calculus: Calculus, delta: float) -> float:
    """Return the epsilon of what was spent at ``delta``, rounded up; infinite if there is none below 1e9."""
    value = _decimal(budget)
    if Fraction(value) < budget:
        value = math.nextafter(value, math.inf)
    if calculus == "pure":
        return value
    try:
        return (gdp_epsilon if calculus == "gdp" else zcdp_epsilon)(min(value, _LARGEST), delta)
    except GuaranteeError:
        return math.inf


def _entry(content: object, calculus: Calculus, where: str) -> Entry:
    fields = check_fields(content, _ENTRY, where, optional={"delta": float})
    try:
        act = act_from_dict(fields["act"])
        cost = price(act, calculus)
    except GuaranteeError as error:
        raise ReleaseError(f"{where}: {error}") from None
    return Entry(
        number=fields["number"],
        purpose=fields["purpose"],
        act=act,
        price=cost,
        columns=_texts(fields["columns"], where),
        cells=fields["cells"],
        delta=delta_of(act),
    )


def _aside(fields: Mapping[str, Any]) -> Fraction:
    if "delta_aside" not in fields:
        return Fraction(0)
    return _fraction(fields["delta_aside"], "the statement's delta_aside")


def _software(content: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    pairs = tuple((name, version) for name, version in content.items() if isinstance(version, str))
    if len(pairs) != len(content):
        raise ReleaseError("the statement's software has a version that is not a text")
    return pairs


def _texts(items: Iterable[object], where: str) -> tuple[str, ...]:
    texts = tuple(item for item in items if isinstance(item, str))
    if len(texts) != sum(1 for _ in items):
        raise ReleaseError(f"{where} has a list whose items are not all texts")
    return texts


def _exact(value: Fraction) -> dict[str, Any]:
    return {"exact": f"{value.numerator}/{value.denominator}", "decimal": _decimal(value)}


def _fraction(content: object, where: str) -> Fraction:
    fields = check_fields(content, {"exact": str, "decimal": (float, int)}, where)
    if not re.fullmatch(r"[0-9]{1,400}/[1-9][0-9]{0,399}", fields["exact"], re.ASCII):
        raise ReleaseError(f"{where} is not an exact fraction such as 1/3")
    return Fraction(fields["exact"])


def _decimal(value: Fraction) -> float:
    """The nearest float, for people; the largest one for what is larger still."""
    try:
        return float(value)
    except OverflowError:
        return _LARGEST
