"""How a budget book stands up to kills, races and tampering.

    python -m benchmarks.reliability_book [kills] [rounds] > figures.json

Each function returns plain figures. A fit is killed with ``SIGKILL`` at a random instant between its start
and a little after its end; sixteen processes at once ask for the last of a budget; and a book is altered in
every way that a generator of such ways comes up with. Fits run on a tiny made-up table, in forked
children of a process that has everything imported, so that hundreds of them take a minute or two.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from dpsynth.accountant import Accountant
from dpsynth.accountant.records import canonical, hash_of
from dpsynth.errors import BookError, BudgetRefusedError, DpsynthError, VerificationError
from dpsynth.privacy.guarantee import Guarantee

ROOT = Path(__file__).resolve().parent.parent
DELTA = 1e-9
RACERS = 16
_STATEMENT = "ab" * 32

Alteration = Callable[[Path], None]


def kills(n: int, seed: int | None = None) -> dict[str, Any]:
    """Kill ``n`` fits with a book at random instants; after each, check the book.

    Returns:
        How many kills, where they struck, and what went wrong: ``unbooked`` (drawn, but not counted as
        spent), ``damaged`` (the book does not verify) and ``overspent``; all three must be 0.
    """
    return _in_a_process("kills", n, seed)


def races(rounds: int) -> dict[str, Any]:
    """Let sixteen processes at once ask for the last of a budget, so many times.

    Returns:
        Processes, grants, and ``overspent``: rounds in which more was granted than there was; must be 0.
    """
    return _in_a_process("races", rounds, None)


def tampered() -> dict[str, Any]:
    """Alter a book in every way of :func:`alterations`, one at a time.

    Returns:
        How many kinds; how many failed ``verify`` and refused a reservation; the names of those that did not.
    """
    missed, spent_from = [], []
    kinds = 0
    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder) / "original.db"
        sample_book(original)
        whole = original.read_bytes()
        for name, alter in alterations(original):
            kinds += 1
            path = Path(folder) / "altered.db"
            for beside in ("", "-wal", "-shm", "-journal"):
                path.with_name(path.name + beside).unlink(missing_ok=True)
            path.write_bytes(whole)
            alter(path)
            if _holds(path):
                missed.append(name)
            if _spends(path):
                spent_from.append(name)
    return {
        "kinds": kinds,
        "detected": kinds - len(missed),
        "refused_spending": kinds - len(spent_from),
        "missed": missed,
        "spent_from": spent_from,
    }


def sample_book(path: Path) -> None:
    """Make a book with two data sets, a release, a failed fit and an open reservation."""
    from dpsynth.privacy.acts import ExponentialMechanism, RoundedGaussian  # noqa: PLC0415  -- used here alone
    from dpsynth.privacy.ledger import Ledger  # noqa: PLC0415  -- likewise

    book = Accountant.create(path, dataset="visits", epsilon=3.0, delta=DELTA)
    Accountant.create(path, dataset="claims", epsilon=2.0, delta=DELTA, unit="patient", calculus="zcdp")
    for statement in (_STATEMENT, None):
        hold = _reserve(book, 1.0)
        ledger = Ledger(Guarantee(epsilon=1.0, delta=DELTA), "gdp")
        for sigma in (20.0, 30.0):
            act = RoundedGaussian(sigma=sigma, sensitivity_squared=1)
            ledger.charge(act, "one-way marginals", ("age",), 4)
        choice = ExponentialMechanism(epsilon=0.01, sensitivity=1, candidates=3)
        ledger.charge(choice, "choice of a pair", ("age", "ward"), 1)
        hold.commit(ledger.close(), statement=statement)
    _reserve(book, 0.5)


def alterations(original: Path) -> Iterator[tuple[str, Alteration]]:
    """Give every kind of alteration: a name, and what does it to a copy of the book."""
    with contextlib.closing(sqlite3.connect(original)) as connection:
        connection.row_factory = sqlite3.Row
        records = [dict(row) for row in connection.execute("SELECT * FROM records ORDER BY number")]
        objects = connection.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall()
    firsts = {
        kind: next(r for r in records if r["kind"] == kind)
        for kind in dict.fromkeys(r["kind"] for r in records)
    }
    for kind, record in firsts.items():
        yield from _edits(kind, record)
        yield from _content_edits(kind, record)
        number = record["number"]
        yield f"{kind}: deleted", _sql(f"DELETE FROM records WHERE number = {number}")
        yield (
            f"{kind}: exchanged with the next",
            _sql(
                f"UPDATE records SET number = -1 WHERE number = {number}",
                f"UPDATE records SET number = {number} WHERE number = {number + 1}",
                f"UPDATE records SET number = {number + 1} WHERE number = -1",
            ),
        )
        yield f"{kind}: there twice", _twice(record, records[-1])
    yield from _rewritten(firsts, records)
    last = records[-1]["number"]
    yield "last record cut off", _sql(f"DELETE FROM records WHERE number = {last}")
    yield "last five records cut off", _sql(f"DELETE FROM records WHERE number > {last - 5}")
    yield "all records cut off", _sql("DELETE FROM records")
    yield "head: number", _sql("UPDATE head SET number = number - 1")
    yield "head: hash", _sql(f"UPDATE head SET hash = '{'0' * 64}'")
    yield "head: gone", _sql("DELETE FROM head")
    for what, name in objects:
        yield f"{what} {name} dropped", _dropped(what, name)
    for name, statement in (
        ("a table added", "CREATE TABLE more (a)"),
        ("a view added", "CREATE VIEW more AS SELECT 1"),
        ("a trigger added", "CREATE TRIGGER more AFTER INSERT ON records BEGIN SELECT 1; END"),
        ("an index added", "CREATE INDEX more ON records (kind)"),
        ("a column added", "ALTER TABLE records ADD COLUMN more TEXT"),
        ("a column renamed", "ALTER TABLE records RENAME COLUMN at TO moment"),
        ("a table renamed", "ALTER TABLE records RENAME TO entries"),
        ("statistics added", "ANALYZE"),
    ):
        yield name, _plain(statement)
    yield "format version 0", _plain("PRAGMA user_version = 0")
    yield "a later format version", _plain("PRAGMA user_version = 9")
    yield "another application", _plain("PRAGMA application_id = 7")
    yield from _files()


def _edits(kind: str, record: dict[str, Any]) -> Iterator[tuple[str, Alteration]]:
    other = {
        "book": "dataset",
        "dataset": "book",
        "reservation": "act",
        "act": "reservation",
        "commit": "act",
    }
    values: dict[str, Any] = {
        "number": 10**6,
        "kind": other[kind],
        "dataset": 3 if record["dataset"] is not None else 2,
        "reservation": 2 if record["reservation"] is not None else 4,
        "at": "2001-01-01T00:00:00.000000Z",
        "content": record["content"].replace("1", "2", 1),
        "previous": "0" * 63 + "1",
        "hash": "f" * 64,
    }
    for column, value in values.items():
        shown = value if isinstance(value, int) else f"'{value}'"
        yield (
            f"{kind}: {column}",
            _sql(f"UPDATE records SET {column} = {shown} WHERE number = {record['number']}"),
        )


def _content_edits(kind: str, record: dict[str, Any]) -> Iterator[tuple[str, Alteration]]:
    """Give one edit of each field of a record, its hash made to fit; the next record's link is not."""
    content = json.loads(record["content"])
    for field, value in content.items():
        changed = canonical({**content, field: _other(value)})
        yield f"{kind}: {field}, and its hash", _replaced({**record, "content": changed})


