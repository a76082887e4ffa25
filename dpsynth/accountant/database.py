"""The SQLite file under a book: how it is opened, what it may hold, and what can be wrong with it.

The file itself forbids what a book never does: its triggers refuse to change or delete a record, and to
insert one that does not continue the chain. That stops accidents and careless tools. Whoever can write the
file can remove the triggers; then the text of the schema is no longer ours, and the book is refused.

A book can come from anyone. It is opened only if its first page says that it is a book; nothing in it is run,
since its schema is compared with ours before a table is read; and a record is at most 1 MiB.
"""

from __future__ import annotations

import functools
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from urllib.parse import quote

from dpsynth.accountant.records import KINDS, LARGEST_CONTENT, ORIGIN, FlawError, Record
from dpsynth.accountant.replay import FORMAT
from dpsynth.errors import BookError, DpsynthError, MissingFileError

__all__ = [
    "append",
    "check_pages",
    "check_schema",
    "creating",
    "reading",
    "records_of",
    "stated_head",
    "writing",
]

_APPLICATION = 0x64_70_73_62  # "dpsb", at byte 68 of an SQLite file
_LARGEST_FILE = 4 * 2**30
_MAGIC = b"SQLite format 3\x00"
_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "fuse.sshfs", "fuse.glusterfs", "lustre"}
_MOUNTS = Path("/proc/self/mounts")
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_TOOBIG)
_NOT_WRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)

_KINDS = ", ".join(f"'{kind}'" for kind in KINDS)
_SCHEMA = (
    f"""CREATE TABLE records (
  number INTEGER PRIMARY KEY CHECK (number > 0),
  kind TEXT NOT NULL CHECK (kind IN ({_KINDS})),
  dataset INTEGER REFERENCES records (number),
  reservation INTEGER REFERENCES records (number),
  at TEXT NOT NULL,
  content TEXT NOT NULL CHECK (length(content) <= {LARGEST_CONTENT}),
  previous TEXT NOT NULL CHECK (length(previous) = 64),
  hash TEXT NOT NULL CHECK (length(hash) = 64),
  CHECK ((dataset IS NULL) = (kind IN ('book', 'dataset'))),
  CHECK ((reservation IS NULL) = (kind NOT IN ('act', 'commit')))
) STRICT""",
    """CREATE TABLE head (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  number INTEGER NOT NULL,
  hash TEXT NOT NULL
) STRICT""",
    "CREATE UNIQUE INDEX one_commit ON records (reservation) WHERE kind = 'commit'",
    """CREATE TRIGGER records_are_not_changed BEFORE UPDATE ON records
BEGIN SELECT RAISE(ABORT, 'a record of a budget book is never changed'); END""",
    """CREATE TRIGGER records_are_not_deleted BEFORE DELETE ON records
BEGIN SELECT RAISE(ABORT, 'a record of a budget book is never deleted'); END""",
    """CREATE TRIGGER records_continue_the_chain BEFORE INSERT ON records
WHEN NEW.number IS NOT (SELECT number + 1 FROM head) OR NEW.previous IS NOT (SELECT hash FROM head)
BEGIN SELECT RAISE(ABORT, 'a record of a budget book continues its chain'); END""",
    """CREATE TRIGGER head_follows AFTER INSERT ON records
BEGIN UPDATE head SET number = NEW.number, hash = NEW.hash; END""",
    """CREATE TRIGGER head_only_moves_on BEFORE UPDATE ON head
WHEN NEW.one <> 1 OR NEW.number <> OLD.number + 1
  OR NOT EXISTS (SELECT 1 FROM records WHERE number = NEW.number AND hash = NEW.hash)
BEGIN SELECT RAISE(ABORT, 'the head of a budget book only moves on'); END""",
    """CREATE TRIGGER head_is_not_deleted BEFORE DELETE ON head
BEGIN SELECT RAISE(ABORT, 'the head of a budget book is never deleted'); END""",
    """CREATE TRIGGER head_is_one BEFORE INSERT ON head WHEN EXISTS (SELECT 1 FROM head)
BEGIN SELECT RAISE(ABORT, 'a budget book has one head'); END""",
)
_COLUMNS = tuple(field.name for field in fields(Record))


@contextmanager
def reading(path: Path, wait: float) -> Iterator[sqlite3.Connection]:
    """Open a book to look at it, as it is at one instant.

    Args:
        path: The file.
        wait: How long to wait for another process, in seconds.

    Raises:
        MissingFileError: there is nothing at ``path``.
        BookError: it is no book, or of a newer format, or locked, or cannot be read.
        FlawError: it is damaged.
    """
    with _explained(path, wait):
        _require_book(path)
        with _connected(path, wait, _way_to_read(path, wait)) as connection:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            check_schema(connection)
            yield connection


