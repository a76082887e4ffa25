"""A fit with a book: reserved before a row is read, settled after, and named by the release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dpsynth
from dpsynth.accountant import Accountant
from dpsynth.errors import BookError, BudgetRefusedError, DataError, InputError
from dpsynth.mechanisms.independent import INDEPENDENT
from dpsynth.mechanisms.mechanism import Measured, Mechanism, Progress
from dpsynth.privacy.curator import Curator, Marginal
from dpsynth.release.verify import verify
from dpsynth.schema import Schema
from dpsynth.synthesizer import Synthesizer
from tests.accountant.conftest import DELTA

SCHEMA = Schema.from_domain({"a": 4, "b": 3})
ROWS = pd.DataFrame({"a": [0, 1, 2, 3] * 50, "b": [0, 1] * 100})


def synthesizer(epsilon: float = 1.0, **other: Any) -> Synthesizer:
    return Synthesizer(SCHEMA, epsilon=epsilon, delta=DELTA, **{"mechanism": "independent", **other})


def fit(book: Accountant, epsilon: float = 1.0, data: Any = ROWS, **other: Any) -> dpsynth.Release:
    return synthesizer(epsilon, **other).fit(data, accountant=book)


class Unread:
    """A table that must not be looked at."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"somebody asked for {name}")


def test_a_release_names_its_place_in_the_book(book: Accountant, tmp_path: Path) -> None:
    first = fit(book)
    second = fit(book, 0.5)
    for release, name in ((first, "a"), (second, "b.dpsynth")):
        release.save(tmp_path / name)
        report = verify(tmp_path / name)
        assert report.passed, str(report)
    said = dpsynth.load(tmp_path / "b.dpsynth").statement
    assert said == second.statement
    assert said.book is not None
    (earlier,) = said.book.earlier
    assert (earlier.epsilon, earlier.delta, earlier.state) == (1.0, DELTA, "released")
    assert earlier.cost == first.statement.spent
    assert said.book.cost == said.budget
    assert "## Other releases of the same data" in str(said)
    assert "record 3" in str(said)
    statements = {name: dpsynth.load(tmp_path / name).statement for name in ("a", "b.dpsynth")}
    report = book.verify(releases=statements)
    assert report.passed, report
    told = book.history()
    assert [h.statement for h in told] == [first.statement.digest, second.statement.digest]
    assert [a.purpose for a in told[0].acts] == [e.purpose for e in first.statement.entries]
    assert told[0].cost == first.statement.spent
    written = json.loads((tmp_path / "a" / "statement.json").read_text(encoding="utf-8"))
    assert written["book"]["dataset"] == "visits"


def test_without_a_book_nothing_is_said_of_one() -> None:
    statement = synthesizer().fit(ROWS).statement
    assert statement.book is None
    assert "book" not in statement.to_dict()
    with pytest.raises(InputError, match="dataset='visits' is a name in a budget book; give accountant"):
        synthesizer(100.0).fit(ROWS, dataset="visits")


def test_what_is_refused_has_read_no_row(book: Accountant) -> None:
    with pytest.raises(BudgetRefusedError, match=r"'visits' refuses: .* No row was read"):
        synthesizer(100.0).fit(Unread(), accountant=book)
    with pytest.raises(InputError, match="no data set 'other'"):
        synthesizer(100.0).fit(Unread(), accountant=book, dataset="other")
    assert book.history() == ()


def test_other_noise_needs_another_calculus(book: Accountant, path: Path) -> None:
    with pytest.raises(BudgetRefusedError, match="calculus is zcdp"):
        synthesizer(100.0, noise="opendp").fit(Unread(), accountant=book)


def test_a_table_that_cannot_be_read_costs_nothing(book: Accountant) -> None:
    with pytest.raises(DataError):
        fit(book, data=pd.DataFrame({"a": [1]}))
    (told,) = book.history()
    assert (told.state, told.acts) == ("failed", ())
    assert book.show()[0].spent == 0


def keeping(kept: list[Curator], *, fails: bool = False) -> Mechanism:
    """A mechanism of somebody's own: it keeps the curator, and perhaps fails when it has measured."""

    def run(curator: Curator, progress: Progress) -> Measured:
        kept.append(curator)
        measured = INDEPENDENT.run(curator, progress)
        if fails:
            raise KeyError("secret")
        return measured

    return Mechanism(name="keeping", summary="s", plan=INDEPENDENT.plan, run=run)


def _measure_later(curator: Curator) -> None:
    with pytest.raises(BudgetRefusedError, match="later comes too late"):
        curator.measure(Marginal((0,), (np.arange(4),)), budget=curator.left, purpose="later")


def test_an_error_in_the_fit_settles_what_was_drawn(book: Accountant) -> None:
    kept: list[Curator] = []
    with pytest.raises(KeyError):
        fit(book, mechanism=keeping(kept, fails=True))
    (told,) = book.history()
    assert (told.state, len(told.acts)) == ("failed", 2)
    assert told.cost == sum(e.price for e in kept[0].entries) > 0
    _measure_later(kept[0])


def test_a_kept_curator_draws_nothing_later(book: Accountant) -> None:
    kept: list[Curator] = []
    release = fit(book, mechanism=keeping(kept))
    _measure_later(kept[0])
    assert book.show()[0].spent == release.statement.spent


def test_a_release_that_cannot_be_settled_is_not_given_out(book: Accountant, path: Path) -> None:
    backup = path.read_bytes()

    def replaced(stage: str, fraction: float) -> None:
        if stage == "fitting the model":
            path.write_bytes(backup)

    with pytest.raises(BookError, match="no longer in the book"):
        synthesizer().fit(ROWS, accountant=book, progress=replaced)
