"""Bounds from attacks: known answers by other roads, exact coverage, and no bound above what was seen."""

from __future__ import annotations

import bisect
import inspect
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from dpsynth.audit import bounds
from dpsynth.audit.bounds import (
    epsilon_limit,
    epsilon_lower,
    mu_limit,
    mu_lower,
    mu_lower_from_scores,
    one_run_epsilon,
    one_run_mu,
    rate_upper,
    trials_for,
    wilson,
)
from dpsynth.privacy.guarantee import gdp_delta

MUS = [0.2472, 0.864, 1.568]  # of epsilon 1, 4 and 8 at a delta of 1e-5, by zCDP


def masses(n, p):
    """Binomial probabilities by their definition."""
    return np.array([math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])


def scores(rng, mu, n):
    """Log-likelihood ratios of a mu-GDP Gaussian."""
    return {"inside": rng.normal(mu**2 / 2, mu, n), "outside": rng.normal(-(mu**2) / 2, mu, n)}


# --- rates ---


@pytest.mark.parametrize("alpha", [0.05, 1e-3, 1e-6])
def test_a_rate_is_bounded_where_so_few_have_that_chance(alpha):
    for count in range(40):
        rate = rate_upper(count=count, trials=40, alpha=alpha)
        assert alpha * (1 - 1e-3) <= masses(40, rate)[: count + 1].sum() <= alpha
    assert rate_upper(count=40, trials=40, alpha=alpha) == 1.0
    assert rate_upper(count=0, trials=100, alpha=alpha) == pytest.approx(1 - alpha ** (1 / 100), rel=1e-8)


@pytest.mark.parametrize("alpha", [0.05, 1e-3])
def test_the_bound_of_a_rate_covers_exactly(alpha):
    upper = np.array([rate_upper(count=k, trials=60, alpha=alpha) for k in range(61)])
    for rate in np.linspace(0.001, 0.999, 97):
        assert masses(60, rate)[upper < rate].sum() <= alpha


def test_wilson():
    assert wilson(count=10, trials=100, alpha=0.05) == pytest.approx((0.05523, 0.17437), abs=1e-5)
    assert wilson(count=0, trials=7, alpha=0.05)[0] == 0.0
    assert wilson(count=7, trials=7, alpha=0.05)[1] == 1.0


def test_what_a_perfect_attack_would_show():
    """The figures that a published audit's ceiling of 5.60 belongs to."""
    table = {100: 3.28, 200: 3.98, 500: 4.91, 1000: 5.60, 2000: 6.29, 5000: 7.21, 10_000: 7.91, 100_000: 10.2}
    for trials, expected in table.items():
        assert epsilon_limit(trials=trials, delta=1e-5, alpha=0.05) == pytest.approx(expected, abs=0.01)
    u = 1 - 0.025 ** (1 / 1000)
    assert mu_limit(trials=1000, alpha=0.05) == pytest.approx(2 * stats.norm.isf(u), abs=1e-6)


def test_epsilon_from_rates():
    given = {"false_positives": 3, "negatives": 200, "false_negatives": 90, "positives": 150, "alpha": 0.1}
    a = stats.beta.ppf(0.95, 4, 197)
    b = stats.beta.ppf(0.95, 91, 60)
    found = epsilon_lower(delta=0.01, **given)
    assert found == pytest.approx(max(math.log((0.99 - b) / a), math.log((0.99 - a) / b)), abs=1e-6)
    assert mu_lower(**given) == pytest.approx(stats.norm.isf(a) - stats.norm.ppf(b), abs=1e-6)
    mirrored = {"false_positives": 90, "negatives": 150, "false_negatives": 3, "positives": 200, "alpha": 0.1}
    assert epsilon_lower(delta=0.01, **mirrored) == pytest.approx(found)
    assert epsilon_lower(delta=0.2, **given) < found


def test_an_attack_that_learns_nothing_shows_nothing():
    given = {"false_positives": 50, "negatives": 100, "false_negatives": 50, "positives": 100}
    assert epsilon_lower(delta=0.0, alpha=0.05, **given) == mu_lower(alpha=0.05, **given) == 0.0
    blind = {"false_positives": 9, "negatives": 9, "false_negatives": 9, "positives": 9}
    assert epsilon_lower(delta=0.5, alpha=0.05, **blind) == mu_lower(alpha=0.05, **blind) == 0.0


