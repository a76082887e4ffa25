"""The auditor's calibration: the kept figures meet every demand, and a broken bound would not."""

from __future__ import annotations

import json

from benchmarks import audit_calibration
from benchmarks.__main__ import RESULTS
from dpsynth.audit import bounds


def test_the_kept_calibration_meets_every_demand():
    kept = json.loads((RESULTS / "audit_calibration.json").read_text())
    assert kept["simulations"] >= 1_000
    assert all(kept["demands"].values())
    assert len(kept["demands"]) == 6
    assert kept["limits_epsilon_95"]["1000"] == 5.601
    assert {row["alpha"] for row in kept["rows"]} == {0.05, 1e-3}


def test_a_bound_that_is_no_bound_is_noticed(monkeypatch):
    """An estimate in a bound's place is above the truth half of the time."""
    real = bounds.mu_lower_from_scores

    def estimate(**given):
        point, _ = real(**given)
        return point * 0.99, point

    monkeypatch.setattr(bounds, "mu_lower_from_scores", estimate)
    found = audit_calibration.run(1, sizes=(50, 100), canaries=(60, 100))["demands"]
    assert not found["covers at its level"]
    assert not found["never above its estimate"]
    assert found["scores are tighter than rates"]
