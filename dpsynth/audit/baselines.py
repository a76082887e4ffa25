"""Attacks known from the field that look at the synthetic table alone, as a yardstick.

What they can show: rows copied into the output, and generators that crowd around single rows. What they
cannot: that a promise is kept. Under any noise that deserves the name both are near chance, whether the
promise is kept or missed by a factor of three; distances between real and synthetic rows are no evidence of
privacy.

References: van Breugel et al. 2023, "Membership Inference Attacks against Synthetic Data through Overfitting
Detection" (arXiv:2302.12580), the density ratio. Yao et al. 2025, "The DCR Delusion" (arXiv:2505.01524), on
what distances to the closest record do not show.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpsynth.audit.exposed import distances
from dpsynth.audit.tables import Codes
from dpsynth.domain import Domain

__all__ = ["closest_scores", "density_scores"]

Floats = npt.NDArray[np.float64]

_BANDWIDTH = 0.5  # columns in which a neighbour differs, at which its weight is 1/e
_FLOOR = 1e-9  # of a mean weight: nobody is near


def closest_scores(targets: Codes, synthetic: Codes, domain: Domain) -> Floats:
    """Return minus the distance from each target to the closest synthetic row.

    Args:
        targets: Shape ``(targets, columns)``.
        synthetic: Shape ``(rows, columns)``, at least one row.
        domain: Of both.
    """
    scores = np.empty(len(targets))
    for block, apart in distances(targets, synthetic, domain):
        scores[block] = -apart.min(axis=1)
    return scores


def density_scores(targets: Codes, synthetic: Codes, reference: Codes, domain: Domain) -> Floats:
    """Return each target's log density in the synthetic table over that in a reference table.

    Densities are mean weights ``exp(-columns * distance / 0.5)`` over a table's rows.

    Args:
        targets: Shape ``(targets, columns)``.
        synthetic: Shape ``(rows, columns)``.
        reference: Rows of the same population that are neither in the training rows nor among the targets.
        domain: Of all three.
    """
    found = []
    for rows in (synthetic, reference):
        density = np.empty(len(targets))
        for block, apart in distances(targets, rows, domain):
            density[block] = np.exp(apart * np.float32(-len(domain) / _BANDWIDTH)).mean(axis=1)
        found.append(np.log(density + _FLOOR))
    return found[0] - found[1]
