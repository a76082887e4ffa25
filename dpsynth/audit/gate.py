"""The gate: whether a release keeps to a policy, rule by rule.

The release is verified first; of one that fails, nothing else is believed. An audit counts only if it is of
this release: the same mechanism, guarantee, noise, schema and version. Audits are taken at their word: who
made them is for whoever runs the gate to know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from dpsynth.audit.finding import Audit, Finding, Level, Verdict
from dpsynth.audit.identity import differences, identity_of_release
from dpsynth.audit.policy import AuditRules, Ceiling, ColumnRules, Policy, UnitRule
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.release.bundle import load
from dpsynth.release.documents import shown
from dpsynth.release.provenance import ColumnProvenance
from dpsynth.release.release import Release
from dpsynth.release.verify import verify

__all__ = ["Rule", "Ruling", "judge"]

_AHEAD = timedelta(minutes=5)  # by so much may another machine's clock be ahead
_LISTED = 5
_NONE_GIVEN = "no audit of this release was given"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a policy, and how a release does by it.

    Attributes:
        name: The key of the policy that asks for it; ``verified`` and ``audit.violations`` always hold.
        required: What it asks.
        found: What there is.
        kept: Whether the release keeps it; False as well where it could not be judged.
    """

    name: str
    required: str
    found: str
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a policy says of a release.

    Attributes:
        release: The release, as it was named.
        rules: Every rule, whatever the outcome.
        ignored: Audits that were given and do not count, each with the reason.
    """

    release: str
    rules: tuple[Rule, ...]
    ignored: tuple[tuple[str, str], ...] = ()

    @property
    def broken(self) -> tuple[Rule, ...]:
        """The rules that are not kept."""
        return tuple(rule for rule in self.rules if not rule.kept)

    @property
    def passed(self) -> bool:
        """Whether every rule is kept."""
        return not self.broken

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "release": self.release,
            "passed": self.passed,
            "rules": [
                {"name": r.name, "required": r.required, "found": r.found, "kept": r.kept} for r in self.rules
            ],
            "ignored": [{"audit": name, "reason": reason} for name, reason in self.ignored],
        }


def judge(
    policy: Policy,
    release: str | os.PathLike[str],
    audits: Mapping[str, Audit],
    *,
    key: str | os.PathLike[str] | None = None,
    now: datetime | None = None,
) -> Ruling:
    """Judge a release by a policy.

    Args:
        policy: What is required.
        release: A release: a file or a directory.
        audits: Audits by name, such as the files they came from.
        key: A public key that must have signed the release; None asks for no signature.
        now: The time at which ages are counted; by default the present.

    Raises:
        MissingFileError: there is no such release or key.
        InputError: the key is none, or the files are no release at all.

    Privacy: free; nothing private is read.
    """
    name = os.fspath(release)
    report = verify(release, key=key)
    required = "every check of dpsynth verify passes" + ("" if key is None else ", and it is signed")
    failed = [check.name for check in report.failed]
    found = f"failed: {', '.join(failed)}" if failed else f"{len(report.checks)} checks passed"
    rules = [Rule(name="verified", required=required, found=found, kept=not failed)]
    if failed:
        unread = "not judged: a release that fails verification is not believed"
        rules += [Rule(name=k, required=v, found=unread, kept=False) for k, v in _required(policy)]
        return Ruling(release=name, rules=tuple(rules))
    loaded = load(release)
    rules += _guarantee_rules(policy, loaded.statement.guarantee)
    if policy.columns is not None:
        rules += _column_rules(policy.columns, loaded.statement.provenance)
    moment = now or datetime.now(UTC)
    counting, ignored, undated = _counting(loaded, audits, moment)
    if policy.audit is not None or counting or undated:
        rules += _audit_rules(policy.audit or AuditRules(), counting, undated, moment)
    return Ruling(release=name, rules=tuple(rules), ignored=tuple(ignored))


def _required(policy: Policy) -> Iterator[tuple[str, str]]:
    """Give the names of the policy's rules and what they ask."""
    yield "epsilon", f"at most {policy.epsilon:g}"
    yield "delta", f"at most {policy.delta:g}"
    yield "unit", str(policy.unit)
    if policy.adjacency is not None:
        yield "adjacency", policy.adjacency
    for side in ("allow", "forbid"):
        named = None if policy.columns is None else getattr(policy.columns, side)
        if named is not None:
            yield f"columns.{side}", ", ".join(named)
    if policy.audit is not None:
        for level, days in policy.audit.levels.items():
            yield f"audit.levels.{level}", f"run in the last {days:g} days"
        yield "audit.violations", "none, in any audit of this release"
        for check, limit in policy.audit.ceilings.items():
            yield (
                f"audit.ceilings.{check}",
                " and ".join(f"{end} at most {most:g}" for end, most in limit.ends),
            )


def _guarantee_rules(policy: Policy, promise: Guarantee) -> Iterator[Rule]:
    found = {
        "epsilon": (f"{promise.epsilon:g}", promise.epsilon <= policy.epsilon),
        "delta": (f"{promise.delta:g}", promise.delta <= policy.delta),
        "unit": (
            shown(promise.unit)
            + ("" if promise.unit == "row" else f", at most {promise.rows_per_unit} rows"),
            _is_unit(policy.unit, promise),
        ),
        "adjacency": (promise.adjacency, promise.adjacency == policy.adjacency),
    }
    for name, required in _required(policy):
        if name in found:
            said, kept = found[name]
            yield Rule(name=name, required=required, found=said, kept=kept)


def _is_unit(required: UnitRule, promise: Guarantee) -> bool:
    bounded = required.max_rows is None or required.max_rows == promise.rows_per_unit
    return required.column == promise.unit and bounded


