"""The unit bound: at most ``max_rows`` rows of one privacy unit are ever counted."""

from __future__ import annotations

import datetime as dt
import math
import os
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.data.cells import Cells, Ints, Numbers, factored, plain_datetime
from dpsynth.data.lattice import codes_dtype
from dpsynth.data.layout import is_readable
from dpsynth.data.reading import is_null_text
from dpsynth.data.source import Source
from dpsynth.data.withheld import reading
from dpsynth.domain import Axis, Domain
from dpsynth.errors import DataError
from dpsynth.privacy.sealed import CodedTable

__all__ = ["keep_rows", "require_unit", "unit_ids", "unit_sizes"]


def require_unit(source: Source, column: str) -> None:
    """Refuse a table whose units cannot be told apart, by the column's name and dtype alone.

    Raises:
        DataError: the column is absent, or of a dtype such as lists, structs, bytes or durations.
    """
    source.require([column])
    dtype = source.layout.dtype(column)
    if not is_readable(dtype):
        raise DataError(
            f"the privacy unit's column {column!r} is of dtype {dtype}, "
            "whose values cannot be told apart; make it texts or whole numbers"
        )


@reading
def unit_sizes(source: Source, column: str, largest: int) -> CodedTable:
    """Return one sealed row a unit: how many rows it has, as code ``min(rows, largest) - 1``.

    Rows whose unit is missing belong to nobody and are left out, as in a fit.

    Args:
        source: The private table.
        column: The column whose value identifies the unit.
        largest: Number of codes; the last stands for ``largest`` rows and more.

    Returns:
        A table of one axis, ``"rows per " + column``, with ``rows_per_unit=1``: adding or removing a unit,
        with however many rows, adds or removes one row of it.

    Raises:
        DataError: as :func:`require_unit`, or the file is damaged.

    Privacy: sealed. Proof: proofs/unit_bounding.md
    """
    require_unit(source, column)
    ids = unit_ids(source.cells(column))
    sizes = np.bincount(ids[ids >= 0])
    codes = np.minimum(sizes[sizes > 0], largest) - 1
    domain = Domain((Axis(f"rows per {column}", largest, largest),))
    return CodedTable(domain, [codes.astype(codes_dtype(largest))], rows_per_unit=1)


def unit_ids(cells: Cells) -> Ints:
    """Return a number for each row's unit, -1 where the unit is missing.

    Two cells that may mean one unit get one number: ``"1"``, ``" 1 "``, ``1`` and ``1.0``. Merging is the
    safe side: two units taken for one lose rows, one unit taken for two would exceed the bound. Cells that
    cannot be read at all are one unit together.
    """
    if isinstance(cells, Numbers) and cells.null is None and cells.values.dtype.kind in "biu":
        _, ids = np.unique(cells.values, return_inverse=True)
        return ids.astype(np.int64)
    rows = factored(cells)
    known: dict[Any, int] = {}
    ids = np.full(len(rows.values) + 1, -1, dtype=np.int64)
    for position, value in enumerate(rows.values):
        key = _unit_key(value)
        if key is not None:
            ids[position] = known.setdefault(key, len(known))
    return ids[rows.index]


def _unit_key(value: object) -> object:
    """Return the canonical form of a unit's value: an exact number, a moment, or a stripped text."""
    if isinstance(value, str):
        value = _meaning(value.strip())
    if isinstance(value, dt.datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else repr(value)
    return Decimal(value) if isinstance(value, (int, Decimal)) else value


def _meaning(text: str) -> object:
    """Return what a stripped text stands for, as the same value in another dtype would."""
    if is_null_text(text):
        return None
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        number = Decimal(text)
    except (InvalidOperation, ValueError):
        try:
            return plain_datetime(dt.datetime.fromisoformat(text))
        except ValueError:
            return text
    return number if number.is_finite() else float(text) if number.is_infinite() else text


def keep_rows(ids: Ints, max_rows: int) -> npt.NDArray[np.intp]:
    """Choose at most ``max_rows`` rows of each unit, uniformly at random, and return their positions.

    Every row draws 64 bits of operating-system entropy; within a unit the rows with the smallest draws are
    kept. (Equal draws, of probability below ``n**2 / 2**65``, are broken by position.)

    Args:
        ids: Unit of each row; rows with a negative one are dropped.
        max_rows: The bound, at least 1.

    Privacy: chance from the operating system alone, no seed. The result is as private as the rows.
    """
    rows = np.flatnonzero(ids >= 0)
    draws = np.frombuffer(os.urandom(8 * rows.size), dtype=np.uint64)
    order = rows[np.lexsort((draws, ids[rows]))]
    sorted_ids = ids[order]
    position = np.arange(order.size)
    begins = np.empty(order.size, dtype=bool)
    begins[:1] = True
    begins[1:] = sorted_ids[1:] != sorted_ids[:-1]
    rank = position - np.maximum.accumulate(np.where(begins, position, 0))
    return np.sort(order[rank < max_rows])
