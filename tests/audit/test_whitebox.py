"""The white-box audit: exact losses, a ceiling of its own, verdicts, real runs with and without a fault."""

from __future__ import annotations

import math
import os
import time

import numpy as np
import pytest
from scipy import special, stats

from dpsynth.audit import losses
from dpsynth.audit.finding import Verdict
from dpsynth.audit.losses import Losses, draw_losses, loss
from dpsynth.audit.promised import mu_of, promise_of
from dpsynth.audit.spreading import spread
from dpsynth.audit.whitebox import draw_both, form_of, judge, required, runs_for, whitebox_findings
from dpsynth.audit.worst_case import WORST_CASES, worst_case
from dpsynth.errors import InputError
from dpsynth.mechanisms import MECHANISMS
from dpsynth.mechanisms.mechanism import Mechanism
from dpsynth.privacy import noise
from dpsynth.privacy.acts import DiscreteGaussian, DiscreteLaplace, ExponentialMechanism, RoundedGaussian
from dpsynth.privacy.guarantee import Guarantee, calculus_of
from dpsynth.privacy.marginal import Marginal
from dpsynth.privacy.sealed import open_codes

EIGHT = Guarantee(epsilon=8.0, delta=1e-9)
PURE = Guarantee(epsilon=2.0, delta=0.0)
THREE = Guarantee(epsilon=8.0, delta=1e-9, unit="person", rows_per_unit=3)


def normal(mu, runs, *, chosen=0.0, price=None):
    """Losses of ``mu`` without any chance: quantiles of the two normal laws; choices lose ``chosen``."""
    grid = special.ndtri((np.arange(runs) + 0.5) / runs)
    price = mu**2 if price is None else price
    return tuple(
        Losses(
            measured=mu * grid + sign * mu**2 / 2,
            chosen=np.full(runs, sign * chosen),
            price_measured=np.full(runs, price),
            price_chosen=np.full(runs, chosen),
        )
        for sign in (1, -1)
    )


def judged(both, guarantee=EIGHT, **other):
    terms = {"pair": "alone", "guarantee": guarantee, "mechanism": "mst", "noise": "exact", **other}
    return judge(*both, **terms)


def test_a_loss_is_a_ratio_of_densities() -> None:
    inside, outside, seen = np.array([3, 0, 7]), np.array([2, 0, 9]), np.array([5, -1, 8])
    for act in (
        RoundedGaussian(sigma=1.7, sensitivity_squared=1),
        DiscreteGaussian(sigma=1.7, sensitivity_squared=1),
    ):
        ratio = stats.norm.logpdf(seen, inside, 1.7) - stats.norm.logpdf(seen, outside, 1.7)
        assert loss(act, seen, inside=inside, outside=outside) == pytest.approx(ratio.sum(), abs=1e-12)
    act = DiscreteLaplace(scale=2.5, sensitivity=1)
    ratio = stats.dlaplace.logpmf(seen - inside, 1 / 2.5) - stats.dlaplace.logpmf(seen - outside, 1 / 2.5)
    assert loss(act, seen, inside=inside, outside=outside) == pytest.approx(ratio.sum(), abs=1e-12)
    act = ExponentialMechanism(epsilon=0.6, sensitivity=2, candidates=3)
    shares = [np.exp(0.15 * q) / np.exp(0.15 * q).sum() for q in (inside, outside)]
    assert loss(act, 2, inside=inside, outside=outside) == pytest.approx(
        math.log(shares[0][2] / shares[1][2])
    )


@pytest.mark.parametrize("adjacency", ["add-remove", "replace-one"])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", WORST_CASES)
def test_neighbours_differ_by_one_unit_which_is_sealed_within_its_bound(name, k, adjacency) -> None:
    unit = "row" if k == 1 else "person"
    guarantee = Guarantee(epsilon=8.0, delta=1e-9, unit=unit, rows_per_unit=k, adjacency=adjacency)
    pair = worst_case(name, guarantee)
    sides = guarantee.sides
    for column in range(3):
        counts = [np.bincount(pair.ought(inside=side)[column], minlength=3) for side in (True, False)]
        moved = np.abs(counts[0] - counts[1])
        assert (moved.sum(), moved.max(), (moved**2).sum()) == (sides * k, k, sides * k**2)
    for side in (True, False):
        sealed = open_codes(pair.seal(inside=side))
        ought = pair.ought(inside=side)
        assert [sorted(c) for c in sealed] == [sorted(c) for c in ought]
        there = side or adjacency == "replace-one"
        assert len(pair.frame(inside=side)) == ought[0].size + (2 if there and k > 1 else 0)


