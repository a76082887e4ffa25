"""Noise as it leaves the doors: answers to known questions about made-up rows, beside what is true of them.

The doors are the real ones and so is the mechanism. What is true is counted here, apart from the library's
own counting: a defect there is a residual that is not noise. Nothing is switched off and nothing listens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from dpsynth.audit.trace import Trace
from dpsynth.buying.lines import assumed
from dpsynth.data.codec import Codec
from dpsynth.domain import Axis, Domain
from dpsynth.mechanisms.mechanism import ignore_progress
from dpsynth.privacy.acts import (
    Act,
    DiscreteGaussian,
    DiscreteLaplace,
    ExponentialMechanism,
    ThresholdedDiscreteGaussian,
)
from dpsynth.privacy.curator import Curator, Marginal
from dpsynth.privacy.guarantee import Backend, Guarantee, calculus_of
from dpsynth.privacy.ledger import Ledger
from dpsynth.privacy.raw import Points, RawColumn, RawTable, Texts
from dpsynth.privacy.sealed import CodedTable
from dpsynth.privacy.seller import Discovered, Seller
from dpsynth.synthesizer import Synthesizer

__all__ = ["Draws", "Kind", "Law", "draws_of", "draws_of_trace"]

Kind: TypeAlias = Literal["rounded gaussian", "discrete gaussian", "discrete laplace"]
Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

CELLS: Final = 1325  # of the measurements of one turn of the doors
_SIZES = (16, 12, 5)
_ROWS = 60  # all in the lower half of each column's codes: most cells are empty
_SCORES, _INTERVALS, _LABELS = 512, 510, 400
_MOST_ROWS = 1_000_000  # behind the labels of one discovery
_FEWEST_LABELS = 16
_WIDE = 10_000.0  # from there on a discrete Gaussian is a rounded one to within 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """The law of one draw of noise on the integers, as it was booked.

    Attributes:
        kind: Its family.
        scale: Standard deviation (of a Gaussian, before it is rounded), or scale of the Laplace.
    """

    kind: Kind
    scale: float

    @classmethod
    def of(cls, act: Act) -> Law:
        """Return the law of an act's noise.

        Raises:
            TypeError: the act is a choice.
        """
        if isinstance(act, DiscreteLaplace):
            return cls(kind="discrete laplace", scale=act.scale)
        if isinstance(act, (DiscreteGaussian, ThresholdedDiscreteGaussian)):
            return cls(kind="discrete gaussian", scale=act.sigma)
        if isinstance(act, ExponentialMechanism):
            raise TypeError("a choice by lot adds no noise to numbers")
        return cls(kind="rounded gaussian", scale=act.sigma)

    @property
    def peak(self) -> float:
        """The greatest chance of any one integer: that of 0."""
        return float(1 - 2 * self.below(np.array([-1]))[0])

    def below(self, x: npt.NDArray[Any]) -> Floats:
        """Return ``P[X <= x]`` for whole ``x`` of at most 0."""
        if self.kind == "discrete laplace":
            return np.exp(x / self.scale) / (1 + math.exp(-1 / self.scale))
        if self.kind == "rounded gaussian" or self.scale > _WIDE:
            return np.asarray(special.ndtr((x + 0.5) / self.scale), dtype=np.float64)
        weights = self._weights()
        half = np.cumsum(weights) / (2 * weights.sum() - weights[-1])
        place = x + weights.size - 1
        return np.where(place < 0, 0.0, half[np.clip(place, 0, None).astype(np.int64)])

    def normal_scores(self, noise: npt.NDArray[Any], rng: np.random.Generator) -> Floats:
        """Return numbers that are independent standard normal if the noise is independent, of this law.

        ``Phi^-1(P[X < x] + V P[X = x])``, with a fresh uniform ``V`` for each: normal whatever the scale.
        """
        x = -np.abs(np.rint(noise))
        low = self.below(x - 1)
        share = low + rng.random(x.shape) * np.maximum(np.where(x == 0, self.peak, self.below(x) - low), 0)
        z = special.ndtri(np.clip(share, 1e-300, 1 - 1e-16))
        return np.asarray(np.where(noise > 0, -z, z), dtype=np.float64)

    def sample(self, size: int, rng: np.random.Generator) -> Floats:
        """Return draws for computing the power of a test. No privacy noise: it comes from a seed."""
        if self.kind == "discrete laplace":
            chance = -math.expm1(-1 / self.scale)
            return (rng.geometric(chance, size) - rng.geometric(chance, size)).astype(np.float64)
        if self.kind == "rounded gaussian" or self.scale > _WIDE:
            return np.rint(rng.normal(0, self.scale, size))
        half = self._weights()
        weights = np.concatenate([half, half[-2::-1]])
        places = np.arange(1 - half.size, half.size)
        return rng.choice(places, size, p=weights / weights.sum()).astype(np.float64)

    def _weights(self) -> Floats:
        """Return ``exp(-x^2 / (2 sigma^2))`` for ``x`` from far below up to 0."""
        x = np.arange(-math.ceil(38 * self.scale) - 1, 1)
        return np.exp(-((x / self.scale) ** 2) / 2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """The noise in one answer of one door.

    Attributes:
        door: ``"measure"``, ``"score"``, ``"count"`` or ``"discover"``; of a mechanism's own questions
            ``"mechanism"``.
        run: Number of the fit, or of the turn of the doors.
        law: As it was booked.
        exact: What is true, shape ``(cells,)``.
        answer: What came out, of the dtype in which it came, shape ``(cells,)``.
    """

    door: str
    run: int
    law: Law
    exact: Integers
    answer: npt.NDArray[Any]


def draws_of(synthesizer: Synthesizer, *, turns: int, fits: int, rng: np.random.Generator) -> list[Draws]:
    """Ask every door ``turns`` times, and let the mechanism measure ``fits`` tables.

    Args:
        synthesizer: Schema, guarantee, mechanism and source of noise.
        turns: Number of fresh doors.
        fits: Number of fresh fits, without the model.
        rng: For the made-up rows.

    Returns:
        In the order of the answers, run by run.

    Privacy: free; the rows are made up.
    """
    promise, source = synthesizer.guarantee, synthesizer.noise
    rows = 0 if calculus_of(source, promise.delta) == "pure" else _found_for_certain(promise, source)
    found: list[Draws] = []
    for run in range(turns):
        found += _curator_turn(promise, source, run, rng)
        found += _intervals(promise, source, run, rng)
        found += _labels(promise, source, run, rng, rows)
    for run in range(turns, turns + fits):
        found += _fit(synthesizer, promise, run, rng)
    return found


def draws_of_trace(trace: Trace, *, kinds: Mapping[str, Kind], run: int = 0) -> list[Draws]:
    """Return the noise in a trace, of whatever software.

    Args:
        trace: What was asked, was true and came out.
        kinds: By norm (``"l2"``, ``"l1"``) the law that is claimed.
        run: Number of the run.
    """
    return [
        Draws(
            door=call.kind,
            run=run,
            law=Law(kind=kinds[call.norm], scale=call.scale),
            exact=np.asarray(call.exact).ravel(),
            answer=np.asarray(call.answer).ravel(),
        )
        for call in trace.calls
        if call.norm in kinds
    ]


def _fit(synthesizer: Synthesizer, promise: Guarantee, run: int, rng: np.random.Generator) -> Iterator[Draws]:
    """Let the mechanism measure a made-up table of the schema's domain."""
    open_schema = synthesizer.to_buy
    domain = Codec(synthesizer.schema if open_schema is None else assumed(open_schema)).domain
    codes = _lower_half(domain.sizes, rng)
    curator = Curator(CodedTable(domain, codes), promise, backend=synthesizer.noise)
    measured = synthesizer.mechanism.run(curator, ignore_progress)
    for found in (*measured.one_ways, *measured.tables):
        law = Law.of(curator.entries[found.entry - 1].act)
        exact = _counts(codes, found.query)
        yield Draws(door="mechanism", run=run, law=law, exact=exact, answer=np.ravel(found.values))


