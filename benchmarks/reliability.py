"""What must never happen, tried many times: an act lost, a budget overspent, a file that does harm, a leak.

The budget book: fits killed at random instants, processes racing for the last of a budget, and books
tampered with (:mod:`benchmarks.reliability_book`). Release files from strangers (:mod:`benchmarks.hostile`).
Canaries in a private table (:mod:`benchmarks.leaks`).
"""

from __future__ import annotations

from typing import Any

from benchmarks import hostile, leaks, reliability_book

__all__ = ["run"]


def run(runs: int) -> dict[str, Any]:
    """Return what was tried and what came of it; five runs try 200 kills and 4,500 files."""
    return {
        "kills": reliability_book.kills(40 * runs),
        "races": reliability_book.races(runs),
        "tampered": reliability_book.tampered(),
        "hostile": hostile.run(900 * runs),
        "leaks": leaks.run(),
    }
