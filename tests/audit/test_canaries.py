"""Canaries in one fit: honest noise passes, a leak is seen, and nothing of the rows is said."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from dpsynth import Schema, Synthesizer
from dpsynth.audit import canaries
from dpsynth.audit.canaries import _correct, _fit, _weighed, canary_findings
from dpsynth.audit.finding import Level, Verdict
from dpsynth.errors import DataError, DpsynthError, InputError
from dpsynth.privacy import noise
from dpsynth.privacy.curator import Curator, Marginal, Measurement
from dpsynth.schema import OpenSchema

SCHEMA = Schema.from_domain({"a": 4, "b": 3, "c": 2})
ROWS = pd.DataFrame({"a": [0, 1, 2] * 100, "b": [0, 1] * 150, "c": [1] * 300})
UNITS = Schema.loads("""
privacy_unit: {column: who, max_rows: 3}
columns:
  a: {kind: categorical, values: [x, y], missing: false, out_of_domain: other}
  b: {kind: integer, lower: 0, upper: 99, bins: 4, missing: true, out_of_domain: clip}
""")


def synthesizer(schema=SCHEMA, **terms):
    return Synthesizer(schema, **{"epsilon": 2.0, "delta": 1e-6, "mechanism": "mst", **terms})


def by_check(findings):
    return {f.check.removeprefix("canaries."): f for f in findings}


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("schema", "terms"),
    [
        (SCHEMA, {}),
        (SCHEMA, {"noise": "opendp", "mechanism": "independent"}),
        (SCHEMA, {"delta": 0.0}),
        (SCHEMA, {"adjacency": "replace-one"}),
        (UNITS, {"mechanism": "oneshot"}),
    ],
)
def test_honest_noise_passes(schema, terms):
    """False alarms: 2e-7 in each of at most four findings."""
    own = synthesizer(schema, **terms)
    found = by_check(canary_findings(own, canaries=1_000, alpha=2e-7))
    views = {"whitebox.epsilon", "blackbox.epsilon"}
    gaussian = own.noise == "exact" and own.guarantee.delta > 0
    assert set(found) == views | ({"whitebox.mu", "blackbox.mu"} if gaussian else set())
    for finding in found.values():
        assert finding.verdict in (Verdict.consistent, Verdict.inconclusive)
        assert finding.level is Level.mechanism
        assert finding.publishable
        assert 0 <= finding.value <= finding.interval[1]
        assert finding.details["bound_at_alpha"] <= min(finding.value, finding.limit)
        assert finding.seconds > 0
    assert found["whitebox.epsilon"].ceiling == 2.0
    if gaussian:
        mu = math.sqrt(own.guarantee.budget("gdp"))
        assert found["whitebox.mu"].ceiling == pytest.approx(mu, rel=1e-5)
        assert 0.3 * mu < found["whitebox.mu"].details["mu_of_a_canary"] <= mu * (1 + 1e-9)


def test_a_fit_without_noise_is_seen(monkeypatch):
    monkeypatch.setattr(noise, "rounded_gaussian", lambda size, sigma: np.zeros(size, dtype=np.int64))
    found = by_check(canary_findings(synthesizer(), canaries=600))
    for view in ("whitebox.epsilon", "whitebox.mu"):
        assert found[view].verdict is Verdict.violation
        assert found[view].details["correct"] == found[view].trials
        assert found[view].details["bound_at_alpha"] == found[view].limit > found[view].ceiling
        assert "above the claim" in found[view].summary


@pytest.mark.parametrize("adjacency", ["add-remove", "replace-one"])
@pytest.mark.parametrize("schema", [SCHEMA, UNITS])
def test_without_noise_the_coins_are_read_off(monkeypatch, schema, adjacency):
    """Each canary has cells of its own, in which there are as many rows as a unit may have, or none."""
    monkeypatch.setattr(noise, "rounded_gaussian", lambda size, sigma: np.zeros(size, dtype=np.int64))
    tables = []
    real = Curator.__init__

    def watched(self, table, *args, **kwargs):
        tables.append(table)
        real(self, table, *args, **kwargs)

    monkeypatch.setattr(Curator, "__init__", watched)
    own = synthesizer(schema, adjacency=adjacency, mechanism="independent", epsilon=200.0)
    run = _fit(own, None, 50, np.random.default_rng(0))
    assert len(set(run.scores["whitebox"][run.coins])) <= 2
    assert run.scores["whitebox"][run.coins].min() > run.scores["whitebox"][~run.coins].max()
    assert run.scores["blackbox"][run.coins].min() > run.scores["blackbox"][~run.coins].max()
    k = own.guarantee.rows_per_unit
    (table,) = tables
    assert table.rows_per_unit == k
    assert [a.size for a in table.domain.axes] == [s + 50 for s in _sizes(schema)]


def _sizes(schema):
    from dpsynth.data.codec import Codec

    return Codec(schema).domain.sizes


def test_the_white_box_score_by_hand():
    """Three canaries on two codes; the pair's grouping throws two of them together in one of its columns."""
    one = Measurement(
        query=Marginal((0,), (np.arange(5),)), values=np.array([9, 9, 4, 0, 1]), sigma=2.0, entry=1
    )
    pair = Measurement(
        query=Marginal((0, 1), (np.array([0, 0, 1, 1, 2]), np.array([0, 0, 0, 0, 1]))),
        values=np.array([[5, 0], [3, 7], [2, 6]]),
        sigma=1.0,
        entry=2,
    )
    scores, strength = _weighed([one, pair], [2, 2], 3, 2)
    assert scores == pytest.approx([2 / 4 * (4 - 1), 2 / 4 * (0 - 1), 2 / 4 * (1 - 1) + 2 * (6 - 1)])
    assert strength == pytest.approx((1.0 + 1.0 + math.sqrt(1 + 4)) / 3)


