"""What the user wants to be right: marginals, and how much each of them matters.

Reference: McKenna et al. 2022 (arXiv:2201.12677), section 2 (workloads) and section 4.1 (weights over the
downward closure).
"""

from __future__ import annotations

import difflib
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.errors import InputError

__all__ = ["ColumnSet", "Workload", "column_weights", "downward_closure"]

ColumnSet: TypeAlias = tuple[int, ...]
"""Positions of columns, increasing."""

_MOST_SETS = 500_000
_MOST_WAYS = 8
_FORMS = "all-K-way, target:COLUMN, or a YAML file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Marginals of a table, each with a weight; by name, so that it can be stated before there is a schema.

    Either ``ways`` is given, for all marginals of that many columns (with ``target``, those of them that
    hold this column), or ``marginals`` are named one by one.

    Attributes:
        ways: Number of columns of each marginal, 1 to 8; all columns where there are fewer.
        target: A column that every marginal holds.
        marginals: Column names and weight of each named marginal.
        largest: Most cells of a marginal at full resolution. Larger ones of ``ways`` are left out; a larger
            named one is an error.

    Raises:
        InputError: neither or both of ``ways`` and ``marginals``, a number out of range, a column repeated
            within a marginal, a marginal named twice, or a weight that is not positive and finite.

    Example:
        >>> Workload.parse("all-3-way").ways
        3
    """

    ways: int | None = None
    target: str | None = None
    marginals: tuple[tuple[tuple[str, ...], float], ...] = ()
    largest: int | None = None

    def __post_init__(self) -> None:
        if (self.ways is None) == (not self.marginals):
            raise InputError("a workload has either `ways` or a list of `marginals`")
        if self.ways is not None and not (type(self.ways) is int and 1 <= self.ways <= _MOST_WAYS):
            raise InputError(f"a workload's ways={self.ways!r} is not a whole number from 1 to {_MOST_WAYS}")
        if self.target is not None and self.ways is None:
            raise InputError("a workload's target goes with `ways`; a named marginal names all its columns")
        if self.largest is not None and not (type(self.largest) is int and self.largest >= 1):
            raise InputError(f"a workload's largest={self.largest!r} is not a whole number of at least 1")
        named: set[frozenset[str]] = set()
        for columns, weight in self.marginals:
            listed = ", ".join(map(str, columns))
            if not columns or not all(isinstance(c, str) for c in columns):
                raise InputError(f"a workload's marginal ({listed}) needs one or more column names")
            if len(set(columns)) != len(columns):
                raise InputError(f"a workload's marginal ({listed}) repeats a column")
            if frozenset(columns) in named:
                raise InputError(f"a workload names the marginal ({listed}) twice; add up its weights")
            if not (type(weight) in (int, float) and 0 < weight < math.inf):
                raise InputError(
                    f"a workload's marginal ({listed}) has the weight {weight!r}; it must be positive, finite"
                )
            named.add(frozenset(columns))

    @classmethod
    def of(
        cls,
        marginals: Mapping[Sequence[str], float] | Iterable[Sequence[str]],
        *,
        largest: int | None = None,
    ) -> Self:
        """Return a workload of named marginals.

        Args:
            marginals: Column names of each, with weights if it is a mapping; else all weigh 1.
            largest: As the attribute.

        Raises:
            InputError: as the class says.
        """
        pairs = marginals.items() if isinstance(marginals, Mapping) else ((m, 1.0) for m in marginals)
        return cls(marginals=tuple((_names(columns), weight) for columns, weight in pairs), largest=largest)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a workload as the command line has it.

        Args:
            text: ``all-3-way`` (any number), ``target:COLUMN`` (all 3-way marginals that hold the column), or
                the path of a YAML file with ``ways``, ``target``, ``largest``, and ``marginals``: a list of
                lists of names, or of ``{columns: [...], weight: W}``.

        Raises:
            InputError: it is none of these; for a file, SchemaError with the line.
        """
        if found := re.fullmatch(r"all-([0-9]+)-way", text):
            return cls(ways=int(found[1]))
        if text.startswith("target:"):
            return cls(ways=3, target=text.removeprefix("target:"))
        if text.endswith((".yaml", ".yml")):
            return cls._read(text)
        raise InputError(f"--workload {text!r} is none of: {_FORMS}")

    @classmethod
    def _read(cls, path: str) -> Self:
        from dpsynth.schema.document import parse, read_text  # noqa: PLC0415  -- lazy: most workloads are no file

        if not Path(path).is_file():
            raise InputError(f"--workload {path}: there is no such file; a workload is {_FORMS}")
        content = dict(parse(read_text(path), path).content)
        unknown = sorted(set(content) - {"ways", "target", "largest", "marginals"})
        if unknown:
            raise InputError(
                f"{path}: unknown key {unknown[0]!r}; a workload has ways, target, largest, marginals"
            )
        listed = content.pop("marginals", [])
        if not isinstance(listed, list):
            raise InputError(f"{path}: marginals is not a list")
        return cls(marginals=tuple(_entry(item, path) for item in listed), **content)

    def resolve(self, domain: Domain) -> dict[ColumnSet, float]:
        """Return the weight of each set of columns, the sets in increasing order.

        Raises:
            InputError: a column the domain has not, a named marginal above ``largest``, none below it,
                or more than 500,000 marginals.
        """
        if self.marginals:
            named = {self._place(columns, domain): float(weight) for columns, weight in self.marginals}
            return dict(sorted(named.items()))
        ways = min(self.ways or 1, len(domain))
        held = () if self.target is None else (self._position(self.target, domain),)
        others = [c for c in range(len(domain)) if c not in held]
        count = math.comb(len(others), ways - len(held))
        if count > _MOST_SETS:
            raise InputError(
                f"the workload has {count:,} marginals; {_MOST_SETS:,} is the limit: "
                "lower `ways` or name a target"
            )
        sets = (tuple(sorted((*held, *rest))) for rest in itertools.combinations(others, ways - len(held)))
        kept = {s: 1.0 for s in sets if self.largest is None or domain.cells(s) <= self.largest}
        if not kept:
            raise InputError(f"every marginal of the workload has more than largest={self.largest} cells")
        return dict(sorted(kept.items()))

    def _place(self, columns: tuple[str, ...], domain: Domain) -> ColumnSet:
        place = tuple(sorted(self._position(name, domain) for name in columns))
        if self.largest is not None and domain.cells(place) > self.largest:
            raise InputError(
                f"the workload's marginal ({', '.join(columns)}) has {domain.cells(place):,} cells, above "
                f"largest={self.largest}; drop a column or raise largest"
            )
        return place

    @staticmethod
    def _position(name: str, domain: Domain) -> int:
        if name not in domain.names:
            near = difflib.get_close_matches(name, domain.names, 1)
            hint = f"did you mean {near[0]!r}?" if near else "the schema lists what there is"
            raise InputError(f"the workload names {name!r}, which is no learned column; {hint}")
        return domain.index(name)