def test_an_unknown_pair_or_mechanism_is_named() -> None:
    with pytest.raises(InputError, match="pair='lone' is none of alone, empty"):
        worst_case("lone", EIGHT)
    with pytest.raises(InputError, match="mechanism='mts' is none of oneshot"):
        form_of("mts", EIGHT)
    with pytest.raises(InputError, match="'oneshot' needs a delta above 0; with delta=0 audit one of mst"):
        form_of("oneshot", PURE)
    assert form_of("mst", PURE) is MECHANISMS["mst"].pure
    assert form_of(MECHANISMS["aim"], EIGHT) is MECHANISMS["aim"]


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0, 50.0])
@pytest.mark.parametrize("delta", [1e-12, 1e-5, 0.3])
@pytest.mark.parametrize("source", ["exact", "opendp"])
def test_the_ceiling_is_worked_out_again_and_is_the_librarys(epsilon, delta, source) -> None:
    guarantee = Guarantee(epsilon=epsilon, delta=delta)
    budget = guarantee.budget(calculus_of(source, delta))
    claim = promise_of(guarantee, source)
    assert 1 < float(claim.amount) / budget < 1 + 3e-6
    assert mu_of(claim) == pytest.approx(math.sqrt(budget * (1 if source == "exact" else 2)), rel=3e-6)


def test_a_claim_in_epsilon_alone_has_no_mu() -> None:
    claim = promise_of(PURE, "exact")
    assert float(claim.amount) == pytest.approx(2.0, rel=2e-6)
    with pytest.raises(ValueError, match="no Gaussian noise keeps"):
        mu_of(claim)


def test_verdicts_follow_the_claim() -> None:
    mu = mu_of(promise_of(EIGHT, "exact"))
    kept = judged(normal(mu, 2_000))
    assert (kept.check, kept.verdict, kept.unit, kept.publishable) == (
        "whitebox.mu",
        Verdict.consistent,
        "mu",
        True,
    )
    assert kept.value == pytest.approx(mu, rel=5e-3)
    assert kept.interval[0] < mu < kept.limit
    assert 0.94 < kept.details["tightness"] < 0.98
    broken = judged(normal(2 * mu, 300))
    assert broken.verdict is Verdict.violation
    assert broken.interval[0] > mu
    assert "More is lost than is claimed" in broken.summary
    few = judged(normal(mu, 100))
    assert few.verdict is Verdict.inconclusive
    assert few.details["runs_needed"] == runs_for(promise_of(EIGHT, "exact"), 0.85)
    assert f"take about {few.details['runs_needed']:,} a side" in few.summary
    assert judged(normal(0.6 * mu, 20_000)).verdict is Verdict.inconclusive


def test_a_violation_needs_counts_as_well() -> None:
    """Scores that only look normal: far apart in standard deviations, but not on the two sides of 0."""
    mu = mu_of(promise_of(EIGHT, "exact"))
    inside, outside = normal(2 * mu, 500)
    moved = [
        Losses(
            measured=s.measured + 100, chosen=s.chosen, price_measured=s.price_measured, price_chosen=s.chosen
        )
        for s in (inside, outside)
    ]
    found = judged(moved)
    assert found.interval[0] > found.ceiling
    assert found.verdict is Verdict.inconclusive, "a bound above the claim is no pass"
    assert "plain counts do not show it yet" in found.summary
    assert found.details["runs_needed"] == 1_000


