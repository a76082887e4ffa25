"""The privacy loss of real runs: what each answer says of whether one unit was in the table.

A mechanism's transcript is a sequence of answers ``y_i``, each drawn from a law that is known but for the
exact numbers ``x_i`` (with the unit) or ``x'_i`` (without). Its log-likelihood ratio is a sum over the calls:

- Gaussian noise, booked at ``sigma``: ``(|y - x'|**2 - |y - x|**2) / (2 sigma**2)``
- discrete Laplace noise, booked at ``scale``: ``(|y - x'|_1 - |y - x|_1) / scale``
- a choice by lot, booked at ``epsilon`` and ``D``: ``ln p(c) - ln p'(c)``, ``p`` in proportion to
  ``exp(epsilon q / (2 D))``

No test of "in" against "out" does better than a threshold on it (Neyman and Pearson). The noise is taken as
booked: where less was drawn, the ratio spreads more between the two than the claim allows.

Reference: the optimal test of Gaussian measurements, Dong, Roth, Su 2022 (arXiv:1905.02383), section 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from dpsynth.audit.worst_case import WorstCase
from dpsynth.mechanisms import Mechanism
from dpsynth.mechanisms.mechanism import ignore_progress
from dpsynth.privacy.acts import DiscreteGaussian, DiscreteLaplace, ExponentialMechanism, RoundedGaussian
from dpsynth.privacy.curator import Backend, Curator, Measurement
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.marginal import Integers, Marginal
from dpsynth.privacy.sealed import CodedTable

__all__ = ["Losses", "draw_losses", "loss"]

Floats = npt.NDArray[np.float64]


def loss(
    act: RoundedGaussian | DiscreteGaussian | DiscreteLaplace | ExponentialMechanism,
    answer: npt.NDArray[np.int64] | int,
    *,
    inside: npt.ArrayLike,
    outside: npt.ArrayLike,
) -> float:
    """Return the log-likelihood ratio of one answer, "in" over "out", under the noise that was booked.

    Args:
        act: What was booked.
        answer: What came out: noisy numbers, or the position of the choice.
        inside: Exact numbers (or scores) with the unit.
        outside: The same without it.
    """
    with_it, without = np.asarray(inside, dtype=np.float64), np.asarray(outside, dtype=np.float64)
    if isinstance(act, ExponentialMechanism):
        each = act.epsilon / (2 * act.sensitivity)
        return float(_log_share(each * with_it)[answer] - _log_share(each * without)[answer])
    seen = np.asarray(answer, dtype=np.float64)
    if isinstance(act, DiscreteLaplace):
        return float((np.abs(seen - without) - np.abs(seen - with_it)).sum() / act.scale)
    return float(((with_it - without) * (2 * seen - without - with_it)).sum() / (2 * act.sigma**2))


def _log_share(weights: Floats) -> Floats:
    shifted = weights - weights.max()
    return shifted - np.log(np.exp(shifted).sum())  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Losses:
    """The losses of many independent runs on one table, in two parts, and what each part cost.

    Attributes:
        measured: Of noisy numbers, shape ``(runs,)``.
        chosen: Of choices by lot, likewise.
        price_measured: Booked for noisy numbers, likewise, in the claim's calculus.
        price_chosen: Booked for choices, likewise.
    """

    measured: Floats
    chosen: Floats
    price_measured: Floats
    price_chosen: Floats

    @property
    def total(self) -> Floats:
        """Of all that came out."""
        return self.measured + self.chosen

    def __len__(self) -> int:
        return len(self.measured)

    @classmethod
    def joined(cls, parts: Sequence[Losses]) -> Losses:
        """Return the runs of all parts, in order."""
        return cls(**{f: np.concatenate([getattr(p, f) for p in parts]) for f in cls.__dataclass_fields__})


class _Witness(Curator):
    """The real door to one of two tables, which also notes what each answer says of which one it is.

    Questions go to the real methods; what is noted is computed from their public answers, the ledger, and the
    codes of both tables, which are the audit's own.
    """

    __slots__ = ("__both", "noted")

    def __init__(self, table: CodedTable, guarantee: Guarantee, backend: Backend, both: _Both) -> None:
        super().__init__(table, guarantee, backend=backend)
        self.__both = both
        self.noted = np.zeros(4)

    def measure(self, query: Marginal, *, budget: Fraction, purpose: str) -> Measurement:
        found = super().measure(query, budget=budget, purpose=purpose)
        (inside,), (outside,) = self.__both.tables([found.query])
        self._note(found.values, inside, outside)
        return found

    def score(
        self,
        queries: Sequence[Marginal],
        reference: Callable[[Marginal], Integers],
        *,
        budget: Fraction,
        purpose: str,
    ) -> tuple[Integers, float]:
        found = super().score(queries, reference, budget=budget, purpose=purpose)
        self._note(found[0], *self.__both.distances(queries, reference))
        return found

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
        found = super().select(
            queries, reference, budget=budget, purpose=purpose, handicap=handicap, weights=weights
        )
        less = np.zeros(len(queries)) if handicap is None else np.asarray(handicap, dtype=np.float64)
        each = np.ones(len(queries)) if weights is None else np.asarray(weights, dtype=np.float64)
        inside, outside = (each * (d - less) for d in self.__both.distances(queries, reference))
        self._note(found, inside, outside)
        return found

    def _note(self, answer: Integers | int, inside: npt.ArrayLike, outside: npt.ArrayLike) -> None:
        entry = self.entries[-1]
        chosen = isinstance(entry.act, ExponentialMechanism)
        self.noted[int(chosen)] += loss(entry.act, answer, inside=inside, outside=outside)  # type: ignore[arg-type]
        self.noted[2 + int(chosen)] += float(entry.price)


class _Both:
    """Exact tables of both neighbours, counted here, apart from the code that is audited, and remembered."""

    def __init__(self, pair: WorstCase) -> None:
        self._codes = pair.ought(inside=True), pair.ought(inside=False)
        self._known: dict[tuple[object, ...], tuple[Integers, Integers]] = {}

    def tables(self, queries: Sequence[Marginal]) -> tuple[list[Integers], list[Integers]]:
        """Return the tables with the unit, and those without."""
        found = [self._table_of(query) for query in queries]
        return [with_it for with_it, _ in found], [without for _, without in found]

    def _table_of(self, query: Marginal) -> tuple[Integers, Integers]:
        key = (query.columns, *(groups.tobytes() for groups in query.groups))
        if key not in self._known:
            with_it, without = (np.zeros(query.shape, dtype=np.int64) for _ in range(2))
            for table, codes in zip((with_it, without), self._codes, strict=True):
                place = tuple(g[codes[c]] for c, g in zip(query.columns, query.groups, strict=True))
                np.add.at(table, place, 1)
            self._known[key] = with_it, without
        return self._known[key]

    def distances(
        self, queries: Sequence[Marginal], reference: Callable[[Marginal], Integers]
    ) -> tuple[Floats, Floats]:
        """Return the L1 distances from a reference, with the unit and without."""
        known = [np.asarray(reference(q)) for q in queries]
        with_it, without = (
            np.array([float(np.abs(t - r).sum()) for t, r in zip(tables, known, strict=True)])
            for tables in self.tables(queries)
        )
        return with_it, without


def draw_losses(pair: WorstCase, mechanism: Mechanism, *, noise: Backend, inside: bool, runs: int) -> Losses:
    """Run a mechanism many times on one of two neighbours, and return the losses.

    The table is sealed once; each run has a door, a ledger and noise of its own, and ends when the last
    question was answered: no model is fitted but where the mechanism itself needs one.

    Args:
        pair: The neighbours and the guarantee.
        mechanism: In the form that the guarantee calls for (pure where delta is 0).
        noise: Source of the noise.
        inside: Whether the unit is there.
        runs: How many.

    Privacy: free; the rows are the audit's own.
    """
    table, guarantee, both = pair.seal(inside=inside), pair.guarantee, _Both(pair)
    found = np.empty((runs, 4))
    for i in range(runs):
        door = _Witness(table, guarantee, noise, both)
        mechanism.run(door, ignore_progress)
        found[i] = door.noted
    return Losses(
        measured=found[:, 0], chosen=found[:, 1], price_measured=found[:, 2], price_chosen=found[:, 3]
    )
