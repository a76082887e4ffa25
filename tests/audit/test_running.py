"""Running levels: what they are given, what comes of it, and what is refused before anything is run."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

import dpsynth
from dpsynth import Schema, Synthesizer, __version__
from dpsynth.audit import OWN_TABLES, Audit, Finding, Level, Verdict, running
from dpsynth.audit.identity import digest_of, identity_of_release
from dpsynth.audit.mechanism import Effort
from dpsynth.audit.running import run, subject_of
from dpsynth.audit.settling import settled
from dpsynth.errors import InputError, VerificationError
from dpsynth.release.release import Release
from dpsynth.schema import OpenSchema
from tests.audit.test_finding import finding, secret
from tests.release.building import tiny

PROMISE = {"epsilon": 1.0, "delta": 1e-9}


@pytest.fixture
def told(monkeypatch):
    """Put a level in each level's place that notes what it was told and finds one thing."""
    told = []

    def level(name, found):
        def ran(subject, terms):
            told.append((name, subject, terms))
            terms.report("a stage", 0.5)
            return (found,)

        return ran

    monkeypatch.setattr(
        running,
        "_LEVELS",
        {
            Level.unit: level("unit", finding(level=Level.unit)),
            Level.mechanism: level("mechanism", finding(verdict=Verdict.violation)),
            Level.data: level("data", secret()),
        },
    )
    return told


@pytest.fixture(scope="module")
def release():
    made = tiny()
    statement = dataclasses.replace(made.statement, mechanism="mst")
    return Release(
        schema=made.schema,
        layout=made.layout,
        model=made.model,
        measurements=made.measurements,
        statement=statement,
    )


def test_levels_are_run_in_order_and_once(told):
    stages = []
    synth = Synthesizer(OWN_TABLES, **PROMISE)
    found = run(synth, levels=["mechanism", Level.unit, "unit"], seed=3, progress=lambda *s: stages.append(s))
    assert [name for name, *_ in told] == ["unit", "mechanism"]
    assert found.levels == (Level.unit, Level.mechanism)
    assert [f.level for f in found.findings] == [Level.unit, Level.mechanism]
    assert len(found.violations) == 1
    assert {terms.seed for _, _, terms in told} == {3}
    assert stages[:3] == [("level unit", 0.0), ("a stage", 0.5), ("level unit", 1.0)]


def test_what_was_audited_is_said(told):
    synth = Synthesizer(OWN_TABLES, mechanism="mst", **PROMISE)
    subject = run(synth).subject
    assert subject == {
        "mechanism": "mst",
        "guarantee": {
            "epsilon": 1.0,
            "delta": 1e-9,
            "unit": "row",
            "rows_per_unit": 1,
            "adjacency": "add-remove",
        },
        "noise": "exact",
        "schema": None,
        "version": __version__,
    }
    other = Schema.from_domain({"a": 2})
    assert run(Synthesizer(other, **PROMISE)).subject["schema"] == digest_of(other)


def test_an_open_schema_has_a_digest_of_its_own(told):
    text = "privacy_unit: row\ncolumns:\n  a: {kind: categorical, missing: false, values: buy}\n"
    schema = OpenSchema.loads(text)
    assert run(Synthesizer(schema, **PROMISE)).subject["schema"] == digest_of(schema)


def test_an_audit_of_a_release_counts_for_it(told, release, tmp_path):
    release.save(tmp_path / "r.dpsynth")
    for form in (release, tmp_path / "r.dpsynth", str(tmp_path / "r.dpsynth")):
        assert run(form).subject == identity_of_release(release.statement, release.schema)


def test_a_release_that_lies_is_not_audited(told, release, tmp_path):
    release.save(tmp_path / "lie")
    statement = tmp_path / "lie" / "statement.json"
    statement.write_text(statement.read_text().replace('"epsilon": 1.0', '"epsilon": 0.5'))
    with pytest.raises(VerificationError, match="checks failed"):
        run(tmp_path / "lie")
    assert told == []


def test_a_release_is_configured_as_it_says(told, release):
    synth = subject_of(release).synthesizer
    assert (synth.guarantee, synth.noise) == (release.statement.guarantee, release.statement.backend)
    assert (synth.schema, synth.mechanism.name) == (release.schema, "mst")


