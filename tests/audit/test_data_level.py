"""The confidential level: leaky generators are caught, honest ones are not, and mistakes are refused."""

from __future__ import annotations

import dataclasses
import json
import traceback

import numpy as np
import pandas as pd
import pytest

from dpsynth import Schema
from dpsynth.audit.data_level import Effort, data_level, recipe_of
from dpsynth.audit.finding import Audit, Level, Verdict
from dpsynth.errors import DataError, InputError
from tests.audit.tables import SCHEMA, SIZES, careless, copier, honest, people

pytestmark = pytest.mark.filterwarnings("ignore:the budget is small")

SMALL = Effort(fits=60, targets=2, background=100, candidates=100, people=600, canaries=40, attacks=200)
NONE = dataclasses.replace(SMALL, fits=1)
VIEWS = ("blackbox", "whitebox")
REAL, HOLDOUT = people(600, 1), people(1_200, 2)


def audited(release, real=REAL, holdout=HOLDOUT, *, effort=NONE, **changed):
    """Return the findings by name; the last of one name counts."""
    found = data_level(release, real, holdout, seed=1, effort=effort, **changed)
    return {finding.check: finding for finding in found}


@pytest.fixture(autouse=True)
def _without_anonymeter(monkeypatch):
    monkeypatch.delenv("DPSYNTH_ANONYMETER", raising=False)


@pytest.fixture(scope="module")
def release():
    return honest(REAL)


@pytest.mark.statistical
def test_an_honest_release_at_epsilon_1_is_within_its_ceilings(release):
    """Ten verdicts at 1e-7 each."""
    found = audited(release, effort=dataclasses.replace(SMALL, fits=170), alpha=1e-7)
    assert not [f.check for f in found.values() if f.verdict is Verdict.violation]
    assert found["shadow.measured"].verdict is Verdict.consistent
    assert found["shadow.queries"].verdict is Verdict.consistent
    assert found["mamamia.measured"].verdict is Verdict.consistent
    assert found["overlap"].verdict is Verdict.consistent
    for finding in found.values():
        assert not finding.publishable
        assert finding.level is Level.data
        if finding.unit == "detection rate":
            assert finding.baseline <= finding.ceiling <= 1


@pytest.mark.statistical
def test_a_release_almost_without_noise_is_caught():
    """Each fit gives its targets away; to miss, coins would have to be uneven beyond 1e-9."""
    found = audited(careless(REAL), effort=dataclasses.replace(SMALL, fits=110), refit=careless)
    for check in ("shadow.measured", "shadow.queries"):
        assert found[check].verdict is Verdict.violation
        assert found[check].value > 0.9
        assert found[check].value > found[check].ceiling
        assert "beyond the guarantee" in found[check].summary


@pytest.mark.statistical
def test_copied_rows_are_caught():
    """Nearly all members of 600 are guessed: the attack's margin is above five deviations."""
    real, holdout = people(1_500, 3), people(3_000, 4)
    effort = dataclasses.replace(SMALL, fits=110, people=1_500)
    found = audited(copier(real), real, holdout, effort=effort, refit=copier)
    assert found["baseline.closest"].verdict is Verdict.violation
    assert found["baseline.closest"].value > 0.5 > found["baseline.closest"].ceiling
    assert found["baseline.density"].value > found["baseline.density"].ceiling
    assert found["shadow.queries"].verdict is Verdict.violation
    assert found["baseline.closest"].details["right_of_untied_pairs"] > 0.75


def test_findings_go_through_json_and_show_no_row(release):
    found = tuple(audited(release).values())
    audit = Audit(subject={}, levels=(Level.data,), made="2026-01-01", seconds=1.0, findings=found)
    text = json.dumps(audit.to_dict(), allow_nan=False)
    assert Audit.from_dict(json.loads(text)).findings == found
    assert audit.publishable.findings == ()


def test_the_same_seed_gives_the_same_attacks_on_the_release(release):
    first, second = audited(release), audited(release)
    for check in ("mamamia.ratio", "mamamia.measured", "baseline.closest", "baseline.density"):
        assert first[check].value == second[check].value


def test_too_few_fits_say_how_many_it_takes(release):
    found = audited(release, effort=dataclasses.replace(SMALL, fits=8))
    for check in ("shadow.measured", "shadow.queries"):
        assert found[check].verdict is Verdict.inconclusive
        assert f"at least {found[check].details['fits_needed']} fits" in found[check].summary
        assert found[check].details["fits_needed"] > 8
    alone = audited(release)["shadow.queries"]
    assert alone.value is None
    assert "too few to learn from" in alone.summary


