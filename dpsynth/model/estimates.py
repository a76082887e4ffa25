"""What every model is made of: one-way distributions, and joint tables at resolutions of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Axis, Domain
from dpsynth.model.groups import group_sums
from dpsynth.rules import Rule

__all__ = [
    "LARGEST_MARGINAL",
    "TOLERANCE",
    "Estimate",
    "check_columns",
    "check_draw",
    "check_estimates",
    "estimates_from_arrays",
    "estimates_to_arrays",
    "is_distribution",
    "read_array",
]

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]

TOLERANCE = 1e-6
LARGEST_MARGINAL = 2**26  # cells of an answer


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A joint distribution of two or more columns, at a resolution of its own.

    Attributes:
        columns: Positions of the columns, all different, in any order.
        groups: For each of them the group, from 0, of each code.
        table: Joint probabilities of the groups, one axis a column, of sum 1.
    """

    columns: tuple[int, ...]
    groups: tuple[Groups, ...]
    table: Floats

    def index(self) -> tuple[Groups, ...]:
        """Return what ``table`` is to be indexed with for its value at every combination of codes."""
        return np.ix_(*self.groups)


def check_estimates(
    domain: Domain, total: float, nodes: Sequence[Floats], estimates: Sequence[Estimate]
) -> None:
    """Check that estimates fit the domain and each other.

    Raises:
        ValueError: arrays that do not fit, are negative or not finite, or whose sums or margins disagree.
    """
    if not (math.isfinite(total) and total >= 0):
        raise ValueError("the model's total is not a finite number of at least 0")
    if len(nodes) != len(domain):
        raise ValueError(f"{len(nodes)} one-way distributions for {len(domain)} columns")
    for axis, node in zip(domain, nodes, strict=True):
        if node.shape != (axis.size,) or not is_distribution(node):
            raise ValueError(f"the one-way distribution of {axis.name!r} is not one over {axis.size} codes")
    for estimate in estimates:
        _check_estimate(domain, nodes, estimate)


def _check_estimate(domain: Domain, nodes: Sequence[Floats], estimate: Estimate) -> None:
    columns, groups, table = estimate.columns, estimate.groups, estimate.table
    if len(columns) < 2 or len(set(columns)) != len(columns):
        raise ValueError("an estimated table needs two or more columns and none twice")
    if table.ndim != len(columns) or len(groups) != len(columns) or not is_distribution(table):
        raise ValueError("an estimated table is not a joint distribution of its columns")
    for axis, (column, grouping) in enumerate(zip(columns, groups, strict=True)):
        if not 0 <= column < len(domain):
            raise ValueError("an estimated table names a column outside the domain")
        name, size = domain.names[column], table.shape[axis]
        if grouping.shape != (domain.axes[column].size,) or grouping.min() < 0 or grouping.max() >= size:
            raise ValueError(f"an estimated table's grouping of {name!r} does not fit it")
        margin = table.sum(axis=tuple(i for i in range(table.ndim) if i != axis))
        if np.abs(margin - group_sums(grouping, nodes[column], size)).max() > TOLERANCE:
            raise ValueError(f"an estimated table disagrees with the one-way distribution of {name!r}")


def check_columns(domain: Domain, columns: Sequence[int]) -> None:
    """Check that a model can answer a marginal over these columns.

    Raises:
        ValueError: an unknown or repeated column, or an answer of more than 2**26 cells.
    """
    if len(set(columns)) != len(columns) or not all(0 <= c < len(domain) for c in columns):
        raise ValueError("a marginal takes different columns of the domain")
    if domain.cells(columns) > LARGEST_MARGINAL:
        raise ValueError(f"a marginal over these columns has more than {LARGEST_MARGINAL} cells")


def check_draw(n: int, method: str) -> None:
    """Check that rows can be drawn so.

    Raises:
        ValueError: ``n`` is negative or ``method`` is unknown.
    """
    if n < 0:
        raise ValueError(f"n={n} rows cannot be drawn")
    if method not in ("systematic", "iid"):
        raise ValueError(f"method={method!r} is neither 'systematic' nor 'iid'")