def _curator_turn(
    promise: Guarantee, backend: Backend, run: int, rng: np.random.Generator
) -> Iterator[Draws]:
    """Measure every marginal of a small table, and score many references."""
    domain = Domain(tuple(Axis(f"c{i}", size) for i, size in enumerate(_SIZES)))
    codes = _lower_half(_SIZES, rng)
    curator = Curator(CodedTable(domain, codes), promise, backend=backend)
    sets = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
    share = Fraction(curator.budget) / (len(sets) + 2)
    for columns in sets:
        query = Marginal(columns, tuple(np.arange(_SIZES[c]) for c in columns))
        found = curator.measure(query, budget=share, purpose="audit")
        law = Law.of(curator.entries[found.entry - 1].act)
        exact = _counts(codes, query)
        yield Draws(door="measure", run=run, law=law, exact=exact, answer=np.ravel(found.values))
    queries = [Marginal((i % 3,), (np.arange(_SIZES[i % 3]),)) for i in range(_SCORES)]
    references = {id(q): rng.integers(0, 9, q.shape) for q in queries}
    scores, _ = curator.score(queries, lambda q: references[id(q)], budget=share, purpose="audit")
    distances = [np.abs(_counts(codes, q) - references[id(q)]).sum() for q in queries]
    law = Law.of(curator.entries[-1].act)
    yield Draws(door="score", run=run, law=law, exact=np.array(distances), answer=scores)


