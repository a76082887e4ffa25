"""What every model is made of: one-way distributions, and tables of pairs at their own resolutions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Axis, Domain
from dpsynth.model.groups import group_sums

__all__ = [
    "LARGEST_MARGINAL",
    "TOLERANCE",
    "Edge",
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
class Edge:
    """A dependence between two columns.

    Attributes:
        first: Position of a column.
        second: Position of another.
        first_groups: Group, from 0, of each code of the first column.
        second_groups: Group, from 0, of each code of the second.
        table: Joint probabilities of the groups, shape ``(first groups, second groups)``, of sum 1.
    """

    first: int
    second: int
    first_groups: Groups
    second_groups: Groups
    table: Floats


def check_estimates(domain: Domain, total: float, nodes: Sequence[Floats], edges: Sequence[Edge]) -> None:
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
    for edge in edges:
        _check_edge(domain, nodes, edge)


def _check_edge(domain: Domain, nodes: Sequence[Floats], edge: Edge) -> None:
    ends = ((edge.first, edge.first_groups, 1), (edge.second, edge.second_groups, 0))
    if edge.table.ndim != 2 or not is_distribution(edge.table):
        raise ValueError("an edge's table is not a joint distribution of two columns")
    if edge.first == edge.second:
        raise ValueError("an edge's two columns are the same")
    for column, groups, other in ends:
        if not 0 <= column < len(domain):
            raise ValueError("an edge names a column outside the domain")
        name, size = domain.names[column], edge.table.shape[1 - other]
        if groups.shape != (domain.axes[column].size,) or groups.min() < 0 or groups.max() >= size:
            raise ValueError(f"an edge's grouping of {name!r} does not fit its table")
        margin = group_sums(groups, nodes[column], size)
        if np.abs(margin - edge.table.sum(axis=other)).max() > TOLERANCE:
            raise ValueError(f"an edge's margin disagrees with the one-way distribution of {name!r}")


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
    domain: Domain, total: float, nodes: Sequence[Floats], edges: Sequence[Edge]
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return estimates as JSON values and plain arrays, for saving."""
    meta = {
        "total": total,
        "axes": [{"name": a.name, "size": a.size, "ordered": a.ordered} for a in domain],
        "edges": [{"first": e.first, "second": e.second} for e in edges],
    }
    arrays: dict[str, npt.NDArray[Any]] = {f"node_{i}": node for i, node in enumerate(nodes)}
    for i, edge in enumerate(edges):
        arrays[f"edge_{i}_table"] = edge.table
        arrays[f"edge_{i}_first"] = edge.first_groups
        arrays[f"edge_{i}_second"] = edge.second_groups
    return meta, arrays


def estimates_from_arrays(
    meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]
) -> tuple[Domain, float, tuple[Floats, ...], tuple[Edge, ...]]:
    """Read back what :func:`estimates_to_arrays` wrote.

    Raises:
        ValueError, KeyError, TypeError: the content is not that of estimates.
    """
    try:
        axes = tuple(Axis(str(a["name"]), int(a["size"]), int(a["ordered"])) for a in meta["axes"])
        ends = [(int(e["first"]), int(e["second"])) for e in meta["edges"]]
        total = float(meta["total"])
    except OverflowError:
        raise ValueError("a number of the model is infinite or far too large") from None
    nodes = tuple(read_array(arrays, f"node_{i}", np.float64) for i in range(len(axes)))
    edges = tuple(
        Edge(
            first,
            second,
            read_array(arrays, f"edge_{i}_first", np.int64),
            read_array(arrays, f"edge_{i}_second", np.int64),
            read_array(arrays, f"edge_{i}_table", np.float64),
        )
        for i, (first, second) in enumerate(ends)
    )
    return Domain(axes), total, nodes, edges


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
