"""Estimating counts from noisy counts. Post-processing: nothing here touches private rows.

Noise is Gaussian of a known sigma, so what is left to choose is a prior. Empirical Bayes learns one from
the noisy vector itself: deviations from a mean are a scale mixture of centred Gaussians whose weights are
fitted by expectation maximisation, and every cell is replaced by its posterior mean.

References:
    Efron 2010, "Large-Scale Inference", chapters 1-2 (empirical Bayes by a mixture on a grid);
    Gavish, Donoho 2017, "Optimal Shrinkage of Singular Values", IEEE Trans. IT 63(4), equation (7);
    Wang, Chen, Wang 2017, "Projection onto the probability simplex" (norm-sub).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpsynth.model.smoothing import smooth_curves
from dpsynth.model.stages import ALL_STAGES, Stages

__all__ = [
    "center",
    "denoise_one_way",
    "denoise_pair",
    "posterior_gain",
    "project_to_simplex",
    "rake",
    "shrink_towards",
]

Floats = npt.NDArray[np.float64]

_ABSOLUTE = np.geomspace(0.05, 1e4, 24)  # prior deviations in units of the noise's sigma
_RELATIVE = np.geomspace(1e-5, 1e3, 17)  # prior variances a * mean**b
_POWERS = (1.0, 2.0)
_BANDWIDTHS = (0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
_NEIGHBOURS = 3  # which of these tells what outstanding cells are compared with
_LONGEST_CURVE = 256  # cells; a curve's cost grows with their cube
_ROUGH = 20.0  # mean count a cell, in sigmas, above which smooth curves have little to add
_FEW = 8  # with fewer cells than this there is nothing to learn a prior from
_MANY = 4096  # above this a prior is fitted to that many representative cells
_NEGLIGIBLE = 1e-6  # a prior of less weight than this is left out of the average


def project_to_simplex(values: Floats, total: float) -> Floats:
    """Return the non-negative vector of sum ``total`` nearest to ``values`` in L2.

    Args:
        values: Any shape; flattened for the projection.
        total: At least 0; with 0 the answer is all zeros.

    Returns:
        Array of the shape of ``values``.
    """
    if total <= 0:
        return np.zeros_like(values, dtype=np.float64)
    flat = values.ravel() - values.max()  # so that no total is too small to be told from the values
    falling = np.sort(flat)[::-1]
    shift = (np.cumsum(falling) - total) / np.arange(1, flat.size + 1)
    last = int(np.flatnonzero(falling > shift)[-1])
    result: Floats = np.maximum(flat - shift[last], 0.0).reshape(values.shape)
    scale = total / float(result.sum())
    return result * scale


def denoise_one_way(
    values: Floats, sigma: float | Floats, *, ordered: int, total: float, stages: Stages = ALL_STAGES
) -> Floats:
    """Return non-negative counts of sum ``total`` estimated from noisy ones.

    The prior's mean is zero, or, on the ordered part, a kernel smooth of the neighbours (the cell itself left
    out) at one of several bandwidths or, where the mean count is below 20 sigmas, a smooth curve on the
    logarithmic scale; each prior is fitted, and they are averaged by marginal likelihood.

    Args:
        values: Noisy counts, shape ``(size,)``.
        sigma: Standard deviation of the noise, scalar or one a cell.
        ordered: How many leading cells are in a meaningful order.
        total: What the estimates are to sum to.
        stages: Without empirical Bayes the noisy counts are only projected.
    """
    plain = project_to_simplex(values, total)
    if values.size < _FEW or total <= 0 or not stages.empirical_bayes:
        return plain
    typical = float(np.sqrt(np.mean(np.square(sigma))))
    means = [np.zeros_like(values, dtype=np.float64)]
    noise = np.broadcast_to(np.square(np.asarray(sigma, dtype=np.float64)), values.shape)
    if ordered >= _FEW:
        smooth = _smooth_means(plain[:ordered], typical, values.size)
        means += smooth
        if ordered <= _LONGEST_CURVE and total < _ROUGH * typical * values.size:
            curves = smooth_curves(values[:ordered], noise[:ordered], smooth[_NEIGHBOURS][:ordered], total)
            means += [np.concatenate([curve, np.zeros(values.size - ordered)]) for curve in curves]
    fits = [_fit_mixture(values - mean, mean, noise) for mean in means]
    scores = np.array([score for _, score in fits])
    weights = np.exp(scores - scores.max())
    estimate = np.zeros_like(values, dtype=np.float64)
    for weight, mean, (mixture, _) in zip(weights / weights.sum(), means, fits, strict=True):
        if weight > _NEGLIGIBLE:
            estimate += weight * _posterior_means(mixture, values - mean, mean, noise)
    return project_to_simplex(estimate, total)


def denoise_pair(
    values: Floats,
    sigma: float,
    rows: Floats,
    columns: Floats,
    *,
    deviation: Floats | None = None,
    stages: Stages = ALL_STAGES,
) -> Floats:
    """Return a non-negative table with the given margins, estimated from a noisy one.

    The deviation from independence is estimated by empirical Bayes around zero, around an optimally shrunk
    singular value decomposition, and, if there is one, around what other pairs say of it; the estimates are
    averaged.

    Args:
        values: Noisy counts, shape ``(a, b)``.
        sigma: Standard deviation of the noise in each cell.
        rows: Margin of the first axis, non-negative, shape ``(a,)``.
        columns: Margin of the second axis, of the same sum, shape ``(b,)``.
        deviation: An estimate of the table minus the product of its margins, learned with other pairs.
        stages: Which of these steps are taken.
    """
    total = float(rows.sum())
    if total <= 0:
        return np.zeros_like(values, dtype=np.float64)
    product = np.outer(rows, columns) / total
    residual = center(values - product)
    seen = (product + residual).ravel()
    low_rank = _shrink_singular_values(residual, sigma) if stages.low_rank else None
    guides = [
        rake(np.maximum(product + guess, 0.02 * product), rows, columns, sweeps=5).ravel()
        for guess in (low_rank, deviation)
        if guess is not None
    ]
    if stages.empirical_bayes:
        estimates = [_shrink(seen, sigma, guide) for guide in (product.ravel(), *guides)]
    else:
        estimates = guides or [seen]
    mean = np.mean(estimates, axis=0).reshape(values.shape)
    if stages.projection:
        return rake(_project_to_margins(mean, rows, columns), rows, columns)
    return rake(np.maximum(mean, 0.0), rows, columns)


def shrink_towards(expected: Floats, deviation: Floats, sigma: float) -> Floats:
    """Return the posterior mean of a table, of any number of axes, around what is expected of it.

    Args:
        expected: Non-negative counts, the prior's mean.
        deviation: Noisy counts less ``expected``, of the same shape.
        sigma: Standard deviation of the noise in each cell.
    """
    values = (expected + deviation).ravel()
    return _shrink(values, sigma, expected.ravel()).reshape(expected.shape)


def _project_to_margins(table: Floats, rows: Floats, columns: Floats, *, steps: int = 100) -> Floats:
    """Return nearly the non-negative table with these margins that is nearest in L2, by Dykstra's method.

    Clipping and rescaling instead would leave noise in cells that should be empty and take it from full ones.

    Reference: Boyle, Dykstra 1986, "A method for finding projections onto the intersection of convex sets".
    """
    height, width = table.shape
    current, carried = table, np.zeros_like(table)
    for _ in range(steps):
        short_rows, short_columns = rows - current.sum(axis=1), columns - current.sum(axis=0)
        current = current + short_rows[:, None] / width + short_columns / height
        current = current - short_rows.sum() / (height * width) + carried
        carried = np.minimum(current, 0.0)
        current = current - carried
        if np.abs(rows - current.sum(axis=1)).sum() <= 1e-4 * rows.sum():
            break
    return current


def rake(table: Floats, rows: Floats, columns: Floats, *, sweeps: int = 40) -> Floats:
    """Return a table with the given margins, near ``table``: Sinkhorn's rescaling, then an exact rounding.

    What the sweeps leave over is removed by scaling down rows and columns that have too much and adding
    the outer product of what is missing, so that both margins hold to floating-point accuracy.

    Args:
        table: Non-negative, shape ``(a, b)``.
        rows: Margin of the first axis, shape ``(a,)``.
        columns: Margin of the second axis, of the same sum, shape ``(b,)``.
        sweeps: Number of row-and-column rescalings.

    Reference: Altschuler, Weed, Rigollet 2017 (arXiv:1705.09634), Algorithm 2 (the rounding).
    """
    total = float(rows.sum())
    if total <= 0:
        return np.zeros_like(table)
    fitted = table + 1e-9 * np.outer(rows, columns) / total
    for _ in range(sweeps):
        fitted *= _ratio(rows, fitted.sum(axis=1))[:, None]
        fitted *= _ratio(columns, fitted.sum(axis=0))[None, :]
    fitted *= np.minimum(_ratio(rows, fitted.sum(axis=1)), 1.0)[:, None]
    fitted *= np.minimum(_ratio(columns, fitted.sum(axis=0)), 1.0)[None, :]
    short_rows = np.maximum(rows - fitted.sum(axis=1), 0.0)
    short_columns = np.maximum(columns - fitted.sum(axis=0), 0.0)
    missing = max(float(short_rows.sum()), float(short_columns.sum()))
    if missing > 0:
        fitted += np.outer(short_rows, short_columns / missing)
    return fitted


def _ratio(wanted: Floats, found: Floats) -> Floats:
    return np.divide(wanted, found, out=np.zeros_like(wanted), where=found > 0)


def center(residual: Floats) -> Floats:
    """Return a table without its row, column and overall means, so that both its margins are zero."""
    centred: Floats = (
        residual
        - residual.mean(axis=1, keepdims=True)
        - residual.mean(axis=0, keepdims=True)
        + residual.mean()
    )
    return centred


def _smooth_means(counts: Floats, sigma: float, size: int) -> list[Floats]:
    """Return means of the neighbours at each bandwidth, heavy atoms capped, zero-padded to ``size``."""
    capped = np.minimum(counts, max(10.0 * float(np.median(counts)), 4.0 * sigma))
    means = []
    for bandwidth in _BANDWIDTHS:
        reach = min(int(np.ceil(4 * bandwidth)), (capped.size - 1) // 2)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / bandwidth) ** 2)
        kernel[reach] = 0.0
        weight = np.convolve(np.ones_like(capped), kernel, mode="same")
        mean = np.zeros(size)
        mean[: capped.size] = np.convolve(capped, kernel, mode="same") / weight
        means.append(mean)
    return means


def _shrink(values: Floats, sigma: float, mean: Floats) -> Floats:
    """Return posterior means under the mixture fitted around ``mean``."""
    noise = np.full(values.shape, float(sigma) ** 2)
    mixture, _ = _fit_mixture(values - mean, mean, noise)
    return _posterior_means(mixture, values - mean, mean, noise)


def _fit_mixture(deviation: Floats, mean: Floats, noise: Floats, *, steps: int = 50) -> tuple[Floats, float]:
    """Fit mixture weights by expectation maximisation; return them and the log marginal likelihood.

    Args:
        deviation: Value minus prior mean, shape ``(cells,)``.
        mean: Prior means; with all zeros only absolute prior scales are used.
        noise: Noise variance of each cell.
        steps: Expectation-maximisation steps.
    """
    related = bool(mean.any())
    counts = np.ones_like(deviation)
    if deviation.size > _MANY:
        seen, counts = _representatives(np.square(deviation) / (noise + np.abs(mean)))
        deviation, mean, noise = deviation[seen], mean[seen], noise[seen]
    density, peak, _ = _components(deviation, mean, noise, related=related)
    weights = _mixture_weights(density, counts, steps)
    return weights, float((counts * (np.log(weights @ density) + peak)).sum())


def _mixture_weights(density: Floats, counts: Floats, steps: int) -> Floats:
    """Fit a mixture's weights by expectation maximisation, from even ones."""
    weights = np.full(density.shape[0], 1.0 / density.shape[0])
    for _ in range(steps):
        weights *= density @ (counts / (weights @ density)) / counts.sum()
    return weights


