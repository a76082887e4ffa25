"""A part of delta set aside: stated, spent by acts beside their prices, recomputed by verify."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from dpsynth.errors import ReleaseError
from dpsynth.privacy import ledger
from dpsynth.privacy.acts import ExponentialMechanism
from dpsynth.privacy.guarantee import gdp_budget, gdp_delta
from dpsynth.release import statement as stating
from dpsynth.release.statement import Statement
from dpsynth.release.verify import verify
from tests.release.building import edited, members_of, rehashed, restated, tiny, zipped

ASIDE = Fraction(1, 4 * 10**6)
EACH = ASIDE / 2


@pytest.fixture
def leaky(monkeypatch):
    """Let choices have a delta, wherever it is recomputed."""

    def delta_of(act):
        return EACH if isinstance(act, ExponentialMechanism) else Fraction(0)

    for module in (ledger, stating):
        monkeypatch.setattr(module, "delta_of", delta_of)


@pytest.fixture
def members(leaky, tmp_path):
    path = tmp_path / "aside.dpsynth"
    tiny(delta_aside=ASIDE).save(path)
    return members_of(path)


def _failed(members, path, *, restate=True):
    changed = rehashed(restated(members) if restate else members)
    return {check.name: check.detail for check in verify(zipped(changed, path)).failed}


def test_the_statement_says_what_was_set_aside_and_spent(leaky, tmp_path):
    release = tiny(delta_aside=ASIDE)
    said = release.statement
    assert (said.delta_aside, said.delta_spent) == (ASIDE, EACH)
    content = said.to_dict()
    assert content["delta_aside"]["exact"] == "1/4000000"
    assert content["delta_spent"]["decimal"] == 1.25e-7
    assert [entry.get("delta") for entry in content["ledger"]] == [None] * 4 + [1.25e-7, None]
    assert Statement.from_dict(json.loads(json.dumps(content))) == said
    assert Fraction(gdp_delta(said.spent, said.epsilon_spent)) + ASIDE <= Fraction(1e-6)
    text = " ".join(str(said).split())
    assert "Of delta, 0.00000025 was set aside" in text or "Of delta, 2.5e-7 was set aside" in text
    release.save(tmp_path / "x.dpsynth")
    report = verify(tmp_path / "x.dpsynth")
    assert report.passed, str(report)
    assert "deltas to 1.25e-07 of 2.5e-07 set aside" in str(report)
    assert "beside the 2.5e-07 set aside" in str(report)


def test_without_any_the_keys_are_absent():
    content = tiny().statement.to_dict()
    assert not {"delta_aside", "delta_spent"} & content.keys()
    assert not any("delta" in entry for entry in content["ledger"])
    assert "set aside" not in str(tiny().statement)


def test_more_delta_than_was_set_aside_is_caught(members, tmp_path):
    changed = edited(members, "statement.json", lambda c: c["delta_aside"].update(exact="1/10000000"))
    assert "overspent" in _failed(changed, tmp_path / "x.dpsynth")["spending"]
    changed = edited(members, "statement.json", lambda c: [c.pop("delta_aside"), c.pop("delta_spent")])
    assert "of 0 set aside: overspent" in _failed(changed, tmp_path / "y.dpsynth")["spending"]


def test_a_budget_that_counts_what_was_set_aside_is_caught(members, tmp_path):
    whole = {"exact": str(Fraction(gdp_budget(1.0, 1e-6))), "decimal": gdp_budget(1.0, 1e-6)}
    changed = edited(members, "statement.json", lambda c: c.update(budget=whole))
    assert set(_failed(changed, tmp_path / "x.dpsynth")) == {"budget"}


def test_a_figure_of_another_delta_is_caught(members, tmp_path):
    changed = edited(members, "statement.json", lambda c: c["ledger"][4].update(delta=1e-9))
    assert "figures" in _failed(changed, tmp_path / "x.dpsynth", restate=False)
    changed = edited(members, "statement.json", lambda c: c["ledger"][0].update(delta=0.0))
    assert "figures" in _failed(changed, tmp_path / "y.dpsynth", restate=False)


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda c: c["delta_aside"].update(exact="1/10"), "not from 0 to below its delta"),
        (lambda c: c["delta_aside"].update(exact="x"), "delta_aside is not an exact fraction"),
        (lambda c: c["ledger"][4].update(delta="x"), "'delta' is not of type float"),
    ],
)
def test_what_is_no_part_of_delta_is_refused(leaky, edit, match):
    content = tiny(delta_aside=ASIDE).statement.to_dict()
    edit(content)
    with pytest.raises(ReleaseError, match=match):
        Statement.from_dict(content)