@pytest.mark.parametrize("alpha", [0.05, 1e-3])
@pytest.mark.parametrize("threshold", [0.0, 1.0])
@pytest.mark.parametrize("mu", MUS)
def test_bounds_from_rates_cover_exactly(mu, threshold, alpha):
    """Over every outcome of 60 runs a side of the best attack, weighed by its chance."""
    n, epsilon = 60, 1.0
    delta = gdp_delta(mu**2, epsilon)
    false_positive = masses(n, stats.norm.sf(threshold))
    false_negative = masses(n, stats.norm.cdf(threshold - mu))
    wrong_mu = wrong_epsilon = 0.0
    for i in range(n + 1):
        for j in range(n + 1):
            chance = false_positive[i] * false_negative[j]
            if chance > 1e-9:
                seen = {"false_positives": i, "negatives": n, "false_negatives": j, "positives": n}
                wrong_mu += chance * (mu_lower(alpha=alpha, **seen) > mu)
                wrong_epsilon += chance * (epsilon_lower(alpha=alpha, delta=delta, **seen) > epsilon)
    assert wrong_mu <= alpha
    assert wrong_epsilon <= alpha


# --- scores ---


def upper_tail(t, degrees, shift):
    """P[(Z + shift) / sqrt(X / degrees) > t] by integration over X, chi-squared."""

    def inner(x):
        return stats.norm.sf(t * math.sqrt(x / degrees) - shift) * stats.chi2.pdf(x, degrees)

    spread = 40 * math.sqrt(degrees)
    return integrate.quad(inner, max(0, degrees - spread), degrees + spread, limit=400, epsabs=1e-12)[0]


@pytest.mark.parametrize(("n", "m"), [(12, 12), (30, 200), (2_000, 2_000)])
@pytest.mark.parametrize("alpha", [0.05, 1e-3])
def test_the_score_bound_is_where_the_tail_is_alpha(n, m, alpha):
    rng = np.random.default_rng(n)
    given = {"inside": rng.normal(1.2, 1, n), "outside": rng.normal(0, 1, m)}
    point, lower = mu_lower_from_scores(alpha=alpha, **given)
    scale = math.sqrt(n * m / (n + m))
    pooled = ((n - 1) * given["inside"].var(ddof=1) + (m - 1) * given["outside"].var(ddof=1)) / (n + m - 2)
    assert point == pytest.approx(
        (given["inside"].mean() - given["outside"].mean()) / math.sqrt(pooled), rel=1e-9
    )
    if lower > 0:
        assert upper_tail(scale * point, n + m - 2, scale * lower) == pytest.approx(alpha, rel=1e-4)
    else:
        assert upper_tail(scale * point, n + m - 2, 0.0) > alpha


@pytest.mark.parametrize(("alpha", "most"), [(0.05, 92), (1e-3, 11)])
@pytest.mark.parametrize("n", [20, 500])
@pytest.mark.parametrize("mu", MUS[::2])
def test_the_score_bound_covers_and_stays_below_its_estimate(mu, n, alpha, most):
    """1,000 simulated audits from a seed; more than ``most`` misses have a chance below 1e-7."""
    assert stats.binom.sf(most, 1_000, alpha) < 1e-7
    rng = np.random.default_rng([n, round(1e3 * mu)])
    limit, misses = mu_limit(trials=n, alpha=alpha), 0
    for _ in range(1_000):
        point, lower = mu_lower_from_scores(alpha=alpha, **scores(rng, mu, n))
        assert 0 <= lower <= min(point, limit)
        misses += lower > mu
    assert misses <= most
    if alpha == 0.05 and n == 500:
        assert misses >= 15  # exact, not only safe: 50 are expected


def test_the_score_bound_grows_with_the_sample():
    """As does its tightness: the table of expected bounds in the field's own terms."""
    rng, mu = np.random.default_rng(3), MUS[2]
    means = [
        np.mean([mu_lower_from_scores(alpha=0.05, **scores(rng, mu, n))[1] for _ in range(60)]) / mu
        for n in (50, 200, 1_000, 5_000)
    ]
    assert means == sorted(means)
    assert means[1:] == pytest.approx([0.9, 0.95, 0.977], abs=0.01)


def test_more_confidence_is_a_lower_bound():
    given = scores(np.random.default_rng(1), 1.0, 300)
    lower = [mu_lower_from_scores(alpha=alpha, **given)[1] for alpha in (0.3, 0.05, 1e-3, 1e-6)]
    assert lower == sorted(lower, reverse=True)
    assert lower[-1] > 0


