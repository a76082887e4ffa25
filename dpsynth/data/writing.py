"""A pandas frame to a file, as the schema says it should look there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dpsynth.errors import DataError
from dpsynth.schema import Schema
from dpsynth.schema.columns import Boolean, Integer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_table"]

_ROWS_AT_A_TIME = 50_000


def write_table(
    table: pd.DataFrame, path: Path, schema: Schema, *, progress: Callable[[float], None] | None = None
) -> None:
    """Write a table as CSV or Parquet, by the ending of ``path``.

    In CSV a null is an empty field, as is an empty text. Whole numbers are written without a decimal
    point also where nulls made the column a float.

    Args:
        table: A pandas frame with the schema's columns.
        path: Ends in ``.csv`` or ``.parquet``; is replaced if it exists.
        schema: Tells which columns hold whole numbers.
        progress: Called with the fraction that is written.

    Raises:
        DataError: another ending.
    """
    whole = [name for name, spec in schema.columns.items() if isinstance(spec, (Integer, Boolean))]
    floats = [name for name in whole if name in table and table[name].dtype.kind == "f"]
    table = table.astype(dict.fromkeys(floats, "Int64"))
    if path.suffix.lower() == ".parquet":
        table.to_parquet(path, engine="pyarrow", index=False)
    elif path.suffix.lower() == ".csv":
        _write_csv(table, path, progress or (lambda _done: None))
    else:
        raise DataError(f"{path.name}: unknown kind of table; end the name in .csv or .parquet")


def _write_csv(table: pd.DataFrame, path: Path, progress: Callable[[float], None]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table.iloc[:0].to_csv(file, index=False, lineterminator="\n")
        for start in range(0, len(table), _ROWS_AT_A_TIME):
            part = table.iloc[start : start + _ROWS_AT_A_TIME]
            part.to_csv(file, index=False, header=False, lineterminator="\n")
            progress(min(1.0, (start + _ROWS_AT_A_TIME) / len(table)))
