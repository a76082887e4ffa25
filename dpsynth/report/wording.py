"""What the reports of an audit say in words; nothing here draws."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from dpsynth.audit.finding import Audit, Finding, Level, Verdict

__all__ = [
    "CONFIDENTIAL",
    "LEVELS",
    "READING",
    "VERDICTS",
    "counted",
    "figure",
    "numbers_of",
    "span",
    "subject_lines",
]

LEVELS = {
    Level.unit: "Unit: Every act on neighbouring tables, and the noise itself. No data needed.",
    Level.mechanism: "Mechanism: Attacks on tables made to be hard to hide. No data needed.",
    Level.data: "Data: Attacks on the real rows. Confidential.",
}
VERDICTS = {
    Verdict.violation: "the claim is broken",
    Verdict.consistent: "a violation could have been seen, and was not",
    Verdict.inconclusive: "could not run, or had too little power: not a pass",
}
READING = (
    "An audit can show that a promise is broken. It never proves one kept: an attack that finds nothing is "
    "an attack that found nothing. There is no overall score; each number stands beside the most that the "
    "guarantee allows and the most that so many trials could have shown."
)
CONFIDENTIAL = (
    "CONFIDENTIAL. These numbers were computed from real rows and are not differentially private. They "
    "never leave with the release."
)
_GUARANTEE = ("epsilon", "delta", "unit", "rows_per_unit", "adjacency")


def figure(value: float | None) -> str:
    """Write a number for people: four digits, no more than it takes; infinity as a sign.

    Example:
        >>> figure(0.25), figure(1234567.0), figure(1e-9), figure(float("inf")), figure(None)
        ('0.25', '1,234,567', '1e-09', '∞', '—')
    """
    if value is None:
        return "—"
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"


def span(finding: Finding) -> str:
    """Write an interval: both ends, or the one that is finite."""
    if finding.interval is None:
        return "—"
    low, high = finding.interval
    if math.isinf(high) and math.isfinite(low):
        return f"at least {figure(low)}"
    if math.isinf(low) and math.isfinite(high):
        return f"at most {figure(high)}"
    return f"{figure(low)} to {figure(high)}"


def numbers_of(finding: Finding) -> list[tuple[str, str]]:
    """Return what a finding says in numbers: names and texts, without what it does not state."""
    unit = f" ({finding.unit})" if finding.unit else ""
    sure = "" if finding.confidence is None else f"{100 * finding.confidence:.7g} %"
    level = f" at {sure}" if sure else ""
    rows: list[tuple[str, float | str | None]] = [
        (f"found{unit}", finding.value),
        (f"interval{level}", None if finding.interval is None else span(finding)),
        ("the guarantee allows at most", finding.ceiling),
        ("could have been shown at most", finding.limit),
        ("without the release", finding.baseline),
        ("trials", finding.trials or None),
        ("seconds", round(finding.seconds, 1) or None),
    ]
    if finding.interval is None and sure:
        rows.insert(1, ("confidence", sure))
    return [(name, v if isinstance(v, str) else figure(v)) for name, v in rows if v is not None]


def counted(audit: Audit) -> list[tuple[Verdict, int]]:
    """Return how many findings came to each verdict; never a score over them."""
    found = Counter(finding.verdict for finding in audit.findings)
    return [(verdict, found[verdict]) for verdict in Verdict]


def subject_lines(subject: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was audited: names and texts. A subject may come from anyone."""
    said = subject.get("guarantee")
    guarantee: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
    rows = [("mechanism", subject.get("mechanism"))]
    rows += [(key.replace("_", " "), guarantee.get(key)) for key in _GUARANTEE]
    rows += [("noise", subject.get("noise"))]
    rows += [("schema (SHA-256)", subject.get("schema") or "the audit's own tables")]
    rows += [("dpsynth", subject.get("version"))]
    return [(name, _plain(value)) for name, value in rows if value is not None]


def _plain(value: object) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    text = f"{value:g}" if number else str(value)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:200]
