"""One estimate of a column from everything that was measured about it.

A column's one-way marginal is measured directly, and again, coarsely, by every pair it is part of. For
nested resolutions generalised least squares has a closed form: combine upwards by inverse variance, then
hand the corrections down in proportion to the variances.

References:
    Hay, Rastogi, Miklau, Suciu 2010, "Boosting the Accuracy of Differentially Private Histograms Through
    Consistency", section 4 (the uniform-tree case); Mullins et al. 2024 (GReM-MLE) for the general case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpsynth.model.denoise import denoise_one_way, project_to_simplex
from dpsynth.model.groups import group_sums
from dpsynth.model.stages import ALL_STAGES, Stages

__all__ = ["Observation", "reconcile_column", "total_estimate"]

Floats = npt.NDArray[np.float64]

_LOW_SIGNAL = 5.0  # mean count a cell, in sigmas, below which the posterior is denoised as a whole


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A noisy vector of a column's counts at some resolution.

    Attributes:
        groups: Group of each code; shape ``(size,)``.
        values: Noisy counts of the groups.
        variance: Noise variance of each value.
    """

    groups: npt.NDArray[np.int64]
    values: Floats
    variance: float


def total_estimate(observations: Sequence[Observation]) -> float:
    """Return the minimum-variance unbiased estimate of the number of rows, which every vector sums to."""
    weights = np.array([1.0 / (o.values.size * o.variance) for o in observations])
    sums = np.array([float(o.values.sum()) for o in observations])
    return float(weights @ sums / weights.sum())


def reconcile_column(
    fine: Observation,
    coarse: Sequence[Observation],
    *,
    ordered: int,
    total: float,
    stages: Stages = ALL_STAGES,
) -> Floats:
    """Return non-negative counts of one column, of sum ``total``, that use all observations of it.

    Args:
        fine: The one-way measurement, at the column's own codes.
        coarse: Margins of pair measurements, each at one of a chain of nested resolutions.
        ordered: How many leading codes are in a meaningful order.
        total: Number of rows the estimate is to sum to.
        stages: Without least squares ``coarse`` is ignored.

    Returns:
        Array of shape ``(size,)``.
    """
    chain = _chain(fine, coarse if stages.least_squares else (), total)
    estimates, variances = _combine_upwards(chain)
    adjusted = _spread(
        estimates[-1], variances[-1], np.zeros(estimates[-1].size, dtype=np.int64), np.array([total])
    )
    signal = total / (fine.values.size * np.sqrt(fine.variance))
    if signal < _LOW_SIGNAL:
        for lower in range(len(chain) - 2, -1, -1):
            adjusted = _spread(estimates[lower], variances[lower], chain[lower][1], adjusted)
        deviation = np.sqrt(variances[0])
        return denoise_one_way(adjusted, deviation, ordered=ordered, total=total, stages=stages)
    result = project_to_simplex(adjusted, total)
    for lower in range(len(chain) - 2, 0, -1):
        parents = chain[lower][1]
        children = _spread(estimates[lower], variances[lower], parents, result)
        result = _project_within(children, parents, result)
    deviation = np.sqrt(variances[0])
    shape = denoise_one_way(estimates[0], deviation, ordered=ordered, total=total, stages=stages)
    return _share_out(shape, chain[0][1], result) if len(chain) > 1 else project_to_simplex(shape, total)


def _chain(
    fine: Observation, coarse: Sequence[Observation], total: float
) -> list[tuple[list[tuple[Floats, float]], npt.NDArray[np.int64]]]:
    """Sort observations into resolutions, fine to coarse; each comes with its codes' groups one step up."""
    steps: dict[int, tuple[npt.NDArray[np.int64], list[tuple[Floats, float]]]] = {
        fine.values.size: (fine.groups, [(fine.values, fine.variance)])
    }
    for seen in coarse:
        shifted = seen.values + (total - seen.values.sum()) / seen.values.size
        steps.setdefault(seen.values.size, (seen.groups, []))[1].append((shifted, seen.variance))
    sizes = sorted(steps, reverse=True)
    chain = []
    for here, above in zip(sizes, [*sizes[1:], None], strict=True):
        groups, observed = steps[here]
        parents = np.zeros(here, dtype=np.int64)
        if above is not None:
            parents[groups] = steps[above][0]
        chain.append((observed, parents))
    return chain


def _combine_upwards(
    chain: list[tuple[list[tuple[Floats, float]], npt.NDArray[np.int64]]],
) -> tuple[list[Floats], list[Floats]]:
    estimates: list[Floats] = []
    variances: list[Floats] = []
    for i, (observed, parents) in enumerate(chain):
        size = parents.size
        precision, weighted = np.zeros(size), np.zeros(size)
        if i:
            below = chain[i - 1][1]
            carried = group_sums(below, estimates[-1], size)
            spread = group_sums(below, variances[-1], size)
            precision, weighted = 1.0 / spread, carried / spread
        for values, variance in observed:
            precision, weighted = precision + 1.0 / variance, weighted + values / variance
        estimates.append(weighted / precision)
        variances.append(1.0 / precision)
    return estimates, variances


def _spread(estimate: Floats, variance: Floats, parents: npt.NDArray[np.int64], totals: Floats) -> Floats:
    """Return the estimate moved, in proportion to its variances, so that its groups sum to ``totals``."""
    size = totals.size
    gap = totals - group_sums(parents, estimate, size)
    share = variance / group_sums(parents, variance, size)[parents]
    moved: Floats = estimate + share * gap[parents]
    return moved


def _project_within(children: Floats, parents: npt.NDArray[np.int64], totals: Floats) -> Floats:
    result = np.empty_like(children)
    for group, total in enumerate(totals):
        members = parents == group
        result[members] = project_to_simplex(children[members], float(total))
    return result


def _share_out(shape: Floats, parents: npt.NDArray[np.int64], totals: Floats) -> Floats:
    """Divide group totals among codes in proportion to ``shape``, evenly where a group has no mass."""
    mass = group_sums(parents, shape, totals.size)
    members = np.bincount(parents, minlength=totals.size)
    even = (mass <= 0)[parents]
    ratio = np.divide(shape, mass[parents], out=np.zeros_like(shape), where=~even)
    result: Floats = np.where(even, 1.0 / members[parents], ratio) * totals[parents]
    return result
