"""The gate: every rule can be kept and can be broken, and only audits of the release itself count."""

from __future__ import annotations

import copy
import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

from dpsynth.audit.finding import Audit, Level, Verdict
from dpsynth.audit.gate import judge
from dpsynth.audit.identity import differences, identity_of, identity_of_release
from dpsynth.audit.policy import Policy
from dpsynth.errors import MissingFileError, ReleaseError
from tests.audit.test_finding import finding
from tests.release.building import UNIT, tiny

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
GOOD = {"policy": 1, "epsilon": 1, "delta": 1e-6, "unit": "row"}


@pytest.fixture(scope="module")
def release():
    return tiny()


@pytest.fixture(scope="module")
def path(release, tmp_path_factory):
    path = tmp_path_factory.mktemp("gate") / "r.dpsynth"
    release.save(path)
    return path


@pytest.fixture
def audit(release):
    def of(*findings, days=1.0, **changed):
        findings = findings or (finding(level=Level.unit), finding())
        levels = tuple(dict.fromkeys(f.level for f in findings))
        made = (NOW - timedelta(days=days)).isoformat()
        subject = identity_of_release(release.statement, release.schema)
        usual = {"subject": subject, "levels": levels, "made": made, "seconds": 1.0, "findings": findings}
        return Audit(**{**usual, **changed})

    return of


@pytest.fixture
def ruling(path):
    def of(*audits, **policy):
        named = {f"a{i}.json": a for i, a in enumerate(audits, 1)}
        return judge(Policy.model_validate({**GOOD, **policy}), path, named, now=NOW)

    return of


def broken(ruling):
    return {rule.name: rule.found for rule in ruling.broken}


def test_a_release_that_keeps_to_it(ruling, audit):
    rules = {"levels": {"unit": 2, "mechanism": 2}, "ceilings": {"whitebox.*": 0.5}}
    found = ruling(audit(), adjacency="add-remove", audit=rules)
    assert found.passed
    assert broken(found) == {}
    assert [rule.name for rule in found.rules] == [
        "verified",
        "epsilon",
        "delta",
        "unit",
        "adjacency",
        "audit.levels.unit",
        "audit.levels.mechanism",
        "audit.violations",
        "audit.tolerate_inconclusive",
        "audit.ceilings.whitebox.*",
    ]
    assert found.to_dict()["passed"] is True


@pytest.mark.parametrize(
    ("policy", "rule", "said"),
    [
        ({"epsilon": 0.999}, "epsilon", "1"),
        ({"delta": 9e-7}, "delta", "1e-06"),
        ({"unit": {"column": "person"}}, "unit", '"row"'),
        ({"adjacency": "replace-one"}, "adjacency", "add-remove"),
        ({"columns": {"allow": ["regenerated"]}}, "columns.allow", '"age" is stated'),
        ({"columns": {"forbid": ["regenerated"]}}, "columns.forbid", '"key" is regenerated'),
    ],
)
def test_each_rule_of_the_promise_can_be_broken(ruling, policy, rule, said):
    found = broken(ruling(**policy))
    assert list(found) == [rule]
    assert said in found[rule]


def test_a_unit_with_its_rows(tmp_path):
    tiny(UNIT).save(tmp_path / "u.dpsynth")
    for rows, kept in ((None, True), (3, True), (2, False), (4, False)):
        unit = {"column": "household", **({} if rows is None else {"max_rows": rows})}
        policy = Policy.model_validate({**GOOD, "unit": unit})
        assert judge(policy, tmp_path / "u.dpsynth", {}).passed is kept
    assert not judge(Policy.model_validate(GOOD), tmp_path / "u.dpsynth", {}).passed


