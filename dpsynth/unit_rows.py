"""How many rows a unit has: a noisy histogram, what each bound on them would cut, and which bound to take.

``max_rows`` of a schema must be public, and the rows may not be asked for free which bound suits them. Where
nobody knows it, a small part of a budget buys an answer: each unit is in one cell of the histogram, so a unit
with any number of rows changes one count by one, and the noise is that of a table of units.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from dpsynth import __version__
from dpsynth.accountant import Accountant, BookReference
from dpsynth.data.bounding import unit_sizes
from dpsynth.data.source import open_source
from dpsynth.data.withheld import emptied
from dpsynth.errors import InputError
from dpsynth.privacy.acts import act_to_dict
from dpsynth.privacy.curator import Curator, Entry
from dpsynth.privacy.guarantee import Adjacency, Calculus, Guarantee, calculus_of
from dpsynth.privacy.ledger import Ledger
from dpsynth.privacy.marginal import Marginal
from dpsynth.release.booked import book_to_dict
from dpsynth.release.documents import dump
from dpsynth.release.statement import epsilon_of
from dpsynth.unit_effects import (
    LEVEL,
    BoundEffect,
    Interval,
    effects_of,
    expected_noise,
    sum_of,
    width_of,
)

__all__ = ["LARGEST", "RowsPerUnit", "suggest_max_rows"]

LARGEST = 10_000  # cells of the histogram
_SHOWN = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
_SINGLE = 10  # rows of the printed histogram that stand alone


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsPerUnit:
    """A noisy histogram of rows per unit, and what it says of bounds. Public.

    Attributes:
        guarantee: What was promised for this purchase. It adds to that of every fit.
        calculus: Currency of the ledger.
        budget: What the guarantee affords in it.
        entries: The ledger: one act.
        counts: Noisy number of units with 1, 2, ... rows; the last is of units with so many rows or more.
        sigma: Standard deviation of the noise in each count, in units.
        units: Estimated number of units that have a row.
        effects: One record for each bound from 1 to one below the largest.
        recommended: The bound of least ``error``, or ``None`` where noise drowns the number of units.
        assumed: The coming fit that ``noise`` is for.
        book: The purchase's place in a budget book, if its budget was reserved in one.
    """

    guarantee: Guarantee
    calculus: Calculus
    budget: float
    entries: tuple[Entry, ...]
    counts: tuple[int, ...]
    sigma: float
    units: Interval
    effects: tuple[BoundEffect, ...]
    recommended: int | None
    assumed: dict[str, float]
    book: BookReference | None = None

    @property
    def open_ended(self) -> bool:
        """Whether units with more rows than the histogram tells apart are certain to exist."""
        return self.counts[-1] > width_of(self.sigma, self.calculus)

    @property
    def epsilon_spent(self) -> float:
        """The epsilon that was really spent, at the guarantee's delta, rounded up."""
        return epsilon_of(sum(e.price for e in self.entries), self.calculus, self.guarantee.delta)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON values, with the purchase's own statement."""
        return {
            "unit": self.guarantee.unit,
            "largest": len(self.counts),
            "counts": list(self.counts),
            "sigma": self.sigma,
            "level": LEVEL,
            "units": self.units.to_dict(),
            "open_ended": self.open_ended,
            "bounds": [
                {
                    "max_rows": e.max_rows,
                    "units_cut": e.units_cut.to_dict(),
                    "rows_lost": e.rows_lost.to_dict(),
                    "noise": e.noise,
                    "error": e.error,
                }
                for e in self.effects
            ],
            "assumed": self.assumed,
            "recommended": self.recommended,
            "statement": self.statement(),
        }

    def statement(self) -> dict[str, Any]:
        """Return what was promised and spent, with the ledger, as plain JSON values."""
        guarantee = self.guarantee
        return {
            "guarantee": {
                "epsilon": float(guarantee.epsilon),
                "delta": float(guarantee.delta),
                "unit": guarantee.unit,
                **({"adjacency": "replace-one"} if guarantee.adjacency == "replace-one" else {}),
            },
            "protects": f"all rows of one {guarantee.unit}, however many",
            "missing_unit": "rows whose unit is missing belong to nobody and were not counted",
            "calculus": self.calculus,
            "budget": self.budget,
            "spent": float(sum(e.price for e in self.entries)),
            "epsilon_spent": self.epsilon_spent,
            "ledger": [
                {
                    "number": e.number,
                    "purpose": e.purpose,
                    "act": act_to_dict(e.act),
                    "price": float(e.price),
                    "columns": list(e.columns),
                    "cells": e.cells,
                }
                for e in self.entries
            ],
            "adds_to": "the budget of every fit of the same people",
            **({} if self.book is None else {"book": book_to_dict(self.book)}),
            "version": __version__,
        }

    def __str__(self) -> str:
        return "\n".join([*self._histogram(), "", *self._bounds(), "", *self._advice()])

    def _histogram(self) -> list[str]:
        unit, largest = self.guarantee.unit, len(self.counts)
        lines = [
            f"Rows per {unit}: a noisy histogram (sigma {self.sigma:.3g} in each count)",
            f"  {'rows':<14}{'units':>14}",
        ]
        edges = [*range(1, min(_SINGLE, largest - 1) + 1)]
        edges += [e + 1 for e in _SHOWN if _SINGLE < e + 1 < largest and e >= _SINGLE] + [largest]
        edges = sorted(set(edges))
        for first, after in zip(edges, [*edges[1:], largest + 1], strict=True):
            label = str(first) if after == first + 1 else f"{first} to {after - 1}"
            label = f"{largest} or more" if first == largest else label
            lines.append(f"  {label:<14}{sum(self.counts[first - 1 : after - 1]):>14,}")
        number = self.units
        return [
            *lines,
            f"  about {_whole(number.estimate)} units ({_whole(number.low)} to {_whole(number.high)})",
        ]

    def _bounds(self) -> list[str]:
        shown = [e for e in self.effects if e.max_rows in _SHOWN or e.max_rows == self.recommended]
        return [
            f"  {'max_rows':>8}{'units cut, %':>23}{'rows lost, %':>23}{'noise':>8}{'error, rows':>14}",
            *(
                f"  {e.max_rows:>8}{_percent(e.units_cut):>23}{_percent(e.rows_lost):>23}"
                f"{f'x {e.max_rows}':>8}{_whole(e.error):>14}"
                for e in shown
            ),
        ]

    def _advice(self) -> list[str]:
        unit, fit = self.guarantee.unit, self.assumed
        advice = "No max_rows is recommended: the number of units is lost in noise; raise epsilon."
        if self.recommended is not None:
            advice = (
                f"Recommended: max_rows: {self.recommended}, the least of rows lost plus noise in one of "
                f"{fit['tables']:g} tables of {fit['cells']:g} counts, at epsilon {fit['epsilon']:g} and "
                f"delta {fit['delta']:g} for the fit."
            )
        tail = (
            f"Some units have {len(self.counts)} rows or more, so more rows are lost than shown; raise "
            "largest to see how many."
        )
        spent = (
            f"Spent: epsilon {self.epsilon_spent:.6g} at delta {self.guarantee.delta:g}, for all rows of one "
            f"{unit}, however many. It adds to every fit's."
        )
        missing = f"Rows whose {unit} is missing belong to nobody and were not counted."
        return [advice, *([tail] if self.open_ended else []), spent, missing]


