"""One run of a mechanism as its doors saw it: what was asked, what was true, what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy.typing as npt

__all__ = ["Call", "Norm", "Outcome", "Subject", "Trace"]

Norm: TypeAlias = Literal["l2", "l1", "range"]
"""How a unit moves a call's exact vector: in L2 (Gaussian), in L1 (Laplace), or each score (a choice)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """One question to the door, and its answer. Not private only where the rows are the audit's own.

    Attributes:
        kind: ``"measure"``, ``"score"``, ``"select"``, ``"discover"`` or ``"count"``.
        asked: All that was public in the question (columns, groupings, reference, purpose), as plain JSON.
        norm: Of the booked sensitivity.
        sensitivity: As booked, in rows.
        scale: Standard deviation of Gaussian noise, scale of Laplace noise, or epsilon of a choice.
        price: As booked, in the claim's calculus; 0 for what was not booked.
        exact: What was true: counts or scores before noise, float64 or int64.
        answer: What came out: noisy numbers of the same shape, or the chosen index.
        labels: Of the exact vector's cells, where which cells there are depends on the rows.
    """

    kind: str
    asked: Mapping[str, Any]
    norm: Norm
    sensitivity: float
    scale: float
    price: float
    exact: npt.NDArray[Any]
    answer: npt.NDArray[Any] | int
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended, in what everybody can see.

    Attributes:
        ended: ``"done"``, or the type and message of the error.
        shape: What must not depend on the rows but through noise, by name: output rows, columns, categories,
            bins, dtypes.
    """

    ended: str
    shape: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """All calls of one run.

    Attributes:
        calls: In order.
        outcome: How it ended.
        spent: Sum of the booked prices, as the subject states it.
        claimed: What the guarantee affords, in the same calculus (``mu**2``, ``rho`` or epsilon).
        calculus: ``"gdp"``, ``"zcdp"`` or ``"pure"``.
    """

    calls: tuple[Call, ...]
    outcome: Outcome
    spent: float
    claimed: float
    calculus: str


class Subject(Protocol):
    """What can be audited: something that runs on rows and leaves a trace.

    The same protocol is kept by this library's mechanisms and by adapters of other libraries.
    """

    @property
    def name(self) -> str:
        """As it stands in findings."""

    def run(self, rows: Any, *, script: Trace | None = None) -> Trace:
        """Run on a table of the audit's own.

        Args:
            rows: The table, in the subject's own form.
            script: A trace of an earlier run: its answers are given again, one for one, whatever is true now.
                Beyond the script's end, or where a call is of another kind or shape, fresh noise is drawn.
        """
