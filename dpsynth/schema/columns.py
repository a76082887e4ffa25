"""The kinds of column a table may have, and what is publicly known of each.

Everything written here is *public knowledge*: it is stated by the steward, never read from the private
rows. Three rules can catch a value outside that knowledge (``out_of_domain``), and none is an error,
since an error that depends on a private value would give it away:

* ``clip``: numbers and times go to the nearest bound; any other unknown value, and a null in a column
  declared ``missing: false``, goes to the lower bound or the first declared value.
* ``other``: goes to a category of its own, written as ``other_label`` in the synthetic table.
* ``missing``: becomes a missing value; needs ``missing: true``.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import zoneinfo
from decimal import Decimal
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, field_validator, model_validator

__all__ = [
    "Boolean",
    "Categorical",
    "Column",
    "Date",
    "Datetime",
    "Identifier",
    "Integer",
    "Label",
    "Numeric",
    "Ordinal",
    "Real",
]

Label = StrictInt | StrictStr | StrictBool
Rule = Literal["clip", "other", "missing"]

_MAX_CATEGORIES = 10_000_000
_MAX_BINS = 65_536
_MAX_LATTICE = 2**62


class _Spec(BaseModel):
    """What every column says: whether nulls occur. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    missing: StrictBool
    """Whether the column may hold missing values. A null is then a category of its own, and is modelled."""


class _Labelled(_Spec):
    values: tuple[Label, ...] | None = Field(default=None, min_length=1)
    """The public values, in order for an ordinal column. All texts, all integers or all booleans."""
    count: StrictInt | None = Field(default=None, ge=1, le=_MAX_CATEGORIES)
    """Instead of ``values``: the values are the integers ``0 .. count-1``."""
    out_of_domain: Rule = "other"
    """Where a value outside ``values`` goes."""
    other_label: Label | None = None
    """How ``other`` is written; defaults to ``"other"`` for texts. If it is one of ``values``, that one is used."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.values is None) == (self.count is None):
            raise ValueError("state either values (a list) or count (the values are 0 .. count-1)")
        if self.values is not None:
            kinds = {type(v) for v in self.values}
            if len(kinds) > 1:
                raise ValueError("values mix texts, integers or booleans; quote them all as texts or none")
            if len(set(self.values)) != len(self.values):
                raise ValueError("a value is listed twice")
        kind = type(self.values[0]) if self.values is not None else int
        if self.out_of_domain == "other":
            if self.other_label is None and kind is not str:
                raise ValueError(
                    f"out_of_domain: other needs an other_label ({kind.__name__}) for values that are not texts; "
                    "or use clip, or missing"
                )
            if self.other_label is not None and type(self.other_label) is not kind:
                raise ValueError(f"other_label must be a {kind.__name__}, as the values are")
        elif self.other_label is not None:
            raise ValueError("other_label is used only with out_of_domain: other")
        if self.out_of_domain == "missing" and not self.missing:
            raise ValueError("out_of_domain: missing needs missing: true")
        return self

    @property
    def labels(self) -> tuple[Label, ...] | range:
        """The declared values in order, without *other* and *missing*."""
        return self.values if self.values is not None else range(self.count or 0)

    @property
    def other(self) -> Label | None:
        """The label of the ``other`` category, or ``None`` where the rule is not ``other``."""
        if self.out_of_domain != "other":
            return None
        return "other" if self.other_label is None else self.other_label


class Categorical(_Labelled):
    """A column with a fixed set of values without order."""

    kind: Literal["categorical"] = "categorical"


class Ordinal(_Labelled):
    """A column with a fixed set of values, listed from lowest to highest."""

    kind: Literal["ordinal"] = "ordinal"


class Boolean(_Spec):
    """True or false. Accepts booleans, 0/1 and the usual words (true/false, yes/no, t/f, y/n)."""

    kind: Literal["boolean"] = "boolean"
    out_of_domain: Literal["clip", "missing"] = "clip"
    """``clip`` reads anything else as false."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.out_of_domain == "missing" and not self.missing:
            raise ValueError("out_of_domain: missing needs missing: true")
        return self


class _Ranged(_Spec):
    bins: StrictInt = Field(default=128, ge=2, le=_MAX_BINS)
    """Most fine bins to keep. A column with no more values than this keeps each value as its own bin."""
    out_of_domain: Literal["clip", "missing"] = "clip"
    """Where a value outside the bounds, or one that cannot be read, goes."""

    def _check_lattice(self, length: int) -> None:
        if length < 1:
            raise ValueError("upper is below lower")
        if length > _MAX_LATTICE:
            raise ValueError("the range holds more than 2**62 distinct values; use fewer decimals or tighter bounds")
        if self.out_of_domain == "missing" and not self.missing:
            raise ValueError("out_of_domain: missing needs missing: true")


