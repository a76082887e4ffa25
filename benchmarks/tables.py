"""Integer-coded tables to measure on, from the folder named by ``DPSYNTH_DATA`` or ``../shared/data``."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dpsynth import Schema

__all__ = ["TABLES", "Table", "folder"]

_ADULT = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
TABLES = {
    "adult_coded14": ("adult/adult_coded14.csv", "adult/adult_coded14-domain.json", _ADULT),
    "adult_coded": ("adult/adult_coded.csv", "adult/adult_coded-domain.json", _ADULT),
    "titanic": ("titanic/data.csv", "titanic/domain.json", ("Age", "SibSp", "Parch", "Fare")),
    "salary": ("salary/data.csv", "salary/domain.json", ()),
}


@dataclass(frozen=True)
class Table:
    """A coded table with what is publicly known of it."""

    name: str
    frame: pd.DataFrame
    schema: Schema
    sizes: tuple[int, ...]

    @classmethod
    def load(cls, name: str) -> Table:
        """Read one of :data:`TABLES`."""
        data, domain, ordered = TABLES[name]
        sizes = json.loads((folder() / domain).read_text())
        frame = pd.read_csv(folder() / data)
        sizes = {column: sizes[column] for column in frame.columns}
        known = [c for c in ordered if c in sizes]
        return cls(name, frame, Schema.from_domain(sizes, ordered=known), tuple(sizes.values()))

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
