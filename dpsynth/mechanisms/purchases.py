"""What is bought before a mechanism starts, as lines of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from dpsynth.buying.lines import AGAIN, lines_of
from dpsynth.mechanisms.mechanism import Stage
from dpsynth.privacy.acts import noise_for
from dpsynth.privacy.guarantee import Calculus, Guarantee
from dpsynth.privacy.sensitivity import of_counts
from dpsynth.schema import OpenSchema

__all__ = ["planned_purchases"]


def planned_purchases(
    schema: OpenSchema | None, guarantee: Guarantee, budget: float, calculus: Calculus
) -> Iterator[Stage]:
    """Give the plan's lines for what is bought; none where nothing is.

    Args:
        schema: What is left open, if anything.
        guarantee: What is promised in all.
        budget: The whole budget, in the calculus's currency.
        calculus: That currency.
    """
    moved = of_counts(guarantee)
    for line in () if schema is None else lines_of(schema):
        whole = Fraction(budget) * line.share
        most = noise_for(whole / line.acts, moved, calculus).sigma
        yield Stage(
            purpose=line.purpose,
            acts=line.acts,
            share=float(line.share),
            sigma=(noise_for(whole, moved, calculus).sigma if line.purpose == AGAIN else most, most),
            cells=line.cells,
            note=line.note,
        )
