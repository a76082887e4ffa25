"""``suggest-max-rows``: what it prints, what it refuses, and that it says what it spent."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import GUARANTEE, Run

ASK = ("suggest-max-rows", "visits.csv", "--unit", "patient", *GUARANTEE)


@pytest.fixture
def visits(folder: Path) -> Path:
    units = [f"p{i}" for i in range(3000) for _ in range(1 + i % 3)]
    pd.DataFrame({"patient": units, "x": range(len(units))}).to_csv(folder / "visits.csv", index=False)
    return folder


def test_it_prints_histogram_bounds_and_what_was_spent(run: Run, visits: Path) -> None:
    result = run(*ASK, "--largest", 6, "--fit-epsilon", 50)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert "Rows per patient: a noisy histogram (sigma 5.5 in each count)" in result.stdout
    assert "6 or more" in result.stdout
    assert "Recommended: max_rows: 3" in result.stdout
    assert "Spent: epsilon 1 at delta 1e-09" in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


def test_its_json_holds_a_statement_of_its_own(run: Run, visits: Path) -> None:
    result = run(*ASK, "--json")
    said = json.loads(result.stdout)
    assert len(said["counts"]) == said["largest"] == 50
    assert said["statement"]["guarantee"] == {"epsilon": 1.0, "delta": 1e-9, "unit": "patient"}
    assert said["statement"]["epsilon_spent"] <= 1.0
    assert len(said["statement"]["ledger"]) == 1
    assert len(said["bounds"]) == 49


def test_quiet_prints_nothing(run: Run, visits: Path) -> None:
    assert run(*ASK, "--quiet").output == ""


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"--unit": "nobody"}, 2, "the data has no column 'nobody'"),
        ({"--epsilon": "0"}, 2, "epsilon=0.0 is outside"),
        ({"--delta": "2"}, 2, "delta=2.0 is outside"),
        ({"--largest": "1"}, 2, "largest=1 is not a whole number from 2 to 10,000"),
        ({"--cells": "-3"}, 2, "cells=-3"),
        ({"--unit": None}, 2, "Missing option '--unit'"),
        ({"--epsilon": None}, 2, "Missing option '--epsilon'"),
    ],
)
def test_wrong_requests_are_bad_input(
    run: Run, visits: Path, changes: dict[str, str | None], code: int, message: str
) -> None:
    terms = {"--unit": "patient", "--epsilon": "1", "--delta": "1e-9", **changes}
    words = [w for name, value in terms.items() if value is not None for w in (name, value)]
    result = run("suggest-max-rows", "visits.csv", *words)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())


def test_a_file_that_is_not_there_is_bad_input(run: Run, visits: Path) -> None:
    result = run("suggest-max-rows", "none.csv", "--unit", "patient", *GUARANTEE)
    assert result.exit_code == 2
    assert "none.csv: there is no such table" in result.stderr


def test_it_reserves_in_a_book(run: Run, visits: Path) -> None:
    made = ("budget", "create", "book.db", "--dataset", "visits", "--epsilon", "1.2", "--delta", "1e-9")
    assert run(*made, "--unit-column", "patient").exit_code == 0
    first = run(*ASK, "--book", "book.db")
    assert first.exit_code == 0, first.output
    assert "Book: book.db, data set visits: epsilon" in first.stdout
    second = run(*ASK, "--book", "book.db", "--dataset", "visits", "--json")
    assert second.exit_code == 3
    assert json.loads(second.stdout)["error"]["type"] == "BudgetRefusedError"
    assert run(*ASK, "--dataset", "visits").exit_code == 2
