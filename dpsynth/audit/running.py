"""One call for a whole audit: levels are run in turn on one subject, and their findings kept together.

What is audited is this library's own road as a synthesizer configures it: the mechanism is run anew, on
tables of the audit's own, and only level ``data`` looks at the release that was made and at real rows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dpsynth import __version__
from dpsynth.audit.finding import Audit, Finding, Level, Verdict
from dpsynth.audit.identity import identity_of
from dpsynth.audit.settling import settled
from dpsynth.data.withheld import emptied
from dpsynth.errors import InputError
from dpsynth.mechanisms import MECHANISMS
from dpsynth.mechanisms.mechanism import Progress, ignore_progress
from dpsynth.release.bundle import load
from dpsynth.release.documents import shown
from dpsynth.release.release import Release
from dpsynth.release.verify import verify
from dpsynth.schema import Schema
from dpsynth.synthesizer import Synthesizer

__all__ = ["OWN_TABLES", "Subject", "levels_of", "run", "subject_of"]

OWN_TABLES = Schema.loads("""
privacy_unit: row
columns:
  group: {kind: categorical, missing: true, values: [a, b, c], out_of_domain: missing}
  grade: {kind: ordinal, missing: false, values: [low, middle, high, top], out_of_domain: clip}
  amount: {kind: integer, missing: true, lower: 0, upper: 19}
  member: {kind: boolean, missing: false}
""")
"""A schema for those who have none: of its tables no audit of a release is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is audited.

    Attributes:
        synthesizer: Schema, guarantee, mechanism and noise; None for all that the library has.
        release: The release that it made, if it is that which is audited.
    """

    synthesizer: Synthesizer | None
    release: Release | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What an audit of it is about, as plain JSON values."""
        synth = self.synthesizer
        if synth is None:
            return {
                "mechanism": "every mechanism",
                "guarantee": {},
                "noise": "every source",
                "schema": None,
                "version": __version__,
            }
        schema = synth.to_buy or synth.schema
        return identity_of(
            mechanism=synth.mechanism.name,
            guarantee=synth.guarantee,
            noise=synth.noise,
            schema=None if schema == OWN_TABLES else schema,
        )


