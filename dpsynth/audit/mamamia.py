"""Membership inference that knows which marginals were measured.

A release says which. For each of them an attacker compares how often the target's cell occurs in what was
released with how often it occurs in the population, which a reference table shows: what was in the training
table has made its own cells heavier.

Reference: Golob, Pentyala, Maratkhan, De Cock 2024, "Privacy Vulnerabilities in Marginals-based Synthetic
Data" (arXiv:2410.05506), with the marginals known instead of guessed by shadow runs, and all weighing the
same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.audit.tables import Codes, Integers
from dpsynth.privacy.curator import Measurement
from dpsynth.privacy.marginal import Marginal

__all__ = ["cells_of", "measured_scores", "ratio_scores"]

Floats = npt.NDArray[np.float64]


def cells_of(query: Marginal, codes: Codes) -> Integers:
    """Return the cell of a marginal that each row lies in, flattened."""
    groups = [own[codes[:, column]] for column, own in zip(query.columns, query.groups, strict=True)]
    return np.ravel_multi_index(tuple(groups), query.shape).astype(np.int64)


def ratio_scores(
    targets: Codes, synthetic: Codes, reference: Codes, measurements: Sequence[Measurement]
) -> Floats:
    """Return the mean over measured marginals of the target's cell's share: synthetic over reference.

    ``mean_F P_synthetic(F(t)) / P_reference(F(t))``, half a row added to every cell that occurs.

    Args:
        targets: Shape ``(targets, columns)``.
        synthetic: A synthetic table, the larger the better.
        reference: Rows of the same population that are neither in the training rows nor among the targets.
        measurements: Of the release; only their queries are used.
    """
    queries = _distinct(measurements)
    scores = np.zeros(len(targets))
    for query in queries:
        shares = [_share(cells_of(query, rows), cells_of(query, targets)) for rows in (synthetic, reference)]
        scores += shares[0] / shares[1]
    return scores / max(1, len(queries))


def measured_scores(
    targets: Codes, reference: Codes, measurements: Sequence[Measurement], total: float
) -> Floats:
    """Return how much more each target's cells were measured to hold than the population would put there.

    ``sum_F (y_F[F(t)] - N q) / (sigma_F**2 + N q (1 + N / m))`` with ``q`` the cell's share among ``m``
    reference rows and ``N`` the noisy number of rows: the likelihood ratio of one row more, for rows
    otherwise drawn from the population.

    Args:
        targets: Shape ``(targets, columns)``.
        reference: As in :func:`ratio_scores`.
        measurements: Of the release, answers and noise included.
        total: Number of rows as released.
    """
    scores = np.zeros(len(targets))
    for measured in measurements:
        own = cells_of(measured.query, targets)
        expected = total * _share(cells_of(measured.query, reference), own)
        spread = measured.sigma**2 + expected * (1 + total / max(1, len(reference)))
        scores += (measured.values.ravel()[own] - expected) / spread
    return scores


def _share(cells: Integers, wanted: Integers) -> Floats:
    """Return the share of each wanted cell among the cells of some rows, smoothed."""
    known, counts = np.unique(cells, return_counts=True)
    place = np.minimum(np.searchsorted(known, wanted), max(0, known.size - 1))
    hit = np.where(known[place] == wanted, counts[place], 0)
    return (hit + 0.5) / (cells.size + 0.5 * (known.size + 1))


def _distinct(measurements: Sequence[Measurement]) -> list[Marginal]:
    """Return each measured set of columns once, at the finest grouping it was measured at."""
    finest: dict[tuple[int, ...], Marginal] = {}
    for measured in measurements:
        key = tuple(sorted(measured.query.columns))
        if key not in finest or finest[key].cells < measured.query.cells:
            finest[key] = measured.query
    return list(finest.values())
