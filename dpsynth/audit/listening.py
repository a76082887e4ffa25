"""Doors that write down what was true and what came out, for audits on tables of the audit's own.

They are the doors of :mod:`dpsynth.privacy`, with an ear at the methods that all noise goes through. They let
out exact counts, and can give an earlier run's answers again. So they are for made-up rows only: nothing
outside :mod:`dpsynth.audit` may import them, a test sees to that, and no argument of a fit leads here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dpsynth.audit.trace import Call, Norm
from dpsynth.privacy.acts import DiscreteLaplace, ExponentialMechanism, Noise, Thresholded
from dpsynth.privacy.curator import Curator, Marginal, Measurement
from dpsynth.privacy.ledger import Entry, Ledger
from dpsynth.privacy.marginal import Integers
from dpsynth.privacy.seller import Discovered, Histogram, Seller

__all__ = ["NULLS", "ListeningCurator", "ListeningSeller", "Log", "digest"]

NULLS: Final = ""
"""Label of the cell of missing values among what is discovered: no category is called so."""


@dataclass(slots=True)
class Log:
    """What one run asked, and an earlier run's answers if these are to be given again."""

    script: Sequence[Call]
    calls: list[Call] = field(default_factory=list)
    asked: dict[str, Any] = field(default_factory=dict)
    kind: str = ""
    ledger: Ledger | None = None

    @contextlib.contextmanager
    def question(
        self, kind: str, asked: dict[str, Any], ledger: Callable[[], Sequence[Entry]]
    ) -> Iterator[None]:
        """Note what is asked, and once it is answered or has failed what was booked for it."""
        self.kind, self.asked = kind, asked
        calls, entries = len(self.calls), len(ledger())
        try:
            yield
        finally:
            booked = ledger()[entries:]
            price = float(sum((entry.price for entry in booked), Fraction(0)))
            asked["delta"] = float(sum((entry.delta for entry in booked), Fraction(0)))
            if len(self.calls) > calls:
                self.calls[calls] = dataclasses.replace(self.calls[calls], price=price)

    def unheard(self, before: int, answer: npt.NDArray[Any] | int) -> None:
        """Note an answer that came about beside the hooks: as if without noise."""
        if len(self.calls) == before:
            exact = np.asarray(answer)
            self._write(exact, answer, ("l2", 0.0, 0.0))

    def numbers(
        self,
        exact: Integers,
        act: Noise | Thresholded,
        fresh: Callable[[], Integers],
        labels: Sequence[str] | None = None,
    ) -> Integers:
        """Answer with the script's numbers, or with fresh ones where it has none that fit."""
        cells = None if labels is None else (*labels, NULLS)
        known = self.script[len(self.calls)] if len(self.calls) < len(self.script) else None
        answer = None
        if known is not None and known.kind == self.kind:
            if cells is not None and known.labels is not None:
                given = dict(zip(known.labels, np.asarray(known.answer).tolist(), strict=True))
                answer = np.array([given.get(cell, 0) for cell in cells], dtype=np.int64)  # 0 never passes
            elif np.shape(known.answer) == exact.shape:
                answer = np.array(known.answer, dtype=np.int64)
        if answer is None:
            answer = fresh()
        if isinstance(act, DiscreteLaplace):
            self._write(exact, answer, ("l1", float(act.sensitivity), act.scale), cells)
        else:
            self._write(exact, answer, ("l2", act.sensitivity_squared**0.5, act.sigma), cells)
        if isinstance(act, Thresholded):
            self.asked |= {"threshold": act.threshold, "rows": act.rows, "law": type(act).__name__}
        return answer

    def choice(self, scores: Sequence[int], act: ExponentialMechanism, fresh: Callable[[], int]) -> int:
        """Answer with the script's choice, or with a fresh one."""
        known = self.script[len(self.calls)] if len(self.calls) < len(self.script) else None
        fits = known is not None and known.kind == self.kind and len(known.exact) == len(scores)
        chosen = int(known.answer) if known is not None and fits else fresh()
        exact = np.array(scores, dtype=object) if max(map(abs, scores)) >= 2**62 else np.array(scores)
        self._write(exact, chosen, ("range", float(act.sensitivity), act.epsilon))
        return chosen

    def _write(
        self,
        exact: npt.NDArray[Any],
        answer: npt.NDArray[Any] | int,
        law: tuple[Norm, float, float],
        labels: tuple[str, ...] | None = None,
    ) -> None:
        call = Call(
            kind=self.kind,
            asked=self.asked,
            norm=law[0],
            sensitivity=law[1],
            scale=law[2],
            price=0.0,
            exact=exact.copy(),
            answer=answer if isinstance(answer, int) else np.array(answer),
            labels=labels,
        )
        self.calls.append(call)


