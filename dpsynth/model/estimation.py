"""From noisy marginals to consistent estimates. Post-processing throughout.

1. The number of rows: minimum-variance mean of the one-way sums.
2. Each column: generalised least squares over its one-way and all tables' margins, then non-negativity.
3. Each pair that was measured, or is inside a larger table that was: all observations of it combined, then
   empirical-Bayes denoising towards the product of its columns, raked to agree with them.
4. Each larger table: its pure interaction, shrunk towards what the tables inside it imply.

:mod:`dpsynth.model.structure` builds a model of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.model.bases import Residual, shared_deviations
from dpsynth.model.consistency import Observation, reconcile_column, total_estimate
from dpsynth.model.denoise import center, denoise_one_way, denoise_pair
from dpsynth.model.estimates import Estimate
from dpsynth.model.groups import group_sums
from dpsynth.model.interactions import estimate_interaction
from dpsynth.model.observations import TableObservation, observed_tables
from dpsynth.model.stages import ALL_STAGES, Stages
from dpsynth.privacy.curator import Measurement

__all__ = ["estimate_marginals", "one_way_estimates", "one_way_variances"]

Floats = npt.NDArray[np.float64]


def one_way_estimates(domain: Domain, one_ways: Sequence[Measurement]) -> tuple[float, list[Floats]]:
    """Return the estimated number of rows (at least 1) and each column's denoised counts.

    Args:
        domain: The columns.
        one_ways: One or more measurements of each column, at full resolution.
    """
    observed = _observe_columns(domain, one_ways)
    total = max(total_estimate(observed), 1.0)
    counts = [
        denoise_one_way(o.values, float(np.sqrt(o.variance)), ordered=axis.ordered, total=total)
        for axis, o in zip(domain, observed, strict=True)
    ]
    return total, counts


def one_way_variances(
    domain: Domain, one_ways: Sequence[Measurement], counts: Sequence[Floats]
) -> list[Floats]:
    """Return about what the variance of the error in each denoised count is.

    The error of a cell of ``c`` rows, denoised from noise of standard deviation ``s``, is taken to be
    ``0.7 min(s, c / 0.8)``: empty cells are found to be empty, and neighbours help.

    Args:
        domain: The columns.
        one_ways: One or more measurements of each column, at full resolution.
        counts: What :func:`one_way_estimates` made of them.
    """
    observed = _observe_columns(domain, one_ways)
    return [0.5 * np.minimum(o.variance, np.square(c / 0.8)) for o, c in zip(observed, counts, strict=True)]


def estimate_marginals(
    domain: Domain,
    one_ways: Sequence[Measurement],
    tables: Sequence[Measurement],
    *,
    stages: Stages = ALL_STAGES,
) -> tuple[float, tuple[Floats, ...], tuple[Estimate, ...]]:
    """Return the unbiased number of rows, a distribution of each column, and consistent joint tables.

    Args:
        domain: The columns.
        one_ways: One or more measurements of each column, at full resolution.
        tables: Measurements of two or more columns each; a column's groupings are nested.
        stages: Which steps are taken.

    Returns:
        The joint tables are those of every set of two or more columns inside a measured one.
    """
    fine = _observe_columns(domain, one_ways)
    estimate = total_estimate(fine)
    total = max(estimate, 1.0)
    margins: list[list[Observation]] = [[] for _ in domain.axes]
    for table in tables:
        for axis, column in enumerate(table.query.columns):
            values = table.values.sum(axis=tuple(i for i in range(table.values.ndim) if i != axis))
            variance = table.sigma**2 * table.values.size / values.size
            margins[column].append(Observation(table.query.groups[axis], values.astype(np.float64), variance))
    counts = [
        reconcile_column(fine[i], margins[i], ordered=axis.ordered, total=total, stages=stages)
        for i, axis in enumerate(domain)
    ]
    nodes = tuple(c / c.sum() for c in counts)
    observed = observed_tables(tables)
    found = _pairs([o for o in observed if len(o.columns) == 2], nodes, total, stages)
    known = {e.columns: e for e in found}
    for larger in observed[len(found) :] if stages.interactions else ():
        known[larger.columns] = estimate_interaction(larger, nodes, known, total)
    return estimate, nodes, tuple(known.values())


def _pairs(
    pairs: Sequence[TableObservation], nodes: tuple[Floats, ...], total: float, stages: Stages
) -> tuple[Estimate, ...]:
    """Denoise all pairs, each with the help of those that share a column; make them agree with ``nodes``."""
    margins = [
        [total * group_sums(g, nodes[c]) for c, g in zip(p.columns, p.groups, strict=True)] for p in pairs
    ]
    residuals = [
        Residual(p.columns, p.groups, center(p.values - np.outer(*m) / total), p.variance**0.5)
        for p, m in zip(pairs, margins, strict=True)
    ]
    guesses = shared_deviations(residuals) if stages.shared_bases else [None] * len(residuals)
    edges = []
    for pair, (rows, columns), guess in zip(pairs, margins, guesses, strict=True):
        sigma = pair.variance**0.5
        table = denoise_pair(pair.values, sigma, rows, columns, deviation=guess, stages=stages)
        edges.append(Estimate(pair.columns, pair.groups, table / table.sum()))
    return tuple(edges)


def _observe_columns(domain: Domain, one_ways: Sequence[Measurement]) -> list[Observation]:
    """Return the mean, weighted by inverse variance, of each column's measurements."""
    observed = []
    for column in range(len(domain)):
        seen = [m for m in one_ways if m.query.columns == (column,)]
        weights = np.array([m.sigma**-2 for m in seen])
        values = np.average([m.values for m in seen], axis=0, weights=weights)
        observed.append(Observation(seen[0].query.groups[0], values, float(1.0 / weights.sum())))
    return observed
