"""A table as a file: nulls, whole numbers, and the ending's meaning."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dpsynth.data import writing
from dpsynth.errors import DataError
from dpsynth.schema import Schema

SCHEMA = Schema.loads("""
privacy_unit: row
columns:
  n: {kind: integer, missing: true, lower: 0, upper: 9}
  b: {kind: boolean, missing: true}
  x: {kind: real, missing: true, lower: 0, upper: 9, decimals: 1}
  t: {kind: categorical, missing: true, values: [a, "b,c"], out_of_domain: missing}
""")
TABLE = pd.DataFrame({"n": [1.0, None], "b": [None, 1.0], "x": [2.0, None], "t": [None, "b,c"]})


def test_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_ROWS_AT_A_TIME", 1)
    done: list[float] = []
    writing.write_table(TABLE, tmp_path / "t.csv", SCHEMA, progress=done.append)
    assert (tmp_path / "t.csv").read_bytes() == b'n,b,x,t\n1,,2.0,\n,1,,"b,c"\n'
    assert done == [0.5, 1.0]


def test_parquet(tmp_path: Path) -> None:
    writing.write_table(TABLE, tmp_path / "t.parquet", SCHEMA)
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert table["n"].tolist()[0] == 1
    assert table.isna().to_numpy().tolist() == TABLE.isna().to_numpy().tolist()


def test_no_rows(tmp_path: Path) -> None:
    writing.write_table(TABLE.iloc[:0], tmp_path / "t.csv", SCHEMA)
    assert (tmp_path / "t.csv").read_text() == "n,b,x,t\n"


def test_another_ending(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.csv or \.parquet"):
        writing.write_table(TABLE, tmp_path / "t.xlsx", SCHEMA)
