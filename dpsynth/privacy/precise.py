"""Arithmetic with many digits that no other thread can disturb.

mpmath keeps its working precision in one module-wide context and its constants in module-wide caches,
neither safe to share: while one thread holds 300 bits, the end of another's ``workprec`` would silently
put it back to 53, and a budget or a draw would be decided on garbage. The privacy core therefore computes
in a context of its own, one thread at a time.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

__all__ = ["precise", "real", "upper_quantile"]

_LOCK = threading.RLock()


@contextmanager
def precise(bits: int) -> Iterator[Any]:
    """Give an mpmath context of ``bits`` bits of working precision, to one thread at a time."""
    with _LOCK:
        context = _context()
        with context.workprec(bits):
            yield context


def real(context: Any, value: float | Fraction) -> Any:
    """Return a number of the context: a float exactly, a fraction to the working precision."""
    if isinstance(value, Fraction):
        return context.mpf(value.numerator) / value.denominator
    return context.mpf(float(value))


def upper_quantile(context: Any, tail: Any) -> Any:
    """Return ``x >= 0`` with ``Q(x) = Phi(-x) = tail``, for a tail in (0, 1/2], to most of the precision.

    Newton's method on ``log Q``. From ``Q(x) <= exp(-x**2/2) / 2`` the start lies right of the root, and
    ``log Q`` is concave, so every iterate does. Nothing cancels, not even far out in the tail.
    """
    x = context.sqrt(-2 * context.log(2 * tail))
    enough = context.mpf(2) ** -(context.prec // 2)
    while True:
        q = context.ncdf(-x)
        step = context.log(q / tail) * q / context.npdf(x)
        x = max(x + step, context.zero)
        if abs(step) <= enough * (x + enough):
            return x


@functools.cache
def _context() -> Any:
    import mpmath  # noqa: PLC0415  -- lazy: costs 0.2 s at import

    return mpmath.MPContext()