@contextmanager
def writing(path: Path, wait: float) -> Iterator[sqlite3.Connection]:
    """Open a book to add to it, alone, in one transaction: all that the block appends is kept, or nothing.

    What was kept is on the disk when the block has ended, whatever becomes of the process or the machine.

    Args:
        path: The file.
        wait: How long to wait for another process, in seconds.

    Raises:
        MissingFileError, BookError, FlawError: as :func:`reading`; ``BookError`` too for what cannot be
            written, and for a file on a network drive.
    """
    with _explained(path, wait):
        _require_book(path)
        _require_own_disk(path)
        with _connected(path, wait, "mode=rw") as connection:
            _keep_a_log(connection)
            connection.execute("BEGIN IMMEDIATE")
            check_schema(connection)
            yield connection
            connection.execute("COMMIT")


@contextmanager
def creating(path: Path, wait: float) -> Iterator[sqlite3.Connection]:
    """Open a book to add to it, as :func:`writing`; where there is none, an empty one is made first.

    Raises:
        BookError, FlawError: as :func:`writing`.
    """
    with _explained(path, wait):
        if path.with_name(f"{path.name}-journal").exists():  # somebody was stopped while making it
            with _connected(path, wait, "mode=rwc") as connection:
                connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        made = path.exists() and not (_is_file(path) and path.stat().st_size == 0)
    if made:
        with writing(path, wait) as connection:
            yield connection
        return
    with _explained(path, wait):
        if not path.absolute().parent.is_dir():
            raise BookError(f"{path}: there is no folder {path.absolute().parent}; create it first")
        _require_own_disk(path)
        with _connected(path, wait, "mode=rwc") as connection:
            connection.execute("BEGIN IMMEDIATE")
            if not _objects(connection):
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute("INSERT INTO head VALUES (1, 0, ?)", (ORIGIN,))
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {FORMAT}")
            check_schema(connection)
            yield connection
            connection.execute("COMMIT")
            _keep_a_log(connection)


def append(connection: sqlite3.Connection, record: Record) -> None:
    """Write a record at the end of the chain; the file's triggers refuse it anywhere else."""
    marks = ", ".join("?" for _ in _COLUMNS)
    values = [getattr(record, name) for name in _COLUMNS]
    connection.execute(f"INSERT INTO records ({', '.join(_COLUMNS)}) VALUES ({marks})", values)  # noqa: S608


def records_of(connection: sqlite3.Connection) -> Iterator[Record]:
    """Give every record, in order of its number, one at a time.

    Raises:
        FlawError: a value is not of its column's type.
    """
    query = f"SELECT {', '.join(_COLUMNS)} FROM records ORDER BY number"  # noqa: S608  -- names of our own
    for number, kind, dataset, reservation, at, content, previous, own in connection.execute(query):
        texts = all(isinstance(value, str) for value in (kind, at, content, previous, own))
        numbers = all(value is None or isinstance(value, int) for value in (dataset, reservation))
        if not texts or not numbers:
            raise FlawError("records", f"record {number} has a value of another type than its column's")
        yield Record(
            number=number,
            kind=kind,
            dataset=dataset,
            reservation=reservation,
            at=at,
            content=content,
            previous=previous,
            hash=own,
        )


def stated_head(connection: sqlite3.Connection) -> tuple[object, object]:
    """Return number and hash of the last record, as the file states them beside the records.

    Raises:
        FlawError: it states none, or several.
    """
    rows = connection.execute("SELECT one, number, hash FROM head LIMIT 2").fetchall()
    if len(rows) != 1 or rows[0][0] != 1:
        raise FlawError("head", "the file does not state one head")
    return rows[0][1], rows[0][2]


def check_schema(connection: sqlite3.Connection) -> None:
    """Compare the tables, indexes and triggers of a file with those of a book.

    Raises:
        FlawError: one is missing, superfluous or not ours.
    """
    if _objects(connection) != _our_objects():
        raise FlawError("schema", "a table, an index or a trigger of the book was changed, added or removed")


def check_pages(connection: sqlite3.Connection) -> None:
    """Let SQLite look through every page, index and constraint of a file.

    Raises:
        FlawError: something is damaged.
    """
    if connection.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
        raise FlawError("pages", "SQLite finds the file damaged")
    if connection.execute("PRAGMA foreign_key_check").fetchall():
        raise FlawError("pages", "a record belongs to one that is not there")


