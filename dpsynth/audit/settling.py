"""Findings in plain Python numbers, as a file can hold them, whatever a level computed with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dpsynth.audit.finding import Finding, Verdict

__all__ = ["settled"]

_LARGEST = 1.7976931348623157e308
_ABOVE = " The interval begins above what is allowed, which a stricter test does not confirm: run more of it."


def settled(finding: Finding) -> Finding:
    """Return a finding of plain Python numbers, as a file can hold it.

    Infinite ceilings, limits and baselines say nothing and become None; an infinite value becomes the largest
    number there is; a value that is no number makes the finding INCONCLUSIVE, unless it
    is a VIOLATION. So does an interval that begins above what is allowed: whatever stricter test did not
    confirm it, that is no pass.
    """
    value, verdict = None if finding.value is None else float(finding.value), finding.verdict
    if value is not None and math.isnan(value):
        broken = verdict is Verdict.violation  # that is never lost
        value, verdict = (_LARGEST, verdict) if broken else (None, Verdict.inconclusive)
    elif value is not None and math.isinf(value):
        value = math.copysign(_LARGEST, value)
    summary = " ".join(finding.summary.split())
    ceiling, least = _finite(finding.ceiling), None if finding.interval is None else finding.interval[0]
    if verdict is Verdict.consistent and ceiling is not None and least is not None and least > ceiling:
        verdict, summary = Verdict.inconclusive, summary + _ABOVE
    return dataclasses.replace(
        finding,
        summary=summary,
        value=value,
        verdict=verdict,
        interval=None
        if finding.interval is None
        else (float(finding.interval[0]), float(finding.interval[1])),
        confidence=None if finding.confidence is None else float(finding.confidence),
        trials=int(finding.trials),
        ceiling=ceiling,
        limit=_finite(finding.limit),
        baseline=_finite(finding.baseline),
        seconds=float(finding.seconds),
        details={str(key): _plain(value) for key, value in finding.details.items()},
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _plain(value: Any) -> Any:
    """Return plain JSON values for what a level put into its details."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return [_plain(item) for item in sorted(value, key=str)]
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or type(value) in (bool, int, float, str) else str(value)