@emptied
def suggest_max_rows(
    data: Any,
    unit: str,
    *,
    epsilon: float,
    delta: float,
    largest: int = 50,
    fit_epsilon: float = 1.0,
    cells: int = 200,
    tables: int = 20,
    adjacency: Adjacency = "add-remove",
    accountant: Accountant | None = None,
    dataset: str | None = None,
) -> RowsPerUnit:
    """Buy a noisy histogram of rows per unit, and say which bound on them to take.

    A bound of ``k`` drops ``sum_{j > k} (j - k) units_j`` rows and multiplies the noise of all that a fit
    measures by ``k``. Recommended is the ``k`` of least ``rows dropped + cells * sqrt(2/pi) * sigma_k``,
    where ``sigma_k = k * sqrt(tables) / mu`` is the noise of a fit that divides a budget of ``mu**2`` among
    so many tables: a bound on the expected L1 distance between one such table and the true one. (Without a
    delta the noise is Laplace's, ``cells * k * tables / epsilon``; for replaced units sensitivities grow.)

    Args:
        data: A pandas, polars or Arrow frame, or a path to a CSV or Parquet file.
        unit: The column whose value identifies the unit. Rows where it is missing are left out.
        epsilon: Of this purchase, in (0, 10000].
        delta: Of this purchase and of the coming fit, in [0, 1); 0 for pure epsilon.
        largest: Number of counts, 2 to 10,000; the last is of units with so many rows or more.
        fit_epsilon: Of the coming fit; a guess, and spends nothing.
        cells: Number of counts in one of its tables; likewise.
        tables: Number of tables that it divides its budget among; likewise.
        adjacency: Of both: units come or go, or are replaced.
        accountant: A budget book, in which the purchase is reserved before a row is read.
        dataset: Which of its data sets this table is; may be left out where it has one.

    Returns:
        The histogram, what each bound would cut, the recommendation and the ledger.

    Raises:
        InputError: ``largest``, ``cells`` or ``tables`` is out of range; the unit's column is called ``row``;
            or a data set is named without a book, or is not in it.
        BudgetRefusedError: the book has no room for it; no row was read.
        BookError, VerificationError: the book cannot be read or written, or was altered.
        GuaranteeError: an epsilon, the delta or the adjacency is not one.
        DataError: a file that cannot be read, or a unit column that is absent or of an unreadable dtype.

    Privacy: (epsilon, delta)-differentially private for adding or removing (or replacing) all rows of one
    unit, however many they are; it adds to every fit's. Proof: proofs/unit_bounding.md

    Reference: Amin, Kulesza, Munoz Medina, Vassilvitskii 2019, "Bounding User Contributions: A Bias-Variance
    Trade-off in Differential Privacy" (ICML).
    """
    for name, value, least, most in (
        ("largest", largest, 2, LARGEST),
        ("cells", cells, 1, 2**28),
        ("tables", tables, 1, 2**28),
    ):
        if type(value) is not int or not least <= value <= most:
            raise InputError(f"{name}={value!r} is not a whole number from {least} to {most:,}")
    if unit == "row":
        raise InputError("a unit column called row would read like one row each; rename it in the data")
    coming = Guarantee(epsilon=fit_epsilon, delta=delta, adjacency=adjacency)
    guarantee = Guarantee(epsilon=epsilon, delta=delta, unit=unit, adjacency=adjacency)
    ledger = Ledger(guarantee, calculus_of("exact", delta))
    assumed = {"epsilon": fit_epsilon, "delta": delta, "cells": cells, "tables": tables}
    noise = cells * expected_noise(coming, tables)
    if accountant is None:
        if dataset is not None:
            raise InputError(f"dataset={dataset!r} is a name in a budget book; give accountant as well")
        return _bought(data, ledger, largest, noise, assumed)
    with accountant.reserve(
        guarantee, calculus=ledger.calculus, mechanism="suggest-max-rows", dataset=dataset
    ) as hold:
        hold.follow(ledger)
        found = _bought(data, ledger, largest, noise, assumed, book=hold.reference)
        hold.commit(found.entries, statement=hashlib.sha256(dump(found.statement())).hexdigest())
    return found


