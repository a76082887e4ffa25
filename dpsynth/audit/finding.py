"""What an audit says: one finding a number, and never a score over them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from dpsynth.errors import InputError, MissingFileError
from dpsynth.release.documents import MAX_JSON_BYTES, parse

__all__ = ["FORMAT", "Audit", "Finding", "Level", "Verdict"]

FORMAT = 1


class Verdict(StrEnum):
    """What a finding says of the claim that it tests."""

    violation = "VIOLATION"  # the claim is broken, at the finding's confidence
    consistent = "CONSISTENT"  # the check had the power to see a violation, and saw none
    inconclusive = "INCONCLUSIVE"  # it could not run, or had too little power: not a pass


class Level(StrEnum):
    """How much an audit needs, and what may be shown of it."""

    unit = "unit"  # no data, minutes
    mechanism = "mechanism"  # no data, some ten minutes
    data = "data"  # real rows: a confidential annex


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One number of an audit, with what is needed to weigh it.

    Attributes:
        check: Dotted name, stable across versions, such as ``"replay.sensitivity"``.
        level: The level that the check belongs to.
        summary: What was found, in one sentence on one line. Of a publishable finding it holds nothing of
            real rows.
        verdict: What it says of the claim.
        value: The number found; None where the check could not run.
        unit: What the number counts or measures: ``"mu"``, ``"epsilon"``, ``"advantage"``, ``"p-value"``, ...
        interval: Least and greatest value at ``confidence``; of a one-sided bound, one end is infinite.
        confidence: Of the interval, or of the verdict where there is none; in (0, 1).
        trials: Independent runs, draws or guesses behind the value.
        ceiling: The greatest value that the guarantee allows.
        limit: The greatest lower bound that so many trials could have shown: the limit of detection.
        baseline: The value of somebody who sees nothing that was released.
        publishable: Whether it may leave with the release; False where it was computed from real rows.
        seconds: Wall-clock time.
        details: More of the same, as plain JSON values.

    Raises:
        ValueError: a number out of range.
    """

    check: str
    level: Level
    summary: str
    verdict: Verdict
    value: float | None
    unit: str
    interval: tuple[float, float] | None = None
    confidence: float | None = None
    trials: int = 0
    ceiling: float | None = None
    limit: float | None = None
    baseline: float | None = None
    publishable: bool = True
    seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.confidence is not None and not 0 < self.confidence < 1:
            raise ValueError(f"confidence={self.confidence!r} is not between 0 and 1")
        if self.interval is not None and not self.interval[0] <= self.interval[1]:
            raise ValueError(f"interval={self.interval!r} is not from low to high")
        if self.value is None and self.verdict is not Verdict.inconclusive:
            raise ValueError(f"{self.check} has no value: a check that could not run is inconclusive")
        if self.level is Level.data and self.publishable:
            raise ValueError(f"{self.check} was computed from real rows: it is confidential")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; infinite ends of an interval are None."""
        content = {f.name: getattr(self, f.name) for f in fields(self)}
        content["level"], content["verdict"] = self.level.value, self.verdict.value
        if self.interval is not None:
            content["interval"] = [end if math.isfinite(end) else None for end in self.interval]
        content["details"] = dict(self.details)
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Finding:
        """Rebuild a finding from :meth:`to_dict`.

        Raises:
            InputError: a field is absent, unknown or of the wrong type.
        """
        known = {f.name for f in fields(cls)}
        if not isinstance(content, Mapping) or set(content) != known:
            raise InputError("a finding of the audit has missing or unknown fields")
        own = dict(content)
        try:
            own["level"], own["verdict"] = Level(own["level"]), Verdict(own["verdict"])
            if own["interval"] is not None:
                low, high = own["interval"]
                own["interval"] = (-math.inf if low is None else low, math.inf if high is None else high)
            numbers = [own[k] for k in ("value", "confidence", "ceiling", "limit", "baseline", "seconds")]
            numbers += [] if own["interval"] is None else list(content["interval"])
            whole = type(own["trials"]) is int and type(own["publishable"]) is bool
            texts = all(
                isinstance(own[k], str) and own[k].isprintable() for k in ("check", "summary", "unit")
            )
            fits = whole and texts and isinstance(own["details"], Mapping) and _are_numbers(numbers)
            made = cls(**own)
        except (TypeError, ValueError) as error:
            raise InputError("a finding of the audit has a field of the wrong type or range") from error
        if not fits:
            raise InputError("a finding of the audit has a field of the wrong type")
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All findings of one audit of one subject.

    Attributes:
        subject: What was audited, as plain JSON values: at least ``mechanism``, ``guarantee`` (``epsilon``,
            ``delta``, ``unit``, ``rows_per_unit``, ``adjacency``), ``noise``, ``schema`` (its digest, or None
            for the audit's own tables) and ``version`` (of dpsynth).
        levels: The levels that were run, whatever came out.
        made: Date and time, ISO 8601 in UTC.
        seconds: Wall-clock time of all.
        findings: In the order they were made.
    """

    subject: Mapping[str, Any]
    levels: tuple[Level, ...]
    made: str
    seconds: float
    findings: tuple[Finding, ...]

    @property
    def violations(self) -> tuple[Finding, ...]:
        """The findings that broke a claim."""
        return tuple(f for f in self.findings if f.verdict is Verdict.violation)

    @property
    def publishable(self) -> Audit:
        """The audit without what was computed from real rows, and without the time that took."""
        return self._of(True)

    @property
    def confidential(self) -> Audit:
        """What was computed from real rows, by itself."""
        return self._of(False)

    def _of(self, publishable: bool) -> Audit:
        kept = tuple(f for f in self.findings if f.publishable is publishable)
        ran = {f.level for f in kept}
        return Audit(
            subject=self.subject,
            levels=tuple(level for level in self.levels if level in ran),
            made=self.made,
            seconds=self.seconds if len(kept) == len(self.findings) else sum(f.seconds for f in kept),
            findings=kept,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "format": FORMAT,
            "subject": dict(self.subject),
            "levels": [level.value for level in self.levels],
            "made": self.made,
            "seconds": self.seconds,
            "findings": [finding.to_dict() for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Audit:
        """Rebuild an audit from :meth:`to_dict`.

        Raises:
            InputError: it is of another format, or a field is absent, unknown or of the wrong type.
        """
        keys = {"format", "subject", "levels", "made", "seconds", "findings"}
        if not isinstance(content, Mapping) or set(content) != keys or content["format"] != FORMAT:
            raise InputError(f"this is not an audit of format {FORMAT}")
        levels, findings, subject = content["levels"], content["findings"], content["subject"]
        if not (isinstance(levels, list) and isinstance(findings, list) and isinstance(subject, Mapping)):
            raise InputError("an audit's subject, levels or findings are of the wrong type")
        made, seconds = content["made"], content["seconds"]
        if not (
            isinstance(made, str) and made.isprintable() and seconds is not None and _are_numbers([seconds])
        ):
            raise InputError("an audit's date or time is of the wrong type")
        try:
            own = tuple(Level(level) for level in levels)
        except ValueError as error:
            raise InputError(f"an audit's levels are among {', '.join(Level)}") from error
        return cls(
            subject=dict(subject),
            levels=own,
            made=made,
            seconds=seconds,
            findings=tuple(Finding.from_dict(f) for f in findings),
        )

    def save(self, path: Path | str) -> None:
        """Write the audit as JSON."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> Audit:
        """Read an audit; the file is treated as hostile.

        Raises:
            MissingFileError: there is no such file.
            InputError: it is not an audit.
        """
        file = Path(path)
        if not file.is_file():
            raise MissingFileError(f"{file}: there is no such audit")
        try:
            with file.open("rb") as stream:
                data = stream.read(MAX_JSON_BYTES + 1)
            return cls.from_dict(parse(data, "it"))
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror}") from None
        except InputError as error:
            raise InputError(f"{file}: this is no audit: {error}") from None


def _are_numbers(values: Sequence[object]) -> bool:
    """Whether all are finite numbers or None; a whole number too large for a float is none."""
    try:
        return all(v is None or (type(v) in (int, float) and math.isfinite(v)) for v in values)  # type: ignore[arg-type]
    except OverflowError:
        return False
