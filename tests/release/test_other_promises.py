"""Pure epsilon and replaced units: stated as they are, recomputed by verify, and no lie about them passes."""

from __future__ import annotations

import json

import pytest

from dpsynth.errors import ReleaseError
from dpsynth.privacy.acts import DiscreteLaplace, ExponentialMechanism
from dpsynth.release.statement import Statement, epsilon_of
from dpsynth.release.verify import verify
from dpsynth.release.wording import promise_of
from tests.release.building import (
    ROW,
    UNIT,
    edited,
    members_of,
    rehashed,
    restated,
    tiny,
    zipped,
)

PURE = {"delta": 0.0}
REPLACED = {"adjacency": "replace-one"}
PROMISES = [(UNIT, PURE), (ROW, REPLACED), (UNIT, REPLACED), (ROW, PURE | REPLACED)]


def _members(tmp_path, text=ROW, **promise):
    tiny(text, **promise).save(tmp_path / "honest.dpsynth")
    return members_of(tmp_path / "honest.dpsynth")


def _failed(members, tmp_path, edit):
    changed = rehashed(restated(edited(members, "statement.json", edit)))
    return {check.name for check in verify(zipped(changed, tmp_path / "x.dpsynth")).failed}


@pytest.mark.parametrize("backend", ["exact", "opendp"])
@pytest.mark.parametrize(("text", "promise"), PROMISES, ids=str)
def test_an_honest_release_passes_and_is_read_back(tmp_path, text, promise, backend):
    release = tiny(text, backend=backend, **promise)
    release.save(tmp_path / "x.dpsynth")
    report = verify(tmp_path / "x.dpsynth")
    assert report.passed, str(report)
    said = release.statement
    assert Statement.from_dict(json.loads(json.dumps(said.to_dict()))) == said
    assert promise_of(said) in str(said)
    assert max(map(len, str(said).splitlines())) <= 100


def test_pure_epsilon_is_stated_as_such():
    said = tiny(**PURE).statement
    assert said.calculus == "pure"
    assert {type(e.act) for e in said.entries} == {DiscreteLaplace, ExponentialMechanism}
    assert said.epsilon_spent == float(said.spent) == pytest.approx(0.75)
    assert epsilon_of(said.spent, "pure", 0.0) == epsilon_of(said.spent, "pure", 1e-6)
    text = " ".join(str(said).split())
    assert "(1, 0)-differential privacy for adding or removing one row" in text
    assert "(delta)" not in text
    assert "larger delta" not in text
    assert "in pure differential privacy, where epsilon adds up. The promise affords epsilon = 1." in text
    assert "so far" in text
    assert "log-accuracy" in said.assumptions
    assert "ndtri-accuracy" not in said.assumptions
    assert "opendp-noise" in tiny(backend="opendp", **PURE).statement.assumptions


@pytest.mark.parametrize(
    ("text", "promise", "words"),
    [
        (ROW, REPLACED, ("replacing one row by another", "another row in its place", "square root of 2")),
        (UNIT, REPLACED, ('of one "household" by those of another', "other rows in their place")),
        (ROW, REPLACED | PURE, ("a factor of 2 in distances and choices and in counts.",)),
    ],
)
def test_a_replaced_unit_is_stated_with_its_factor(text, promise, words):
    said = tiny(text, **promise).statement
    assert said.to_dict()["guarantee"]["adjacency"] == "replace-one"
    body = " ".join(str(said).split())
    assert "adding or removing" not in body
    assert "was priced with a factor of 2" in body
    for word in words:
        assert word in body


def test_without_it_the_key_is_absent():
    assert "adjacency" not in tiny().statement.to_dict()["guarantee"]
    assert "replac" not in str(tiny().statement)


PURE_LIES = {
    "a delta after all": (lambda c: c["guarantee"].update(delta=1e-9), {"noise", "budget"}),
    "a smaller epsilon": (lambda c: c["guarantee"].update(epsilon=0.9), {"budget"}),
    "a larger budget": (lambda c: c["budget"].update(exact="3/2"), {"budget"}),
    "a smaller scale": (
        lambda c: c["ledger"][0]["act"].update(scale=c["ledger"][0]["act"]["scale"] / 1.01),
        {"measurements are paid for"},
    ),
    "a smaller sensitivity": (lambda c: c["ledger"][0]["act"].update(sensitivity=1), {"sensitivities"}),
    "distances priced as one": (lambda c: c["ledger"][3]["act"].update(sensitivity=3), {"sensitivities"}),
}


@pytest.mark.parametrize("lie", PURE_LIES)
def test_a_lie_about_pure_epsilon_is_caught(tmp_path, lie):
    edit, expected = PURE_LIES[lie]
    assert _failed(_members(tmp_path, UNIT, **PURE), tmp_path, edit) == expected


def test_gaussian_noise_is_not_pure(tmp_path):
    found = _failed(_members(tmp_path), tmp_path, lambda c: c["guarantee"].update(delta=0.0))
    assert found == {"noise", "budget"}


def test_what_was_priced_for_coming_and_going_does_not_cover_a_replacement(tmp_path):
    def replaced(content):
        content["guarantee"]["adjacency"] = "replace-one"

    for promise in ({}, PURE):
        assert _failed(_members(tmp_path, **promise), tmp_path, replaced) == {"sensitivities"}


def test_an_adjacency_has_two_names_and_one_is_the_default(tmp_path):
    content = tiny().statement.to_dict()
    content["guarantee"]["adjacency"] = "swap"
    with pytest.raises(ReleaseError, match="neither 'add-remove' nor 'replace-one'"):
        Statement.from_dict(content)
    members = _members(tmp_path)
    changed = edited(members, "statement.json", lambda c: c["guarantee"].update(adjacency="add-remove"))
    report = verify(zipped(rehashed(changed), tmp_path / "x.dpsynth"))
    assert {check.name for check in report.failed} == {"figures"}
