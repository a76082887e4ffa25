"""Replay: one mechanism on two neighbouring tables, with the first one's noisy answers given again.

What differs then differs for the rows alone. So the same questions must be asked at the same prices, what is
true may move by what is booked and no further, and what comes out must be equal. This is arithmetic and not
statistics: nothing is found by chance. It takes noise on trust; whether that is what was booked, tests of the
noise must say. Neither does it see what is read where no table of its family brings it out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.audit.movements import loss_of, moved, newcomers, price_of, promised
from dpsynth.audit.neighbours import Pair
from dpsynth.audit.trace import Call, Subject, Trace

__all__ = ["Compared", "compare", "judge", "replay"]

_ROUNDING = 1e-6  # relative, of sums of doubles; of tiny prices of choices most
_NEAR = 0.5  # of its bound: what a pair must reach to show one that is too small by half
_SHOWN = 3  # places named in a summary's details


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two runs on neighbouring tables, the second with the first one's answers.

    Attributes:
        subject: What ran.
        pair: On which tables, and in which direction.
        first: Trace on one table.
        second: Trace on the other.
    """

    subject: str
    pair: str
    first: Trace
    second: Trace

    @property
    def together(self) -> list[tuple[int, Call, Call]]:
        """Calls at one place of both runs, with their number, as far as both ask the same kind and shape."""
        both = zip(self.first.calls, self.second.calls, strict=False)
        return [(i, a, b) for i, (a, b) in enumerate(both, 1) if _comparable(a, b)]

    def where(self, number: int | None = None) -> str:
        """Say where something was found."""
        if number is None:
            return f"{self.subject}, {self.pair}"
        call = self.second.calls[number - 1]
        return f"{self.subject}, {self.pair}, call {number} ({call.kind}: {call.asked.get('purpose', '')})"


@dataclass(frozen=True, slots=True)
class _Seen:
    """One number that a check looked at: what is to be at most 1, and where it is."""

    ratio: float
    where: str
    said: str = ""


def compare(run: Callable[..., Trace], pairs: Iterable[Pair], *, subject: str) -> tuple[Compared, ...]:
    """Run on both tables of each pair, each once with fresh noise and once with the other's answers.

    A table that stands in several pairs, as one and the same object, is run with fresh noise once.

    Args:
        run: ``(rows, script=trace)``, as :meth:`~dpsynth.audit.trace.Subject.run`.
        pairs: Neighbouring tables.
        subject: Its name in findings.
    """
    found: list[Compared] = []
    fresh: dict[int, tuple[Any, Trace]] = {}  # with the table, so that no other gets its identity
    for pair in pairs:
        for name, here, there in (
            (pair.name, pair.first, pair.second),
            (f"{pair.name}, the other way", pair.second, pair.first),
        ):
            if id(here) not in fresh:
                fresh[id(here)] = (here, run(here, script=None))
            first = fresh[id(here)][1]
            second = run(there, script=first)
            found.append(Compared(subject=subject, pair=name, first=first, second=second))
    return tuple(found)


def replay(subject: Subject, pairs: Iterable[Pair]) -> tuple[Finding, ...]:
    """Compare a subject's runs on neighbouring tables, and judge them.

    Args:
        subject: What is audited.
        pairs: Neighbouring tables, such as :func:`~dpsynth.audit.neighbours.neighbours` gives.

    Returns:
        As :func:`judge`.
    """
    start = time.perf_counter()
    found = judge(compare(subject.run, pairs, subject=subject.name))
    return tuple(replace(f, seconds=time.perf_counter() - start) for f in found)


