"""Tables of the audit's own: neighbours that are as hard to hide as the guarantee allows.

One privacy unit, with as many rows as the guarantee lets it have, differs from all others in every column. Of
each marginal it then moves one count by all its rows, which is the whole of the booked sensitivity; so what
an audit finds on these tables is close to what is claimed, and what exceeds the claim is a fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dpsynth.data.codec import Codec
from dpsynth.data.source import open_source
from dpsynth.domain import Domain
from dpsynth.errors import InputError
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.sealed import CodedTable
from dpsynth.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["WORST_CASES", "WorstCase", "worst_case"]

Codes = npt.NDArray[np.uint32]

_COLUMNS = 3
_CODES = 3  # of each column: those of the crowd, of a second crowd, of the unit
_TOO_MANY = 2  # rows of the unit beyond its bound, for the bound to take off


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WorstCase:
    """Two neighbours, as tables and as the codes that ought to be counted. Not private: no row is real.

    Attributes:
        name: What sets the pair apart, as it stands in findings.
        guarantee: Whose unit, bound and adjacency make them neighbours.
        outside: Rows without the unit (under replace-one: with another in its place), one each row, as codes
            of shape ``(rows, columns)``.
        inside: Rows with it.
    """

    name: str
    guarantee: Guarantee
    outside: Codes
    inside: Codes
    schema: Schema = field(init=False)

    def __post_init__(self) -> None:
        unit, domain = self.guarantee.unit, {f"column {i + 1}": _CODES for i in range(_COLUMNS)}
        if unit == "row":
            schema = Schema.from_domain(domain)
        else:
            bound = {"column": unit, "max_rows": self.guarantee.rows_per_unit}
            schema = Schema.from_domain(domain, privacy_unit=bound)
        object.__setattr__(self, "schema", schema)

    @property
    def domain(self) -> Domain:
        """The axes of the tables."""
        return Codec(self.schema).domain

    def ought(self, *, inside: bool) -> tuple[Codes, ...]:
        """Return what ought to be counted, one array a column."""
        rows = self.inside if inside else self.outside
        return tuple(np.ascontiguousarray(column) for column in rows.T)

    def frame(self, *, inside: bool) -> pd.DataFrame:
        """Return one of the tables as a frame, in which the unit has more rows than it may have.

        All others have a row each. A fit drops what is above the bound.
        """
        import pandas as pd  # noqa: PLC0415  -- lazy: costs 0.3 s at import

        rows, k = self.inside if inside else self.outside, self.guarantee.rows_per_unit
        names = self.schema.learned
        if self.guarantee.unit == "row":
            return pd.DataFrame(dict(zip(names, rows.T.astype(np.int64), strict=True)))
        there = inside or self.guarantee.adjacency == "replace-one"
        crowd = len(rows) - (k if there else 0)
        place = np.r_[np.arange(crowd), np.full(k + _TOO_MANY if there else 0, crowd)]
        columns = dict(zip(names, rows[np.minimum(place, len(rows) - 1)].T.astype(np.int64), strict=True))
        return pd.DataFrame({self.guarantee.unit: place} | columns)

    def seal(self, *, inside: bool) -> CodedTable:
        """Return one of the tables as a fit would seal it."""
        return Codec(self.schema).encode(open_source(self.frame(inside=inside)))


def _crowd(*parts: tuple[int, int]) -> Codes:
    """Return rows of one code in all columns: for each part so many rows of such a code."""
    column = np.concatenate([np.full(rows, code, dtype=np.uint32) for rows, code in parts])
    return np.repeat(column[:, None], _COLUMNS, axis=1)


_CROWDS: dict[str, Callable[[], Codes]] = {
    "alone": lambda: _crowd((10, 0)),
    "empty": lambda: _crowd((0, 0)),
    "second": lambda: _crowd((10, 0), (1, 2)),
    "crowds": lambda: _crowd((100, 0), (100, 1)),
    "hidden": lambda: _crowd((30, 0), (30, 1), (30, 2)),
}

WORST_CASES: dict[str, str] = {
    "alone": "ten rows alike and a unit that differs from them in every column",
    "empty": "no row but the unit's",
    "second": "ten rows alike, one that differs, and the unit, which is as the one",
    "crowds": "two crowds of a hundred rows and a unit that differs from both in every column",
    "hidden": "three crowds of thirty rows and a unit that is as the third",
}
"""What each pair is, by name."""


def worst_case(name: str, guarantee: Guarantee) -> WorstCase:
    """Return one of the pairs for a guarantee's unit, bound and adjacency.

    Args:
        name: A key of :data:`WORST_CASES`.
        guarantee: What is claimed.

    Raises:
        InputError: there is no such pair.
    """
    if name not in _CROWDS:
        raise InputError(f"pair={name!r} is none of {', '.join(_CROWDS)}")
    crowd, k = _CROWDS[name](), guarantee.rows_per_unit
    outside = crowd if guarantee.adjacency == "add-remove" else np.concatenate([crowd, _crowd((k, 1))])
    return WorstCase(
        name=name,
        guarantee=guarantee,
        outside=outside,
        inside=np.concatenate([crowd, _crowd((k, 2))]),
    )
