"""Sets of three columns as candidates, once a model of the pairs says what is to be expected of them.

Three columns are worth measuring together where their table is not what the pairs imply. The candidates are
those for which that is likeliest; each is compared, at several resolutions, with rows drawn from the model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.mechanisms.pairs import NOISE, Option
from dpsynth.model.levels import Level
from dpsynth.model.structure import Model
from dpsynth.privacy.marginal import Marginal

__all__ = [
    "CANDIDATES",
    "LARGEST_TRIPLE",
    "ROWS",
    "SCORES_OF_TRIPLES",
    "TRIPLES",
    "TRIPLE_RESOLUTIONS",
    "triple_options",
]

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

SCORES_OF_TRIPLES = "distances of three columns from the model of pairs"
TRIPLES = "marginals of three columns"
TRIPLE_RESOLUTIONS = (128, 512, 2048, 8192)
LARGEST_TRIPLE = 32_768  # cells that no coarsest table exceeds
CANDIDATES = 200  # sets of three columns that are looked at, at most
ROWS = 100_000  # rows drawn from the model to compare with, at most


def triple_options(
    levels: Sequence[Sequence[Level]],
    model: Model,
    *,
    total: float,
    sigma: float,
    rng: np.random.Generator,
) -> list[Option]:
    """Return the most promising sets of three columns, each at its resolutions from coarse to fine.

    A set promises the more, the more its expected table is spread (a wide table has more room to differ) and
    the stronger the second strongest of its pairs depends (three columns hardly interact where two of the
    pairs are independent).

    Args:
        levels: Nested resolutions of each column, fine to coarse.
        model: Of what was measured so far.
        total: Estimated number of rows.
        sigma: Noise to expect in a cell, in rows. Options whose noise would drown any signal are left out.
        rng: Source of the rows drawn from the model.
    """
    n = max(1, min(round(total), ROWS))
    rows = model.sample(n, rng)
    depends = {frozenset(e.columns): _dependence(e.table) for e in model.estimates if len(e.columns) == 2}
    tables, promise = [], []
    spreads: dict[tuple[int, int], float] = {}
    for columns in itertools.combinations(range(len(levels)), 3):
        strengths = sorted(depends.get(frozenset(p), 0.0) for p in itertools.combinations(columns, 2))
        if strengths[1] > 0.0:
            resolutions = _resolutions([levels[c] for c in columns])
            at = [(c, level.size) for c, level in zip(columns, resolutions[0], strict=True)]
            for place, level in zip(at, resolutions[0], strict=True):
                if place not in spreads:
                    spreads[place] = _spread(level, rows[place[0]])
            tables.append((columns, resolutions))
            promise.append(math.prod(spreads[place] for place in at) * strengths[1])
    best = sorted(np.argsort(-np.array(promise), kind="stable")[:CANDIDATES].tolist())
    return [
        option
        for i in best
        for option in _options(tables[i][0], tables[i][1], rows, total=total, sigma=sigma)
    ]


def _resolutions(levels: Sequence[Sequence[Level]]) -> list[tuple[Level, ...]]:
    """Return the resolutions of three columns, coarse to fine: the column of fewest groups goes first."""
    at = [len(chain) - 1 for chain in levels]
    found: list[tuple[int, ...]] = []
    for limit in TRIPLE_RESOLUTIONS:
        while True:
            finer = []
            for axis, chain in enumerate(levels):
                step = [a - (i == axis) for i, a in enumerate(at)]
                if (
                    step[axis] >= 0
                    and math.prod(c[a].size for c, a in zip(levels, step, strict=True)) <= limit
                ):
                    finer.append((chain[at[axis]].size, step))
            if not finer:
                break
            at = min(finer)[1]
        found.append(tuple(at))
    return [tuple(chain[a] for chain, a in zip(levels, steps, strict=True)) for steps in dict.fromkeys(found)]


def _spread(level: Level, codes: Codes) -> float:
    """Return the sum of the square roots of a column's shares: 1 for one group, more for many alike."""
    shares = np.bincount(level.groups[codes], minlength=level.size) / codes.size
    return float(np.sqrt(shares).sum())


def _options(
    columns: tuple[int, ...],
    resolutions: Sequence[tuple[Level, ...]],
    rows: Sequence[Codes],
    *,
    total: float,
    sigma: float,
) -> list[Option]:
    options: list[Option] = []
    scale = total / rows[0].size
    for levels in resolutions:
        query = Marginal(columns, tuple(level.groups for level in levels))
        if options and NOISE * sigma * query.cells > 3 * total:
            break
        cells = np.ravel_multi_index(
            [g[rows[c]] for c, g in zip(columns, query.groups, strict=True)], query.shape
        )
        expected = np.bincount(cells, minlength=query.cells) * scale
        # Two tables of chance differ by this: the private one, and the one drawn from the model.
        stray = NOISE * np.sqrt(expected * (1.0 + scale)).sum()
        reference = np.rint(expected).astype(np.int64).reshape(query.shape)
        options.append(Option(query, reference, float(stray)))
    return options


def _dependence(table: Floats) -> float:
    return float(np.abs(table - np.outer(table.sum(axis=1), table.sum(axis=0))).sum())
