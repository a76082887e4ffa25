"""Files that are no book, books that cannot be opened, books from strangers: each a clear error."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import reliability_book
from dpsynth.accountant import Accountant, database
from dpsynth.accountant.records import FlawError, Record, canonical, content_of, fraction_of, hash_of
from dpsynth.accountant.replay import State, replaying
from dpsynth.errors import BookError, MissingFileError, VerificationError
from tests.accountant.conftest import DELTA, promise, reserve
from tests.conftest import ROOT

CREATE = {"dataset": "other", "epsilon": 1.0, "delta": DELTA}


def _text(path: Path) -> None:
    path.write_text("age,ward\n1,north\n" * 20, encoding="utf-8")


def _database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE people (name)")
        connection.commit()


def _newer(path: Path) -> None:
    Accountant.create(path, **CREATE)
    reliability_book._plain("PRAGMA user_version = 9")(path)


def _large(path: Path) -> None:
    Accountant.create(path, **CREATE)
    os.truncate(path, 2**33)


NO_BOOKS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "nothing": (lambda path: None, "there is no such budget book"),
    "a folder": (Path.mkdir, "this is no file"),
    "a pipe": (os.mkfifo, "this is no file"),
    "an empty file": (Path.touch, "the file is empty; if it was a budget book, restore it"),
    "a text": (_text, "no SQLite file"),
    "a short text": (lambda path: path.write_bytes(b"SQLite format 3\0"), "no SQLite file"),
    "another database": (_database, "this SQLite file is no budget book"),
    "a newer book": (_newer, "of format version 9, and this dpsynth reads up to 1; install a newer"),
    "a huge file": (_large, "bytes; 4294967296 is the limit"),
}


@pytest.mark.parametrize("name", NO_BOOKS)
def test_what_is_no_book_is_refused(path: Path, name: str) -> None:
    make, message = NO_BOOKS[name]
    make(path)
    book = Accountant(path)
    for ask in (book.show, book.history, book.verify, lambda: reserve(book), lambda: list(book.export())):
        with pytest.raises((BookError, MissingFileError), match=message):
            ask()
    if name not in ("nothing", "an empty file"):  # these become books
        with pytest.raises(BookError, match=message):
            Accountant.create(path, **CREATE)


def test_an_empty_file_becomes_a_book(path: Path) -> None:
    path.touch()
    assert Accountant.create(str(path), **CREATE).datasets == ("other",)
    assert Accountant(str(path)).path == path


def test_a_book_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BookError, match=r"there is no folder .*absent; create it first"):
        Accountant.create(tmp_path / "absent" / "book.db", **CREATE)


def test_a_locked_book_says_so(book: Accountant, path: Path) -> None:
    impatient = Accountant(path, wait=0.1)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BookError, match=r"kept the book locked for 0.1 seconds.*Nothing was written"):
            reserve(impatient)
        assert impatient.datasets == ("visits",)  # readers need not wait
    reserve(impatient)


def test_a_folder_that_may_not_be_written_to(book: Accountant, path: Path, tmp_path: Path) -> None:
    """As somebody without rights: what is imported lazily must be there before they are given up."""
    code = (
        "import os, sys\nfrom dpsynth.accountant import Accountant\n"
        "from dpsynth.privacy.guarantee import Guarantee\nfrom dpsynth.errors import BookError\n"
        "book, promise = Accountant(sys.argv[1]), Guarantee(epsilon=0.1, delta=1e-9)\n"
        "book.show(), promise.budget('gdp'), book.verify()\n"
        "if os.getuid() == 0:\n    os.setgid(65534); os.setuid(65534)\n"
        "assert book.verify().passed and book.datasets == ('visits',)\n"
        "for ask in (lambda: book.reserve(promise, calculus='gdp', mechanism='m'),\n"
        "            lambda: Accountant.create(sys.argv[1] + '2', dataset='a', epsilon=0.1, delta=1e-9)):\n"
        "    try:\n        ask()\n    except BookError as error:\n        print(error)\n"
    )
    readable = [tmp_path, *tmp_path.parents]
    modes = [(folder, folder.stat().st_mode) for folder in readable if folder.owner() == tmp_path.owner()]
    try:
        for folder, mode in modes:
            folder.chmod(mode | 0o555)
        tmp_path.chmod(0o555)
        path.chmod(0o444)
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for folder, mode in modes:
            folder.chmod(mode)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("may not be opened or written") == 2


def test_changes_beside_a_book_that_cannot_be_taken_up(
    book: Accountant, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log with changes, and no right to take them up: what could be read would be an older book."""
    connect = sqlite3.connect

    def readonly(where: str, **options: Any) -> sqlite3.Connection:
        if "mode=rw" in where:
            raise _error(sqlite3.SQLITE_CANTOPEN)
        return connect(where, **options)

    monkeypatch.setattr(database.sqlite3, "connect", readonly)
    assert book.datasets == ("visits",)
    path.with_name("book.db-wal").write_bytes(b"changes")
    with pytest.raises(BookError, match="copy the book with its -wal file elsewhere"):
        book.show()


