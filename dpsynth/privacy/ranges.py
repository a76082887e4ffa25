"""What the numbers of an act may be."""

from __future__ import annotations

import math

from dpsynth.errors import GuaranteeError

__all__ = ["LARGEST_SIGMA", "SMALLEST_SIGMA", "check_noise", "is_count", "is_real"]

SMALLEST_SIGMA, LARGEST_SIGMA = 2.0**-40, 2.0**40


def check_noise(sigma: float, sensitivity_squared: int) -> None:
    """Check the numbers of Gaussian noise.

    Raises:
        GuaranteeError: ``sigma`` is outside [``2**-40``, ``2**40``], or the squared sensitivity below 1.
    """
    if not (is_real(sigma) and SMALLEST_SIGMA <= sigma <= LARGEST_SIGMA):
        raise GuaranteeError("sigma is outside [2**-40, 2**40]")
    if not is_count(sensitivity_squared):
        raise GuaranteeError("sensitivity_squared is not a whole number of at least 1")


def is_real(value: object) -> bool:
    """Whether a value is a finite number that is no boolean and fits a float."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def is_count(value: object) -> bool:
    """Whether a value is a whole number of at least 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
