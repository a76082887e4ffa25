"""What a guarantee means for one person: ceilings on what any attacker can do, from the trade-off function.

The ledger holds one number (``mu**2``, ``rho`` or a pure ``epsilon``) and perhaps a delta beside it.
Everything here is computed from those, and rounded up.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dpsynth.errors import InputError
from dpsynth.privacy.guarantee import Adjacency, Backend, Guarantee, calculus_of
from dpsynth.release.bounds import ALARMS, BASELINES, PRIORS, Bounds, deltas_about, epsilons_about
from dpsynth.release.bundle import load
from dpsynth.release.numerals import percent, plain, rounded_up
from dpsynth.release.release import Release
from dpsynth.release.statement import Statement

__all__ = ["Bounds", "Explanation", "explain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A guarantee in terms of what it bounds.

    Attributes:
        guarantee: What is promised.
        promised: What the whole budget bounds.
        spent: What the acts of a release bound; None when there is no release.
    """

    guarantee: Guarantee
    promised: Bounds
    spent: Bounds | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as plain JSON values."""
        guarantee = self.guarantee
        return {
            "guarantee": {
                "epsilon": float(guarantee.epsilon),
                "delta": float(guarantee.delta),
                "unit": guarantee.unit,
                "rows_per_unit": guarantee.rows_per_unit,
                **({"adjacency": "replace-one"} if guarantee.adjacency == "replace-one" else {}),
            },
            "calculus": self.promised.calculus,
            "promised": self.promised.to_dict(guarantee),
            **({} if self.spent is None else {"spent": self.spent.to_dict(guarantee)}),
        }

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the trade-off curve and delta over epsilon into a ``.png`` or ``.svg`` file.

        Raises:
            InputError: another ending, matplotlib is not installed, or the file cannot be written.
        """
        from dpsynth.release.drawing import draw  # noqa: PLC0415  -- a drawing is made of an explanation

        draw(self, path)

    def __str__(self) -> str:
        return "\n".join(
            [str(self.guarantee), "", *_equivalents(self), "", *_ceilings(self), "", *_curve(self)]
        )


def explain(
    release: Release | Statement | str | os.PathLike[str] | None = None,
    *,
    epsilon: float | None = None,
    delta: float | None = None,
    unit: str = "row",
    rows_per_unit: int = 1,
    adjacency: Adjacency = "add-remove",
    noise: Backend = "exact",
) -> Explanation:
    """Say what a guarantee, or a release, means for one person.

    Args:
        release: A release, its statement or its path; then nothing else may be given.
        epsilon: Of a guarantee, in (0, 10000].
        delta: Of a guarantee.
        unit: Whose privacy it is: ``"row"``, or the column that names the unit.
        rows_per_unit: Most rows of one unit.
        adjacency: Whether the unit's rows come or go, or are replaced by another's.
        noise: The source of noise, and with it the calculus: ``"exact"`` is accounted in Gaussian
            differential privacy, ``"opendp"`` in zCDP, which bounds attackers less tightly; both in pure
            epsilon where delta is 0.

    Returns:
        Ceilings on membership inference, on guessing and on reconstruction; of what is promised and, for a
        release, of what was really spent.

    Raises:
        InputError: both or neither of a release and a guarantee, or an unknown noise.
        GuaranteeError: epsilon, delta, rows_per_unit or adjacency is not one of a guarantee.
        MissingFileError, ReleaseError: as :func:`dpsynth.load`.

    Privacy: free; a function of public numbers.

    Example:
        >>> found = explain(epsilon=1.0, delta=1e-9)
        >>> round(found.promised.advantage, 3)
        0.072
    """
    if (release is None) == (epsilon is None and delta is None):
        raise InputError("give either a release, or epsilon and delta")
    if release is not None:
        if isinstance(release, (str, os.PathLike)):
            release = load(release)
        statement = release.statement if isinstance(release, Release) else release
        return Explanation(
            guarantee=statement.guarantee,
            promised=Bounds.of(statement.budget, statement.calculus, statement.delta_aside),
            spent=Bounds.of(statement.spent, statement.calculus, statement.delta_aside),
        )
    if epsilon is None or delta is None:
        raise InputError("a guarantee needs both epsilon and delta")
    if noise not in ("exact", "opendp"):
        raise InputError(f"noise={noise!r} is neither 'exact' nor 'opendp'")
    guarantee = Guarantee(
        epsilon=epsilon, delta=delta, unit=unit, rows_per_unit=rows_per_unit, adjacency=adjacency
    )
    calculus = calculus_of(noise, delta)
    return Explanation(guarantee=guarantee, promised=Bounds.of(guarantee.budget(calculus), calculus))


