"""Compiled inner loops of counting. Compiled once and cached on disk; imported only for large counts."""

from __future__ import annotations

from typing import Any, TypeAlias

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["add_offsets", "set_offsets", "tally"]

Unsigned: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
Offsets: TypeAlias = npt.NDArray[np.uint32]


@numba.njit(cache=True, nogil=True)
def set_offsets(codes: Unsigned, offsets: Offsets, keys: Offsets) -> None:
    """Set ``keys[i]`` to ``offsets[codes[i]]``."""
    for i in range(codes.size):
        keys[i] = offsets[codes[i]]


@numba.njit(cache=True, nogil=True)
def add_offsets(codes: Unsigned, offsets: Offsets, keys: Offsets) -> None:
    """Add ``offsets[codes[i]]`` to ``keys[i]``."""
    for i in range(codes.size):
        keys[i] += offsets[codes[i]]


@numba.njit(cache=True, nogil=True)
def tally(keys: Offsets, counts: npt.NDArray[np.int64]) -> None:
    """Add one to ``counts[keys[i]]`` for every ``i``."""
    for i in range(keys.size):
        counts[keys[i]] += 1