def test_a_tiny_budget_takes_more_runs_than_can_be_had() -> None:
    tiny = Guarantee(epsilon=1e-6, delta=1e-9)
    claim = promise_of(tiny, "exact")
    assert runs_for(claim, 0.8) == 10**9
    found = judged(normal(mu_of(claim), 100), tiny)
    assert (found.verdict, found.details["runs_needed"]) == (Verdict.inconclusive, 10**9)


def test_a_bound_above_the_claim_is_never_a_pass() -> None:
    """Noise a fifth too small at epsilon 1: the t-bound sees it long before counts do."""
    one = Guarantee(epsilon=1.0, delta=1e-9)
    mu = mu_of(promise_of(one, "exact"))
    found = judged(normal(1.25 * mu, 25_000), one)
    assert found.interval[0] > found.ceiling
    assert found.verdict is Verdict.inconclusive
    assert judged(normal(2 * mu, 40_000), one).verdict is Verdict.violation


def test_a_mechanism_that_only_chooses_has_shown_nothing() -> None:
    nothing, price = np.zeros(500), np.full(500, 0.1)
    own = [
        Losses(measured=nothing, chosen=n.measured, price_measured=nothing, price_chosen=price)
        for n in normal(0.3, 500)
    ]
    found = judged(own)
    assert (found.verdict, found.details["measured"]["tightness"]) == (Verdict.inconclusive, 0.0)


def test_what_choices_take_is_told_apart() -> None:
    mu = mu_of(promise_of(EIGHT, "exact"))
    found = judged(normal(0.8 * mu, 2_000, chosen=0.01))
    assert found.verdict is Verdict.consistent, "what was measured is tight"
    assert found.details["tightness"] < 0.85 < found.details["measured"]["tightness"]
    assert found.details["measured"]["booked"] == pytest.approx(0.8 * mu)
    assert found.details["spent_on_choices"] == pytest.approx(0.01 / mu**2, rel=1e-5)


def test_epsilon_alone_is_judged_by_counts() -> None:
    """A loss of exactly epsilon in one run of two: all that the promise allows, and twice that."""

    def coins(epsilon, runs=4_000):
        share = math.exp(-epsilon) / 2
        made = []
        for rare in (0.5, share):
            score = np.where(np.arange(runs) * 0.618 % 1 < rare, epsilon, -epsilon)
            zero = np.zeros(runs)
            made.append(Losses(measured=score, chosen=zero, price_measured=zero, price_chosen=zero))
        return made

    kept = judged(coins(2.0), PURE)
    assert (kept.check, kept.unit, kept.verdict) == ("whitebox.epsilon", "epsilon", Verdict.consistent)
    assert kept.interval[0] < 2.0 < kept.limit
    assert kept.details["tightness"] > 0.85
    assert judged(coins(4.0), PURE).verdict is Verdict.violation
    few = judged(coins(2.0, 100), PURE)
    assert (few.verdict, few.details["runs_needed"]) == (
        Verdict.inconclusive,
        math.ceil(40 * math.exp(1.5 * (1 + 1e-6))),
    )


def test_high_budgets_are_held_to_more() -> None:
    assert [required(e) for e in (1.0, 7.9, 8.0)] == [0.75, 0.75, 0.85]


@pytest.mark.statistical
@pytest.mark.parametrize("name", [*MECHANISMS])
def test_real_runs_keep_the_promise(name) -> None:
    """False alarms: at most 1e-7 in each finding (``alpha``)."""
    guarantee = THREE if name == "mst" else EIGHT
    (found,) = whitebox_findings(guarantee, name, pairs=["crowds"], runs=12, alpha=1e-7)
    assert found.verdict is not Verdict.violation
    assert found.value >= 0
    assert bool(found.details["spent_on_choices"]) == (name == "aim")


@pytest.mark.statistical
def test_the_estimate_is_what_was_spent() -> None:
    """400 runs a side: false alarms below 1e-6, since 1.24 has a standard error of 0.078 (5 of them)."""
    (found,) = whitebox_findings(EIGHT, "independent", pairs=["alone"], runs=400)
    assert found.value == pytest.approx(0.98 * found.ceiling, abs=0.4)