def estimates_to_arrays(
    domain: Domain, total: float, nodes: Sequence[Floats], estimates: Sequence[Estimate]
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return estimates as JSON values and plain arrays, for saving."""
    meta = {
        "total": total,
        "axes": [{"name": a.name, "size": a.size, "ordered": a.ordered} for a in domain],
        "estimates": [{"columns": list(e.columns)} for e in estimates],
    }
    if domain.rules:
        meta["rules"] = [{"columns": list(rule.columns)} for rule in domain.rules]
    arrays: dict[str, npt.NDArray[Any]] = {f"node_{i}": node for i, node in enumerate(nodes)}
    for i, estimate in enumerate(estimates):
        arrays[f"estimate_{i}_table"] = estimate.table
        for j, groups in enumerate(estimate.groups):
            arrays[f"estimate_{i}_groups_{j}"] = groups
    for i, rule in enumerate(domain.rules):
        arrays[f"rule_{i}_allowed"] = rule.allowed.astype(np.int64)
        for j, classes in enumerate(rule.classes):
            arrays[f"rule_{i}_classes_{j}"] = classes
    return meta, arrays


def estimates_from_arrays(
    meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
) -> tuple[Domain, float, tuple[Floats, ...], tuple[Estimate, ...]]:
    """Read back what :func:`estimates_to_arrays` wrote.

    Raises:
        ValueError, KeyError, TypeError: the content is not that of estimates.
    """
    try:
        axes = tuple(Axis(str(a["name"]), int(a["size"]), int(a["ordered"])) for a in meta["axes"])
        held = [tuple(int(c) for c in e["columns"]) for e in meta["estimates"]]
        ruled = [tuple(int(c) for c in r["columns"]) for r in meta.get("rules", ())]
        total = float(meta["total"])
    except OverflowError:
        raise ValueError("a number of the model is infinite or far too large") from None
    nodes = tuple(read_array(arrays, f"node_{i}", np.float64) for i in range(len(axes)))
    estimates = tuple(
        Estimate(
            columns,
            tuple(read_array(arrays, f"estimate_{i}_groups_{j}", np.int64) for j in range(len(columns))),
            read_array(arrays, f"estimate_{i}_table", np.float64),
        )
        for i, columns in enumerate(held)
    )
    return Domain(axes, _rules_from(arrays, ruled)), total, nodes, estimates


def _rules_from(arrays: Mapping[str, npt.NDArray[Any]], ruled: Sequence[tuple[int, ...]]) -> tuple[Rule, ...]:
    rules = []
    for i, columns in enumerate(ruled):
        allowed = read_array(arrays, f"rule_{i}_allowed", np.int64)
        if not np.isin(allowed, (0, 1)).all():
            raise ValueError("a rule's table does not hold 0 and 1")
        classes = tuple(read_array(arrays, f"rule_{i}_classes_{j}", np.int64) for j in range(len(columns)))
        rules.append(Rule(columns, classes, allowed.astype(np.bool_)))
    return tuple(rules)


def read_array(
    arrays: Mapping[str, npt.NDArray[Any]], name: str, dtype: type[np.generic]
) -> npt.NDArray[Any]:
    """Return a named array as ``dtype``.

    Raises:
        KeyError: there is none of that name.
        ValueError: it holds another kind of number.
    """
    array = np.asarray(arrays[name])
    if array.dtype.kind not in ("f" if dtype is np.float64 else "iu"):
        raise ValueError(f"the model's array {name!r} is not one of {dtype.__name__}")
    return array.astype(dtype, copy=False)


def is_distribution(values: Floats) -> bool:
    """Whether all values are finite and not negative, and sum to 1 within 1e-6."""
    within = np.isfinite(values) & (values >= 0) & (values <= 1 + TOLERANCE)  # then no sum can overflow
    return bool(within.all() and abs(values.sum() - 1) <= TOLERANCE)
