"""Made-up programs with one fault each: the check for it finds it, and one without is left in peace."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import audit_peers
from benchmarks.audit_judge import tightness
from benchmarks.audit_peers import EPSILON, ROOT, audit, run_job, sample_job, traces_of
from benchmarks.audit_subjects import DOMAIN, PAIRS, SUBJECTS, PeerSubject, table_of
from benchmarks.audit_table import audited
from benchmarks.environments import EnvironmentFailed
from benchmarks.methods import PEERS, Peer

FAKE = """
import sys
sys.path.insert(0, {recorder!r})
from recorder import Instead, Pending, main, numpy_noise, patient, quarter
import numpy as np

def prepare(job, recorder):
    fault, claimed = job["options"].get("fault"), 0.03 if job["epsilon"] == 1 else 1.2
    rng = np.random.default_rng()
    own = Instead(np.random, normal=numpy_noise(recorder, rng))
    each = claimed / 4
    sigma = (1 / (2 * each)) ** 0.5

    def run(table):
        rows = np.array(list(table.values())).T
        sizes = [max(v) + 1 for v in table.values()] if fault == "domain" else list(job["domain"].values())
        if fault == "refuses" and len(rows) > 10:
            raise ValueError("too many rows")
        total = 0.0
        for column, size in enumerate(sizes):
            exact = np.bincount(np.minimum(rows[:, column], size - 1), minlength=size)
            if fault == "halved":
                less = exact + rng.normal(0, sigma / 2, size)
                noisy = recorder.noisy(exact, sigma, lambda: less, asked={{}})
            else:
                scale = sigma * (len(rows) / 10 if fault == "scale" else 1)
                noisy = patient(np).asarray(exact + own.normal(0, scale, size))
            total = float(np.sum(noisy))
        scores = [total - 5.0, float(np.sum(rows == 0))]
        scores[0] += float(len(rows)) * (2 if fault == "score" else 1)
        sensitivity = 1.0 if fault == "score" else float(rows.shape[1])
        booked = (8 * each) ** 0.5
        epsilon = booked * (2 if fault == "monotone" else 1)
        recorder.choose(scores, epsilon, booked, lambda: rng.integers(2), asked={{}}, sensitivity=sensitivity)
        return {{"rows": len(rows) if fault == "rows" else 10}}

    if fault == "crashes":
        raise RuntimeError("no such thing")
    return run, claimed, ["a note"]

main(prepare, ("numpy",))
"""
OUTLIER = "an outlier joins ten equal rows"


@pytest.fixture
def fake(tmp_path):
    (tmp_path / "fake.py").write_text(FAKE.format(recorder=str(ROOT / "audited")))

    def made(fault=None, **more):
        options = {"fault": fault} if fault else {}
        return PeerSubject(
            f"fake:{fault}", Peer("fake", ""), "any", str(tmp_path / "fake"), "care", options=options, **more
        )

    return made


def found(subject, tmp_path, runs=0):
    (kept := tmp_path / "kept").mkdir(exist_ok=True)
    return audit(subject, tmp_path, runs=runs, seconds=60, kept=kept)


def test_a_program_without_fault_is_left_in_peace(fake, tmp_path):
    record = found(fake(), tmp_path)
    assert record["findings"] == []
    assert (record["claimed_rho"], record["calls"]) == (0.03, len(DOMAIN) + 1)
    assert record["versions"]["numpy"] == np.__version__
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "kept").iterdir()}
    assert len(before) == 2
    assert found(fake(), tmp_path) == record
    assert {p: p.stat().st_mtime_ns for p in before} == before


@pytest.mark.parametrize(
    ("fault", "checks"),
    [
        ("domain", {"calls"}),
        ("scale", {"calls"}),
        ("rows", {"outcome"}),
        ("refuses", {"calls", "outcome"}),
        ("score", {"sensitivity"}),
        ("monotone", {"price"}),
    ],
)
def test_each_fault_is_found_by_its_check(fake, tmp_path, fault, checks):
    record = found(fake(fault, pairs=(OUTLIER,), why={"calls": "a reason"}), tmp_path)
    assert checks <= {f["check"] for f in record["findings"]}
    assert all(f["pairs"] == [OUTLIER] and len(f["said"]) == 2 for f in record["findings"])
    shown = audited([record])
    assert "**broken**" in shown
    assert f"`fake:{fault}` (care)" in shown
    assert ("In its code: a reason." in shown) == ("calls" in {f["check"] for f in record["findings"]})


@pytest.mark.statistical
def test_less_noise_than_is_said_is_seen_by_the_white_box(fake, tmp_path):
    """Lower bounds at 1e-6, so that an honest program is accused in one of a million runs of this test."""
    for fault, accused in ((None, False), ("halved", True)):
        job = sample_job(fake(fault), 400, len(DOMAIN))
        content = run_job(fake(fault), job, tmp_path, 60)
        assert {len(t["calls"]) for t in content["traces"]} == {len(DOMAIN)}
        shown = tightness(traces_of(content), alpha=1e-6)
        assert shown["trials"] == 400
        assert shown["mu_booked"] == pytest.approx((2 * 0.9) ** 0.5)
        assert (shown["mu_lower"] > shown["mu_booked"]) == accused


def test_white_box_runs_stand_in_the_table(fake, tmp_path):
    record = found(fake(sampled=True, pairs=(OUTLIER,), says="it is careful"), tmp_path, runs=5)
    assert [box["trials"] for box in record["white_box"]] == [5, 5]
    shown = audited([record])
    assert "| kept | 1.55 | 1.34 | 5 |" in shown
    assert "- `fake`: it is careful." in shown


def test_what_cannot_run_is_recorded_with_its_reason(fake, tmp_path, monkeypatch, capsys):
    subject = fake("crashes")
    assert found(subject, tmp_path)["failed"] == "RuntimeError: no such thing"
    with pytest.raises(EnvironmentFailed, match="took more than 0 seconds"):
        run_job(subject, sample_job(subject, 1, 1), tmp_path, 0.01)
    monkeypatch.setattr(audit_peers, "SUBJECTS", {subject.name: subject})
    audit_peers.main(["--out", str(tmp_path), "--environments", str(tmp_path)])
    assert "fake:crashes: RuntimeError" in capsys.readouterr().out
    records = json.loads((tmp_path / "audit_peers.json").read_text())["records"]
    assert "could not run: RuntimeError: no such thing" in audited(records)
    assert audited([]).startswith("Nothing has been audited yet")


def test_the_pairs_differ_by_one_row_and_every_subject_has_an_adapter():
    for pair in PAIRS.values():
        outside, inside = list(pair.outside), list(pair.inside)
        common = sum(min(outside.count(r), inside.count(r)) for r in set(outside))
        replaced = pair.kind == "replaced"
        assert common == len(outside) - replaced
        assert len(inside) == len(outside) + (not replaced)
    assert table_of(((0, 1, 1), (2, 0, 1))) == {"c0": [0, 2], "c1": [1, 0], "c2": [1, 1]}
    for subject in SUBJECTS.values():
        assert (ROOT / "audited" / f"{subject.adapter}.py").is_file()
        assert set(subject.pairs) <= set(PAIRS)
        assert subject.peer in PEERS.values()
    assert EPSILON == 1.0