def test_a_custom_mechanism_is_audited_in_python_only(told):
    with pytest.raises(InputError, match='"by-hand" of this release is none of dpsynth\'s own'):
        run(tiny())
    own = dataclasses.replace(Synthesizer(OWN_TABLES, **PROMISE).mechanism, name="by-hand")
    assert run(Synthesizer(OWN_TABLES, mechanism=own, **PROMISE)).subject["mechanism"] == "by-hand"


def test_where_other_code_or_purchases_made_the_release(told, release):
    first, *others = release.statement.provenance
    columns = (dataclasses.replace(first, bought=("missing",)), *others)
    statement = dataclasses.replace(release.statement, version="0.0.9", provenance=columns)
    old = dataclasses.replace(release, statement=statement)
    found = run(old, levels=["mechanism"])
    assert [f.check for f in found.findings] == ["scope.version", "scope.bought", "whitebox.mu"]
    assert all(f.verdict is Verdict.inconclusive and f.level is Level.mechanism for f in found.findings[:2])
    assert run(old, levels=[]).findings == ()
    hidden = run(old, levels=["data"], real="r.csv", holdout="h.csv")
    assert not any(f.publishable for f in hidden.findings)


def test_level_data_gets_its_tables(told, release):
    found = run(release, levels=["data"], real="r.csv", holdout="h.csv", quick=True)
    ((_, subject, terms),) = told
    assert (terms.real, terms.holdout, terms.quick, subject.release) == ("r.csv", "h.csv", True, release)
    assert found.publishable.findings == ()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"levels": ["dtaa"]}, '"dtaa" is none of unit, mechanism, data'),
        ({"levels": "unit"}, r"write \['unit'\]"),
        ({"levels": [3]}, "is none of"),
        ({"seed": -1}, "not a whole number"),
        ({"seed": 1.5}, "not a whole number"),
        ({"levels": ["data"]}, "rows it never saw"),
        ({"levels": ["data"], "real": "r.csv"}, "rows it never saw"),
        ({"real": "r.csv"}, "not asked for"),
        ({"holdout": "h.csv"}, "not asked for"),
    ],
)
def test_refusals_before_anything_is_run(told, release, changed, said):
    with pytest.raises(InputError, match=said):
        run(release, **changed)
    assert told == []


def test_a_synthesizer_has_no_release_and_its_own_workload(told):
    synth = Synthesizer(OWN_TABLES, **PROMISE)
    with pytest.raises(InputError, match="attacks a release"):
        run(synth, levels=["data"], real="r.csv", holdout="h.csv")
    with pytest.raises(InputError, match="has its own"):
        run(synth, workload="all-2-way")


def test_everything_in_the_library(told):
    assert run().subject["mechanism"] == "every mechanism"
    assert told[0][1].synthesizer is None
    for levels in (["mechanism"], ["unit", "mechanism"]):
        with pytest.raises(InputError, match="give a release or a synthesizer"):
            run(levels=levels)
    with pytest.raises(InputError, match="has its own"):
        run(workload="all-2-way")


def test_findings_of_any_numbers_can_be_saved(told, tmp_path):
    odd = Finding(
        check="a.b",
        level=Level.unit,
        summary="two\n lines",
        verdict=Verdict.consistent,
        value=np.float64(0.25),
        unit="mu",
        interval=(np.float32(0.0), math.inf),
        confidence=np.float64(0.5),
        trials=np.int64(7),
        ceiling=math.inf,
        limit=np.float64(2.0),
        details={
            "array": np.arange(3),
            "nested": {1: (np.bool_(True), math.nan, None, "x")},
            "set": {"b", "a"},
            "other": Level.unit,
        },
    )
    made = dataclasses.replace(run(Synthesizer(OWN_TABLES, **PROMISE)), findings=(settled(odd),))
    made.save(tmp_path / "a.json")
    (found,) = Audit.load(tmp_path / "a.json").findings
    assert (found.value, found.trials, found.ceiling, found.limit) == (0.25, 7, None, 2.0)
    assert found.summary == "two lines"
    assert json.loads(json.dumps(found.details)) == {
        "array": [0, 1, 2],
        "nested": {"1": [True, None, None, "x"]},
        "set": ["a", "b"],
        "other": "unit",
    }