def test_too_few_people_say_how_many_it_takes():
    real, holdout = REAL[:19], HOLDOUT[:60]
    finding, *others = data_level(honest(real), real, holdout, seed=0, effort=NONE)
    assert {f.check for f in others} == {f"canaries.{v}.{u}" for v in VIEWS for u in ("epsilon", "mu")}
    assert finding.verdict is Verdict.inconclusive
    needed = finding.details["needed"]
    assert needed["holdout"] == 2 * needed["real"] > 0
    assert str(needed["real"]) in finding.summary
    few = audited(honest(REAL[:30]), REAL[:30], HOLDOUT[:60])["baseline.closest"]
    assert few.verdict is Verdict.inconclusive
    assert f"at least {few.details['pairs_needed']} pairs" in few.summary


def test_a_promise_that_allows_everything_cannot_be_broken():
    loud = honest(REAL, epsilon=10_000.0)
    found = audited(loud, effort=dataclasses.replace(SMALL, fits=8))
    assert found["baseline.closest"].verdict is Verdict.inconclusive
    assert "more pairs than can be had" in found["baseline.closest"].summary
    assert "more fits than can be had" in found["shadow.measured"].summary


@pytest.mark.parametrize("shared", [60, 600])
def test_a_holdout_that_shares_rows_is_refused(release, shared):
    holdout = pd.concat([HOLDOUT[:600], REAL[:shared]]).sample(frac=1, random_state=0)
    with pytest.raises(DataError, match="the holdout overlaps the training rows: far more rows") as caught:
        audited(release, holdout=holdout)
    shown = "".join(traceback.format_exception(caught.value))
    assert not [digit for digit in str(caught.value) if digit.isdigit()]
    assert str(len(REAL)) not in shown.split("DataError")[-1]


def test_people_who_are_alike_are_no_overlap():
    """Eight kinds of people: every row of the holdout has its like among the training rows."""
    schema = Schema.from_domain({"a": 4, "b": 2})
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"a": rng.integers(0, 4, 900), "b": rng.integers(0, 2, 900)})
    found = audited(honest(frame[:300], schema=schema), frame[:300], frame[300:])
    assert found["overlap"].verdict is Verdict.inconclusive
    assert "too much alike" in found["overlap"].summary


def test_units_that_have_names_are_known_apart():
    schema = Schema.from_domain({"a": 4}, privacy_unit={"column": "who", "max_rows": 1})
    frame = pd.DataFrame({"who": range(900), "a": np.random.default_rng(5).integers(0, 4, 900)})
    found = audited(honest(frame[:300], schema=schema), frame[:300], frame[300:])["overlap"]
    assert found.verdict is Verdict.inconclusive
    assert found.summary.startswith("No privacy unit is in both tables. Rows are too much alike")


def test_an_identifier_tells_of_an_overlap_among_people_who_are_alike():
    schema = Schema.from_dict(
        {
            "dpsynth": 1,
            "privacy_unit": "row",
            "columns": {
                "a": {
                    "kind": "categorical",
                    "values": ["x", "y"],
                    "missing": True,
                    "out_of_domain": "missing",
                },
                "key": {"kind": "identifier"},
            },
        }
    )
    frame = pd.DataFrame({"a": ["x", "y"] * 400, "key": [f"{i:010d}" for i in range(800)]})
    release = honest(frame[:300], schema=schema)
    assert audited(release, frame[:300], frame[300:])["overlap"].value > 1e-6
    with pytest.raises(DataError, match="overlaps"):
        audited(release, frame[:300], frame[260:])


UNITS = Schema.from_dict(
    {
        "dpsynth": 1,
        "privacy_unit": {"column": "person", "max_rows": 2},
        "columns": {
            "a": {"kind": "integer", "lower": 0, "upper": 11, "missing": False, "out_of_domain": "clip"},
            "b": {"kind": "integer", "lower": 0, "upper": 9, "missing": False, "out_of_domain": "clip"},
            "c": {
                "kind": "categorical",
                "values": [str(i) for i in range(8)],
                "missing": True,
                "out_of_domain": "missing",
            },
        },
    }
)