def judge(compared: Sequence[Compared]) -> tuple[Finding, ...]:
    """Judge runs on neighbouring tables: of one subject, or of several together.

    ``replay.calls``: the same questions, shapes and parameters, whatever is true.
    ``replay.sensitivity``: what is true moves by at most what is booked, in the norm that its noise is for.
    ``replay.selection``: the exact loss of each choice, ``ln p_i - ln p'_i`` over candidates, spans at most
    the booked epsilon.
    ``replay.thresholds``: what one table alone has passes a threshold with at most the booked delta.
    ``replay.price``: each call's price covers its noise.
    ``replay.total``: prices of all movements together are within the claim.
    ``replay.ledger``: the sum of prices is what is said to be spent, and within the claim.
    ``replay.outcome``: how it ends and what comes out is equal.

    Args:
        compared: At least one; what :func:`compare` gives, or made of another library's traces.

    Returns:
        One finding a check that there was anything for; one inconclusive finding if no run asked anything.
    """
    if not any(c.first.calls or c.second.calls for c in compared):
        return (_nothing_asked(compared),)
    found = [
        _finding(
            "calls", "Neighbours are asked the same questions", list(map(_calls, compared)), len(compared)
        ),
        _finding("sensitivity", "What is true moves by no more than is booked", _movements(compared)),
        _finding("selection", "Choices have no more loss than is booked", _losses(compared)),
        _finding("thresholds", "What is new stays below its threshold, but for delta", _thresholds(compared)),
        _finding("price", "Each call's price covers its noise", _prices(compared)),
        _finding("total", "All movements together are within the claim", _totals(compared)),
        _finding("ledger", "The ledger is the sum of its prices, and within the claim", _ledgers(compared)),
        _finding("outcome", "Runs end alike, and give what is alike", _outcomes(compared)),
    ]
    return tuple(_with_power(_finished(f, compared)) for f in found if f is not None)


def _with_power(finding: Finding) -> Finding:
    """Let movements be inconclusive where none came near its bound: one booked at half would not be seen."""
    near = (finding.value or 0.0) >= _NEAR
    if finding.check != "replay.sensitivity" or finding.verdict is Verdict.violation or near:
        return finding
    summary = (
        f"{finding.summary} No pair comes near its bound, so a smaller one would not be seen to be wrong."
    )
    return replace(finding, summary=summary, verdict=Verdict.inconclusive)


def _finished(finding: Finding, compared: Sequence[Compared]) -> Finding:
    """Let outcomes be inconclusive where no run of a subject came to its end: nothing was compared."""
    done = {c.subject for c in compared if "done" in (c.first.outcome.ended, c.second.outcome.ended)}
    failed = [c for c in compared if c.subject not in done]
    if finding.check != "replay.outcome" or finding.verdict is Verdict.violation or not failed:
        return finding
    said = f"Outcomes are equal, but no run of {failed[0].subject} came to its end: "
    return replace(
        finding,
        summary=f"{said}{failed[0].first.outcome.ended[:300]}.",
        verdict=Verdict.inconclusive,
    )


def _nothing_asked(compared: Sequence[Compared]) -> Finding:
    ends = sorted({c.first.outcome.ended for c in compared})
    return Finding(
        check="replay.calls",
        level=Level.unit,
        summary="Nothing was recorded of what the rows were asked, so there is nothing to compare; runs "
        f"ended with: {'; '.join(ends)[:300] or 'none was made'}.",
        verdict=Verdict.inconclusive,
        value=None,
        unit="ratio",
        trials=len(compared),
    )


def _finding(check: str, said: str, seen: Sequence[_Seen], trials: int | None = None) -> Finding | None:
    """Make a finding of numbers that must be at most 1; None if there is none."""
    if not seen:
        return None
    broken = [s for s in seen if not s.ratio <= 1 + _ROUNDING]
    worst = max(seen, key=lambda s: s.ratio)
    summary = f"{said}: {len(seen)} comparisons, the greatest at {min(worst.ratio, 1e300):.4g} of its bound."
    if broken:
        first = broken[0]
        summary = f"Broken in {len(broken)} of {len(seen)} comparisons, first in {first.where}: {first.said}."
    return Finding(
        check=f"replay.{check}",
        level=Level.unit,
        summary=summary,
        verdict=Verdict.violation if broken else Verdict.consistent,
        value=min(worst.ratio, 1e300),
        unit="ratio",
        trials=len(seen) if trials is None else trials,
        ceiling=1.0,
        details={"broken": [f"{s.where}: {s.said}" for s in broken[:_SHOWN]]} if broken else {},
    )


def _calls(compared: Compared) -> _Seen:
    """Return 0 where both runs ask the same, and infinity where they do not."""
    one, two = compared.first.calls, compared.second.calls
    for number, (a, b) in enumerate(zip(one, two, strict=False), 1):
        differing = [
            name
            for name in ("kind", "asked", "norm", "sensitivity", "scale", "price")
            if getattr(a, name) != getattr(b, name)
        ]
        if not differing and not _comparable(a, b):
            differing = ["shape"]
        if differing:
            return _Seen(float("inf"), compared.where(number), f"another {' and '.join(differing)}")
    if len(one) != len(two):
        return _Seen(float("inf"), compared.where(), f"{len(one)} calls here and {len(two)} there")
    return _Seen(0.0, compared.where())


