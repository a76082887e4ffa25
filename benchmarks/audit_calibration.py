"""The auditor audited: its lower bounds, fed scores and guesses whose true mu is known.

For each claim, sample size and level, ``200 * runs`` simulated audits of the best attack on a Gaussian
mechanism with exactly the claimed mu: how often a bound is above the truth (in a share of alpha at most), or
above its own estimate or its limit of detection (never), and how tight it is. From a fixed seed, so that it
can be done again. Bounds grow with the runs, and that on mu with the canaries; that on epsilon in one run
need not, since what delta allows grows with the canaries too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy import special

from dpsynth.audit import bounds
from dpsynth.privacy.guarantee import gdp_epsilon, zcdp_budget

__all__ = ["run"]

DELTA = 1e-5
CLAIMS = (1.0, 4.0, 8.0)
ALPHAS = (0.05, 1e-3)
RUNS_A_SIDE = (200, 1_000, 5_000)
CANARIES = (1_000, 5_000)
GUESSED = 10  # one canary in ten, half of them at each end
_CHANCE = 1e-4  # that a figure below is called bad though the bound is good


def run(runs: int, sizes: tuple[int, ...] = RUNS_A_SIDE, canaries: tuple[int, ...] = CANARIES) -> dict:
    """Return all figures, and whether each demand is met.

    Args:
        runs: 200 simulated audits each.
        sizes: Runs in each world.
        canaries: Of audits in one run.
    """
    simulations = 200 * runs
    rng = np.random.default_rng(20_260_101)
    rows = []
    for epsilon in CLAIMS:
        mu = math.sqrt(2 * zcdp_budget(epsilon, DELTA))
        for n in sizes:
            rows += _two_worlds(rng, epsilon, mu, n, simulations)
        for m in canaries:
            rows += _one_run(rng, epsilon, mu, m, simulations)
    return {
        "simulations": simulations,
        "delta": DELTA,
        "rows": rows,
        "limits_epsilon_95": {
            str(n): round(bounds.epsilon_limit(trials=n, delta=DELTA, alpha=0.05), 3)
            for n in (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000)
        },
        "runs_a_side_to_see_too_little_noise": _sizes(),
        "demands": _demands(rows),
    }


def _two_worlds(rng: np.random.Generator, epsilon: float, mu: float, n: int, simulations: int) -> list[dict]:
    """Simulate audits of ``n`` runs a side: bounds from scores, and from errors at the threshold 0."""
    points, errors = {a: [] for a in ALPHAS}, []
    for _ in range(simulations):
        inside, outside = rng.normal(mu**2 / 2, mu, n), rng.normal(-(mu**2) / 2, mu, n)
        errors.append((int((outside > 0).sum()), int((inside <= 0).sum())))
        for alpha in ALPHAS:
            points[alpha].append(bounds.mu_lower_from_scores(inside=inside, outside=outside, alpha=alpha))
    true_epsilon, rows = gdp_epsilon(mu**2, DELTA), []
    for alpha in ALPHAS:

        @cache
        def from_rates(a: int, b: int, *, level: float = alpha) -> tuple[float, float, float]:
            seen = {
                "false_positives": a,
                "negatives": n,
                "false_negatives": b,
                "positives": n,
                "alpha": level,
            }
            estimate = -float(special.ndtri((a + 0.5) / (n + 1)) + special.ndtri((b + 0.5) / (n + 1)))
            return bounds.mu_lower(**seen), bounds.epsilon_lower(delta=DELTA, **seen), estimate

        rates = np.array([from_rates(a, b) for a, b in errors])
        pairs = np.array(points[alpha])
        mu_limit = bounds.mu_limit(trials=n, alpha=alpha)
        epsilon_limit = bounds.epsilon_limit(trials=n, delta=DELTA, alpha=alpha)
        common = {"epsilon": epsilon, "runs_a_side": n, "alpha": alpha}
        rows += [
            _row("mu from scores", mu, pairs[:, 1], mu_limit, estimates=pairs[:, 0]) | common,
            _row("mu from rates", mu, rates[:, 0], mu_limit, estimates=rates[:, 2]) | common,
            _row("epsilon from rates", true_epsilon, rates[:, 1], epsilon_limit) | common,
        ]
    return rows


def _one_run(rng: np.random.Generator, epsilon: float, mu: float, m: int, simulations: int) -> list[dict]:
    """Simulate audits of one run with ``m`` independent canaries, the surest tenth of them guessed."""
    half = m // GUESSED // 2
    right = []
    for _ in range(simulations):
        coins = rng.random(m) < 0.5
        order = np.argsort(rng.normal(0, 1, m) + mu * coins)
        right.append(int((~coins[order[:half]]).sum() + coins[order[-half:]].sum()))
    true_epsilon, rows = gdp_epsilon(mu**2, DELTA), []
    for alpha in ALPHAS:
        given = {"canaries": m, "guesses": 2 * half, "alpha": alpha}
        by_epsilon = _found(right, lambda v: bounds.one_run_epsilon(correct=v, delta=DELTA, **given))  # noqa: B023
        by_mu = _found(right, lambda v: bounds.one_run_mu(correct=v, **given))  # noqa: B023
        common = {"epsilon": epsilon, "canaries": m, "guesses": 2 * half, "alpha": alpha}
        epsilon_limit = bounds.one_run_epsilon(correct=2 * half, delta=DELTA, **given)
        mu_limit = bounds.one_run_mu(correct=2 * half, **given)
        rows += [
            _row("epsilon in one run", true_epsilon, by_epsilon, epsilon_limit) | common,
            _row("mu in one run", mu, by_mu, mu_limit) | common,
        ]
    return rows


def _found(right: list[int], bound: Callable[[int], float]) -> np.ndarray:
    """Return the bound of each simulation, computed once for each number of right guesses."""
    known = {v: bound(v) for v in set(right)}
    return np.array([known[v] for v in right])


def _row(
    name: str, truth: float, lower: np.ndarray, limit: float, *, estimates: np.ndarray | None = None
) -> dict:
    row = {
        "bound": name,
        "truth": round(truth, 4),
        "mean_lower": round(float(lower.mean()), 4),
        "tightness": round(float(lower.mean() / truth), 3),
        "limit": round(limit, 3),
        "above_truth": int((lower > truth).sum()),
        "above_limit": int((lower > limit + 1e-12).sum()),
        "simulations": int(lower.size),
    }
    if estimates is not None:
        row["above_estimate"] = int((lower > np.maximum(estimates, 0)).sum())
    return row


def _sizes() -> dict[str, dict[str, int]]:
    """Return the runs a side that show noise too small by a factor, at level 0.001 with power 0.99."""
    found = {}
    for epsilon in CLAIMS:
        mu = math.sqrt(2 * zcdp_budget(epsilon, DELTA))
        found[f"epsilon {epsilon:g}"] = {
            f"{factor:.3g}": bounds.trials_for(mu=factor * mu, claimed=mu, alpha=1e-3, power=0.99)
            for factor in (2.0, math.sqrt(2), 1.2, 1.1)
        }
    return found


def _demands(rows: list[dict]) -> dict[str, bool]:
    def covered(row: dict) -> bool:
        """Whether misses are no more than a bound of exactly its level has, but for a rare chance."""
        missed = row["above_truth"]
        return missed == 0 or special.bdtrc(missed - 1, row["simulations"], row["alpha"]) > _CHANCE

    def grows(size: str) -> bool:
        kinds: dict[tuple, list[tuple[int, float]]] = {}
        for row in rows:
            if size in row and row["bound"] != "epsilon in one run":
                key = row["bound"], row["epsilon"], row["alpha"]
                kinds.setdefault(key, []).append((row[size], row["mean_lower"]))
        return all([low for _, low in sorted(k)] == sorted(low for _, low in k) for k in kinds.values())

    return {
        "covers at its level": all(covered(row) for row in rows),
        "never above its estimate": all(row.get("above_estimate", 0) == 0 for row in rows),
        "never above its limit": all(row["above_limit"] == 0 for row in rows),
        "grows with the runs": grows("runs_a_side"),
        "grows with the canaries": grows("canaries"),
        "scores are tighter than rates": all(
            a["mean_lower"] > b["mean_lower"]
            for a, b in itertools.pairwise(rows)
            if (a["bound"], b["bound"]) == ("mu from scores", "mu from rates")
        ),
    }
