"""The confidential level: attacks on one release, with the rows it was fitted on and rows it never saw.

All that is found here is a function of private rows. It is for the steward's eyes, and no part of it may be
published with the release: figures on single people's rows have let tables be rebuilt.

Reference: Ganev, De Cristofaro 2025, "The Inadequacy of Similarity-based Privacy Metrics" (arXiv:2312.05114).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.audit.anonymeter_risks import anonymeter_findings
from dpsynth.audit.baselines import closest_scores, density_scores
from dpsynth.audit.canaries import canary_findings
from dpsynth.audit.ceilings import Claim
from dpsynth.audit.exposed import most_exposed
from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.audit.guessing import Promise, judge_guesses, pairs_needed, per_unit
from dpsynth.audit.mamamia import measured_scores, ratio_scores
from dpsynth.audit.shadow import Refit, shadow_findings, shadows_of
from dpsynth.audit.tables import ALPHA, Audited, Codes, Rows, check_fit, drawn, overlap, read_tables
from dpsynth.data.codec import Codec
from dpsynth.data.withheld import reading
from dpsynth.domain import Domain
from dpsynth.errors import DpsynthError, InputError
from dpsynth.schema import Schema, UnitColumn
from dpsynth.synthesizer import Synthesizer

__all__ = ["Effort", "data_level", "recipe_of"]

LEAST = 20  # people on each side, below which nothing is attacked
_MOST_SYNTHETIC = 100_000
_MOST_NEAR = 20_000  # synthetic rows that distances are taken to
_COPIED = "It shows rows that were copied and crowding around them; being near chance shows nothing."
_KNOWN = "An average over people; the few most exposed are for the shadow fits."


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is tried; each number is at least 1.

    Attributes:
        fits: Shadow fits, which all targets share.
        targets: The most exposed people, attacked with the shadow fits.
        background: Most other people in a shadow fit; of a larger table that many are drawn.
        candidates: People among whom the most exposed are looked for.
        people: Members, and non-members, in the attacks on the release itself.
        canaries: Made-up people in one fit of a copy; at least 40.
        attacks: Attacks of each kind that anonymeter makes on each side.

    Raises:
        InputError: a number below 1.
    """

    fits: int = 200
    targets: int = 3
    background: int = 2_000
    candidates: int = 1_000
    people: int = 2_000
    canaries: int = 5_000
    attacks: int = 1_000

    def __post_init__(self) -> None:
        for own in fields(self):
            value = getattr(self, own.name)
            if type(value) is not int or value < 1:
                raise InputError(f"{own.name}={value!r} is not a whole number of at least 1")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Case:
    """What every attack is given. As private as the rows."""

    release: Audited
    domain: Domain
    claim: Claim
    effort: Effort
    alpha: float
    rng: np.random.Generator
    members: Rows
    reference: Rows  # shows the population
    control: Rows  # is guessed about


def recipe_of(release: Audited) -> Synthesizer:
    """Return what fits tables as a release says that it was fitted: schema, guarantee, mechanism and noise.

    What was bought for the release stands in its schema, and is not bought again. A workload, or a limit of
    size or time, is no part of a release and takes its default.

    Raises:
        InputError: the mechanism is none of dpsynth's own.
    """
    statement = release.statement
    guarantee = statement.guarantee
    return Synthesizer(
        release.schema,
        epsilon=guarantee.epsilon,
        delta=guarantee.delta,
        mechanism=statement.mechanism,
        noise=statement.backend,
        adjacency=guarantee.adjacency,
    )


