"""Did a release buy what it says? Each thing is backed by an entry, and each such entry by a thing."""

from __future__ import annotations

from typing import Final

from dpsynth.buying.lines import AGAIN, BINS, BOUNDS, CATEGORIES, CLOSER, NULLS, PURPOSES, ROWS
from dpsynth.privacy.acts import Thresholded
from dpsynth.privacy.ledger import Entry
from dpsynth.release.documents import shown
from dpsynth.release.statement import Statement

__all__ = ["bought_domains", "is_purchase"]

_BACKING: Final = {
    "values": (CATEGORIES,),
    "lower": (BOUNDS,),
    "upper": (BOUNDS,),
    "edges": (BOUNDS, BINS),
    "missing": (CATEGORIES, BOUNDS, NULLS),
}
_FOR: Final = {
    ROWS: ("values",),
    CATEGORIES: ("values",),
    AGAIN: ("values",),
    BOUNDS: ("lower", "upper"),
    CLOSER: ("lower", "upper"),
    BINS: ("edges",),
    NULLS: ("missing",),
}


def is_purchase(entry: Entry) -> bool:
    """Whether an entry bought a part of a column's domain."""
    return entry.purpose in PURPOSES and len(entry.columns) == 1


def bought_domains(statement: Statement) -> tuple[bool, str]:
    """Say whether the things bought and the entries that paid for them match.

    Bins are also backed by the counts that bounds were found in: where no interval is full, nothing more is
    counted.
    """
    for entry in statement.entries:
        if isinstance(entry.act, Thresholded) != (entry.purpose in (CATEGORIES, AGAIN)):
            return False, f"entry {entry.number} is for {shown(entry.purpose)} by another act than that takes"
        if entry.purpose in PURPOSES and not is_purchase(entry):
            return False, f"entry {entry.number} buys from {len(entry.columns)} columns at once"
    paid = {(entry.columns[0], entry.purpose) for entry in statement.entries if is_purchase(entry)}
    bought = {(p.name, key) for p in statement.provenance for key in p.bought}
    for name, purpose in sorted(paid):
        if not any((name, key) in bought for key in _FOR[purpose]):
            return False, f"{shown(purpose)} was paid for of {shown(name)}, which is said to be stated"
    for name, key in sorted(bought):
        if not any((name, purpose) in paid for purpose in _BACKING[key]):
            return False, f"{key} of {shown(name)} is said to be bought, and no entry paid for it"
    columns = len({name for name, _ in bought})
    if not columns:
        return True, "nothing was bought"
    return True, f"{len(bought)} things bought of {columns} columns, each with an entry that paid for it"