def test_what_was_bought(release, path, monkeypatch):
    first, second, *others = release.statement.provenance
    columns = (first, dataclasses.replace(second, bought=("lower", "values")), *others)
    statement = dataclasses.replace(release.statement, provenance=columns)
    monkeypatch.setattr(
        "dpsynth.audit.gate.load", lambda _: dataclasses.replace(release, statement=statement)
    )
    wanted = {
        ("forbid", "bought"): ['"age" is bought.lower', '"age" is bought.values'],
        ("forbid", "bought.values"): ['"age" is bought.values'],
        ("forbid", "bought.edges"): [],
    }
    for (side, origin), wrong in wanted.items():
        policy = Policy.model_validate({**GOOD, "columns": {side: [origin]}})
        rule = judge(policy, path, {}).rules[-1]
        assert rule.kept is not bool(wrong)
        assert rule.found == (", ".join(wrong) or "all 4 columns keep to it")
    allowed = Policy.model_validate({**GOOD, "columns": {"allow": ["stated", "regenerated", "bought"]}})
    assert judge(allowed, path, {}).passed


def test_a_release_that_fails_verification_is_not_believed(release, path, tmp_path):
    release.save(tmp_path / "folder")
    statement = tmp_path / "folder" / "statement.json"
    statement.write_text(statement.read_text().replace('"epsilon": 1.0', '"epsilon": 0.5'))
    policy = Policy.model_validate(
        {
            **GOOD,
            "adjacency": "add-remove",
            "columns": {"forbid": ["bought"]},
            "audit": {"levels": {"unit": 3}, "ceilings": {"a": {"value": 1, "upper": 2}}},
        }
    )
    found = judge(policy, tmp_path / "folder", {}, now=NOW)
    assert not any(rule.kept for rule in found.rules)
    assert "files" in found.rules[0].found
    whole = judge(policy, path, {}, now=NOW)
    assert [r.name for r in found.rules] == [
        r.name for r in whole.rules if r.name != "audit.tolerate_inconclusive"
    ]


def test_nothing_there_and_no_release(tmp_path):
    policy = Policy.model_validate(GOOD)
    with pytest.raises(MissingFileError):
        judge(policy, tmp_path / "r.dpsynth", {})
    (tmp_path / "r.dpsynth").write_bytes(b"no zip")
    with pytest.raises(ReleaseError):
        judge(policy, tmp_path / "r.dpsynth", {})


def test_levels_must_have_been_run_and_lately(ruling, audit):
    rules = {"levels": {"unit": 7, "data": 7}}
    found = broken(ruling(audit(days=8), audit=rules))
    assert found["audit.levels.unit"] == "8.0 days ago; 1 of 1 findings came to a verdict"
    assert found["audit.levels.data"] == "no audit of this release has run level data"
    assert set(broken(ruling(audit(days=8), audit(days=6), audit=rules))) == {"audit.levels.data"}


def test_without_an_audit_nothing_is_kept_that_asks_for_one(ruling):
    found = broken(ruling(audit={}))
    assert found == {
        "audit.violations": "no audit of this release was given",
        "audit.tolerate_inconclusive": "no audit of this release was given",
    }
    assert "audit.violations" in broken(ruling(audit={"tolerate_inconclusive": True}))
    assert ruling().passed


def test_a_level_that_only_claims_to_have_run(ruling, audit):
    empty = dataclasses.replace(audit(), findings=(), levels=(Level.unit,))
    assert "audit.levels.unit" in broken(ruling(empty, audit={"levels": {"unit": 7}}))
    undecided = finding(level=Level.unit, verdict=Verdict.inconclusive)
    rules = {"levels": {"unit": 7}, "tolerate_inconclusive": True}
    assert list(broken(ruling(audit(undecided), audit=rules))) == ["audit.levels.unit"]


def test_a_violation_is_never_outweighed_by_a_later_audit(ruling, audit):
    bad = finding(check="replay.ledger", verdict=Verdict.violation)
    for rules in ({}, {"audit": {"tolerate_inconclusive": True}}):
        assert broken(ruling(audit(bad, days=300), audit(), **rules)) == {"audit.violations": "replay.ledger"}


def test_inconclusive_findings_of_the_latest_run(ruling, audit):
    bad = [finding(check=f"c.{i}", verdict=Verdict.inconclusive) for i in range(7)]
    found = broken(ruling(audit(*bad), audit={}))
    assert found == {"audit.tolerate_inconclusive": "c.0, c.1, c.2, c.3, c.4 and 2 more"}
    assert ruling(audit(*bad), audit={"tolerate_inconclusive": True}).passed
    assert ruling(audit(*bad, days=2), audit(), audit={}).passed


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (0.41, None),
        (0.40, "whitebox.mu has value 0.41"),
        ({"upper": 0.9}, "whitebox.mu has upper inf"),
        ({"value": 1, "upper": 9}, "whitebox.mu has upper inf"),
    ],
)
def test_ceilings(ruling, audit, limit, said):
    found = broken(ruling(audit(finding()), audit={"ceilings": {"whitebox.mu": limit}}))
    assert found == ({} if said is None else {"audit.ceilings.whitebox.mu": said})