def _other(value: Any) -> Any:
    if isinstance(value, str) and "/" in value:
        return f"{Fraction(value).numerator + 1}/{Fraction(value).denominator}"
    if isinstance(value, str):
        return ("0" if value[0] != "0" else "1") + value[1:]
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, list):
        return [*value, "more"]
    if isinstance(value, dict):
        return {**value, "more": 1}
    return "0" * 64


def _rewritten(
    firsts: dict[str, dict[str, Any]], records: list[dict[str, Any]]
) -> Iterator[tuple[str, Alteration]]:
    """Give alterations with all hashes and the head made to fit; what is said contradicts itself."""
    edits: list[tuple[str, str, dict[str, Any]]] = [
        ("dataset", "a larger budget", {"budget": "1/1"}),
        ("dataset", "a smaller epsilon for the same budget", {"epsilon": 0.1}),
        ("dataset", "a part of delta set aside", {"delta_aside": "1/1100000000"}),
        ("dataset", "another unit", {"unit": "patient"}),
        ("dataset", "another adjacency", {"adjacency": "replace-one"}),
        ("dataset", "another calculus", {"calculus": "zcdp"}),
        ("reservation", "a smaller cost", {"cost": "1/100000"}),
        ("reservation", "a smaller budget and cost", {"cost": "1/100000", "budget": "1/100000"}),
        ("reservation", "a smaller epsilon", {"epsilon": 0.1}),
        ("act", "a smaller price", {"price": "1/1000000"}),
        ("act", "a delta", {"delta_spent": "1/10000000000"}),
        ("act", "another number", {"number": 2}),
        ("commit", "a smaller cost", {"cost": "0/1"}),
        ("commit", "fewer acts", {"acts": 2}),
        ("commit", "another outcome", {"outcome": "failed"}),
    ]
    for kind, what, change in edits:
        number = firsts[kind]["number"]
        yield f"rewritten consistently: {kind} with {what}", _rewrite(number, change)
    for kind in ("act", "commit", "dataset"):
        yield f"rewritten consistently: {kind} left out", _rewrite(firsts[kind]["number"], None)
    partly = firsts["reservation"]["number"]
    yield "rewritten but for the head", _rewrite(partly, {"mechanism": "other"}, head=False)
    yield "rewritten but for the end", _rewrite(partly, {"mechanism": "other"}, until=len(records) - 2)


