"""A book that was altered fails ``verify``, and nothing is spent from it; kills and races change nothing."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path

import pytest

from benchmarks import reliability_book
from dpsynth.accountant import Accountant, Earlier
from dpsynth.errors import InputError, VerificationError
from tests.accountant.conftest import HASH, drawn, promise, reserve


def test_every_kind_of_tampering_is_noticed() -> None:
    found = reliability_book.tampered()
    assert (found["missed"], found["spent_from"]) == ([], [])
    assert found["kinds"] == found["detected"] == found["refused_spending"] >= 100


def test_an_untouched_book_passes(tmp_path: Path) -> None:
    """Guard of the guard: the same book, and one whose triggers were put back, are no tampering."""
    path = tmp_path / "book.db"
    reliability_book.sample_book(path)
    reliability_book._sql("SELECT 1")(path)
    assert reliability_book._holds(path)
    assert reliability_book._spends(path)
    assert Accountant(path).verify().passed


def test_racing_processes_never_overspend() -> None:
    found = reliability_book.races(1)
    assert (found["processes"], found["grants"], found["overspent"]) == (16, 5, 0)


def test_killed_fits_stay_spent() -> None:
    """The full number of kills is in benchmarks/results."""
    found = reliability_book.kills(12, seed=3)
    assert found["kills"] == sum(found["struck"].values()) == 12
    assert [found[name] for name in ("unbooked", "damaged", "overspent")] == [0, 0, 0]


def test_the_program_prints_its_figures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reliability_book, "tampered", lambda: {"kinds": 0})
    monkeypatch.setattr(reliability_book, "_in_a_process", lambda *a: list(a))
    reliability_book.main(["3"])
    assert json.loads(capsys.readouterr().out) == {
        "kills": ["kills", 3, None],
        "races": ["races", 20, None],
        "tampered": {"kinds": 0},
    }


class Statement:
    """Stands for a release's statement."""

    def __init__(self, book: object, digest: str = HASH) -> None:
        self.book, self.digest = book, digest


def _detail(book: Accountant, statement: Statement) -> str:
    (*_, check) = book.verify(releases={"r": statement}).checks
    assert check.passed is not True
    return check.detail


def test_a_release_shows_a_book_put_back(book: Accountant, path: Path) -> None:
    hold = reserve(book)
    reserved = path.read_bytes()
    hold.commit(drawn(promise()), statement=HASH)
    settled = path.read_bytes()
    later = reserve(book)
    later.commit(drawn(promise()), statement=HASH)
    first, second = Statement(hold.reference), Statement(later.reference)
    report = book.verify(releases={"first": first, "second": second})
    assert report.passed
    report.require_passed()
    assert _detail(book, Statement(hold.reference, "cd" * 32)).endswith(
        "settled with another statement than this one"
    )
    assert _detail(book, Statement(None)) == "it names no book: it was fitted without one"
    path.write_bytes(reserved)
    assert "never settled in this book, and yet there is a release" in _detail(book, first)
    path.write_bytes(settled)
    assert "this book ends with record 8: an older copy, or cut short" in _detail(book, second)
    with pytest.raises(VerificationError, match=r"the book does not hold: release r: .* Do not rely on it"):
        book.verify(releases={"r": second}).require_passed()
    reserve(book)  # goes on from the older copy, with the same number
    assert "has another hash than it names" in _detail(book, second)


def test_a_release_of_another_book_or_data_set(book: Accountant, path: Path, tmp_path: Path) -> None:
    other = Accountant.create(tmp_path / "other.db", dataset="visits", epsilon=3.0, delta=1e-9)
    hold = reserve(book)
    assert "names another book" in _detail(other, Statement(hold.reference))
    moved = dataclasses.replace(hold.reference, dataset="claims")
    assert "of data set 'claims', which this book has not" in _detail(book, Statement(moved))
    missing = dataclasses.replace(reserve(book).reference, earlier=())
    ghost = dataclasses.replace(missing, earlier=hold.reference.earlier + _ghost(99))
    assert "names earlier release 99" in _detail(book, Statement(ghost))


def _ghost(number: int) -> tuple:
    return (Earlier(number=number, at="", epsilon=1.0, delta=1e-9, cost=Fraction(1), state="open"),)


def test_a_head_written_down_is_found_or_missed(book: Accountant, path: Path) -> None:
    backup = path.read_bytes()
    reserve(book)
    head = book.head[1]
    reserve(book)
    assert book.verify(head=head).passed
    path.write_bytes(backup)
    (*_, check) = book.verify(head=head).checks
    assert (check.passed, check.name) == (False, "head elsewhere")
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        book.verify(head="abc")


def test_what_could_not_be_asked_is_no_pass(book: Accountant, path: Path) -> None:
    hold = reserve(book)
    reliability_book._sql("UPDATE records SET at = 'x' WHERE number = 2")(path)
    report = book.verify(head="0" * 64, releases={"r": Statement(hold.reference)})
    states = {check.name: check.passed for check in report.checks}
    assert states["schema"] is True
    assert states["chain"] is False
    assert states["acts"] is states["head elsewhere"] is states["release r"] is None
    assert (report.passed, report.head) == (False, None)
    assert json.loads(json.dumps(report.to_dict()))["passed"] is False
