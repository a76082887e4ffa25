"""Canaries: values outside every public domain, planted in a private table, and the search for them.

They stand in columns of every kind and under every out-of-domain rule, in the unit's column and in a column
that the schema does not name. Whatever leaves is searched for each of them in every form it may take: text in
several encodings, digits, and the bytes of an integer or a float.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import io
import logging
import os
import struct
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import dpsynth
from dpsynth import Schema
from dpsynth.schema import OpenSchema

__all__ = [
    "DAY",
    "NUMBER",
    "REAL",
    "TEXT",
    "UNIT",
    "Haul",
    "hostile_frames",
    "open_schema",
    "schema",
    "spoken",
    "tables",
]

TEXT = "kx93canaryqz"
UNIT = "uq71canaryvw"
LONG = "zj55canarymk" * 6_000
NUMBER = 918273645546372
REAL = 64553728.190919
DAY = dt.date(1843, 7, 29)
_MOMENT = dt.datetime(1843, 7, 29, 3, 14, 15)  # noqa: DTZ001  -- wall-clock time
_MICROS = (_MOMENT - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)  # noqa: DTZ001
_ROWS = 60
_PACKAGE = str(Path(dpsynth.__file__).parent) + os.sep

HOSTILE: tuple[Any, ...] = (
    *(TEXT, LONG, NUMBER, float(NUMBER), -NUMBER, REAL, str(NUMBER), str(REAL), Decimal(str(REAL))),
    *(DAY, _MOMENT, DAY.isoformat(), _MOMENT.isoformat(), np.datetime64(_MOMENT)),
    *(_MOMENT.replace(tzinfo=dt.UTC), TEXT.encode(), [TEXT, NUMBER], {TEXT: NUMBER}, (REAL,), object()),
    *(None, float("nan"), float("inf"), -float("inf"), 10**400, NUMBER * 10**300, "1e999", "\0" + TEXT),
    *(np.timedelta64(NUMBER, "s"), complex(REAL, NUMBER), np.float32(NUMBER), TEXT + "\n" + TEXT, ""),
)
"""Cells that no schema foresaw."""


def schema(max_rows: int = 2) -> Schema:
    """Return a schema with every kind of column under every rule for values outside its domain."""
    kinds: dict[str, dict[str, Any]] = {
        "categorical": {"values": ["Ulm", "Bonn", "Kiel"]},
        "ordinal": {"values": ["s", "m", "l"]},
        "boolean": {},
        "integer": {"lower": 0, "upper": 20},
        "real": {"lower": 0, "upper": 9, "decimals": 1, "bins": 8},
        "date": {"lower": "2000-01-01", "upper": "2009-12-31", "bins": 8},
        "datetime": {"lower": "2000-01-01T00:00:00", "upper": "2009-12-31T00:00:00", "bins": 8},
    }
    columns: dict[str, Any] = {"key": {"kind": "identifier"}}
    for kind, more in kinds.items():
        for rule in ("clip", "missing", *(("other",) if "values" in more else ())):
            spec = {"kind": kind, "missing": rule == "missing", "out_of_domain": rule, **more}
            columns[f"{kind}_{rule}"] = spec
    return Schema.from_dict({"privacy_unit": {"column": "who", "max_rows": max_rows}, "columns": columns})


def open_schema(max_rows: int = 2) -> OpenSchema:
    """Return a schema that states names and kinds, and leaves all else of these columns to be bought."""
    ends = {"missing": "buy", "lower": "buy", "upper": "buy"}
    kinds: dict[str, dict[str, Any]] = {
        "categorical_other": {"kind": "categorical", "missing": "buy", "values": "buy"},
        "ordinal_other": {"kind": "categorical", "missing": "buy", "values": "buy"},
        "boolean_clip": {"kind": "boolean", "missing": "buy"},
        "integer_clip": {"kind": "integer", **ends, "edges": "buy tree"},
        "real_clip": {"kind": "real", **ends, "decimals": 6, "edges": "buy quantiles"},
        "date_clip": {"kind": "date", **ends},
        "datetime_clip": {"kind": "datetime", **ends, "edges": "buy tree"},
    }
    return OpenSchema.from_dict({"privacy_unit": {"column": "who", "max_rows": max_rows}, "columns": kinds})


def _plain(name: str, row: int) -> Any:
    """Return an ordinary cell of a column."""
    day = dt.date(2000 + row % 10, 1 + row % 12, 1 + row % 28)
    return {
        "categorical": ("Ulm", "Bonn", "Kiel")[row % 3],
        "ordinal": ("s", "m", "l")[row % 3],
        "boolean": row % 2 == 0,
        "integer": row % 21,
        "real": (row % 90) / 10,
        "date": day,
        "datetime": dt.datetime(day.year, day.month, day.day),  # noqa: DTZ001  -- wall-clock time
        "key": f"K{row}",
        "who": f"p{row // 2}",
        "note": "none",
    }[name.partition("_")[0]]


def hostile_frames() -> Iterator[pd.DataFrame]:
    """Give object frames: ordinary rows, and a row for each hostile cell that holds it in every column."""
    names = [*schema().columns, "who", "note"]
    rows: list[dict[str, Any]] = [{name: _plain(name, row) for name in names} for row in range(_ROWS)]
    wild = [*rows, *(dict.fromkeys(names, cell) for cell in HOSTILE)]
    units = [{**row, "who": UNIT, "note": TEXT, "key": TEXT} for row in wild]
    for content in (wild, units):
        yield pd.DataFrame({name: _objects([row[name] for row in content]) for name in names})


def _objects(cells: list[Any]) -> pd.Series[Any]:
    array = np.empty(len(cells), dtype=object)
    for place, cell in enumerate(cells):
        array[place] = cell
    return pd.Series(array, dtype=object)


def tables(folder: Path) -> dict[str, Any]:
    """Return the planted table in every kind of source; files are written to ``folder``."""
    import polars as pl  # noqa: PLC0415  -- lazy: not needed to search
    import pyarrow as pa  # noqa: PLC0415  -- likewise
    from pyarrow import parquet  # noqa: PLC0415  -- likewise

    wild, units = hostile_frames()
    texts = {
        name: [None if cell is None else str(cell).replace("\0", "") for cell in units[name]]
        for name in units
    }
    arrow = pa.table({name: pa.array(cells, type=pa.string()) for name, cells in texts.items()})
    parquet.write_table(arrow, folder / "planted.parquet")
    pd.DataFrame(texts).to_csv(folder / "planted.csv", index=False)
    pd.DataFrame(texts).to_csv(folder / "planted.csv.gz", index=False)
    return {
        "pandas of objects": wild,
        "pandas of units": units,
        "pandas with dtypes": _typed(),
        "pandas of texts": pd.DataFrame({n: pd.Series(c, dtype="str") for n, c in texts.items()}),
        "pandas of categories": pd.DataFrame({n: pd.Series(c, dtype="category") for n, c in texts.items()}),
        "polars": pl.DataFrame(texts),
        "polars lazy": pl.DataFrame(texts).lazy(),
        "arrow": arrow,
        "csv": folder / "planted.csv",
        "csv.gz": folder / "planted.csv.gz",
        "parquet": folder / "planted.parquet",
    }


def _typed() -> pd.DataFrame:
    """Return a frame whose dtypes are those of its columns' kinds, and whose last rows are canaries."""
    cells: dict[str, Any] = {"categorical": TEXT, "ordinal": TEXT, "integer": NUMBER, "real": REAL}
    cells |= {"date": _MOMENT, "datetime": _MOMENT, "key": TEXT, "who": UNIT, "note": TEXT, "boolean": True}
    content = {
        name: [_plain(name, row) for row in range(_ROWS)] + [cells[name.partition("_")[0]]] * 5
        for name in [*schema().columns, "who", "note"]
    }
    frame = pd.DataFrame(content)
    for name in frame:
        if str(name).startswith("date"):
            frame[name] = frame[name].astype("datetime64[us]")
    return frame