def _error(code: int, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    error = kind("with a quote of the file")
    error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_SOMETHING"
    return error


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (_error(sqlite3.SQLITE_FULL), BookError, "the disk is full. Nothing was written"),
        (_error(sqlite3.SQLITE_IOERR | 5 << 8), BookError, "the file system failed"),
        (_error(sqlite3.SQLITE_CORRUPT, sqlite3.DatabaseError), FlawError, "damaged or cut short"),
        (UnicodeDecodeError("utf-8", b"\x80", 0, 1, "quote"), FlawError, "SQLite cannot read it"),
        (_error(sqlite3.SQLITE_ERROR), FlawError, r"SQLite cannot read it \(SQLITE_SOMETHING\)"),
        (sqlite3.OperationalError("Could not decode"), FlawError, r"cannot read it \(OperationalError\)"),
        (OSError(13, "Permission denied"), BookError, "book.db: Permission denied"),
        (OSError(), BookError, "book.db: OSError"),
    ],
)
def test_what_sqlite_says_is_explained(
    book: Accountant, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type, message: str
) -> None:
    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(database, "check_schema", failing)
    with pytest.raises(kind, match=message) as caught:
        book.show()
    assert "quote" not in str(caught.value)


def test_a_file_that_may_not_be_read(book: Accountant, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(BookError, match="may not be read: Permission denied"):
        book.show()


def test_an_old_sqlite_is_named(book: Accountant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database.sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(BookError, match="needs SQLite 3"):
        book.show()


@pytest.mark.parametrize("kind", ["nfs4", "cifs"])
def test_a_network_drive_is_no_place_to_spend_from(
    book: Accountant, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/a / ext4 rw 0 0\nserver:/x {tmp_path.resolve()} {kind} rw 0 0\n", encoding="utf-8"
    )
    monkeypatch.setattr(database, "_MOUNTS", mounts)
    with pytest.raises(BookError, match=rf"network drive \({kind}\), where locks cannot be relied upon"):
        reserve(book)
    with pytest.raises(BookError, match="network drive"):
        Accountant.create(tmp_path / "new.db", **CREATE)
    assert book.datasets == ("visits",)
    mounts.write_text("/dev/a / ext4 rw 0 0\n", encoding="utf-8")
    reserve(book)
    monkeypatch.setattr(database, "_MOUNTS", tmp_path / "absent")
    reserve(book)


def test_what_a_killed_process_left_beside_is_taken_up(book: Accountant, path: Path) -> None:
    """The log of a process that was killed after its commit holds the reservation."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            keep = sqlite3.connect(path)  # an open connection keeps the log from being folded in
            keep.execute("SELECT count(*) FROM records").fetchone()
            reserve(book)
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert path.with_name("book.db-wal").stat().st_size > 0
    assert len(book.show()[0].open) == 1
    assert book.verify().passed
    assert sorted(p.name for p in path.parent.iterdir()) == ["book.db"]


def test_a_making_that_was_stopped_is_undone(path: Path) -> None:
    """A hot journal beside a half-written file: SQLite takes it back, and a book is made anew."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA cache_spill = 1")
            connection.execute("PRAGMA cache_size = 1")
            connection.isolation_level = None
            connection.execute("BEGIN")
            connection.execute("CREATE TABLE half (a)")
            connection.executemany("INSERT INTO half VALUES (?)", [("x" * 4000,)] * 50)
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)
    os.waitpid(child, 0)
    assert path.with_name("book.db-journal").exists()
    assert Accountant.create(path, **CREATE).datasets == ("other",)


