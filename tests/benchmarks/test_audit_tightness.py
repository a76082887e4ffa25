"""How tight the white-box audit is: the kept figures meet every demand, and worse ones would not."""

from __future__ import annotations

import json

from benchmarks import audit_tightness
from benchmarks.__main__ import RESULTS
from dpsynth.mechanisms import MECHANISMS


def test_the_kept_figures_meet_every_demand():
    kept = json.loads((RESULTS / "audit_tightness.json").read_text())
    assert kept["demands"] == audit_tightness.demands(kept["rows"])
    assert all(kept["demands"].values())
    assert {r["mechanism"] for r in kept["rows"]} <= set(MECHANISMS)
    runs = {(r["mechanism"], r["epsilon"]): r["runs_a_side"] for r in kept["rows"] if r["delta"]}
    assert runs["independent", 8.0] >= 2_000
    assert runs["independent", 1.0] >= 20_000
    assert runs["mst", 8.0] >= 2_000


def test_a_loose_bound_or_one_above_its_claim_is_noticed():
    good = {"epsilon": 8.0, "delta": 1e-5, "runs_a_side": 2_000, "tightness": 0.9, "verdict": "CONSISTENT"}
    good |= {"lower_99.9": 1.5, "claimed": 1.6}
    assert all(audit_tightness.demands([good]).values())
    assert not all(audit_tightness.demands([good | {"tightness": 0.8}]).values())
    assert all(audit_tightness.demands([good | {"tightness": 0.8, "tightness_of_measured": 0.86}]).values())
    assert not audit_tightness.demands([good | {"lower_99.9": 1.7}])["no bound above its claim"]
    assert not audit_tightness.demands([good | {"verdict": "VIOLATION"}])["no violation"]


def test_a_row_says_what_was_run(monkeypatch):
    monkeypatch.setenv("AUDIT_PROCESSES", "1")
    found = audit_tightness.run(0, ("independent",), report=lambda row: None)
    assert [(r["epsilon"], r["delta"], r["unit"], r["runs_a_side"]) for r in found["rows"]] == [
        (8.0, 1e-5, "mu", 50),
        (1.0, 1e-5, "mu", 50),
        (1.0, 0.0, "epsilon", 50),
    ]
