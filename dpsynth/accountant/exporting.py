"""A book written out: as JSON, with every hash, or as lines for a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dpsynth.accountant import chain, database
from dpsynth.accountant.records import Content, Dataset, Record
from dpsynth.accountant.replay import State, replaying
from dpsynth.accountant.totals import totals_of
from dpsynth.errors import InputError

__all__ = ["export"]

_COLUMNS = (
    *("number", "at", "kind", "dataset", "reservation", "purpose", "act", "columns", "cells", "mechanism"),
    *("epsilon", "delta", "unit", "rows_per_unit", "adjacency", "calculus", "budget", "delta_aside", "cost"),
    *("price", "delta_spent", "acts", "outcome", "statement", "version", "previous", "hash"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(path: Path, wait: float, form: str) -> Iterator[str]:
    """Write out a whole book, piece by piece; it is checked as it is read.

    Raises:
        InputError: the form is neither ``"json"`` nor ``"csv"``.
        BookError, VerificationError: as :meth:`~dpsynth.accountant.Accountant.open`.
    """
    if form not in ("json", "csv"):
        raise InputError(f"form={form!r} is neither 'json' nor 'csv'")
    return _json(path, wait) if form == "json" else _csv(path, wait)


def _json(path: Path, wait: float) -> Iterator[str]:
    with database.reading(path, wait) as connection:
        state = State()
        before = '{\n "format": "dpsynth-book",\n "records": [\n'
        for record, _ in replaying(database.records_of(connection), state):
            yield f"{before}  {json.dumps(asdict(record) | {'content': json.loads(record.content)})}"
            before = ",\n"
        chain.check_head(connection, state)
    end = {
        "book": state.begun.id if state.begun else "",
        "head": {"number": state.number, "hash": state.head},
        "datasets": [totals_of(account).to_dict() for account in state.accounts.values()],
    }
    yield "\n ],\n " + json.dumps(end, indent=1)[2:].rstrip("}").rstrip() + "\n}\n"


def _csv(path: Path, wait: float) -> Iterator[str]:
    with database.reading(path, wait) as connection:
        yield _line(_COLUMNS)
        state = State()
        for record, content in replaying(database.records_of(connection), state):
            yield _line(_cells(record, content, state))
        chain.check_head(connection, state)


def _cells(record: Record, content: Content, state: State) -> list[str]:
    values: dict[str, Any] = {**json.loads(record.content), **asdict(record)}
    owner = state.accounts.get(record.dataset or 0)
    values["dataset"] = content.name if isinstance(content, Dataset) else owner.terms.name if owner else ""
    return [_cell(values.get(name)) for name in _COLUMNS]


def _cell(value: object) -> str:
    """Write a value as a cell that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(cells: tuple[str, ...] | list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
