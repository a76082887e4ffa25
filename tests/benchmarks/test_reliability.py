"""The kept figures of reliability: sizes that were asked for, and zeros where they must be."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks import hostile, leaks, reliability, render
from tests.conftest import ROOT

KEPT = json.loads((ROOT / "benchmarks" / "results" / "reliability.json").read_text())


def test_the_kept_figures_are_what_was_promised():
    kills, races, tampered = KEPT["kills"], KEPT["races"], KEPT["tampered"]
    assert kills["kills"] >= 200
    assert kills["unbooked"] == kills["overspent"] == kills["damaged"] == 0
    assert sum(kills["struck"].values()) == kills["kills"]
    assert races["grants"] <= races["room_for"]
    assert races["overspent"] == 0
    assert tampered["kinds"] >= 50
    assert tampered["detected"] == tampered["refused_spending"] == tampered["kinds"]
    assert KEPT["hostile"]["broke"] == 0
    assert KEPT["hostile"]["faults"] == KEPT["leaks"]["found"] == []
    assert KEPT["leaks"]["bytes_scanned"] > 1_000_000


def test_a_run_has_all_parts(monkeypatch):
    """Each part's own tests run it at a small size; here, that none is left out and how large they are."""
    asked = {}

    def part(name):
        return lambda *size: asked.setdefault(name, size) or {"part": name}

    monkeypatch.setattr(hostile, "run", part("hostile"))
    monkeypatch.setattr(leaks, "run", part("leaks"))
    for name in ("kills", "races", "tampered"):
        monkeypatch.setattr(f"benchmarks.reliability_book.{name}", part(name))
    assert set(reliability.run(5)) == {"kills", "races", "tampered", "hostile", "leaks"} <= set(KEPT)
    assert asked == {"kills": (200,), "races": (5,), "tampered": (), "hostile": (4500,), "leaks": ()}


def test_the_table_shows_every_figure():
    table = render.reliability()
    assert f"{KEPT['hostile']['tried']:,}" in table
    assert f"{KEPT['leaks']['bytes_scanned']:,}, 0" in table


def test_the_program_offers_it():
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", "reliability", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--runs" in ran.stdout
