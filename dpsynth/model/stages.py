"""Which steps of a fit are taken: all of them, unless a study asks what one of them is worth."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ALL_STAGES", "Stages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The steps from noisy answers to rows that can be left out.

    Attributes:
        least_squares: A column is estimated from the margins of all its tables; else from its own marginal.
        empirical_bayes: Columns and tables are shrunk under a learned prior; else columns are only projected,
            and a pair is the mean of its other estimates, or as it was measured if there are none.
        low_rank: A pair is also estimated by shrinking its singular values.
        shared_bases: A pair is also estimated along the directions its columns' other pairs have in common.
        projection: Pairs are projected to tables of counts with their margins; else negative cells are cut.
        interactions: Tables of three and more columns are estimated; else only the pairs inside them.
        iterative_fitting: Cliques are fitted to the estimates; else their columns stay independent.
        interpolation: Dependence between the groups of ordered columns is interpolated.
        polishing: Drawn rows are polished; what draws them has to see to that.
    """

    least_squares: bool = True
    empirical_bayes: bool = True
    low_rank: bool = True
    shared_bases: bool = True
    projection: bool = True
    interactions: bool = True
    iterative_fitting: bool = True
    interpolation: bool = True
    polishing: bool = True


ALL_STAGES = Stages()
