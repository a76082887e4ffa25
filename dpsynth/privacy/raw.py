"""Columns whose domain is not known yet, sealed: values as they are, that nobody can look at.

A :class:`RawTable` holds, of each column that leaves something to be bought, either texts or points on a
public lattice of whole numbers. It shows nothing of them. :func:`open_columns` opens it, and a test lists the
only file that may call that: the one that sells domains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dpsynth.privacy.sealed import Sealed

__all__ = ["LONGEST_LABEL", "NEITHER", "NULL", "Points", "RawColumn", "RawTable", "Texts", "open_columns"]

NULL, NEITHER = -1, -2
"""In the index of a labelled column: a missing value, and a value that is no label."""
LONGEST_LABEL = 200
_FURTHEST = 2**62


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Texts:
    """A labelled column.

    Attributes:
        index: Position in ``labels`` of each row, :data:`NULL` or :data:`NEITHER`.
        labels: Different printable texts of at most 200 characters.
    """

    index: npt.NDArray[np.int64]
    labels: tuple[str, ...]

    def __repr__(self) -> str:
        return "Texts(<private>)"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Points:
    """A column of numbers or times.

    Attributes:
        points: One whole number a row, within ``-2**62 .. 2**62``; of no meaning where null or garbled.
        null: Where the value is missing.
        garbled: Where it is there and cannot be read.
    """

    points: npt.NDArray[np.int64]
    null: npt.NDArray[np.bool_]
    garbled: npt.NDArray[np.bool_]

    def __repr__(self) -> str:
        return "Points(<private>)"


RawColumn: TypeAlias = Texts | Points


class RawTable(Sealed):
    """Some private columns, sealed as :class:`~dpsynth.privacy.sealed.CodedTable` is.

    Args:
        columns: The columns by name, all of one length; their arrays are copied.
        rows_per_unit: The most rows that one privacy unit has here; public, enforced beforehand.

    Raises:
        ValueError: columns of no or of different lengths, an index beyond the labels, labels that repeat,
            are too long or not printable, or points too far out. The message names columns, never values.
    """

    __slots__ = ("__columns", "__rows_per_unit")

    _INSTEAD = "a RawTable is sealed: buy from it through a Seller instead"

    def __init__(self, columns: Mapping[str, RawColumn], *, rows_per_unit: int = 1) -> None:
        if type(rows_per_unit) is not int or rows_per_unit < 1:
            raise ValueError(f"rows_per_unit={rows_per_unit!r} is not a whole number of at least 1")
        lengths = {_length(name, column) for name, column in columns.items()}
        if len(lengths) != 1:
            raise ValueError("a raw table needs columns, all of one length")
        self.__columns = {name: _sealed(column) for name, column in columns.items()}
        self.__rows_per_unit = rows_per_unit

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; public."""
        return tuple(self.__columns)

    @property
    def rows_per_unit(self) -> int:
        """The most rows that one privacy unit has here; public."""
        return self.__rows_per_unit

    def kind(self, name: str) -> type[RawColumn]:
        """Return whether a column holds texts or points; public.

        Raises:
            ValueError: there is no such column.
        """
        if name not in self.__columns:
            raise ValueError(f"column {name!r} is not among those to be bought")
        return type(self.__columns[name])

    def __repr__(self) -> str:
        return f"RawTable(<sealed>, columns={len(self.names)}, rows_per_unit={self.rows_per_unit})"


def open_columns(table: RawTable) -> Mapping[str, RawColumn]:
    """Return the private columns. For the seller of domains alone.

    Privacy: not private. Whoever calls this must let nothing out but through a priced act.
    """
    return table._RawTable__columns  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001  the one keyhole


def _length(name: str, column: RawColumn) -> int:
    """Check a column and return its number of rows."""
    if isinstance(column, Texts):
        _check_vector(name, column.index, np.int64)
        if column.index.size and not (
            int(column.index.min()) >= NEITHER and int(column.index.max()) < len(column.labels)
        ):
            raise ValueError(f"an index of column {name!r} is beyond its labels")
        if len(set(column.labels)) != len(column.labels):
            raise ValueError(f"a label of column {name!r} is there twice")
        if not all(len(label) <= LONGEST_LABEL and label.isprintable() for label in column.labels):
            raise ValueError(f"a label of column {name!r} is too long, or not printable")
        return column.index.size
    _check_vector(name, column.points, np.int64)
    for flags in (column.null, column.garbled):
        _check_vector(name, flags, np.bool_)
    if not column.points.size == column.null.size == column.garbled.size:
        raise ValueError(f"points and flags of column {name!r} differ in length")
    if column.points.size and max(abs(int(column.points.min())), abs(int(column.points.max()))) > _FURTHEST:
        raise ValueError(f"a point of column {name!r} is beyond 2**62")
    return column.points.size


def _check_vector(name: str, array: npt.NDArray[Any], dtype: type[np.generic]) -> None:
    if array.ndim != 1 or array.dtype != dtype:
        raise ValueError(f"column {name!r} is not made of vectors of the right type")


def _sealed(column: RawColumn) -> RawColumn:
    if isinstance(column, Texts):
        return Texts(_own(column.index), tuple(column.labels))
    return Points(_own(column.points), _own(column.null), _own(column.garbled))


def _own(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    own = np.array(array, order="C", copy=True, subok=False)
    own.flags.writeable = False
    return own
