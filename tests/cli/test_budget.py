"""``dpsynth budget`` and ``fit --book``, as people use them."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Run

CREATE = ("budget", "create", "book.db", "--dataset", "visits", "--epsilon", "2", "--delta", "1e-9")
FIT = ("fit", "table.csv", "--schema", "schema.yaml", "--delta", "1e-9", "--mechanism", "independent")


def _fit(run: Run, out: str, epsilon: str = "1", *more: str) -> object:
    return run(*FIT, "--epsilon", epsilon, "--out", out, "--book", "book.db", *more)


@pytest.fixture
def booked(run: Run, folder: Path) -> Path:
    """A book with one release, ``one.dpsynth``."""
    assert run(*CREATE, "--quiet").exit_code == 0
    result = _fit(run, "one.dpsynth")
    assert result.exit_code == 0, result.output
    assert "book: book.db, data set visits: epsilon" in result.stdout
    return folder / "book.db"


WORKING = {
    "create": (*CREATE[:4], "claims", *CREATE[5:], "--unit-column", "patient", "--calculus", "zcdp"),
    "show": ("budget", "show", "book.db"),
    "history": ("budget", "history", "book.db", "--dataset", "visits"),
    "verify": ("budget", "verify", "book.db", "--release", "one.dpsynth"),
    "export": ("budget", "export", "book.db", "--out", "book.json"),
}


@pytest.mark.parametrize("name", WORKING)
def test_every_command_says_what_it_did(run: Run, booked: Path, name: str) -> None:
    result = run(*WORKING[name])
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert result.stdout.strip()
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", WORKING)
def test_quiet_is_silent_and_json_is_one_object(run: Run, booked: Path, name: str) -> None:
    assert run(*WORKING[name], "--help").exit_code == 0
    result = run("--json", *WORKING[name])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["book"] == "book.db"
    (booked.parent / "book.json").unlink(missing_ok=True)
    again = [part.replace("claims", "third") for part in WORKING[name]]
    result = run(*again, "-q")
    assert (result.exit_code, result.output) == (0, "")


def test_what_is_shown(run: Run, booked: Path) -> None:
    shown = run("budget", "show", "book.db").stdout
    assert "visits" in shown
    content = json.loads(run("budget", "show", "book.db", "--json").stdout)
    assert content["head"] in shown.replace("\n", "")
    (totals,) = content["datasets"]
    assert (totals["epsilon"], totals["releases"], totals["open"]) == (2.0, 1, [])
    assert 0.99 < totals["epsilon_spent"] <= 1.0
    told = run("budget", "history", "book.db").stdout
    assert "one-way marginals" in told
    assert "released" in told


def test_an_open_reservation_is_shown(run: Run, booked: Path) -> None:
    from dpsynth.accountant import Accountant
    from dpsynth.privacy.guarantee import Guarantee

    for _ in range(7):
        Accountant(booked).reserve(Guarantee(epsilon=0.1, delta=1e-9), calculus="gdp", mechanism="m")
    shown = " ".join(run("budget", "show", "book.db").stdout.split())
    assert "open in visits: record " in shown
    assert "and 1 more; under way or broken off, and counted in full" in shown


def test_there_is_no_room_for_more(run: Run, booked: Path) -> None:
    result = _fit(run, "two.dpsynth", "1.9")
    assert result.exit_code == 3
    assert "refuses: asked" in result.stderr
    assert "No row was read" in result.stderr
    assert not Path("two.dpsynth").exists()
    error = json.loads(_fit(run, "two.dpsynth", "1.9", "--json").stdout)["error"]
    assert (error["type"], error["exit_code"]) == ("BudgetRefusedError", 3)
    content = json.loads(_fit(run, "two.dpsynth", "1", "--dataset", "visits", "--json").stdout)
    assert content["book"]["releases"] == 2


def test_what_is_wrong_with_a_book_is_said_first(run: Run, booked: Path) -> None:
    for arguments, code, text in (
        (("--dataset", "vists"), 2, "no data set 'vists'; it has 'visits'"),
        (("--book", "absent.db"), 2, "no such budget book"),
        (("--book", "table.csv"), 2, "no SQLite file"),
        (("--book", "."), 2, "no file, hence no budget book"),
    ):
        result = _fit(run, "two.dpsynth", "1", *arguments)
        assert (result.exit_code, text in result.stderr) == (code, True), result.output
    result = run(*FIT, "--epsilon", "1", "--out", "two.dpsynth", "--dataset", "visits")
    assert (result.exit_code, "give --book as well" in result.stderr) == (2, True)
    result = run(*FIT, "--epsilon", "1", "--out", "book.db", "--book", "book.db", "--force")
    assert (result.exit_code, "would replace the input" in result.stderr) == (2, True)


def test_an_altered_book_ends_with_4(run: Run, booked: Path) -> None:
    connection = sqlite3.connect(booked)
    connection.execute("DROP TRIGGER records_are_not_changed")
    connection.commit()
    connection.close()
    for arguments in (("show", "book.db"), ("history", "book.db"), ("export", "book.db"), CREATE[1:3]):
        more = CREATE[3:] if arguments[0] == "create" else ()
        result = run("budget", *arguments, *more)
        assert (result.exit_code, "altered or damaged (schema" in result.stderr) == (4, True), result.output
    assert _fit(run, "two.dpsynth").exit_code == 4
    result = run("budget", "verify", "book.db")
    assert result.exit_code == 4
    assert "FAIL  schema" in result.stdout
    assert "nothing is spent from book.db" in " ".join(result.stdout.split())


def test_a_head_and_a_release_of_another_book(run: Run, booked: Path) -> None:
    head = json.loads(run("budget", "show", "book.db", "--json").stdout)["head"]
    assert _fit(run, "two.dpsynth").exit_code == 0
    assert run("budget", "verify", "book.db", "--head", head).exit_code == 0
    assert run("budget", "verify", "book.db", "--head", head[::-1]).exit_code == 4
    assert run("budget", "verify", "book.db", "--head", "abc").exit_code == 2
    result = run("budget", "verify", "book.db", "--release", "table.dpsynth")
    assert (result.exit_code, "names no book" in result.stdout) == (4, True)
    other = ("other.db" if part == "book.db" else part for part in CREATE)
    assert run(*other).exit_code == 0
    result = run("budget", "verify", "other.db", "--release", "two.dpsynth", "--json")
    assert result.exit_code == 4
    assert "another book" in json.loads(result.stdout)["checks"][-1]["detail"]


def test_exports(run: Run, booked: Path) -> None:
    content = json.loads(run("budget", "export", "book.db").stdout)
    assert content["records"][0]["kind"] == "book"
    assert run("budget", "export", "book.db", "-q").output == ""
    result = run("budget", "export", "book.db", "--format", "csv", "--out", "book.csv")
    assert result.exit_code == 0
    with Path("book.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(content["records"])
    assert run("budget", "export", "book.db", "--format", "csv").stdout.startswith("number,at,kind")
    assert run("budget", "export", "book.db", "--out", "book.csv").exit_code == 2
    result = run("budget", "export", "book.db", "--format", "csv", "--json")
    assert (result.exit_code, "name a file with --out" in result.stdout) == (2, True)
    assert run("budget", "export", "book.db", "--out", "book.db", "--force").exit_code == 2
