"""One way into every table: frames of three libraries, and files.

A source knows its column names and dtypes (public: they are declared, not computed from values) and
gives one column at a time as cells. It shows no values and no length.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import numpy.typing as npt

from dpsynth.data.arrow import arrow_cells, to_micros
from dpsynth.data.cells import UNREADABLE, Cells, Factored, Numbers, Times, factor_objects, object_array
from dpsynth.data.files import CsvFile, open_file
from dpsynth.data.layout import FILE_DTYPE, FrameKind, Layout
from dpsynth.data.withheld import reading
from dpsynth.errors import DataError

__all__ = ["Source", "open_source"]

Column = Callable[[str], Cells]


class Source:
    """A table that can be read column by column.

    Args:
        layout: Frame kind and dtype of every column.
        load: Makes the named columns readable, at once where that matters (a file, a lazy frame).
    """

    __slots__ = ("_load", "layout")

    def __init__(self, layout: Layout, load: Callable[[tuple[str, ...]], Column]) -> None:
        self.layout = layout
        self._load = load

    def __repr__(self) -> str:
        return f"Source({self.layout.frame}, columns={len(self.names)})"

    @property
    def names(self) -> tuple[str, ...]:
        """Column names, in the table's order."""
        return tuple(name for name, _ in self.layout.dtypes)

    def require(self, names: Iterable[str]) -> None:
        """Check that the columns are there.

        The message lists the table's own columns only where one of those asked for is among them: a table
        without a header has its first row's values for names.

        Raises:
            DataError: names the absent columns and the nearest that are there.
        """
        there, asked = set(self.names), tuple(names)
        absent = [name for name in asked if name not in there]
        if not absent:
            return
        shown = ", ".join(repr(name) for name in absent[:10]) + (", ..." if len(absent) > 10 else "")
        near = {match for name in absent for match in difflib.get_close_matches(name, self.names, n=2)}
        folded = {name.strip().lower(): name for name in self.names}
        near |= {folded[key] for name in absent if (key := name.strip().lower()) in folded}
        hint = f"; did you mean {', '.join(repr(n) for n in sorted(near))}?" if near else "."
        if there.isdisjoint(asked):
            rest = f"It has {len(there)} others; is its first line the column names?"
        else:
            listed = ", ".join(map(repr, self.names[:20])) + (", ..." if len(self.names) > 20 else "")
            rest = f"It has: {listed}"
        raise DataError(f"the data has no column {shown}{hint} {rest}")

    def load(self, names: Sequence[str]) -> Column:
        """Return a reader of these columns; no other column is touched.

        Raises:
            DataError: a column is absent, or the file is damaged.
        """
        self.require(names)
        return self._load(tuple(names))

    def cells(self, name: str) -> Cells:
        """Return one column as cells."""
        return self.load((name,))(name)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return one column as an array: numbers, ``datetime64[us]``, or objects with ``None`` for nulls.

        Privacy: the exact private values.
        """
        cells = self.cells(name)
        if isinstance(cells, Times):
            out = cells.micros.astype("datetime64[us]")
            out[cells.null] = np.datetime64("NaT")
            return out
        if isinstance(cells, Numbers):
            if cells.null is None:
                return cells.values
            return np.where(cells.null, np.nan, cells.values.astype(np.float64))
        values = np.empty(len(cells.values) + 1, dtype=object)
        values[:-1] = [None if value is UNREADABLE else value for value in cells.values]
        picked: npt.NDArray[Any] = values[cells.index]
        return picked


@reading
def open_source(data: object) -> Source:
    """Open a table.

    Args:
        data: A pandas or polars ``DataFrame``, a polars ``LazyFrame``, an Arrow ``Table``, or the path of a
            ``.csv``, ``.tsv`` (both also ``.gz``) or ``.parquet`` file.

    Raises:
        MissingFileError: there is no such file.
        DataError: the object or the file is of no supported kind, or two columns share a name.
    """
    if isinstance(data, (str, os.PathLike)):
        return _file_source(Path(os.fspath(data)))
    if nw.dependencies.is_pandas_dataframe(data):
        return _pandas_source(data)
    if nw.dependencies.is_pyarrow_table(data):
        return _arrow_source(data)
    if nw.dependencies.is_polars_dataframe(data) or nw.dependencies.is_polars_lazyframe(data):
        return _polars_source(data)
    raise DataError(
        f"cannot read a {type(data).__module__}.{type(data).__qualname__}: give a pandas or polars "
        "DataFrame, a polars LazyFrame, a pyarrow Table, or the path of a .csv, .tsv or .parquet file"
    )


def _layout(frame: FrameKind, names: Sequence[str], dtypes: Sequence[str]) -> Layout:
    if len(set(names)) != len(names):
        second = next(place for place, name in enumerate(names) if name in names[:place])
        first = names.index(names[second])
        raise DataError(  # without the name: in a table without a header it is a value
            f"columns {first + 1} and {second + 1} of the data have one name; rename one (or does the table "
            "begin without a line of column names?)"
        )
    return Layout(frame, tuple(zip(names, map(_outline, dtypes), strict=True)))


def _outline(dtype: str) -> str:
    """Return a dtype's name without what it nests: the fields of a struct can be keys found in the rows."""
    name, _, inner = dtype.partition("<")
    plain = name == "dictionary" and "<" not in inner
    return dtype if plain or not inner else name + ("[pyarrow]" if dtype.endswith("[pyarrow]") else "")


