"""Books to spend from, and releases to book, without a single row."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from dpsynth.accountant import Accountant, Hold
from dpsynth.privacy.acts import ExponentialMechanism, RoundedGaussian, share, sigma_for
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.ledger import Entry, Ledger

DELTA = 1e-9
HASH = "ab" * 32


def promise(epsilon: float = 1.0, **other: object) -> Guarantee:
    return Guarantee(epsilon=epsilon, delta=DELTA, **other)


def drawn(guarantee: Guarantee, part: Fraction = Fraction(1, 2), *, acts: int = 3) -> tuple[Entry, ...]:
    """A ledger that spent a part of its budget, in some Gaussian acts and one choice."""
    ledger = Ledger(guarantee, "gdp")
    each = share(ledger.budget * part / (acts + 1))
    for i in range(acts):
        act = RoundedGaussian(sigma=sigma_for(each, 1, "gdp"), sensitivity_squared=1)
        ledger.charge(act, "one-way marginals", (f"c{i}",), 4)
    ledger.charge(ExponentialMechanism(epsilon=0.01, sensitivity=1, candidates=3), "choice", ("c0", "c1"), 1)
    return ledger.close()


def reserve(book: Accountant, epsilon: float = 1.0, dataset: str | None = "visits") -> Hold:
    return book.reserve(promise(epsilon), calculus="gdp", mechanism="by-hand", dataset=dataset)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "book.db"


@pytest.fixture
def book(path: Path) -> Accountant:
    """A book with one data set, which has room for 7 releases of epsilon 1."""
    return Accountant.create(path, dataset="visits", epsilon=3.0, delta=DELTA, wait=5.0)


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Copy a book with two data sets, releases, a failed fit and an open reservation to a path."""
    made = tmp_path_factory.mktemp("full") / "book.db"
    book = Accountant.create(made, dataset="visits", epsilon=3.0, delta=DELTA)
    Accountant.create(made, dataset="claims", epsilon=2.0, delta=1e-8, unit="patient", calculus="zcdp")
    reserve(book).commit(drawn(promise()), statement=HASH)
    reserve(book).commit(drawn(promise(), acts=1))
    reserve(book, 0.5)

    def copied(to: Path) -> Path:
        to.write_bytes(made.read_bytes())
        return to

    return copied