def test_a_ceiling_needs_something_found(ruling, audit):
    absent = broken(ruling(audit(), audit={"ceilings": {"blackbox.mu": 3}}))
    assert absent == {"audit.ceilings.blackbox.mu": "no such finding with a number"}
    empty = finding(value=None, interval=None, verdict=Verdict.inconclusive)
    rules = {"ceilings": {"whitebox.mu": 3}, "tolerate_inconclusive": True}
    assert "audit.ceilings.whitebox.mu" in broken(ruling(audit(empty), audit=rules))
    assert ruling(audit(empty, finding()), audit=rules).passed
    strict = ruling(audit(finding(interval=None)), audit={"ceilings": {"whitebox.mu": {"upper": 1}}})
    assert broken(strict) == {"audit.ceilings.whitebox.mu": "whitebox.mu has no upper"}


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("mechanism",), "aim", 'mechanism is "aim", not "by-hand"'),
        (("guarantee", "epsilon"), 2.0, "epsilon is 2.0, not 1.0"),
        (("guarantee", "epsilon"), True, "epsilon is True, not 1.0"),
        (("guarantee", "delta"), 1e-9, "delta is 1e-09"),
        (("guarantee", "unit"), "person", 'unit is "person"'),
        (("guarantee", "rows_per_unit"), 2, "rows_per_unit is 2"),
        (("guarantee", "adjacency"), "replace-one", 'adjacency is "replace-one"'),
        (("guarantee",), None, "epsilon is absent"),
        (("noise",), "opendp", 'noise is "opendp"'),
        (("schema",), None, "schema is absent"),
        (("version",), "0.0.9", 'version is "0.0.9"'),
        (("mechanism",), "\x1b[2K" * 20, 'mechanism is "\\u001b[2K'),
    ],
)
def test_an_audit_of_something_else_does_not_count(ruling, audit, place, value, said):
    subject = copy.deepcopy(audit().subject)
    inside = subject
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    bad = audit(finding(verdict=Verdict.violation), subject=subject)
    found = ruling(bad, audit={"levels": {"mechanism": 9}})
    assert "audit.levels.mechanism" in broken(found)
    ((name, reason),) = found.ignored
    assert name == "a1.json"
    assert said in reason
    assert reason.isprintable()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("2026-05-02T12:00:00+00:00", "in the future"),
        ("2026-04-30T12:00:00", "no date and time with a zone"),
        ("yesterday", "no date and time with a zone"),
    ],
)
def test_an_audit_needs_a_date(ruling, audit, made, said):
    ((_, reason),) = ruling(audit(made=made)).ignored
    assert said in reason


def test_no_clock_undoes_a_violation(ruling, audit):
    bad = finding(check="replay.ledger", verdict=Verdict.violation)
    for made in ("2026-05-02T12:00:00+00:00", "yesterday"):
        found = ruling(audit(bad, made=made), audit())
        assert broken(found) == {"audit.violations": "replay.ledger"}
        assert broken(ruling(audit(bad, made=made)))["audit.violations"] == "replay.ledger"
        assert len(found.ignored) == 1


def test_ages_are_counted_from_now(path, audit):
    policy = Policy.model_validate({**GOOD, "audit": {"levels": {"unit": 1}}})
    made = datetime.now(UTC).isoformat()
    assert judge(policy, path, {"a": audit(made=made)}).passed


def test_a_subject_is_told_from_another(release):
    expected = identity_of_release(release.statement, release.schema)
    assert differences(json.loads(json.dumps(expected)), expected) == []
    own = identity_of(mechanism="by-hand", guarantee=release.statement.guarantee, noise="exact", schema=None)
    (difference,) = differences(own, expected)
    assert difference.startswith(f'schema is absent, not "{expected["schema"][:12]}')
