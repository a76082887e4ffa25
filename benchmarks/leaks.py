"""Everything that leaves a fit of a planted table, by every road, searched for canaries."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd

import dpsynth
from benchmarks.canary import DAY, NUMBER, TEXT, UNIT, Haul, open_schema, schema, tables
from dpsynth import Schema, Synthesizer, load, suggest_max_rows, verify
from dpsynth.data import Codec, draft_schema, open_source
from dpsynth.errors import DpsynthError
from dpsynth.privacy.curator import Curator

__all__ = ["commands", "failures", "fits", "in_process", "objects", "purchases", "run"]

_GUARANTEE = {"epsilon": 2.0, "delta": 1e-9}
Command = Callable[[list[str]], tuple[int, bytes]]


def fits(haul: Haul, sources: dict[str, Any], folder: Path, mechanisms: tuple[str, ...]) -> int:
    """Fit every source, each with one mechanism in turn; search all that comes of it. Return how many."""
    for i, (kind, data) in enumerate(sources.items()):
        steps: list[str] = []
        with haul.listening(kind):
            mechanism = mechanisms[i % len(mechanisms)]
            synth = Synthesizer(schema(), **_GUARANTEE, mechanism=mechanism)
            release = synth.fit(
                data, progress=lambda name, share, steps=steps: steps.append(f"{name} {share}")
            )
            path = folder / f"release{i}.dpsynth"
            release.save(path)
            release.save(folder / f"release{i}")
            sampled = release.sample(30, seed=1)
        for piece in (synth, synth.plan(), steps, release, release.statement, release.model, sampled):
            haul.add(kind, piece)
            haul.add(kind, repr(piece))
        for measured in release.measurements:
            haul.add(kind, measured.values.tobytes())  # noqa: PD011  -- no frame
            haul.add(kind, repr(measured))
        haul.add(kind, json.dumps([release.statement.to_dict(), release.layout.to_dict()]))
        haul.add(kind, verify(path))
        haul.add(kind, load(path).sample(20, seed=2))
        haul.add(kind, schema().to_yaml())
        with haul.listening(kind):
            bought = suggest_max_rows(data, "who", **_GUARANTEE)
        haul.add(kind, bought)
        haul.add(kind, repr(bought) + json.dumps(bought.to_dict()))
        haul.add_files(folder / f"release{i}")
        haul.add(path.name, path)
    return len(sources)


def purchases(haul: Haul, sources: dict[str, Any], folder: Path) -> int:
    """Fit every source with a domain that is bought; search all that comes of it. Return how many."""
    for i, (kind, data) in enumerate(sources.items()):
        with haul.listening(f"{kind}, bought"):
            synth = Synthesizer(open_schema(), **_GUARANTEE, mechanism="independent")
            release = synth.fit(data)
            path = folder / f"bought{i}"
            release.save(path)
        for piece in (
            synth,
            synth.plan(),
            release.schema.to_yaml(),
            release.statement,
            release.sample(30, seed=1),
        ):
            haul.add(f"{kind}, bought", piece)
        haul.add(f"{kind}, bought", verify(path))
        haul.add_files(path)
    return len(sources)


def objects(haul: Haul, sources: dict[str, Any]) -> int:
    """Look at every object that holds rows as a debugger or a pickler would; return how many refusals."""
    refused = 0
    for kind, data in sources.items():
        source = open_source(data)
        codec = Codec(schema())
        table = codec.encode(source)
        curator = Curator(table, Synthesizer(schema(), **_GUARANTEE).guarantee)
        for holder in (source, codec, table, curator, source.cells("who"), source.cells("note")):
            for form in (repr, str, ascii, "{}".format):
                haul.add(f"{kind}: {type(holder).__name__}", form(holder))
        for holder in (source, table, curator):
            for look in (pickle.dumps, copy.deepcopy, json.dumps, bytes, list, len):
                try:
                    look(holder)  # type: ignore[operator]
                except Exception as error:  # noqa: BLE001  -- that it is refused is what is wanted
                    haul.add_error(f"{kind}: {type(holder).__name__}", error)
                    refused += 1
                else:
                    if look is not copy.deepcopy or holder is not source:  # a source holds the caller's table
                        haul.found.append(
                            f"{kind}: {look.__name__} of {type(holder).__name__} was not refused"
                        )
    return refused


def failures(haul: Haul, sources: dict[str, Any], folder: Path) -> int:
    """Make fits fail in every way we know of, and search what the errors show and keep; return how many."""
    count = 0
    for name, attempt in (*_broken(folder, sources), *_unforeseen(sources)):
        with haul.listening(name):
            try:
                attempt()
            except BaseException as error:  # noqa: BLE001  -- whatever it is, it is searched
                failed: BaseException | None = error
            else:
                failed = None
        if failed is None:
            haul.found.append(f"{name}: did not fail")
        else:
            haul.add_error(name, failed)
        count += 1
    return count


def _fit(data: Any, content: Schema | None = None) -> Any:
    return Synthesizer(content or schema(), **_GUARANTEE, mechanism="independent").fit(data)


def _broken(folder: Path, sources: dict[str, Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Give tables that cannot be fitted, for reasons that may be seen."""
    whole = (folder / "planted.parquet").read_bytes()
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")  # where the footer begins
    gz = (folder / "planted.csv.gz").read_bytes()
    text = (folder / "planted.csv").read_text(encoding="utf-8")
    files = {
        "cut.parquet": whole[: len(whole) // 2],
        "damaged.parquet": whole[:4] + bytes(end - 4) + whole[end:],
        "cut.csv.gz": gz[: len(gz) // 2],
        "utf16.csv": text.encode("utf-16"),
        "bare.csv": text.partition("\n")[2].encode(),
        "doubled.csv": f"{TEXT},{TEXT}\n1,2\n".encode(),
        "quote.csv": b'"' + TEXT.encode() * 40_000,
        "empty.csv": b"",
        "other.xlsx": TEXT.encode(),
    }
    for name, content in files.items():
        path = folder / name
        path.write_bytes(content)
        yield name, lambda path=path: _fit(path)
        yield f"{name}: draft", lambda path=path: _drafted(path)
        yield f"{name}: suggest", lambda path=path: suggest_max_rows(path, "who", **_GUARANTEE)
    frame = sources["pandas of units"]
    yield "no unit", lambda: _fit(frame.drop(columns="who"))
    yield "no column", lambda: _fit(frame.drop(columns="integer_clip"))
    yield "no table", lambda: _fit([TEXT])
    yield "no table but a dict", lambda: _fit({TEXT: NUMBER})
    yield "marked", lambda: _fit(frame, Schema.loads(_marked()))
    lazy = sources["polars lazy"]
    import polars as pl  # noqa: PLC0415  -- lazy: only here

    def fails(_column: Any) -> Any:
        raise ValueError(TEXT)

    yield "lazy", lambda: _fit(lazy.with_columns(pl.col("who").map_batches(fails, return_dtype=pl.String)))
    yield "lazy cast", lambda: _fit(lazy.with_columns(pl.col("who").cast(pl.Int64)))


def _drafted(path: Path) -> None:
    """Draft a schema, and fail: a draft is private, and is not searched."""
    draft_schema(path)
    raise DpsynthError("drafted")


def _marked() -> str:
    return schema().to_yaml().replace("values: [", f"values: !REVIEW [{TEXT}, ", 1)


_POINTS = (
    *("dpsynth.data.source._pandas_cells", "dpsynth.data.codec.unit_ids", "dpsynth.data.codec.keep_rows"),
    *("dpsynth.data.labels.LabelCoder.encode", "dpsynth.data.numeric.NumericCoder.encode"),
    *("dpsynth.privacy.sealed.CodedTable.__init__", "dpsynth.data.bounding.factored"),
    *("dpsynth.privacy.curator.count_tables", "dpsynth.data.source.factor_objects"),
)


def _unforeseen(sources: dict[str, Any]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Give fits in which a library fails and quotes a cell; inside the door, one that cannot quote."""
    frame = sources["pandas of units"]
    for point in _POINTS:
        inside = "count_tables" in point
        for error in (KeyError, UnicodeDecodeError, MemoryError, KeyboardInterrupt):
            if inside and error in {KeyError, UnicodeDecodeError}:
                continue  # counting holds codes, never cells: there is no text to quote

            def fails(*_arguments: Any, error: Any = error, **_more: Any) -> Any:
                held = (TEXT, NUMBER, DAY)
                if error is UnicodeDecodeError:
                    raise UnicodeDecodeError("utf-8", TEXT.encode(), 0, 1, f"{held}")
                if error is KeyError:
                    made = KeyError(*held)
                    made.add_note(UNIT)
                    raise made
                raise error

            def attempt(point: str = point, fails: Any = fails) -> Any:
                with mock.patch(point, fails):
                    return _fit(frame)

            yield f"{point}: {error.__name__}", attempt


def commands(haul: Haul, folder: Path, command: Command) -> int:
    """Run every command on the planted table; search output and files, but for the draft. Return how many."""
    (folder / "schema.yaml").write_text(schema().to_yaml(), encoding="utf-8")
    with_errors = pd.read_csv(folder / "planted.csv", dtype=str, nrows=50)
    with_errors.to_csv(folder / "headless.csv", index=False, header=False)
    terms = ["--epsilon", "2", "--delta", "1e-9"]
    to_book = ["--dataset", "d0", "--out", "booked.dpsynth", "--force"]
    asked = [
        ["schema", "draft", "planted.csv", "--out", "draft.yaml", "--force"],
        ["schema", "check", "schema.yaml", "planted.csv"],
        ["schema", "check", "schema.yaml", "headless.csv"],
        ["schema", "check", "draft.yaml", "planted.csv"],
        ["plan", "schema.yaml", *terms],
        ["suggest-max-rows", "planted.parquet", "--unit", "who", *terms],
        ["suggest-max-rows", "headless.csv", "--unit", "who", *terms],
        ["fit", "planted.csv", "--schema", "schema.yaml", *terms, "--out", "out.dpsynth", "--force"],
        [
            "budget",
            "create",
            "book.db",
            "--dataset",
            "d{i}",
            "--unit-column",
            "who",
            "--epsilon",
            "99",
            "--delta",
            "1e-9",
        ],
        ["fit", "planted.parquet", "--schema", "schema.yaml", *terms, "--book", "book.db", *to_book],
        ["budget", "show", "book.db"],
        ["budget", "history", "book.db"],
        ["budget", "verify", "book.db"],
        ["fit", "planted.csv.gz", "--schema", "draft.yaml", *terms, "--out", "not.dpsynth"],
        ["fit", "headless.csv", "--schema", "schema.yaml", *terms, "--out", "not.dpsynth"],
        ["fit", "cut.parquet", "--schema", "schema.yaml", *terms, "--out", "not.dpsynth"],
        ["verify", "out.dpsynth", "--statement"],
        ["explain", "out.dpsynth"],
        ["sample", "out.dpsynth", "-n", "40", "--seed", "1", "--out", "out.csv", "--force"],
    ]
    inputs = {path for path in folder.rglob("*") if path.is_file()} | {folder / "draft.yaml"}
    for arguments in asked:
        for i, more in enumerate(([], ["--json"])):
            code, output = command([*(word.format(i=i) for word in arguments), *more])
            haul.add(" ".join(arguments), output)
            if code not in {0, 2, 4}:
                haul.found.append(f"{' '.join(arguments)}: ended with {code}")
    haul.add_files(folder, but=inputs)
    return 2 * len(asked)


def in_process(folder: Path, temporary: Path) -> Command:
    """Return a way to run the program in a process of its own, as on a terminal.

    Args:
        folder: Where to run it.
        temporary: Where it is to put temporary files.
    """

    def command(arguments: list[str]) -> tuple[int, bytes]:
        environment = {**os.environ, "FORCE_COLOR": "1", "TMPDIR": str(temporary)}
        environment.pop("DPSYNTH_TRACEBACK", None)
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(Path(dpsynth.__file__).parents[1]), os.environ.get("PYTHONPATH")])
        )
        ran = subprocess.run(
            [sys.executable, "-m", "dpsynth", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
        )
        return ran.returncode, ran.stdout + b"\n" + ran.stderr

    return command


def run(mechanisms: tuple[str, ...] = ("oneshot", "mst", "independent", "privbayes")) -> dict[str, Any]:
    """Return how much left by each road, and what of it was a canary (nothing should be)."""
    haul = Haul()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        stack.enter_context(mock.patch.dict(os.environ))
        os.environ.pop("DPSYNTH_TRACEBACK", None)
        sources = tables(folder)
        made, temporary = folder / "made", folder / "temporary"
        made.mkdir()
        temporary.mkdir()
        done = {
            "fits": fits(haul, sources, made, mechanisms),
            "purchases": purchases(haul, sources, made),
            "refusals": objects(haul, sources),
            "failures": failures(haul, sources, folder),
            "commands": commands(haul, folder, in_process(folder, temporary)),
        }
        haul.add_files(temporary)
    return {**done, "pieces": haul.pieces, "bytes_scanned": haul.scanned, "found": haul.found[:50]}
