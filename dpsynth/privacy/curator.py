"""The one door between exact counts and everything else.

Each method does, in one call and in this order: check the request, check the budget, write the ledger
entry, count, draw the noise, return the noisy answer. A refused request changes nothing. What a mechanism
gets back is already private, so a mechanism that only talks to a :class:`Curator` cannot leak.

Requests are public: a query, its grouping and its reference may depend on earlier noisy answers (the
composition is fully adaptive) but on nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.errors import BudgetRefusedError, SealedError
from dpsynth.privacy import noise
from dpsynth.privacy.acts import (
    Act,
    DiscreteGaussian,
    ExponentialMechanism,
    RoundedGaussian,
    epsilon_for,
    price,
    sigma_for,
)
from dpsynth.privacy.guarantee import Calculus, Guarantee
from dpsynth.privacy.sealed import CodedTable, open_codes

__all__ = ["Backend", "Curator", "Entry", "Marginal", "Measurement"]

Backend: TypeAlias = Literal["exact", "opendp"]
Integers: TypeAlias = npt.NDArray[np.int64]

_LARGEST_TABLE = 2**28  # cells of one counted table: 2 GiB of int64


@dataclass(frozen=True, slots=True, eq=False)
class Marginal:
    """A contingency table over some columns, each grouped.

    Attributes:
        columns: Positions of the columns in the domain, all different.
        groups: Per column, an integer array of length ``size``: the group, from 0, of each code. Public.

    Raises:
        ValueError: no column, a repeated column, or groupings that do not match the columns.
    """

    columns: tuple[int, ...]
    groups: tuple[npt.NDArray[np.int64], ...]

    def __post_init__(self) -> None:
        if not self.columns or len(set(self.columns)) != len(self.columns):
            raise ValueError("a marginal needs at least one column and none twice")
        if len(self.groups) != len(self.columns):
            raise ValueError("a marginal needs one grouping a column")
        if any(g.ndim != 1 or g.size == 0 or g.min() < 0 for g in self.groups):
            raise ValueError("a grouping is a non-empty vector of groups counted from 0")

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of groups of each column."""
        return tuple(int(g.max()) + 1 for g in self.groups)

    @property
    def cells(self) -> int:
        """Number of cells of the table."""
        return int(np.prod([float(s) for s in self.shape]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the ledger.

    Attributes:
        number: Position in the ledger, from 1.
        purpose: What the act was for, such as ``"one-way marginals"``.
        act: What was done.
        price: Its cost in the ledger's calculus, a multiple of ``2**-100``.
        columns: Names of the columns it touched.
        cells: Number of noisy integers it returned (1 for a choice).
    """

    number: int
    purpose: str
    act: Act
    price: Fraction
    columns: tuple[str, ...]
    cells: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement:
    """A noisy marginal. Public.

    Attributes:
        query: What was counted.
        values: Noisy counts, int64, of shape ``query.shape``; cells can be negative.
        sigma: Standard deviation of the noise in each cell, in rows.
        entry: Number of the ledger entry that paid for it.
    """

    query: Marginal
    values: Integers
    sigma: float
    entry: int


class Curator:
    """The only object that reads exact counts.

    Args:
        table: The sealed rows.
        guarantee: What may be spent. Its ``rows_per_unit`` must be the table's.
        backend: ``"exact"``: rounded Gaussian noise, accounted in GDP. ``"opendp"``: OpenDP's discrete
            Gaussian, accounted in zCDP, which affords 8 to 22 % less at the same (epsilon, delta).

    Raises:
        ValueError: the guarantee's rows per unit are not those the table was bounded to, or the backend
            is unknown.
    """

    __slots__ = (
        "__codes",
        "_entries",
        "_lock",
        "_spent",
        "backend",
        "budget",
        "calculus",
        "domain",
        "guarantee",
    )

    def __init__(self, table: CodedTable, guarantee: Guarantee, *, backend: Backend = "exact") -> None:
        if table.rows_per_unit > guarantee.rows_per_unit:
            raise ValueError(
                f"the table holds up to {table.rows_per_unit} rows a unit, the guarantee covers "
                f"{guarantee.rows_per_unit}"
            )
        if backend not in ("exact", "opendp"):
            raise ValueError(f"backend={backend!r} is neither 'exact' nor 'opendp'")
        self.backend: Backend = backend
        self.calculus: Calculus = "gdp" if backend == "exact" else "zcdp"
        self.guarantee = guarantee
        self.budget = Fraction(guarantee.budget(self.calculus))
        self.domain: Domain = table.domain
        self.__codes = open_codes(table)
        self._entries: list[Entry] = []
        self._spent = Fraction(0)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Curator({self.calculus}, spent={float(self.spent):.6g} of {float(self.budget):.6g})"

    def __reduce__(self) -> str:
        raise SealedError("a Curator holds private rows and is not saved or copied; save the Release instead")

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The ledger so far."""
        return tuple(self._entries)

    @property
    def spent(self) -> Fraction:
        """Sum of the prices of all entries (``mu**2`` in gdp, ``rho`` in zcdp)."""
        return self._spent

    @property
    def left(self) -> Fraction:
        """What may still be spent."""
        return self.budget - self._spent

    def measure(self, query: Marginal, *, budget: Fraction, purpose: str) -> Measurement:
        """Return a noisy marginal: ``counts + noise``, with the least noise that ``budget`` affords.

        Adding or removing one unit changes at most ``k = rows_per_unit`` counts by one each, all of them
        perhaps in one cell, so the L2 sensitivity is ``k`` and ``sigma = k / sqrt(budget)``, rounded up.

        Args:
            query: The marginal.
            budget: What to spend, in the curator's calculus; positive.
            purpose: For the ledger.

        Raises:
            BudgetRefusedError: ``budget`` exceeds what is left; nothing was counted or drawn.
            GuaranteeError: ``budget`` is not positive or far too small.
            ValueError: the query does not fit the domain.

        Privacy: spends one Gaussian act of price at most ``budget``. Proof: proofs/measure.md
        """
        self._check_query(query)
        sensitivity_squared = self.guarantee.rows_per_unit**2
        sigma = sigma_for(budget, sensitivity_squared, self.calculus)
        entry = self._charge(self._gaussian(sigma, sensitivity_squared), purpose, query.columns, query.cells)
        counts = self.__count(query)
        values = (counts.ravel() + self._draw(counts.size, sigma)).reshape(counts.shape)
        return Measurement(query=query, values=values, sigma=sigma, entry=entry.number)

    def score(
        self,
        queries: Sequence[Marginal],
        reference: Callable[[Marginal], Integers],
        *,
        budget: Fraction,
        purpose: str,
    ) -> tuple[Integers, float]:
        """Return, for each query, a noisy L1 distance between the true marginal and a public reference.

        ``score_i = sum |counts_i - reference_i| + noise``. One unit changes each of the ``m`` distances by
        at most ``k = rows_per_unit`` (the reference is integer and does not move), so the L2 sensitivity of
        the vector is ``k * sqrt(m)``.

        Args:
            queries: ``m`` marginals, at least one.
            reference: Public function of a query: an integer table of the query's shape.
            budget: What to spend on all the scores together; positive.
            purpose: For the ledger.

        Returns:
            int64 scores of shape ``(m,)``, and the standard deviation of the noise in each, in rows.

        Raises:
            BudgetRefusedError, GuaranteeError: as :meth:`measure`.
            ValueError: no query, a query that does not fit, or a reference of the wrong shape or not integer.

        Privacy: spends one Gaussian act of price at most ``budget``. Proof: proofs/score.md
        """
        sensitivity_squared = self._check_scoring(queries) * self.guarantee.rows_per_unit**2
        sigma = sigma_for(budget, sensitivity_squared, self.calculus)
        columns = sorted({c for q in queries for c in q.columns})
        self._charge(self._gaussian(sigma, sensitivity_squared), purpose, columns, len(queries))
        distances = np.array([self.__distance(q, reference) for q in queries], dtype=np.int64)
        return distances + self._draw(distances.size, sigma), sigma

    def select(
        self,
        queries: Sequence[Marginal],
        reference: Callable[[Marginal], Integers],
        *,
        budget: Fraction,
        purpose: str,
        handicap: Sequence[int] | None = None,
    ) -> int:
        """Return the index of a query whose true marginal is far from a public reference.

        The exponential mechanism over ``q_i = sum |counts_i - reference_i| - handicap_i``. One unit changes
        any score by at most ``k = rows_per_unit``; scores can rise and fall, hence the factor 2 in
        ``exp(epsilon * q_i / (2 k))``.

        Args:
            queries: Candidates, at least one.
            reference: Public function of a query: an integer table of the query's shape.
            budget: What to spend; positive.
            purpose: For the ledger.
            handicap: A public integer for each candidate, subtracted from its score; zeros by default.

        Returns:
            The index of the chosen candidate.

        Raises:
            BudgetRefusedError, GuaranteeError, ValueError: as :meth:`score`.

        Privacy: spends one exponential mechanism of price at most ``budget``. Proof: proofs/select.md
        """
        self._check_scoring(queries)
        if handicap is not None and len(handicap) != len(queries):
            raise ValueError(f"{len(handicap)} handicaps for {len(queries)} candidates")
        penalties = [0] * len(queries) if handicap is None else [int(h) for h in handicap]
        k = self.guarantee.rows_per_unit
        epsilon = epsilon_for(budget, self.calculus)
        columns = sorted({c for q in queries for c in q.columns})
        act = ExponentialMechanism(epsilon=epsilon, sensitivity=k, candidates=len(queries))
        self._charge(act, purpose, columns, 1)
        scores = [self.__distance(q, reference) - h for q, h in zip(queries, penalties, strict=True)]
        return noise.exponential_choice(scores, epsilon, k)

    def _gaussian(self, sigma: float, sensitivity_squared: int) -> Act:
        make = RoundedGaussian if self.backend == "exact" else DiscreteGaussian
        return make(sigma=sigma, sensitivity_squared=sensitivity_squared)

    def _draw(self, size: int, sigma: float) -> Integers:
        sampler = noise.rounded_gaussian if self.backend == "exact" else noise.discrete_gaussian
        return sampler(size, sigma)

    def _charge(self, act: Act, purpose: str, columns: Sequence[int], cells: int) -> Entry:
        """Check the budget and write the entry, in one step that no other thread can come between."""
        cost = price(act, self.calculus)
        with self._lock:
            if cost > self.left:
                unit = "mu^2" if self.calculus == "gdp" else "rho"
                raise BudgetRefusedError(
                    f"{purpose} asks {unit} = {float(cost):.6g}; {float(self.left):.6g} is left of "
                    f"{float(self.budget):.6g} ({self.guarantee}). Nothing was drawn. "
                    "Lower this act's share, or start a fit with a larger epsilon"
                )
            names = tuple(self.domain.names[c] for c in columns)
            entry = Entry(
                number=len(self._entries) + 1,
                purpose=purpose,
                act=act,
                price=cost,
                columns=names,
                cells=cells,
            )
            self._entries.append(entry)
            self._spent += cost
        return entry

    def _check_query(self, query: Marginal) -> None:
        for column, groups in zip(query.columns, query.groups, strict=True):
            if not 0 <= column < len(self.domain):
                raise ValueError(f"column {column} is outside the domain's {len(self.domain)} columns")
            if groups.size != self.domain.axes[column].size:
                raise ValueError(f"the grouping of {self.domain.names[column]!r} has not one group a code")
        if query.cells > _LARGEST_TABLE:
            raise ValueError(f"a marginal of {query.cells} cells is above the limit of {_LARGEST_TABLE}")

    def _check_scoring(self, queries: Sequence[Marginal]) -> int:
        if not queries:
            raise ValueError("there is nothing to score: no query was given")
        for query in queries:
            self._check_query(query)
        return len(queries)

    def __count(self, query: Marginal) -> Integers:
        """Return the exact marginal, int64 of shape ``query.shape``."""
        shape = query.shape
        key = np.zeros(self.__codes[0].size, dtype=np.int64)
        for column, groups, size in zip(query.columns, query.groups, shape, strict=True):
            key *= size
            key += groups[self.__codes[column]]
        return np.bincount(key, minlength=query.cells).reshape(shape)

    def __distance(self, query: Marginal, reference: Callable[[Marginal], Integers]) -> int:
        expected = np.asarray(reference(query))
        if expected.shape != query.shape or not np.issubdtype(expected.dtype, np.integer):
            raise ValueError(f"a reference must be an integer table of shape {query.shape}")
        return int(np.abs(self.__count(query) - expected).sum())