@reading
def data_level(
    release: Audited,
    real: Any,
    holdout: Any,
    *,
    seed: int,
    effort: Effort | None = None,
    alpha: float = 1e-3,
    schema: Schema | None = None,
    refit: Refit | None = None,
    anonymeter: str | os.PathLike[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[Finding, ...]:
    """Attack a release with its training rows and a holdout at hand.

    Args:
        release: What is audited.
        real: The rows it was fitted on: a frame, or a path to a file.
        holdout: Rows of other people from the same population, kept from the fit.
        seed: Of all chance but the noise of shadow fits, which is the operating system's.
        effort: How much is tried; by default some minutes of one core.
        alpha: Rate of false violations of each attack, in (0, 1).
        schema: The schema that the release is taken to have; by default its own is believed.
        refit: Fits the release's recipe to a pandas frame; by default :func:`recipe_of` does. Canaries are
            fitted by the latter in any case: they need a wider domain.
        anonymeter: An interpreter that has anonymeter; by default the one named by ``DPSYNTH_ANONYMETER``.
        progress: Told the name of each attack as it begins.

    Returns:
        Confidential findings.

    Raises:
        InputError: an argument is out of range, or the release has another schema than ``schema``.
        DataError: a column is absent; the holdout overlaps the training rows; or the release was not fitted
            on them.

    Privacy: not private. Errors name no value and no count of rows.
    """
    if type(seed) is not int or seed < 0:
        raise InputError("seed is not a whole number of at least 0")
    if not 0 < alpha < 1:
        raise InputError(f"alpha={alpha!r} is not between 0 and 1")
    if schema is not None and schema != release.schema:
        raise InputError("the release was fitted with another schema than the one given; audit it by its own")
    effort, report = effort or Effort(), progress or (lambda _: None)
    domain, claim = Codec(release.schema).domain, Claim.of(release.statement)
    rng = np.random.default_rng(seed)
    started = time.perf_counter()
    report("reading rows")
    members, others = read_tables(release.schema, real, holdout)
    if min(members.people.size, others.people.size) < LEAST:
        few = _too_few(Promise(claim=claim, guarantee=release.statement.guarantee), alpha, started)
        return (few, *_canaries(release, real, effort, alpha, rng))
    check_fit(release, members, domain)
    found = [_overlap(members, others, started, apart=isinstance(release.schema.privacy_unit, UnitColumn))]
    case = _Case(release, domain, claim, effort, alpha, rng, members, *_halves(others, rng))
    report("guessing who of two was in the table")
    found += _guessed(case)
    report("shadow fits")
    found += _shadowed(case, refit)
    report("canaries in a copy")
    found += _canaries(release, real, effort, alpha, rng)
    report("anonymeter")
    found += anonymeter_findings(
        _one_each(members),
        _one_each(case.control),
        drawn(release, min(_MOST_NEAR, len(members)), rng),
        domain,
        claim,
        attacks=effort.attacks,
        alpha=alpha,
        rng=rng,
        python=anonymeter,
    )
    return tuple(found)


def _halves(rows: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Split a table by units: who shows the population must not be among those who are guessed."""
    people = rng.permutation(rows.people)
    half = people.size // 2
    return rows.of(people[:half]), rows.of(people[half:])


def _some(rows: Rows, number: int, rng: np.random.Generator) -> Rows:
    people = rows.people
    return rows.of(rng.choice(people, size=min(number, people.size), replace=False))


def _one_each(rows: Rows) -> Codes:
    """Return the first row of each unit."""
    return rows.codes[np.unique(rows.units, return_index=True)[1]]


def _guessed(case: _Case) -> list[Finding]:
    """Run the attacks that need the release alone."""
    release, domain, rng = case.release, case.domain, case.rng
    synthetic = drawn(release, min(_MOST_SYNTHETIC, 5 * len(case.members)), rng)
    near = drawn(release, min(_MOST_NEAR, len(case.members)), rng)
    inside = _some(case.members, case.effort.people, rng)
    outside = _some(case.control, case.effort.people, rng)
    known, measured = case.reference.codes, release.measurements
    total = float(len(drawn(release, None, rng)))
    attacks: dict[str, tuple[Callable[[Codes], npt.NDArray[np.float64]], str]] = {
        "mamamia.ratio": (lambda rows: ratio_scores(rows, synthetic, known, measured), _KNOWN),
        "mamamia.measured": (lambda rows: measured_scores(rows, known, measured, total), _KNOWN),
        "baseline.closest": (lambda rows: closest_scores(rows, near, domain), _COPIED),
        "baseline.density": (lambda rows: density_scores(rows, near, known[:_MOST_NEAR], domain), _COPIED),
    }
    found = []
    for name, (score, note) in attacks.items():
        started = time.perf_counter()
        found.append(
            judge_guesses(
                name,
                per_unit(score(inside.codes), inside.units),
                per_unit(score(outside.codes), outside.units),
                Promise(claim=case.claim, guarantee=release.statement.guarantee),
                alpha=case.alpha,
                rng=rng,
                note=note,
                started=started,
            )
        )
    return found


def _shadowed(case: _Case, refit: Refit | None) -> tuple[Finding, ...]:
    """Run the shadow fits against the most exposed."""
    started = time.perf_counter()
    release, members, effort, rng = case.release, case.members, case.effort, case.rng
    chosen = most_exposed(members, case.domain, number=effort.targets, candidates=effort.candidates, rng=rng)
    rest = np.setdiff1d(members.people, chosen)
    background = members.of(rng.choice(rest, size=min(effort.background, rest.size), replace=False))
    others = rng.permutation(case.control.people)[: chosen.size]
    swapped = case.claim.adjacency == "replace-one"
    unit = release.schema.privacy_unit
    try:
        if isinstance(unit, UnitColumn) and unit.column in release.schema.columns:
            raise InputError(f"the privacy unit's column {unit.column!r} is among those that are drawn")
        shadows = shadows_of(
            refit or recipe_of(release).fit,
            release.schema,
            background,
            [members.of(one) for one in chosen],
            [case.control.of(one) for one in others] if swapped else None,
            fits=effort.fits,
            rng=rng,
        )
    except DpsynthError as error:
        why = f"Could not run: {error}"
        return tuple(_could_not(f"shadow.{name}", why) for name in ("queries", "measured"))
    return shadow_findings(shadows, case.claim, alpha=case.alpha, seconds=time.perf_counter() - started)


def _canaries(
    release: Audited, real: Any, effort: Effort, alpha: float, rng: np.random.Generator
) -> tuple[Finding, ...]:
    """Fit a copy of the training rows with canaries among them, once."""
    try:
        return canary_findings(
            recipe_of(release),
            real,
            canaries=effort.canaries,
            alpha=min(alpha, 0.1),
            seed=int(rng.integers(2**31)),
        )
    except DpsynthError as error:
        return (_could_not("canaries", f"Could not run: {error}", unit="epsilon"),)


def _overlap(members: Rows, others: Rows, started: float, *, apart: bool) -> Finding:
    """Test whether the tables share rows; raises where they do. Units that have names are known apart."""
    seen = overlap(members, others)
    blind = seen.least > len(others) // 2
    text = f"No sign that the tables share rows; about {seen.least} shared rows would have been noticed."
    if blind:
        text = (
            "No privacy unit is in both tables. Rows are too much alike to tell whether somebody is under "
            "two names."
            if apart
            else "Rows are too much alike to tell whether the tables share some. That they do not is the "
            "steward's word; a privacy unit or an identifier column would tell."
        )
    return Finding(
        check="overlap",
        level=Level.data,
        summary=text,
        verdict=Verdict.inconclusive if blind else Verdict.consistent,
        value=seen.p_value,
        unit="p-value",
        confidence=1 - ALPHA,
        trials=len(others),
        publishable=False,
        seconds=time.perf_counter() - started,
        details={"least_noticed": seen.least},
    )


def _too_few(promise: Promise, alpha: float, started: float) -> Finding:
    needed = pairs_needed(promise, alpha)
    many = max(LEAST, needed or LEAST)
    return Finding(
        check="people",
        level=Level.data,
        summary=f"Too few people to attack: it takes {many} training people and {2 * many} in the holdout.",
        verdict=Verdict.inconclusive,
        value=None,
        unit="people",
        publishable=False,
        seconds=time.perf_counter() - started,
        details={"needed": {"real": many, "holdout": 2 * many}},
    )


def _could_not(check: str, why: str, *, unit: str = "detection rate") -> Finding:
    return Finding(
        check=check,
        level=Level.data,
        summary=f"{why.rstrip('.')}.",
        verdict=Verdict.inconclusive,
        value=None,
        unit=unit,
        publishable=False,
    )
