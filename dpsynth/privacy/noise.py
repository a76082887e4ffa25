"""Noise from the operating system's entropy, as exact integers. There is no seed, here or anywhere above.

The rounded Gaussian is sampled by lazy inversion. Sixty-four random bits give a sign and an interval of
tail probabilities; the inverse normal of its middle, in double precision with a certified error margin,
almost always rounds to one integer wherever in the interval the true value lies. Where it does not, more
bits are drawn and the comparison is made at a higher precision, until it does. The discrete Laplace is the
difference of two geometric variables, each the integer part of an exponential one, sampled in the same way.

Only the curator imports this module.

References:
    Canonne, Kamath, Steinke 2020 (arXiv:2004.00010), Algorithm 1 (exact Bernoulli(exp(-x)));
    OpenDP's discrete Gaussian and discrete Laplace (the second backend).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dpsynth.privacy.precise import precise, upper_quantile

__all__ = [
    "discrete_gaussian",
    "discrete_laplace",
    "exponential_choice",
    "opendp_laplace",
    "rounded_gaussian",
]

Integers: TypeAlias = npt.NDArray[np.int64]
Entropy: TypeAlias = Callable[[int], bytes]
Inversion: TypeAlias = Callable[[npt.NDArray[np.uint64], float, Entropy], Integers]

_TAIL_BITS = 63
_CHUNK = 1 << 18
_SMALLEST_SIGMA, _LARGEST_SIGMA = 2.0**-40, 2.0**40
# |error| of scipy's ndtri for tails in [2^-64, 1/2]: Cephes states 5e-16 relative; we allow 4,000 times that.
_NDTRI_MARGIN = 2.0**-39
# |error| of numpy's log, relatively, for doubles in [2^-65, 1]: below 2^-51 in a scan; we allow 8 times that.
_LOG_MARGIN = 2.0**-48
_MILLS = 1.2533141373155003  # sup of (1 - Phi(z)) / phi(z) over z >= 0 is sqrt(pi / 2)


def rounded_gaussian(size: int, sigma: float) -> Integers:
    """Return ``size`` independent draws of ``round(N(0, sigma**2))``, exactly distributed.

    Args:
        size: Number of draws, at least 0.
        sigma: Standard deviation in counts, in [2**-40, 2**40]; the float is taken as the exact real it is.

    Returns:
        int64 array of shape ``(size,)``.

    Raises:
        ValueError: ``sigma`` is outside its range.

    Privacy: this is noise; the act that uses it is priced by the curator. Proof: proofs/rounded_gaussian.md
    """
    if not _SMALLEST_SIGMA <= sigma <= _LARGEST_SIGMA:
        raise ValueError("sigma is outside [2**-40, 2**40]")
    return _rounded_gaussian(size, sigma, os.urandom)


def discrete_gaussian(size: int, sigma: float) -> Integers:
    """Return ``size`` draws of OpenDP's discrete Gaussian of scale ``sigma``, about 50 microseconds each.

    Privacy: this is noise; priced in zCDP by the curator. Reference: OpenDP ``make_gaussian`` on integers.
    """
    import opendp.prelude as dp  # noqa: PLC0415  -- lazy: costs 2 s at import

    if size == 0:
        return np.zeros(0, dtype=np.int64)
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
    draw = dp.m.make_gaussian(*space, scale=sigma)
    return np.asarray(draw([0] * size), dtype=np.int64)


def discrete_laplace(size: int, scale: float) -> Integers:
    """Return ``size`` independent draws with ``P[Z = z]`` proportional to ``exp(-|z| / scale)``, exactly.

    Args:
        size: Number of draws, at least 0.
        scale: In counts, in [2**-40, 2**40]; the float is taken as the exact real it is.

    Returns:
        int64 array of shape ``(size,)``.

    Raises:
        ValueError: ``scale`` is outside its range.

    Privacy: this is noise; the act that uses it is priced by the curator. Proof: proofs/discrete_laplace.md
    """
    if not _SMALLEST_SIGMA <= scale <= _LARGEST_SIGMA:
        raise ValueError("scale is outside [2**-40, 2**40]")
    return _geometric(size, scale, os.urandom) - _geometric(size, scale, os.urandom)


def opendp_laplace(size: int, scale: float) -> Integers:
    """Return ``size`` draws of OpenDP's discrete Laplace of scale ``scale``, about 15 microseconds each.

    Privacy: this is noise; priced in epsilon by the curator. Reference: OpenDP ``make_laplace`` on integers.
    """
    import opendp.prelude as dp  # noqa: PLC0415  -- lazy: costs 2 s at import

    if size == 0:
        return np.zeros(0, dtype=np.int64)
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
    draw = dp.m.make_laplace(*space, scale=scale)
    return np.asarray(draw([0] * size), dtype=np.int64)


def exponential_choice(scores: Sequence[int], epsilon: float, sensitivity: int) -> int:
    """Return ``i`` with probability exactly proportional to ``exp(epsilon * scores[i] / (2 * sensitivity))``.

    Rejection: propose an index uniformly, accept it with probability
    ``exp(-epsilon * (max - scores[i]) / (2 * sensitivity))``; all in integers. At most ``len(scores)``
    proposals are expected.

    Args:
        scores: At least one integer score.
        epsilon: Positive; the float is taken as the exact rational it is.
        sensitivity: Most by which one privacy unit changes any score, at least 1.

    Privacy: priced by the curator as ``ExponentialMechanism``. Proof: proofs/exponential_mechanism.md
    """
    rate = Fraction(epsilon) / (2 * sensitivity)
    top = max(scores)
    while True:
        index = secrets.randbelow(len(scores))
        if _bernoulli_exp(rate * (top - scores[index])):
            return index


def _bernoulli_exp(x: Fraction) -> bool:
    """Return True with probability ``exp(-x)``, ``x >= 0``. Reference: arXiv:2004.00010, Algorithm 1."""
    while x > 1:
        if not _bernoulli_exp_unit(Fraction(1)):
            return False
        x -= 1
    return _bernoulli_exp_unit(x)


def _bernoulli_exp_unit(x: Fraction) -> bool:
    k = 1
    while secrets.randbelow(x.denominator * k) < x.numerator:
        k += 1
    return k % 2 == 1


def _rounded_gaussian(size: int, sigma: float, entropy: Entropy) -> Integers:
    return _in_chunks(_invert, size, sigma, entropy)


def _in_chunks(invert: Inversion, size: int, scale: float, entropy: Entropy) -> Integers:
    """Return draws of an inversion, each from 64 bits of its own, of so many at a time that memory allows."""
    draws = np.empty(size, dtype=np.int64)
    for start in range(0, size, _CHUNK):
        stop = min(size, start + _CHUNK)
        words = np.frombuffer(entropy(8 * (stop - start)), dtype="<u8")
        draws[start:stop] = invert(words, scale, entropy)
    return draws


def _invert(bits: npt.NDArray[np.uint64], sigma: float, entropy: Entropy) -> Integers:
    """Turn words of 64 random bits into draws: the top bit is the sign, the others the tail's interval.

    A tail ``u`` of 63 bits stands for the interval ``[u, u+1) * 2**-64`` of upper-tail probabilities in
    ``[0, 1/2)``; the true point in it is settled by further bits only when it matters.
    """
    from scipy.special import ndtri  # noqa: PLC0415  -- lazy: costs 0.3 s at import

    tail = bits & np.uint64((1 << _TAIL_BITS) - 1)
    middle = tail.astype(np.float64) + 0.5  # relative error at most 2^-53
    z = -ndtri(middle * 2.0**-64)
    # The interval's half width, and the conversion's rounding, in units of z: dz = (tail / phi(z)) dln(tail).
    margin = _MILLS * (2.0**-51 + 0.5 / middle) + _NDTRI_MARGIN * (1.0 + z)
    scaled = sigma * z
    nearest = np.floor(scaled + 0.5)
    distance = 0.5 - np.abs(scaled - nearest)  # to the nearest boundary k +- 1/2
    sure = distance > 2.0 * (sigma * margin) + 2.0**-50 * (1.0 + scaled)
    sure &= tail > np.uint64(1 << 20)  # below that an interval is too wide for the linear margin
    values = nearest.astype(np.int64)
    for i in np.flatnonzero(~sure):
        values[i] = _refine(int(tail[i]), _TAIL_BITS, sigma, entropy)
    return np.where(bits >> np.uint64(_TAIL_BITS) == 1, -values, values)


def _refine(tail: int, bits: int, sigma: float, entropy: Entropy) -> int:
    """Return ``floor(sigma * z + 1/2)`` for the point the bits are narrowing in on, with as many as it takes.

    ``z`` is where the upper tail of the normal is ``T`` in ``[tail, tail+1) * 2**-(bits+1)``. The answer is
    ``k`` exactly when ``Q((k+1/2)/sigma) < T <= Q((k-1/2)/sigma)``, ``Q = 1 - Phi``; both ends of the
    interval are compared with ``Q`` at ``bits + 80`` bits of precision, with a margin of ``2**-32`` interval.
    """
    while True:
        with precise(bits + 80) as mp:
            unit = mp.mpf(2) ** -(bits + 1)
            margin = unit * mp.mpf(2) ** -32
            low, high = tail * unit, (tail + 1) * unit
            z = upper_quantile(mp, (low + high) / 2)
            k = int(mp.floor(mp.mpf(sigma) * z + mp.mpf(1) / 2))
            lowest = mp.erfc((mp.mpf(k) + mp.mpf(1) / 2) / sigma / mp.sqrt(2)) / 2 + margin
            highest = mp.erfc((mp.mpf(k) - mp.mpf(1) / 2) / sigma / mp.sqrt(2)) / 2 - margin
            if low >= lowest and (k == 0 or high <= highest):
                return k
        tail, bits = (tail << 32) | int.from_bytes(entropy(4), "little"), bits + 32


def _geometric(size: int, scale: float, entropy: Entropy) -> Integers:
    """Return draws of ``floor(scale * E)``, ``E`` exponential: ``P[G >= g] = exp(-g / scale)``."""
    return _in_chunks(_invert_exponential, size, scale, entropy)


def _invert_exponential(words: npt.NDArray[np.uint64], scale: float, entropy: Entropy) -> Integers:
    """Turn words of 64 random bits into geometric draws ``floor(-scale * ln U)``.

    A word ``u`` stands for the interval ``[u, u+1] * 2**-64`` of the uniform ``U``; the true point in it is
    settled by further bits only when it matters.
    """
    middle = words.astype(np.float64) + 0.5  # relative error at most 2^-52
    nats = -np.log(middle * 2.0**-64)
    margin = 2.0**-51 + 1.0 / middle + _LOG_MARGIN * nats  # of nats, over the whole interval
    scaled = scale * nats
    below = np.floor(scaled)
    distance = np.minimum(np.where(below > 0, scaled - below, np.inf), below + 1.0 - scaled)
    sure = distance > 2.0 * (scale * margin) + 2.0**-50 * (1.0 + scaled)
    sure &= words > np.uint64(1 << 20)  # below that an interval is too wide for the linear margin
    values = below.astype(np.int64)
    for i in np.flatnonzero(~sure):
        values[i] = _refine_exponential(int(words[i]), 64, scale, entropy)
    return values


def _refine_exponential(word: int, bits: int, scale: float, entropy: Entropy) -> int:
    """Return ``floor(-scale * ln U)`` for the point the bits are narrowing in on, with as many as it takes.

    ``U`` is in ``[word, word+1] * 2**-bits``; both ends are evaluated at ``bits + 160`` bits of precision,
    with a relative margin of ``2**-(bits+60)``, and more bits are drawn until they have one integer part.
    """
    while True:
        if word > 0:
            with precise(bits + 160) as mp:
                unit, margin = mp.mpf(2) ** -bits, mp.mpf(2) ** -(bits + 60)
                low = -mp.mpf(scale) * mp.log((word + 1) * unit) * (1 - margin)
                high = -mp.mpf(scale) * mp.log(word * unit) * (1 + margin)
                value = int(mp.floor(low))
                if high < value + 1:
                    return value
        word, bits = (word << 32) | int.from_bytes(entropy(4), "little"), bits + 32
