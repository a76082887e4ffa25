"""Plain arrays in NumPy's ``.npy`` format, by a reader that knows only what a release needs.

Little-endian int64 and float64 in C order, one to 32 axes, none of length zero. No object arrays, no
pickle, no structured dtypes. The header is bounded and read as a literal, and the stated shape must account
for every remaining byte before anything of that size is allocated.

Reference: NumPy Enhancement Proposal 1 (the ``.npy`` format), versions 1.0 and 2.0.
"""

from __future__ import annotations

import ast
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.errors import ReleaseError

__all__ = ["from_npy", "to_npy"]

_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 4096
_MAX_AXES = 32
_DTYPES = ("<i8", "<f8")


def to_npy(array: npt.NDArray[Any]) -> bytes:
    """Write an array; the same bytes for the same numbers.

    Raises:
        ValueError: it is neither int64 nor float64, or it has no axis or an axis of length zero.
    """
    if array.dtype.newbyteorder("<").str not in _DTYPES or not array.ndim or not array.size:
        raise ValueError("a release keeps non-empty int64 and float64 arrays only")
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    header = f"{{'descr': '{plain.dtype.str}', 'fortran_order': False, 'shape': {plain.shape!r}, }}"
    header += " " * (-(len(_MAGIC) + 4 + len(header) + 1) % 64) + "\n"
    return b"".join(
        (_MAGIC, b"\x01\x00", len(header).to_bytes(2, "little"), header.encode("ascii"), plain.tobytes())
    )


def from_npy(data: bytes, where: str) -> npt.NDArray[Any]:
    """Read an array without copying it; it cannot be written to.

    Args:
        data: The bytes of a file.
        where: The file's name, for messages.

    Returns:
        An int64 or float64 array.

    Raises:
        ReleaseError: anything else than what :func:`to_npy` writes, or not the bytes that the shape needs.
    """
    if data[:6] != _MAGIC:
        raise ReleaseError(f"{where} is not an array file")
    width = {b"\x01\x00": 2, b"\x02\x00": 4}.get(data[6:8])
    if width is None:
        raise ReleaseError(f"{where} is of a version of the array format other than 1.0 and 2.0")
    start = 8 + width
    length = int.from_bytes(data[8:start], "little")
    if length > _MAX_HEADER:
        raise ReleaseError(f"{where} states an array header of {length} bytes; {_MAX_HEADER} is the limit")
    dtype, shape = _header(data[start : start + length], where)
    size = len(data) - start - length
    if math.prod(shape) * 8 != size:
        raise ReleaseError(
            f"{where} states {math.prod(shape)} numbers but holds {max(size, 0)} bytes of them"
        )
    return np.frombuffer(data, dtype=dtype, offset=start + length).reshape(shape)


def _header(raw: bytes, where: str) -> tuple[str, tuple[int, ...]]:
    try:
        content = ast.literal_eval(raw.decode("ascii"))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        raise ReleaseError(f"{where} has an array header that cannot be read") from None
    if type(content) is not dict or set(content) != {"descr", "fortran_order", "shape"}:
        raise ReleaseError(f"{where} has an array header with other keys than descr, fortran_order and shape")
    dtype, shape = content["descr"], content["shape"]
    if type(dtype) is not str or dtype not in _DTYPES:
        raise ReleaseError(f"{where} is an array of another dtype than {' and '.join(_DTYPES)}")
    if content["fortran_order"] is not False:
        raise ReleaseError(f"{where} is not an array in C order")
    if type(shape) is not tuple or not 1 <= len(shape) <= _MAX_AXES or any(type(n) is not int for n in shape):
        raise ReleaseError(f"{where} has a shape that is not 1 to {_MAX_AXES} whole numbers")
    if any(not 1 <= n < 2**63 for n in shape):
        raise ReleaseError(f"{where} has an axis whose length is not between 1 and 2**63")
    return dtype, shape