def test_a_second_maker_adds_to_the_first(path: Path) -> None:
    """Both found an empty file; the one that comes second finds a book in it."""
    path.touch()
    with database.creating(path, 5.0) as connection:
        assert database.stated_head(connection)[0] == 0
    before = path.read_bytes()
    assert before
    with pytest.raises(VerificationError, match="emptied"):
        Accountant.open(path)
    assert Accountant.create(path, **CREATE).datasets == ("other",)


class Rows:
    """Stands for a connection to a file that holds what SQLite would not have stored."""

    def __init__(self, *rows: tuple) -> None:
        self.rows = rows

    def execute(self, _: str) -> Rows:
        return self

    def __iter__(self) -> Any:
        return iter(self.rows)

    def fetchall(self) -> list:
        return list(self.rows)


def test_values_of_other_types_are_flaws() -> None:
    good = (1, "book", None, None, "at", "{}", "0", "0")
    for i, wrong in ((1, 5), (2, "x"), (3, 1.5), (5, b"x"), (7, None)):
        row = (*good[:i], wrong, *good[i + 1 :])
        with pytest.raises(FlawError, match="record 1 has a value of another type"):
            list(database.records_of(Rows(row)))
    for rows in ((), ((1, 0, "0"), (1, 0, "0")), ((2, 0, "0"),)):
        with pytest.raises(FlawError, match="does not state one head"):
            database.stated_head(Rows(*rows))
    with pytest.raises(FlawError, match="finds the file damaged"):
        database.check_pages(Rows(("page 3 is broken",)))


def test_a_record_of_nobody_is_found(book: Accountant) -> None:
    with database.reading(book.path, 1.0) as connection:
        database.check_pages(connection)

    class Orphaned(Rows):
        def execute(self, statement: str) -> Rows:
            return Rows(("ok",)) if "integrity" in statement else Rows(("records", 4, "records", 0))

    with pytest.raises(FlawError, match="belongs to one that is not there"):
        database.check_pages(Orphaned())


def _record(content: str, kind: str = "dataset", number: int = 2, **parts: Any) -> Record:
    values = {
        "number": number,
        "kind": kind,
        "dataset": None,
        "reservation": None,
        "at": "2026-01-01T00:00:00.000000Z",
        "content": content,
        "previous": "0" * 64,
        **parts,
    }
    return Record(**values, hash=hash_of(**values))