def _rewrite(
    number: int, change: dict[str, Any] | None, *, head: bool = True, until: int | None = None
) -> Alteration:
    """Change a record's content, or leave the record out, and make numbers and hashes fit from there on."""

    def alter(path: Path) -> None:
        with _without_triggers(path) as connection:
            connection.row_factory = sqlite3.Row
            rows = [dict(row) for row in connection.execute("SELECT * FROM records ORDER BY number")]
            connection.execute("DELETE FROM records")
            previous, at = "0" * 64, 0
            moved: dict[int, int] = {}
            for row in rows:
                if row["number"] == number and change is None:
                    continue
                if row["number"] == number and change is not None:
                    row["content"] = canonical({**json.loads(row["content"]), **change})
                at += 1
                moved[row["number"]] = at
                if until is None or at <= until:
                    for link in ("dataset", "reservation"):
                        row[link] = moved.get(row[link], row[link])
                    row["number"], row["previous"] = at, previous
                    row["hash"] = hash_of(**{k: v for k, v in row.items() if k != "hash"})
                previous = row["hash"]
                _insert(connection, row)
            if head:
                connection.execute("UPDATE head SET number = ?, hash = ?", (at, previous))

    return alter


def _insert(connection: sqlite3.Connection, row: dict[str, Any]) -> None:
    marks = ", ".join("?" for _ in row)
    connection.execute(f"INSERT INTO records ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def _replaced(record: dict[str, Any]) -> Alteration:
    own = hash_of(**{k: v for k, v in record.items() if k != "hash"})
    content = record["content"].replace("'", "''")
    return _sql(f"UPDATE records SET content = '{content}', hash = '{own}' WHERE number = {record['number']}")


def _twice(record: dict[str, Any], last: dict[str, Any]) -> Alteration:
    def alter(path: Path) -> None:
        row = {**record, "number": last["number"] + 1, "previous": last["hash"]}
        row["hash"] = hash_of(**{k: v for k, v in row.items() if k != "hash"})
        with _without_triggers(path) as connection:
            connection.execute("DROP INDEX one_commit")
            _insert(connection, row)
            connection.execute("UPDATE head SET number = ?, hash = ?", (row["number"], row["hash"]))
            with contextlib.suppress(sqlite3.IntegrityError):  # a second settlement has no place in the index
                connection.execute(
                    "CREATE UNIQUE INDEX one_commit ON records (reservation) WHERE kind = 'commit'"
                )

    return alter


@contextlib.contextmanager
def _without_triggers(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a book as somebody who takes its triggers away, and puts the same ones back."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, statement in triggers:
            connection.execute(statement)


def _sql(*statements: str) -> Alteration:
    def alter(path: Path) -> None:
        with _without_triggers(path) as connection:
            for statement in statements:
                connection.execute(statement)

    return alter


def _plain(statement: str) -> Alteration:
    def alter(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(statement)

    return alter


def _dropped(what: str, name: str) -> Alteration:
    return _plain(f"DROP {what.upper()} {name}")


def _files() -> Iterator[tuple[str, Alteration]]:
    """Give alterations of the bytes of the file."""

    def cut(part: Callable[[int], int]) -> Alteration:
        def alter(path: Path) -> None:
            whole = path.read_bytes()
            path.write_bytes(whole[: part(len(whole))])

        return alter

    def flipped(where: Callable[[bytes], int]) -> Alteration:
        def alter(path: Path) -> None:
            whole = bytearray(path.read_bytes())
            whole[where(bytes(whole))] ^= 1
            path.write_bytes(whole)

        return alter

    yield "file emptied", cut(lambda _: 0)
    yield "file cut in half", cut(lambda size: size // 2)
    yield "file cut by a page", cut(lambda size: size - 4096)
    yield "file cut by a byte", cut(lambda size: size - 1)
    yield "a bit of the magic flipped", flipped(lambda _: 3)
    yield "a bit of a hash flipped", flipped(lambda whole: whole.rindex(_STATEMENT.encode()) + 5)
    yield "a bit of a purpose flipped", flipped(lambda whole: whole.index(b"one-way"))
    yield "a bit of the schema flipped", flipped(lambda whole: whole.index(b"RAISE") + 1)


def _holds(path: Path) -> bool:
    try:
        return Accountant(path, wait=2.0).verify().passed
    except (VerificationError, BookError):
        return False


def _spends(path: Path) -> bool:
    try:
        _reserve(Accountant(path, wait=2.0), 0.01)
    except (VerificationError, BookError):
        return False
    except DpsynthError:
        return True
    return True


def _reserve(book: Accountant, epsilon: float) -> Any:
    guarantee = Guarantee(epsilon=epsilon, delta=DELTA)
    return book.reserve(guarantee, calculus="gdp", mechanism="none", dataset="visits")


def _in_a_process(what: str, n: int, seed: int | None) -> dict[str, Any]:
    """Run a part in a process of its own, that has one thread and so may be forked."""
    command = [sys.executable, "-m", "benchmarks.reliability_book", "part", what, str(n), json.dumps(seed)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _kill_fits(n: int, seed: int | None) -> dict[str, Any]:
    import pandas as pd  # noqa: PLC0415  -- in the forking process alone

    from dpsynth.schema import Schema  # noqa: PLC0415  -- likewise
    from dpsynth.synthesizer import Synthesizer  # noqa: PLC0415  -- likewise

    rows = pd.DataFrame({"a": [0, 1, 2, 3] * 50, "b": [0, 1] * 100, "c": [0, 0, 1, 1] * 50})
    synth = Synthesizer(
        Schema.from_domain({"a": 4, "b": 2, "c": 2}), epsilon=0.5, delta=DELTA, mechanism="independent"
    )
    rng = random.Random(seed)
    struck: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        book = Accountant.create(f"{folder}/book.db", dataset="visits", epsilon=1e3, delta=DELTA)
        fit = functools.partial(synth.fit, rows, accountant=book)
        fit()  # what is imported and compiled on first use is there in every child
        lengths = []
        for i in range(n):
            if i % 20 == 0:  # the machine may have other work too, so that fits take longer
                lengths.append(_forked(fit, rng, None)[1])
                known = {h.number for h in book.history()}
            acts, _ = _forked(fit, rng, lengths[-1])
            struck[_where_struck(book, known, acts, wrong)] += 1
    return {
        "kills": n,
        "fit_seconds": round(statistics.median(lengths), 3),
        "struck": dict(sorted(struck.items())),
        **{name: wrong[name] for name in ("unbooked", "damaged", "overspent")},
    }


def _forked(fit: Callable[..., object], rng: random.Random, length: float | None) -> tuple[int, float]:
    """Run a fit in a forked child and kill it at a random instant; return acts drawn, and how long it ran.

    Args:
        fit: Takes a function to report its progress to.
        rng: Chooses the instant: half of the time any within 1.2 times ``length``, half of the time just
            after one of the child's own steps, so that the short ones are struck as well.
        length: How long a whole fit takes, in seconds; None: this one is not killed.
    """
    from dpsynth.privacy import noise  # noqa: PLC0415  -- in the forking process alone

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        draw = noise.rounded_gaussian

        def drawing(size: int, sigma: float) -> Any:
            os.write(writing, b"d")
            return draw(size, sigma)

        noise.rounded_gaussian = drawing
        try:
            os.write(writing, b"s")
            fit(progress=lambda *_: os.write(writing, b"p"))
        finally:
            os._exit(0)
    os.close(writing)
    began, said = time.perf_counter(), os.read(reading, 1)
    if length is not None:
        if rng.random() < 0.5:
            time.sleep(rng.uniform(0, 1.2 * length))
        else:
            for _ in range(rng.randint(0, 9)):
                said += os.read(reading, 1)
            time.sleep(rng.uniform(0, 0.1 * length))
        os.kill(child, signal.SIGKILL)
    while part := os.read(reading, 4096):
        said += part
    os.waitpid(child, 0)
    os.close(reading)
    return said.count(b"d"), time.perf_counter() - began


def _where_struck(book: Accountant, known: set[int], acts: int, wrong: Counter[str]) -> str:
    """Check the book after a kill, and say where it struck."""
    if not book.verify().passed:
        wrong["damaged"] += 1
        return "damaged"
    (totals,) = book.show()
    if totals.spent > totals.budget:
        wrong["overspent"] += 1
    added = [h for h in book.history() if h.number not in known]
    known.update(h.number for h in added)
    if not added:
        if acts:
            wrong["unbooked"] += 1
        return "before the reservation"
    (booked,) = added
    if booked.state == "open":
        if booked.cost != booked.reserved:
            wrong["unbooked"] += 1
        return "reserved, and drawing" if acts else "reserved, nothing drawn"
    if len(booked.acts) < acts:
        wrong["unbooked"] += 1
    return "after the settlement"


def _race(rounds: int, _: int | None) -> dict[str, Any]:
    grants, overspent, fewest, most = 0, 0, RACERS, 0
    for _round in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            book = Accountant.create(f"{folder}/book.db", dataset="visits", epsilon=3.0, delta=DELTA)
            for _taken in range(2):
                _reserve(book, 1.0)  # five of sixteen can have one more
            gate, hold = os.pipe()
            children = [_racer(book, gate, hold) for _ in range(RACERS)]
            os.close(gate)
            os.close(hold)  # all start at once
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
            if set(codes) - {0, 3}:
                raise RuntimeError(f"a racer ended with {codes}")
            granted = codes.count(0)
            (totals,) = book.show()
            good = book.verify().passed and len(totals.open) == granted + 2 and totals.spent <= totals.budget
            overspent += not (good and granted <= 5)
            grants, fewest, most = grants + granted, min(fewest, granted), max(most, granted)
    return {
        "rounds": rounds,
        "processes": rounds * RACERS,
        "room_for": 5 * rounds,
        "grants": grants,
        "fewest_in_a_round": fewest,
        "most_in_a_round": most,
        "overspent": overspent,
    }


def _racer(book: Accountant, gate: int, hold: int) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(hold)
            os.read(gate, 1)  # until the parent closes the other end
            _reserve(book, 1.0)
            code = 0
        except BudgetRefusedError:
            code = 3
        finally:
            os._exit(code)
    return child


def main(arguments: list[str]) -> None:
    """Print the figures as JSON."""
    if arguments[:1] == ["part"]:
        part = {"kills": _kill_fits, "races": _race}[arguments[1]]
        found: dict[str, Any] = part(int(arguments[2]), json.loads(arguments[3]))
    else:
        numbers = [*map(int, arguments), *(200, 20)[len(arguments) :]]
        found = {"kills": kills(numbers[0]), "races": races(numbers[1]), "tampered": tampered()}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
