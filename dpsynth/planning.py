"""What a fit will ask and what it will cost, as a value: public, since no row was read for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dpsynth.mechanisms import Stage
from dpsynth.privacy.guarantee import CURRENCIES, Calculus, Guarantee

__all__ = ["BoundCost", "Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundCost:
    """What a bound on rows per unit costs in noise.

    Attributes:
        max_rows: The bound.
        sigma: Least and largest noise of a one-way marginal, in rows.
        useful_rows: As in :class:`Plan`, under this bound.
    """

    max_rows: int
    sigma: tuple[float, float]
    useful_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a fit will ask and what it will cost, before any row is read.

    Attributes:
        guarantee: What is promised.
        calculus: ``"gdp"`` (the budget is ``mu**2``), ``"zcdp"`` (it is ``rho``) or ``"pure"`` (epsilon).
        budget: The whole budget in that currency, rounded down.
        mechanism: Name of the mechanism.
        stages: What will be asked, in order.
        columns: Number of columns that are measured.
        model_bytes: Most memory for tables of the model and the measurements.
        row_bytes: Memory for each row of the private table.
        useful_rows: Number of rows from which on half of the columns' one-way marginals are expected to be
            off by at most a tenth (in total variation), for noise alone.
        warnings: What the user should know before anything is spent.
        delta_aside: The part of delta that is set aside for buying categories.
        bounds: What ``max_rows`` costs: one record for each of a few bounds and for the schema's own; none
            where the unit is a row.
    """

    guarantee: Guarantee
    calculus: Calculus
    budget: float
    mechanism: str
    stages: tuple[Stage, ...]
    columns: int
    model_bytes: int
    row_bytes: int
    useful_rows: int
    warnings: tuple[str, ...] = ()
    delta_aside: float = 0.0
    bounds: tuple[BoundCost, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        return {
            "epsilon": self.guarantee.epsilon,
            "delta": self.guarantee.delta,
            "unit": self.guarantee.unit,
            "rows_per_unit": self.guarantee.rows_per_unit,
            **({"adjacency": "replace-one"} if self.guarantee.adjacency == "replace-one" else {}),
            "calculus": self.calculus,
            "budget": self.budget,
            **({"delta_aside": self.delta_aside} if self.delta_aside else {}),
            "mechanism": self.mechanism,
            "columns": self.columns,
            "model_bytes": self.model_bytes,
            "row_bytes": self.row_bytes,
            "useful_rows": self.useful_rows,
            "warnings": list(self.warnings),
            "stages": [
                {
                    "purpose": s.purpose,
                    "acts": s.acts,
                    "share": s.share,
                    "price": s.share * self.budget,
                    "sigma": list(s.sigma) if any(s.sigma) else None,
                    "cells": s.cells,
                    "note": s.note,
                }
                for s in self.stages
            ],
            "bounds": [
                {"max_rows": b.max_rows, "sigma": list(b.sigma), "useful_rows": b.useful_rows}
                for b in self.bounds
            ],
        }

    def __str__(self) -> str:
        unit = CURRENCIES[self.calculus]
        lines = [
            f"Plan: {self.mechanism} over {self.columns} columns",
            f"  {self.guarantee}",
            f"  budget {unit} = {self.budget:.6g}{self._aside()}; no row has been read",
            "",
            f"  {'what is measured':<37}{'acts':>5}{'share':>6}{'noise sigma':>20}{'numbers':>10}",
        ]
        for s in self.stages:
            sigma = "by lot"
            if any(s.sigma):
                low, high = (f"{bound:.3g}" for bound in s.sigma)
                sigma = low if low == high else f"{low} to {high}"
            at_most = "<=" if s.note else ""
            acts, cells = f"{at_most}{s.acts}", f"{at_most}{s.cells}"
            name = s.purpose
            if len(name) > 37:  # too long for its column: a line of its own
                lines.append(f"  {name}")
                name = ""
            lines.append(f"  {name:<37}{acts:>5}{s.share:>6.0%}{sigma:>20}{cells:>10}")
            if s.note:
                lines.append(f"    {s.note}")
        lines += [
            "",
            "  sigma is in rows: a count is off by more than 2 sigma one time in "
            + ("seventeen" if self.calculus == "pure" else "twenty"),
            *self._replaced(),
            f"  memory: at most {_megabytes(self.model_bytes)} for the model; for each 100,000 rows "
            + _megabytes(self.row_bytes * 100_000),
            f"  one-way marginals are within a tenth, noise alone, from about {self.useful_rows:,} rows on",
            *self._bound(),
            *(f"  warning: {warning}" for warning in self.warnings),
        ]
        return "\n".join(lines)

    def _replaced(self) -> list[str]:
        """Say what protecting a unit's replacement costs."""
        if self.guarantee.sides == 1:
            return []
        counts = "2" if self.calculus == "pure" else "the square root of 2"
        return [
            f"  that a unit is replaced, not added or removed, multiplies the noise of counts by {counts}"
        ]

    def _aside(self) -> str:
        return f", with {self.delta_aside:.3g} of delta set aside" if self.delta_aside else ""

    def _bound(self) -> list[str]:
        """Say what the bound on rows per unit costs, and how to learn what it loses."""
        if not self.bounds:
            return []
        unit, own = self.guarantee.unit, self.guarantee.rows_per_unit
        table = [("max_rows", "noise sigma, one-way", "useful from rows")]
        for b in self.bounds:
            mark = " (this plan)" if b.max_rows == own else ""
            low, high = (f"{bound:.3g}" for bound in b.sigma)
            table.append((f"{b.max_rows}{mark}", f"{low} to {high}", f"{b.useful_rows:,}"))
        buy = f"dpsynth suggest-max-rows DATA --unit {unit} --epsilon E --delta D"
        return [
            "",
            f"  the bound of {own:,} rows of one {unit} multiplies all noise by {own:,}:",
            *(f"    {bound:<24}{sigma:>22}{rows:>18}" for bound, sigma, rows in table),
            f"  how many rows it drops is private; an estimate can be bought: {buy}",
        ]


def _megabytes(size: float) -> str:
    return f"{max(1, round(size / 2**20))} MB"