GOOD: dict[str, Any] = {
    "name": "n",
    "epsilon": 1.0,
    "delta": 1e-9,
    "unit": "row",
    "adjacency": "add-remove",
    "calculus": "gdp",
    "delta_aside": "0/1",
    "budget": "1/100",
}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("[" * 20_000, "not JSON"),
        ("[]", "not in canonical form"),
        (json.dumps(GOOD), "not in canonical form"),
        (canonical(GOOD)[:-1] + ',"unit":"row"}', "not in canonical form"),
        (canonical({**GOOD, "more": 1}), "not the fields of its kind"),
        (canonical({**GOOD, "name": "a\nb"}), "name is not one line"),
        (canonical({**GOOD, "epsilon": 1}), "epsilon is not a finite number"),
        (canonical({**GOOD, "epsilon": -1.0}), "epsilon is not a finite number"),
        (canonical({**GOOD, "epsilon": 1.0}).replace("1.0", "NaN"), "NaN is no number"),
        (canonical({**GOOD, "epsilon": 1.0}).replace("1.0", "1e999"), "Out of range float"),
        (canonical({**GOOD, "epsilon": 1}).replace(":1,", f":{'9' * 500},"), "more than 400 digits"),
        (canonical({**GOOD, "calculus": "rdp"}), "calculus is none of gdp"),
        (canonical({**GOOD, "budget": 0.5}), "not an exact fraction"),
        (canonical({**GOOD, "budget": "2/4"}), "not in lowest terms"),
        (canonical({**GOOD, "budget": "1/0"}), "not an exact fraction"),
        ("x" * (2**20 + 1), "more than 1048576 characters"),
    ],
)
def test_what_a_record_may_not_say(content: str, message: str) -> None:
    with pytest.raises(FlawError, match=message):
        content_of(_record(content))


@pytest.mark.parametrize(
    ("kind", "field", "value", "message"),
    [
        ("book", "id", "xyz", "id is not 32 hexadecimal digits"),
        ("book", "format", -1, "format is not a whole number"),
        ("act", "columns", "a", "columns is not a list of texts"),
        ("act", "columns", [1], "columns is not a list of texts"),
        ("act", "act", [], "act is not a mapping"),
        ("act", "cells", True, "cells is not a whole number"),
        ("commit", "statement", 5, "statement is not 64 hexadecimal digits"),
    ],
)
def test_fields_of_other_records(
    *, full: Any, path: Path, kind: str, field: str, value: Any, message: str
) -> None:
    with database.reading(full(path), 1.0) as connection:
        record = next(r for r in database.records_of(connection) if r.kind == kind)
    changed = canonical({**json.loads(record.content), field: value})
    with pytest.raises(FlawError, match=message):
        content_of(_record(changed, kind))


def test_unknown_kinds_and_amounts() -> None:
    with pytest.raises(FlawError, match="no known kind"):
        content_of(_record("{}", "gift"))
    with pytest.raises(ValueError, match="not an exact fraction"):
        fraction_of(5)


def _rewritten(path: Path, kind: str, change: dict[str, Any] | None = None, **parts: Any) -> None:
    """Rewrite a book consistently, with one record's content or parts changed."""
    with reliability_book._without_triggers(path) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("SELECT * FROM records ORDER BY number")]
        connection.execute("DELETE FROM records")
        connection.execute("DROP INDEX one_commit")
        previous = "0" * 64
        first = next(row for row in rows if row["kind"] == kind)
        first |= {"content": canonical({**json.loads(first["content"]), **(change or {})}), **parts}
        for row in rows:
            row["previous"] = previous
            row["hash"] = previous = hash_of(**{k: v for k, v in row.items() if k != "hash"})
            reliability_book._insert(connection, row)
        connection.execute("UPDATE head SET hash = ?", (previous,))
        connection.execute("CREATE UNIQUE INDEX one_commit ON records (reservation) WHERE kind = 'commit'")