def _needles() -> dict[bytes, str]:
    """Return every form of every canary, with its name."""
    found: dict[bytes, str] = {}
    for text in (TEXT, UNIT, LONG[:12]):
        forms = [text.encode(e) for e in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")]
        forms += [base64.b64encode(text[i:].encode())[:-4] for i in range(3)]
        forms += [text.encode().hex().encode(), text[::-1].encode(), text.upper().encode()]
        found |= dict.fromkeys(forms, text)
    for number in (NUMBER, REAL):
        forms = [str(number).encode(), f"{number:,}".encode(), f"{float(number):.6e}"[:8].encode()]
        forms += [struct.pack(f"{order}d", number) for order in "<>"]
        if isinstance(number, int):
            forms += [struct.pack(f"{order}q", number) for order in "<>"] + [f"{number:x}".encode()]
        found |= dict.fromkeys(forms, str(number))
    forms = [DAY.isoformat().encode(), DAY.strftime("%d.%m.%Y").encode(), str(_MICROS).encode()]
    forms += [struct.pack("<q", _MICROS), struct.pack("<q", _MICROS // 10**6), repr(DAY)[14:-1].encode()]
    return found | dict.fromkeys(forms, "the day")


@dataclass(slots=True)
class Haul:
    """What left, searched as it came.

    Attributes:
        scanned: Number of bytes that were searched.
        pieces: Number of pieces: a line of output, a file, an error.
        found: Where a canary was found, and which.
    """

    scanned: int = 0
    pieces: int = 0
    found: list[str] = field(default_factory=list)

    _known: dict[bytes, str] = field(default_factory=_needles)

    def add(self, where: str, content: object) -> None:
        """Search one piece: bytes, a path, or the text of anything else."""
        if isinstance(content, Path):
            content = content.read_bytes()
        data = content if isinstance(content, bytes) else str(content).encode("utf-8", "surrogatepass")
        self.pieces += 1
        self.scanned += len(data)
        for needle, name in self._known.items():
            if needle in data:
                self.found.append(f"{where}: {name}")
        if data[:2] == b"PK" and zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for member in archive.namelist():
                    self.add(f"{where}/{member}", archive.read(member))

    def add_files(self, folder: Path, *, but: Iterable[Path] = ()) -> None:
        """Search every file below a folder, and its name."""
        private = set(but)
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path not in private:
                self.add(path.name, path)
                self.add("a file's name", path.name)

    def add_error(self, where: str, error: BaseException) -> None:
        """Search all that an error shows and keeps; see :func:`spoken`."""
        for piece in spoken(error):
            self.add(where, piece)

    @contextlib.contextmanager
    def listening(self, where: str) -> Iterator[None]:
        """Search what is printed, logged (at every level) and warned of while the block runs."""
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
        root = logging.getLogger()
        level = root.level
        with tempfile.TemporaryFile() as out:
            with _redirected(out), warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                root.addHandler(handler)
                root.setLevel(1)
                try:
                    yield
                finally:
                    root.removeHandler(handler)
                    root.setLevel(level)
            out.seek(0)
            self.add(f"{where}: printed", out.read())
        self.add(f"{where}: logged", stream.getvalue())
        for warning in said:
            self.add(f"{where}: warned", f"{warning.message!r} {warning.source!r}")


@contextlib.contextmanager
def _redirected(out: Any) -> Iterator[None]:
    """Send what is written to the process's two outputs, by whatever library, to a file."""
    kept = [os.dup(number) for number in (1, 2)]
    try:
        for number in (1, 2):
            os.dup2(out.fileno(), number)
        with (
            os.fdopen(os.dup(1), "w", encoding="utf-8") as printed,
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            yield
    finally:
        for number, former in zip((1, 2), kept, strict=True):
            os.dup2(former, number)
            os.close(former)


def spoken(error: BaseException) -> Iterator[str]:
    """Give all that an error shows to whoever records it.

    Text, repr, arguments, notes and attributes, of it and of all errors it came from; its formatted
    traceback; and the repr of every local variable of every frame of dpsynth's.
    """
    link: BaseException | None = error
    seen: set[int] = set()
    links = [error]
    while links:
        link = links.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        links += [e for e in (link.__cause__, link.__context__) if e is not None]
        yield from (str(link), repr(link), repr(link.args), repr(getattr(link, "__notes__", "")))
        yield repr(getattr(link, "__dict__", ""))
        yield "".join(traceback.format_exception(link))
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if frame.f_code.co_filename.startswith(_PACKAGE):
                for name, value in frame.f_locals.items():
                    yield f"{name} = {value!r}"
