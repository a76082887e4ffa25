"""Buying: ask the seller by the plan's lines, and fill in what the schema left open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, cast

from dpsynth.buying.categories import labels_of, left_over, worth_another_look
from dpsynth.buying.lines import AGAIN, BINS, BOUNDS, CATEGORIES, CLOSER, NULLS, ROUNDS, ROWS, Line, lines_of
from dpsynth.buying.numbers import (
    Count,
    bounds_in,
    closer,
    doubling_edges,
    equal_shares,
    grow,
    tree_and_widths,
)
from dpsynth.buying.scale import Scale, scales_of
from dpsynth.privacy.seller import Discovered, Histogram, Seller
from dpsynth.schema import Schema
from dpsynth.schema.columns import Categorical
from dpsynth.schema.purchases import OpenSchema, Purchase

__all__ = ["buy"]

_FIRST: Final = 4  # part of a column's budget for bins that its first counts get, where bounds are stated
_CLEAR: Final = 3.0  # standard deviations above which there are nulls
_STAGE: Final = "buying what the schema leaves open"

Report = Callable[[str, float], None]
_Nulls = tuple[float, float]  # noisy number of missing values, and its standard deviation
_Span = tuple[int, int]  # first and last point


def buy(seller: Seller, schema: OpenSchema, progress: Report) -> tuple[Schema, dict[str, tuple[str, ...]]]:
    """Buy what a schema leaves open.

    Args:
        seller: Of the columns, with a ledger of which nothing has been spent.
        schema: What is to be bought.
        progress: Called with a stage's name and the fraction of it that is done.

    Returns:
        The schema with what was bought filled in, and for each column the keys that were bought: all that
        were open, but for edges where each point is a bin of its own.

    Raises:
        BudgetRefusedError: something was spent of the ledger, or less delta is set aside than
            :func:`~dpsynth.buying.lines.delta_aside` says.

    Privacy: spends at most what :func:`~dpsynth.buying.lines.lines_of` says, through the seller; a function
    of its noisy answers.
    """
    purse = _Purse(
        seller,
        {p.column: p for p in schema.purchases},
        {line.purpose: line for line in lines_of(schema)},
        seller.ledger.budget,
        seller.ledger.delta_aside,
    )
    scales = scales_of(schema)
    nulls = {
        n: _nulls(seller.count(n, (), budget=purse.each(NULLS), purpose=NULLS)) for n in purse.columns(NULLS)
    }
    progress(_STAGE, 0.1)
    looks, noisy = _categories(purse)
    nulls |= noisy
    progress(_STAGE, 0.4)
    spans, counts = _bounds(purse, scales)
    nulls |= {n: _nulls(found) for n, found in counts.items()}
    progress(_STAGE, 0.7)
    starts = _bins(purse, scales, spans, counts)
    progress(_STAGE, 1.0)
    written: dict[str, dict[str, Any]] = {n: {} for n in purse.purchases}
    for name, number in nulls.items():
        written[name]["missing"] = number[0] > _CLEAR * number[1]
    for name, found in looks.items():
        other = cast("Categorical", schema.stand_in.columns[name]).other
        written[name]["values"] = labels_of(found, str(other))
    for name, span in spans.items():
        written[name] |= {"lower": scales[name].write(span[0]), "upper": scales[name].write(span[1])}
    for name in purse.columns(BINS):
        cuts = [scales[name].write(start) for start in starts.get(name, [])]
        written[name]["edges"] = cuts or None
    whole = schema.filled({n: {key: written[n][key] for key in p.keys} for n, p in purse.purchases.items()})
    bought = {
        n: tuple(key for key in p.keys if key != "edges" or n in starts) for n, p in purse.purchases.items()
    }
    return whole, {name: keys for name, keys in bought.items() if keys}


@dataclass(frozen=True, slots=True)
class _Purse:
    """Whom to ask, for what, and with how much."""

    seller: Seller
    purchases: Mapping[str, Purchase]
    lines: Mapping[str, Line]
    budget: Fraction
    delta: Fraction

    def columns(self, purpose: str) -> tuple[str, ...]:
        """The columns that a line is for."""
        return self.lines[purpose].columns if purpose in self.lines else ()

    def whole(self, purpose: str) -> Fraction:
        """What a line may spend."""
        return self.budget * self.lines[purpose].share

    def each(self, purpose: str) -> Fraction:
        """What a line may spend on one column."""
        return self.whole(purpose) / len(self.lines[purpose].columns)

    def counter(self, name: str, purpose: str, budget: Fraction) -> Count:
        """A way to count intervals of a column again and again, at one price a time."""
        return lambda edges: self.seller.count(name, edges, budget=budget, purpose=purpose)


def _categories(purse: _Purse) -> tuple[dict[str, list[Discovered]], dict[str, _Nulls]]:
    """Look at all labelled columns, and again where rows are left unaccounted for."""
    names = purse.columns(CATEGORIES)
    if not names:
        return {}, {}
    delta = purse.delta / (2 * len(names))
    counted = purse.seller.count(names[0], (), budget=purse.each(ROWS), purpose=ROWS)
    first = {
        n: purse.seller.discover(n, budget=purse.each(CATEGORIES), delta=delta, purpose=CATEGORIES)
        for n in names
    }
    looks = {n: [look] for n, look in first.items()}
    short = left_over(first, counted.nulls + counted.elsewhere)
    for name, part in worth_another_look(short).items():
        budget = purse.whole(AGAIN) * Fraction(part)
        looks[name].append(purse.seller.discover(name, budget=budget, delta=delta, purpose=AGAIN))
    best = {n: min(found, key=lambda look: look.sigma) for n, found in looks.items()}
    return looks, {n: (look.nulls, look.sigma) for n, look in best.items()}


def _bounds(purse: _Purse, scales: Mapping[str, Scale]) -> tuple[dict[str, _Span], dict[str, Histogram]]:
    """Find bounds, and return the counts they were found in; bounds that are stated stay."""
    spans, counts = {}, {}
    for name in purse.columns(BOUNDS):
        scale, keys = scales[name], purse.purchases[name].keys
        edges = doubling_edges(scale.low, scale.high)
        counts[name] = purse.counter(name, BOUNDS, purse.each(BOUNDS))(edges)
        ends = bounds_in(counts[name])
        if name in purse.columns(CLOSER):
            count = purse.counter(name, CLOSER, purse.each(CLOSER) / ROUNDS)
            for _ in range(ROUNDS):
                ends = None if ends is None else closer(ends, count)
        low, high = (0, 1) if ends is None else (ends[0].start, ends[1].stop - 1)
        low = low if "lower" in keys else scale.low
        high = high if "upper" in keys else scale.high
        spans[name] = (low, max(low, high)) if "upper" in keys else (min(low, high), high)
    return spans, counts


def _bins(
    purse: _Purse,
    scales: Mapping[str, Scale],
    spans: Mapping[str, _Span],
    counts: Mapping[str, Histogram],
) -> dict[str, list[int]]:
    """Return where bins start, the first left out; nothing where each point is a bin of its own."""
    starts = {}
    for name in purse.columns(BINS):
        scale, whole = scales[name], purse.each(BINS)
        low, high = spans.get(name, (scale.low, scale.high))
        bins = scale.spec.bins
        if high - low + 1 <= bins:
            continue
        first = counts.get(name)
        if first is None:
            first = purse.counter(name, BINS, whole / _FIRST)(doubling_edges(low, high))
            whole -= whole / _FIRST
        by_shares = purse.purchases[name].cut == "quantiles"
        leaves = grow(
            first,
            lambda levels, name=name, whole=whole: purse.counter(name, BINS, whole / levels),  # type: ignore[misc]
            1 / bins if by_shares else 0.0,
        )
        cuts = equal_shares(leaves, bins) if by_shares else tree_and_widths(leaves, low, high, bins)
        starts[name] = [start for start in cuts if low < start <= high]
    return starts


def _nulls(found: Histogram) -> _Nulls:
    return float(found.nulls), found.sigma