@pytest.mark.parametrize(
    ("kind", "change", "parts", "message"),
    [
        ("book", {"format": 2}, {}, "states format 2"),
        ("book", {}, {"dataset": 1}, "names a data set or a reservation"),
        ("dataset", {}, {"dataset": 1}, "names a data set or a reservation"),
        ("dataset", {"name": "claims"}, {}, "opens a data set that is open already"),
        ("dataset", {"delta": 0.0}, {}, "calculus does not fit its delta"),
        ("dataset", {"delta_aside": "1/2"}, {}, "is from 0 to below it"),
        ("dataset", {"budget": "1000000000000000/1"}, {}, "budget is more than its epsilon"),
        ("reservation", {}, {"reservation": 1}, "names a reservation"),
        ("reservation", {}, {"dataset": 1}, "belongs to no data set"),
        ("reservation", {"calculus": "zcdp"}, {}, "has no exact price"),
        ("reservation", {"delta_aside": "1/2"}, {}, "is from 0 to below it"),
        ("reservation", {"epsilon": 0.5}, {}, "does not follow from its epsilon"),
        ("act", {"act": {"act": "Peek"}}, {}, "names an act this version does not know"),
        (
            "act",
            {"act": {"act": "RoundedGaussian", "sigma": 1.0, "sensitivity_squared": 1}},
            {},
            "its price is not",
        ),
        ("act", {}, {"reservation": 1}, r"belongs to no open reservation|stands among"),
        ("commit", {"outcome": "failed"}, {}, "a failed fit has none"),
        ("commit", {"acts": 9}, {}, "its sums are not those"),
        ("dataset", {}, {"at": "yesterday"}, "states no time"),
    ],
)
def test_books_that_contradict_themselves(
    *, full: Any, path: Path, kind: str, change: dict[str, Any], parts: dict[str, Any], message: str
) -> None:
    _rewritten(full(path), kind, change, **parts)
    with pytest.raises(VerificationError, match=message):
        Accountant(path).show()


def test_more_reserved_or_drawn_than_there_was(full: Any, path: Path) -> None:
    with database.reading(full(path), 1.0) as connection:
        records = list(database.records_of(connection))
    state = State()
    for _ in replaying(records, state):
        pass
    account = state.accounts[2]
    booking = account.bookings[4]
    from dpsynth.accountant import replay
    from dpsynth.accountant.records import Settled

    settled = Settled(
        acts=0, cost=booking.asked.cost * 2, delta_spent=booking.asked.cost * 0, outcome="x", statement=None
    )
    state.acts_cost = settled.cost
    with pytest.raises(FlawError, match="more was drawn than had been reserved"):
        replay._settle(records[-1], settled, account, booking, state)
    account.spent = account.terms.budget
    state.nonces.clear()
    with pytest.raises(FlawError, match="reserves more than was left"):
        replay._reserve(records[-1], booking.asked, account, state, "record 99")


def test_acts_without_an_end_and_strangers_among_them(full: Any, path: Path) -> None:
    with database.reading(full(path), 1.0) as connection:
        records = list(database.records_of(connection))
    act = next(i for i, r in enumerate(records) if r.kind == "act")
    with pytest.raises(FlawError, match="end without a settlement"):
        list(replaying(records[: act + 1], State()))
    stranger = _record(records[1].content, "dataset", records[act + 1].number, previous=records[act].hash)
    with pytest.raises(FlawError, match="stands among the acts"):
        list(replaying([*records[: act + 1], stranger], State()))
    with pytest.raises(FlawError, match="begins with its own record"):
        list(replaying([_record(records[1].content, "dataset", 1)], State()))


def test_limits_hold_for_books_from_strangers(full: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dpsynth.accountant import replay

    full(path)
    for name, message in (("MOST_RELEASES", "at most 1 releases"), ("MOST_DATASETS", "at most 1 data sets")):
        with monkeypatch.context() as limited:
            limited.setattr(replay, name, 1)
            with pytest.raises(VerificationError, match=message):
                Accountant(path).show()


@settings(max_examples=25)
@given(data=st.data())
def test_any_bytes_changed_end_in_a_documented_error(
    full: Any, tmp_path_factory: Any, data: st.DataObject
) -> None:
    """Bytes that SQLite itself does not use may change unnoticed; then the book still says the same."""
    path = full(tmp_path_factory.mktemp("bytes") / "book.db")
    whole = bytearray(path.read_bytes())
    before = "".join(Accountant(path).export())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    try:
        after = "".join(Accountant(path, wait=1.0).export())
    except (BookError, VerificationError):
        return
    assert after == before


def test_promises_are_checked_before_the_book_is_opened(path: Path) -> None:
    """A book that is absent is named, whatever is asked of it."""
    with pytest.raises(MissingFileError, match="no such budget book"):
        Accountant(path).reserve(promise(), calculus="gdp", mechanism="m")
