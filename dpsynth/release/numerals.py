"""Numbers as a reader wants them: all digits of what is promised, few digits of what is computed."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context, Decimal

__all__ = ["percent", "plain", "rounded_up"]


def plain(value: float) -> str:
    """Write a number with all the digits it needs, and no more.

    Example:
        >>> plain(1.0), plain(1e-9)
        ('1', '1e-09')
    """
    return repr(float(value)).removesuffix(".0")


def rounded_up(value: float, digits: int) -> str:
    """Write a number with so many significant digits, rounded up: the safe side of a cost or a risk.

    Example:
        >>> rounded_up(0.12341, 3), rounded_up(math.inf, 3)
        ('0.124', 'none')
    """
    if math.isinf(value):
        return "none"
    rounded = Decimal(repr(value)).normalize(Context(prec=digits, rounding=ROUND_CEILING))
    return f"{rounded:f}" if -6 < rounded.adjusted() < 9 else f"{rounded:e}"


def percent(share: float) -> str:
    """Write a share in percent with three significant digits, rounded up, at most 100.

    Example:
        >>> percent(0.0155283), percent(0.99999)
        ('1.56 %', '100 %')
    """
    return f"{min(Decimal(100), Decimal(rounded_up(float(Decimal(repr(share)) * 100), 3))):f} %"