def test_the_order_of_the_worlds_matters():
    given = scores(np.random.default_rng(2), 2.0, 300)
    swapped = {"inside": given["outside"], "outside": given["inside"]}
    assert mu_lower_from_scores(alpha=0.05, **swapped) == (0.0, 0.0)
    assert mu_lower_from_scores(alpha=0.05, **given)[1] > 1.5


def test_scores_without_noise_show_the_limit_and_no_more():
    ones, zeros, limit = np.ones(40), np.zeros(40), mu_limit(trials=40, alpha=0.05)
    assert mu_lower_from_scores(inside=ones, outside=zeros, alpha=0.05) == (limit, limit)
    assert mu_lower_from_scores(inside=zeros, outside=ones, alpha=0.05) == (0.0, 0.0)
    assert mu_lower_from_scores(inside=ones, outside=ones, alpha=0.05) == (0.0, 0.0)
    dust = ones + 1e-12 * np.arange(40)
    point, lower = mu_lower_from_scores(inside=dust, outside=zeros, alpha=0.05)
    assert point > 1e9
    assert lower == limit
    assert mu_lower_from_scores(inside=[1.0, 1.1], outside=[0.0, 0.1], alpha=1e-3)[1] == 0.0


# --- sample sizes ---


def test_how_many_runs_it_takes():
    """By a normal approximation 990, 5,700, and 54, 225, 860, 3,300; the exact bound needs a little less."""
    mu_1, _, mu_8 = MUS
    power = {"alpha": 1e-3, "power": 0.99}
    assert trials_for(mu=2 * mu_1, claimed=mu_1, **power) == pytest.approx(985, abs=15)
    assert trials_for(mu=2**0.5 * mu_1, claimed=mu_1, **power) == pytest.approx(5_680, abs=60)
    sizes = [trials_for(mu=k * mu_8, claimed=mu_8, **power) for k in (2, 2**0.5, 1.2, 1.1)]
    assert sizes == pytest.approx([43, 205, 825, 3_206], rel=0.03)