def test_values_that_are_no_numbers():
    assert settled(finding(value=math.nan)).verdict is Verdict.inconclusive
    assert settled(finding(value=math.nan, verdict=Verdict.violation)).verdict is Verdict.violation
    assert settled(finding(value=math.inf)).value > 1e308
    assert settled(finding(value=None, interval=None, verdict=Verdict.inconclusive)).value is None


def test_an_interval_above_what_is_allowed_is_no_pass():
    above = settled(finding(value=0.5, interval=(0.47, math.inf), ceiling=0.46))
    assert above.verdict is Verdict.inconclusive
    assert above.summary.endswith("which a stricter test does not confirm: run more of it.")
    assert settled(finding(value=0.5, interval=(0.46, 0.6), ceiling=0.46)).verdict is Verdict.consistent
    broken = finding(value=0.5, interval=(0.47, 0.6), ceiling=0.46, verdict=Verdict.violation)
    assert settled(broken).verdict is Verdict.violation
    assert settled(finding(interval=(0.47, 0.6), ceiling=math.inf)).verdict is Verdict.consistent


def test_the_package_is_offered():
    assert dpsynth.audit.run is run
    assert set(dpsynth.audit.__all__) <= set(dir(dpsynth.audit))
    with pytest.raises(AttributeError, match="no attribute 'audit'; it offers OWN_TABLES"):
        dpsynth.audit.audit  # noqa: B018  -- the access is the test


@pytest.mark.slow
def test_the_unit_level_in_earnest():
    schema = Schema.from_domain({"a": 2})
    found = run(Synthesizer(schema, mechanism="independent", **PROMISE), seed=1)
    assert {"accounting.price", "noise.choices", "noise.law.measure", "replay.sensitivity"} <= {
        f.check for f in found.findings
    }
    assert Audit.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_the_data_level_in_earnest(release):
    tables = {"real": release.sample(12, seed=1), "holdout": release.sample(12, seed=2)}
    found, *canaries = run(release, levels=["data"], quick=True, **tables).findings
    assert {f.check.split(".")[0] for f in canaries} == {"canaries"}
    assert not any(f.publishable for f in canaries)
    assert (found.verdict, found.publishable) == (Verdict.inconclusive, False)
    assert "too few" in found.summary.lower()


@pytest.mark.parametrize("quick", [True, False])
def test_what_the_mechanism_level_is_given(monkeypatch, quick):
    told = []

    def level(synthesizer, **terms):
        told.append((synthesizer, terms))
        return (finding(),)

    monkeypatch.setattr("dpsynth.audit.mechanism.mechanism_level", level)
    synth = Synthesizer(OWN_TABLES, mechanism="mst", noise="opendp", **PROMISE)
    assert run(synth, levels=["mechanism"], quick=quick, seed=5).findings == (finding(),)
    ((audited, terms),) = told
    assert (audited, terms["seed"]) == (synth, 5)
    assert (terms["effort"] == Effort.quick()) is quick
    assert 1 <= terms["processes"] <= 2


@pytest.mark.parametrize("level", [Level.mechanism, Level.data])
def test_no_level_attacks_nothing(level):
    terms = running._Terms("r.csv", "h.csv", 0, True, lambda *_: None)
    assert list(running._LEVELS[level](running.Subject(synthesizer=None), terms)) == []


def test_tables_are_in_no_repr_and_no_traceback(told, release, monkeypatch):
    table = [4711]
    assert "4711" not in repr(running._Terms(table, table, 0, False, print))

    def fails(_subject, terms):
        raise InputError("no")

    monkeypatch.setitem(running._LEVELS, Level.data, fails)
    with pytest.raises(InputError) as caught:
        run(release, levels=["data"], real=table, holdout=table)
    held = []
    frame = caught.value.__traceback__.tb_next
    while frame is not None:
        if frame.tb_frame.f_code.co_filename.endswith("running.py"):
            held += [v for v in frame.tb_frame.f_locals.values() if v is table]
        frame = frame.tb_next
    assert held == []
