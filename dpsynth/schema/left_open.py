"""Which keys of a schema say that their value is to be bought."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["BUY", "BUYABLE", "BUY_EDGES", "open_keys", "unbuyable_keys"]

BUY: Final = "buy"
BUY_EDGES: Final = {BUY: "tree", "buy tree": "tree", "buy quantiles": "quantiles"}
"""What ``edges`` may say instead of a list, and how bins are then cut."""

_RANGED: Final = ("missing", "lower", "upper", "edges")
BUYABLE: Final[Mapping[str, tuple[str, ...]]] = {
    "categorical": ("missing", "values"),
    "ordinal": ("missing",),
    "boolean": ("missing",),
    "integer": _RANGED,
    "real": _RANGED,
    "date": _RANGED,
    "datetime": _RANGED,
}
"""The keys of each kind that may say ``buy``."""

_NEVER: Final = ("values", "count", "bins", "spikes", "decimals", "resolution")


def open_keys(content: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the name of each column that leaves something to be bought, and the keys that say so.

    Args:
        content: What a schema file says, right or wrong; what cannot be read is nobody's purchase.
    """
    columns = content.get("columns")
    for name, spec in columns.items() if isinstance(columns, Mapping) else ():
        kind = spec.get("kind") if isinstance(spec, Mapping) else None
        if not isinstance(kind, str):
            continue
        keys = tuple(key for key in BUYABLE.get(kind, ()) if _says_buy(key, spec.get(key)))
        if keys:
            yield name, keys


def unbuyable_keys(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give column and key of what says ``buy`` and cannot be bought; a text may say it where texts stand."""
    columns = content.get("columns")
    for name, spec in columns.items() if isinstance(columns, Mapping) else ():
        kind = spec.get("kind") if isinstance(spec, Mapping) else None
        sold = BUYABLE.get(kind, ()) if isinstance(kind, str) else _NEVER
        for key in _NEVER:
            if key not in sold and isinstance(spec, Mapping) and spec.get(key) == BUY:
                yield name, key


def _says_buy(key: str, value: object) -> bool:
    return isinstance(value, str) and (value in BUY_EDGES if key == "edges" else value == BUY)
