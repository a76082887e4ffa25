"""The black-box audit and the mechanism level: what is learned is counted apart, and gross faults show."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import integrate, special

from dpsynth import Schema, Synthesizer
from dpsynth.audit import OWN_TABLES, mechanism
from dpsynth.audit.blackbox import auc_ceiling, blackbox_findings, judge_features
from dpsynth.audit.finding import Level, Verdict
from dpsynth.audit.mechanism import Effort, _sendable, mechanism_level
from dpsynth.audit.promised import mu_of, promise_of
from dpsynth.errors import InputError
from dpsynth.mechanisms import MECHANISMS
from dpsynth.mechanisms.mechanism import Mechanism
from dpsynth.mechanisms.workload import Workload
from dpsynth.privacy import noise
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.tradeoff import detection

EIGHT = Guarantee(epsilon=8.0, delta=1e-9)
ONE = Guarantee(epsilon=1.0, delta=1e-9)
PURE = Guarantee(epsilon=1.0, delta=0.0)


def features(mu, fits, *, exact_rows=False, seed=0):
    """Two features, of which one moves by ``mu`` standard deviations; a third says how many rows."""
    rng = np.random.default_rng(seed)
    made = []
    for side in (1, 0):
        noisy = rng.normal(0, 1, (fits, 2)) + np.array([mu * side, 0.0])
        made.append(np.column_stack([noisy, np.full(fits, 10 + side * exact_rows)]))
    return made


def judged(both, guarantee=EIGHT, **other):
    terms = {"pair": "hidden", "guarantee": guarantee, "mechanism": "mst", "noise": "exact", **other}
    return judge_features(*both, **terms)


def test_a_kept_promise_is_consistent_and_its_curve_below_the_ceiling() -> None:
    mu = mu_of(promise_of(EIGHT, "exact"))
    counted, area = judged(features(mu, 3_000))
    assert (counted.check, counted.verdict) == ("blackbox.mu", Verdict.consistent)
    assert (area.check, area.verdict) == ("blackbox.auc", Verdict.consistent)
    assert counted.value == pytest.approx(mu, abs=0.2)
    assert counted.interval[0] < mu < counted.limit
    assert counted.details["tightness"] > 0.75
    assert counted.details["fits"] == {"learned from": 1_200, "settled by": 600, "counted": 1_200}
    assert counted.trials == area.trials == 2_400
    assert counted.details["detected"] == pytest.approx(counted.details["detected_at_most"], abs=0.06)
    assert counted.details["epsilon_lower"] < 8
    assert area.value == pytest.approx(special.ndtr(mu / math.sqrt(2)), abs=0.03)
    assert area.ceiling == pytest.approx(special.ndtr(mu / math.sqrt(2)), rel=1e-5)
    assert area.baseline == 0.5


@pytest.mark.parametrize("guarantee", [EIGHT, PURE], ids=["gdp", "pure"])
def test_an_exact_number_of_rows_is_found_without_being_looked_for(guarantee) -> None:
    """The feature has no spread at all on either side."""
    counted, area = judged(features(0.0, 400, exact_rows=True), guarantee)
    assert counted.verdict is area.verdict is Verdict.violation
    assert "More is lost than is claimed" in counted.summary
    assert area.value == 1.0
    assert counted.unit == ("mu" if guarantee.delta else "epsilon")


def test_too_few_fits_are_inconclusive_and_say_how_many_it_takes() -> None:
    counted, area = judged(features(1.0, 30))
    for found in (counted, area):
        assert found.verdict is Verdict.inconclusive
        needed = found.details["counted_fits_needed"]
        assert f"at least {needed:,} counted fits a side" in found.summary
        assert 12 < needed < 300
        for more, verdict in ((needed, Verdict.consistent), (needed - 1, Verdict.inconclusive)):
            fits = next(n for n in range(2 * more, 4 * more) if n - round(0.6 * n) == more)
            again = judged(features(0.1, fits))
            assert next(f for f in again if f.check == found.check).verdict is verdict


def test_a_feature_that_falls_serves_as_well() -> None:
    inside, outside = features(1.2, 1_000)
    counted, _ = judged((-inside, -outside))
    assert counted.value > 0.8


@pytest.mark.parametrize(("source", "delta"), [("exact", 1e-9), ("opendp", 1e-9), ("exact", 0.0)])
@pytest.mark.parametrize("epsilon", [4.0])
def test_the_area_under_the_curve_is_that_of_the_trade_off(source, delta, epsilon) -> None:
    claim = promise_of(Guarantee(epsilon=epsilon, delta=delta), source)
    steps = np.linspace(0, 1, 101 if source == "exact" else 5)
    curve = [detection(claim.amount, claim.calculus, float(a)) for a in steps]
    assert np.mean(curve[:-1]) < auc_ceiling(claim) < np.mean(curve[1:])  # the curve rises
    if claim.calculus == "pure":
        kink = 1 / (1 + math.exp(epsilon))
        lines = integrate.quad(
            lambda a: min(math.exp(epsilon) * a, 1 - math.exp(-epsilon) * (1 - a)), 0, 1, points=[kink]
        )
        assert auc_ceiling(claim) == pytest.approx(lines[0], rel=1e-4)


@pytest.mark.statistical
def test_real_fits_keep_the_promise_and_without_noise_they_do_not(monkeypatch) -> None:
    """False alarms: at most 1e-7 (``alpha``). Without noise, the model is the same in all fits of a side."""
    kept = blackbox_findings(ONE, "independent", fits=20, alpha=1e-7)
    assert [f.check for f in kept] == ["blackbox.mu", "blackbox.auc"]
    assert all(f.verdict is not Verdict.violation and f.publishable for f in kept)
    monkeypatch.setattr(noise, "rounded_gaussian", lambda size, _sigma: np.zeros(size, dtype=np.int64))
    counted, area = blackbox_findings(ONE, "independent", pair="alone", fits=50)
    assert counted.verdict is Verdict.violation
    assert area.value == 1.0


def test_bad_input_is_refused() -> None:
    for wrong in (19, 20.5):
        with pytest.raises(InputError, match="is not a whole number of at least 20"):
            blackbox_findings(ONE, "independent", fits=wrong)
    with pytest.raises(InputError, match="pair='lone' is none of"):
        blackbox_findings(ONE, "independent", pair="lone", fits=20)
    with pytest.raises(InputError, match="needs a delta above 0"):
        blackbox_findings(PURE, "oneshot", fits=20)


TINY = Effort(first=20, others=10, configured=25, fits=20, fits_others=20)
SCHEMA = Schema.from_domain({"age": 40, "sex": 2})


@pytest.mark.statistical
def test_the_level_runs_both_attacks_at_both_epsilons() -> None:
    """False alarms: at most 0.001 claimed, in truth below 1e-6: with so few runs no bound reaches a claim."""
    found = mechanism_level(
        Synthesizer(SCHEMA, epsilon=1.0, delta=1e-9, mechanism="mst"), effort=TINY, seed=3
    )
    assert [f.check for f in found] == [*["whitebox.mu"] * 6, *["blackbox.mu", "blackbox.auc"] * 3]
    assert [f.details["epsilon"] for f in found] == [*[8.0] * 5, 1.0, *[8.0] * 4, 1.0, 1.0]
    assert {f.level for f in found} == {Level.mechanism}
    assert all(f.publishable and f.verdict is not Verdict.violation for f in found)
    assert found[5].trials == 50


@pytest.mark.statistical
@pytest.mark.parametrize("which", ["pure", "workload", "own"])
def test_the_level_takes_what_a_fit_takes(which, monkeypatch) -> None:
    """False alarms: at most 1e-7 (``ALPHA``)."""
    monkeypatch.setattr(mechanism, "ALPHA", 1e-7)
    terms = {"epsilon": 8.0, "delta": 1e-9, "mechanism": "fixed"}
    if which == "pure":
        terms |= {"delta": 0.0, "mechanism": "independent"}
    elif which == "workload":
        terms |= {"workload": Workload.parse("target:age")}
    else:
        plain = MECHANISMS["independent"]
        terms |= {"mechanism": Mechanism(name="own", summary="", plan=plain.plan, run=plain.run)}
    effort = Effort(first=10, others=0, configured=10, fits=20, fits_others=0)
    found = mechanism_level(
        Synthesizer(SCHEMA, **terms), effort=effort, processes=1 if which == "pure" else 2
    )
    unit = "epsilon" if which == "pure" else "mu"
    assert [f.check for f in found] == [f"whitebox.{unit}", f"blackbox.{unit}", "blackbox.auc"]
    assert all(f.verdict is not Verdict.violation for f in found)
    assert found[0].details["mechanism"] == ("own" if which == "own" else terms["mechanism"])


def test_a_quick_effort_is_less() -> None:
    quick, full = Effort.quick(), Effort()
    assert quick.first < full.first
    assert quick.seconds < full.seconds < 12 * 60


def test_a_name_of_the_librarys_is_not_taken_for_its_code() -> None:
    """What borrows a name and takes terms, as aim does, is audited itself and not aim in its place."""
    aim = MECHANISMS["aim"]
    terms = Synthesizer(OWN_TABLES, epsilon=1.0, delta=1e-9, mechanism="aim", workload="all-2-way").mechanism
    assert _sendable(terms) == _sendable(aim) == "aim"
    own = dataclasses.replace(aim, run=MECHANISMS["mst"].run)
    assert _sendable(own).run is own.run
    assert _sendable(dataclasses.replace(MECHANISMS["mst"], run=aim.run)).run is aim.run


def test_the_area_at_a_vast_epsilon_is_all_there_is() -> None:
    assert auc_ceiling(promise_of(Guarantee(epsilon=10_000.0, delta=0.0), "exact")) == 1.0
