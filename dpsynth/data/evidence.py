"""What is known of a column, in codes: how much of each code it leaves, and which points may be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.data.labels import LabelCoder
from dpsynth.data.numeric import NumericCoder
from dpsynth.data.ordering import Ordering
from dpsynth.data.plain import Coder
from dpsynth.errors import InputError
from dpsynth.schema.columns import Column, Ordinal
from dpsynth.schema.ranges import Condition, Range, condition_of, grid_position, grid_span, ordinal_span

__all__ = ["held_orderings", "kept_to", "stated", "weights_of"]

Floats = npt.NDArray[np.float64]


def stated(name: str, column: Column, said: Any) -> Condition:
    """Return what was said of a column as a condition, its values in the column's own type.

    Args:
        name: The column's name, for the error.
        column: What the schema says of it.
        said: A value, a list of values, ``None`` for missing, or a :class:`Range`.

    Raises:
        InputError: nothing is said, a value that the column cannot hold, a range without an order, or one
            that holds no value of the column.
    """
    if not isinstance(said, (Range, list, tuple)):
        said = (said,)
    if not isinstance(said, Range):
        said = tuple(v.item() if isinstance(v, np.generic) else v for v in said)
        if not said:
            raise InputError(f"column {name!r}: an empty list of values holds for no row")
    else:
        said = Range(
            **{k: v.item() if isinstance(v, np.generic) else v for k, v in said.limits() if v is not None}
        )
    try:
        return condition_of(column, said)
    except ValueError as error:
        raise InputError(f"column {name!r}: {error}") from None


def weights_of(coder: Coder, condition: Condition) -> Floats:
    """Return the share of each code that a condition leaves: 0, 1, or a part of a bin's points.

    Args:
        coder: The column's.
        condition: Its values in the column's own type.
    """
    weights = np.zeros(coder.size)
    if isinstance(coder, NumericCoder):
        weights[: coder.lattice.size] = kept_to(coder, condition).lattice.shares()
    elif isinstance(condition, Range):
        if isinstance(coder.spec, Ordinal):
            span = ordinal_span(coder.spec, condition)
            weights[span.start : span.stop] = 1.0
    else:
        weights[[_place(coder, value) for value in condition if value is not None]] = 1.0
    if not isinstance(condition, Range) and None in condition:
        weights[-1] = 1.0
    return weights


def _place(coder: LabelCoder, value: Any) -> int:
    return coder.labels.index(value)


def kept_to(coder: NumericCoder, condition: Condition) -> NumericCoder:
    """Return a coder that draws only points for which the condition holds."""
    if isinstance(condition, Range):
        spans: list[range] = [grid_span(coder.spec, condition)]
    else:
        points = {int(grid_position(coder.spec, v)) for v in condition if v is not None}
        spans = [range(p, p + 1) for p in sorted(points)] or [range(0)]
    return replace(coder, lattice=replace(coder.lattice, held=tuple(spans)))


def held_orderings(
    orderings: Sequence[Ordering], coders: Mapping[str, Coder], conditions: Mapping[str, Condition]
) -> list[Ordering]:
    """Return the orderings of compared columns with those coders that are kept to conditions.

    Args:
        orderings: Of the schema.
        coders: Already kept to the conditions.
        conditions: By column.

    Raises:
        InputError: conditions that cut bins of two columns that are compared, of one in several places, or
            of one with more decimals than another: rows in such a bin could not be drawn in order.
    """
    kept = []
    for ordering in orderings:
        inside = {n: c for n, c in coders.items() if n in ordering.coders and isinstance(c, NumericCoder)}
        cut = [n for n, c in inside.items() if n in conditions and _cuts_bins(c)]
        several = [n for n in cut if len(inside[n].lattice.held or ()) > 1]
        steps = {n: c.step * ordering.units[n] for n, c in inside.items()}
        finer = [n for n in cut if steps[n] < max(steps.values())]
        if len(cut) > 1 or several or finer:
            which = " and ".join(map(repr, cut))
            raise InputError(
                f"column {which}: a constraint compares it, and this cuts its bins; state one range of one "
                "of the compared columns (of fewest decimals), or ranges that end where bins do"
            )
        kept.append(replace(ordering, coders={n: inside[n] for n in ordering.coders}))
    return kept


def _cuts_bins(coder: NumericCoder) -> bool:
    shares = coder.lattice.shares()
    return bool(((shares > 0) & (shares < 1)).any())
