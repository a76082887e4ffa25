"""The one door between exact counts and everything else.

Each method does, in one call and in this order: check the request (a public reference is computed and
checked here too), check the budget, write the ledger entry, count, draw the noise, return the noisy answer.
A refused request changes nothing; what fails after the entry is written stays spent, and the error carries
no frame that holds a count. What a mechanism
gets back is already private, so a mechanism that only talks to a :class:`Curator` cannot leak.

Requests are public: a query, its grouping and its reference may depend on earlier noisy answers (the
composition is fully adaptive) but on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn, SupportsIndex, get_args

import numpy as np

from dpsynth.domain import Domain
from dpsynth.errors import SealedError
from dpsynth.privacy import noise
from dpsynth.privacy.acts import Act, DiscreteLaplace, ExponentialMechanism, Noise, epsilon_for, noise_for
from dpsynth.privacy.counting import Remembered, count_tables
from dpsynth.privacy.guarantee import Backend, Calculus, Guarantee, calculus_of
from dpsynth.privacy.ledger import Entry, Ledger
from dpsynth.privacy.marginal import LARGEST_TABLE, Integers, Marginal, public_table, whole_numbers
from dpsynth.privacy.sealed import CodedTable, open_codes
from dpsynth.privacy.sensitivity import of_a_distance, of_counts, of_distances
from dpsynth.privacy.tracebacks import no_counts_in_tracebacks

__all__ = ["LARGEST_WEIGHT", "Backend", "Curator", "Entry", "Marginal", "Measurement", "calculus_of"]

LARGEST_WEIGHT = 2**32  # of a candidate's score


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
        guarantee: What may be spent. Its ``rows_per_unit`` must be at least the table's.
        backend: ``"exact"``: rounded Gaussian noise, accounted in GDP. ``"opendp"``: OpenDP's discrete
            Gaussian, accounted in zCDP, which affords 8 to 22 % less at the same (epsilon, delta). Where the
            guarantee's delta is 0, either source's discrete Laplace, accounted in epsilon.
        delta_aside: The part of delta that acts may spend beside their prices; the budget is what the rest
            affords.
        ledger: One to go on with, of the same guarantee and calculus, from which some was spent before (to
            buy the domain); ``delta_aside`` is then the ledger's.

    Raises:
        ValueError: the table has more rows a unit than the guarantee covers, the backend is unknown, or the
            ledger is for another guarantee or calculus.
        GuaranteeError: ``delta_aside`` is not below the guarantee's delta.
    """

    __slots__ = ("__backend", "__codes", "__domain", "__known", "__ledger")

    def __init__(
        self,
        table: CodedTable,
        guarantee: Guarantee,
        *,
        backend: Backend = "exact",
        delta_aside: Fraction = Fraction(0),
        ledger: Ledger | None = None,
    ) -> None:
        if table.rows_per_unit > guarantee.rows_per_unit:
            raise ValueError(
                f"the table holds up to {table.rows_per_unit} rows a unit, the guarantee covers "
                f"{guarantee.rows_per_unit}"
            )
        if backend not in get_args(Backend):
            raise ValueError(f"backend={backend!r} is neither 'exact' nor 'opendp'")
        self.__backend: Backend = backend
        calculus = calculus_of(backend, guarantee.delta)
        if ledger is not None and (ledger.guarantee, ledger.calculus) != (guarantee, calculus):
            raise ValueError("the ledger to go on with is for another guarantee or calculus")
        self.__ledger = Ledger(guarantee, calculus, delta_aside) if ledger is None else ledger
        self.__domain: Domain = table.domain
        self.__codes = open_codes(table)
        self.__known = Remembered()

    def __repr__(self) -> str:
        return f"Curator({self.calculus}, spent={float(self.spent):.6g} of {float(self.budget):.6g})"

    def _refuse(self, *_: object) -> NoReturn:
        raise SealedError("a Curator holds private rows and is not saved or copied; save the Release instead")

    __reduce__ = __copy__ = __deepcopy__ = __getstate__ = _refuse

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        self._refuse()

    @property
    def backend(self) -> Backend:
        """Where the noise comes from."""
        return self.__backend

    @property
    def calculus(self) -> Calculus:
        """The currency of the ledger."""
        return self.__ledger.calculus

    @property
    def guarantee(self) -> Guarantee:
        """What is promised in all."""
        return self.__ledger.guarantee

    @property
    def domain(self) -> Domain:
        """The axes of the table; public."""
        return self.__domain

    @property
    def budget(self) -> Fraction:
        """What may be spent in all (``mu**2`` in gdp, ``rho`` in zcdp, epsilon in pure)."""
        return self.__ledger.budget

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The ledger so far."""
        return self.__ledger.entries

    @property
    def spent(self) -> Fraction:
        """Sum of the prices of all entries (``mu**2`` in gdp, ``rho`` in zcdp, epsilon in pure)."""
        return self.__ledger.spent

    @property
    def left(self) -> Fraction:
        """What may still be spent."""
        return self.__ledger.left

    @property
    def delta_aside(self) -> Fraction:
        """What may be spent of delta beside the prices."""
        return self.__ledger.delta_aside

    def close(self) -> tuple[Entry, ...]:
        """Refuse every further act, for good, and return the whole ledger: what is left is never drawn."""
        return self.__ledger.close()

    def measure(self, query: Marginal, *, budget: Fraction, purpose: str) -> Measurement:
        """Return a noisy marginal: ``counts + noise``, with the least noise that ``budget`` affords.

        Adding or removing one unit changes at most ``k = rows_per_unit`` counts by one each, all of them
        perhaps in one cell: the L1 and L2 sensitivities are ``k``, and in gdp ``sigma = k / sqrt(budget)``,
        rounded up. Replacing one moves up to ``2 k`` in L1 and ``k sqrt(2)`` in L2.

        Args:
            query: The marginal.
            budget: What to spend, in the curator's calculus; positive.
            purpose: For the ledger.

        Raises:
            BudgetRefusedError: ``budget`` exceeds what is left; nothing was counted or drawn.
            GuaranteeError: ``budget`` is not positive or far too small.
            ValueError: the query does not fit the domain.

        Privacy: spends one Gaussian (in pure: discrete Laplace) act of price at most ``budget``.
            Proof: proofs/measure.md
        """
        request = self._admit(query)
        budget = self.__ledger.affordable(budget, purpose)
        act = noise_for(budget, of_counts(self.guarantee), self.calculus)
        entry = self._charge(act, purpose, request.columns, request.cells)
        with no_counts_in_tracebacks():
            values = self.__noisy_counts(request, act)
        return Measurement(query=query, values=values, sigma=act.sigma, entry=entry.number)

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
        at most ``k = rows_per_unit`` (the reference is integer and does not move), or by ``2 k`` if it is
        replaced: the sensitivity of the vector is ``k * sqrt(m)`` in L2 and ``k * m`` in L1, or twice that.

        Args:
            queries: ``m`` marginals, at least one.
            reference: Public function of a query: an integer table of the query's shape.
            budget: What to spend on all the scores together; positive.
            purpose: For the ledger.

        Returns:
            int64 scores of shape ``(m,)``, and the standard deviation of the noise in each, in rows.

        Raises:
            BudgetRefusedError, GuaranteeError: as :meth:`measure`.
            ValueError: no query, a query that does not fit, or a reference that is of the wrong shape, not
                integer, or above ``2**60`` in total.

        Privacy: spends one Gaussian (in pure: discrete Laplace) act of price at most ``budget``.
            Proof: proofs/score.md
        """
        requests = self._admit_all(queries)
        budget = self.__ledger.affordable(budget, purpose)
        act = noise_for(budget, of_distances(self.guarantee, len(requests)), self.calculus)
        expected = [public_table(r, reference(q)) for r, q in zip(requests, queries, strict=True)]
        self._charge(act, purpose, _touched(requests), len(requests))
        with no_counts_in_tracebacks():
            return self.__noisy_distances(requests, expected, act), act.sigma

    def select(
        self,
        queries: Sequence[Marginal],
        reference: Callable[[Marginal], Integers],
        *,
        budget: Fraction,
        purpose: str,
        handicap: Sequence[int] | None = None,
        weights: Sequence[int] | None = None,
    ) -> int:
        """Return the index of a query whose true marginal is far from a public reference.

        The exponential mechanism over ``q_i = w_i * (sum |counts_i - reference_i| - handicap_i)``. One unit
        changes any distance by at most ``k = rows_per_unit`` (replaced: ``2 k``), hence any score by at most
        ``D = k * max w`` (``2 k * max w``); scores can rise and fall, hence the factor 2 in
        ``exp(epsilon * q_i / (2 D))``.

        Args:
            queries: Candidates, at least one.
            reference: Public function of a query: an integer table of the query's shape.
            budget: What to spend; positive.
            purpose: For the ledger.
            handicap: A public integer for each candidate, subtracted from its distance; zeros by default.
            weights: A public integer from 1 to ``2**32`` for each candidate; ones by default.

        Returns:
            The index of the chosen candidate.

        Raises:
            BudgetRefusedError, GuaranteeError, ValueError: as :meth:`score`; ``ValueError`` too for handicaps
                or weights that are not whole numbers in range, one a candidate.

        Privacy: spends one exponential mechanism of price at most ``budget``. Proof: proofs/select.md
        """
        requests = self._admit_all(queries)
        penalties = whole_numbers("handicap", handicap, len(requests), default=0)
        factors = whole_numbers("weight", weights, len(requests), default=1)
        if not all(1 <= w <= LARGEST_WEIGHT for w in factors):
            raise ValueError(f"a weight is a whole number from 1 to {LARGEST_WEIGHT}")
        budget = self.__ledger.affordable(budget, purpose)
        sensitivity = of_a_distance(self.guarantee) * max(factors)
        epsilon = epsilon_for(budget, self.calculus)
        expected = [public_table(r, reference(q)) for r, q in zip(requests, queries, strict=True)]
        act = ExponentialMechanism(epsilon=epsilon, sensitivity=sensitivity, candidates=len(requests))
        self._charge(act, purpose, _touched(requests), 1)
        with no_counts_in_tracebacks():
            return self.__choose(requests, expected, penalties, factors, act)

    def _perturb(self, exact: Integers, act: Noise) -> Integers:
        """Return exact numbers plus noise, one draw a number. All noise on numbers is added here."""
        return exact + self._draw(exact.size, act).reshape(exact.shape)

    def _pick(self, scores: Sequence[int], act: ExponentialMechanism) -> int:
        """Return the index of a score by lot. All choices by lot are made here."""
        return noise.exponential_choice(scores, act.epsilon, act.sensitivity)

    def _draw(self, size: int, act: Noise) -> Integers:
        exact = self.backend == "exact"
        if isinstance(act, DiscreteLaplace):
            return (noise.discrete_laplace if exact else noise.opendp_laplace)(size, act.scale)
        return (noise.rounded_gaussian if exact else noise.discrete_gaussian)(size, act.sigma)

    def _charge(self, act: Act, purpose: str, columns: Sequence[int], cells: int) -> Entry:
        names = tuple(self.domain.names[c] for c in columns)
        return self.__ledger.charge(act, purpose, names, cells)

    def _admit(self, query: Marginal) -> Marginal:
        """Return the request as a value of our own: checked, and beyond anyone's reach from here on."""
        request = Marginal(query.columns, query.groups)
        for column, groups in zip(request.columns, request.groups, strict=True):
            if not 0 <= column < len(self.domain):
                raise ValueError(f"column {column} is outside the domain's {len(self.domain)} columns")
            if groups.size != self.domain.axes[column].size:
                raise ValueError(f"the grouping of {self.domain.names[column]!r} has not one group a code")
        if request.cells > LARGEST_TABLE:
            raise ValueError(f"a marginal of {request.cells} cells is above the limit of {LARGEST_TABLE}")
        return request

    def _admit_all(self, queries: Sequence[Marginal]) -> tuple[Marginal, ...]:
        if not queries:
            raise ValueError("there is nothing to score: no query was given")
        return tuple(self._admit(query) for query in queries)

    def __tables(self, requests: Sequence[Marginal]) -> Iterator[tuple[int, Integers]]:
        """Give the position of each request and its exact counts, int64 of the request's shape."""
        return count_tables(self.__codes, requests, self.__known)

    def __distances(self, requests: Sequence[Marginal], expected: Sequence[Integers]) -> Integers:
        distances = np.zeros(len(requests), dtype=np.int64)
        for i, table in self.__tables(requests):
            distances[i] = np.abs(table - expected[i]).sum()
        return distances

    def __noisy_counts(self, request: Marginal, act: Noise) -> Integers:
        ((_, counts),) = self.__tables([request])
        return self._perturb(counts, act)

    def __noisy_distances(
        self, requests: Sequence[Marginal], expected: Sequence[Integers], act: Noise
    ) -> Integers:
        return self._perturb(self.__distances(requests, expected), act)

    def __choose(
        self,
        requests: Sequence[Marginal],
        expected: Sequence[Integers],
        penalties: Sequence[int],
        factors: Sequence[int],
        act: ExponentialMechanism,
    ) -> int:
        distances = self.__distances(requests, expected).tolist()
        scores = [w * (d - h) for d, h, w in zip(distances, penalties, factors, strict=True)]
        return self._pick(scores, act)


def _touched(requests: Sequence[Marginal]) -> list[int]:
    return sorted({column for request in requests for column in request.columns})
