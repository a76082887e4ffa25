"""Choices by lot, counted: the law that is booked passes, any other does not."""

from __future__ import annotations

import numpy as np
import pytest

from dpsynth.audit.choices import choice_findings
from dpsynth.audit.finding import Verdict
from dpsynth.privacy import curator, noise


@pytest.mark.statistical
@pytest.mark.parametrize(
    "named", [{}, {"delta": 0.0}, {"noise": "opendp"}, {"adjacency": "replace-one"}], ids=str
)
def test_the_law_passes(named):
    """False-alarm rate: at most 1e-7."""
    (found,) = choice_findings(draws=400, alpha=1e-7, **named)
    assert found.check == "noise.choices"
    assert found.verdict is Verdict.consistent
    assert found.trials == sum(found.details["counts"]) == 400
    assert sum(found.details["law"]) == pytest.approx(1)


def _scripted(monkeypatch, factor, seed=3):
    rng = np.random.default_rng(seed)

    def choose(scores, epsilon, sensitivity):
        nats = factor * epsilon * np.array(scores, dtype=float) / (2 * sensitivity)
        return int(np.argmax(nats + rng.gumbel(size=nats.size)))

    monkeypatch.setattr(noise, "exponential_choice", choose)


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1, "CONSISTENT"), (2, "VIOLATION"), (0.5, "VIOLATION"), (1000, "VIOLATION")],
)
def test_another_law_does_not(monkeypatch, factor, verdict):
    """Scripted lots: twice the epsilon is a violation, and so is a choice that is not what was booked."""
    _scripted(monkeypatch, factor)
    (found,) = choice_findings(draws=400, alpha=1e-3, delta=0.0)
    assert found.verdict == verdict
    assert (found.value < 1e-3) == (verdict == "VIOLATION")


def test_a_sensitivity_that_leaves_weights_out_is_found(monkeypatch):
    _scripted(monkeypatch, 1)
    real = curator.ExponentialMechanism

    def unweighted(*, epsilon, sensitivity, candidates):
        return real(epsilon=epsilon, sensitivity=1, candidates=candidates)

    monkeypatch.setattr(curator, "ExponentialMechanism", unweighted)
    (found,) = choice_findings(delta=0.0)
    assert found.verdict is Verdict.violation


def test_few_draws_are_not_a_pass(monkeypatch):
    _scripted(monkeypatch, 1)
    (found,) = choice_findings(draws=20, delta=0.0)
    assert found.verdict is Verdict.inconclusive


def test_a_curator_that_is_spent_is_replaced(monkeypatch):
    _scripted(monkeypatch, 1)
    (found,) = choice_findings(draws=9_000, delta=0.0)
    assert found.trials == 9_000
    assert found.verdict is Verdict.consistent


@pytest.mark.parametrize("named", [{"draws": 0}, {"alpha": 0.0}, {"alpha": 1.0}])
def test_bad_arguments_are_refused(named):
    with pytest.raises(ValueError, match="draws="):
        choice_findings(**named)