class ListeningCurator(Curator):
    """A curator that writes down what it is asked, what is true and what it answers."""

    def __init__(self, *arguments: Any, log: Log, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._log = log

    def measure(self, query: Marginal, *, budget: Fraction, purpose: str) -> Measurement:
        """Do what :meth:`Curator.measure` does."""
        before = len(self._log.calls)
        with self._log.question("measure", _asked([query], budget, purpose), lambda: self.entries):
            found = super().measure(query, budget=budget, purpose=purpose)
            self._log.unheard(before, found.values)
        return found

    def score(
        self,
        queries: Sequence[Marginal],
        reference: Callable[[Marginal], Integers],
        *,
        budget: Fraction,
        purpose: str,
    ) -> tuple[Integers, float]:
        """Do what :meth:`Curator.score` does."""
        asked, before = _asked(queries, budget, purpose), len(self._log.calls)
        heard = _heard(reference, asked)
        with self._log.question("score", asked, lambda: self.entries):
            found = super().score(queries, heard, budget=budget, purpose=purpose)
            self._log.unheard(before, found[0])
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
        """Do what :meth:`Curator.select` does."""
        asked, before = _asked(queries, budget, purpose), len(self._log.calls)
        asked |= {"handicap": _plain(handicap), "weights": _plain(weights)}
        heard = _heard(reference, asked)
        with self._log.question("select", asked, lambda: self.entries):
            found = super().select(
                queries, heard, budget=budget, purpose=purpose, handicap=handicap, weights=weights
            )
            self._log.unheard(before, found)
        return found

    def _perturb(self, exact: Integers, act: Noise) -> Integers:
        return self._log.numbers(exact, act, lambda: super(ListeningCurator, self)._perturb(exact, act))

    def _pick(self, scores: Sequence[int], act: ExponentialMechanism) -> int:
        return self._log.choice(scores, act, lambda: super(ListeningCurator, self)._pick(scores, act))


class ListeningSeller(Seller):
    """A seller that writes down what it is asked, what is true and what it answers."""

    def __init__(self, *arguments: Any, log: Log, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._log = log

    def discover(self, column: str, *, budget: Fraction, delta: Fraction, purpose: str) -> Discovered:
        """Do what :meth:`Seller.discover` does."""
        asked, before = {"columns": [column], **_terms(budget, purpose)}, len(self._log.calls)
        with self._log.question("discover", asked, lambda: self.ledger.entries):
            found = super().discover(column, budget=budget, delta=delta, purpose=purpose)
            self._log.unheard(before, np.append(found.counts, found.nulls))
        return found

    def count(self, column: str, edges: Sequence[int], *, budget: Fraction, purpose: str) -> Histogram:
        """Do what :meth:`Seller.count` does."""
        before = len(self._log.calls)
        asked = {"columns": [column], "edges": list(edges), **_terms(budget, purpose)}
        with self._log.question("count", asked, lambda: self.ledger.entries):
            found = super().count(column, edges, budget=budget, purpose=purpose)
            self._log.unheard(before, np.append([found.nulls, found.elsewhere], found.counts))
        return found

    def _perturb(
        self, exact: Integers, act: Noise | Thresholded, labels: Sequence[str] | None = None
    ) -> Integers:
        def fresh() -> Integers:
            return super(ListeningSeller, self)._perturb(exact, act, labels)

        return self._log.numbers(exact, act, fresh, labels)


def _asked(queries: Sequence[Marginal], budget: Fraction, purpose: str) -> dict[str, Any]:
    columns = [list(query.columns) for query in queries]
    groups = digest(b"".join(g.tobytes() for query in queries for g in query.groups))
    return {"columns": columns, "groups": groups, **_terms(budget, purpose)}


def _terms(budget: Fraction, purpose: str) -> dict[str, Any]:
    return {"budget": str(budget), "purpose": purpose}


def _heard(
    reference: Callable[[Marginal], Integers], asked: dict[str, Any]
) -> Callable[[Marginal], Integers]:
    """Return the same reference, which notes what it answers."""
    asked["reference"] = ""

    def heard(query: Marginal) -> Integers:
        table = reference(query)
        asked["reference"] = digest(asked["reference"].encode() + np.asarray(table).tobytes())
        return table

    return heard


def _plain(values: Sequence[int] | None) -> list[int] | None:
    return None if values is None else [int(value) for value in values]


def digest(content: bytes) -> str:
    """Return a short name of some bytes."""
    return hashlib.sha256(content).hexdigest()[:16]
