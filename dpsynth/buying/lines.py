"""What is bought, in what order and for what share of the budget. No row is needed to know.

Buying all that can be bought of all columns takes a quarter of the budget at most; buying less takes less, in
proportion. Of delta a tenth is set aside where categories are bought. What buying leaves, the mechanism gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from dpsynth.buying.numbers import doubling_edges, levels_of
from dpsynth.buying.scale import Scale, scales_of
from dpsynth.schema import Schema
from dpsynth.schema.columns import Categorical, Column, Date, Datetime, Integer, Real
from dpsynth.schema.purchases import OpenSchema, Purchase

__all__ = [
    "AGAIN",
    "ASSUMED",
    "BINS",
    "BOUNDS",
    "CATEGORIES",
    "CLOSER",
    "NULLS",
    "PURPOSES",
    "ROUNDS",
    "ROWS",
    "Line",
    "assumed",
    "delta_aside",
    "lines_of",
]

ROWS: Final = "buying the number of rows"
CATEGORIES: Final = "buying categories"
AGAIN: Final = "buying categories, again"
BOUNDS: Final = "buying bounds"
CLOSER: Final = "buying bounds, closer"
BINS: Final = "buying bins"
NULLS: Final = "buying whether values are missing"

ASSUMED: Final = 32  # categories of a column whose values are to be bought, in a plan
ROUNDS: Final = 2  # of cutting the intervals that hold the bounds of times

_MOST: Final = Fraction(1, 4)  # of the budget, where everything is bought
_DELTA: Final = Fraction(1, 10)
_WEIGHTS: Final[Mapping[str, Fraction]] = {
    ROWS: Fraction(1, 4),
    CATEGORIES: Fraction(1),
    AGAIN: Fraction(4),
    BOUNDS: Fraction(1),
    CLOSER: Fraction(1, 2),
    BINS: Fraction(4),
    NULLS: Fraction(1, 4),
}
PURPOSES: Final = tuple(_WEIGHTS)
"""What entries of the ledger are for, where something was bought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One kind of purchase.

    Attributes:
        purpose: As it stands in the ledger.
        columns: The columns it is for, by name.
        share: Share of the whole budget that it gets for all of them together, at most.
        acts: Most acts.
        cells: Noisy numbers, as far as they are known beforehand.
        note: What decides the open points.
    """

    purpose: str
    columns: tuple[str, ...]
    share: Fraction
    acts: int
    cells: int
    note: str = ""


def delta_aside(schema: OpenSchema, delta: float) -> Fraction:
    """Return how much of delta is set aside for buying: a tenth where categories are bought, else nothing."""
    if any("values" in p.keys for p in schema.purchases):
        return Fraction(delta) * _DELTA
    return Fraction(0)


def lines_of(schema: OpenSchema) -> tuple[Line, ...]:
    """Return what will be asked, in order, and what share of the budget it gets. Public."""
    specs, scales = schema.stand_in.columns, scales_of(schema)
    wanted = {p.column: _purposes(p, specs[p.column]) for p in schema.purchases}
    asked = {purpose: tuple(n for n, said in wanted.items() if purpose in said) for purpose in PURPOSES}
    asked[ROWS] = asked[CATEGORIES][:1]
    whole = sum((_weight(specs[name]) for name in schema.stand_in.learned), _WEIGHTS[ROWS])
    return tuple(
        _line(purpose, columns, _MOST * len(columns) * _WEIGHTS[purpose] / whole, scales)
        for purpose, columns in asked.items()
        if columns
    )


def assumed(schema: OpenSchema) -> Schema:
    """Return the schema with guesses filled in, for plans: 32 categories, more points than bins, nulls."""
    scales, found = scales_of(schema), {}
    for p in schema.purchases:
        guess: dict[str, Any] = {"missing": True, "edges": None}
        guess["values"] = ["other", *(f"value {i}" for i in range(2, ASSUMED + 1))]
        if p.column in scales:
            scale = scales[p.column]
            length = 1000 * scale.spec.bins
            low = max(scale.low, scale.high - length) if "upper" not in p.keys else max(scale.low, 0)
            low = low if "lower" in p.keys else scale.low
            high = min(scale.high, low + length) if "upper" in p.keys else scale.high
            guess |= {"lower": scale.write(low), "upper": scale.write(high)}
        found[p.column] = {key: guess[key] for key in p.keys}
    return schema.filled(found)


def _purposes(purchase: Purchase, spec: Column) -> tuple[str, ...]:
    keys = {*purchase.keys}
    found: tuple[str, ...] = (CATEGORIES, AGAIN) if "values" in keys else ()
    if keys & {"lower", "upper"}:
        found += (BOUNDS, CLOSER) if isinstance(spec, (Date, Datetime)) else (BOUNDS,)
    if "edges" in keys:
        found += (BINS,)
    if "missing" in keys and not {CATEGORIES, BOUNDS} & {*found}:  # those count nulls besides
        found += (NULLS,)
    return found


def _weight(spec: Column) -> Fraction:
    """Return the weight of all that could be bought of a column."""
    if isinstance(spec, Categorical):
        return _WEIGHTS[CATEGORIES] + _WEIGHTS[AGAIN]
    if isinstance(spec, (Integer, Real)):
        return _WEIGHTS[BOUNDS] + _WEIGHTS[BINS]
    if isinstance(spec, (Date, Datetime)):
        return _WEIGHTS[BOUNDS] + _WEIGHTS[CLOSER] + _WEIGHTS[BINS]
    return _WEIGHTS[NULLS]


def _line(purpose: str, columns: tuple[str, ...], share: Fraction, scales: Mapping[str, Scale]) -> Line:
    acts = cells = len(columns)
    note = ""
    if purpose == CATEGORIES:
        note = "and a number for each category that is found"
    elif purpose == AGAIN:
        note = "where rows are left unaccounted for; what is not needed, the others get"
    elif purpose == BOUNDS:
        cells = sum(len(doubling_edges(scales[n].low, scales[n].high)) + 1 for n in columns)
    elif purpose == CLOSER:
        acts, note = ROUNDS * acts, "unless the bounds are as close as can be"
        cells = 34 * acts
    elif purpose == BINS:
        acts = sum(1 + levels_of(scales[n].high + 1 - scales[n].low) for n in columns)
        cells, note = 16 * acts, "numbers: more where intervals are full"
    return Line(purpose=purpose, columns=columns, share=share, acts=acts, cells=cells, note=note)
