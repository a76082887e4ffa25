"""Exhaustion: on every small database and every neighbour, nothing moves further than was booked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from dpsynth.privacy.curator import Curator, Entry, Marginal
from tests.privacy.oracles import multisets
from tests.privacy.tables import curator, every_marginal

SIZES = (2, 2, 2)
UNIVERSE = np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(2)])
QUERIES = [
    *every_marginal(SIZES),
    Marginal((0, 2), (np.array([0, 0]), np.array([1, 0]))),
    Marginal((1,), (np.array([0, 2]),)),
]
HEAVIEST = 5  # of the weights of a choice
pytestmark = pytest.mark.usefixtures("cheap_budgets")


def _reference(query: Marginal) -> np.ndarray:
    return (np.arange(query.cells) % 3).reshape(query.shape) - 1


def _ask(asked: Curator) -> list[np.ndarray]:
    """Ask everything once; return what is exact in each answer (the noise is switched off)."""
    budget = asked.budget / 40
    answers = [asked.measure(q, budget=budget, purpose="m").values.ravel() for q in QUERIES]
    answers.append(asked.score(QUERIES, _reference, budget=budget, purpose="s")[0])
    handicap = range(len(QUERIES))
    asked.select(
        QUERIES,
        _reference,
        budget=budget,
        purpose="x",
        handicap=handicap,
        weights=[1 + i % HEAVIEST for i in handicap],
    )
    return answers


class Answers:
    """The exact answers on each database of at most some rows, each asked once; and the one common ledger."""

    def __init__(self, log: list[tuple[str, Any]], **promise: Any) -> None:
        self.promise, self.log = promise, log
        self.ledgers: set[tuple[Entry, ...]] = set()
        self.known: dict[tuple[int, ...], list[np.ndarray]] = {}

    def __call__(self, database: tuple[int, ...]) -> list[np.ndarray]:
        if database not in self.known:
            asked = curator(UNIVERSE[list(database)].reshape(-1, 3), SIZES, **self.promise)
            self.log.clear()
            answers = _ask(asked)
            answers.append(np.array(self.log[-1][1][0]))
            self.known[database] = answers
            self.ledgers.add(asked.entries)
        return self.known[database]

    def worst(self, neighbours: Iterable[tuple[tuple[int, ...], tuple[int, ...]]]) -> list[int]:
        """Return how far each answer moves at most, in the norm that its act books."""
        found = [0] * (len(QUERIES) + 2)
        for one, other in neighbours:
            pairs = zip(self(one), self(other), strict=True)
            for i, moved in enumerate(np.abs(x - y) for x, y in pairs):
                summed = moved.sum() if self.promise.get("delta") == 0 else (moved**2).sum()
                found[i] = max(found[i], int(moved.max() if i == len(found) - 1 else summed))
        return found

    def booked(self) -> list[int]:
        """Return what the acts of the one ledger book."""
        (ledger,) = self.ledgers
        acts = [entry.act for entry in ledger]
        return [a.sensitivity_squared if hasattr(a, "sensitivity_squared") else a.sensitivity for a in acts]


@pytest.mark.parametrize(
    ("k", "most", "fields"),
    [
        (1, 3, {}),
        (1, 1, {"backend": "opendp"}),
        (1, 2, {"delta": 0.0}),
        (2, 2, {}),
        (2, 1, {"delta": 0.0, "backend": "opendp"}),
        (3, 1, {}),
    ],
    ids=str,
)
def test_no_neighbour_moves_an_answer_beyond_its_booking(
    k: int, most: int, fields: dict[str, Any], no_noise: list[tuple[str, Any]]
) -> None:
    """Add a unit of 1 to ``k`` rows to each database of at most ``most`` rows: all of them, both directions.

    Squared L2 for measure and score (L1 in pure), L-infinity for select; the bound is reached (nothing is
    over-booked); and the ledger is the same on every database: prices, acts, sizes and numbers do not depend
    on the rows.
    """
    answers = Answers(no_noise, k=k, **fields)
    units = [u for u in multisets(8, k) if u]
    worst = answers.worst((d, tuple(sorted(d + u))) for d in multisets(8, most) for u in units)
    booked = answers.booked()
    assert all(w <= b for w, b in zip(worst, booked, strict=True))
    assert worst[: len(QUERIES)] == booked[: len(QUERIES)]
    assert worst[-1] == booked[-1] == k * HEAVIEST


@pytest.mark.parametrize(
    ("k", "most", "fields"), [(1, 2, {}), (1, 1, {"delta": 0.0}), (2, 0, {}), (2, 0, {"delta": 0.0})], ids=str
)
def test_no_replaced_unit_moves_an_answer_beyond_its_booking(
    k: int, most: int, fields: dict[str, Any], no_noise: list[tuple[str, Any]]
) -> None:
    """Put each unit of 1 to ``k`` rows in the place of each other, beside up to ``most`` rows of others."""
    answers = Answers(no_noise, k=k, adjacency="replace-one", **fields)
    units = [u for u in multisets(8, k) if u]
    worst = answers.worst(
        (tuple(sorted(d + u)), tuple(sorted(d + v))) for d in multisets(8, most) for u in units for v in units
    )
    booked = answers.booked()
    assert all(w <= b for w, b in zip(worst, booked, strict=True))
    assert worst[: len(QUERIES)] == booked[: len(QUERIES)]
    assert booked[0] == (2 * k if fields else 2 * k**2)
    assert booked[-1] == 2 * k * HEAVIEST


def test_the_exhaustion_notices_a_sensitivity_booked_too_low(no_noise: list[tuple[str, Any]]) -> None:
    """Guard of the guard: a unit of two rows booked as one; a unit replaced, booked as added."""
    answers = Answers(no_noise, k=1)
    worst = answers.worst([((0,), (0, 5, 5))])
    assert any(w > b for w, b in zip(worst, answers.booked(), strict=True))
    answers = Answers(no_noise, k=1)
    worst = answers.worst([((0,), (7,))])
    assert any(w > b for w, b in zip(worst, answers.booked(), strict=True))
