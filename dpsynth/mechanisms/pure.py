"""What mechanisms under pure epsilon have in common: the noise a share buys, and how shares are divided.

A share ``x`` of ``mu**2`` buys noise in proportion to ``x**-(1/2)``, a share of epsilon noise in proportion
to ``1/x``. Dividing it, small shares therefore hurt more, and the best shares lie nearer to each other:

* among tables of ``n`` cells, ``sum n/x`` is least for ``x`` in proportion to ``n**(1/2)``, not ``n**(2/3)``;
* between two stages, if ``a x**-(1/2) + b y**-(1/2)`` is least at a ratio ``r = x/y = (a/b)**(2/3)``, then
  ``a/x + b/y`` is least at ``(a/b)**(1/2) = r**(3/4)``.

Noisy distances of ``m`` pairs would cost ``m`` times a single one, so what to measure is chosen by lot (the
exponential mechanism), one at a time: that costs one epsilon a choice, whatever the number of candidates.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from dpsynth.domain import Domain
from dpsynth.mechanisms.mechanism import ONE_WAYS, Stage, one_way_budgets
from dpsynth.privacy.acts import DiscreteLaplace
from dpsynth.privacy.curator import Curator, Marginal
from dpsynth.privacy.ranges import LARGEST_SIGMA, SMALLEST_SIGMA
from dpsynth.privacy.sensitivity import of_counts

__all__ = ["CHOICES", "laplace_one_ways", "laplace_sigma", "noise_of", "nothing"]

CHOICES = "choices of what to measure"


def laplace_sigma(epsilon: float, moved: int) -> float:
    """Return the standard deviation of the noise of a table that a share of epsilon buys, in rows.

    Args:
        epsilon: The share.
        moved: The most by which one unit moves the table, in L1.
    """
    scale = min(max(moved / epsilon, SMALLEST_SIGMA), LARGEST_SIGMA)
    return DiscreteLaplace(scale=scale, sensitivity=moved).sigma


def noise_of(curator: Curator, epsilon: Fraction) -> float:
    """Return the mean absolute noise in a cell of a table that gets so much epsilon, in rows."""
    return of_counts(curator.guarantee).l1 / float(epsilon)


def laplace_one_ways(domain: Domain, budget: float, moved: int, share: float) -> Stage:
    """Return the plan's line for one-way marginals that get a share of epsilon."""
    shares = one_way_budgets(domain, Fraction(budget * share), "pure")
    sigmas = sorted(laplace_sigma(float(b), moved) for b in shares)
    return Stage(
        purpose=ONE_WAYS,
        acts=len(domain),
        share=share,
        sigma=(sigmas[0], sigmas[-1]),
        cells=sum(domain.sizes),
    )


def nothing(domain: Domain, total: float) -> tuple[Marginal, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Return a candidate for "none of these": a table of one cell, all rows, against their estimated number.

    Its distance is the error of that estimate, next to nothing; so it wins a choice when all other candidates
    are worth less than they cost.
    """
    query = Marginal((0,), (np.zeros(domain.axes[0].size, dtype=np.int64),))
    return query, np.array([math.floor(total + 0.5)], dtype=np.int64)
