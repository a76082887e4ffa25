"""Tests of a noise's law: its scale, shape, centre and tails, that it is whole, and that empty cells have it.

Each takes numbers that are exactly standard normal under the booked law, and gives a p-value that is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import special
from scipy.stats import binom, chi2, kstwo

from dpsynth.audit.draws import Draws, Law

__all__ = [
    "LEAST_CORRELATION",
    "POWER",
    "Floats",
    "Tested",
    "centre",
    "empty_cells",
    "joined",
    "lattice",
    "law",
    "nothing",
    "scale",
    "tails",
]

Floats = npt.NDArray[np.float64]

POWER: Final = 0.99
_RATIO: Final = 0.9  # of standard deviations: too little noise that each door's test must see
_RATIOS: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 1.1, 1.2)  # whose power is stated
_FURTHEST_LAW: Final = 0.06  # distance of distribution functions that each door's test must see
LEAST_CORRELATION: Final = 0.25  # that must be seen, and as many standard deviations off centre
_FAR: Final = 3.0  # where the tails begin, in standard deviations
_SAMPLE: Final = 4_000  # draws of a law from which a test's power is computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One p-value and what it says.

    Attributes:
        check: Name of the finding.
        p: Exact, or an upper bound; None where there was nothing to test.
        enough: Whether the test had the power that is asked of it.
        trials: Draws behind it.
        said: What was seen, and what would have been.
        value: What was measured, where that is more telling than the p-value.
        unit: Of the value.
        interval: Of the value.
        details: More.
    """

    check: str
    p: float | None
    enough: bool
    trials: int
    said: str
    value: float | None = None
    unit: str = "p-value"
    interval: tuple[float, float] | None = None
    details: dict[str, Any] = field(default_factory=dict)


def nothing(check: str) -> Tested:
    """Return what is said where nothing was drawn: no pass."""
    return Tested(check=check, p=None, enough=False, trials=0, said="Nothing was drawn here.")


def scale(check: str, z: Floats, draws: Sequence[Draws], each: float, rng: np.random.Generator) -> Tested:
    """Two-sided: the sum of squares of ``n`` normal scores is chi-squared with ``n`` degrees."""
    n = z.size
    if n == 0:
        return nothing(check)
    total = float((z**2).sum())
    p = min(1.0, 2 * float(min(chi2.cdf(total, n), chi2.sf(total, n))))
    low, high = float(chi2.isf(1 - each / 2, n)), float(chi2.isf(each / 2, n))
    power = _powers(draws, (low, high), rng)
    ratio = math.sqrt(total / n)
    interval = (math.sqrt(total / high), math.sqrt(total / low))
    return Tested(
        check=check,
        p=p,
        enough=power[str(_RATIO)] >= POWER,
        trials=n,
        said=f"Noise has {ratio:.3f} times the booked standard deviation over {n} draws; {_RATIO} times "
        f"would be seen with a probability of {power[str(_RATIO)]:.4f}.",
        value=ratio,
        unit="ratio of standard deviations",
        interval=interval,
        details={"power_by_ratio": power},
    )


def _powers(
    draws: Sequence[Draws], limits: tuple[float, float], rng: np.random.Generator
) -> dict[str, float]:
    """Return for some ratios of scales with which probability the sum of squares leaves the limits.

    The moments of one square come from draws of the law at the other scale; their sum is taken for normal.
    """
    sizes: dict[Law, int] = {}
    for d in draws:
        sizes[d.law] = sizes.get(d.law, 0) + d.exact.size
    powers = {}
    for ratio in _RATIOS:
        mean = variance = 0.0
        for law, size in sizes.items():
            other = Law(kind=law.kind, scale=law.scale * ratio)
            squares = law.normal_scores(other.sample(_SAMPLE, rng), rng) ** 2
            mean, variance = mean + size * squares.mean(), variance + size * squares.var()
        deviation = max(math.sqrt(variance), 1e-12)
        inside = special.ndtr((limits[1] - mean) / deviation) - special.ndtr((limits[0] - mean) / deviation)
        powers[str(ratio)] = round(float(1 - inside), 6)
    return powers


