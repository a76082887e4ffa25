"""Decoded columns to pandas frames.

The dtype of a decoded column is a function of the schema and of the declared dtype alone. Some dtypes,
however, pandas chooses by looking at values: a null turns int64 into float64 and bool into object, a huge
number turns int64 into uint64, one garbled value turns anything into object or str. Keeping those would
tell of single rows, so where the declared dtype is one of them the schema decides:

===========  ==============================  ==========================================
form         ``missing: false``              ``missing: true``
===========  ==============================  ==========================================
whole        int64                           float64 (Int64 where bounds exceed 2**53)
real         float64                         float64
truth        bool                            object
text         str (object before pandas 3)    str (object before pandas 3)
moment       datetime64[us] for object; ISO 8601 texts for str and for numbers
===========  ==============================  ==========================================

Other dtypes are explicit (int8, float32, ``Int64``, ``boolean``, ``string``, ``category``, datetime64 with
its unit and zone, ``...[pyarrow]``) and kept when they can hold everything the schema allows. (A release
has fewer of them: :meth:`dpsynth.data.layout.Layout.public`.) A ``category``
has the schema's values as its categories. Identifiers are whole numbers where their format is of digits
alone, unless the declared dtype is an explicit one for texts (``string``); else they are texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dpsynth.data.arrow_frame import arrow_array
from dpsynth.data.identifiers import Keys
from dpsynth.data.layout import Layout, split_zone
from dpsynth.data.plain import EXACT_FLOAT, EXACT_FLOAT32, Plain

__all__ = ["pandas_frame"]

_INFERRED_INTS = frozenset({"int64", "uint64"})  # by pandas itself: uint64 when a value is 2**63 or more
_INFERRED_OTHERS = frozenset({"bool", "object", "str"})  # one garbled or missing value is enough
_NUMPY_INTS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_MASKED_INTS = frozenset(f"{sign}{bits}" for sign in ("Int", "UInt") for bits in (8, 16, 32, 64))
_FLOATS = frozenset({"float16", "float32", "float64"})


def pandas_frame(layout: Layout, columns: Mapping[str, Plain | Keys]) -> Any:
    """Return a pandas DataFrame of the columns, in order."""
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    arrays = {name: _array(column, layout.dtype(name)) for name, column in columns.items()}
    for name, array in arrays.items():
        if isinstance(array, np.ndarray) and array.dtype == object:
            arrays[name] = pd.Series(array, dtype=object)  # left alone, pandas would look at the values
    return pd.DataFrame(arrays, columns=list(arrays), copy=False)


def _array(column: Plain | Keys, dtype: str) -> Any:  # noqa: PLR0911  -- one return a form
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    if dtype.endswith("[pyarrow]"):
        declared = dtype.removesuffix("[pyarrow]")
        inner = {"float": "float", "bool": "bool"}.get(declared, declared)
        return pd.arrays.ArrowExtensionArray(arrow_array(column, inner))
    if isinstance(column, Keys):
        return _keys(column, dtype)
    if dtype == "category" and column.labels is not None:
        codes = np.where(column.null, -1, column.drawn.points)
        categories: Any = column.labels if isinstance(column.labels, range) else list(column.labels)
        return pd.Categorical.from_codes(codes, categories=pd.Index(categories), ordered=column.ordered)
    if dtype == "string":
        return _texts(column.texts(), dtype)
    match column.form:
        case "text":
            return _texts(column.texts(), dtype)
        case "moment":
            return _moments(column, dtype)
        case "real":
            return _reals(column, dtype)
        case "truth" if dtype not in _MASKED_INTS | {"Float32", "Float64"}:
            return _truths(column, dtype)
        case _:
            return _wholes(column, dtype)


def _keys(column: Keys, dtype: str) -> Any:
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    if dtype in _MASKED_INTS:
        numbers = column.wholes(dtype.lower())
        if numbers is not None:
            return pd.arrays.IntegerArray(numbers, np.zeros(numbers.size, dtype=bool))
    elif dtype in _NUMPY_INTS | _FLOATS | _INFERRED_OTHERS:
        numbers = column.wholes(dtype) if dtype in _NUMPY_INTS - _INFERRED_INTS else None
        numbers = column.wholes("int64") if numbers is None else numbers
        if numbers is not None:
            return numbers
    return _texts(column.texts.astype(object), dtype)


def _texts(values: Any, dtype: str) -> Any:
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    if dtype == "string":
        return pd.array(values, dtype="string")
    return pd.Series(values, dtype="str") if isinstance(pd.Series(["x"]).dtype, pd.StringDtype) else values


def _wholes(column: Plain, dtype: str) -> Any:
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    values = column.wholes()
    exact = column.widest <= EXACT_FLOAT
    if dtype in _MASKED_INTS:
        kept = dtype.lower() if column.fits(dtype.lower()) else "int64"
        return pd.arrays.IntegerArray(values.astype(kept), column.null)
    if dtype in {"Float32", "Float64"} and exact:
        return pd.arrays.FloatingArray(values.astype(np.float64), column.null)
    if not column.missing and dtype not in {"Float32", "Float64"}:
        chosen = dtype in _NUMPY_INTS - _INFERRED_INTS and column.fits(dtype)
        return values.astype(dtype if chosen else "int64")
    if dtype in {"Float32", "Float64"} or not exact:
        return pd.arrays.IntegerArray(values, column.null)
    return column.floats()


def _reals(column: Plain, dtype: str) -> Any:
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    narrow = dtype.lower() == "float32" and column.widest <= EXACT_FLOAT32 // 4
    values = column.floats().astype(np.float32 if narrow else np.float64)
    if dtype in {"Float32", "Float64"} | _MASKED_INTS:
        if (
            dtype in _MASKED_INTS
            and getattr(column.coder.spec, "decimals", 1) == 0
            and column.fits(dtype.lower())
        ):
            return pd.arrays.IntegerArray(column.wholes().astype(dtype.lower()), column.null)
        return pd.arrays.FloatingArray(np.where(column.null, 0, values).astype(values.dtype), column.null)
    return values


def _truths(column: Plain, dtype: str) -> Any:
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    if dtype == "boolean":
        return pd.arrays.BooleanArray(column.wholes().astype(bool), column.null)
    return column.truths() if column.missing else column.wholes().astype(bool)


def _moments(column: Plain, dtype: str) -> Any:
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    if dtype in {"str", "bool"} | _NUMPY_INTS | _FLOATS:
        return _texts(column.texts(), dtype)
    unit, zone = split_zone(dtype) if dtype.startswith("datetime64[") else ("us", None)
    counts, unit = column.micros(unit, zone)
    stamps = counts.astype(f"datetime64[{unit}]")
    stamps[column.null] = np.datetime64("NaT")
    if zone is None:
        return stamps
    return pd.DatetimeIndex(stamps).tz_localize("UTC").tz_convert(zone)
