"""What a statement says of a budget book: as JSON and back, and what cannot be true of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dpsynth.accountant import BookReference, Earlier
from dpsynth.errors import ReleaseError
from dpsynth.privacy.guarantee import gdp_budget
from dpsynth.release import booked
from dpsynth.release.booked import book_from_dict, book_lines, book_to_dict, unsound
from dpsynth.release.statement import Statement
from dpsynth.release.verify import verify
from tests.release.building import edited, members_of, rehashed, restated, tiny, zipped

COST = Fraction(gdp_budget(1.0, 1e-6))
EARLIER = Earlier(
    number=3, at="2026-01-01T00:00:00.000000Z", epsilon=0.5, delta=1e-6, cost=COST / 4, state="released"
)
BOOK = BookReference(
    book="0" * 32,
    dataset="visits",
    reservation=9,
    head="f" * 64,
    epsilon=3.0,
    delta=1e-6,
    calculus="gdp",
    budget=Fraction(gdp_budget(3.0, 1e-6)),
    cost=COST,
    earlier=(EARLIER, dataclasses.replace(EARLIER, number=5, state="open")),
)


def test_it_is_read_as_it_was_written() -> None:
    assert book_from_dict(json.loads(json.dumps(book_to_dict(BOOK)))) == BOOK
    assert unsound(BOOK, COST, "gdp") == ""
    statement = dataclasses.replace(tiny().statement, book=BOOK)
    again = Statement.from_dict(json.loads(json.dumps(statement.to_dict())))
    assert (again.book, again.digest) == (BOOK, statement.digest)
    assert statement.digest != tiny().statement.digest


EDITS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no head": (lambda c: c.pop("head"), "lacks 'head'"),
    "a key more": (lambda c: c.update(more=1), "does not know"),
    "a short id": (lambda c: c.update(id="0"), "its id is not 32 hexadecimal digits"),
    "a head of letters": (lambda c: c.update(head="z" * 64), "its head is not 64 hexadecimal digits"),
    "a calculus": (lambda c: c.update(calculus="rdp"), "its calculus is none of gdp"),
    "a data set of two lines": (lambda c: c.update(dataset="a\nb"), "dataset is not one line"),
    "an amount": (lambda c: c.update(cost={"exact": "2/4", "decimal": 0.5}), "not in lowest terms"),
    "a large amount": (lambda c: c.update(cost={"exact": f"{2**101}/1", "decimal": 1.0}), "above 2\\*\\*100"),
    "a state": (
        lambda c: c["earlier"][0].update(state="lost"),
        "earlier release 1 .* states no time, or no state",
    ),
    "a time": (lambda c: c["earlier"][1].update(at="soon"), "earlier release 2 .* states no time"),
    "a type": (lambda c: c["earlier"].append(5), "earlier release 3 .* is not an object"),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_is_no_reference_is_refused(name: str) -> None:
    edit, message = EDITS[name]
    content = book_to_dict(BOOK)
    edit(content)
    with pytest.raises(ReleaseError, match=message):
        book_from_dict(content)


def test_it_names_no_more_than_a_book_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(booked, "MOST_RELEASES", 1)
    with pytest.raises(ReleaseError, match="names more than 1 earlier releases"):
        book_from_dict(book_to_dict(BOOK))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reservation": 5}, "not numbered upwards"),
        ({"earlier": (EARLIER, EARLIER)}, "not numbered upwards"),
        ({"cost": COST / 2}, "what was reserved is not what the guarantee affords"),
        ({"calculus": "pure"}, "could not have been booked"),
        ({"budget": BOOK.budget * 2}, "budget is more than its epsilon and delta afford"),
        (
            {"earlier": (dataclasses.replace(EARLIER, cost=BOOK.budget),)},
            "comes to more than its data set may spend",
        ),
    ],
)
def test_what_cannot_be_true_is_found(change: dict[str, Any], message: str) -> None:
    assert message in unsound(dataclasses.replace(BOOK, **change), COST, "gdp")


def test_verify_holds_a_release_to_it(tmp_path: Path) -> None:
    release = tiny(epsilon=1.0)
    said = dataclasses.replace(release, statement=dataclasses.replace(release.statement, book=BOOK))
    said.save(tmp_path / "r.dpsynth")
    report = verify(tmp_path / "r.dpsynth")
    assert report.passed, str(report)
    members = members_of(tmp_path / "r.dpsynth")

    def cheaper(content: Any) -> None:
        content["book"]["cost"] = {"exact": "1/1000", "decimal": 0.001}

    forged = rehashed(restated(edited(members, "statement.json", cheaper)))
    failed = verify(zipped(forged, tmp_path / "f.dpsynth")).failed
    assert "budget book" in [check.name for check in failed]


def test_an_officer_reads_of_the_releases_before() -> None:
    lines = book_lines(BOOK)
    assert "0.5" in lines[1]
    assert [line.split(":")[0] for line in lines[1:]] == ["- record 3, 2026-01-01", "- record 5, 2026-01-01"]
    assert "spent or reserved by 2 earlier ones" in lines[0]
    many = tuple(dataclasses.replace(EARLIER, number=i) for i in range(2, 32))
    lines = book_lines(dataclasses.replace(BOOK, reservation=99, earlier=many))
    assert lines[1] == "The last 12 of 30 earlier releases:"
    assert len(lines) == 14
