"""What counts and scores of an attack prove of a guarantee: one-sided bounds at a stated level.

An attack is run in two worlds. *Positives* are runs with the target in, *negatives* runs with it out; a false
positive is a run without the target that the attack took for one with it. Every lower bound here is below the
truth with a probability of at least ``1 - alpha``, provided that whatever the attack could choose (its
threshold, its side, how many guesses it makes) was fixed before these runs. Rounded to the safe side: a bound
found by bisection is a value that was seen rejected. All arguments are named, since most are plain numbers.

References:
    Clopper, Pearson 1934. Nasr et al. 2021 (arXiv:2101.04535), epsilon from rates. Dong, Roth, Su 2022
    (arXiv:1905.02383), mu from rates. Johnson, Welch 1940, the noncentral t. Steinke, Nasr, Jagielski 2023
    (arXiv:2305.08846), one run. Mahloujifar, Melis, Chaudhuri 2024 (arXiv:2410.22235), one run and a whole
    trade-off curve.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = [
    "epsilon_limit",
    "epsilon_lower",
    "mu_limit",
    "mu_lower",
    "mu_lower_from_scores",
    "one_run_epsilon",
    "one_run_mu",
    "rate_upper",
    "trials_for",
    "wilson",
]

_STEPS = 60  # of bisection: far below the error of the special functions
_UP = 1 + 1e-12  # relative error allowed to the incomplete beta function's inverse
_LARGEST_EPSILON, _LARGEST_MU = 100.0, 40.0  # where a search ends: beyond any claim worth testing
_MOST_TRIALS = 10**9


def rate_upper(*, count: int, trials: int, alpha: float) -> float:
    """Return the Clopper-Pearson upper bound on a rate, rounded up.

    ``u`` with ``P[Binomial(trials, u) <= count] = alpha``; 1 where every trial counted.

    Args:
        count: Trials that came out, from 0 to ``trials``.
        trials: Independent trials, at least 1.
        alpha: Chance that the true rate is above the bound, in (0, 1).

    Raises:
        ValueError: an argument is out of range.
    """
    _require_counts(count, trials)
    _require_alpha(alpha)
    if count == trials:
        return 1.0
    return min(1.0, float(special.betainccinv(count + 1, trials - count, alpha)) * _UP)


def wilson(*, count: int, trials: int, alpha: float) -> tuple[float, float]:
    """Return Wilson's two-sided interval of a rate.

    ``(k + z^2/2) / (n + z^2) -+ z / (n + z^2) sqrt(k (n - k) / n + z^2 / 4)``, ``z = Phi^-1(1 - alpha/2)``.
    Its coverage is near ``1 - alpha``, not certainly above it: for display; to accuse, :func:`rate_upper`.

    Args:
        count: Trials that came out, from 0 to ``trials``.
        trials: Independent trials, at least 1.
        alpha: Chance left outside, both sides together, in (0, 1).

    Returns:
        Least and greatest rate, in [0, 1].

    Raises:
        ValueError: an argument is out of range.

    Reference: Wilson 1927; used by Anonymeter (Giomi et al. 2023).
    """
    _require_counts(count, trials)
    _require_alpha(alpha)
    z = -float(special.ndtri(alpha / 2))
    middle = (count + z * z / 2) / (trials + z * z)
    half = z / (trials + z * z) * math.sqrt(count * (trials - count) / trials + z * z / 4)
    low = middle - half if count else 0.0
    return max(0.0, low), min(1.0, middle + half) if count < trials else 1.0


def epsilon_lower(
    *, false_positives: int, negatives: int, false_negatives: int, positives: int, delta: float, alpha: float
) -> float:
    """Return a lower bound on epsilon at ``delta`` from the errors of a test.

    ``max(0, ln((1 - delta - b) / a), ln((1 - delta - a) / b))`` with ``a`` and ``b`` the Clopper-Pearson
    upper bounds of the false positive and false negative rates at ``alpha / 2`` each.

    Args:
        false_positives: Runs without the target that the attack took for runs with it.
        negatives: Runs without the target.
        false_negatives: Runs with the target that the attack took for runs without it.
        positives: Runs with the target.
        delta: Of the claim, in [0, 1).
        alpha: Chance that the bound is above the truth, in (0, 1).

    Raises:
        ValueError: an argument is out of range.
    """
    _require_delta(delta)
    a, b = _both_rates(false_positives, negatives, false_negatives, positives, alpha)
    found = [math.log((1 - delta - y) / x) for x, y in ((a, b), (b, a)) if 1 - delta - y > 0]
    return max([0.0, *found])


def mu_lower(
    *, false_positives: int, negatives: int, false_negatives: int, positives: int, alpha: float
) -> float:
    """Return a lower bound on mu (Gaussian differential privacy) from the errors of a test.

    ``max(0, Phi^-1(1 - a) - Phi^-1(b))``, with ``a`` and ``b`` as :func:`epsilon_lower`. What is mu-GDP has
    no test with errors so small, whatever the law of the attack's scores.

    Args:
        false_positives: As :func:`epsilon_lower`.
        negatives: As :func:`epsilon_lower`.
        false_negatives: As :func:`epsilon_lower`.
        positives: As :func:`epsilon_lower`.
        alpha: Chance that the bound is above the truth, in (0, 1).

    Raises:
        ValueError: an argument is out of range.
    """
    a, b = _both_rates(false_positives, negatives, false_negatives, positives, alpha)
    return _mu_of(a, b)


def epsilon_limit(*, trials: int, delta: float, alpha: float) -> float:
    """Return the limit of detection of :func:`epsilon_lower`: what a perfect attack would show.

    Args:
        trials: Runs in each world.
        delta: As :func:`epsilon_lower`.
        alpha: As :func:`epsilon_lower`.

    Raises:
        ValueError: an argument is out of range.
    """
    return epsilon_lower(
        false_positives=0, negatives=trials, false_negatives=0, positives=trials, delta=delta, alpha=alpha
    )


def mu_limit(*, trials: int, alpha: float) -> float:
    """Return the limit of detection of :func:`mu_lower`: what a perfect attack would show.

    Args:
        trials: Runs in each world.
        alpha: As :func:`mu_lower`.

    Raises:
        ValueError: an argument is out of range.
    """
    return mu_lower(false_positives=0, negatives=trials, false_negatives=0, positives=trials, alpha=alpha)


def mu_lower_from_scores(
    *, inside: npt.ArrayLike, outside: npt.ArrayLike, alpha: float
) -> tuple[float, float]:
    """Return an estimate of mu from scores and an exact lower bound, if both laws are normal, equally wide.

    The log-likelihood ratio of Gaussian measurements is ``N(+mu^2/2, mu^2)`` with the target in and
    ``N(-mu^2/2, mu^2)`` with it out. With ``n`` and ``m`` scores, ``s`` their pooled standard deviation and
    ``c = sqrt(n m / (n + m))``, the statistic ``T = c (mean inside - mean outside) / s`` is noncentral t with
    ``n + m - 2`` degrees and noncentrality ``c mu``. The bound is the largest mu at which so large a ``T``
    has a chance of at most ``alpha``, and never above :func:`mu_limit` of the smaller sample: nothing was
    seen of the tails beyond. It is tighter than :func:`mu_lower` by far and rests on the normal law: it is
    for sums over Gaussian noise, and no other scores.

    Args:
        inside: Scores of runs with the target, shape ``(n,)``, at least 2.
        outside: Scores of runs without it, shape ``(m,)``, at least 2.
        alpha: Chance that the bound is above the truth, in (0, 1/2).

    Returns:
        The estimate ``max(0, mean inside - mean outside) / s`` (without any spread: the limit, or 0), and the
        bound, from 0 to the estimate.

    Raises:
        ValueError: too few scores, of another shape or not finite; or alpha is out of range.
    """
    a, b = _scores("inside", inside), _scores("outside", outside)
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha={alpha!r} is not between 0 and 1/2")
    limit = mu_limit(trials=min(a.size, b.size), alpha=alpha)
    degrees, scale = a.size + b.size - 2, math.sqrt(a.size * b.size / (a.size + b.size))
    gap = max(0.0, float(a.mean() - b.mean()))
    spread = math.sqrt(float(((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()) / degrees)
    if spread == 0.0:
        return (limit, limit) if gap else (0.0, 0.0)
    point = gap / spread
    shown = scale * min(point, 4 * limit)  # a smaller statistic is on the safe side, and soon computed
    top = min(point, limit)
    return point, _largest(lambda mu: _t_tail(degrees, scale * mu, shown) <= alpha, top)


def trials_for(*, mu: float, alpha: float, power: float, claimed: float = 0.0) -> int:
    """Return how many runs in each world it takes to show that ``mu`` is more than ``claimed``.

    The least ``n`` at which :func:`mu_lower_from_scores` exceeds ``claimed`` with a probability of at least
    ``power``, for normal scores at a distance of ``mu``, by the noncentral t.

    Args:
        mu: What there is to be seen, above ``claimed``.
        alpha: Of the bound, in (0, 1/2).
        power: In (0, 1).
        claimed: At least 0.

    Returns:
        Runs in each world, at least 2.

    Raises:
        ValueError: an argument is out of range, or more than ``10**9`` runs would be needed.
    """
    if not (0 <= claimed < mu < math.inf and 0 < alpha < 0.5 and 0 < power < 1):
        raise ValueError(
            f"mu={mu!r}, claimed={claimed!r}, alpha={alpha!r} or power={power!r} is out of range"
        )

    def enough(trials: int) -> bool:
        if mu_limit(trials=trials, alpha=alpha) <= claimed:
            return False
        degrees, scale = 2 * trials - 2, math.sqrt(trials / 2)
        threshold = _t_threshold(degrees, scale * claimed, alpha)
        return _t_tail(degrees, scale * mu, threshold) >= power

    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
        if high > _MOST_TRIALS:
            raise ValueError(f"mu={mu!r} is told from claimed={claimed!r} by more than 10**9 runs only")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def one_run_epsilon(*, canaries: int, guesses: int, correct: int, delta: float, alpha: float) -> float:
    """Return a lower bound on epsilon at ``delta`` from guesses about many canaries in one run.

    Each of ``m`` canaries was put in or left out by a fair coin of its own; an attack guessed ``r`` of the
    coins, ``v`` of them rightly. Under (epsilon, delta)-differential privacy for adding or removing a canary,

    ``P[>= v right] <= P[B >= v] + 2 m delta max over i = 1..v of P[v > B >= v - i] / i``,

    ``B = Binomial(r, 1 / (1 + e^-epsilon))``. The bound is an epsilon at which this is at most ``alpha``; the
    smaller ones promise more, and are rejected with it.

    Args:
        canaries: ``m``, at least 1.
        guesses: ``r``, from 1 to ``m``, fixed beforehand; for the other canaries the attack abstained.
        correct: ``v``, from 0 to ``r``. With ``v = r`` the result is the limit of detection.
        delta: Of the claim, in [0, 1).
        alpha: Chance that the bound is above the truth, in (0, 1).

    Raises:
        ValueError: an argument is out of range.

    Reference: Steinke, Nasr, Jagielski 2023 (arXiv:2305.08846), Theorem 5.2 (its delta term included).
    """
    _require_guesses(canaries, guesses, correct)
    _require_delta(delta)
    _require_alpha(alpha)

    def rejected(epsilon: float) -> bool:
        q = 1 / (1 + math.exp(-epsilon))
        chance = float(special.bdtrc(correct - 1, guesses, q)) if correct else 1.0
        if delta and correct:
            below = _binomial_masses(correct, guesses, q)[::-1]  # P[B = v - i], i = 1..v
            worst = float((np.cumsum(below) / np.arange(1, correct + 1)).max())
            chance += 2 * canaries * delta * worst
        return chance <= alpha

    return _largest(rejected, _LARGEST_EPSILON)


def one_run_mu(*, canaries: int, guesses: int, correct: int, alpha: float) -> float:
    """Return a lower bound on mu (Gaussian differential privacy) from guesses about canaries in one run.

    As :func:`one_run_epsilon`, for a whole trade-off curve ``F(x) = Phi(Phi^-1(x) + mu)``. With ``p_j`` the
    chance of exactly ``j`` right guesses, let ``R_i = sum over j >= i of j p_j / m`` (the chance that a
    random canary is guessed rightly, and at least ``i`` are) and ``H_i = sum over j >= i of (r - j) p_j / m``
    (that it is guessed wrongly, and at least ``i`` are right). To flip that canary's coin shows
    ``R_(i+1) <= F(H_i)``. If ``P[>= v right]`` were ``alpha``, the least values that satisfy this would be
    ``H_i = max(H_(i+1), F^-1(R_(i+1)))`` and ``R_i = R_(i+1) + i / (r - i) (H_i - H_(i+1))``, from ``i = v``
    down, where all the mass at or above ``v`` is at ``v``. Where ``R_0 + H_0``, which is ``r / m``, would be
    exceeded, mu is rejected.

    Args:
        canaries: As :func:`one_run_epsilon`.
        guesses: As :func:`one_run_epsilon`.
        correct: As :func:`one_run_epsilon`.
        alpha: Chance that the bound is above the truth, in (0, 1).

    Raises:
        ValueError: an argument is out of range.

    Reference: Mahloujifar, Melis, Chaudhuri 2024 (arXiv:2410.22235), Algorithm 3, for two choices a canary.
    """
    _require_guesses(canaries, guesses, correct)
    _require_alpha(alpha)

    def rejected(mu: float) -> bool:
        right, wrong = alpha * correct / canaries, alpha * (guesses - correct) / canaries
        for i in range(correct - 1, -1, -1):
            needed = max(wrong, float(special.ndtr(special.ndtri(min(1.0, right)) - mu)))
            right, wrong = right + i / (guesses - i) * (needed - wrong), needed
            if right + wrong > guesses / canaries:
                return True
        return False

    return _largest(rejected, _LARGEST_MU)


def _both_rates(
    false_positives: int, negatives: int, false_negatives: int, positives: int, alpha: float
) -> tuple[float, float]:
    _require_alpha(alpha)
    return (
        rate_upper(count=false_positives, trials=negatives, alpha=alpha / 2),
        rate_upper(count=false_negatives, trials=positives, alpha=alpha / 2),
    )


def _mu_of(a: float, b: float) -> float:
    """Return ``max(0, Phi^-1(1 - a) - Phi^-1(b))``."""
    return 0.0 if a + b >= 1 else max(0.0, -float(special.ndtri(a)) - float(special.ndtri(b)))


def _largest(rejected: Callable[[float], bool], top: float) -> float:
    """Return a place that was seen rejected, near the edge of where that ends; 0 where none was."""
    if rejected(top):
        return top
    inside, outside = 0.0, top
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if rejected(middle) else (inside, middle)
    return inside


def _t_tail(degrees: int, shift: float, value: float) -> float:
    """Return the chance that a noncentral t is above a value."""
    return 1 - float(special.nctdtr(degrees, shift, value))


def _t_threshold(degrees: int, shift: float, alpha: float) -> float:
    """Return where a noncentral t has an upper tail of ``alpha``, rounded up."""
    low, high = shift, 2 * shift + 10
    while _t_tail(degrees, shift, high) > alpha:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        above = _t_tail(degrees, shift, middle) > alpha
        low, high = (middle, high) if above else (low, middle)
    return high


def _binomial_masses(stop: int, trials: int, q: float) -> npt.NDArray[np.float64]:
    """Return ``P[Binomial(trials, q) = j]`` for ``j`` from 0 to below ``stop``."""
    j = np.arange(stop, dtype=np.float64)
    ways = special.gammaln(trials + 1) - special.gammaln(j + 1) - special.gammaln(trials - j + 1)
    return np.exp(ways + special.xlogy(j, q) + special.xlog1py(trials - j, -q))


def _scores(name: str, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size < 2 or not np.isfinite(array).all():
        raise ValueError(f"{name} is not a vector of at least two finite scores")
    return array


def _require_counts(count: int, trials: int) -> None:
    if trials < 1 or not 0 <= count <= trials:
        raise ValueError(
            f"count={count!r} is not from 0 to trials={trials!r}, of which there is at least one"
        )


def _require_guesses(canaries: int, guesses: int, correct: int) -> None:
    if not (1 <= guesses <= canaries and 0 <= correct <= guesses):
        raise ValueError(
            f"correct={correct!r}, guesses={guesses!r} and canaries={canaries!r} do not rise from 0, with at "
            "least one guess"
        )


def _require_alpha(alpha: float) -> None:
    if not 0 < alpha < 1:
        raise ValueError(f"alpha={alpha!r} is not between 0 and 1")


def _require_delta(delta: float) -> None:
    if not 0 <= delta < 1:
        raise ValueError(f"delta={delta!r} is not in [0, 1)")
