"""Which tables to measure, and how much of the budget is better spent on columns after all.

The choice of options maximises ``sum e - Y**1.5 / sqrt(B)`` over subsets, where ``e`` is an option's expected
distance, ``y = (w * sqrt(2/pi) * cells)**(2/3)``, ``Y`` the sum of ``y`` and ``B`` the budget: with shares in
proportion to ``y`` the second term is the expected L1 error of all tables. For a fixed price of a unit of
``y`` each set of columns decides for itself; the price is found by bisection of ``price = 1.5 sqrt(Y / B)``.

That takes one weight of noise for all. What is left of a table's noise depends on how much signal there is
in it, so a second look forecasts the error of every pair, measured and not, drops pairs that do not pay for
the noise they bring to the others, and compares what pairs and columns would do with the budget.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.mechanisms.pairs import NOISE, Option, share_weight

__all__ = ["TENTHS", "Forecast", "best_options", "divide"]

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

TENTHS = 10  # the budget of pairs and columns is divided in tenths
_LEFT = 0.65  # of the error of a table whose cells are noisy or taken for empty, what denoising leaves
_RESIDUE = 0.1  # of raw noise, what denoising leaves even where there is nothing to be found
_ALIKE = 1.005  # forecasts this near to the best are as good: columns come first
_HOPELESS = 1.1  # forecasts worse by this end the search
_PARTS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95)  # of the pairs, what a round of dropping may keep


def best_options(options: Sequence[Option], gains: Floats, power: float, weight: float) -> list[int]:
    """Return the options, at most one a set of columns, of greatest gain less the error of their noise.

    Args:
        options: Those of one set of columns next to each other.
        gains: Expected distance of each from what is known already, in rows.
        power: ``1 / sigma**2`` of one measurement with the whole budget.
        weight: What denoising leaves of a table's noise.
    """
    if not options:
        return []
    sizes = np.array([(weight * NOISE * o.query.cells) ** (2 / 3) for o in options])
    first, owner = _sets(options)
    values = gains - sizes**1.5 / math.sqrt(power)
    best = np.array([values.argmax()] if values.max() > 0 else [], dtype=np.int64)
    best_value = float(values[best].sum())
    low, high = 0.0, float((gains / sizes).max()) + 1.0
    for _ in range(60):
        unit_price = (low + high) / 2
        net = gains - unit_price * sizes
        leads = np.flatnonzero((net > 0) & (net == np.maximum.reduceat(net, first)[owner]))
        chosen = leads[np.unique(owner[leads], return_index=True)[1]]
        used = float(sizes[chosen].sum())
        value = float(gains[chosen].sum()) - used**1.5 / math.sqrt(power)
        if value > best_value:
            best, best_value = chosen, value
        if unit_price < 1.5 * math.sqrt(used / power):
            low = unit_price
        else:
            high = unit_price
    return _climb(best, owner, gains, sizes, power)


def _sets(options: Sequence[Option]) -> tuple[Places, Places]:
    """Return the first option of each set of columns, and the number of each option's set."""
    columns = [o.query.columns for o in options]
    starts = np.array([True, *(a != b for a, b in itertools.pairwise(columns))])
    return np.flatnonzero(starts), np.cumsum(starts) - 1


def _climb(
    chosen: Places,
    owner: Places,
    gains: Floats,
    sizes: Floats,
    power: float,
) -> list[int]:
    """Change one set at a time, to its best option or to none, for as long as that is worth something.

    One price for all takes or leaves sets that are alike together; this takes some of them.
    """
    gains, sizes = np.append(gains, 0.0), np.append(sizes, 0.0)  # the last stands for: not measured
    none, sets = gains.size - 1, int(owner[-1]) + 1
    holds = np.full(sets, none)
    holds[owner[chosen]] = chosen
    owner = np.concatenate([owner, np.arange(sets)])
    options = np.append(np.arange(none), np.full(sets, none))
    best = -math.inf
    while True:
        gain = gains[holds].sum() + gains[options] - gains[holds[owner]]
        used = np.maximum(sizes[holds].sum() + sizes[options] - sizes[holds[owner]], 0.0)
        values = gain - used**1.5 / math.sqrt(power)
        step = int(values.argmax())
        if values[step] <= best + 1e-9 * abs(best):
            return [int(i) for i in holds if i != none]
        best, holds[owner[step]] = float(values[step]), options[step]