class Integer(_Ranged):
    """Whole numbers between public bounds, both included."""

    kind: Literal["integer"] = "integer"
    lower: StrictInt = Field(ge=-(2**62), le=2**62)
    upper: StrictInt = Field(ge=-(2**62), le=2**62)
    edges: tuple[StrictInt, ...] | None = Field(default=None, min_length=1)
    """Inner bin edges (a value equal to an edge starts the bin), instead of equal widths."""
    spikes: tuple[StrictInt, ...] = ()
    """Values that get a bin of their own. The bounds, and 0 when inside them, always do."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_lattice(self.upper - self.lower + 1)
        _check_inside(self.lower, self.upper, self.edges, self.spikes)
        return self


class Real(_Ranged):
    """Decimal numbers between public bounds, both included, on the grid of ``decimals`` digits."""

    kind: Literal["real"] = "real"
    lower: Decimal = Field(ge=-(10**15), le=10**15)
    upper: Decimal = Field(ge=-(10**15), le=10**15)
    decimals: StrictInt = Field(ge=0, le=15)
    """Digits after the point: values are read, and written, as multiples of ``10**-decimals``."""
    edges: tuple[Decimal, ...] | None = Field(default=None, min_length=1)
    """Inner bin edges (a value equal to an edge starts the bin), instead of equal widths."""
    spikes: tuple[Decimal, ...] = ()
    """Values that get a bin of their own. The bounds, and 0 when inside them, always do."""

    @field_validator("lower", "upper", "edges", "spikes", mode="before")
    @classmethod
    def _as_written(cls, value: object) -> object:
        """Read 0.1 as the decimal 0.1, not as the nearest binary fraction."""
        if isinstance(value, (list, tuple)):
            return tuple(_decimal(v) for v in value)
        return _decimal(value)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for v in (self.lower, self.upper, *(self.edges or ()), *self.spikes):
            if v != round(v, self.decimals):
                raise ValueError(f"{v} has more than decimals={self.decimals} digits after the point")
        self._check_lattice(int((self.upper - self.lower) * 10**self.decimals) + 1)
        _check_inside(self.lower, self.upper, self.edges, self.spikes)
        return self


class Date(_Ranged):
    """Calendar days between public bounds, both included."""

    kind: Literal["date"] = "date"
    lower: dt.date
    upper: dt.date
    edges: tuple[dt.date, ...] | None = Field(default=None, min_length=1)
    spikes: tuple[dt.date, ...] = ()

    @field_validator("lower", "upper", mode="before")
    @classmethod
    def _only_a_day(cls, value: object) -> object:
        if isinstance(value, dt.datetime):
            raise ValueError("a date column takes a day such as 2024-01-31, without a time of day")  # noqa: TRY004
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_lattice((self.upper - self.lower).days + 1)
        _check_inside(self.lower, self.upper, self.edges, self.spikes)
        return self


class Datetime(_Ranged):
    """Moments between public bounds, both included, on the grid of ``resolution`` seconds.

    Bounds are written without an offset, as wall-clock time in ``timezone`` (or of no zone).
    """

    kind: Literal["datetime"] = "datetime"
    lower: dt.datetime
    upper: dt.datetime
    resolution: StrictInt = Field(default=1, ge=1, le=86_400)
    """Seconds between two neighbouring moments of the grid, which starts at ``lower``."""
    timezone: StrictStr | None = None
    """IANA zone. Times with an offset are converted to it (to UTC if none); times without are taken as in it."""
    edges: tuple[dt.datetime, ...] | None = Field(default=None, min_length=1)
    spikes: tuple[dt.datetime, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                zoneinfo.ZoneInfo(value)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(f"{value!r} is not an IANA time zone such as Europe/Paris") from None
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(v.tzinfo is not None for v in (self.lower, self.upper, *(self.edges or ()), *self.spikes)):
            raise ValueError("write times without an offset and state the zone once, as timezone")
        self._check_lattice(math.floor((self.upper - self.lower).total_seconds() / self.resolution) + 1)
        _check_inside(self.lower, self.upper, self.edges, self.spikes)
        return self


class Identifier(BaseModel):
    """A key that is never read or learned: every synthetic row gets a fresh one in a stated format.

    In ``format``, ``#`` stands for a digit, ``@`` for a capital letter, and a backslash makes the next
    character literal; all else is literal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["identifier"] = "identifier"
    format: StrictStr = Field(default="##########", min_length=1, max_length=200)
    unique: StrictBool = True
    """Whether no two synthetic rows may share one."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not re.search(r"[#@]", re.sub(r"\\.", "", self.format)):
            raise ValueError("the format has no # (digit) or @ (letter), so every identifier would be the same")
        return self


Column = Annotated[
    Categorical | Ordinal | Boolean | Integer | Real | Date | Datetime | Identifier, Field(discriminator="kind")
]
Numeric = Integer | Real | Date | Datetime


_T = TypeVar("_T", int, Decimal, dt.date, dt.datetime)


def _decimal(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")  # noqa: TRY004
    return Decimal(repr(value)) if isinstance(value, (int, float)) else value


def _check_inside(
    lower: _T, upper: _T, edges: tuple[_T, ...] | None, spikes: tuple[_T, ...]
) -> None:
    if edges is not None:
        if list(edges) != sorted(set(edges)):
            raise ValueError("edges must increase")
        if not (lower < edges[0] and edges[-1] <= upper):
            raise ValueError("edges must lie above lower and not above upper")
    if len(set(spikes)) != len(spikes):
        raise ValueError("a spike is listed twice")
    if not all(lower <= s <= upper for s in spikes):
        raise ValueError("spikes must lie between lower and upper")
