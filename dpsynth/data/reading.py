"""What a cell means as a whole number, a decimal number, a moment or a truth.

Each reader gives one value and one status a row: ``OK``, ``NULL`` or ``GARBLED``. Readers are total:
no cell makes them fail, and a row's answer depends on that row alone.

The texts in :data:`NULL_TEXTS` (compared without case or surrounding blanks) are nulls, in every kind of
source, unless a labelled column declares them as values. This list is public and fixed.

* Numbers: ASCII numerals such as ``12``, ``-1.50``, ``1e3``; ``inf``; true/false are 1 and 0. A decimal
  comma, a thousands separator or a unit makes a text unreadable. Rounding to the grid is to nearest, ties
  to even; a numeral with a point or exponent is read as the nearest float64, as a float column holds it.
* Times: ISO 8601 texts, dates, datetimes. Moments are cut down to the grid (10:59 is in the hour 10).
* Truths: booleans, 0 and 1, and the words true/false, yes/no, t/f, y/n.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from dpsynth.data.cells import Cells, Factored, Flags, Ints, Numbers, Times, factored

__all__ = [
    "GARBLED",
    "NULL",
    "NULL_TEXTS",
    "OK",
    "exact_wholes",
    "is_null_text",
    "moments",
    "number_of_text",
    "reals",
    "truths",
    "wholes",
]

OK, NULL, GARBLED = 0, 1, 2

NULL_TEXTS: Final = frozenset({"", "na", "n/a", "#n/a", "nan", "nat", "<na>", "null", "none", "?"})

Status = npt.NDArray[np.uint8]
_T = TypeVar("_T")

_NUMERAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_WORDS: Final = {"true": 1, "false": 0}
_INFINITE: Final = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf}
_INFINITE_LONG: Final = {k.replace("inf", "infinity"): v for k, v in _INFINITE.items()}
_TRUTHS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
_FAR: Final = 2**62 + 2048
"""Beyond every bound a schema may state (2**62), and exactly a float64."""
_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001  -- wall-clock arithmetic has no zone
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_FIRST_INSTANT: Final = (dt.datetime(1, 1, 3) - _EPOCH) // _MICROSECOND  # noqa: DTZ001  -- as above
_LAST_INSTANT: Final = (dt.datetime(9999, 12, 29) - _EPOCH) // _MICROSECOND  # noqa: DTZ001  -- as above


def is_null_text(text: str) -> bool:
    """Whether a text stands for a null."""
    return text.strip().lower() in NULL_TEXTS


def number_of_text(text: str) -> int | float | None:
    """Return the number that a text writes (an exact int for digits alone), or ``None``."""
    stripped = text.strip()
    if stripped.isascii() and stripped.isdigit() and len(stripped) < 19:
        return int(stripped)
    if _NUMERAL.fullmatch(stripped):
        if len(stripped) < 400 and re.fullmatch(r"[+-]?\d+", stripped, re.ASCII):
            return int(stripped)
        return float(stripped)
    lowered = stripped.lower()
    if lowered in _WORDS:
        return _WORDS[lowered]
    return _INFINITE.get(lowered, _INFINITE_LONG.get(lowered))


def wholes(cells: Cells) -> tuple[Ints, Status]:
    """Read whole numbers, saturated far outside every bound a schema may state."""
    if isinstance(cells, Numbers):
        return _whole_numbers(cells.values), _null_status(cells)
    return _by_value(factored(cells), _whole, np.int64)


def exact_wholes(cells: Cells) -> tuple[Ints, Status]:
    """Read whole numbers without rounding: a number with a fraction is unreadable."""
    numbers, status = wholes(cells)
    if isinstance(cells, Numbers):
        if cells.values.dtype.kind == "f":
            status[(status == OK) & (np.rint(cells.values) != cells.values)] = GARBLED
        return numbers, status
    values, _ = reals(cells)
    status[(status == OK) & (np.rint(values) != values)] = GARBLED
    return numbers, status


def reals(cells: Cells) -> tuple[npt.NDArray[np.float64], Status]:
    """Read decimal numbers as float64; infinities stay."""
    if isinstance(cells, Numbers):
        return np.nan_to_num(cells.values.astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf), (
            _null_status(cells)
        )
    return _by_value(factored(cells), _real, np.float64)


def truths(cells: Cells) -> tuple[Ints, Status]:
    """Read truths as 0 and 1."""
    if isinstance(cells, Numbers) and cells.values.dtype == np.bool_:
        return cells.values.astype(np.int64), _null_status(cells)
    return _by_value(factored(cells), _truth, np.int64)


def moments(cells: Cells, zone: str | None, lower: int, upper: int) -> tuple[Ints, Status]:
    """Read moments as microseconds of wall-clock time in a zone.

    Args:
        cells: The column.
        zone: IANA name; instants are converted to it, or to UTC when ``None``.
        lower: Lower bound in microseconds of wall-clock time.
        upper: Upper bound, likewise. Values more than three days outside are saturated.
    """
    margin = 3 * 86_400_000_000
    if isinstance(cells, Numbers):
        null = _null_status(cells)
        return np.zeros(null.size, dtype=np.int64), np.where(null == NULL, NULL, GARBLED).astype(np.uint8)
    if isinstance(cells, Times):
        micros = np.clip(cells.micros, lower - margin, upper + margin)
        wall = _to_zone(micros, zone) if cells.aware and zone is not None else micros
        return wall, cells.null.astype(np.uint8)
    naive, status = _by_value(cells, _naive_micros, np.int64)
    instants, instant_status = _by_value(cells, _instant_micros, np.int64)
    instants = np.clip(instants, lower - margin, upper + margin)
    if zone is not None:
        instants = _to_zone(instants, zone)
    aware = instant_status == OK
    return (
        np.where(aware, instants, np.clip(naive, lower - margin, upper + margin)),
        np.where(aware, OK, status).astype(np.uint8),
    )


def _whole_numbers(values: npt.NDArray[Any]) -> Ints:
    if values.dtype.kind == "f":
        safe = np.nan_to_num(values.astype(np.float64, copy=False), nan=0.0, posinf=_FAR, neginf=-_FAR)
        return np.clip(np.rint(safe), -_FAR, _FAR).astype(np.int64)
    if values.dtype.kind == "u" and values.dtype.itemsize == 8:
        values = np.minimum(values, np.uint64(_FAR))
    whole: Ints = values.astype(np.int64, copy=False)
    return whole


def _null_status(cells: Numbers) -> Status:
    if cells.values.dtype.kind == "f":
        null: Flags = np.isnan(cells.values)
        return (null if cells.null is None else null | cells.null).astype(np.uint8)
    if cells.null is None:
        return np.zeros(cells.values.shape, dtype=np.uint8)
    return cells.null.astype(np.uint8)


def _by_value(
    cells: Factored, read: Callable[[Any], tuple[_T, int]], dtype: type[np.generic]
) -> tuple[npt.NDArray[Any], Status]:
    """Read each distinct value once; a null (index -1) takes the entry appended at the end."""
    values = np.zeros(len(cells.values) + 1, dtype=dtype)
    status = np.full(len(cells.values) + 1, NULL, dtype=np.uint8)
    for position, item in enumerate(cells.values):
        values[position], status[position] = read(item)
    return values[cells.index], status[cells.index]


def _whole(item: object) -> tuple[int, int]:
    if isinstance(item, str):
        number = number_of_text(item)
        if number is None:
            return 0, NULL if is_null_text(item) else GARBLED
        item = number
    if isinstance(item, int):
        return max(-_FAR, min(_FAR, item)), OK
    if isinstance(item, Decimal):
        if item.copy_abs() >= _FAR:
            return (_FAR if item > 0 else -_FAR), OK
        return int(item.to_integral_value(decimal.ROUND_HALF_EVEN)), OK
    if isinstance(item, float):
        return (round(item) if abs(item) < _FAR else int(math.copysign(_FAR, item))), OK
    return 0, GARBLED


def _real(item: object) -> tuple[float, int]:
    if isinstance(item, str):
        number = number_of_text(item)
        if number is None:
            return 0.0, NULL if is_null_text(item) else GARBLED
        item = number
    if isinstance(item, (int, float, Decimal)):
        try:
            return float(item), OK
        except OverflowError:
            return (math.inf if item > 0 else -math.inf), OK
    return 0.0, GARBLED


def _truth(item: object) -> tuple[int, int]:
    if isinstance(item, str):
        known = _TRUTHS.get(item.strip().lower())
        if known is not None:
            return int(known), OK
        number = number_of_text(item)
        if number is None:
            return 0, NULL if is_null_text(item) else GARBLED
        item = number
    if isinstance(item, (int, float, Decimal)) and item in {0, 1}:
        return int(item), OK
    return 0, GARBLED


def _time_of(item: object) -> dt.datetime | float | None:
    """Return a moment, an infinity for a moment outside the calendar, or ``None``."""
    if isinstance(item, str):
        try:
            return dt.datetime.fromisoformat(item.strip())
        except ValueError:
            return None
    if isinstance(item, dt.datetime):
        return item
    if isinstance(item, dt.date):
        return dt.datetime(item.year, item.month, item.day)  # noqa: DTZ001  -- a day has no zone
    return item if isinstance(item, float) and math.isinf(item) else None


def _naive_micros(item: object) -> tuple[int, int]:
    moment = _time_of(item)
    if isinstance(moment, float):
        return int(math.copysign(_FAR, moment)), OK
    if moment is None or moment.tzinfo is not None:
        return 0, NULL if isinstance(item, str) and is_null_text(item) else GARBLED
    return (moment - _EPOCH) // _MICROSECOND, OK


def _instant_micros(item: object) -> tuple[int, int]:
    moment = _time_of(item)
    if not isinstance(moment, dt.datetime) or (offset := moment.utcoffset()) is None:
        return 0, GARBLED
    return (moment.replace(tzinfo=None) - _EPOCH) // _MICROSECOND - offset // _MICROSECOND, OK


def _to_zone(micros: Ints, zone: str) -> Ints:
    """Return wall-clock times of instants; beyond the calendar the offset is that of its last days."""
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    inside = np.clip(micros, _FIRST_INSTANT, _LAST_INSTANT)  # pandas fails where the wall clock has no year
    instants = pd.DatetimeIndex(inside.astype("datetime64[us]")).tz_localize("UTC")
    wall = instants.tz_convert(zone).tz_localize(None)
    return np.asarray(wall.as_unit("us").asi8, dtype=np.int64) + (micros - inside)
