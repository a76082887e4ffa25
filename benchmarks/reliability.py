"""What must never happen, tried many times: an act lost, a budget overspent, a file that does harm, a leak.

The budget book: fits killed at random instants, processes racing for the last of a budget, and books
tampered with (:mod:`benchmarks.reliability_book`). Release files from strangers (:mod:`benchmarks.hostile`).
Canaries in a private table (:mod:`benchmarks.leaks`).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from benchmarks import hostile, leaks

__all__ = ["run"]

_BOOK = "benchmarks.reliability_book"


def run(runs: int) -> dict[str, Any]:
    """Return what was tried and what came of it; five runs try 200 kills and 4,500 files."""
    found: dict[str, Any] = {}
    if importlib.util.find_spec(_BOOK) is not None:
        book: Any = importlib.import_module(_BOOK)
        parts: dict[str, Callable[[], Any]] = {
            "kills": lambda: book.kills(40 * runs),
            "races": lambda: book.races(runs),
            "tampered": book.tampered,
        }
        found |= {name: part() for name, part in parts.items()}
    found["hostile"] = hostile.run(900 * runs)
    found["leaks"] = leaks.run()
    return found
