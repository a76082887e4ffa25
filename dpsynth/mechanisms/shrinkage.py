"""What noisy distances can be expected to be worth.

Of many noisy distances the largest are too large: they were lucky. And a distance is never below zero, so
noise makes hundreds of independent pairs look a little dependent. A prior learned from all distances
together says how far each is to be believed; where the noise is small, it changes nothing. Post-processing.

Reference: Efron 2011, "Tweedie's Formula and Selection Bias", JASA 106(496), for the idea.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["expected_distances"]

Floats = npt.NDArray[np.float64]

_GRID = 48
_SMALLEST = 1e-3  # smallest distance above zero that is told from it, as a share of the largest possible one
_STEPS = 100
_DOUBT = 0.5  # scores' worth of prior weight on every distance of the grid alike


def expected_distances(scores: Floats, noise: Floats, stray: Floats, largest: float) -> Floats:
    """Return the posterior means of distances, given noisy scores of them.

    A score is ``sqrt(e**2 + b**2) + N(0, s**2)`` for a distance ``e`` and what chance adds, ``b``. The prior
    of ``e`` is a mixture of a point at 0 and narrow Gaussians on a geometric grid up to ``largest``, their
    weights fitted to all scores by expectation maximisation.

    Args:
        scores: Noisy scores, in rows; shape ``(m,)``.
        noise: Standard deviation ``s`` of the noise in each, positive.
        stray: What chance adds, ``b``, at least 0.
        largest: Largest distance possible, positive.

    Returns:
        Expected distances, between 0 and ``largest``; shape ``(m,)``.
    """
    grid = largest * np.geomspace(_SMALLEST, 1.0, _GRID)
    width = np.concatenate([[0.0], grid * (_SMALLEST ** (-0.5 / (_GRID - 1)) - 1.0)])[:, None]
    grid = np.concatenate([[0.0], grid])[:, None]
    centre = np.hypot(grid, stray)
    slope = width * np.divide(grid, centre, out=np.zeros_like(centre), where=centre > 0)
    spread = np.square(noise) + np.square(slope)
    log_density = -0.5 * (np.square(scores - centre) / spread + np.log(spread))
    density = np.exp(log_density - log_density.max(axis=0))
    weights = np.full(grid.size, 1.0 / grid.size)
    for _ in range(_STEPS):
        held = weights * (density @ (1.0 / (weights @ density))) + _DOUBT / grid.size
        weights = held / held.sum()
    within = grid + width * slope / spread * (scores - centre)
    held = weights[:, None] * density
    means: Floats = np.clip((held * within).sum(axis=0) / held.sum(axis=0), 0.0, largest)
    return means