def _bought(
    data: Any,
    ledger: Ledger,
    largest: int,
    noise: float,
    assumed: dict[str, float],
    *,
    book: BookReference | None = None,
) -> RowsPerUnit:
    """Spend the whole of a ledger on the histogram, and say what follows from it."""
    guarantee = ledger.guarantee
    curator = Curator(unit_sizes(open_source(data), guarantee.unit, largest), guarantee, ledger=ledger)
    query = Marginal((0,), (np.arange(largest),))
    noisy = curator.measure(query, budget=curator.budget, purpose="rows per unit")
    entries = ledger.close()
    counts, width = noisy.values.astype(np.float64), width_of(noisy.sigma, ledger.calculus)
    effects = tuple(effects_of(counts, width, noise))
    units = sum_of(counts, np.ones(largest), width)
    return RowsPerUnit(
        guarantee=guarantee,
        calculus=ledger.calculus,
        budget=float(ledger.budget),
        entries=entries,
        counts=tuple(int(c) for c in noisy.values),
        sigma=noisy.sigma,
        units=units,
        effects=effects,
        recommended=min(effects, key=lambda e: e.error).max_rows if units.low > 0 else None,
        assumed=assumed,
        book=book,
    )


def _whole(value: float) -> str:
    return f"{round(value):,}"


def _percent(share: Interval) -> str:
    estimate, low, high = (
        f"{100 * x:.{1 if x >= 0.1 else 2}f}" for x in (share.estimate, share.low, share.high)
    )
    return f"{estimate} ({low} to {high})"
