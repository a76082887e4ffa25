"""The coded domain: what every stage after the codec knows of a column.

A column of the table becomes an *axis*: the integers ``0 .. size-1``. The first ``ordered`` of them are
in a meaningful order (bins of a number, days, an ordinal scale); the codes after them (missing, other)
are not. Nothing here is private: axes and rules follow from the schema alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dpsynth.rules import Rule

__all__ = ["Axis", "Domain"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One column in codes.

    Attributes:
        name: The column's name.
        size: Number of codes, at least 1; codes are ``0 .. size-1``.
        ordered: How many leading codes are in a meaningful order; 0 for an unordered column.

    Raises:
        ValueError: ``size < 1`` or ``ordered`` is outside ``0 .. size``.
    """

    name: str
    size: int
    ordered: int = 0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"axis {self.name!r}: size {self.size} is below 1")
        if not 0 <= self.ordered <= self.size:
            raise ValueError(f"axis {self.name!r}: ordered={self.ordered} is outside 0..{self.size}")


@dataclass(frozen=True, slots=True)
class Domain:
    """The axes of a coded table, in column order, and the rules that its rows keep.

    Attributes:
        axes: One a column.
        rules: Combinations of codes that no synthetic row may hold.

    Raises:
        ValueError: no axis, two axes of one name, or a rule that does not fit the axes.
    """

    axes: tuple[Axis, ...]
    rules: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        if not self.axes:
            raise ValueError("a domain needs at least one axis")
        if len(set(self.names)) != len(self.axes):
            raise ValueError("two axes of a domain share a name")
        for rule in self.rules:
            if rule.columns[-1] >= len(self.axes):
                raise ValueError("a rule names a column outside the domain")
            for column, classes in zip(rule.columns, rule.classes, strict=True):
                if classes.size != self.axes[column].size:
                    raise ValueError(f"a rule's classes of {self.axes[column].name!r} do not fit its codes")

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(axis.name for axis in self.axes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of codes of each column, in order."""
        return tuple(axis.size for axis in self.axes)

    def index(self, name: str) -> int:
        """Position of a column.

        Raises:
            KeyError: the domain has no such column.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise KeyError(name) from None

    def cells(self, columns: Iterable[int]) -> int:
        """Number of cells of the marginal over these column positions, as an exact integer."""
        return math.prod(self.axes[c].size for c in columns)

    def __len__(self) -> int:
        return len(self.axes)

    def __iter__(self) -> Iterator[Axis]:
        return iter(self.axes)
