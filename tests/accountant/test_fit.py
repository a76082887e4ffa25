"""A fit with a book: reserved before a row is read, settled after, and named by the release."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dpsynth
from dpsynth.accountant import Accountant
from dpsynth.accountant.pricing import cost_of_release
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


def test_pure_epsilon_adds_up_where_delta_is_0(path: Path) -> None:
    book = Accountant.create(path, dataset="pure", epsilon=1.0, delta=0.0)
    pure = Synthesizer(SCHEMA, epsilon=0.75, delta=0.0, mechanism="independent")
    release = pure.fit(ROWS, accountant=book)
    assert release.statement.book is not None
    assert release.statement.book.calculus == "pure"
    (totals,) = book.show()
    assert totals.spent == release.statement.spent <= Fraction(0.75)
    assert totals.epsilon_left >= 0.25
    with pytest.raises(BudgetRefusedError, match=r"left 0.25 of 1 in epsilon .* room for epsilon 0.25"):
        pure.fit(Unread(), accountant=book)
    with pytest.raises(BudgetRefusedError, match="Gaussian noise needs a delta, and this data set has none"):
        synthesizer(0.1).fit(Unread(), accountant=book)


@pytest.mark.parametrize("calculus", ["gdp", "zcdp"])
def test_pure_epsilon_adds_up_with_other_noise(path: Path, calculus: str) -> None:
    book = Accountant.create(path, dataset="mixed", epsilon=3.0, delta=DELTA, calculus=calculus)
    pure = Synthesizer(SCHEMA, epsilon=0.1, delta=0.0, mechanism="independent").fit(ROWS, accountant=book)
    gaussian = synthesizer(0.5).fit(ROWS, accountant=book)
    by_lot, by_noise = book.history()
    assert by_lot.cost <= cost_of_release(Fraction(0.1), "pure", calculus)
    assert by_noise.cost == gaussian.statement.spent / (1 if calculus == "gdp" else 2)
    assert book.show()[0].spent == by_lot.cost + by_noise.cost
    assert book.verify(releases={"a": pure.statement, "b": gaussian.statement}).passed


def test_bought_categories_need_a_part_of_delta(path: Path, tmp_path: Path) -> None:
    column = "{kind: categorical, missing: false, values: buy, out_of_domain: other}"
    text = f"privacy_unit: row\ncolumns:\n  a: {column}\n"
    (tmp_path / "s.yaml").write_text(f"dpsynth: 1\n{text}", encoding="utf-8")
    rows = pd.DataFrame({"a": ["x", "y"] * 400})
    synth = Synthesizer(
        dpsynth.read_schema(tmp_path / "s.yaml"), epsilon=2.0, delta=DELTA, mechanism="independent"
    )
    book = Accountant.create(path, dataset="without", epsilon=3.0, delta=DELTA)
    with pytest.raises(BudgetRefusedError, match=r"sets aside .* larger --delta-aside"):
        synth.fit(Unread(), accountant=book)
    Accountant.create(path, dataset="found", epsilon=3.0, delta=DELTA, delta_aside=DELTA / 2)
    release = synth.fit(rows, accountant=book, dataset="found")
    (told,) = book.history("found")
    assert [act.purpose for act in told.acts] == [e.purpose for e in release.statement.entries]
    assert told.delta_spent == release.statement.delta_spent > 0
    (totals,) = book.show("found")
    assert (totals.spent, totals.delta_spent) == (release.statement.spent, release.statement.delta_spent)
    assert book.verify(releases={"r": release.statement}).passed


def test_replaced_units_have_a_data_set_of_their_own(path: Path) -> None:
    book = Accountant.create(path, dataset="replaced", epsilon=3.0, delta=DELTA, adjacency="replace-one")
    with pytest.raises(BudgetRefusedError, match="do not add up"):
        synthesizer().fit(Unread(), accountant=book)
    release = synthesizer(adjacency="replace-one").fit(ROWS, accountant=book)
    assert book.show()[0].spent == release.statement.spent > 0
