"""What a book grants, refuses, settles and says."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from dpsynth.accountant import Accountant, Hold, admission
from dpsynth.accountant import accountant as accountant_module
from dpsynth.accountant import replay as replay_module
from dpsynth.accountant.pricing import delta_beside
from dpsynth.errors import (
    BookError,
    BudgetRefusedError,
    GuaranteeError,
    InputError,
    MissingFileError,
    VerificationError,
)
from dpsynth.privacy.acts import price
from dpsynth.privacy.guarantee import Guarantee, gdp_budget, gdp_delta, gdp_epsilon, zcdp_budget
from tests.accountant.conftest import DELTA, HASH, drawn, promise, reserve


def test_a_new_data_set_has_all_of_its_budget(book: Accountant) -> None:
    (totals,) = book.show()
    assert (totals.name, totals.epsilon, totals.delta) == ("visits", 3.0, DELTA)
    assert (totals.unit, totals.adjacency, totals.calculus) == ("row", "add-remove", "gdp")
    assert totals.budget == Fraction(gdp_budget(3.0, DELTA)) == totals.left
    assert (totals.spent, totals.reserved, totals.epsilon_spent, totals.open) == (0, 0, 0.0, ())
    assert 2.99 < totals.epsilon_left <= 3.0
    assert book.datasets == ("visits",)
    assert book.head[0] == 2


def test_a_reservation_counts_in_full_until_it_is_settled(book: Accountant) -> None:
    hold = reserve(book)
    whole = Fraction(gdp_budget(1.0, DELTA))
    (before,) = book.show()
    assert (before.spent, before.reserved, len(before.open)) == (whole, whole, 1)
    entries = drawn(promise())
    hold.commit(entries, statement=HASH)
    (after,) = book.show()
    assert after.spent == sum(e.price for e in entries) < whole
    assert (after.reserved, after.releases, after.open) == (0, 1, ())
    assert after.epsilon_spent == pytest.approx(gdp_epsilon(float(after.spent), DELTA), rel=1e-12)
    assert gdp_delta(after.spent, after.epsilon_spent) <= DELTA


def test_mu_squared_adds_not_epsilon(book: Accountant) -> None:
    """Seven releases of epsilon 1 fit in epsilon 3, and an eighth does not."""
    for _ in range(7):
        reserve(book)
    with pytest.raises(BudgetRefusedError, match="refuses") as refused:
        reserve(book)
    text = str(refused.value)
    for part in (
        "data set 'visits'",
        "asked 0.0331148 (epsilon 1, delta 1e-09)",
        "0.231804 of it reserved by 7",
    ):
        assert part in text
    assert "left 0.03288" in text
    assert "No row was read" in text
    assert book.show()[0].left == Fraction(gdp_budget(3.0, DELTA)) - 7 * Fraction(gdp_budget(1.0, DELTA))
    assert len(book.history()) == 7
    room = float(text.rsplit(" ", 1)[1])
    reserve(book, room)
    with pytest.raises(BudgetRefusedError, match=r"Lower epsilon, if anything is left|room for epsilon"):
        reserve(book, 0.2)


def test_all_of_a_budget_can_be_had_at_once(book: Accountant) -> None:
    reserve(book, 3.0)
    assert book.show()[0].left == 0
    assert book.show()[0].epsilon_left == 0.0
    with pytest.raises(BudgetRefusedError, match="Lower epsilon, if anything is left"):
        reserve(book, 0.001)


def test_what_was_not_drawn_is_given_back(book: Accountant) -> None:
    hold = reserve(book, 3.0)
    hold.commit((), statement=None)
    assert book.show()[0].spent == 0
    assert book.history()[0].state == "failed"
    reserve(book, 3.0)


def test_a_hold_settles_once(book: Accountant) -> None:
    hold = reserve(book)
    hold.commit(drawn(promise()), statement=HASH)
    with pytest.raises(BookError, match="reservation 3 is settled already"):
        hold.commit((), statement=None)


def test_only_what_the_followed_ledger_says_is_settled(book: Accountant) -> None:
    hold = reserve(book)
    hold.follow(Following(drawn(promise())))
    with pytest.raises(BookError, match="not those of the ledger that was followed"):
        hold.commit((), statement=HASH)
    assert book.history()[0].state == "open"


def test_more_than_was_reserved_is_not_settled(book: Accountant) -> None:
    hold = reserve(book, 0.5)
    with pytest.raises(BudgetRefusedError, match="come to more than was reserved"):
        hold.commit(drawn(promise(1.0)), statement=HASH)
    assert book.show()[0].reserved == Fraction(gdp_budget(0.5, DELTA))


class Following:
    """Stands for a curator."""

    def __init__(self, entries: tuple = ()) -> None:
        self.entries, self.closed = entries, False

    def close(self) -> tuple:
        self.closed = True
        return self.entries


def _fail(
    book: Accountant, curator: Following | None = None, before: Callable[[Hold], None] = lambda hold: None
) -> None:
    with reserve(book) as hold:
        if curator:
            hold.follow(curator)
        assert repr(hold) == "Hold('visits', reservation=3)"
        before(hold)
        raise KeyError("lost")


def test_an_error_settles_what_was_drawn_by_then(book: Accountant) -> None:
    curator = Following(drawn(promise()))
    with pytest.raises(KeyError, match="lost"):
        _fail(book, curator)
    assert curator.closed
    (told,) = book.history()
    assert (told.state, told.statement, len(told.acts)) == ("failed", None, 4)
    assert told.cost == sum(e.price for e in curator.entries)


def test_an_error_before_anyone_draws_leaves_all_spent(book: Accountant) -> None:
    with pytest.raises(KeyError):
        _fail(book)
    assert book.history()[0].state == "open"


def test_the_fits_error_is_shown_even_if_the_book_cannot_be_settled(book: Accountant, path: Path) -> None:
    with pytest.raises(KeyError):
        _fail(book, Following(), before=lambda _: path.unlink())
    assert not path.exists()


def test_leaving_without_a_commit_leaves_all_spent(book: Accountant) -> None:
    with reserve(book) as hold:
        hold.follow(Following())
    assert book.history()[0].state == "open"


def test_an_error_after_the_commit_changes_nothing(book: Accountant) -> None:
    with pytest.raises(KeyError):
        _fail(book, Following(), before=lambda hold: hold.commit((), statement=HASH))
    assert book.history()[0].state == "released"


def test_a_book_replaced_while_the_fit_ran_is_noticed(book: Accountant, path: Path) -> None:
    backup = path.read_bytes()
    hold = reserve(book)
    path.write_bytes(backup)
    with pytest.raises(BookError, match="reservation 3 is no longer in the book"):
        hold.commit((), statement=None)
    reserve(book)  # the number again, with another hash
    with pytest.raises(BookError, match="reservation 3 is no longer in the book"):
        hold.commit((), statement=None)


def test_history_says_what_every_act_was_for(book: Accountant) -> None:
    reserve(book).commit(drawn(promise()), statement=HASH)
    reserve(book)
    first, second = book.history("visits")
    assert first.purposes == {"one-way marginals": 3, "choice": 1}
    assert [a.columns for a in first.acts] == [("c0",), ("c1",), ("c2",), ("c0", "c1")]
    assert (first.statement, first.mechanism, first.calculus, first.rows_per_unit) == (
        HASH,
        "by-hand",
        "gdp",
        1,
    )
    assert (second.state, second.settled_at, second.acts) == ("open", None, ())
    told = json.loads(json.dumps(first.to_dict()))
    assert Fraction(told["cost"]["exact"]) == first.cost
    assert told["acts"][3]["act"]["act"] == "ExponentialMechanism"


def test_a_reference_names_the_releases_before(book: Accountant) -> None:
    reserve(book).commit(drawn(promise()), statement=HASH)
    reserve(book, 0.25)
    reference = reserve(book, 0.5).reference
    assert [(e.number, e.epsilon, e.state) for e in reference.earlier] == [
        (3, 1.0, "released"),
        (9, 0.25, "open"),
    ]
    assert reference.earlier[1].cost == Fraction(gdp_budget(0.25, DELTA))
    assert (reference.reservation, reference.head) == book.head
    assert (reference.dataset, reference.epsilon, reference.delta) == ("visits", 3.0, DELTA)


def test_books_hold_several_data_sets(book: Accountant, path: Path) -> None:
    Accountant.create(path, dataset="claims", epsilon=1.0, delta=DELTA)
    assert book.datasets == ("visits", "claims")
    reserve(book, 1.0, "claims")
    with pytest.raises(BudgetRefusedError, match="'claims'"):
        reserve(book, 1.0, "claims")
    reserve(book, 1.0, "visits")
    with pytest.raises(InputError, match="has 2 data sets; name one: visits, claims"):
        reserve(book, 1.0, None)
    with pytest.raises(InputError, match="has no data set 'visit'; it has 'visits', 'claims'"):
        reserve(book, 1.0, "visit")
    assert [h.dataset for h in book.history()] == ["claims", "visits"]
    assert [h.dataset for h in book.history("visits")] == ["visits"]


def test_one_data_set_need_not_be_named(book: Accountant) -> None:
    assert reserve(book, 1.0, None).reference.dataset == "visits"


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        ({"dataset": "visits"}, InputError, "'visits' has its budget already, which is for good"),
        ({"dataset": ""}, InputError, "name is one line of 1 to 200"),
        ({"dataset": "a\nb"}, InputError, "name is one line"),
        ({"dataset": "x" * 201}, InputError, "name is one line"),
        ({"unit": ""}, InputError, "privacy unit is 'row' or the name of a column"),
        ({"adjacency": "swap"}, InputError, "neither 'add-remove' nor 'replace-one'"),
        ({"calculus": "rdp"}, InputError, "calculus='rdp' is not for delta=1e-09"),
        ({"calculus": "pure"}, InputError, "calculus='pure' is not for delta=1e-09"),
        ({"epsilon": 0.0}, GuaranteeError, "epsilon"),
        ({"epsilon": math.nan}, GuaranteeError, "epsilon"),
        ({"delta": 1.0}, GuaranteeError, "delta"),
        ({"delta_aside": 1e-9}, GuaranteeError, "set aside"),
        ({"delta_aside": -1e-12}, GuaranteeError, "set aside"),
        ({"delta_aside": math.inf}, GuaranteeError, "set aside of delta is a number"),
        ({"delta_aside": "much"}, GuaranteeError, "set aside of delta is a number"),
    ],
)
def test_what_is_no_budget_is_refused(
    book: Accountant, path: Path, wrong: dict, error: type, match: str
) -> None:
    before = book.head
    with pytest.raises(error, match=match):
        Accountant.create(path, **{"dataset": "other", "epsilon": 1.0, "delta": DELTA, **wrong})
    assert book.head == before


def test_a_wrong_budget_makes_no_file(path: Path) -> None:
    with pytest.raises(GuaranteeError):
        Accountant.create(path, dataset="a", epsilon=-1.0, delta=DELTA)
    assert not path.exists()


def test_another_unit_or_adjacency_is_refused(book: Accountant, path: Path) -> None:
    Accountant.create(path, dataset="people", epsilon=3.0, delta=DELTA, unit="patient")
    with pytest.raises(
        BudgetRefusedError, match=r"protects one row .* and this fit all rows of one 'patient'"
    ):
        book.reserve(promise(unit="patient"), calculus="gdp", mechanism="m", dataset="visits")
    with pytest.raises(BudgetRefusedError, match=r"all rows of one 'patient' .* and this fit one row"):
        reserve(book, 1.0, "people")
    for rows in (1, 5):  # either bound protects all rows of one unit
        book.reserve(
            promise(unit="patient", rows_per_unit=rows), calculus="gdp", mechanism="m", dataset="people"
        )
    Accountant.create(path, dataset="replaced", epsilon=3.0, delta=DELTA, adjacency="replace-one")
    with pytest.raises(
        BudgetRefusedError, match=r"one row \(replace-one\), and this fit one row \(add-remove\)"
    ):
        reserve(book, 1.0, "replaced")


def test_calculi_add_up_where_they_can(book: Accountant, path: Path) -> None:
    with pytest.raises(BudgetRefusedError, match=r"discrete Gaussian has no exact price .* calculus is zcdp"):
        book.reserve(promise(), calculus="zcdp", mechanism="m", dataset="visits")
    Accountant.create(path, dataset="both", epsilon=3.0, delta=DELTA, calculus="zcdp")
    hold = reserve(book, 1.0, "both")
    book.reserve(promise(), calculus="zcdp", mechanism="m", dataset="both")
    totals = book.show("both")[0]
    assert totals.budget == Fraction(zcdp_budget(3.0, DELTA))
    assert totals.spent == Fraction(gdp_budget(1.0, DELTA)) / 2 + Fraction(zcdp_budget(1.0, DELTA))
    entries = drawn(promise())
    hold.commit(entries, statement=HASH)
    (told, _) = book.history("both")
    assert [a.price for a in told.acts[:3]] == [e.price / 2 for e in entries[:3]]
    assert told.acts[3].price == price(entries[3].act, "zcdp")  # by its own price, not by way of GDP
    assert told.acts[3].price < entries[3].price / 2  # the exponential mechanism by its own price


def test_a_delta_is_set_aside_for_all_releases_beforehand(book: Accountant, path: Path) -> None:
    aside = Fraction(DELTA) / 8
    with pytest.raises(
        BudgetRefusedError, match=r"sets aside 1.25e-10 of its delta .* left of 0.* --delta-aside"
    ):
        book.reserve(promise(), calculus="gdp", mechanism="m", delta_aside=aside)
    Accountant.create(path, dataset="found", epsilon=3.0, delta=DELTA, delta_aside=DELTA / 4)
    for _ in range(2):
        book.reserve(promise(), calculus="gdp", mechanism="m", delta_aside=aside, dataset="found")
    totals = book.show("found")[0]
    assert totals.budget == Fraction(gdp_budget(3.0, delta_beside(DELTA, Fraction(DELTA / 4))))
    assert totals.delta_spent == totals.delta_aside == Fraction(DELTA / 4)
    with pytest.raises(BudgetRefusedError, match="sets aside"):
        book.reserve(promise(), calculus="gdp", mechanism="m", delta_aside=aside, dataset="found")
    reserve(book, 1.0, "found")
    assert gdp_delta(totals.spent, totals.epsilon_spent) + totals.delta_aside <= DELTA


def test_limits_of_a_book(book: Accountant, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accountant_module, "MOST_DATASETS", 1)
    with pytest.raises(InputError, match="at most 1 data sets"):
        Accountant.create(path, dataset="other", epsilon=1.0, delta=DELTA)
    reserve(book)
    monkeypatch.setattr(admission, "MOST_RELEASES", 1)
    with pytest.raises(BudgetRefusedError, match="the book has 1 releases, the most it keeps"):
        reserve(book)
    monkeypatch.setattr(replay_module, "MOST_RECORDS", 2)
    with pytest.raises(VerificationError, match="at most 2 records"):
        book.show()


def test_what_a_book_could_not_read_back_is_not_written(book: Accountant) -> None:
    with pytest.raises(BookError, match=r"cannot hold this: .*mechanism is not one line"):
        book.reserve(promise(), calculus="gdp", mechanism="two\nlines")
    assert book.history() == ()


def test_opening_says_what_is_wrong(tmp_path: Path, book: Accountant, path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such budget book; make one with dpsynth budget create"):
        Accountant.open(tmp_path / "absent.db")
    assert Accountant.open(path).datasets == ("visits",)


def test_an_export_has_everything(book: Accountant) -> None:
    Accountant.create(book.path, dataset="=1+1", epsilon=1.0, delta=DELTA)
    reserve(book).commit(drawn(promise()), statement=HASH)
    whole = json.loads("".join(book.export("json")))
    assert whole["format"] == "dpsynth-book"
    assert [r["number"] for r in whole["records"]] == list(range(1, 10))
    assert (whole["head"]["number"], whole["head"]["hash"]) == book.head
    assert whole["datasets"] == [t.to_dict() for t in book.show()]
    assert whole["records"][-1]["content"]["statement"] == HASH
    lines = list(csv.DictReader(io.StringIO("".join(book.export("csv")))))
    assert [line["kind"] for line in lines] == [
        "book",
        "dataset",
        "dataset",
        "reservation",
        *["act"] * 4,
        "commit",
    ]
    assert lines[2]["dataset"] == "'=1+1"  # no spreadsheet takes it for a formula
    assert {line["dataset"] for line in lines[3:]} == {"visits"}
    assert lines[4]["purpose"] == "one-way marginals"
    assert lines[-1]["hash"] == book.head[1]
    with pytest.raises(InputError, match="neither 'json' nor 'csv'"):
        book.export("xml")


def test_guarantees_beyond_what_adds_up_are_refused(book: Accountant) -> None:
    with pytest.raises(BudgetRefusedError):
        book.reserve(Guarantee(epsilon=1e4, delta=DELTA), calculus="gdp", mechanism="m")
