"""Exhaustion: on every small database and every neighbour, nothing moves further than was booked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dpsynth.privacy.acts import ExponentialMechanism
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

    def __init__(self, k: int, backend: str, log: list[tuple[str, Any]]) -> None:
        self.k, self.backend, self.log = k, backend, log
        self.ledgers: set[tuple[Entry, ...]] = set()
        self.known: dict[tuple[int, ...], list[np.ndarray]] = {}

    def __call__(self, database: tuple[int, ...]) -> list[np.ndarray]:
        if database not in self.known:
            asked = curator(UNIVERSE[list(database)].reshape(-1, 3), SIZES, k=self.k, backend=self.backend)
            self.log.clear()
            answers = _ask(asked)
            answers.append(np.array(self.log[-1][1][0]))
            self.known[database] = answers
            self.ledgers.add(asked.entries)
        return self.known[database]


@pytest.mark.parametrize(
    ("k", "most", "backend"), [(1, 3, "exact"), (1, 1, "opendp"), (2, 2, "exact"), (3, 1, "exact")]
)
def test_no_neighbour_moves_an_answer_beyond_its_booking(
    k: int, most: int, backend: str, no_noise: list[tuple[str, Any]]
) -> None:
    """Add a unit of 1 to ``k`` rows to each database of at most ``most`` rows: all of them, both directions.

    Squared L2 for measure and score, L-infinity for select; the bound is reached (nothing is over-booked);
    and the ledger is the same on every database: prices, acts, sizes and numbers do not depend on the rows.
    """
    answers = Answers(k, backend, no_noise)
    units = [u for u in multisets(8, k) if u]
    worst = [0] * (len(QUERIES) + 2)
    for database in multisets(8, most):
        before = answers(database)
        for unit in units:
            after = answers(tuple(sorted(database + unit)))
            for i, (x, y) in enumerate(zip(before, after, strict=True)):
                moved = np.abs(x - y)
                worst[i] = max(worst[i], int(moved.max() if i == len(worst) - 1 else (moved**2).sum()))
    (ledger,) = answers.ledgers
    booked = [
        e.act.sensitivity if isinstance(e.act, ExponentialMechanism) else e.act.sensitivity_squared
        for e in ledger
    ]
    assert all(w <= b for w, b in zip(worst, booked, strict=True))
    assert worst[: len(QUERIES)] == booked[: len(QUERIES)]
    assert worst[-1] == booked[-1] == k * HEAVIEST


def test_the_exhaustion_notices_a_sensitivity_booked_too_low(
    no_noise: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guard of the guard: a unit of two rows against the booking for one is caught."""
    answers = Answers(1, "exact", no_noise)
    x, y = answers((0,)), answers((0, 5, 5))
    (ledger,) = answers.ledgers
    assert any(
        ((a - b) ** 2).sum() > e.act.sensitivity_squared for a, b, e in zip(x, y, ledger[:-1], strict=False)
    )
