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
import re
import zoneinfo
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)

from dpsynth.schema.values import (
    LABEL_TYPES,
    MAX_BINS,
    MAX_CATEGORIES,
    MAX_LATTICE,
    Day,
    Items,
    Label,
    MisplacedError,
    Moment,
    Number,
    Point,
    Text,
    Whole,
    check_label,
    check_labels,
)

__all__ = [
    "KINDS",
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
    "Rule",
]

Rule = Literal["clip", "other", "missing"]
_BINS = 128
_SomeOf = Field(default=None, min_length=1, max_length=MAX_BINS)
_AnyOf = Field(default=(), max_length=MAX_BINS)


class _Spec(BaseModel):
    """What every column says: whether nulls occur. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    missing: StrictBool
    """Whether the column may hold missing values. A null is then a category of its own, and is modelled."""

    def _check_rule(self, rule: str) -> None:
        if rule == "missing" and not self.missing:
            raise MisplacedError("out_of_domain: missing needs missing: true", "out_of_domain")


class _Labelled(_Spec):
    values: Annotated[tuple[Label, ...], Items] | None = Field(
        default=None, min_length=1, max_length=MAX_CATEGORIES
    )
    """The public values, in order for an ordinal column. All texts, all integers or all booleans."""
    count: StrictInt | None = Field(default=None, ge=1, le=MAX_CATEGORIES)
    """Instead of ``values``: the values are the integers ``0 .. count-1``."""
    out_of_domain: Rule = "other"
    """Where a value outside ``values`` goes."""
    other_label: Label | None = None
    """How ``other`` is written; ``"other"`` by default for texts. One of ``values`` may serve as it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.values is None and self.count is None:
            raise ValueError("state values (a list of what may occur) or count (the values are 0 .. count-1)")
        if self.values is not None and self.count is not None:
            raise MisplacedError("state either values or count, not both", "count")
        if self.values is not None:
            check_labels(self.values)
        self._check_other(int if self.values is None else type(self.values[0]))
        self._check_rule(self.out_of_domain)
        return self

    def _check_other(self, kind: type) -> None:
        if self.out_of_domain != "other":
            if self.other_label is not None:
                raise MisplacedError("other_label is used only with out_of_domain: other", "other_label")
            return
        if self.other_label is None and kind is not str:
            raise MisplacedError(
                f"out_of_domain: other (the default) needs an other_label where values are "
                f"{LABEL_TYPES[kind]}; state one, or use out_of_domain: clip, or missing",
                "out_of_domain",
            )
        if self.other_label is not None:
            if type(self.other_label) is not kind:
                raise MisplacedError(
                    f"other_label must be one of {LABEL_TYPES[kind]}, as the values are", "other_label"
                )
            check_label(self.other_label, "other_label")

    def __eq__(self, other: object) -> bool:
        """Compare by content; unlike Python, ``true`` is not ``1``."""
        if not isinstance(other, _Labelled):
            return NotImplemented
        return type(self.labels[0]) is type(other.labels[0]) and super().__eq__(other)

    __hash__ = _Spec.__hash__

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
        self._check_rule(self.out_of_domain)
        return self


class _Ranged(_Spec):
    bins: StrictInt = Field(default=_BINS, ge=2, le=MAX_BINS)
    """Most fine bins to keep. A column with no more values than this keeps each value as its own bin."""
    out_of_domain: Literal["clip", "missing"] = "clip"
    """Where a value outside the bounds, or one that cannot be read, goes."""

    def _check_range(
        self,
        length: int,
        lower: Point,
        upper: Point,
        edges: tuple[Point, ...] | None,
        spikes: tuple[Point, ...],
    ) -> None:
        if length < 1:
            raise MisplacedError("upper is below lower; exchange them", "upper")
        if length > MAX_LATTICE:
            raise MisplacedError(
                "the range holds more than 2**62 distinct values; use fewer decimals or tighter bounds",
                "upper",
            )
        self._check_rule(self.out_of_domain)
        for i, edge in enumerate(edges or ()):
            if not lower < edge <= upper:
                raise MisplacedError("edges must lie above lower and not above upper", "edges", i)
            if i and not (edges or ())[i - 1] < edge:
                raise MisplacedError("edges must increase", "edges", i)
        if edges is not None and self.bins != _BINS:
            raise MisplacedError("state either bins (equal widths) or edges, not both", "bins")
        seen = set()
        for i, spike in enumerate(spikes):
            if not lower <= spike <= upper:
                raise MisplacedError("spikes must lie between lower and upper", "spikes", i)
            if spike in seen:
                raise MisplacedError("this spike is listed twice; remove one", "spikes", i)
            seen.add(spike)