def _movements(compared: Sequence[Compared]) -> list[_Seen]:
    found = []
    for c in compared:
        for number, a, b in c.together:
            distance = moved(a, b)
            ratio = (
                distance / a.sensitivity if a.sensitivity > 0 else (0.0 if distance == 0 else float("inf"))
            )
            said = f"moved by {distance:.6g} ({a.norm}), booked {a.sensitivity:.6g}"
            found.append(_Seen(ratio, c.where(number), said))
    return found


def _losses(compared: Sequence[Compared]) -> list[_Seen]:
    found = []
    for c in compared:
        for number, a, b in c.together:
            if a.norm == "range":
                span, greatest = loss_of(a, b)
                said = f"losses of up to {greatest:.6g} that span {span:.6g}, booked {a.scale:.6g}"
                found.append(_Seen(max(span, greatest) / a.scale, c.where(number), said))
    return found


def _thresholds(compared: Sequence[Compared]) -> list[_Seen]:
    found = []
    for c in compared:
        for number, a, b in c.together:
            if a.labels is None or "threshold" not in b.asked:
                continue
            chance, rows = newcomers(a, b)
            said = (
                f"passes with a chance of {chance:.4g} with {rows} rows, booked delta {b.asked['delta']:.4g}"
            )
            delta = float(b.asked["delta"])
            ratio = chance / delta if delta > 0 else (0.0 if chance == 0 else float("inf"))
            found.append(_Seen(max(ratio, rows / max(int(b.asked["rows"]), 1)), c.where(number), said))
    return found


def _prices(compared: Sequence[Compared]) -> list[_Seen]:
    found = []
    for c in compared:
        for trace in (c.first, c.second):
            for number, call in enumerate(trace.calls, 1):
                due = promised(call, trace.calculus)
                ratio = due / call.price if call.price > 0 else float("inf") if due > 0 else 0.0
                said = f"its noise costs {due:.6g} ({trace.calculus}), booked {call.price:.6g}"
                where = f"{c.subject}, {c.pair}, call {number} ({call.kind}: {call.asked.get('purpose', '')})"
                found.append(_Seen(ratio, where, said))
    return found


def _totals(compared: Sequence[Compared]) -> list[_Seen]:
    found = []
    for c in compared:
        paid = sum(price_of(a, b, c.first.calculus) for _, a, b in c.together)
        said = f"the movements cost {paid:.6g} ({c.first.calculus}), claimed {c.first.claimed:.6g}"
        found.append(_Seen(paid / c.first.claimed, c.where(), said))
    return found


def _ledgers(compared: Sequence[Compared]) -> list[_Seen]:
    found = []
    for c in compared:
        for trace in (c.first, c.second):
            booked = sum(call.price for call in trace.calls)
            said = f"prices sum to {booked:.9g}, spent {trace.spent:.9g}, claimed {trace.claimed:.9g}"
            apart = abs(booked - trace.spent) > _ROUNDING * max(booked, trace.spent)
            ratio = float("inf") if apart else max(booked, trace.spent) / trace.claimed
            found.append(_Seen(ratio, c.where(), said))
    return found


def _outcomes(compared: Sequence[Compared]) -> list[_Seen]:
    """Compare what came out; where the questions differ, answers do too, and only how it ended counts."""
    found = []
    for c in compared:
        one, two = c.first.outcome, c.second.outcome
        said = ""
        if one.ended != two.ended:
            said = f"ended with {one.ended[:200]!r} here and with {two.ended[:200]!r} there"
        elif _calls(c).ratio == 0:
            apart = [k for k in sorted({*one.shape, *two.shape}) if one.shape.get(k) != two.shape.get(k)]
            said = f"another {' and '.join(apart)}" if apart else ""
        found.append(_Seen(float("inf") if said else 0.0, c.where(), said))
    return found


def _comparable(a: Call, b: Call) -> bool:
    if a.kind != b.kind or (a.labels is None) != (b.labels is None):
        return False
    return a.labels is not None or _shape(a.exact) == _shape(b.exact)


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(array.shape)
