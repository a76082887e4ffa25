"""Every planted bug is found by the quickest layer that is to find it, and no harmless change is.

The whole matrix, every layer on every mutant, is ``python -m dpsynth.audit.mutants``; what it gave is kept in
``benchmarks/results/audit_mutants.json``.
"""

from __future__ import annotations

import functools
import json

import pytest

from dpsynth.audit.accounting import accounting_findings
from dpsynth.audit.choices import choice_findings
from dpsynth.audit.finding import Verdict
from dpsynth.audit.layers import synthesizer_of
from dpsynth.audit.neighbours import neighbours
from dpsynth.audit.noise_tests import noise_findings
from dpsynth.audit.recording import LibrarySubject
from dpsynth.audit.replay import compare, judge
from tests.audit.mutants import MUTANTS
from tests.conftest import ROOT

DEFECTS = [m for m in MUTANTS if not m.harmless]
HARMLESS = [m for m in MUTANTS if m.harmless]
ALPHA = 1e-7  # of what is left to chance, for each of a dozen tests
PAIRS = {  # on which a replay finds them; any other of the replay's is found where an outlier comes first
    "row-for-unit": "unit of 3 rows alike",
    "threshold-for-one-row": "unit of 3 rows alike",
    "rare-values-dropped": "outlier 1 -> 2",
    "refuses-no-rows": "empty -> 1",
    "missing-escapes": "row of NaN",
    "one-row-too-many": "unit of 5 rows alike",
    "rounds-by-rows": "empty -> 1",
    "dtypes-from-values": "row of no such value, in dtypes of its own",
    "one-row-fewer": "unit of 5 rows alike",
}
WHOLE = {"exact-total", "as-many-rows", "copied-rows", "similarity-published", "exact-counts-saved"}
DRAWS = {"noise-cut-off": 12_000}  # a few of a thousand draws are cut off
CHOICES = {"choice-without-half", "argmax-choice", "choice-by-gumbel"}


def replayed(mutant):
    """One pair, both ways; the model and the release only where the bug is there."""
    configured = synthesizer_of(mutant.setting)
    family = neighbours(configured.to_buy or configured.schema, adjacency=mutant.setting.adjacency)
    pairs = [p for p in family if p.name == PAIRS.get(mutant.name, "outlier 0 -> 1")]
    subject = LibrarySubject(synthesizer=configured)
    run = functools.partial(subject.run, measure_only=mutant.name not in WHOLE)
    return judge(compare(run, pairs, subject=subject.name))


def drawn(mutant):
    if mutant.name in CHOICES:
        return choice_findings(draws=200, alpha=ALPHA, delta=mutant.setting.delta)
    draws = DRAWS.get(mutant.name, 2_000)
    return noise_findings(synthesizer_of(mutant.setting), draws=draws, fits=2, alpha=ALPHA)


QUICK = {"accounting": lambda mutant: accounting_findings(), "replay": replayed, "noise": drawn}


@pytest.mark.statistical
@pytest.mark.parametrize("mutant", DEFECTS, ids=lambda m: m.name)
def test_a_planted_bug_is_found(mutant):
    """False-alarm rate: that a bug's own noise hides it has a chance below 1e-6."""
    with mutant.plant():
        findings = QUICK[mutant.killers[0]](mutant)
    broken = [f.check for f in findings if f.verdict is Verdict.violation]
    assert broken, [f.summary for f in findings]


@pytest.mark.statistical
@pytest.mark.parametrize("layer", ["replay", "noise"])
@pytest.mark.parametrize("mutant", HARMLESS, ids=lambda m: m.name)
def test_a_harmless_change_is_not(mutant, layer):
    """False-alarm rate: 1e-7 for each of the noise's, none for a replay."""
    with mutant.plant():
        findings = QUICK[layer](mutant)
    assert [f.summary for f in findings if f.verdict is Verdict.violation] == []


def test_the_kept_matrix_is_of_these_mutants_and_none_survived():
    kept = json.loads((ROOT / "benchmarks" / "results" / "audit_mutants.json").read_text())
    assert [m["name"] for m in kept["mutants"]] == [m.name for m in MUTANTS]
    assert [m["breaks"] for m in kept["mutants"]] == [m.breaks for m in MUTANTS]
    assert (kept["planted"], kept["killed"]) == (len(DEFECTS), len(DEFECTS))
    assert kept["survivors"] == kept["alarmed"] == []
