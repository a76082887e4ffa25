"""Tables that fit a schema, and tables that do not.

``codes_of(codec)`` draws valid codes; ``garbage()`` draws single cells of every kind that a table may hold;
``messy_columns(schema)`` draws columns of declared values and garbage mixed. ``MAKERS`` turns one table of
texts and nulls into each kind of source.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from dpsynth.data.lattice import codes_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dpsynth.data import Codec
    from dpsynth.schema import Schema

_PARIS = dt.timezone(dt.timedelta(hours=1))


class BrokenZone(dt.tzinfo):
    """A zone that cannot say its offset."""

    def utcoffset(self, _moment):
        return "an hour"


class Awkward:
    """An object that can be neither hashed nor compared nor shown."""

    __hash__ = None

    def __eq__(self, other):
        raise RuntimeError("compared")

    def __repr__(self):
        raise RuntimeError("shown")


def garbage() -> st.SearchStrategy[Any]:
    """One cell of any kind."""
    return st.one_of(
        st.none(),
        st.sampled_from(
            [
                *(
                    "",
                    " ",
                    "NA",
                    "?",
                    "None",
                    "1",
                    " 1 ",
                    "1.0",
                    "1,5",
                    "1e999",
                    "-inf",
                    "0x10",
                    "٣",
                    "1_0",
                    "9" * 5000,
                ),
                *(
                    "true",
                    "YES",
                    "2020-01-01",
                    "2020-01-01T10:00:00+05:00",
                    "9999-12-31",
                    "0001-01-01T00:00:00+14:00",
                ),
                *("not a number", "\x00", "é", "10000-01-01", "other"),
                *(
                    float("nan"),
                    float("inf"),
                    -float("inf"),
                    1e308,
                    5e-324,
                    -0.0,
                    0.5,
                    1.0,
                    2**53,
                    2**63,
                    2**64,
                    -(10**40),
                ),
                *(
                    True,
                    False,
                    np.True_,
                    np.int8(3),
                    np.float32(0.1),
                    np.float64("nan"),
                    np.str_("a"),
                    np.longdouble(2),
                ),
                *(
                    np.datetime64("NaT"),
                    np.datetime64("2020-02-03T04:05"),
                    np.datetime64(10**15, "s"),
                    np.timedelta64(3, "s"),
                ),
                *(
                    Decimal("1.0"),
                    Decimal("NaN"),
                    Decimal("sNaN"),
                    Decimal("Infinity"),
                    Decimal("1e9999999"),
                    Decimal("1e-999999"),
                ),
                *(
                    dt.date(1, 1, 1),
                    dt.date(9999, 12, 31),
                    dt.datetime(2020, 1, 1, 12),  # noqa: DTZ001  -- naive on purpose
                    dt.time(3),
                    dt.timedelta(days=1),
                ),
                *(
                    dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
                    dt.datetime(1, 1, 1, tzinfo=_PARIS),
                    dt.datetime(2020, 1, 1, tzinfo=BrokenZone()),
                    dt.datetime.max,  # noqa: DTZ901  -- naive on purpose
                ),
                *(
                    b"bytes",
                    [1, 2],
                    (1, 2),
                    {"a": 1},
                    {1},
                    1j,
                    Fraction(1, 3),
                    uuid.UUID(int=7),
                    object(),
                    Awkward(),
                    int,
                ),
            ]
        ),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.booleans(),
        st.dates(),
        st.datetimes(timezones=st.sampled_from([None, dt.UTC, _PARIS])),
    )


@st.composite
def codes_of(draw: st.DrawFn, codec: Codec, *, max_rows: int = 12) -> list[np.ndarray]:
    """Valid codes, one array an axis."""
    n = draw(st.integers(0, max_rows))
    return [
        np.array(
            draw(st.lists(st.integers(0, axis.size - 1), min_size=n, max_size=n)),
            dtype=codes_dtype(axis.size),
        )
        for axis in codec.domain
    ]


@st.composite
def messy_columns(draw: st.DrawFn, schema: Schema, *, max_rows: int = 8) -> dict[str, list[Any]]:
    """Columns of declared values and garbage mixed, as lists of Python objects."""
    n = draw(st.integers(0, max_rows))
    return {
        name: draw(st.lists(st.one_of(garbage(), _declared(spec)), min_size=n, max_size=n))
        for name, spec in schema.columns.items()
    }


def _declared(spec: Any) -> st.SearchStrategy[Any]:
    if hasattr(spec, "labels"):
        return st.sampled_from([*spec.labels[:50]])
    if hasattr(spec, "lower"):
        return st.sampled_from([spec.lower, spec.upper])
    return st.sampled_from([True, False])


def objects_frame(columns: Mapping[str, Sequence[Any]]) -> Any:
    """A pandas frame of object columns."""
    import pandas as pd

    frame = {}
    for name, values in columns.items():
        array = np.empty(len(values), dtype=object)
        for i, value in enumerate(values):
            array[i] = value
        frame[name] = pd.Series(array, dtype=object)
    return pd.DataFrame(frame)


def _arrow(texts: Mapping[str, list[str | None]]) -> Any:
    import pyarrow as pa

    return pa.table({name: pa.array(values, type=pa.string()) for name, values in texts.items()})


def _csv(texts: Mapping[str, list[str | None]], folder: Path) -> Path:
    path = folder / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(texts)
        writer.writerows(["" if v is None else v for v in row] for row in zip(*texts.values(), strict=True))
    return path


def _gzip(texts: Mapping[str, list[str | None]], folder: Path) -> Path:
    path = folder / "table.csv.gz"
    path.write_bytes(gzip.compress(_csv(texts, folder).read_bytes()))
    return path


def _parquet(texts: Mapping[str, list[str | None]], folder: Path) -> Path:
    from pyarrow import parquet

    path = folder / "table.parquet"
    parquet.write_table(_arrow(texts), path)
    return path


def _pandas(texts: Mapping[str, list[str | None]], _folder: Path) -> Any:
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in texts.items()})


def _pandas_category(texts: Mapping[str, list[str | None]], _folder: Path) -> Any:
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values, dtype="category") for name, values in texts.items()})


def _polars(texts: Mapping[str, list[str | None]], _folder: Path) -> Any:
    import polars as pl

    return pl.DataFrame({n: pl.Series(n, values, dtype=pl.String) for n, values in texts.items()})


MAKERS: dict[str, Callable[[Mapping[str, list[str | None]], Path], Any]] = {
    "pandas": _pandas,
    "pandas object": lambda texts, _: objects_frame(texts),
    "pandas category": _pandas_category,
    "polars": _polars,
    "polars lazy": lambda texts, folder: _polars(texts, folder).lazy(),
    "arrow": lambda texts, _: _arrow(texts),
    "csv": _csv,
    "csv.gz": _gzip,
    "parquet": _parquet,
}
"""Kind of source to a function of texts (``None`` for a null) and a folder for files."""
