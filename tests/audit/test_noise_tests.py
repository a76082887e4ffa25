"""Tests of the noise: exact where the law holds, and each defect seen by the test that is meant for it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dpsynth import Schema, Synthesizer
from dpsynth.audit.draws import Draws, Law, draws_of, draws_of_trace
from dpsynth.audit.finding import Level, Verdict
from dpsynth.audit.noise_tests import findings_of_draws, noise_findings
from dpsynth.audit.trace import Call, Outcome, Trace
from dpsynth.privacy import acts
from tests.audit.mutants.harmless import MUTANTS as HARMLESS
from tests.audit.mutants.noise import MUTANTS

SCHEMA = Schema.from_domain({"a": 4, "b": 3, "c": 2})
KINDS = ("rounded gaussian", "discrete gaussian", "discrete laplace")
SOURCES = [{}, {"noise": "opendp"}, {"delta": 0.0}]
CHECKS = {
    "lattice",
    "centre",
    "tails",
    "empty_cells",
    "totals",
    "across_cells",
    "across_tables",
    "across_runs",
}


def synthesizer(**terms):
    return Synthesizer(SCHEMA, **{"epsilon": 2.0, "delta": 1e-6, "mechanism": "mst", **terms})


def mass(law, reach):
    """Probabilities of the integers up to ``reach`` either way, by definition."""
    x = np.arange(-reach, reach + 1)
    if law.kind == "rounded gaussian":
        return stats.norm.cdf((x + 0.5) / law.scale) - stats.norm.cdf((x - 0.5) / law.scale)
    weights = np.exp(-np.abs(x) / law.scale) if "laplace" in law.kind else np.exp(-(x**2) / 2 / law.scale**2)
    return weights / weights.sum()


# --- laws ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.4, 1.0, 7.5])
def test_a_law_is_as_defined(kind, scale):
    law, reach = Law(kind=kind, scale=scale), math.ceil(45 * scale)
    probabilities = mass(law, reach)
    x = np.arange(-reach, 1)
    assert law.below(x) == pytest.approx(np.cumsum(probabilities)[: reach + 1], abs=1e-12)
    assert law.peak == pytest.approx(probabilities.max(), abs=1e-12)
    assert law.below(np.array([-10_000]))[0] == pytest.approx(0.0, abs=1e-12)
    drawn = law.sample(40_000, np.random.default_rng(1))
    variance = float((np.arange(-reach, reach + 1) ** 2 * probabilities).sum())
    assert drawn.var() == pytest.approx(variance, rel=0.06)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.3, 2.0, 300.0, 20_000.0])
def test_scores_of_the_right_law_are_standard_normal(kind, scale):
    rng = np.random.default_rng(round(scale))
    law = Law(kind=kind, scale=scale)
    z = law.normal_scores(law.sample(20_000, rng), rng)
    assert stats.kstest(z, "norm").pvalue > 1e-4
    other = Law(kind=kind, scale=1.2 * scale)
    assert stats.kstest(law.normal_scores(other.sample(20_000, rng), rng), "norm").pvalue < 1e-4


def test_scores_far_out_stay_finite_and_keep_their_sign():
    law = Law(kind="rounded gaussian", scale=1.0)
    z = law.normal_scores(np.array([1e6, -1e6, 5.0]), np.random.default_rng(0))
    assert np.isfinite(z).all()
    assert z[0] > 30
    assert z[1] < -30


def test_laws_of_acts():
    gaussian = acts.RoundedGaussian(sigma=2.0, sensitivity_squared=1)
    assert Law.of(gaussian) == Law(kind="rounded gaussian", scale=2.0)
    discrete = acts.DiscreteGaussian(sigma=2.0, sensitivity_squared=1)
    assert Law.of(discrete).kind == "discrete gaussian"
    found = acts.ThresholdedGaussian(sigma=2.0, sensitivity_squared=1, rows=1, threshold=9)
    assert Law.of(found).kind == "rounded gaussian"
    assert Law.of(acts.DiscreteLaplace(scale=3.0, sensitivity=1)) == Law(kind="discrete laplace", scale=3.0)
    with pytest.raises(TypeError, match="a choice by lot adds no noise"):
        Law.of(acts.ExponentialMechanism(epsilon=1.0, sensitivity=1, candidates=2))


# --- the tests on noise of a seed ---


def made(change=lambda noise, run, call: noise, *, runs=16, cells=400, tables=4, kind=KINDS[0], scale=3.0):
    """Answers with seeded noise, changed by a defect; half of the cells are empty."""
    rng, law = np.random.default_rng(7), Law(kind=kind, scale=scale)
    draws = []
    for run in range(runs):
        for call in range(tables):
            exact = np.where(np.arange(cells) % 2, rng.integers(1, 30, cells), 0)
            noise = change(law.sample(cells, rng).astype(np.int64), run, call)
            answer = exact + noise if not callable(noise) else noise(exact)
            draws.append(Draws(door="measure", run=run, law=law, exact=exact, answer=answer))
    return draws


def judged(draws, **more):
    given = {"doors": ["measure"], "alpha": 1e-3, "rng": np.random.default_rng(3), **more}
    return {f.check: f for f in findings_of_draws(draws, **given)}


def seen(draws, **more):
    return {
        name.removeprefix("noise.")
        for name, f in judged(draws, **more).items()
        if f.verdict is Verdict.violation
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.7, 3.0, 50.0])
def test_noise_of_the_booked_law_passes_every_test(kind, scale):
    found = judged(made(kind=kind, scale=scale))
    assert {name.removeprefix("noise.") for name in found} == CHECKS | {
        "scale.measure",
        "law.measure",
        "duplicates",
    }
    for finding in found.values():
        assert finding.verdict is not Verdict.violation, finding
        assert finding.level is Level.unit
        assert finding.publishable
        assert finding.trials > 0
    if scale > 1:
        assert all(f.verdict is Verdict.consistent for f in found.values())
    assert found["noise.scale.measure"].interval[0] < 1 < found["noise.scale.measure"].interval[1]


def test_false_alarms_are_as_rare_as_promised():
    """200 audits from a seed at a level of one in twenty, so that the level itself is tested."""
    rng, alarms = np.random.default_rng(11), 0
    law = Law(kind=KINDS[0], scale=2.0)
    for _ in range(200):
        draws = [
            Draws(
                door="measure",
                run=i // 2,
                law=law,
                exact=np.zeros(60, dtype=np.int64),
                answer=law.sample(60, rng).astype(np.int64),
            )
            for i in range(8)
        ]
        alarms += any(
            f.verdict is Verdict.violation
            for f in findings_of_draws(draws, doors=["measure"], alpha=0.05, rng=rng)
        )
    assert alarms <= 20


def _shared(noise, run, call):
    return np.repeat(noise[:1], noise.size)


def _cancelling(noise, run, call):
    return noise - np.roll(noise, 1)


def _occupied_only(noise, run, call):
    return lambda exact: exact + np.where(exact > 0, noise, 0)


def _repeating(where):
    """Blocks of one stream that come again in another run, in another table, or elsewhere in a table."""
    kept = {}

    def change(noise, run, call):
        if where == "runs":
            return kept.setdefault(call, noise)
        if where == "tables":
            return kept.setdefault(run, noise)
        noise = noise.copy()
        if (run, call) == (9, 2):
            noise[100:125] = noise[300:325]
        return noise

    return change


DEFECTS = {
    "too little": (lambda n, r, c: np.rint(0.9 * n).astype(np.int64), {"scale.measure"}),
    "too much": (lambda n, r, c: np.rint(1.15 * n).astype(np.int64), {"scale.measure"}),
    "cut off": (lambda n, r, c: np.clip(n, -6, 6), {"tails"}),
    "off centre": (lambda n, r, c: n + (np.arange(n.size) % 8 == 0), {"centre"}),
    "only even": (lambda n, r, c: n // 2 * 2, {"law.measure"}),
    "floats": (lambda n, r, c: n.astype(np.float64), {"lattice"}),
    "no numbers": (lambda n, r, c: np.full(n.size, np.nan), {"lattice", "scale.measure"}),
    "one outlier": (lambda n, r, c: np.where(n == n.max(), n + 12, n), {"tails"}),
    "shared by cells": (_shared, {"across_cells", "totals"}),
    "cancelling": (_cancelling, {"totals", "across_cells"}),
    "empty cells bare": (_occupied_only, {"empty_cells"}),
    "the same in every run": (_repeating("runs"), {"across_runs", "duplicates"}),
    "the same in every table": (_repeating("tables"), {"across_tables", "duplicates"}),
    "one block twice": (_repeating("once"), {"duplicates"}),
    "none": (lambda n, r, c: 0 * n, {"scale.measure", "duplicates", "empty_cells"}),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_is_seen_by_the_test_that_is_meant_for_it(name):
    change, expected = DEFECTS[name]
    found = seen(made(change))
    assert expected <= found
    if name == "one block twice":
        assert found == expected
    if name == "floats":
        assert found == expected


def test_laplace_noise_in_a_gaussian_place_is_seen():
    draws = made(kind="discrete laplace", scale=3.0 / math.sqrt(2))
    gaussian = [
        Draws(door=d.door, run=d.run, law=Law(kind=KINDS[0], scale=3.0), exact=d.exact, answer=d.answer)
        for d in draws
    ]
    assert "law.measure" in seen(gaussian)


def test_too_few_draws_are_no_pass_and_say_what_they_would_see():
    found = judged(made(runs=2, tables=2, cells=40), doors=["measure", "score"])
    assert found["noise.scale.measure"].verdict is Verdict.inconclusive
    assert found["noise.law.measure"].verdict is Verdict.inconclusive
    assert found["noise.scale.measure"].details["power_by_ratio"]["0.9"] < 0.5
    for name in ("noise.scale.score", "noise.law.score"):
        assert found[name].value is None
        assert found[name].verdict is Verdict.inconclusive
    alone = judged(made(runs=1, tables=1, cells=30))
    assert alone["noise.across_runs"].value is None
    assert "no pairs" in alone["noise.across_runs"].summary
    assert judged(made(runs=1, tables=1, cells=4))["noise.duplicates"].verdict is Verdict.inconclusive
    assert all(
        f.verdict is Verdict.inconclusive
        for f in findings_of_draws([], doors=["measure"], alpha=0.01, rng=np.random.default_rng(0))
    )


def test_the_stated_power_is_the_power():
    """Of noise at 0.9 of its scale: seeded audits against what one of them says."""
    rng, law = np.random.default_rng(13), Law(kind="discrete laplace", scale=4.0)
    less = Law(kind="discrete laplace", scale=3.6)
    found = []
    for _ in range(60):
        answer = less.sample(1_000, rng).astype(np.int64)
        draws = [Draws(door="measure", run=0, law=law, exact=0 * answer, answer=answer)]
        found += [
            f
            for f in findings_of_draws(draws, doors=["measure"], alpha=0.2, rng=rng)
            if f.check == "noise.scale.measure"
        ]
    stated = np.mean([f.details["power_by_ratio"]["0.9"] for f in found])
    assert 0.1 < stated < 0.9
    assert np.mean([f.verdict is Verdict.violation for f in found]) == pytest.approx(stated, abs=0.2)


# --- real doors ---


@pytest.mark.statistical
@pytest.mark.parametrize("terms", SOURCES)
def test_the_real_noise_passes(terms):
    """False alarms: 1e-6 by the tests' own level."""
    found = {f.check: f for f in noise_findings(synthesizer(**terms), draws=12_000, fits=2, alpha=1e-6)}
    doors = ["measure", "score", "count"] + ([] if terms.get("delta") == 0.0 else ["discover"])
    expected = CHECKS | {"duplicates"} | {f"{test}.{door}" for test in ("scale", "law") for door in doors}
    assert set(found) == {f"noise.{name}" for name in expected}
    assert [f for f in found.values() if f.verdict is Verdict.violation] == []
    assert found["noise.scale.measure"].verdict is Verdict.consistent
    assert found["noise.empty_cells"].trials > 1_000
    assert all(f.seconds > 0 for f in found.values())