def of_units(seed, first):
    frame = people(800, seed)[["a", "b", "c"]].astype({"c": str})
    return frame.assign(person=first + np.arange(800) // 2)


def test_units_of_several_rows_are_attacked_as_one():
    real, holdout = of_units(6, 0), of_units(7, 10_000)
    release = honest(real, schema=UNITS)
    found = audited(release, real, holdout)
    assert found["baseline.closest"].trials == 200  # half of the holdout's units
    assert found["shadow.measured"].trials == 1 or found["shadow.measured"].value is None
    shared = pd.concat([holdout, real[:2]])
    with pytest.raises(DataError, match="they share values of the privacy unit 'person'"):
        audited(release, real, shared)


def test_units_with_more_rows_than_count_are_audited_too():
    real = of_units(6, 0).assign(person=lambda f: f["person"] // 2)
    assert "baseline.closest" in audited(honest(real, schema=UNITS), real, of_units(7, 10_000))


def test_a_unit_that_is_drawn_cannot_be_shadowed():
    schema = Schema.from_dict(
        {**UNITS.to_dict(), "columns": {**UNITS.to_dict()["columns"], "person": {"kind": "identifier"}}}
    )
    real = of_units(6, 0)
    found = audited(honest(real, schema=schema), real, of_units(7, 10_000))
    assert found["shadow.queries"].verdict is Verdict.inconclusive
    assert "Could not run: the privacy unit's column 'person'" in found["shadow.queries"].summary


def test_replacement_is_attacked_by_replacement():
    release = honest(REAL, adjacency="replace-one")
    found = audited(release, effort=dataclasses.replace(SMALL, fits=30))
    assert found["shadow.measured"].value is not None
    assert found["baseline.closest"].ceiling == pytest.approx(
        found["baseline.closest"].details["ceiling_of_one_step"]
    )


def test_other_currencies_have_their_ceilings():
    """Pure epsilon, and zCDP by OpenDP's noise."""
    for terms in ({"delta": 0.0}, {"noise": "opendp"}):
        found = audited(honest(REAL, **terms))
        assert found["baseline.closest"].details["bound"]["unit"] == "epsilon"
        assert found["baseline.closest"].details["bound"]["claimed_for_a_pair"] == 2.0


def test_a_recipe_is_what_the_statement_says():
    release = honest(REAL, epsilon=2.0, noise="opendp")
    again = recipe_of(release).fit(REAL)
    assert again.statement.guarantee == release.statement.guarantee
    assert again.statement.backend == "opendp"
    assert again.statement.mechanism == "independent"


def test_a_mechanism_of_ones_own_could_not_be_fitted_again(release):
    own = dataclasses.replace(release, statement=dataclasses.replace(release.statement, mechanism="mine"))
    finding = audited(own)["shadow.measured"]
    assert finding.verdict is Verdict.inconclusive
    assert "Could not run: mechanism='mine'" in finding.summary
    assert "Could not run: mechanism='mine'" in audited(own)["canaries"].summary


@pytest.mark.statistical
def test_canaries_are_fitted_in_a_copy(release):
    """Four verdicts at 1e-7 each."""
    found = audited(release, effort=dataclasses.replace(NONE, canaries=400), alpha=1e-7)
    own = [f for check, f in found.items() if check.startswith("canaries.")]
    assert {f.unit for f in own} == {"epsilon", "mu"}
    assert not [f for f in own if f.publishable or f.verdict is Verdict.violation]
    assert own[0].details["canaries"] == 400
    few = audited(release, effort=dataclasses.replace(NONE, canaries=19))["canaries"]
    assert few.verdict is Verdict.inconclusive
    assert "at least 40 canaries" in few.summary


def test_another_schema_is_refused(release):
    other = Schema.from_domain({**SIZES, "a": 13}, ordered=["a", "b"])
    with pytest.raises(InputError, match="another schema than the one given"):
        audited(release, schema=other)
    assert audited(release, schema=SCHEMA)
    with pytest.raises(DataError, match="no column 'f'"):
        audited(release, REAL.drop(columns="f"))


def test_a_release_of_other_rows_is_refused():
    other = honest(people(5_000, 9), epsilon=8.0)
    with pytest.raises(DataError, match="not fitted on these training rows") as caught:
        audited(other)
    assert not [digit for digit in str(caught.value).replace("6 column", "") if digit.isdigit()]


@pytest.mark.parametrize("changed", [{"seed": -1}, {"seed": 1.0}, {"alpha": 0}, {"alpha": 1.0}])
def test_arguments_out_of_range(release, changed):
    with pytest.raises(InputError, match=next(iter(changed))):
        data_level(release, REAL, HOLDOUT, **{"seed": 0, "effort": NONE, **changed})


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Effort)])
def test_an_effort_is_at_least_1(name):
    with pytest.raises(InputError, match=f"{name}=0 is not a whole number of at least 1"):
        Effort(**{name: 0})
    with pytest.raises(InputError, match=name):
        Effort(**{name: 1.5})


def test_progress_names_what_begins(release):
    said = []
    audited(release, progress=said.append)
    assert said == [
        "reading rows",
        "guessing who of two was in the table",
        "shadow fits",
        "canaries in a copy",
        "anonymeter",
    ]


def test_without_anonymeter_its_checks_could_not_run(release):
    found = audited(release)
    finding = found["anonymeter.linkability"]
    assert finding.verdict is Verdict.inconclusive
    assert finding.value is None
    assert "DPSYNTH_ANONYMETER" in finding.summary
