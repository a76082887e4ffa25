"""A schema's constraints in codes: bins cut where a rule tells values apart, and the rules over codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dpsynth.data.labels import LabelCoder
from dpsynth.data.numeric import NumericCoder
from dpsynth.data.ordering import Ordering, common_cuts
from dpsynth.data.plain import Coder
from dpsynth.rules import LARGEST_TABLE, Rule, TooWideError
from dpsynth.schema.columns import Ordinal
from dpsynth.schema.constraints import AtMost, Constraint, Determines, Impossible
from dpsynth.schema.ranges import Condition, Range, Value, grid_position, grid_span, ordinal_span, read_key

__all__ = ["cut_for", "rule_of"]

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def cut_for(
    constraints: Sequence[Constraint], coders: Mapping[str, Coder]
) -> tuple[dict[str, Coder], list[Ordering]]:
    """Cut bins so that each is wholly inside or outside of what a constraint names.

    Returns:
        The coders, and the orderings of columns that are compared.

    Raises:
        ValueError: columns that are compared have too wide bounds.
    """
    needed: dict[str, set[int]] = {}
    for constraint in constraints:
        for name, condition in _named(constraint, coders):
            coder = coders[name]
            if isinstance(coder, NumericCoder):
                needed.setdefault(name, set()).update(_starts(coder, condition))
    cut = dict(coders)
    for name, points in needed.items():
        coder = coders[name]
        if isinstance(coder, NumericCoder):
            cut[name] = replace(coder, lattice=coder.lattice.refined(points))
    numeric = {name: coder for name, coder in cut.items() if isinstance(coder, NumericCoder)}
    compared = [(c.first, c.second) for c in constraints if isinstance(c, AtMost) and c.first in numeric]
    orderings = common_cuts(numeric, list(dict.fromkeys(compared)), needed)
    return cut | {n: c for ordering in orderings for n, c in ordering.coders.items()}, orderings


def rule_of(
    constraint: Constraint, coders: Mapping[str, Coder], orderings: Sequence[Ordering]
) -> Rule | None:
    """Return a constraint as a rule over codes, or ``None`` if every combination of codes keeps it.

    Args:
        constraint: Of the schema whose coders these are.
        coders: By column, in the order of the domain; cut for the constraints.
        orderings: Of the columns that are compared.

    Raises:
        TooWideError: two compared columns have too many codes.
    """
    match constraint:
        case Impossible():
            names = list(constraint.conditions)
            classes = [_meets(coders[n], c).astype(np.int64) for n, c in constraint.conditions.items()]
            allowed = np.ones([2] * len(names), dtype=np.bool_)
            allowed[(1,) * len(names)] = False
        case Determines():
            names = [constraint.by, constraint.column]
            classes, allowed = _map_table(constraint, coders[constraint.by], coders[constraint.column])
        case AtMost():
            names = [constraint.first, constraint.second]
            classes, allowed = _order_table(names, coders, orderings)
    positions = list(coders)
    rule = Rule.over([positions.index(n) for n in names], classes, allowed)
    return None if rule.allowed.all() else rule


def _named(constraint: Constraint, coders: Mapping[str, Coder]) -> Iterable[tuple[str, Condition]]:
    """Give the values that a constraint names, by column."""
    if isinstance(constraint, Impossible):
        yield from constraint.conditions.items()
    elif isinstance(constraint, Determines):
        yield constraint.column, tuple(constraint.map.values())
        yield constraint.by, tuple(read_key(coders[constraint.by].spec, key) for key in constraint.map)


def _starts(coder: NumericCoder, condition: Condition) -> Iterable[int]:
    """Give the points at which bins must start."""
    if isinstance(condition, Range):
        span = grid_span(coder.spec, condition)
        yield from (span.start, span.stop)
        return
    for value in condition:
        if value is not None:
            point = int(grid_position(coder.spec, value))
            yield from (point, point + 1)


def _meets(coder: Coder, condition: Condition) -> Flags:
    """Return whether each code meets a condition."""
    meets = np.zeros(coder.size, dtype=np.bool_)
    if isinstance(condition, Range):
        if isinstance(coder, NumericCoder):
            starts, span = coder.lattice.bounds()[0], grid_span(coder.spec, condition)
            meets[: starts.size] = (starts >= span.start) & (starts < span.stop)
        elif isinstance(coder.spec, Ordinal):
            span = ordinal_span(coder.spec, condition)
            meets[span.start : span.stop] = True
        return meets
    meets[_codes(coder, condition)] = True
    return meets


def _codes(coder: Coder, values: Sequence[Value]) -> Ints:
    """Return the code of each value, ``None`` being missing."""
    if isinstance(coder, LabelCoder):
        labels = coder.labels
        place = (
            labels.index if isinstance(labels, range) else {v: i for i, v in enumerate(labels)}.__getitem__
        )
        codes = [coder.size - 1 if v is None else place(v) for v in values]  # type: ignore[arg-type]
        return np.array(codes, dtype=np.int64)
    points = [0 if v is None else int(grid_position(coder.spec, v)) for v in values]
    bins = coder.lattice.bin_of(np.array(points, dtype=np.int64))
    return np.where([v is None for v in values], coder.size - 1, bins)


def _map_table(constraint: Determines, by: Coder, column: Coder) -> tuple[list[Ints], Flags]:
    """Return the classes of both columns and what a map allows: 0 stands for every code it does not name."""
    keys = _codes(by, [read_key(by.spec, key) for key in constraint.map])
    values = _codes(column, list(constraint.map.values()))
    targets, numbered = np.unique(values, return_inverse=True)
    given, follows = (np.zeros(coder.size, dtype=np.int64) for coder in (by, column))
    given[keys], follows[targets] = numbered + 1, np.arange(targets.size) + 1
    allowed = np.eye(targets.size + 1, dtype=np.bool_)
    allowed[0] = True
    if column.spec.missing:
        if not follows[-1]:
            follows[-1] = targets.size + 1
            allowed = np.column_stack([allowed, np.ones(targets.size + 1, dtype=np.bool_)])
        else:
            allowed[:, follows[-1]] = True
    return [given, follows], allowed


def _order_table(
    names: Sequence[str], coders: Mapping[str, Coder], orderings: Sequence[Ordering]
) -> tuple[list[Ints], Flags]:
    """Return the classes of two compared columns and where the first is at most the second."""
    places = []
    for name in names:
        coder = coders[name]
        if isinstance(coder, NumericCoder):
            ordering = next(o for o in orderings if name in o.coders)
            places.append(ordering.intervals(name))
        else:
            places.append(np.arange(coder.ordered))
    if len(places[0]) * len(places[1]) > LARGEST_TABLE:
        raise TooWideError(f"a table of {len(places[0]) * len(places[1])} cells is needed")
    classes = [np.minimum(np.arange(coders[n].size), p.size) for n, p in zip(names, places, strict=True)]
    allowed = np.ones([p.size + 1 for p in places], dtype=np.bool_)
    allowed[:-1, :-1] = places[0][:, None] <= places[1][None, :]
    return classes, allowed