@pytest.mark.statistical
@pytest.mark.parametrize("fault", ["noise halved", "unit unbounded"])
def test_faults_show(fault, monkeypatch) -> None:
    """Twice or 5/3 of the claim at 300 and 700 runs a side: missed with a chance below 1e-6."""
    if fault == "noise halved":
        real = noise.rounded_gaussian
        monkeypatch.setattr(noise, "rounded_gaussian", lambda size, sigma: real(size, sigma / 2))
    else:
        real_seal = losses.WorstCase.seal

        def unbounded(pair, *, inside):
            if not inside:
                return real_seal(pair, inside=False)
            more = worst_case(pair.name, Guarantee(epsilon=8.0, delta=1e-9, unit="person", rows_per_unit=5))
            return type(real_seal(pair, inside=True))(pair.domain, more.ought(inside=True), rows_per_unit=3)

        monkeypatch.setattr(losses.WorstCase, "seal", unbounded)
    runs = 300 if fault == "noise halved" else 700
    (found,) = whitebox_findings(THREE, "independent", pairs=["alone"], runs=runs)
    assert found.verdict is Verdict.violation


@pytest.mark.statistical
def test_processes_draw_noise_of_their_own() -> None:
    """Two hundred runs in two processes: two alike have a chance below 1e-9 with so many decimals."""
    inside, outside = draw_both(EIGHT, "fixed", "hidden", noise="exact", runs=200, processes=2, seconds=60.0)
    assert len(inside) == len(outside) == 200
    halves = inside.measured[:100], inside.measured[100:]
    assert (halves[0] != halves[1]).sum() > 90


def test_time_that_is_out_ends_the_runs() -> None:
    inside, outside = draw_both(EIGHT, "independent", "alone", noise="exact", runs=10_000, seconds=0.0)
    assert len(inside) == len(outside) == 100


def test_runs_are_whole_numbers_one_for_each_pair() -> None:
    for wrong in (9, [10, 10], [10.5]):
        with pytest.raises(InputError, match="is not a whole number of at least 10, or one for each pair"):
            whitebox_findings(EIGHT, "independent", pairs=["alone"], runs=wrong)


def test_choices_and_handicaps_are_noted_as_the_door_sees_them() -> None:
    """A mechanism of one choice: the loss is that of the shares with which the door chooses."""
    seen = {}

    def run(door, _progress):
        query = Marginal((0,), (np.arange(3),))
        tables = {id(query): np.array([5, 0, 0])}
        seen["place"] = door.select(
            [query, query],
            lambda q: tables[id(q)],
            budget=door.left,
            purpose="choice",
            handicap=[1, 0],
            weights=[1, 2],
        )
        seen["entry"] = door.entries[-1]

    own = Mechanism(name="own", summary="", plan=lambda *_: (), run=run)
    found = draw_losses(worst_case("alone", EIGHT), own, noise="exact", inside=True, runs=1)
    act = seen["entry"].act
    logs = []
    for distance in (6, 5):  # ten rows and the unit, from five: with it, without it
        weighed = np.array([distance - 1, 2 * distance]) * act.epsilon / (2 * act.sensitivity)
        logs.append(weighed[seen["place"]] - special.logsumexp(weighed))
    assert found.chosen[0] == pytest.approx(logs[0] - logs[1])
    assert (found.measured[0], found.price_measured[0]) == (0.0, 0.0)
    assert found.price_chosen[0] == pytest.approx(float(seen["entry"].price))


def _square(number):
    return number * number, os.getpid()


def _slow(number):
    time.sleep(0.3)
    return number


def test_work_is_spread_in_order_until_time_is_out() -> None:
    assert [x for x, _ in spread(_square, range(5), processes=1, seconds=9.0)] == [0, 1, 4, 9, 16]
    found = spread(_square, range(5), processes=2, seconds=60.0)
    assert [x for x, _ in found] == [0, 1, 4, 9, 16]
    assert os.getpid() not in {pid for _, pid in found}
    done = spread(_slow, range(20), processes=2, seconds=0.1)
    assert done == list(range(len(done)))
    assert 1 <= len(done) < 20
    with pytest.raises(ValueError, match="processes=0 is not a whole number of at least 1"):
        spread(_square, range(5), processes=0, seconds=9.0)
