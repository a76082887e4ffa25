"""Findings: what they refuse, and that a file of them says what was saved."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from dpsynth.audit.finding import Audit, Finding, Level, Verdict
from dpsynth.errors import InputError, MissingFileError


def finding(**changed):
    usual = {
        "check": "whitebox.mu",
        "level": Level.mechanism,
        "summary": "The attack sees no more than is claimed.",
        "verdict": Verdict.consistent,
        "value": 0.41,
        "unit": "mu",
        "interval": (0.38, math.inf),
        "confidence": 0.95,
        "trials": 4_000,
        "ceiling": 0.46,
    }
    return Finding(**{**usual, **changed})


def audit(*findings):
    return Audit(
        subject={"mechanism": "mst"},
        levels=(Level.unit, Level.mechanism),
        made="2026-01-01T00:00:00+00:00",
        seconds=1.5,
        findings=findings,
    )


def secret(**changed):
    return finding(level=Level.data, publishable=False, **changed)


def test_what_is_saved_is_loaded(tmp_path):
    made = audit(
        finding(), finding(verdict=Verdict.inconclusive, value=None, interval=None, details={"n": 3})
    )
    made.save(tmp_path / "audit.json")
    assert Audit.load(tmp_path / "audit.json") == made


def test_violations_and_what_may_be_shown():
    bad = finding(verdict=Verdict.violation)
    made = audit(finding(), bad, secret())
    assert made.violations == (bad,)
    assert made.publishable.findings == (finding(), bad)
    assert Level.data not in made.publishable.levels


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"confidence": 1.0}, "not between 0 and 1"),
        ({"interval": (2.0, 1.0)}, "not from low to high"),
        ({"value": None}, "could not run is inconclusive"),
        ({"level": Level.data}, "confidential"),
    ],
)
def test_a_finding_refuses(changed, said):
    with pytest.raises(ValueError, match=said):
        finding(**changed)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c.update(format=2),
        lambda c: c.pop("made"),
        lambda c: c.update(levels=["all"]),
        lambda c: c.update(levels=3),
        lambda c: c.update(seconds="1"),
        lambda c: c["findings"][0].update(verdict="FINE"),
        lambda c: c["findings"][0].update(value=True),
        lambda c: c["findings"][0].update(interval=[1]),
        lambda c: c["findings"][0].update(more=1),
        lambda c: c["findings"][0].update(confidence=2),
        lambda c: c["findings"][0].update(interval=["a", "b"]),
        lambda c: c["findings"][0].update(value=10**29 * 10**300),
        lambda c: c["findings"][0].update(summary="all is well\x1b[2K"),
        lambda c: c["findings"][0].update(check="a\nb"),
        lambda c: c["findings"][0].update(details=[]),
        lambda c: c.update(made="now\n"),
        lambda c: c.update(seconds=None),
        lambda c: c.update(levels="unit"),
        lambda c: c.update(findings={}),
    ],
)
def test_a_spoilt_file_is_refused(tmp_path, spoil):
    content = audit(finding()).to_dict()
    spoil(content)
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError):
        Audit.load(tmp_path / "a.json")


def test_no_file_and_no_json(tmp_path):
    with pytest.raises(MissingFileError, match="no such audit"):
        Audit.load(tmp_path / "a.json")
    with pytest.raises(MissingFileError, match="no such audit"):
        Audit.load(tmp_path)
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="nested too deeply"):
        Audit.load(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"format": 1, "format": 1}', "stands twice"),
        ('{"format": NaN}', "not a number that JSON knows"),
        ("{} " + " " * 2**24, "is the limit"),
        ("\xff", "not UTF-8"),
        ("[]", "no JSON object"),
    ],
)
def test_what_is_no_audit_is_refused(tmp_path, text, said):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=f"a.json: this is no audit: .*{said}"):
        Audit.load(tmp_path / "a.json")


def test_an_audit_that_cannot_be_read(tmp_path, monkeypatch):
    audit(finding()).save(tmp_path / "a.json")

    def refuse(*_arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        Audit.load(tmp_path / "a.json")


def test_the_two_parts_of_an_audit_say_nothing_of_each_other():
    made = audit(finding(seconds=2.0), secret(seconds=40.0))
    made = dataclasses.replace(made, levels=(Level.mechanism, Level.data), seconds=42.0)
    shown, kept = made.publishable, made.confidential
    assert (shown.levels, shown.seconds, shown.findings) == ((Level.mechanism,), 2.0, (finding(seconds=2.0),))
    assert (kept.levels, kept.seconds, kept.findings) == ((Level.data,), 40.0, (secret(seconds=40.0),))
