"""What a table looked like: the kind of frame and the name of each column's dtype. No values, no length."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self, get_args

from dpsynth.errors import DataError

__all__ = ["FILE_DTYPE", "FrameKind", "Layout", "is_readable", "split_zone"]

FrameKind = Literal["pandas", "polars", "pyarrow"]

FILE_DTYPE: Final = "file"
"""The dtype name of a column of a text file, which has none: it is written in its kind's natural dtype."""

_UNREADABLE: Final = (
    *(
        "binary",
        "large_binary",
        "fixed_size_binary",
        "list",
        "large_list",
        "fixed_size_list",
        "array",
        "struct",
    ),
    *("map", "time32", "time64", "time", "duration", "timedelta", "month_day_nano", "complex", "period"),
)


_NARROW: Final = r"u?int(8|16|32)|float16|float32|halffloat|float"
_DECLARED: Final[dict[str, re.Pattern[str]]] = {
    "pandas": re.compile(
        rf"{_NARROW}|U?Int(8|16|32)|Float32|category|datetime64\[(s|ms)\]|datetime64\[\w+, [^\[\]]+\]"
        rf"|({_NARROW}|dictionary.*)\[pyarrow\]|file"
    ),
    "polars": re.compile(r"U?Int(8|16|32)|Float32|Categorical|Enum|Datetime\[(ms|ns)\]|Datetime\[\w+, .*\]"),
    "pyarrow": re.compile(rf"{_NARROW}|dictionary.*|large_string|date64.*|timestamp\[(ms|\w+, .*)\]"),
}
"""The dtypes of each library that no reader chooses by looking at values; ``file``: of no library."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The public look of a table.

    Attributes:
        frame: Which library's frame it was; files count as pandas.
        dtypes: Column name and dtype name, in the table's order.
    """

    frame: FrameKind
    dtypes: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if self.frame not in get_args(FrameKind):
            raise DataError(f"frame must be one of {', '.join(get_args(FrameKind))}")
        if not all(isinstance(n, str) and isinstance(d, str) and len(d) < 500 for n, d in self.dtypes):
            raise DataError("a layout's dtypes must be pairs of column name and dtype name")

    def dtype(self, name: str) -> str:
        """Return a column's dtype name, or :data:`FILE_DTYPE` where the table had no such column."""
        return dict(self.dtypes).get(name, FILE_DTYPE)

    def only(self, names: Iterable[str]) -> Layout:
        """Return the layout of these columns alone, in this order."""
        known = dict(self.dtypes)
        return Layout(self.frame, tuple((n, known[n]) for n in names if n in known))

    def public(self, names: Iterable[str]) -> Layout:
        """Return of these columns what a release may keep: nothing that was inferred from values.

        Readers of files choose dtypes by what they see: at the first null pandas turns int64 into float64,
        and at the first garbled value every reader turns numbers or days into texts; a sparse dtype names
        its most frequent value. A dtype that may have come about like that is kept as ``object``, for which
        the schema decides what is written. Those that someone has to ask for are kept: narrow numbers,
        categories, zones and units of time.
        """
        declared = _DECLARED[self.frame]
        kept = self.only(names).dtypes
        return Layout(self.frame, tuple((n, d if declared.fullmatch(d) else "object") for n, d in kept))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"frame": self.frame, "dtypes": [list(pair) for pair in self.dtypes]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Build a layout from plain values.

        Raises:
            DataError: the content is not a layout.
        """
        try:
            frame, dtypes = content["frame"], content["dtypes"]
            pairs = tuple((name, dtype) for name, dtype in dtypes)
        except (KeyError, TypeError, ValueError):
            raise DataError(
                "a layout needs frame, and dtypes as pairs of column name and dtype name"
            ) from None
        return cls(frame, pairs)


def is_readable(dtype: str) -> bool:
    """Whether values of a dtype can be labels, numbers or times at all."""
    return not dtype.lower().startswith(_UNREADABLE) or dtype.startswith("timestamp")


def split_zone(dtype: str) -> tuple[str, str | None]:
    """Split ``"datetime64[us, Europe/Paris]"`` into its unit and its zone; an unknown zone counts as none."""
    inner = dtype[dtype.find("[") + 1 : -1] if dtype.endswith("]") and "[" in dtype else ""
    unit, _, zone = inner.partition(",")
    zone = zone.strip().removeprefix("tz=")
    if unit not in {"s", "ms", "us", "ns"}:
        unit = "us"
    if not zone:
        return unit, None
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return unit, None
    return unit, zone