def column_weights(domain: Domain, workload: Mapping[ColumnSet, float]) -> npt.NDArray[np.float64]:
    """Return ``W_a``, the sum of the weights of the marginals that hold column ``a``.

    The weight of a candidate ``r`` is ``w_r = sum_s c_s |r & s| = sum_(a in r) W_a``: one addition a column,
    however many marginals there are.

    Returns:
        Float array of shape ``(columns,)``.
    """
    totals = np.zeros(len(domain))
    for columns, weight in workload.items():
        totals[list(columns)] += weight
    return totals


def downward_closure(workload: Iterable[ColumnSet], *, most: int | None = None) -> tuple[ColumnSet, ...]:
    """Return every non-empty subset of a set of the workload, by number of columns and then in order.

    Args:
        workload: Sets of columns.
        most: Largest number of columns of a subset; any if not given.
    """
    found: set[ColumnSet] = set()
    for columns in workload:
        for size in range(1, min(len(columns), most or len(columns)) + 1):
            found.update(itertools.combinations(columns, size))
    return tuple(sorted(found, key=lambda s: (len(s), s)))


def _names(columns: Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _entry(item: Any, path: str) -> tuple[tuple[str, ...], float]:
    weight: object = 1
    if isinstance(item, Mapping):
        if not {"columns"} <= set(item) <= {"columns", "weight"}:
            raise InputError(f"{path}: a marginal is a list of columns, or {{columns: [...], weight: W}}")
        weight, item = item.get("weight", 1), item["columns"]
    if not isinstance(item, list):
        raise InputError(f"{path}: a marginal is a list of columns, or {{columns: [...], weight: W}}")
    return tuple(item), float(weight) if isinstance(weight, (int, Decimal)) else weight  # type: ignore[return-value]
