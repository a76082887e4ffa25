"""What can be asked: contingency tables over grouped columns, as values that nobody can change afterwards."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["LARGEST_TABLE", "Integers", "Marginal", "frozen_groups", "public_table", "whole_numbers"]

Integers: TypeAlias = npt.NDArray[np.int64]

LARGEST_TABLE = 2**28  # cells of one counted table: 2 GiB of int64
_LARGEST_REFERENCE = 2**60  # sum of absolute values: with any number of rows, far from int64's end
_MOST_COLUMNS = 32  # of one marginal; numpy's arrays have at most 32 or 64 dimensions


@dataclass(frozen=True, slots=True, eq=False)
class Marginal:
    """A contingency table over some columns, each grouped.

    Attributes:
        columns: Positions of the columns in the domain, all different.
        groups: Per column, an integer array of length ``size``: the group, from 0, of each code. Public.
            Kept as int64 arrays that nobody can write to.
        shape: Number of groups of each column.

    Raises:
        ValueError: no column, a repeated column, more than 32, or groupings that do not match the columns
            or are not integers from 0.
    """

    columns: tuple[int, ...]
    groups: tuple[npt.NDArray[np.int64], ...]
    shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        try:
            columns = tuple(operator.index(c) for c in self.columns)
        except TypeError:
            raise ValueError("the columns of a marginal are positions: whole numbers") from None
        if not columns or len(set(columns)) != len(columns) or len(columns) > _MOST_COLUMNS:
            raise ValueError(f"a marginal needs one to {_MOST_COLUMNS} columns and none twice")
        if len(self.groups) != len(columns):
            raise ValueError("a marginal needs one grouping a column")
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "groups", tuple(frozen_groups(g) for g in self.groups))
        object.__setattr__(self, "shape", tuple(int(g.max()) + 1 for g in self.groups))

    @property
    def cells(self) -> int:
        """Number of cells of the table."""
        return math.prod(self.shape)


def public_table(query: Marginal, reference: object) -> Integers:
    """Return a reference as an int64 table of our own.

    Floats would round a distance to it, and a wrap-around of int64 would jump: both break its sensitivity.

    Raises:
        ValueError: it is of the wrong shape, not integer, or above ``2**60`` in absolute total.
    """
    table = np.asarray(reference)
    if table.shape != query.shape or table.dtype.kind not in "iu":
        raise ValueError(f"a reference must be an integer table of shape {query.shape}")
    if float(np.abs(table.astype(np.float64)).sum()) > _LARGEST_REFERENCE:
        raise ValueError(f"the absolute values of a reference may sum to at most {_LARGEST_REFERENCE}")
    return table.astype(np.int64)


def frozen_groups(groups: npt.ArrayLike) -> Integers:
    """Return a grouping as an int64 vector whose memory is the whole of a ``bytes`` object.

    It cannot be made writable, and the object says what the grouping is.
    """
    array = np.asarray(groups)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ValueError("a grouping is a non-empty vector of integers")
    if array.min() < 0 or array.max() >= LARGEST_TABLE:
        raise ValueError(f"groups are counted from 0 and stay below {LARGEST_TABLE}")
    whole = isinstance(array.base, bytes) and len(array.base) == array.nbytes and array.flags.c_contiguous
    if array.dtype == np.int64 and whole:
        return array
    return np.frombuffer(array.astype(np.int64).tobytes(), dtype=np.int64)


def whole_numbers(name: str, values: Sequence[int] | None, count: int, *, default: int) -> list[int]:
    """Return one Python integer a candidate.

    Raises:
        ValueError: too many, too few, or one that is not a whole number.
    """
    if values is None:
        return [default] * count
    if len(values) != count:
        raise ValueError(f"{len(values)} {name}s for {count} candidates")
    try:
        return [operator.index(value) for value in values]
    except TypeError:
        raise ValueError(f"a {name} is a whole number") from None