def _intervals(promise: Guarantee, backend: Backend, run: int, rng: np.random.Generator) -> Iterator[Draws]:
    """Count intervals of a column of numbers, some missing and some elsewhere."""
    points = rng.integers(0, 2 * _INTERVALS, 4 * _ROWS)
    missing = rng.random(points.size) < 0.1
    numbers = Points(points=points, null=missing, garbled=np.zeros(points.size, dtype=bool))
    seller = _seller(numbers, promise, backend)
    budget = seller.ledger.budget
    found = seller.count("x", range(_INTERVALS + 1), budget=budget, purpose="audit")
    there = points[~missing]
    counts = np.bincount(there[there < _INTERVALS], minlength=_INTERVALS)
    yield Draws(
        door="count",
        run=run,
        law=Law.of(seller.ledger.entries[-1].act),
        exact=np.array([missing.sum(), (there >= _INTERVALS).sum(), *counts]),
        answer=np.array([found.nulls, found.elsewhere, *found.counts.tolist()]),
    )


def _labels(
    promise: Guarantee, backend: Backend, run: int, rng: np.random.Generator, each: int
) -> Iterator[Draws]:
    """Discover labels that so many rows have, at least, that each is found."""
    labels = min(_LABELS, _MOST_ROWS // max(each, 1))
    if each == 0 or labels < _FEWEST_LABELS:
        return  # without a delta nothing is discovered; or noise is so great that it takes too many rows
    rows = (each + rng.integers(0, 5, labels)).tolist()
    found, act = _discovered(promise, backend, rows)
    order = sorted(found.labels, key=lambda label: int(label[1:]))
    seen = dict(zip(found.labels, found.counts, strict=True))
    yield Draws(
        door="discover",
        run=run,
        law=Law.of(act),
        exact=np.array([*(rows[int(label[1:])] for label in order), 0]),
        answer=np.array([*(seen[label] for label in order), found.nulls]),
    )


def _found_for_certain(promise: Guarantee, backend: Backend) -> int:
    """Return how many rows a label needs to be found but with a chance of 1e-30."""
    found, _ = _discovered(promise, backend, [1])
    return found.threshold + math.ceil(12 * found.sigma)


def _discovered(promise: Guarantee, backend: Backend, rows: Sequence[int]) -> tuple[Discovered, Act]:
    """Discover labels ``v0``, ``v1``, ... that so many rows have; with the act that was booked."""
    labels = tuple(f"v{i}" for i in range(len(rows)))
    texts = Texts(index=np.repeat(np.arange(len(rows)), rows), labels=labels)
    seller = _seller(texts, promise, backend)
    ledger = seller.ledger
    found = seller.discover("x", budget=ledger.budget, delta=ledger.delta_aside, purpose="audit")
    return found, ledger.entries[-1].act


def _seller(column: RawColumn, promise: Guarantee, backend: Backend) -> Seller:
    ledger = Ledger(promise, calculus_of(backend, promise.delta), Fraction(promise.delta) / 2)
    return Seller(RawTable({"x": column}), ledger, backend=backend)


def _lower_half(sizes: Sequence[int], rng: np.random.Generator) -> list[npt.NDArray[np.uint32]]:
    return [rng.integers(0, (size + 1) // 2, _ROWS).astype(np.uint32) for size in sizes]


def _counts(codes: Sequence[npt.NDArray[np.uint32]], query: Marginal) -> Integers:
    """Count a marginal of the made-up rows, flat."""
    place = np.zeros(codes[0].size, dtype=np.int64)
    for column, groups, size in zip(query.columns, query.groups, query.shape, strict=True):
        place = place * size + groups[codes[column]]
    return np.bincount(place, minlength=query.cells)
