"""How far an answer of a release may be from the truth: what noise makes of it, and what was not measured.

A cell that was measured as it is has the standard deviation of its noise, all its measurements taken
together; that denoising lowers the error is not counted. Any other cell lies, whatever the dependence,
between 0 and the least of the measured counts that it is part of, so that an estimate ``m`` below such a
bound ``u`` is off by at most ``max(m, u - m)``: squared and added to the variance of that bound, it stands
in for what nobody measured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.model.structure import Model
from dpsynth.privacy.curator import Measurement

__all__ = ["standard_errors"]

Floats = npt.NDArray[np.float64]


def standard_errors(model: Model, measurements: Sequence[Measurement], columns: Sequence[int]) -> Floats:
    """Return a standard error of each cell of a marginal, in rows.

    Args:
        model: Fitted to the measurements.
        measurements: The noisy tables.
        columns: Positions of columns, all different.

    Returns:
        Array of the shape of ``model.marginal(columns)``. Estimated from the model alone: the noise's
        variances are public.

    Raises:
        ValueError: as ``model.marginal``.

    Privacy: free; post-processing of what was measured.
    """
    answer = model.marginal(columns)
    if not columns:
        singles = [m for m in measurements if len(m.query.columns) == 1]
        return np.array(sum(1.0 / (m.values.size * m.sigma**2) for m in singles) ** -0.5)
    bound, variance, exact = (np.full(answer.shape, start) for start in (np.inf, 0.0, 0.0))
    for measured in measurements:
        query = measured.query
        if not set(query.columns) <= set(columns):
            continue
        counts = model.marginal(query.columns)
        index = np.ix_(*query.groups)
        table = np.zeros(measured.values.shape)
        np.add.at(table, index, counts)
        order = np.argsort([columns.index(c) for c in query.columns])
        shape = [answer.shape[i] if c in query.columns else 1 for i, c in enumerate(columns)]
        held = np.broadcast_to(table[index].transpose(order).reshape(shape), answer.shape)
        noise = measured.sigma**2
        closer = held < bound
        bound, variance = np.where(closer, held, bound), np.where(closer, noise, variance)
        if len(query.columns) == len(columns):
            alone = np.ones(())
            for groups in query.groups:
                alone = np.multiply.outer(alone, np.bincount(groups)[groups] == 1)
            exact = exact + np.where(alone.transpose(order) > 0, 1.0 / noise, 0.0)
    apart = np.maximum(answer, np.maximum(bound - answer, 0.0))
    loose = np.sqrt(variance + apart**2)
    return np.where(exact > 0, 1.0 / np.sqrt(np.where(exact > 0, exact, 1.0)), loose)
