"""Rows that cannot be looked at.

A :class:`CodedTable` holds the private rows as small-integer codes. It shows nothing of them: no repr, no
length, no iteration, no pickling, no copy, no array. :func:`open_codes` opens it, and a test lists the
only file that may call that: the curator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn, SupportsIndex

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.errors import SealedError

__all__ = ["CodedTable", "Sealed", "open_codes"]

Codes = npt.NDArray[np.unsignedinteger[Any]]


class Sealed:
    """What private rows are held in: it shows nothing of them, and is neither saved nor copied."""

    __slots__ = ()

    _INSTEAD: ClassVar[str]  # what it is, and whom to ask instead

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise SealedError(self._INSTEAD)

    __array__ = __iter__ = __contains__ = __len__ = __getitem__ = __copy__ = __bool__ = __getstate__ = _refuse

    def __deepcopy__(self, memo: object) -> NoReturn:
        self._refuse()

    def __reduce__(self) -> NoReturn:
        self._refuse()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        self._refuse()


class CodedTable(Sealed):
    """The private rows in codes, sealed.

    The seal is against accidents and careless code, not against hostile code in the same process, which can
    read any memory it likes.

    Args:
        domain: The axes; public.
        codes: One 1-D unsigned integer array per axis, all of one length, each below its axis's size. They
            are copied: what becomes of the caller's arrays afterwards does not matter.
        rows_per_unit: The most rows that one privacy unit has in this table; public, enforced by the codec.

    Raises:
        ValueError: the arrays do not fit the domain (the message says which column, not which value).
    """

    __slots__ = ("__codes", "__domain", "__rows_per_unit")

    _INSTEAD = "a CodedTable is sealed: ask the Curator for a noisy answer instead"

    def __init__(self, domain: Domain, codes: Sequence[Codes], *, rows_per_unit: int = 1) -> None:
        if type(rows_per_unit) is not int or rows_per_unit < 1:
            raise ValueError(f"rows_per_unit={rows_per_unit!r} is not a whole number of at least 1")
        if len(codes) != len(domain):
            raise ValueError(f"{len(codes)} arrays of codes for a domain of {len(domain)} axes")
        for axis, column in zip(domain, codes, strict=True):
            if column.ndim != 1 or not np.issubdtype(column.dtype, np.unsignedinteger):
                raise ValueError(f"codes of column {axis.name!r} must be one-dimensional unsigned integers")
            if column.size != codes[0].size:
                raise ValueError(f"codes of column {axis.name!r} differ in length from the first column's")
            if column.size and int(column.max()) >= axis.size:
                raise ValueError(f"a code of column {axis.name!r} is not below the axis's size {axis.size}")
        self.__domain = domain
        self.__rows_per_unit = rows_per_unit
        self.__codes = tuple(np.array(column, order="C", copy=True, subok=False) for column in codes)
        for own in self.__codes:
            own.flags.writeable = False

    @property
    def domain(self) -> Domain:
        """The axes; public."""
        return self.__domain

    @property
    def rows_per_unit(self) -> int:
        """The most rows that one privacy unit has here; public."""
        return self.__rows_per_unit

    def __repr__(self) -> str:
        return f"CodedTable(<sealed>, columns={len(self.domain)}, rows_per_unit={self.rows_per_unit})"


def open_codes(table: CodedTable) -> tuple[Codes, ...]:
    """Return the exact codes, one array a column. For the curator alone.

    Privacy: not private. Whoever calls this must let nothing out but through a priced act.
    """
    return table._CodedTable__codes  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001  the one keyhole
