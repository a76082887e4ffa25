"""Exact contingency tables. The curator alone counts; what it lets out is noisy and paid for.

Three ways to one and the same integer table: a vectorised count for little work; a compiled one, in blocks of
rows that stay in the processor's cache, for much; and sums over a finer table that was just counted, where
a grouping is a function of the finer one's. Tables are remembered for as long as there is room, since an
adaptive mechanism asks for the same ones again and again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from dpsynth.privacy.marginal import Integers, Marginal

__all__ = ["Remembered", "count_tables"]

Codes: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
Key: TypeAlias = tuple[tuple[int, ...], tuple[bytes, ...]]

_MUCH = 20_000_000  # rows times tables from which compiled code is worth its import
_BLOCK = 8192  # rows whose keys are held at a time
_REMEMBERED = 2**23  # cells remembered in all: 64 MiB


class Remembered:
    """Tables counted before on the same rows, for as long as there is room for their cells.

    Privacy: not private. Kept by the curator, and by what counts public rows.
    """

    __slots__ = ("__cells", "__lock", "__tables")

    def __init__(self) -> None:
        self.__tables: dict[Key, Integers] = {}
        self.__cells = 0
        self.__lock = threading.Lock()

    @property
    def cells(self) -> int:
        """Number of cells of all tables kept."""
        return self.__cells

    def get(self, key: Key) -> Integers | None:
        """Return the table that was kept under a key, if one was."""
        return self.__tables.get(key)

    def keep(self, key: Key, table: Integers) -> None:
        """Keep a table if it is not known and there is room; several threads may do so."""
        with self.__lock:
            if key not in self.__tables and self.__cells + table.size <= _REMEMBERED:
                self.__tables[key] = table
                self.__cells += table.size


def count_tables(
    codes: Sequence[Codes], requests: Sequence[Marginal], known: Remembered
) -> Iterator[tuple[int, Integers]]:
    """Give the position of each request and its exact table, one at a time, in an order of its own.

    ``table[g_1(x_1), ..., g_r(x_r)] += 1`` for every row ``x``.

    Args:
        codes: One array a column, all of one length, each code below the length of a request's grouping.
        requests: What to count.
        known: Tables counted before on the same rows; read, and added to while there is room.

    Yields:
        Position in ``requests``, and int64 counts of the request's shape, not writeable.

    Privacy: not private. For the curator, which lets nothing out but through a priced act.
    """
    rows = codes[0].size
    compiled = rows * len(requests) >= _MUCH
    same_columns: dict[tuple[int, ...], list[int]] = {}
    for i, request in enumerate(requests):
        same_columns.setdefault(request.columns, []).append(i)
    for members in same_columns.values():
        finest: tuple[Marginal, Integers] | None = None
        for i in sorted(members, key=lambda i: -requests[i].cells):
            request = requests[i]
            key = (request.columns, tuple(cast("bytes", g.base) for g in request.groups))
            table = known.get(key)
            if table is None:
                if finest is not None and finest[1].size < rows:
                    table = _summed(finest[1], finest[0], request)
                if table is None:
                    table = (_count_compiled if compiled else _count)(codes, request)
                table.flags.writeable = False
                known.keep(key, table)
            finest = finest or (request, table)
            yield i, table


def _count(codes: Sequence[Codes], request: Marginal) -> Integers:
    shape = request.shape
    key = np.zeros(codes[0].size, dtype=np.int64)
    for column, groups, size in zip(request.columns, request.groups, shape, strict=True):
        key *= size
        key += groups[codes[column]]
    return np.bincount(key, minlength=request.cells).astype(np.int64, copy=False).reshape(shape)


def _count_compiled(codes: Sequence[Codes], request: Marginal) -> Integers:
    """Return what :func:`_count` returns; a key is the sum of one offset a column, below ``2**28``."""
    from dpsynth.privacy.kernels import add_offsets, set_offsets, tally  # noqa: PLC0415  -- lazy: costs 0.4 s

    shape = request.shape
    strides = [int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape))]
    offsets = [(g * s).astype(np.uint32) for g, s in zip(request.groups, strides, strict=True)]
    columns = [codes[c] for c in request.columns]
    counts = np.zeros(request.cells, dtype=np.int64)
    block = np.empty(_BLOCK, dtype=np.uint32)
    for start in range(0, columns[0].size, _BLOCK):
        rows = slice(start, min(start + _BLOCK, columns[0].size))
        keys = block[: rows.stop - start]
        set_offsets(columns[0][rows], offsets[0], keys)
        for column, offset in zip(columns[1:], offsets[1:], strict=True):
            add_offsets(column[rows], offset, keys)
        tally(keys, counts)
    return counts.reshape(shape)


def _summed(table: Integers, fine: Marginal, coarse: Marginal) -> Integers | None:
    """Return the coarse table as sums of the fine one's cells, or None where it is not made of them.

    If ``g_coarse = h(g_fine)`` in each column, the rows of a coarse cell are those of the fine cells that
    ``h`` sends there; the sums are of integers, hence exact.
    """
    coarser = [
        _function_between(f, c, size)
        for f, c, size in zip(fine.groups, coarse.groups, fine.shape, strict=True)
    ]
    for axis, groups in enumerate(coarser):
        if groups is None:
            return None
        order = np.argsort(groups, kind="stable")
        present, starts = np.unique(groups[order], return_index=True)
        sums = np.add.reduceat(np.take(table, order, axis=axis), starts, axis=axis)
        shape = (*table.shape[:axis], coarse.shape[axis], *table.shape[axis + 1 :])
        table = np.zeros(shape, dtype=np.int64)
        np.moveaxis(table, axis, 0)[present] = np.moveaxis(sums, axis, 0)
    return table


def _function_between(fine: Integers, coarse: Integers, size: int) -> Integers | None:
    """Return ``h`` with ``coarse = h[fine]`` on all codes, or None; a group of no code goes to 0."""
    function = np.zeros(size, dtype=np.int64)
    function[fine] = coarse
    return function if np.array_equal(function[fine], coarse) else None