class Integer(_Ranged):
    """Whole numbers between public bounds, both included."""

    kind: Literal["integer"] = "integer"
    lower: Whole
    upper: Whole
    edges: Annotated[tuple[Whole, ...], Items] | None = _SomeOf
    """Inner bin edges (a value equal to an edge starts the bin), instead of equal widths."""
    spikes: Annotated[tuple[Whole, ...], Items] = _AnyOf
    """Values that get a bin of their own. The bounds, and 0 when inside them, always do."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_range(self.upper - self.lower + 1, self.lower, self.upper, self.edges, self.spikes)
        return self


class Real(_Ranged):
    """Decimal numbers between public bounds, both included, on the grid of ``decimals`` digits."""

    kind: Literal["real"] = "real"
    lower: Number
    upper: Number
    decimals: StrictInt = Field(ge=0, le=15)
    """Digits after the point: values are read, and written, as multiples of ``10**-decimals``."""
    edges: Annotated[tuple[Number, ...], Items] | None = _SomeOf
    """Inner bin edges (a value equal to an edge starts the bin), instead of equal widths."""
    spikes: Annotated[tuple[Number, ...], Items] = _AnyOf
    """Values that get a bin of their own. The bounds, and 0 when inside them, always do."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("lower", "upper"):
            if abs(self._ticks(getattr(self, key), key)) > MAX_LATTICE:
                raise MisplacedError("the bound times 10**decimals is above 2**62; use fewer decimals", key)
        for key in ("edges", "spikes"):
            for i, value in enumerate(getattr(self, key) or ()):
                self._ticks(value, key, i)
        length = self._ticks(self.upper, "upper") - self._ticks(self.lower, "lower") + 1
        self._check_range(length, self.lower, self.upper, self.edges, self.spikes)
        return self

    def _ticks(self, value: Decimal, *at: str | int) -> int:
        """The value as a multiple of ``10**-decimals``, exactly."""
        sign, digits, exponent = value.as_tuple()
        written = "".join(map(str, digits)).rstrip("0") or "0"
        shift = int(exponent) + len(digits) - len(written) + self.decimals if written != "0" else 0
        if shift < 0:
            raise MisplacedError(
                f"this number has more digits after the point than decimals: {self.decimals} allows", *at
            )
        size = int(written) * int(10**shift)
        return -size if sign else size


class Date(_Ranged):
    """Calendar days between public bounds, both included."""

    kind: Literal["date"] = "date"
    lower: Day
    upper: Day
    edges: Annotated[tuple[Day, ...], Items] | None = _SomeOf
    spikes: Annotated[tuple[Day, ...], Items] = _AnyOf

    @model_validator(mode="after")
    def _check(self) -> Self:
        length = (self.upper - self.lower).days + 1
        self._check_range(length, self.lower, self.upper, self.edges, self.spikes)
        return self


class Datetime(_Ranged):
    """Moments between public bounds, both included, on the grid of ``resolution`` seconds.

    Bounds are written without an offset, as wall-clock time in ``timezone`` (or of no zone).
    """

    kind: Literal["datetime"] = "datetime"
    lower: Moment
    upper: Moment
    resolution: StrictInt = Field(default=1, ge=1, le=86_400)
    """Seconds between two neighbouring moments of the grid, which starts at ``lower``."""
    timezone: StrictStr | None = None
    """IANA zone. Times with an offset are converted to it (to UTC if none); others are taken as in it."""
    edges: Annotated[tuple[Moment, ...], Items] | None = _SomeOf
    spikes: Annotated[tuple[Moment, ...], Items] = _AnyOf

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                zoneinfo.ZoneInfo(value)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError("this is not an IANA time zone such as Europe/Paris or UTC") from None
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        step = dt.timedelta(seconds=self.resolution)
        length = (self.upper - self.lower) // step + 1
        self._check_range(length, self.lower, self.upper, self.edges, self.spikes)
        for i, spike in enumerate(self.spikes):
            if (spike - self.lower) % step:
                raise MisplacedError(
                    f"this spike is not lower plus a multiple of resolution: {self.resolution} seconds",
                    "spikes",
                    i,
                )
        return self


class Identifier(BaseModel):
    """A key that is never read or learned: every synthetic row gets a fresh one in a stated format.

    In ``format``, ``#`` stands for a digit, ``@`` for a capital letter, and a backslash makes the next
    character literal; all else is literal.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Literal["identifier"] = "identifier"
    format: Text = Field(default="##########", min_length=1, max_length=200)
    unique: StrictBool = True
    """Whether no two synthetic rows may share one."""

    @field_validator("format")
    @classmethod
    def _varies(cls, value: str) -> str:
        free = re.sub(r"\\.", "", value, flags=re.DOTALL)
        if "\\" in free:
            raise ValueError(
                "the format ends in a backslash, which makes nothing literal; write it twice or not"
            )
        if not re.search(r"[#@]", free):
            raise ValueError(
                "the format has no # (digit) or @ (letter), so every identifier would be the same"
            )
        return value


Column = Annotated[
    Categorical | Ordinal | Boolean | Integer | Real | Date | Datetime | Identifier,
    Field(discriminator="kind"),
]
Numeric = Integer | Real | Date | Datetime

KINDS: dict[str, type[BaseModel]] = {
    "categorical": Categorical,
    "ordinal": Ordinal,
    "boolean": Boolean,
    "integer": Integer,
    "real": Real,
    "date": Date,
    "datetime": Datetime,
    "identifier": Identifier,
}
