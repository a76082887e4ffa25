"""The chain of a book: read from the first record to the last, and made longer by one."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

from dpsynth.accountant import database
from dpsynth.accountant.records import (
    Begun,
    Content,
    Dataset,
    Drawn,
    FlawError,
    Record,
    Reserved,
    Settled,
    content_of,
    hash_of,
    text_of,
)
from dpsynth.accountant.replay import State, replaying
from dpsynth.errors import BookError

__all__ = ["check_head", "extend", "read"]

_KIND = {Begun: "book", Dataset: "dataset", Reserved: "reservation", Drawn: "act", Settled: "commit"}


def read(connection: sqlite3.Connection) -> State:
    """Read a whole book, checking all of it, and return what it adds up to.

    Raises:
        FlawError: something in it is not as it was written.
    """
    state = State()
    for _ in replaying(database.records_of(connection), state):
        pass
    check_head(connection, state)
    return state


def check_head(connection: sqlite3.Connection, state: State) -> None:
    """Compare the last record with what the file states of it beside the records.

    Raises:
        FlawError: they differ: records were cut off, or added past the file's own rules.
    """
    if database.stated_head(connection) != (state.number, state.head):
        raise FlawError(
            "head", f"the records end at {state.number}, which is not where the file says they do"
        )


def extend(
    connection: sqlite3.Connection,
    state: State,
    content: Content,
    *,
    dataset: int | None = None,
    reservation: int | None = None,
) -> Record:
    """Write the next record of a book, and move the state's number and head on to it.

    Args:
        connection: A book, open for writing.
        state: What was read from it in this transaction.
        content: What to record.
        dataset: Number of the data set's record, if it belongs to one.
        reservation: Number of the reservation's record, if it belongs to one.

    Raises:
        BookError: it could not be read back, so it is not written.
    """
    parts: dict[str, Any] = {
        "number": state.number + 1,
        "kind": _KIND[type(content)],
        "dataset": dataset,
        "reservation": reservation,
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "content": text_of(content),
        "previous": state.head,
    }
    record = Record(**parts, hash=hash_of(**parts))
    try:
        content_of(record)
    except FlawError as flaw:
        raise BookError(f"a budget book cannot hold this: {flaw.detail}. Nothing was written") from None
    database.append(connection, record)
    state.number, state.head = record.number, record.hash
    return record