def posterior_gain(values: Floats, prior: Floats) -> Floats:
    """Return by what factor to shrink each value, of unit noise, under a fitted mixture of centred Gaussians.

    Args:
        values: Shape ``(cells,)``.
        prior: Variances of the mixture's components for each cell, shape ``(components, cells)``.
    """
    spread = np.concatenate([np.full((1, values.size), 1e-9), prior]) + 1.0
    log_density = -0.5 * (np.square(values)[None, :] / spread + np.log(spread))
    density = np.exp(log_density - log_density.max(axis=0))
    density *= _mixture_weights(density, np.ones_like(values), 50)[:, None]
    gain: Floats = (density * (1.0 - 1.0 / spread)).sum(axis=0) / density.sum(axis=0)
    return gain


def _representatives(size: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return cells that stand for all, and how many each stands for.

    The half of largest ``size``, where atoms are, stand for themselves; the others are cut, in order of
    size, into runs, each represented by its middle.
    """
    falling = np.argsort(-size, kind="stable")
    edges = np.linspace(_MANY // 2, size.size, _MANY // 2 + 1).astype(np.int64)
    seen = np.concatenate([falling[: _MANY // 2], falling[(edges[:-1] + edges[1:]) // 2]])
    return seen, np.concatenate([np.ones(_MANY // 2), np.diff(edges)])


def _posterior_means(weights: Floats, deviation: Floats, mean: Floats, noise: Floats) -> Floats:
    """Return each cell's posterior mean under the mixture, some thousand cells at a time."""
    related = bool(mean.any())
    result = np.empty_like(deviation)
    for start in range(0, deviation.size, _MANY):
        part = slice(start, start + _MANY)
        density, _, shrinkage = _components(deviation[part], mean[part], noise[part], related=related)
        density *= weights[:, None]
        gain = (density * shrinkage).sum(axis=0) / density.sum(axis=0)
        result[part] = mean[part] + gain * deviation[part]
    return result


def _components(
    deviation: Floats, mean: Floats, noise: Floats, *, related: bool
) -> tuple[Floats, Floats, Floats]:
    """Return, per component and cell, the density relative to the cell's peak; log peaks; and gains."""
    scales = [np.square(_ABSOLUTE)[:, None] * noise[None, :]]
    if related:
        scales += [_RELATIVE[:, None] * np.maximum(mean, 1e-3)[None, :] ** power for power in _POWERS]
    prior = np.concatenate([np.full((1, mean.size), 1e-9), *scales])
    spread = prior + noise[None, :]
    log_density = -0.5 * (np.square(deviation)[None, :] / spread + np.log(2 * np.pi * spread))
    peak = log_density.max(axis=0)
    return np.exp(log_density - peak), peak, prior / spread


def _shrink_singular_values(residual: Floats, sigma: float) -> Floats:
    """Return the singular value shrinkage of least Frobenius loss for white noise of this sigma."""
    left, values, right = np.linalg.svd(residual, full_matrices=False)
    small, large = sorted(residual.shape)
    ratio = small / large
    scaled = values / (sigma * np.sqrt(large))
    inner = np.square(np.square(scaled) - ratio - 1) - 4 * ratio
    kept = np.where(
        scaled > 1 + np.sqrt(ratio), np.sqrt(np.maximum(inner, 0.0)) / np.maximum(scaled, 1e-300), 0.0
    )
    result: Floats = (left * (kept * sigma * np.sqrt(large))) @ right
    return result
