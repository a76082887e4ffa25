"""Strange release files, at a small size: none does harm, and one that did would be seen."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks import hostile
from benchmarks.hostile import bases, mutants, outcome, packed
from tests.conftest import ROOT


def test_no_strange_file_does_harm():
    found = hostile.run(45, seed=3)
    assert found["faults"] == []
    assert found["broke"] == 0
    assert found["refused"] + found["found_out"] + found["read"] == found["tried"] == 45
    assert found["refused"] >= 30
    assert len(found["kinds"]) == 9
    assert found["longest_seconds"] < hostile.SECONDS


HARMFUL = """
import json, time
from benchmarks import hostile
real, calls = hostile.outcome, []
def harmful(path):
    calls.append(path)
    if len(calls) == 2: 1 / 0
    if len(calls) == 3: bytes(2**31)
    if len(calls) == 4: time.sleep(3)
    if len(calls) == 5: path.with_suffix(".x").touch()
    return real(path)
hostile.outcome = harmful
print(json.dumps(hostile.tried(4, 0, seconds=1)))
"""


def test_harm_is_seen():
    """Guard of the guard: a reader that fails, takes 2 GiB, hangs, and writes a file."""
    ran = subprocess.run(
        [sys.executable, "-c", HARMFUL], cwd=ROOT, capture_output=True, text=True, check=True
    )
    faults = json.loads(ran.stdout)["faults"]
    seen = [fault.rpartition(": ")[2] for fault in faults]
    assert seen == ["ZeroDivisionError", "MemoryError", "TimeoutError", "wrote a file"]


def test_true_releases_are_read_and_every_kind_is_made(tmp_path):
    true = bases(tmp_path)
    path = tmp_path / "x.dpsynth"
    for members in true:
        path.write_bytes(packed(members, hashed=False))
        assert outcome(path) == "read"
    kinds = [kind for kind, _ in mutants(true, 18, 0)]
    assert kinds[:9] == kinds[9:]
    assert len(set(kinds)) == 9
