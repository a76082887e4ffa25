"""Integer-coded tables to measure on, from the folder named by ``DPSYNTH_DATA`` or ``../shared/data``.

Three kinds: coded files with a ``domain.json``; raw public files, coded as dpsynth's own codec would; and any
folder with ``data.csv`` (or ``data.parquet``) and ``domain.json``, given by its path.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dpsynth import Schema
from dpsynth.data.codec import Codec
from dpsynth.data.draft import draft_schema
from dpsynth.data.source import open_source

__all__ = ["RAW", "TABLES", "Table", "folder"]

_ADULT = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
_EARNINGS = ("annual-salary", "regular-earnings", "overtime-earning", "other-earnings", "ytd-gross")
TABLES = {
    "adult_coded14": ("adult/adult_coded14.csv", "adult/adult_coded14-domain.json", _ADULT),
    "adult_coded": ("adult/adult_coded.csv", "adult/adult_coded-domain.json", _ADULT),
    "titanic": ("titanic/data.csv", "titanic/domain.json", ("Age", "SibSp", "Parch", "Fare")),
    "salary": ("salary/data.csv", "salary/domain.json", _EARNINGS),
    "msnbc": ("msnbc/data.parquet", "msnbc/domain.json", ()),
}
RAW = {"kdd_census_income": "kdd_census_income/train.parquet"}


@dataclass(frozen=True)
class Table:
    """A coded table with what is publicly known of it."""

    name: str
    frame: pd.DataFrame
    schema: Schema
    sizes: tuple[int, ...]

    @classmethod
    def load(cls, name: str) -> Table:
        """Read one of :data:`TABLES` or :data:`RAW`, or a folder with ``data.csv`` and ``domain.json``.

        Raises:
            SystemExit: it is neither, or its files do not agree.
        """
        if name in RAW:
            return cls.encode(name, _read(folder() / RAW[name]))
        if name in TABLES:
            data, domain, ordered = TABLES[name]
            return cls.coded(name, folder() / data, folder() / domain, ordered)
        place = Path(name)
        if not place.is_dir():
            known = ", ".join((*TABLES, *RAW))
            raise SystemExit(f"no table is called {name!r}; there are {known}, and folders by path")
        data = next((p for p in (place / "data.csv", place / "data.parquet") if p.is_file()), None)
        if data is None or not (place / "domain.json").is_file():
            raise SystemExit(f"the folder {place.name!r} has not both data.csv and domain.json")
        return cls.coded(place.resolve().name, data, place / "domain.json", ())

    @classmethod
    def coded(cls, name: str, data: Path, domain: Path, ordered: tuple[str, ...]) -> Table:
        """Read a table of codes ``0 .. size-1``.

        Args:
            name: What the results call it.
            data: CSV or Parquet.
            domain: JSON: column name to number of codes.
            ordered: Columns whose codes are in a meaningful order.

        Raises:
            SystemExit: the files name different columns, or a value is not a code of its column.
        """
        sizes = json.loads(domain.read_text(encoding="utf-8"))
        frame = _read(data)
        if set(frame.columns) != set(sizes):
            raise SystemExit(f"{name}: the data and domain.json name different columns")
        for column in frame.columns:
            last = sizes[column] - 1
            if frame[column].dtype.kind not in "iu" or not frame[column].between(0, last).all():
                raise SystemExit(f"{name}: column {column!r} has values that are not codes 0..{last}")
        sizes = {column: sizes[column] for column in frame.columns}
        known = [c for c in ordered if c in sizes]
        return cls(name, frame, Schema.from_domain(sizes, ordered=known), tuple(sizes.values()))

    @classmethod
    def encode(cls, name: str, frame: pd.DataFrame) -> Table:
        """Code a raw public table by a drafted schema, which counts as reviewed: the table is public."""
        drafted = Schema.loads(draft_schema(frame, privacy_unit="row").replace("!REVIEW ", ""))
        codec = Codec(drafted)
        codes = codec.codes(open_source(frame))
        sizes = dict(zip(codec.domain.names, codec.domain.sizes, strict=True))
        ordered = [axis.name for axis in codec.domain if axis.ordered]
        coded = pd.DataFrame({c: v.astype("int64") for c, v in zip(sizes, codes, strict=True)})
        return cls(name, coded, Schema.from_domain(sizes, ordered=ordered), codec.domain.sizes)

    @property
    def ordered(self) -> list[str]:
        """Columns whose codes are in a meaningful order."""
        return [name for name, column in self.schema.columns.items() if column.kind == "ordinal"]

    def codes(self, frame: pd.DataFrame | None = None) -> list[object]:
        """Return a table's columns as arrays, in the schema's order."""
        source = self.frame if frame is None else frame
        return [source[c].to_numpy() for c in self.schema.columns]


def folder() -> Path:
    """Return where the real tables are.

    Raises:
        SystemExit: they are nowhere to be found.
    """
    for candidate in (os.environ.get("DPSYNTH_DATA"), Path(__file__).parents[2] / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    raise SystemExit(
        "set DPSYNTH_DATA to the folder that holds the benchmark tables (see benchmarks/README.md)"
    )


def _read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