def law(check: str, z: Floats, each: float) -> Tested:
    """Kolmogorov-Smirnov, with the exact law of the distance; what would be seen, by its DKW bound."""
    n = z.size
    if n == 0:
        return nothing(check)
    u = np.sort(special.ndtr(z))
    steps = np.arange(n + 1) / n
    distance = float(max((steps[1:] - u).max(), (u - steps[:-1]).max()))
    seen = (math.sqrt(math.log(2 / each) / 2) + math.sqrt(math.log(1 / (1 - POWER)) / 2)) / math.sqrt(n)
    return Tested(
        check=check,
        p=float(kstwo.sf(distance, n)),
        enough=seen <= _FURTHEST_LAW,
        trials=n,
        said=f"The law of {n} draws is at a distance of {distance:.4f} from the booked one; a true distance "
        f"of {seen:.3f} would be seen.",
        value=distance,
        unit="distance of distribution functions",
        details={"would_be_seen": seen},
    )


def lattice(draws: Sequence[Draws]) -> Tested:
    """Exact: whole numbers of an integer type, or not. Low bits of floats tell what was added to what."""
    cells = sum(d.answer.size for d in draws)
    broken = sum(d.answer.size for d in draws if np.asarray(d.answer).dtype.kind not in "iu")
    return Tested(
        check="noise.lattice",
        p=0.0 if broken else 1.0,
        enough=cells > 0,
        trials=cells,
        said=f"{broken} of {cells} answers are no integers.",
    )


def centre(z: Floats, each: float) -> Tested:
    """Two-sided: the sum of ``n`` normal scores is normal with a variance of ``n``."""
    n = max(z.size, 1)
    middle = float(z.sum()) / n
    seen = (-special.ndtri(each / 2) - special.ndtri(1 - POWER)) / math.sqrt(n)
    return Tested(
        check="noise.centre",
        p=float(2 * special.ndtr(-abs(middle) * math.sqrt(n))),
        enough=bool(seen <= LEAST_CORRELATION),
        trials=z.size,
        said=f"Noise is {middle:+.4f} standard deviations off zero on average; {seen:.3f} would be seen.",
        value=middle,
        unit="standard deviations",
        details={"would_be_seen": float(seen)},
    )


def tails(z: Floats, each: float) -> Tested:
    """The number of draws beyond three deviations is binomial; the greatest has an exact law too."""
    n, far = max(z.size, 1), int((np.abs(z) > _FAR).sum())
    share = float(2 * special.ndtr(-_FAR))
    counted = 2 * float(min(binom.cdf(far, n, share), binom.sf(far - 1, n, share)))
    greatest = float(np.abs(z).max(initial=0.0))
    alone = -math.expm1(n * math.log1p(-min(2 * float(special.ndtr(-greatest)), 1 - 1e-16)))
    enough = float(binom.cdf(0, n, share)) < each / 2  # noise that is cut off there would be seen
    return Tested(
        check="noise.tails",
        p=min(1.0, counted, alone),
        enough=enough,
        trials=z.size,
        said=f"{far} of {z.size} draws lie beyond {_FAR:g} standard deviations, {n * share:.1f} by law, and "
        f"the furthest at {greatest:.2f}; noise cut off there would {'' if enough else 'not '}be seen.",
        details={"beyond": far, "expected": n * share, "greatest": greatest},
    )


def empty_cells(
    draws: Sequence[Draws], scores: Sequence[Floats], each: float, rng: np.random.Generator
) -> Tested:
    """The test of the scale on cells in which there is nothing."""
    own = [(d, z[d.exact == 0]) for d, z in zip(draws, scores, strict=True) if d.door != "score"]
    empty = [
        Draws(door=d.door, run=d.run, law=d.law, exact=z.astype(np.int64), answer=z) for d, z in own if z.size
    ]
    test = scale("noise.empty_cells", joined([z for _, z in own]), empty, each, rng)
    said = test.said.replace("Noise has", "In empty cells noise has")
    return Tested(**{f: getattr(test, f) for f in test.__dataclass_fields__} | {"said": said})


def joined(parts: Sequence[Floats]) -> Floats:
    """Return several vectors as one."""
    return np.concatenate(parts) if parts else np.zeros(0)