def test_every_door_is_drawn_from_and_the_mechanism_too():
    drawn = draws_of(synthesizer(), turns=2, fits=2, rng=np.random.default_rng(0))
    assert {d.door for d in drawn} == {"measure", "score", "count", "discover", "mechanism"}
    assert {d.run for d in drawn} == {0, 1, 2, 3}
    for d in drawn:
        assert d.exact.shape == d.answer.shape
        assert d.law.kind == "rounded gaussian"
        assert np.abs(d.answer - d.exact).max() < 12 * d.law.scale
    discovered = [d for d in drawn if d.door == "discover"]
    assert all(d.exact.size == 401 for d in discovered)
    assert not any(
        d.door == "discover"
        for d in draws_of(synthesizer(epsilon=1e-4), turns=1, fits=1, rng=np.random.default_rng(0))
    )


ADDED = [m for m in MUTANTS if "noise" in m.killers and "choice" not in m.name]


@pytest.mark.parametrize("mutant", ADDED, ids=lambda m: m.name)
def test_planted_bugs_of_the_noise_are_seen(mutant):
    s = mutant.setting
    own = synthesizer(epsilon=s.epsilon, delta=s.delta, mechanism=s.mechanism, noise=s.noise)
    with mutant.plant():
        found = noise_findings(own, draws=8_000, fits=2)
    assert any(f.verdict is Verdict.violation for f in found)