def test_so_many_runs_have_the_power_and_fewer_have_not():
    rng, mu = np.random.default_rng(5), 1.5
    size = trials_for(mu=2 * mu, claimed=mu, alpha=0.01, power=0.9)

    def power(n):
        found = [mu_lower_from_scores(alpha=0.01, **scores(rng, 2 * mu, n))[1] > mu for _ in range(1_500)]
        return np.mean(found)

    assert power(size) == pytest.approx(0.9, abs=0.03)
    assert power(size * 2 // 3) < 0.82
    assert trials_for(mu=0.5, alpha=0.05, power=0.8) < trials_for(mu=0.25, alpha=0.05, power=0.8)
    assert trials_for(mu=30.0, alpha=0.05, power=0.8) >= 2


# --- one run ---


def one_run_chance(m, r, v, delta, odds):
    """The theorem's bound on P[at least v right], in fractions; ``odds`` is ``e**epsilon``."""
    q = Fraction(odds, 1 + odds)
    mass = [math.comb(r, k) * q**k * (1 - q) ** (r - k) for k in range(r + 1)]
    worst = max(sum(mass[k] for k in range(v - i, v)) / i for i in range(1, v + 1))
    return sum(mass[v:]) + 2 * m * delta * worst


@pytest.mark.parametrize("alpha", [0.05, 1e-3])
@pytest.mark.parametrize("delta", [Fraction(0), Fraction(1, 10**6), Fraction(1, 10**4)])
@pytest.mark.parametrize(("m", "r", "v"), [(20, 20, 19), (100, 30, 28), (1000, 60, 55), (70, 50, 44)])
def test_the_one_run_bound_by_brute_force(m, r, v, delta, alpha):
    """It lies where the theorem's bound, in fractions, is alpha."""
    found = one_run_epsilon(canaries=m, guesses=r, correct=v, delta=float(delta), alpha=alpha)
    if found > 0:
        chance = one_run_chance(m, r, v, delta, Fraction(math.exp(found)))
        assert float(chance) == pytest.approx(alpha, rel=1e-6)
    else:
        assert 2 * m * delta > 5 * alpha
        assert all(one_run_chance(m, r, v, delta, odds) > alpha for odds in (1, 2, 4, 9, 30, 100))


def test_one_run_known_answers():
    """All right: ``q**r = alpha``."""
    assert one_run_epsilon(canaries=1000, guesses=100, correct=100, delta=0.0, alpha=0.05) == pytest.approx(
        -math.log(0.05 ** (-1 / 100) - 1), abs=1e-9
    )
    assert one_run_epsilon(canaries=10, guesses=1, correct=1, delta=0.0, alpha=0.6) == pytest.approx(
        math.log(1.5), abs=1e-9
    )


def test_the_delta_term_is_needed():
    """All coins shown with probability delta, else randomised response: without the term the bound breaks.

    The mechanism is (epsilon, delta)-DP for each coin and gets ``v`` right with a chance of
    ``delta + (1 - delta) P[B >= v]``, above ``alpha`` where ``P[B >= v]`` alone is below.
    """
    m, epsilon, delta, alpha = 30, 1.0, 0.04, 0.05
    mass = masses(m, 1 / (1 + math.exp(-epsilon)))
    broken = sound = 0.0
    for v in range(m + 1):
        chance = (1 - delta) * mass[v] + delta * (v == m)
        given = {"canaries": m, "guesses": m, "correct": v, "alpha": alpha}
        broken += chance * (one_run_epsilon(delta=0.0, **given) > epsilon)
        sound += chance * (one_run_epsilon(delta=delta, **given) > epsilon)
    assert broken > alpha
    assert sound <= alpha


def least_miss(bound, truth, m):
    """The least number of right guesses, of ``m``, at which a bound is above the truth."""
    return bisect.bisect_right(range(m + 1), truth, key=bound)


@pytest.mark.parametrize("alpha", [0.05, 1e-3])
@pytest.mark.parametrize("m", [10, 80, 400])
def test_one_run_bounds_cover_exactly(m, alpha):
    """Independent canaries, all guessed: the number right is binomial, and a bound grows with it."""
    given = {"canaries": m, "guesses": m, "alpha": alpha}
    for mu in MUS:
        least = least_miss(lambda v: one_run_mu(correct=v, **given), mu, m)
        assert stats.binom.sf(least - 1, m, stats.norm.cdf(mu / 2)) <= alpha
    for epsilon in (0.5, 2.0):
        q = 1 / (1 + math.exp(-epsilon))
        least = least_miss(lambda v: one_run_epsilon(correct=v, delta=0.0, **given), epsilon, m)
        assert stats.binom.sf(least - 1, m, q) <= alpha
        assert least == m + 1 or stats.binom.sf(least - 2, m, q) > alpha  # no guess is wasted


def most_chance(m, r, v, mu):
    """The most P[at least v right] that the flip of one coin allows, by linear programming.

    ``R_(i+1) <= F(H_i)`` as ``R <= e**t H + delta(t)`` for many ``t``; every such line is an upper bound of
    ``F``, so the optimum is at or above the truth, and near it.
    """
    j = np.arange(r + 1)
    rows, limits = [], []
    for t in np.linspace(-6, 6, 241):
        delta = stats.norm.cdf(-t / mu + mu / 2) - math.exp(t) * stats.norm.cdf(-t / mu - mu / 2)
        for i in range(r):
            rows.append(np.where(j >= i + 1, j / m, 0) - math.exp(t) * np.where(j >= i, (r - j) / m, 0))
            limits.append(delta)
    found = optimize.linprog(
        -(j >= v).astype(float), A_ub=np.array(rows), b_ub=limits, A_eq=np.ones((1, r + 1)), b_eq=[1.0]
    )
    return -found.fun


@pytest.mark.parametrize(("m", "r", "v"), [(12, 12, 11), (12, 12, 9), (40, 10, 10), (25, 15, 14)])
@pytest.mark.parametrize("mu", [0.4, 1.2])
def test_the_one_run_bound_on_mu_by_linear_programming(m, r, v, mu):
    alpha = most_chance(m, r, v, mu)
    assert 0 < alpha < 1
    found = one_run_mu(canaries=m, guesses=r, correct=v, alpha=alpha)
    assert found == pytest.approx(mu, abs=0.01)


def test_one_run_grows_with_what_is_right_and_has_a_limit():
    given = {"canaries": 500, "guesses": 50}
    right = (25, 35, 45, 50)
    epsilons = [one_run_epsilon(correct=v, delta=1e-5, alpha=0.05, **given) for v in right]
    mus = [one_run_mu(correct=v, alpha=0.05, **given) for v in right]
    assert epsilons == sorted(epsilons)
    assert mus == sorted(mus)
    assert epsilons[0] == mus[0] == 0.0
    assert epsilons[3] < one_run_epsilon(canaries=500, guesses=50, correct=50, delta=0.0, alpha=0.05)
    assert one_run_epsilon(canaries=9, guesses=3, correct=0, delta=0.0, alpha=0.05) == 0.0
    assert one_run_mu(canaries=9, guesses=3, correct=0, alpha=0.05) == 0.0
    assert one_run_epsilon(canaries=3, guesses=3, correct=0, delta=0.0, alpha=0.999) == 0.0
    many = one_run_epsilon(canaries=10**4, guesses=10**3, correct=10**3, delta=1e-9, alpha=0.05)
    assert many == pytest.approx(-math.log(0.05 ** (-1 / 1000) - 1), abs=0.01)


# --- what is refused ---

RIGHT = {
    "rate_upper": {"count": 3, "trials": 10, "alpha": 0.05},
    "wilson": {"count": 3, "trials": 10, "alpha": 0.05},
    "epsilon_lower": {
        "false_positives": 1,
        "negatives": 9,
        "false_negatives": 1,
        "positives": 9,
        "delta": 0.1,
        "alpha": 0.05,
    },
    "mu_lower": {"false_positives": 1, "negatives": 9, "false_negatives": 1, "positives": 9, "alpha": 0.05},
    "epsilon_limit": {"trials": 10, "delta": 0.0, "alpha": 0.05},
    "mu_limit": {"trials": 10, "alpha": 0.05},
    "mu_lower_from_scores": {"inside": [1.0, 2.0, 4.0], "outside": [0.0, 1.0], "alpha": 0.05},
    "one_run_epsilon": {"canaries": 9, "guesses": 4, "correct": 3, "delta": 0.1, "alpha": 0.05},
    "one_run_mu": {"canaries": 9, "guesses": 4, "correct": 3, "alpha": 0.05},
    "trials_for": {"mu": 1.0, "alpha": 0.05, "power": 0.8},
}
WRONG = [
    ("rate_upper", {"count": 11}, "count=11"),
    ("rate_upper", {"count": -1}, "count=-1"),
    ("rate_upper", {"trials": 0, "count": 0}, "trials=0"),
    ("rate_upper", {"alpha": 0.0}, "alpha=0.0"),
    ("wilson", {"count": 11}, "count=11"),
    ("wilson", {"alpha": 1.0}, "alpha=1.0"),
    ("epsilon_lower", {"delta": 1.0}, "delta=1.0"),
    ("epsilon_lower", {"false_negatives": 10}, "count=10"),
    ("epsilon_lower", {"alpha": 1.0}, "alpha=1.0"),
    ("mu_lower", {"false_positives": 10}, "count=10"),
    ("mu_lower", {"alpha": math.nan}, "alpha=nan"),
    ("epsilon_limit", {"trials": 0}, "trials=0"),
    ("mu_limit", {"trials": 0}, "trials=0"),
    ("mu_lower_from_scores", {"alpha": 0.5}, "alpha=0.5"),
    ("mu_lower_from_scores", {"inside": [1.0]}, "inside is not"),
    ("mu_lower_from_scores", {"outside": [[1.0, 2.0]]}, "outside is not"),
    ("mu_lower_from_scores", {"inside": [1.0, math.nan]}, "inside is not"),
    ("one_run_epsilon", {"guesses": 10}, "guesses=10"),
    ("one_run_epsilon", {"correct": 5}, "correct=5"),
    ("one_run_epsilon", {"delta": -0.1}, "delta=-0.1"),
    ("one_run_epsilon", {"alpha": 2.0}, "alpha=2.0"),
    ("one_run_mu", {"guesses": 0, "correct": 0}, "guesses=0"),
    ("one_run_mu", {"alpha": 0}, "alpha=0"),
    ("trials_for", {"claimed": 1.0}, "claimed=1.0"),
    ("trials_for", {"alpha": 0.5}, "alpha=0.5"),
    ("trials_for", {"power": 1.0}, "power=1.0"),
    ("trials_for", {"mu": 1e-9}, "10\\*\\*9 runs"),
]


@pytest.mark.parametrize(("name", "wrong", "message"), WRONG)
def test_wrong_arguments_are_refused(name, wrong, message):
    with pytest.raises(ValueError, match=message):
        getattr(bounds, name)(**{**RIGHT[name], **wrong})


def test_every_argument_is_named():
    assert set(RIGHT) == set(bounds.__all__)
    for name, given in RIGHT.items():
        function = getattr(bounds, name)
        function(**given)
        kinds = {p.kind for p in inspect.signature(function).parameters.values()}
        assert kinds == {inspect.Parameter.KEYWORD_ONLY}, name
        with pytest.raises(TypeError):
            function(*given.values())
