"""Categories of a labelled column, from two looks: a cheap one at all columns, a dearer one where it pays.

A column with few, common values shows all of them at once. Where the rows accounted for fall short of the
rows there are, rare values are left, and the second look's budget goes there, in proportion to what is
missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dpsynth.privacy.seller import Discovered

__all__ = ["labels_of", "left_over", "worth_another_look"]

_CLEAR = 1.0  # standard deviations that a shortfall must exceed: a look in vain costs little


def left_over(looks: Mapping[str, Discovered], rows: float) -> dict[str, float]:
    """Return for each column how many rows its categories leave unaccounted for, if that is beyond noise.

    Args:
        looks: What was found.
        rows: Noisy number of rows.
    """
    short = {}
    for name, look in looks.items():
        missing = rows - float(look.counts.sum()) - look.nulls
        noise = look.sigma * (look.counts.size + 2) ** 0.5
        short[name] = missing if missing > _CLEAR * noise else 0.0
    return short


def worth_another_look(short: Mapping[str, float]) -> dict[str, float]:
    """Return the shares of a second look's budget, by column; none where nothing is left to be found."""
    whole = sum(short.values())
    return {name: rows / whole for name, rows in short.items() if rows > 0}


def labels_of(looks: Sequence[Discovered], other: str) -> list[str]:
    """Return the labels that some look found: from most rows to fewest, as the last look at each has them.

    Where nothing was found, the label of all others is the only one.
    """
    counts: dict[str, int] = {}
    for look in looks:
        counts |= dict(zip(look.labels, look.counts.tolist(), strict=True))
    return sorted(counts, key=lambda label: (-counts[label], label)) or [other]
