"""Rules across columns: which rows cannot be. Public knowledge, never read from the rows.

Three kinds: combinations that are *impossible*, a column that another one *determines* by a stated map, and a
column that is *at most* another. A missing value breaks no rule, unless an impossible combination or a map
names it (as ``null``). Private rows that break a rule are counted as they are; synthetic rows break none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from dpsynth.schema.columns import Boolean, Categorical, Column, Date, Datetime, Integer, Ordinal, Real
from dpsynth.schema.ranges import Condition, Range, Value, condition_of, key_text, read_key, value_reader
from dpsynth.schema.values import MisplacedError

__all__ = ["CONSTRAINTS", "AtMost", "Constraint", "Determines", "Impossible", "check_constraints"]


@dataclass(frozen=True, slots=True)
class Impossible:
    """No row meets all of these conditions at once.

    Attributes:
        conditions: For each of two or more columns, the values meant: a list (``None`` for missing) or a
            :class:`Range`.

    Raises:
        ValueError: fewer than two columns, or an empty list.
    """

    conditions: Mapping[str, Condition]

    kind: ClassVar[str] = "impossible"

    def __post_init__(self) -> None:
        if len(self.conditions) < 2:
            raise MisplacedError(
                "an impossible combination takes two columns or more; what one column alone cannot hold is "
                "left out of its values or bounds",
                "impossible",
            )
        for name, condition in self.conditions.items():
            if not condition:
                raise MisplacedError("empty; at least one value is needed", "impossible", name)
        object.__setattr__(
            self,
            "conditions",
            {n: c if isinstance(c, Range) else tuple(c) for n, c in self.conditions.items()},
        )

    def __hash__(self) -> int:
        return hash(frozenset(self.conditions.items()))

    @property
    def columns(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each column named, and where it is named."""
        return tuple((name, ("impossible", name)) for name in self.conditions)

    def resolved(self, columns: Mapping[str, Column]) -> Self:
        """Return the constraint with each value in its column's own type.

        Raises:
            ValueError: a value that its column cannot hold, a range that holds none of its values, or a
                range in a column without an order.
        """
        return type(self)(
            {n: condition_of(columns[n], c, "impossible", n) for n, c in self.conditions.items()}
        )

    def content(self) -> Any:
        """What stands under the key ``impossible``."""
        return self.conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Determines:
    """One column's value follows from another's.

    Attributes:
        column: The column that follows.
        by: The column that it follows from.
        map: For values of ``by``, written as texts, the value of ``column``; a value of ``by`` that is not
            here leaves it free. Where ``column`` is missing nothing follows, unless the map says it is
            ``None``.

    Raises:
        ValueError: an empty map, or one column for both.
    """

    column: str
    by: str
    map: Mapping[str, Value]

    kind: ClassVar[str] = "determines"

    def __post_init__(self) -> None:
        if self.column == self.by:
            raise MisplacedError("a column cannot follow from itself; name another", "determines", "by")
        if not self.map:
            raise MisplacedError("empty; at least one value is needed", "determines", "map")
        object.__setattr__(self, "map", {key_text(key): value for key, value in self.map.items()})

    def __hash__(self) -> int:
        return hash((self.column, self.by, frozenset(self.map.items())))

    @property
    def columns(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each column named, and where it is named."""
        return ((self.column, ("determines", "column")), (self.by, ("determines", "by")))

    def resolved(self, columns: Mapping[str, Column]) -> Self:
        """Return the constraint with each value in its column's own type.

        Raises:
            ValueError: a value that its column cannot hold, or one value of ``by`` written twice.
        """
        by, column = value_reader(columns[self.by]), value_reader(columns[self.column])
        found: dict[str, Value] = {}
        for key, value in self.map.items():
            at = ("determines", "map", key)
            name = key_text(by(read_key(columns[self.by], key, *at), *at))
            if name in found:
                raise MisplacedError("the same value stands twice; remove one", *at)
            found[name] = column(value, *at)
        return type(self)(column=self.column, by=self.by, map=found)

    def content(self) -> Any:
        """What stands under the key ``determines``."""
        return {"column": self.column, "by": self.by, "map": self.map}


@dataclass(frozen=True, slots=True)
class AtMost:
    """In no row is the first column's value above the second's.

    Attributes:
        first: The column that is at most the other.
        second: The other.

    Raises:
        ValueError: one column for both.
    """

    first: str
    second: str

    kind: ClassVar[str] = "at_most"

    def __post_init__(self) -> None:
        if self.first == self.second:
            raise MisplacedError("one column stands twice; name two", "at_most", 1)

    @property
    def columns(self) -> tuple[tuple[str, tuple[str | int, ...]], ...]:
        """Each column named, and where it is named."""
        return ((self.first, ("at_most", 0)), (self.second, ("at_most", 1)))

    def resolved(self, columns: Mapping[str, Column]) -> Self:
        """Return the constraint itself.

        Raises:
            ValueError: the columns have no order in common.
        """
        for name, at in self.columns:
            if isinstance(columns[name], (Categorical, Boolean)):
                raise MisplacedError(
                    f"{name!r} is {columns[name].kind}, which has no order; only ordinal columns, "
                    "numbers and times can be compared",
                    *at,
                )
        first, second = columns[self.first], columns[self.second]
        if problem := _apart(first, second):
            raise MisplacedError(
                f"{self.first!r} ({first.kind}) and {self.second!r} ({second.kind}) cannot be compared: "
                f"{problem}",
                "at_most",
            )
        return self

    def content(self) -> Any:
        """What stands under the key ``at_most``."""
        return (self.first, self.second)


Constraint = Impossible | Determines | AtMost
CONSTRAINTS: dict[str, type[Constraint]] = {c.kind: c for c in (Impossible, Determines, AtMost)}


def check_constraints(
    constraints: Sequence[Constraint], columns: Mapping[str, Column], learned: Sequence[str]
) -> tuple[Constraint, ...]:
    """Return the constraints with each value in its column's own type.

    Args:
        constraints: As stated.
        columns: The table's columns.
        learned: Names of those that are measured.

    Raises:
        ValueError: a column that is unknown or not learned, a value or range that is not the column's,
            columns that cannot be compared, or columns that could only be equal.
    """
    above: dict[str, set[str]] = {}
    resolved = []
    for i, constraint in enumerate(constraints):
        for name, at in constraint.columns:
            if name not in columns:
                raise MisplacedError(f"{name!r} is not a column of the table", "constraints", i, *at)
            if name not in learned:
                raise MisplacedError(
                    f"{name!r} is an identifier, which is never learned; a rule cannot name it",
                    *("constraints", i, *at),
                )
        try:
            resolved.append(constraint.resolved(columns))
        except MisplacedError as error:
            raise MisplacedError(str(error), "constraints", i, *error.at) from None
        if isinstance(constraint, AtMost):
            if constraint.first in _reachable(above, constraint.second):
                raise MisplacedError(
                    "with the other constraints these columns could only be equal; leave one of them out",
                    *("constraints", i, "at_most"),
                )
            above.setdefault(constraint.first, set()).add(constraint.second)
    return tuple(resolved)


def _reachable(above: Mapping[str, set[str]], start: str) -> set[str]:
    found, frontier = {start}, [start]
    while frontier:
        fresh = above.get(frontier.pop(), set()) - found
        found |= fresh
        frontier += fresh
    return found


def _apart(first: Column, second: Column) -> str:
    """Return why two columns have no order in common; nothing if they have."""
    match first, second:
        case (Ordinal(), Ordinal()):
            short, long = sorted((first.labels, second.labels), key=len)
            if isinstance(short, range) and isinstance(long, range):
                return ""
            same = type(short[0]) is type(long[0]) and list(short) == list(long[: len(short)])
            return "" if same else "the values of one must begin with the values of the other"
        case (Integer() | Real(), Integer() | Real()) | (Date(), Date()):
            return ""
        case (Datetime(), Datetime()):
            if first.timezone != second.timezone:
                return "they must have the same timezone"
            apart = (first.lower - second.lower) % dt.timedelta(seconds=first.resolution)
            same = first.resolution == second.resolution and not apart
            return "" if same else "they must have the same resolution, and lower bounds on one grid"
    return "compare numbers with numbers, days with days, moments with moments, ordinal with ordinal columns"
