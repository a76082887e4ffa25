"""What the privacy tests compare with: exact distributions, a goodness-of-fit test, many-digit references."""

from __future__ import annotations

from collections.abc import Iterator

import mpmath
import numpy as np
from scipy import special, stats

ALPHA = 1e-6  # false-alarm rate of every statistical test in this folder

# A context of its own: the code under test must not depend on mpmath's global one.
MP = mpmath.MPContext()
MP.dps = 130


def rounded_gaussian_pmf(sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the integers within 12 sigma, and ``P[round(N(0, sigma**2)) = k]`` for each."""
    reach = int(12 * sigma) + 2
    k = np.arange(-reach, reach + 1)
    far = np.abs(k)  # computed in the lower tail, where nothing cancels
    return k, special.ndtr((0.5 - far) / sigma) - special.ndtr((-0.5 - far) / sigma)


def discrete_gaussian_pmf(sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the integers within 12 sigma, and the discrete Gaussian's probability of each."""
    reach = int(12 * sigma) + 2
    k = np.arange(-reach, reach + 1)
    weight = np.exp(-(k**2) / (2 * sigma**2))
    return k, weight / weight.sum()


def discrete_laplace_pmf(scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the integers within 40 scales, and ``(1 - q) / (1 + q) q**|k|`` for each, ``q = exp(-1/scale)``.

    Reference: Ghosh, Roughgarden, Sundararajan 2012, the two-sided geometric distribution.
    """
    reach = int(40 * scale) + 2
    k = np.arange(-reach, reach + 1)
    return k, np.tanh(1 / (2 * scale)) * np.exp(-np.abs(k) / scale)


def discrete_laplace_cdf(k: np.ndarray, scale: float) -> np.ndarray:
    """Return ``P[Z <= k]``: ``1 - q**(k+1) / (1 + q)`` for ``k >= 0``, and ``q**(-k) / (1 + q)`` below."""
    q = np.exp(-1 / scale)
    far = np.exp(-np.where(k >= 0, k + 1, -k) / scale) / (1 + q)
    return np.where(k >= 0, 1 - far, far)


def fits_cells(draws: np.ndarray, edges: np.ndarray, p: np.ndarray) -> bool:
    """Say whether draws fall into cells ``(edge_i, edge_i+1]`` as they should: chi-square at level ALPHA."""
    observed = np.bincount(np.searchsorted(edges, draws, side="left"), minlength=p.size)
    expected = draws.size * p
    return bool(stats.chi2.sf(float(((observed - expected) ** 2 / expected).sum()), p.size - 1) > ALPHA)


def reference_geometric(word: int, more: bytes, scale: float) -> int:
    """Return ``floor(-scale ln U)``, ``U`` with the binary digits of a word of 64 bits, then of ``more``."""
    digits, bits = word, 64
    for i in range(0, len(more), 4):
        digits, bits = (digits << 32) | int.from_bytes(more[i : i + 4], "little"), bits + 32
    with MP.workdps(150):
        point = (MP.mpf(digits) + MP.mpf(1) / 2) / MP.mpf(2) ** bits
        return int(MP.floor(-MP.mpf(scale) * MP.log(point)))


def chi_square_cells(k: np.ndarray, p: np.ndarray, n: int) -> list[np.ndarray]:
    """Group neighbouring integers so that each group expects at least 25 of ``n`` draws."""
    groups: list[list[int]] = [[]]
    expected = 0.0
    for value, probability in zip(k, p, strict=True):
        groups[-1].append(int(value))
        expected += n * probability
        if expected >= 25:
            groups.append([])
            expected = 0.0
    last = groups.pop()
    groups[-1].extend(last)
    return [np.array(g) for g in groups]


def fits(draws: np.ndarray, k: np.ndarray, p: np.ndarray) -> bool:
    """Say whether draws agree with a distribution: Pearson's chi-square at level ALPHA."""
    n = draws.size
    groups = chi_square_cells(k, p, n)
    edges = np.array([g[0] for g in groups[1:]])
    observed = np.bincount(np.searchsorted(edges, draws, side="right"), minlength=len(groups))
    expected = n * np.array([p[np.isin(k, g)].sum() for g in groups])
    expected *= n / expected.sum()
    statistic = float(((observed - expected) ** 2 / expected).sum())
    return bool(stats.chi2.sf(statistic, len(groups) - 1) > ALPHA)


def power(k: np.ndarray, p: np.ndarray, q: np.ndarray, n: int) -> float:
    """Return the probability that ``n`` draws of ``q`` are rejected as draws of ``p``."""
    groups = chi_square_cells(k, p, n)
    a, b = (np.array([d[np.isin(k, g)].sum() for g in groups]) for d in (p, q))
    freedom = len(groups) - 1
    critical = stats.chi2.isf(ALPHA, freedom)
    return float(stats.ncx2.sf(critical, freedom, n * ((a - b) ** 2 / a).sum()))


def tail_of(z: object) -> mpmath.mpf:
    """Return ``Q(z) = 1 - Phi(z)`` with 130 digits."""
    return MP.erfc(MP.mpf(z) / MP.sqrt(2)) / 2


def quantile(tail: object) -> mpmath.mpf:
    """Return the ``z`` with ``Q(z) = tail``, by bisection on ``erfc``: slow, and not the code's way."""
    low, high = MP.mpf(0), MP.mpf(128)
    for _ in range(300):
        middle = (low + high) / 2
        if tail_of(middle) > tail:
            low = middle
        else:
            high = middle
    return low


def reference_draw(word: int, more: bytes, sigma: float) -> int:
    """Return the draw that a word of 64 bits and the bits after it stand for.

    ``T`` is in ``[tail, tail + 1) * 2**-64`` and its further digits are ``more``, four little-endian bytes at
    a time. ``k`` is settled by comparing the whole of ``T`` with ``Q((k -+ 1/2) / sigma)``.
    """
    sign, tail, bits = word >> 63, word & ((1 << 63) - 1), 64
    for i in range(0, len(more), 4):
        tail, bits = (tail << 32) | int.from_bytes(more[i : i + 4], "little"), bits + 32
    point = (MP.mpf(tail) + MP.mpf(1) / 2) / MP.mpf(2) ** bits
    estimate = int(MP.floor(MP.mpf(sigma) * _fast_quantile(point) + MP.mpf(1) / 2))
    for k in (estimate, estimate - 1, estimate + 1):
        above = tail_of((MP.mpf(k) - MP.mpf(1) / 2) / MP.mpf(sigma)) if k > 0 else MP.mpf(1)
        if tail_of((MP.mpf(k) + MP.mpf(1) / 2) / MP.mpf(sigma)) < point <= above:
            return -k if sign else k
    raise AssertionError("the reference found no draw")


def _fast_quantile(tail: mpmath.mpf) -> mpmath.mpf:
    z = MP.mpf(float(-special.ndtri(float(tail))))
    for _ in range(5):
        z += (tail_of(z) - tail) / MP.npdf(z)
    return z


class Script:
    """Entropy that is written down: gives the bytes of a script, and fails when it is over."""

    def __init__(self, content: bytes) -> None:
        self.rest = content

    def __call__(self, count: int) -> bytes:
        taken, self.rest = self.rest[:count], self.rest[count:]
        if len(taken) < count:
            raise AssertionError("the draw asked for more entropy than any draw needs")
        return taken


def multisets(size: int, most: int) -> Iterator[tuple[int, ...]]:
    """Give every multiset of at most ``most`` of the numbers ``0 .. size-1``, as sorted tuples."""
    from itertools import combinations_with_replacement

    for count in range(most + 1):
        yield from combinations_with_replacement(range(size), count)


def strongest_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the largest ``|r| sqrt(n)``: of neighbours in a call, equal places of two, and their sizes."""
    pairs = (
        (first[1:], first[:-1]),
        (first, second),
        (np.abs(first), np.abs(second)),
        (np.abs(first[1:]), np.abs(first[:-1])),
    )
    return max(float(abs(np.corrcoef(x, y)[0, 1]) * np.sqrt(x.size)) for x, y in pairs)
