"""Acts that show counts of what occurs, where they exceed a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from dpsynth.errors import GuaranteeError
from dpsynth.privacy.ranges import check_noise, is_count

__all__ = ["Thresholded", "ThresholdedDiscreteGaussian", "ThresholdedGaussian"]

_MOST_ROWS = 10**6
_LARGEST_THRESHOLD = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdedGaussian:
    """Counts of what occurs, each with ``round(N(0, sigma**2))`` added, where that exceeds the threshold.

    Its price is that of :class:`RoundedGaussian` on the counts of what occurs with and without one unit. Its
    delta is the chance that something which only that unit has, at most ``rows`` times in all, exceeds the
    threshold. Proof: proofs/discover.md
    """

    sigma: float
    sensitivity_squared: int
    rows: int
    threshold: int

    def __post_init__(self) -> None:
        _check_threshold(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdedDiscreteGaussian:
    """As :class:`ThresholdedGaussian`, with the noise of :class:`DiscreteGaussian`."""

    sigma: float
    sensitivity_squared: int
    rows: int
    threshold: int

    def __post_init__(self) -> None:
        _check_threshold(self)


Thresholded: TypeAlias = ThresholdedGaussian | ThresholdedDiscreteGaussian


def _check_threshold(act: Thresholded) -> None:
    check_noise(act.sigma, act.sensitivity_squared)
    if not (is_count(act.rows) and act.rows <= _MOST_ROWS):
        raise GuaranteeError(f"rows is not a whole number from 1 to {_MOST_ROWS}")
    if not (is_count(act.threshold) and act.threshold <= _LARGEST_THRESHOLD):
        raise GuaranteeError("the threshold is not a whole number from 1 to 2**62")
