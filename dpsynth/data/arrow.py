"""Arrow columns as cells: the common way in for Arrow, polars, CSV and Parquet."""

from __future__ import annotations

from typing import Any

import numpy as np

from dpsynth.data.cells import (
    UNREADABLE,
    Cells,
    Factored,
    Flags,
    Ints,
    Numbers,
    Times,
    factor_objects,
    object_array,
)
from dpsynth.data.files import as_text

__all__ = ["arrow_cells"]

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FAR_SECONDS = 2**62 // 10**6


def arrow_cells(column: Any, *, text_bytes: bool = False) -> Cells:  # noqa: PLR0911  -- one return a type
    """Return an Arrow array as cells; total in its values.

    Args:
        column: An Arrow ``Array`` or ``ChunkedArray``.
        text_bytes: Whether binary values are text (of a CSV file); otherwise bytes cannot be read.
    """
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    kind = column.type
    types = pa.types
    null: Flags = _numpy(column.is_null())
    if types.is_boolean(kind):
        return Numbers(_numpy(column.fill_null(pa.scalar(False))), null if null.any() else None)
    if types.is_integer(kind) or types.is_floating(kind):
        values = _numpy(column.fill_null(pa.scalar(0, kind)))
        return Numbers(
            values.astype(np.float64) if types.is_floating(kind) else values, null if null.any() else None
        )
    if types.is_temporal(kind) and (types.is_timestamp(kind) or types.is_date(kind)):
        return _times(column, null)
    if types.is_dictionary(kind):
        return _dictionary(column)
    if _is_text(kind) or _is_bytes(kind):
        return _texts(
            column.cast(pa.large_string()) if str(kind) == "string_view" else column, text_bytes=text_bytes
        )
    if types.is_decimal(kind):
        return factor_objects(object_array(column.to_pylist()))
    return Factored(np.where(null, -1, 0).astype(np.int64), [UNREADABLE])


def _numpy(column: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    return column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)


def _is_text(kind: Any) -> bool:
    return str(kind) in {"string", "large_string", "string_view"}


def _is_bytes(kind: Any) -> bool:
    return str(kind) in {"binary", "large_binary"}


def _times(column: Any, null: Flags) -> Times:
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    kind = column.type
    aware = pa.types.is_timestamp(kind) and kind.tz is not None
    if pa.types.is_timestamp(kind):
        per_second = _PER_SECOND[kind.unit]
        raw = _numpy(column.cast(pa.int64()).fill_null(0))
    elif pa.types.is_date32(kind):
        per_second = 0
        raw = _numpy(column.cast(pa.int32()).cast(pa.int64()).fill_null(0))
    else:
        per_second = 10**3
        raw = _numpy(column.cast(pa.int64()).fill_null(0))
    return Times(to_micros(raw, per_second), null, aware)


def to_micros(raw: Ints, per_second: int) -> Ints:
    """Return counts of a unit (``per_second`` of them a second; 0 for days) as microseconds, saturated."""
    if per_second == 0:
        return np.clip(raw.astype(np.int64), -_FAR_SECONDS // 86_400, _FAR_SECONDS // 86_400) * (
            86_400 * 10**6
        )
    if per_second >= 10**6:
        return raw // (per_second // 10**6)
    limit = _FAR_SECONDS * per_second
    return np.clip(raw, -limit, limit) * (10**6 // per_second)


def _texts(column: Any, *, text_bytes: bool) -> Factored:
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    encoded = column.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks() if encoded.num_chunks else pa.array([], type=encoded.type)
    return _indexed(encoded, text_bytes=text_bytes)


def _dictionary(column: Any) -> Factored:
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries()
        column = column.combine_chunks() if column.num_chunks else pa.array([], type=column.type)
    return _indexed(column, text_bytes=False)


def _indexed(encoded: Any, *, text_bytes: bool) -> Factored:
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    index: Ints = _numpy(encoded.indices.cast(pa.int64()).fill_null(-1))
    words = encoded.dictionary
    if _is_text(words.type):
        values: list[Any] = [
            None if w is None else as_text(w) for w in words.cast(_as_binary(words.type)).to_pylist()
        ]
    elif _is_bytes(words.type):
        values = [as_text(w) if text_bytes else UNREADABLE for w in words.to_pylist()]
    else:
        inner = arrow_cells(words)
        return _through(index, inner)
    if None in values:
        known = np.append([value is not None for value in values], False)
        index = np.where(known[index], index, -1)
    return Factored(index, values)


def _as_binary(kind: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    return pa.binary() if str(kind) == "string" else pa.large_binary()


def _through(index: Ints, inner: Cells) -> Factored:
    """Compose an index into a dictionary with the dictionary's own distinct values."""
    from dpsynth.data.cells import factored  # noqa: PLC0415  -- the composition is the only use

    words = factored(inner)
    return Factored(np.append(words.index, -1)[index], words.values)