@pytest.mark.statistical
@pytest.mark.parametrize("mutant", [m for m in HARMLESS if "noise" in m.name], ids=lambda m: m.name)
def test_harmless_changes_of_the_noise_are_not(mutant):
    """False alarms: 1e-6 by the tests' own level."""
    with mutant.plant():
        found = noise_findings(synthesizer(), draws=4_000, fits=2, alpha=1e-6)
    assert [f for f in found if f.verdict is Verdict.violation] == []


def test_noise_in_a_trace():
    def call(norm, answer):
        return Call(
            kind="measure",
            asked={},
            norm=norm,
            sensitivity=1.0,
            scale=2.0,
            price=0.1,
            exact=np.array([[1, 2]]),
            answer=answer,
        )

    trace = Trace(
        calls=(call("l2", np.array([[3, 2]])), call("range", 1)),
        outcome=Outcome(ended="done"),
        spent=0.2,
        claimed=0.2,
        calculus="gdp",
    )
    (found,) = draws_of_trace(trace, kinds={"l2": "rounded gaussian"}, run=5)
    assert (found.door, found.run, found.law.scale) == ("measure", 5, 2.0)
    assert (found.answer - found.exact).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"draws": 0}, "draws=0"),
        ({"fits": 0}, "fits=0"),
        ({"alpha": 0.5}, "alpha=0.5"),
        ({"alpha": 0}, "alpha=0"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        noise_findings(synthesizer(), **{"draws": 10, "fits": 1, **wrong})