class Forecast:
    """The L1 error to expect of all pairs of columns, in rows, whatever is measured.

    A pair of expected distance ``g`` from independence that is not measured has the error ``g``. One that is
    measured with raw noise ``r`` in all, where noise and emptiness of its cells alone would leave
    ``c = sum min(sqrt(2/pi) sigma, rows)``, has ``a g / sqrt(a**2 + g**2)`` for ``a = 0.65 c``, what linear
    shrinkage would leave, and ``0.1 r``, squares added, and what finer resolutions would have told. The
    errors of its two columns come on top, squares added again. The constants were fitted to measured pairs.

    Args:
        options: Pairs at their resolutions, those of one pair next to each other.
        gains: Expected distance of each from its reference, in rows.
    """

    def __init__(self, options: Sequence[Option], gains: Floats) -> None:
        self._options, self._gains = options, gains
        self._sizes = np.array([share_weight(o.query.cells) for o in options])
        first, self._owner = _sets(options)
        self._pairs = np.array([options[i].query.columns for i in first])
        self._finest = np.maximum.reduceat(gains, first)

    def error(self, chosen: Sequence[int] | Places, power: float, columns: Floats) -> tuple[float, Floats]:
        """Return the summed error of all pairs, and how much of it each chosen option takes away.

        Args:
            chosen: Options to measure, at most one a pair.
            power: ``1 / sigma**2`` of one measurement with all that these share by the 2/3 rule.
            columns: Expected L1 error of each column, in rows.
        """
        known = np.hypot(*columns[self._pairs].T)
        apart = np.hypot(self._finest, known)
        picked = np.array(chosen, dtype=np.int64)
        own = self._owner[picked]
        spared: Floats = apart[own] - np.hypot(self._left(picked, power), known[own])
        return float(apart.sum() - spared.sum()), spared

    def _left(self, chosen: Places, power: float) -> Floats:
        share, gain = self._sizes[chosen], self._gains[chosen]
        sigma = np.sqrt(share.sum() / (power * share))
        raw = NOISE * sigma * np.array([self._options[i].query.cells for i in chosen])
        seen = zip(chosen, sigma, strict=True)
        noise = _LEFT * np.array([np.minimum(self._options[i].reference, NOISE * s).sum() for i, s in seen])
        shrunk = noise * gain / np.maximum(np.hypot(noise, gain), 1e-9)
        left: Floats = np.hypot(shrunk, _RESIDUE * raw) + self._finest[self._owner[chosen]] - gain
        return left

    def worth_keeping(self, chosen: Sequence[int], power: float, columns: Floats) -> tuple[float, list[int]]:
        """Drop the options that take away least for their share, while the summed error falls.

        Args are those of :meth:`error`.

        Returns:
            The error, and the options left.
        """
        kept = np.array(chosen, dtype=np.int64)
        best, spared = self.error(kept, power, columns)
        while kept.size:
            order = np.argsort(-spared / self._sizes[kept], kind="stable")
            tried = [(*self.error(some, power, columns), some) for some in _leading(kept[order])]
            error, left, some = min(tried, key=lambda t: t[0])
            if error >= best:
                break
            best, spared, kept = error, left, some
        return best, kept.tolist()


def _leading(ranked: Places) -> list[Places]:
    return [ranked[:n] for n in sorted({int(part * ranked.size) for part in _PARTS})]


def divide(
    forecast: Forecast,
    power: float,
    columns: Callable[[float], Floats],
    choose: Callable[[float], Sequence[int]],
) -> tuple[int, list[int]]:
    """Divide a budget between pairs and columns: where forecasts are alike, columns get more.

    Args:
        forecast: Of the pairs in question.
        power: ``1 / sigma**2`` of one measurement with the whole budget.
        columns: Expected L1 error of each column if columns get this power, besides what they have had.
        choose: The options to measure with this power.

    Returns:
        How many tenths of the budget the pairs get, and the options to measure; 0 and none where columns
        alone do better.
    """
    found: list[tuple[float, int, list[int]]] = [(forecast.error((), 1.0, columns(power))[0], 0, [])]
    for tenths in range(TENTHS, 0, -1):
        part = tenths * power / TENTHS
        error, chosen = forecast.worth_keeping(choose(part), part, columns(power - part))
        if chosen:
            found.append((error, tenths, chosen))
        if error > _HOPELESS * min(found)[0]:
            break
    best = min(error for error, *_ in found)
    _, tenths, chosen = min((f for f in found if f[0] <= _ALIKE * best), key=lambda f: f[1])
    return tenths, chosen
