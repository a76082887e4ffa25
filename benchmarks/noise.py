"""Cost of exact noise, beside numpy's inexact Gaussian and OpenDP's discrete Gaussian, in the same run."""

from __future__ import annotations

import time

import numpy as np

from dpsynth.privacy import noise

__all__ = ["run"]


def run(runs: int) -> dict[str, object]:
    """Return microseconds a cell: the median over ``runs``."""
    rng = np.random.default_rng(0)
    samplers = {
        "rounded Gaussian, exact (dpsynth)": (1_000_000, lambda n: noise.rounded_gaussian(n, 25.0)),
        "discrete Gaussian, exact (OpenDP)": (5_000, lambda n: noise.discrete_gaussian(n, 25.0)),
        "Gaussian, floating point (numpy, not private)": (1_000_000, lambda n: rng.normal(0.0, 25.0, n)),
    }
    results: dict[str, object] = {"runs": runs, "sigma": 25.0}
    for name, (cells, draw) in samplers.items():
        draw(cells // 10)
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            draw(cells)
            times.append(1e6 * (time.perf_counter() - start) / cells)
        results[name] = sorted(times)[runs // 2]
    return results