def _columns(explanation: Explanation) -> list[tuple[str, Bounds]]:
    found = [("promised", explanation.promised)]
    return found if explanation.spent is None else [*found, ("spent", explanation.spent)]


def _equivalents(explanation: Explanation) -> list[str]:
    columns = _columns(explanation)
    rows = [["", *(name for name, _ in columns)]]
    if explanation.promised.mu is not None:
        rows.append(
            ["mu, of Gaussian differential privacy", *(rounded_up(b.mu or 0.0, 4) for _, b in columns)]
        )
    rows.append(["rho, of zero-concentrated", *(rounded_up(b.rho, 4) for _, b in columns)])
    delta = explanation.guarantee.delta
    rows.append([f"epsilon at delta {plain(delta)}", *(rounded_up(b.epsilon(delta), 4) for _, b in columns)])
    return _table(rows)


def _ceilings(explanation: Explanation) -> list[str]:
    columns = _columns(explanation)
    rows = [["the best attacker, about one person", "by luck", *(f"{name}" for name, _ in columns)]]

    def add(label: str, luck: float, values: Sequence[float]) -> None:
        rows.append([label, percent(luck), *map(percent, values)])

    bounds = [b for _, b in columns]
    for i, alarms in enumerate(ALARMS):
        add(f"detects them, at {percent(alarms)} false alarms", alarms, [b.detections[i] for b in bounds])
    add("detections less false alarms, at most", 0.0, [b.advantage for b in bounds])
    for i, prior in enumerate(PRIORS):
        add(f"is right to accuse, if {percent(prior)} are in", prior, [b.beliefs[i] for b in bounds])
    for i, name in enumerate(("of 100 answers", "of 10 answers", "of yes or no")):
        add(f"guesses a secret {name}", BASELINES[i], [b.successes[i] for b in bounds])
    return [
        *_table(rows),
        "",
        "  Ceilings, rounded up: nobody does better, whatever they know and compute, all",
        '  other rows included. "By luck" is what they would reach without this release.',
        "  A secret is anything about the person, up to their whole row. To accuse is to",
        "  say that someone is in the table, and to be wrong about 1 % of others or more.",
    ]


def _curve(explanation: Explanation) -> list[str]:
    columns = _columns(explanation)
    deltas = deltas_about(explanation.guarantee)
    epsilons = epsilons_about(explanation.guarantee)
    rows = [["the same at another delta", *(plain(d) for d in deltas)]]
    rows += [[f"epsilon, {name}", *(rounded_up(b.epsilon(d), 3) for d in deltas)] for name, b in columns]
    more = [["and at another epsilon", *(rounded_up(e, 4) for e in epsilons)]]
    more += [[f"delta, {name}", *(_short(b.delta(e)) for e in epsilons)] for name, b in columns]
    return [*_table(rows), "", *_table(more)]


def _short(value: float) -> str:
    """Write a delta with two digits, rounded up."""
    text = rounded_up(value, 2)
    return text if value >= 1e-3 or value == 0 else f"{float(text):.1e}"


def _table(rows: list[list[str]]) -> list[str]:
    first = max(len(row[0]) for row in rows)
    widths = [max(len(row[i]) for row in rows) for i in range(1, len(rows[0]))]
    return [
        "  " + "  ".join([row[0].ljust(first), *(c.rjust(w) for c, w in zip(row[1:], widths, strict=True))])
        for row in rows
    ]