@emptied
def run(
    subject: Synthesizer | Release | str | os.PathLike[str] | None = None,
    *,
    levels: Iterable[Level | str] = (Level.unit,),
    real: Any = None,
    holdout: Any = None,
    seed: int = 0,
    quick: bool = False,
    workload: str | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Run levels of the audit on one subject.

    Args:
        subject: A synthesizer; or a release, as an object or a path, whose synthesizer is configured anew
            from its statement. A release at a path is verified first. None, for level ``unit`` alone: every
            mechanism and every source of noise.
        levels: Of ``"unit"``, ``"mechanism"`` and ``"data"``.
        real: For level ``data``: the rows the release was fitted on, as :meth:`Synthesizer.fit` takes them.
        holdout: For level ``data``: rows of other people from the same population.
        seed: Of all chance but noise, which is never seeded.
        quick: Run fewer trials where a level lets that be chosen: less power, and more is INCONCLUSIVE.
        workload: What the release's mechanism was given, as the command line writes it; no release says.
        progress: Called with the name of a stage and the fraction of it that is done.

    Returns:
        All findings. Part what may be published from what may not by :attr:`Audit.publishable` and
        :attr:`Audit.confidential`.

    Raises:
        InputError: an unknown level; level ``data`` without a release, ``real`` and ``holdout``, or they
            without it; a release whose mechanism is none of dpsynth's own, so that nothing can be run again.
        VerificationError: the release at the path does not agree with itself.
        DataError: as level ``data`` says of its tables.

    Privacy: findings of level ``data`` depend on real rows and are not private. All else touches no real row.

    Example:
        >>> from dpsynth import Synthesizer
        >>> from dpsynth.audit import OWN_TABLES, run
        >>> synth = Synthesizer(OWN_TABLES, epsilon=1.0, delta=1e-9, mechanism="independent")
        >>> found = run(synth, levels=())
        >>> found.violations
        ()
    """
    wanted = levels_of(levels)
    if type(seed) is not int or seed < 0:
        raise InputError(f"seed={shown(repr(seed))} is not a whole number of at least 0")
    audited = subject_of(subject, workload=workload)
    if Level.data in wanted and (audited.release is None or real is None or holdout is None):
        raise InputError(
            "level data attacks a release with the rows it was made of and rows it never saw: give a "
            "release, real and holdout"
        )
    if audited.synthesizer is None and set(wanted) - {Level.unit}:
        raise InputError("all levels but unit attack one guarantee: give a release or a synthesizer")
    if Level.data not in wanted and not (real is None and holdout is None):
        raise InputError("real and holdout are for level data, which was not asked for")
    started, report = time.perf_counter(), progress or ignore_progress
    made = datetime.now(UTC).isoformat(timespec="seconds")
    findings = list(_scope(audited, wanted))
    for level in wanted:
        report(f"level {level.value}", 0.0)
        found = _LEVELS[level](audited, _Terms(real, holdout, seed, quick, report))
        findings += (settled(finding) for finding in found)
        report(f"level {level.value}", 1.0)
    return Audit(
        subject=audited.identity,
        levels=wanted,
        made=made,
        seconds=time.perf_counter() - started,
        findings=tuple(findings),
    )


def levels_of(levels: Iterable[Level | str]) -> tuple[Level, ...]:
    """Return levels by name, each once, in the order unit, mechanism, data.

    Raises:
        InputError: one is unknown, or a text stands in place of a list.
    """
    if isinstance(levels, str):
        raise InputError(f"levels takes a list of levels, not one text; write [{levels!r}]")
    wanted = set()
    for level in levels:
        try:
            wanted.add(Level(level))
        except ValueError:
            raise InputError(f"level {shown(str(level))} is none of {', '.join(Level)}") from None
    return tuple(level for level in Level if level in wanted)


def subject_of(
    subject: Synthesizer | Release | str | os.PathLike[str] | None, *, workload: str | None = None
) -> Subject:
    """Return what is audited; as :func:`run` says."""
    if subject is None or isinstance(subject, Synthesizer):
        if workload is not None:
            raise InputError("workload is for a release; a synthesizer has its own")
        return Subject(synthesizer=subject)
    if not isinstance(subject, Release):
        verify(subject).require_passed()
        subject = load(subject)
    statement = subject.statement
    if statement.mechanism not in MECHANISMS:
        raise InputError(
            f"mechanism {shown(statement.mechanism)} of this release is none of dpsynth's own, so nothing "
            "can be run again; audit it in Python, with a Synthesizer that has it"
        )
    synth = Synthesizer(
        subject.schema,
        epsilon=statement.guarantee.epsilon,
        delta=statement.guarantee.delta,
        mechanism=statement.mechanism,
        noise=statement.backend,
        adjacency=statement.guarantee.adjacency,
        workload=workload,
    )
    return Subject(synthesizer=synth, release=subject)


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Terms:
    """What a level is told beside its subject. As private as the tables."""

    real: Any
    holdout: Any
    seed: int
    quick: bool
    report: Progress


def _scope(subject: Subject, levels: Sequence[Level]) -> Iterator[Finding]:
    """Say where what is run differs from what made the release."""
    if subject.release is None or not levels:
        return
    statement = subject.release.statement
    beyond = {}
    if statement.version != __version__:
        beyond["scope.version"] = (
            f"The release was made by dpsynth {statement.version}; the code that was run is {__version__}."
        )
    bought = sum(bool(column.bought) for column in statement.provenance)
    if bought:
        beyond["scope.bought"] = (
            f"Something was bought for {bought} columns, and not bought again: audit the open schema too."
        )
    for check, summary in beyond.items():
        yield Finding(
            check=check,
            level=levels[0],
            summary=summary,
            verdict=Verdict.inconclusive,
            value=None,
            unit="",
            publishable=levels[0] is not Level.data,
        )


def _unit(subject: Subject, terms: _Terms) -> Iterable[Finding]:
    from dpsynth.audit.unit import unit_level  # noqa: PLC0415  -- lazy: each level imports much of its own

    return unit_level(subject.synthesizer, seed=terms.seed)


def _mechanism(subject: Subject, terms: _Terms) -> Iterable[Finding]:
    from dpsynth.audit.mechanism import Effort, mechanism_level  # noqa: PLC0415  -- lazy, as above

    if subject.synthesizer is None:
        return ()
    return mechanism_level(
        subject.synthesizer,
        effort=Effort.quick() if terms.quick else None,
        seed=terms.seed,
        processes=min(2, os.cpu_count() or 1),
    )


def _data(subject: Subject, terms: _Terms) -> Iterable[Finding]:
    from dpsynth.audit.data_level import Effort, data_level  # noqa: PLC0415  -- lazy, as above

    if subject.release is None or subject.synthesizer is None:
        return ()
    few = Effort(fits=40, targets=1, background=500, candidates=200, people=500, attacks=200, canaries=1_000)
    return data_level(
        subject.release,
        terms.real,
        terms.holdout,
        seed=terms.seed,
        effort=few if terms.quick else None,
        refit=subject.synthesizer.fit,
        progress=lambda stage: terms.report(stage, 0.0),
    )


_LEVELS: Mapping[Level, Callable[[Subject, _Terms], Iterable[Finding]]] = {
    Level.unit: _unit,
    Level.mechanism: _mechanism,
    Level.data: _data,
}