def test_guesses():
    coins = np.array([True, True, False, False, True, False])
    scores = np.array([3.0, 2.0, 1.0, 0.0, -1.0, 0.5])
    rng = np.random.default_rng(0)
    assert _correct(scores, coins, 2, rng) == 1
    assert _correct(scores, coins, 4, rng) == 3
    assert _correct(scores, coins, 6, rng) == 4
    ties = {_correct(np.zeros(6), coins, 2, np.random.default_rng(i)) for i in range(20)}
    assert ties == {0, 1, 2}


def test_canaries_that_leave_no_trace_are_no_pass(monkeypatch):
    """Right guesses alone would show a violation; but without any trace there are none but by lot."""
    blank = canaries._Run(np.arange(1_000) % 2 == 0, {"whitebox": np.zeros(1_000)}, 0.0)
    monkeypatch.setattr(canaries, "_fit", lambda *_: blank)
    for found in canary_findings(synthesizer(), canaries=1_000):
        assert found.limit > found.ceiling
        assert found.verdict is Verdict.inconclusive
        assert "all guesses are by lot" in found.summary


def test_what_is_known_of_canaries_is_not_shown():
    assert "True" not in repr(canaries._Run(np.array([True]), {"whitebox": np.array([4711.0])}, 0.0))


def test_what_another_library_says_of_rows_is_not_passed_on(monkeypatch):
    def quoting(_rows):
        raise ValueError("no column for 4711")

    monkeypatch.setattr(canaries, "open_source", quoting)
    with pytest.raises(DpsynthError, match="unexpected ValueError while reading rows") as caught:
        canary_findings(synthesizer(), ROWS, canaries=100)
    assert "4711" not in str(caught.value)
    assert caught.value.__context__ is None


def test_what_comes_of_real_rows_is_confidential_and_says_nothing_of_them():
    found = canary_findings(synthesizer(), ROWS, canaries=100, guesses=20)
    assert len(found) == 4
    for finding in found:
        assert finding.level is Level.data
        assert not finding.publishable
        assert finding.trials == 20
        assert "300" not in finding.summary
        assert set(finding.details) == {
            "canaries",
            "guesses",
            "correct",
            "alpha",
            "bound_at_alpha",
            "mu_of_a_canary",
        }


def test_too_few_canaries_are_no_test():
    found = by_check(canary_findings(synthesizer(epsilon=8.0), canaries=60))
    assert found["whitebox.epsilon"].verdict is Verdict.inconclusive
    assert found["whitebox.epsilon"].limit < 8
    assert found["whitebox.epsilon"].trials == 60
    assert "no test" in found["whitebox.epsilon"].summary
    weak = by_check(canary_findings(synthesizer(epsilon=0.1), canaries=2_000))
    assert weak["whitebox.mu"].trials == 100  # a twentieth is enough for a small claim
    assert weak["whitebox.mu"].verdict is Verdict.consistent


@pytest.mark.parametrize(
    "wrong",
    [{"canaries": 39}, {"guesses": 3}, {"guesses": 0}, {"canaries": 100, "guesses": 102}, {"alpha": 0.5}],
)
def test_wrong_numbers_are_refused(wrong):
    with pytest.raises(InputError, match="at least 40 canaries, an even number of guesses"):
        canary_findings(synthesizer(), **wrong)


def test_what_is_to_be_bought_is_refused():
    schema = OpenSchema.loads(
        "privacy_unit: row\ncolumns:\n  town: {kind: categorical, values: buy, missing: buy}"
    )
    with pytest.raises(InputError, match="cannot leave values to be bought"):
        canary_findings(synthesizer(schema))


def test_rows_without_a_column_are_refused():
    with pytest.raises(DataError):
        canary_findings(synthesizer(), ROWS[["a", "b"]], canaries=100)
