"""A guarantee for the many runs of an audit: what it affords is worked out once."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from dpsynth.privacy.guarantee import Calculus, Guarantee

__all__ = ["Worked"]


class Worked(Guarantee):
    """A guarantee that works out only once what it affords, which takes some ten milliseconds."""

    __slots__ = ("known",)

    known: dict[tuple[Calculus, Fraction], float]

    @classmethod
    def of(cls, stated: Guarantee) -> Worked:
        """Return the same guarantee."""
        own = cls(**{f.name: getattr(stated, f.name) for f in dataclasses.fields(Guarantee)})
        object.__setattr__(own, "known", {})
        return own

    def budget(self, calculus: Calculus, delta_aside: Fraction = Fraction(0)) -> float:
        """Return what the guarantee says."""
        if (calculus, delta_aside) not in self.known:
            self.known[calculus, delta_aside] = super().budget(calculus, delta_aside)
        return self.known[calculus, delta_aside]
