"""Tests of a noise's independence: of cells, of tables, of runs; and a search for noise that comes twice."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special
from scipy.stats import chi2

from dpsynth.audit.draws import Draws, Law
from dpsynth.audit.goodness import LEAST_CORRELATION, POWER, Floats, Tested, joined, nothing

__all__ = [
    "correlation",
    "duplicates",
    "neighbouring_cells",
    "pairs_of_runs",
    "tables_of_a_run",
    "totals",
]


def totals(scores: Sequence[Floats], each: float) -> Tested:
    """A table's total noise over the root of its cells is normal, unless cells share noise or cancel."""
    totals = np.array([z.sum() / math.sqrt(z.size) for z in scores if z.size > 1])
    n = totals.size
    if n == 0:
        return nothing("noise.totals")
    square = float((totals**2).sum())
    seen = math.sqrt(chi2.isf(each / 2, n) / chi2.isf(POWER, n))
    return Tested(
        check="noise.totals",
        p=min(1.0, 2 * float(min(chi2.cdf(square, n), chi2.sf(square, n)))),
        enough=seen <= 3,
        trials=n,
        said=f"Totals of {n} tables have {math.sqrt(square / n):.2f} times the noise of "
        f"independent cells; {seen:.2f} times would be seen.",
        value=math.sqrt(square / n),
        unit="ratio of standard deviations",
        details={"would_be_seen": seen},
    )


def correlation(check: str, between: str, pairs: tuple[Floats, Floats], each: float) -> Tested:
    """The correlation of independent normal pairs has an exact law: Student's."""
    a, b = pairs
    n = a.size
    if n < 4:
        return Tested(
            check=check, p=None, enough=False, trials=n, said=f"There were no pairs from {between}."
        )
    r = float(np.corrcoef(a, b)[0, 1])
    if math.isnan(r):
        r = 1.0  # no spread at all: the test of the scale says more
    t = math.inf if abs(r) >= 1 else abs(r) * math.sqrt((n - 2) / (1 - r * r))
    seen = math.tanh((-special.ndtri(each / 2) - special.ndtri(1 - POWER)) / math.sqrt(max(n - 3, 1)))
    return Tested(
        check=check,
        p=min(1.0, 2 * float(special.stdtr(n - 2, -t))),
        enough=seen <= LEAST_CORRELATION,
        trials=n,
        said=f"Noise of {between} is correlated at {r:+.4f} over {n} pairs; {seen:.3f} would be seen.",
        value=r,
        unit="correlation",
        details={"would_be_seen": seen},
    )


def neighbouring_cells(scores: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Pair every second cell of a table with the next one."""
    even = [z[: z.size // 2 * 2] for z in scores]
    return joined([z[::2] for z in even]), joined([z[1::2] for z in even])


def tables_of_a_run(draws: Sequence[Draws], scores: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Pair the cells of every second answer of a run with those of the next one, from the first cell on."""
    left, right = [], []
    for own in _by_run(draws).values():
        for i, j in zip(own[::2], own[1::2], strict=False):
            shared = min(scores[i].size, scores[j].size)
            left.append(scores[i][:shared])
            right.append(scores[j][:shared])
    return joined(left), joined(right)


def pairs_of_runs(draws: Sequence[Draws], scores: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Pair the answers of every second run with those of the next one, in order."""
    runs = list(_by_run(draws).values())
    left, right = [], []
    for first, second in zip(runs[::2], runs[1::2], strict=False):
        for i, j in zip(first, second, strict=False):
            if draws[i].door == draws[j].door:
                shared = min(scores[i].size, scores[j].size)
                left.append(scores[i][:shared])
                right.append(scores[j][:shared])
    return joined(left), joined(right)


def _by_run(draws: Sequence[Draws]) -> dict[int, list[int]]:
    runs: dict[int, list[int]] = {}
    for i, d in enumerate(draws):
        runs.setdefault(d.run, []).append(i)
    return runs


def duplicates(draws: Sequence[Draws], residuals: Sequence[Floats], each: float) -> Tested:
    """Look for a block of draws that comes twice, anywhere in all draws of one law.

    Two blocks of ``L`` draws, overlapping or not, are equal with a chance of at most ``peak**L``, ``peak``
    the greatest chance of one integer; so some two of ``n`` are with a chance of at most
    ``n (n - 1) / 2 peak**L``. ``L`` is the least length at which that is within the law's share of ``each``.
    """
    streams: dict[Law, list[Floats]] = {}
    for d, noise in zip(draws, residuals, strict=True):
        streams.setdefault(d.law, []).append(noise)
    repeated, longest, tested = 0, 0, 0
    for law, blocks in streams.items():
        noise = np.concatenate(blocks)
        pairs = noise.size * (noise.size - 1) / 2
        peak = min(law.peak, 1 - 1e-12)
        length = max(2, math.ceil(math.log(max(pairs, 1) * len(streams) / each) / -math.log(peak)))
        if noise.size < 2 * length:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(noise + 0.0, length)
        repeated += windows.shape[0] - len({row.tobytes() for row in windows})
        longest, tested = max(longest, length), tested + noise.size
    return Tested(
        check="noise.duplicates",
        p=0.0 if repeated else 1.0,
        enough=tested > 0,
        trials=tested,
        said=f"{repeated} blocks of noise came twice, within a run or across runs; any of {longest} draws or "
        "more would be seen.",
        value=float(repeated),
        unit="blocks",
        details={"block": longest},
    )
