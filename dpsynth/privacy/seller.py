"""The door to what a schema does not state: categories and counts of intervals, each for a price.

A :class:`Seller` is to raw columns what a :class:`~dpsynth.privacy.curator.Curator` is to codes, and shares
its ledger: what is spent here is gone there. Its two methods do in one call what the curator's do: check the
request, check the budget, write the entry, count, draw the noise, return the noisy answer.

Requests are public: they may depend on earlier noisy answers but on nothing else.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn, SupportsIndex, cast

import numpy as np

from dpsynth.errors import GuaranteeError, SealedError
from dpsynth.privacy import noise
from dpsynth.privacy.acts import (
    DiscreteLaplace,
    Noise,
    Thresholded,
    ThresholdedDiscreteGaussian,
    ThresholdedGaussian,
    noise_for,
    sigma_for,
    threshold_for,
)
from dpsynth.privacy.guarantee import Backend, calculus_of
from dpsynth.privacy.ledger import Ledger
from dpsynth.privacy.marginal import Integers
from dpsynth.privacy.raw import NEITHER, NULL, Points, RawTable, Texts, open_columns
from dpsynth.privacy.sensitivity import of_counts
from dpsynth.privacy.tracebacks import no_counts_in_tracebacks

__all__ = ["MOST_CELLS", "Discovered", "Histogram", "Seller"]

MOST_CELLS = 2**20  # of one histogram
_FURTHEST = 2**62


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Discovered:
    """Categories that were found, with noisy counts. Public.

    Attributes:
        labels: Those whose noisy count is above the threshold: from most to fewest, then by text.
        counts: Their noisy counts, int64.
        nulls: Noisy number of missing values; can be negative.
        sigma: Standard deviation of the noise in each number, in rows.
        threshold: What a noisy count had to exceed.
        entry: Number of the ledger entry that paid for it.
    """

    labels: tuple[str, ...]
    counts: Integers
    nulls: int
    sigma: float
    threshold: int
    entry: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Histogram:
    """Noisy counts of intervals. Public.

    Attributes:
        edges: First point of each interval, and the first beyond the last.
        counts: Noisy count of each interval, int64; can be negative.
        nulls: Noisy number of missing values.
        elsewhere: Noisy number of rows that are neither missing nor in an interval.
        sigma: Standard deviation of the noise in each number, in rows.
        entry: Number of the ledger entry that paid for it.
    """

    edges: tuple[int, ...]
    counts: Integers
    nulls: int
    elsewhere: int
    sigma: float
    entry: int


class Seller:
    """The only object that reads columns whose domain is not known.

    Args:
        table: The sealed columns.
        ledger: What may be spent; shared with the curator that comes after.
        backend: Where the noise comes from: the curator's. By default that of the ledger's calculus.

    Raises:
        ValueError: the table has more rows a unit than the guarantee covers, or the backend is accounted in
            another calculus than the ledger.
    """

    __slots__ = ("__columns", "__exact", "__ledger", "__table")

    def __init__(self, table: RawTable, ledger: Ledger, *, backend: Backend | None = None) -> None:
        if table.rows_per_unit > ledger.guarantee.rows_per_unit:
            raise ValueError(
                f"the table holds up to {table.rows_per_unit} rows a unit, the guarantee covers "
                f"{ledger.guarantee.rows_per_unit}"
            )
        source: Backend = backend or ("opendp" if ledger.calculus == "zcdp" else "exact")
        if calculus_of(source, ledger.guarantee.delta) != ledger.calculus:
            raise ValueError(f"backend={backend!r} is not accounted in the ledger's {ledger.calculus}")
        self.__exact = source == "exact"
        self.__table = table
        self.__columns = open_columns(table)
        self.__ledger = ledger

    def __repr__(self) -> str:
        return f"Seller(columns={len(self.__table.names)}, {self.__ledger!r})"

    def _refuse(self, *_: object) -> NoReturn:
        raise SealedError("a Seller holds private rows and is not saved or copied")

    __reduce__ = __copy__ = __deepcopy__ = __getstate__ = _refuse

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        self._refuse()

    @property
    def ledger(self) -> Ledger:
        """What may be spent, and what was."""
        return self.__ledger

    def discover(self, column: str, *, budget: Fraction, delta: Fraction, purpose: str) -> Discovered:
        """Return the categories whose noisy count exceeds a threshold, with these counts.

        Only categories that occur can be found. One unit changes counts by at most ``k = rows_per_unit`` in
        all (``sigma = k / sqrt(budget)``), or, replaced, by ``k`` less and ``k`` more; a category that only
        one unit has passes the threshold with a probability of at most ``delta``, however the unit spreads
        its rows over such categories.

        Args:
            column: Name of a labelled column.
            budget: What to spend, in the ledger's calculus; positive.
            delta: What to spend of delta; positive.
            purpose: For the ledger.

        Raises:
            BudgetRefusedError: ``budget`` or ``delta`` exceeds what is left; nothing was counted or drawn.
            GuaranteeError: one of them is not positive or far too small, or the guarantee has no delta.
            ValueError: there is no such labelled column.

        Privacy: spends one thresholded Gaussian act of price at most ``budget`` and a delta of at most
        ``delta``. Proof: proofs/discover.md
        """
        if self.__table.kind(column) is not Texts:
            raise ValueError(f"column {column!r} is of numbers or times: count intervals instead")
        budget = self.__ledger.affordable(budget, purpose)
        promise, calculus = self.__ledger.guarantee, self.__ledger.calculus
        if calculus == "pure":
            raise GuaranteeError(
                f"categories of {column!r} are bought with a delta, and delta is 0: state them in the schema"
            )
        squared, rows = of_counts(promise).l2_squared, promise.rows_per_unit
        sigma = sigma_for(budget, squared, calculus)
        make = ThresholdedGaussian if calculus == "gdp" else ThresholdedDiscreteGaussian
        threshold = threshold_for(make, sigma, rows, delta)
        act = make(sigma=sigma, sensitivity_squared=squared, rows=rows, threshold=threshold)
        entry = self.__ledger.charge(act, purpose, (column,), 1)
        with no_counts_in_tracebacks():
            labels, counts, nulls = self.__found(column, act)
        return Discovered(
            labels=labels, counts=counts, nulls=nulls, sigma=sigma, threshold=threshold, entry=entry.number
        )

    def count(self, column: str, edges: Sequence[int], *, budget: Fraction, purpose: str) -> Histogram:
        """Return noisy counts of the intervals between public edges, of missing values, and of the rest.

        ``counts_i = #{rows with edges_i <= point < edges_(i+1)} + noise``. A row is in one interval, is
        missing, or is elsewhere; so one unit changes at most ``k = rows_per_unit`` numbers by one each, and
        one in the place of another at most ``2 k``.

        Args:
            column: Name of a column of numbers or times; a labelled one may be counted without any edge.
            edges: Whole numbers within ``-2**62 .. 2**62 + 1``, increasing; none, or two to ``2**20``.
            budget: What to spend, in the ledger's calculus; positive.
            purpose: For the ledger.

        Raises:
            BudgetRefusedError: ``budget`` exceeds what is left; nothing was counted or drawn.
            GuaranteeError: ``budget`` is not positive or far too small.
            ValueError: there is no such column, or the edges are not as above.

        Privacy: spends one Gaussian (in pure: discrete Laplace) act of price at most ``budget``.
            Proof: proofs/count.md
        """
        request = _admitted(edges)
        if self.__table.kind(column) is Texts and request:
            raise ValueError(f"column {column!r} has labels and no intervals")
        budget = self.__ledger.affordable(budget, purpose)
        act = noise_for(budget, of_counts(self.__ledger.guarantee), self.__ledger.calculus)
        cells = max(len(request) - 1, 0) + 2
        entry = self.__ledger.charge(act, purpose, (column,), cells)
        with no_counts_in_tracebacks():
            counts = self.__noisy_intervals(column, request, act)
        nulls, elsewhere, *_ = counts.tolist()
        return Histogram(
            edges=request,
            counts=counts[2:],
            nulls=nulls,
            elsewhere=elsewhere,
            sigma=act.sigma,
            entry=entry.number,
        )

    def _perturb(
        self,
        exact: Integers,
        act: Noise | Thresholded,
        labels: Sequence[str] | None = None,  # noqa: ARG002  -- for those who compare neighbours' cells
    ) -> Integers:
        """Return exact numbers plus noise, one draw a number. All noise is added here.

        Args:
            exact: One number a cell.
            act: What is done.
            labels: Of the cells but the last, where the rows decide which cells there are. Private.
        """
        return exact + self._draw(exact.size, act)

    def _draw(self, size: int, act: Noise | Thresholded) -> Integers:
        if isinstance(act, DiscreteLaplace):
            return (noise.discrete_laplace if self.__exact else noise.opendp_laplace)(size, act.scale)
        return (noise.rounded_gaussian if self.__exact else noise.discrete_gaussian)(size, act.sigma)

    def __found(self, name: str, act: Thresholded) -> tuple[tuple[str, ...], Integers, int]:
        column = cast("Texts", self.__columns[name])
        counts = np.bincount(column.index - NEITHER, minlength=len(column.labels) - NEITHER)[-NEITHER:]
        occurs = np.flatnonzero(counts)
        nulls = np.count_nonzero(column.index == NULL)
        exact = np.append(counts[occurs], nulls).astype(np.int64)
        noisy = self._perturb(exact, act, tuple(column.labels[i] for i in occurs))
        passed = [
            (int(n), column.labels[i]) for i, n in zip(occurs, noisy[:-1], strict=True) if n > act.threshold
        ]
        passed.sort(key=lambda pair: (-pair[0], pair[1]))
        found = np.array([n for n, _ in passed], dtype=np.int64)
        return tuple(label for _, label in passed), found, int(noisy[-1])

    def __noisy_intervals(self, name: str, edges: tuple[int, ...], act: Noise) -> Integers:
        column = self.__columns[name]
        if isinstance(column, Points):
            null, rows = column.null, column.null.size
            points = column.points[~(column.null | column.garbled)]
        else:
            null, rows = column.index == NULL, column.index.size
            points = np.zeros(0, dtype=np.int64)
        counts = np.zeros(max(len(edges) - 1, 0) + 2, dtype=np.int64)
        if edges:
            place = np.searchsorted(np.array(edges, dtype=np.int64), points, side="right")
            counts[2:] = np.bincount(place, minlength=len(edges) + 1)[1:-1]
        counts[0] = np.count_nonzero(null)
        counts[1] = rows - counts.sum()
        return self._perturb(counts, act)


def _admitted(edges: Sequence[int]) -> tuple[int, ...]:
    """Return the edges as values of our own, checked."""
    if not all(type(edge) is int for edge in edges):
        raise ValueError("edges are whole numbers")
    own = tuple(edges)
    if len(own) == 1 or len(own) > MOST_CELLS:
        raise ValueError(f"there are no edges, or two to {MOST_CELLS}")
    if any(a >= b for a, b in itertools.pairwise(own)):
        raise ValueError("edges increase")
    if own and not (own[0] >= -_FURTHEST and own[-1] <= _FURTHEST + 1):
        raise ValueError("edges lie within -2**62 .. 2**62 + 1")
    return own