def _objects(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    query = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name LIMIT 100"
    return connection.execute(query).fetchall()


@functools.cache
def _our_objects() -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in _SCHEMA:
            connection.execute(statement)
        return _objects(connection)


def _way_to_read(path: Path, wait: float) -> str:
    """Return how a book can be opened: where its folder may not be written to, as one that nobody changes."""
    try:
        with _connected(path, wait, "mode=rw") as connection:
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        if _code(error) not in _NOT_WRITABLE or _has_changes_beside(path):
            raise
        return "mode=ro&immutable=1"
    return "mode=rw"


@contextmanager
def _connected(path: Path, wait: float, how: str) -> Iterator[sqlite3.Connection]:
    """Open a file; what was not committed when the block ends is undone."""
    if sqlite3.sqlite_version_info < (3, 37):
        raise BookError(f"a budget book needs SQLite 3.37 or newer; this Python has {sqlite3.sqlite_version}")
    where = f"file:{quote(str(path.absolute()))}?{how}"
    connection = sqlite3.connect(where, uri=True, timeout=wait, isolation_level=None)
    with closing(connection):
        _prepare(connection)
        yield connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 2 * LARGEST_CONTENT)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    for setting in (
        "trusted_schema = OFF",
        "foreign_keys = ON",
        "recursive_triggers = ON",
        "cell_size_check = ON",
        "mmap_size = 0",
        "synchronous = FULL",
        "fullfsync = ON",
    ):
        connection.execute(f"PRAGMA {setting}")


def _keep_a_log(connection: sqlite3.Connection) -> None:
    """Let readers read while one process writes (a write-ahead log).

    Changing to it needs the file alone; where that fails, the book is as safe without it, and the next time
    will do.
    """
    with suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = WAL").fetchone()


@contextmanager
def _explained(path: Path, wait: float) -> Iterator[None]:
    """Turn what SQLite raises into errors that say what to do."""
    try:
        yield
    except FlawError as flaw:
        raise FlawError(flaw.check, flaw.detail, path=str(path)) from None
    except DpsynthError:
        raise
    except UnicodeDecodeError:  # of a message of SQLite's that quotes the file
        raise FlawError("file", "SQLite cannot read it", path=str(path)) from None
    except sqlite3.Error as error:
        raise _in_our_words(error, path, wait) from None
    except OSError as error:
        raise BookError(f"{path}: {error.strerror or type(error).__name__}") from None


def _in_our_words(error: sqlite3.Error, path: Path, wait: float) -> DpsynthError:
    """Return an error that says what to do, and quotes nothing of the file."""
    code = _code(error)
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    if code in _LOCKED:
        return BookError(
            f"{path}: another process has kept the book locked for {wait:g} seconds; try again, or end "
            "that process. Nothing was written"
        )
    if code in _DAMAGED:
        return FlawError("file", "SQLite finds it damaged or cut short", path=str(path))
    if code in _NOT_WRITABLE:
        return BookError(
            f"{path}: the book, its folder or the files beside it (-wal, -shm) may not be opened or written; "
            "change their permissions, or copy the book with its -wal file elsewhere"
        )
    if code == sqlite3.SQLITE_FULL:
        return BookError(f"{path}: the disk is full. Nothing was written")
    if code == sqlite3.SQLITE_IOERR:
        return BookError(f"{path}: the file system failed ({name}). Nothing was written")
    return FlawError("file", f"SQLite cannot read it ({name})", path=str(path))


def _code(error: sqlite3.Error) -> int:
    """Return the primary result code of an error; -1 if it has none."""
    code = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else int(code) & 0xFF


def _require_book(path: Path) -> None:
    """Refuse, by the first page alone, what is no book of a format that this version reads."""
    if not path.exists():
        raise MissingFileError(f"{path}: there is no such budget book; make one with dpsynth budget create")
    if not _is_file(path):
        raise BookError(f"{path}: this is no file, hence no budget book")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(100)
    except OSError as error:
        raise BookError(f"{path}: may not be read: {error.strerror or type(error).__name__}") from None
    if size == 0:
        raise BookError(f"{path}: the file is empty; if it was a budget book, restore it from a backup")
    if not start.startswith(_MAGIC) or len(start) < 100:
        raise BookError(f"{path}: this is no SQLite file, hence no budget book")
    if int.from_bytes(start[68:72], "big") != _APPLICATION:
        raise BookError(f"{path}: this SQLite file is no budget book")
    version = int.from_bytes(start[60:64], "big")
    if version > FORMAT:
        raise BookError(
            f"{path}: the book is of format version {version}, and this dpsynth reads up to {FORMAT}; "
            "install a newer dpsynth"
        )
    if version < 1:
        raise FlawError("file", "the book states no format version")
    if size > _LARGEST_FILE:
        raise BookError(f"{path}: the book has {size} bytes; {_LARGEST_FILE} is the limit")


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.stat().st_mode)


def _has_changes_beside(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _require_own_disk(path: Path) -> None:
    """Refuse a book on a network drive, where locks cannot be relied upon and two could spend one budget."""
    if not _MOUNTS.exists():  # another system than Linux: docs/budget.md has to do
        return
    kinds = {}
    for line in _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
        _, where, kind, *_ = line.split(" ")
        kinds[Path(where.replace("\\040", " "))] = kind
    folder = path.absolute().parent.resolve()
    kind = next((kinds[place] for place in (folder, *folder.parents) if place in kinds), "")
    if kind in _NETWORK:
        raise BookError(
            f"{path}: the book is on a network drive ({kind}), where locks cannot be relied upon; keep it "
            "on a disk of the machine that runs the fits"
        )
