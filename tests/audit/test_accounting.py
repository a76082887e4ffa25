"""The second accountant agrees with the first, and says so when one of them errs."""

from __future__ import annotations

from fractions import Fraction

import pytest

from dpsynth.audit.accounting import accounting_findings
from dpsynth.audit.finding import Verdict
from dpsynth.privacy import acts, guarantee


def test_both_accountants_agree():
    found = accounting_findings()
    assert [f.check for f in found] == ["accounting.price", "accounting.threshold", "accounting.conversion"]
    for finding in found:
        assert finding.verdict is Verdict.consistent
        assert finding.value == pytest.approx(1, abs=1e-9)
        assert finding.trials > 20
        assert finding.details["broken"] == []


@pytest.mark.parametrize(
    ("module", "name", "broken", "check"),
    [
        (acts, "_bounded_range_mu_squared", lambda e: Fraction(e) ** 2 / 16, "accounting.price"),
        (acts, "_pure_mu_squared", lambda e: Fraction(0), "accounting.price"),
        (acts, "_chance_above", lambda act: Fraction(1, 10**9), "accounting.threshold"),
        (guarantee, "_afforded", lambda c, e, d: e if c == "zcdp" else 1e-9, "accounting.conversion"),
        (guarantee, "_afforded", lambda c, e, d: e / 9 if c == "gdp" else 1e-9, "accounting.conversion"),
    ],
)
def test_what_is_too_cheap_is_found(monkeypatch, module, name, broken, check):
    monkeypatch.setattr(module, name, broken)
    assert [f.check for f in accounting_findings() if f.verdict is Verdict.violation] == [check]


def test_what_is_too_dear_is_on_the_safe_side(monkeypatch):
    real = acts.price
    monkeypatch.setattr(acts, "price", lambda act, calculus: 2 * real(act, calculus))
    assert all(f.verdict is Verdict.consistent for f in accounting_findings())
