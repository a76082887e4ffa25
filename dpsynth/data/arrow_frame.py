"""Decoded columns to Arrow tables and polars frames.

The dtype of a decoded column is a function of the schema and of the declared dtype alone, never of the
decoded values: a declared dtype is kept when it can hold everything the schema allows, and otherwise
becomes the kind's natural one (int64, double, bool, date32, timestamp[us], string).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from dpsynth.data.identifiers import Keys
from dpsynth.data.layout import Layout, split_zone
from dpsynth.data.plain import EXACT_FLOAT, EXACT_FLOAT32, Plain
from dpsynth.errors import DataError
from dpsynth.schema.columns import Date

__all__ = ["arrow_array", "arrow_table", "polars_frame"]

_TEXT_TYPES: Final = {"string", "large_string", "string_view"}
_INT_TYPES: Final = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
_POLARS: Final = {
    **{name.replace("uint", "UInt").replace("int", "Int"): name for name in _INT_TYPES},
    "Float32": "float",
    "Float64": "double",
    "Boolean": "bool",
    "String": "large_string",
    "Categorical": "dictionary",
    "Enum": "dictionary",
    "Date": "date32[day]",
}


def arrow_table(layout: Layout, columns: Mapping[str, Plain | Keys]) -> Any:
    """Return an Arrow table of the columns, in order."""
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    return pa.table({name: arrow_array(column, layout.dtype(name)) for name, column in columns.items()})


def polars_frame(layout: Layout, columns: Mapping[str, Plain | Keys]) -> Any:
    """Return a polars DataFrame of the columns, in order.

    Raises:
        DataError: polars is not installed.
    """
    try:
        import polars as pl  # noqa: PLC0415  -- lazy: an optional library
    except ImportError:
        raise DataError(
            "the table was a polars frame, but polars is not installed: pip install polars, or ask for "
            'frame="pandas"'
        ) from None
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    arrays: dict[str, Any] = {}
    casts = []
    for name, column in columns.items():
        dtype = layout.dtype(name)
        if dtype.startswith("Datetime["):
            unit, zone = split_zone(dtype)
            dtype = f"timestamp[{unit}, tz={zone}]" if zone else f"timestamp[{unit}]"
        target = _POLARS.get(dtype, dtype)
        arrays[name] = arrow_array(column, target, text_dictionary=True)
        if dtype == "Enum" and isinstance(column, Plain) and column.labels is not None:
            casts.append(pl.col(name).cast(pl.Enum([str(label) for label in column.labels])))
    frame: Any = pl.from_arrow(pa.table(arrays))
    return frame.with_columns(casts) if casts else frame


def arrow_array(  # noqa: PLR0911  -- one return a form
    column: Plain | Keys, dtype: str, *, text_dictionary: bool = False
) -> Any:
    """Return one column as an Arrow array.

    Args:
        column: The decoded column.
        dtype: Name of the declared Arrow type; a name that is not known counts as none.
        text_dictionary: Whether a dictionary must hold texts (polars knows no other).
    """
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    if isinstance(column, Keys):
        numbers = column.wholes(dtype) if dtype in _INT_TYPES else None
        if numbers is not None:
            return pa.array(numbers)
        return pa.array(column.texts.astype(object), type=_text_type(dtype))
    if dtype.startswith("dictionary") and column.labels is not None:
        return _dictionary(column, as_text=text_dictionary or column.form == "truth")
    if dtype in _TEXT_TYPES:
        return pa.array(column.texts(), type=_text_type(dtype))
    match column.form:
        case "text":
            return pa.array(column.texts(), type=pa.string())
        case "moment":
            return _moments(column, dtype)
        case "real":
            return _floats(column, dtype)
        case "truth" if dtype not in _INT_TYPES | {"double", "float"}:
            return pa.array(column.wholes().astype(bool), mask=column.null)
        case _:
            return _wholes(column, dtype)


def _text_type(dtype: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    return getattr(pa, dtype)() if dtype in _TEXT_TYPES else pa.string()


def _wholes(column: Plain, dtype: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    if dtype in _INT_TYPES and column.fits(dtype):
        return pa.array(column.wholes().astype(dtype), mask=column.null)
    if dtype == "float" and column.widest <= EXACT_FLOAT32:
        return pa.array(column.wholes().astype(np.float32), mask=column.null)
    if dtype in {"double", "float"} and column.widest <= EXACT_FLOAT:
        return pa.array(column.wholes().astype(np.float64), mask=column.null)
    return pa.array(column.wholes(), mask=column.null)


def _floats(column: Plain, dtype: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    if dtype in _INT_TYPES and getattr(column.coder.spec, "decimals", 1) == 0 and column.fits(dtype):
        return pa.array(column.wholes().astype(dtype), mask=column.null)
    narrow = dtype == "float" and column.widest <= EXACT_FLOAT32 // 4
    values = np.where(column.null, 0.0, column.floats())
    return pa.array(values.astype(np.float32 if narrow else np.float64), mask=column.null)


def _moments(column: Plain, dtype: str) -> Any:
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    day = isinstance(column.coder.spec, Date)
    if dtype.startswith("timestamp["):
        unit, zone = split_zone(dtype)
        counts, unit = column.micros(unit, zone)
        return pa.array(counts, mask=column.null).cast(pa.timestamp(unit, zone))
    counts, _ = column.micros("us", None)
    stamps = pa.array(counts, mask=column.null).cast(pa.timestamp("us"))
    if not day:
        return stamps
    return stamps.cast(pa.date64() if dtype.startswith("date64") else pa.date32())


def _dictionary(column: Plain, *, as_text: bool) -> Any:
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    labels = () if column.labels is None else column.labels
    if as_text:
        words = pa.array([str(label) for label in labels], type=pa.string())
    else:
        words = pa.array(np.arange(len(labels)) if isinstance(labels, range) else labels)
    index = pa.array(column.drawn.points.astype(np.int32), mask=column.null)
    return pa.DictionaryArray.from_arrays(index, words, ordered=column.ordered)