def _column_rules(rules: ColumnRules, provenance: Sequence[ColumnProvenance]) -> Iterator[Rule]:
    for side, named in (("allow", rules.allow), ("forbid", rules.forbid)):
        if named is None:
            continue
        wrong = [
            f"{shown(column.name, 30)} is {origin}"
            for column in provenance
            for origin in _origins(column)
            if any(origin == n or origin.startswith(f"{n}.") for n in named) == (side == "forbid")
        ]
        found = _cut(wrong) or f"all {len(provenance)} columns keep to it"
        yield Rule(name=f"columns.{side}", required=", ".join(named), found=found, kept=not wrong)


def _origins(column: ColumnProvenance) -> list[str]:
    if column.treatment == "regenerated":
        return ["regenerated"]
    return [f"bought.{key}" for key in column.bought] or ["stated"]


@dataclass(frozen=True, slots=True)
class _Counting:
    """An audit of this release, and when it was made."""

    name: str
    audit: Audit
    made: datetime


def _counting(
    release: Release, audits: Mapping[str, Audit], now: datetime
) -> tuple[list[_Counting], list[tuple[str, str]], list[Finding]]:
    """Part audits into those that are of this release, oldest first, and those that do not count.

    Of an audit of this release without a proper date the violations are kept: no clock undoes them.
    """
    expected = identity_of_release(release.statement, release.schema)
    counting: list[_Counting] = []
    ignored: list[tuple[str, str]] = []
    undated: list[Finding] = []
    for name, audit in audits.items():
        if other := differences(audit.subject, expected):
            ignored.append((name, f"it is of something else: {'; '.join(other)}"))
            continue
        made = _moment(audit.made)
        if made is None or made > now + _AHEAD:
            why = "no date and time with a zone" if made is None else "in the future"
            ignored.append((name, f"its date is {why}: {shown(audit.made, 40)}"))
            undated += audit.violations
            continue
        counting.append(_Counting(name, audit, made))
    return sorted(counting, key=lambda c: c.made), ignored, undated


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment


def _audit_rules(
    rules: AuditRules, counting: Sequence[_Counting], undated: Sequence[Finding], now: datetime
) -> Iterator[Rule]:
    latest = {level: _latest(level, counting) for level in Level}
    for level, days in rules.levels.items():
        yield _level_rule(days, level, *latest[Level(level)], now)
    violations = [*(f for c in counting for f in c.audit.violations), *undated]
    total = sum(len(c.audit.findings) for c in counting)
    yield Rule(
        name="audit.violations",
        required="none, in any audit of this release",
        found=_listed(violations) or (f"none of {total} findings" if counting else _NONE_GIVEN),
        kept=bool(counting) and not violations,
    )
    findings = [f for _, found in latest.values() for f in found]
    if not rules.tolerate_inconclusive:
        undecided = [f for f in findings if f.verdict is Verdict.inconclusive]
        yield Rule(
            name="audit.tolerate_inconclusive",
            required="false: no finding is INCONCLUSIVE",
            found=_listed(undecided) or (f"none of {len(findings)} findings is" if findings else _NONE_GIVEN),
            kept=bool(findings) and not undecided,
        )
    for check, limit in rules.ceilings.items():
        meant = [f for f in findings if fnmatchcase(f.check, check)]
        yield _ceiling_rule(check, limit, meant, undecided_may_stand=rules.tolerate_inconclusive)


def _latest(level: Level, counting: Sequence[_Counting]) -> tuple[datetime | None, list[Finding]]:
    """Return when a level was last run, and what was found then; audits of one time are one audit."""
    ran = [c for c in counting if any(f.level is level for f in c.audit.findings)]
    if not ran:
        return None, []
    made = ran[-1].made
    return made, [f for c in ran if c.made == made for f in c.audit.findings if f.level is level]


def _level_rule(
    days: float, level: str, made: datetime | None, findings: Sequence[Finding], now: datetime
) -> Rule:
    decided = sum(f.verdict is not Verdict.inconclusive for f in findings)
    if made is None:
        found, kept = f"no audit of this release has run level {level}", False
    else:
        age = (now - made) / timedelta(days=1)
        found = f"{max(age, 0.0):.1f} days ago; {decided} of {len(findings)} findings came to a verdict"
        kept = age <= days and decided > 0
    return Rule(
        name=f"audit.levels.{level}", required=f"run in the last {days:g} days", found=found, kept=kept
    )


def _ceiling_rule(
    check: str, limit: Ceiling, findings: Sequence[Finding], *, undecided_may_stand: bool
) -> Rule:
    """Judge one ceiling: something must have been found under it, and nothing above it."""
    above, measured = [], 0
    for finding in findings:
        ends = {"value": finding.value, "upper": None if finding.interval is None else finding.interval[1]}
        for end, most in limit.ends:
            reached = ends[end]
            measured += reached is not None
            if reached is None and not (undecided_may_stand and finding.verdict is Verdict.inconclusive):
                above.append(f"{_bare(finding.check)} has no {end}")
            elif reached is not None and reached > most:
                above.append(f"{_bare(finding.check)} has {end} {reached:.4g}")
    within = f"{measured} numbers within it" if measured else "no such finding with a number"
    required = " and ".join(f"{end} at most {most:g}" for end, most in limit.ends)
    return Rule(
        name=f"audit.ceilings.{check}",
        required=required,
        found=_cut(above) or within,
        kept=measured > 0 and not above,
    )


def _listed(findings: Sequence[Finding]) -> str:
    return _cut([_bare(finding.check) for finding in findings])


def _bare(check: str) -> str:
    """Write the name of a check, which may come from anyone, on one line."""
    return shown(check, 60).strip('"')


def _cut(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
    return ", ".join(texts[:_LISTED]) + more
