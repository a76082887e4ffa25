"""What traces of another program show: by the replay of dpsynth's own audit, and by losses of many runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.audit.bounds import mu_lower_from_scores
from dpsynth.audit.finding import Verdict
from dpsynth.audit.movements import loss_of
from dpsynth.audit.replay import Compared, judge
from dpsynth.audit.trace import Call, Trace

__all__ = ["Shown", "agreed", "losses", "shown", "tightness"]

SINGLE = 1e-3  # relative: most of these programs compute scores in single precision
WHOLE = ("replay.calls", "replay.ledger", "replay.outcome")  # checks of whole runs
CHANGED = 1e300  # the ratio that a replay gives where something changed that must not


@dataclass(frozen=True)
class Shown:
    """The worst of one check on one pair, both ways.

    Attributes:
        check: As a replay calls it.
        ratio: Of what was seen to what is allowed; ``CHANGED`` where nothing may change.
        said: The same in words.
    """

    check: str
    ratio: float
    said: str

    @property
    def violated(self) -> bool:
        """Whether it is beyond what is allowed, and by more than single precision."""
        return self.ratio > 1 + SINGLE


def shown(compared: Sequence[Compared]) -> dict[str, Shown]:
    """Return what every check shows of runs on one pair.

    A choice is held against the epsilon that its *price* stands for, ``sqrt(8 rho)``, where dpsynth's replay
    holds it against the epsilon that it was made with. From the first question on that only one of two runs
    asks, answers are no longer the same, and nothing is compared.
    """
    found = {}
    alike = [_alike(c) for c in compared]
    whole = [f for f in judge(compared) if f.check in WHOLE]
    others = [f for f in judge(alike) if f.check not in (*WHOLE, "replay.selection")]
    for finding in (*whole, *others):
        if finding.value is None:
            continue
        check = finding.check.removeprefix("replay.")
        broken = finding.details.get("broken", []) if finding.verdict is Verdict.violation else []
        _, _, said = broken[0].partition("): " if "): " in broken[0] else ": ") if broken else ("", "", "")
        if broken and finding.check in WHOLE[::2]:
            tell = _difference if check == "calls" else _ends
            said = next((d for c in compared if (d := tell(c))), said)
        found[check] = Shown(check, finding.value, said)
    spans = [
        (loss_of(a, b)[0], math.sqrt(8 * a.price))
        for c in alike
        for _, a, b in c.together
        if a.norm == "range"
    ]
    if spans:
        span, booked = max(spans, key=lambda s: s[0] / s[1])
        said = f"log-ratios of a choice span {span:.4g}, booked at epsilon {booked:.4g}"
        found["selection"] = Shown("selection", span / booked, said)
    return found


def _alike(compared: Compared) -> Compared:
    """Return both runs as far as they ask questions of the same kind and shape."""
    one, two = compared.first.calls, compared.second.calls
    same = [a.kind == b.kind and a.exact.shape == b.exact.shape for a, b in zip(one, two, strict=False)]
    end = same.index(False) if False in same else len(same)
    first, second = (replace(t, calls=t.calls[:end]) for t in (compared.first, compared.second))
    return replace(compared, first=first, second=second)


def _difference(compared: Compared) -> str:
    """Say what the first question is that two runs do not ask alike; nothing where there is none."""
    one, two = compared.first.calls, compared.second.calls
    for number, (a, b) in enumerate(zip(one, two, strict=False), 1):
        shapes = [f"{c.kind} of size {c.exact.size}" for c in (a, b)]
        if shapes[0] != shapes[1]:
            return f"call {number} is a {shapes[0]} here, and a {shapes[1]} there"
        for name in ("sensitivity", "scale", "price", "asked"):
            if (here := getattr(a, name)) != (there := getattr(b, name)):
                return f"call {number} ({a.kind}) has another {name}: {here} here, {there} there"
    return f"{len(one)} calls here, {len(two)} there" if len(one) != len(two) else ""


def _ends(compared: Compared) -> str:
    """Say how two runs end, or what comes out of them, where that is not alike."""
    one, two = compared.first.outcome, compared.second.outcome
    if one.ended != two.ended:
        return " and ".join(sorted(f"{end.splitlines()[0][:160]!r}" for end in (one.ended, two.ended)))
    names = [n for n in one.shape if one.shape[n] != two.shape.get(n)]
    return "; ".join(f"{n}: {one.shape[n]} and {two.shape.get(n)}" for n in names)


def agreed(runs: Sequence[Mapping[str, Mapping[str, Shown]]]) -> list[dict[str, Any]]:
    """Return the violations that every run shows.

    Args:
        runs: Of independent runs with fresh noise, by pair and by check.

    Returns:
        Of each check that some pair breaks in every run: those ``pairs``, and of each run the greatest
        ``ratios`` and what was ``said`` of it.
    """
    found = []
    for check in dict.fromkeys(check for run in runs for pair in run.values() for check in pair):
        pairs = [
            p for p in runs[0] if all(check in run[p] and run[p][check].violated for run in runs if p in run)
        ]
        if pairs:
            worst = [max((run[p][check] for p in pairs), key=lambda s: s.ratio) for run in runs]
            found.append({
                "check": check,
                "pairs": pairs,
                "ratios": [None if w.ratio >= CHANGED else w.ratio for w in worst],
                "said": [w.said for w in worst],
            })  # fmt: skip
    return found


def _log_chances(call: Call) -> npt.NDArray[np.float64]:
    weights = call.scale / (2 * call.sensitivity) * call.exact
    weights = weights - weights.max()
    return weights - np.log(np.exp(weights).sum())  # type: ignore[no-any-return]


def losses(run: Trace, again: Trace, *, inside_first: bool) -> tuple[float, float]:
    """Return the log-likelihood ratio, "in" over "out", of a run's measurements and of its choices.

    Args:
        run: With fresh noise.
        again: Its answers on the other table.
        inside_first: Whether the run was on the table with the unit.
    """
    measured, chosen = 0.0, 0.0
    for first, second in zip(run.calls, again.calls, strict=True):
        inside, outside = (first, second) if inside_first else (second, first)
        if first.norm == "range":
            chosen += float((_log_chances(inside) - _log_chances(outside))[first.answer])
        else:
            change, total = inside.exact - outside.exact, inside.exact + outside.exact
            answer = np.asarray(first.answer, dtype=np.float64).ravel()
            measured += float((change * (2 * answer - total)).sum() / (2 * first.scale**2))
    return measured, chosen


def tightness(traces: Sequence[Trace], *, alpha: float = 0.05) -> dict[str, Any]:
    """Return what the losses of many runs show, beside the claim.

    Args:
        traces: Fresh run outside, its replay inside, fresh run inside, its replay outside, and so on.
        alpha: Of the lower bound.

    Returns:
        ``trials`` a side; ``mu_claimed = sqrt(2 rho)`` of all; ``mu_booked`` of the measurements alone;
        ``mu`` and ``mu_lower`` that the losses of the measurements show.
    """
    runs = [(traces[i], traces[i + 1]) for i in range(0, len(traces), 2)]
    outside = [losses(a, b, inside_first=False) for a, b in runs[0::2]]
    inside = [losses(a, b, inside_first=True) for a, b in runs[1::2]]
    mu, lower = mu_lower_from_scores(
        inside=[m for m, _ in inside], outside=[m for m, _ in outside], alpha=alpha
    )
    booked = [math.fsum(c.price for c in a.calls if c.norm != "range") for a, _ in runs]
    return {
        "trials": len(inside),
        "alpha": alpha,
        "mu_claimed": math.sqrt(2 * traces[0].claimed),
        "mu_booked": math.sqrt(2 * float(np.mean(booked))),
        "mu": mu,
        "mu_lower": lower,
    }