def _file_source(path: Path) -> Source:
    file = open_file(path)
    is_csv = isinstance(file, CsvFile)
    dtypes = (
        [FILE_DTYPE] * len(file.names)
        if isinstance(file, CsvFile)
        else [_pandas_name(t) for t in file.schema.types]
    )

    def load(names: tuple[str, ...]) -> Column:
        table = file.read(names)
        return lambda name: arrow_cells(table.column(name), text_bytes=is_csv)

    return Source(_layout("pandas", file.names, dtypes), load)


def _pandas_name(kind: Any) -> str:
    """Name the pandas dtype of an Arrow type: what a Parquet file gives when pandas reads it."""
    name = str(kind)
    if name.startswith("dictionary"):
        return "category"
    if name.startswith("timestamp["):
        return "datetime64[" + name[len("timestamp[") :].replace("tz=", "")
    known = {"halffloat": "float32", "float": "float32", "double": "float64"}
    if name in known or name.startswith(("int", "uint", "bool")):
        return known.get(name, name)
    return FILE_DTYPE


def _arrow_source(table: Any) -> Source:
    layout = _layout("pyarrow", table.schema.names, [str(t) for t in table.schema.types])
    return Source(layout, lambda _names: lambda name: arrow_cells(table.column(name)))


def _polars_source(frame: Any) -> Source:
    schema = frame.collect_schema()
    layout = _layout("polars", list(schema), [_polars_name(dtype) for dtype in schema.values()])

    def load(names: tuple[str, ...]) -> Column:
        table = _collected(frame, names) if nw.dependencies.is_polars_lazyframe(frame) else frame
        return lambda name: _polars_cells(table.get_column(name))

    return Source(layout, load)


def _collected(frame: Any, names: tuple[str, ...]) -> Any:
    import polars.selectors as cs  # noqa: PLC0415  -- lazy: only for polars frames
    from polars.exceptions import PolarsError  # noqa: PLC0415  -- lazy, as above

    try:  # a selector takes names as they are; "*" and "^...$" would be patterns
        return frame.select(cs.by_name(*names)).collect()
    except PolarsError:
        raise DataError("the LazyFrame's query failed; collect() it yourself to see why") from None


def _polars_name(dtype: Any) -> str:
    """Name a polars dtype without listing an Enum's categories or a Struct's fields."""
    base = str(dtype.base_type())
    if base == "Datetime":
        return f"Datetime[{dtype.time_unit}{', ' + dtype.time_zone if dtype.time_zone else ''}]"
    return base


def _polars_cells(series: Any) -> Cells:
    base = str(series.dtype.base_type())
    if base in {"Object", "Int128", "UInt128"}:
        return factor_objects(object_array(series.to_list()))
    if base in {"List", "Array", "Struct", "Binary", "Duration", "Time"}:
        null = series.is_null().to_numpy()
        return Factored(np.where(null, -1, 0).astype(np.int64), [UNREADABLE])
    return arrow_cells(series.to_arrow())


def _pandas_source(frame: Any) -> Source:
    names = [str(name) for name in frame.columns]
    layout = _layout("pandas", names, [str(dtype) for dtype in frame.dtypes])
    places = {name: place for place, name in enumerate(names)}
    return Source(layout, lambda _names: lambda name: _pandas_cells(frame.iloc[:, places[name]]))


def _pandas_cells(series: Any) -> Cells:  # noqa: PLR0911  -- one return a dtype
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    dtype: Any = series.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind in "biu":
            return Numbers(series.to_numpy())
        if dtype.kind == "f":
            return Numbers(series.to_numpy().astype(np.float64, copy=False))
        if dtype.kind == "M":
            return _pandas_times(series.to_numpy(), np.datetime_data(dtype)[0], aware=False)
    if isinstance(dtype, pd.DatetimeTZDtype):
        wall = series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        return _pandas_times(wall, dtype.unit, aware=True)
    if isinstance(dtype, pd.CategoricalDtype):
        index = series.cat.codes.to_numpy().astype(np.int64)
        words = factor_objects(object_array(list(dtype.categories)))
        return Factored(np.append(words.index, -1)[index], words.values)
    if isinstance(dtype, pd.ArrowDtype) or (isinstance(dtype, pd.StringDtype) and dtype.storage == "pyarrow"):
        import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

        return arrow_cells(pa.chunked_array(series.array.__arrow_array__()))
    if isinstance(dtype, pd.api.extensions.ExtensionDtype) and getattr(dtype, "kind", "O") in "biuf":
        null = series.isna().to_numpy()
        fill: Any = False if dtype.kind == "b" else 0
        plain = np.dtype(bool if dtype.kind == "b" else f"{dtype.kind}{getattr(dtype, 'itemsize', 8)}")
        values = series.fillna(fill).to_numpy(dtype=plain)
        return Numbers(
            values.astype(np.float64) if dtype.kind == "f" else values, null if null.any() else None
        )
    return factor_objects(series.astype(object).to_numpy())


def _pandas_times(values: npt.NDArray[Any], unit: str, *, aware: bool) -> Times:
    null = np.isnat(values)
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    raw = np.where(null, 0, values.view(np.int64))
    return Times(to_micros(raw, per_second), null, aware)
