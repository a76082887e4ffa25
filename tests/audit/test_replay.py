"""Replay: clean on the library, and each of its checks catches the mistake that it is for."""

from __future__ import annotations

import dataclasses
import functools
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from dpsynth import Schema, Synthesizer
from dpsynth.audit import neighbours as family
from dpsynth.audit.finding import Verdict
from dpsynth.audit.movements import loss_of, moved, newcomers, price_of, promised
from dpsynth.audit.neighbours import neighbours
from dpsynth.audit.recording import LibrarySubject
from dpsynth.audit.replay import Compared, compare, judge, replay
from dpsynth.audit.trace import Call, Outcome, Trace
from dpsynth.audit.unit import own_subjects, replay_findings, unit_level
from dpsynth.data.codec import Codec
from dpsynth.mechanisms import MECHANISMS
from dpsynth.mechanisms.mechanism import Measured, Mechanism, measure_one_ways, one_way
from dpsynth.privacy import acts
from dpsynth.privacy.acts import ExponentialMechanism, price
from dpsynth.privacy.curator import Curator
from dpsynth.privacy.seller import Seller
from dpsynth.release.release import Release
from dpsynth.schema import OpenSchema

COLUMNS = """
columns:
  town: {kind: categorical, values: [Ulm, Bonn, Kiel], missing: false, out_of_domain: other}
  age: {kind: integer, lower: 0, upper: 99, edges: [20, 40, 60], missing: true, out_of_domain: clip}
"""
ROWS = Schema.loads("privacy_unit: row" + COLUMNS)
UNITS = Schema.loads("privacy_unit: {column: who, max_rows: 3}" + COLUMNS)
OPEN = OpenSchema.loads("""
privacy_unit: {column: who, max_rows: 3}
columns:
  town: {kind: categorical, values: buy, missing: buy}
  age: {kind: integer, lower: 0, upper: buy, edges: buy tree, missing: false, bins: 4, out_of_domain: clip}
""")


def subject(schema=ROWS, **terms):
    terms = {"epsilon": 2.0, "delta": 1e-6, "mechanism": "independent", **terms}
    return LibrarySubject(synthesizer=Synthesizer(schema, **terms))


def audited(found, *, whole=False, only=None, rows=30):
    """Replay a subject; only its measurements, unless asked for all."""
    pairs = neighbours(found.schema, adjacency=found.guarantee.adjacency, rows=rows)
    pairs = [p for p in pairs if only is None or p.name in only]
    run = found.run if whole else functools.partial(found.run, measure_only=True)
    return {f.check.split(".")[1]: f for f in judge(compare(run, pairs, subject=found.name))}


def broken(findings):
    return {name for name, f in findings.items() if f.verdict is Verdict.violation}


# ---- the family -----------------------------------------------------------------------------------


def counted(codec, pair, unit):
    """The codes of both tables, or of the rows that are not the newcomer's, as sorted tuples."""
    from dpsynth.data import open_source

    tables = []
    for frame in (pair.first, pair.second):
        codes = codec.codes(open_source(frame))
        tables.append(sorted(zip(*(c.tolist() for c in codes), strict=True)))
    return tables


def test_the_family_has_what_it_should():
    pairs = {p.name: p for p in neighbours(UNITS)}
    assert list(pairs) == [
        *(f"outlier {n} -> {n + 1}" for n in (0, 1, 2, 5)),
        *("empty -> 1", "random row", "busiest cell"),
        *(f"row of {what}" for what in ("missing", "NaN", "infinite", "huge", "no such value")),
        "row of no such value, in dtypes of its own",
        *(f"unit of {n} rows {how}" for n in (3, 5) for how in ("alike", "apart")),
        "unit of 3 rows beside its twin",
    ]
    codec = Codec(UNITS)
    for copies in (0, 1, 2, 5):
        first, second = counted(codec, pairs[f"outlier {copies} -> {copies + 1}"], "who")
        (outlier,) = [row for row in {*second} if second.count(row) != first.count(row)]
        assert (first.count(outlier), second.count(outlier)) == (copies, copies + 1)
    assert len(pairs["empty -> 1"].first) == 0
    for pair in pairs.values():
        assert list(pair.first.columns) == list(pair.second.columns) == ["town", "age", "who"]
        assert (set(pair.first.dtypes) == {np.dtype(object)}) == ("dtypes" not in pair.name)
        owners = set(pair.second["who"]) - set(pair.first["who"])
        assert owners == {"newcomer"}, pair.name
        if len(pair.first):
            assert pair.first["who"].value_counts().max() <= 3
    assert len(pairs["unit of 5 rows apart"].second) == len(pairs["unit of 5 rows apart"].first) + 5
    assert pairs["row of missing"].second["town"].isna().sum() == 1
    assert len({p.name for p in neighbours(ROWS)}) == 13
    own = pairs["row of no such value, in dtypes of its own"]
    assert (own.first.dtypes["age"], own.second.dtypes["age"]) == (np.float64, np.dtype(object))


def test_replaced_units_have_as_many_rows():
    for pair in neighbours(UNITS, adjacency="replace-one"):
        gone = pair.first["who"].eq("leaver").sum()
        assert gone == pair.second["who"].eq("newcomer").sum() > 0
        assert len(pair.first) == len(pair.second)


def test_a_large_bound_does_not_make_large_tables(monkeypatch):
    monkeypatch.setattr(family, "_MOST_ROWS", 7)
    schema = Schema.loads("privacy_unit: {column: who, max_rows: 100000}" + COLUMNS)
    assert max(len(p.second) for p in neighbours(schema)) <= 30 + 7 + 20


def test_every_kind_of_column_has_neighbours():
    schema = Schema.loads("""
privacy_unit: row
columns:
  a: {kind: categorical, values: [x], missing: false, out_of_domain: clip}
  b: {kind: boolean, missing: true, out_of_domain: missing}
  c: {kind: real, lower: 0, upper: 1, decimals: 2, bins: 4, missing: false, out_of_domain: clip}
  d: {kind: date, lower: 2000-01-01, upper: 2000-12-31, bins: 4, missing: true, out_of_domain: clip}
  e: {kind: datetime, lower: 2000-01-01T00:00:00, upper: 2000-12-31T00:00:00, bins: 4, missing: true,
      out_of_domain: clip}
  f: {kind: identifier, format: "###"}
  g: {kind: integer, lower: 0, upper: 9, missing: false, out_of_domain: clip}
  h: {kind: integer, lower: 0, upper: 9, missing: false, out_of_domain: clip}
constraints:
  - at_most: [g, h]
""")
    findings = audited(subject(schema), only=("outlier 0 -> 1", "empty -> 1", "row of NaN"))
    assert broken(findings) == set()
    assert findings["sensitivity"].value == pytest.approx(1)


def test_what_is_to_be_bought_is_made_up_on_either_side():
    schema = OpenSchema.loads("""
privacy_unit: row
columns:
  low: {kind: integer, lower: buy, upper: 9, missing: false, bins: 4, out_of_domain: clip}
  day: {kind: date, lower: 2000-01-01, upper: buy, missing: false, bins: 4, out_of_domain: clip}
  nul: {kind: boolean, missing: buy}
""")
    cells = neighbours(schema)[0].second
    assert max(cells["low"]) <= 9
    assert min(cells["day"]).isoformat() >= "2000-01-01"
    assert set(cells["nul"]) <= {True, False, None}


# ---- clean runs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "terms"),
    [
        (UNITS, {"mechanism": "mst"}),
        (UNITS, {"mechanism": "aim"}),
        (UNITS, {"mechanism": "mst", "delta": 0.0, "adjacency": "replace-one"}),
        (ROWS, {"mechanism": "mst", "noise": "opendp"}),
    ],
)
def test_the_library_is_clean_and_reaches_its_bounds(schema, terms):
    found = subject(schema, **terms)
    few = ("outlier 1 -> 2", "unit of 3 rows alike", "unit of 5 rows apart", "empty -> 1")
    findings = audited(found, only=few if terms["mechanism"] == "aim" else None)
    assert broken(findings) == set()
    assert all(f.verdict is Verdict.consistent for f in findings.values())
    assert {"calls", "sensitivity", "price", "total", "ledger", "outcome"} <= set(findings)
    assert ("selection" in findings) == (terms["mechanism"] == "aim" or terms.get("delta") == 0)
    assert findings["sensitivity"].value == pytest.approx(1)  # so a smaller one that is booked would show
    assert findings["price"].value == pytest.approx(1)
    assert findings["total"].value > 0.4


def test_what_is_bought_is_clean_and_thresholds_are_looked_at():
    findings = audited(subject(OPEN, epsilon=8.0), rows=200)
    assert broken(findings) == set()
    assert findings["thresholds"].value == pytest.approx(1)


def test_whole_fits_are_clean_and_equal_to_the_byte():
    findings = replay(
        subject(UNITS), [p for p in neighbours(UNITS) if p.name in ("empty -> 1", "unit of 3 rows alike")]
    )
    assert all(f.verdict is Verdict.consistent for f in findings)
    assert all(f.publishable and f.seconds > 0 for f in findings)


# ---- planted mistakes: each is caught by the check that is for it ------------------------------------


def test_a_question_that_depends_on_the_rows_is_caught(monkeypatch):
    real = Codec.encode
    rows = []

    def watched(self, source):
        table = real(self, source)
        rows.append(len(self.codes(source)[0]))
        return table

    def run(curator, progress):
        purpose = "few" if rows[-1] < 31 else "many"
        return Measured(measure_one_ways(curator, curator.left, progress, purpose=purpose), ())

    monkeypatch.setattr(Codec, "encode", watched)
    rounds = Mechanism(name="peeks", summary="", plan=MECHANISMS["independent"].plan, run=run)
    findings = audited(subject(mechanism=rounds))
    assert broken(findings) == {"calls"}
    assert "outlier 0 -> 1, call 1 (measure: many): another asked" in findings["calls"].summary


def test_a_round_more_on_one_table_is_caught(monkeypatch):
    real = Codec.encode
    rows = []
    monkeypatch.setattr(
        Codec, "encode", lambda self, source: rows.append(len(self.codes(source)[0])) or real(self, source)
    )

    def run(curator, _):
        share = curator.left / 4
        asked = [0, 1] if rows[-1] < 31 else [0, 1, 0]
        found = [curator.measure(one_way(curator.domain, c), budget=share, purpose="a") for c in asked]
        return Measured(tuple(found[:2]), ())

    rounds = Mechanism(name="peeks", summary="", plan=MECHANISMS["independent"].plan, run=run)
    findings = audited(subject(mechanism=rounds))
    assert "calls" in broken(findings)
    assert "2 calls here and 3 there" in findings["calls"].summary


def test_rows_of_a_unit_beyond_its_bound_are_caught(monkeypatch):
    monkeypatch.setattr("dpsynth.data.codec.keep_rows", lambda ids, _: np.flatnonzero(ids >= 0))
    findings = audited(subject(UNITS))
    assert "sensitivity" in broken(findings)
    assert "unit of 5 rows alike" in findings["sensitivity"].summary
    assert findings["sensitivity"].value == pytest.approx(5 / 3)


def test_the_sensitivity_of_a_row_where_a_unit_has_three_is_caught(monkeypatch):
    monkeypatch.setattr("dpsynth.privacy.curator.of_counts", lambda _: acts_of(1))
    findings = audited(subject(UNITS))
    assert broken(findings) >= {"sensitivity", "total"}


def acts_of(rows):
    from dpsynth.privacy.sensitivity import Sensitivity

    return Sensitivity(l1=rows, l2_squared=rows**2)


def test_rare_values_dropped_by_exact_count_are_caught_between_one_and_two_copies(monkeypatch):
    real = Codec.encode

    def dropping(self, source):
        from dpsynth.privacy.sealed import CodedTable

        real(self, source)
        codes = self.codes(source)
        keep = np.ones(codes[0].size, dtype=bool)
        for column in codes:
            counts = np.bincount(column, minlength=1)
            keep &= counts[column] >= 2
        return CodedTable(self.domain, [c[keep] for c in codes])

    monkeypatch.setattr(Codec, "encode", dropping)
    assert "sensitivity" in broken(audited(subject(), only=("outlier 1 -> 2",)))
    assert "sensitivity" not in broken(audited(subject(), only=("outlier 0 -> 1",)))


def test_a_choice_with_twice_its_epsilon_is_caught(monkeypatch):
    monkeypatch.setattr(
        "dpsynth.privacy.curator.epsilon_for", lambda budget, calculus: 2 * acts.epsilon_for(budget, calculus)
    )
    monkeypatch.setattr(
        "dpsynth.privacy.ledger.price",
        lambda act, calculus: price(
            dataclasses.replace(act, epsilon=act.epsilon / 2)
            if isinstance(act, ExponentialMechanism)
            else act,
            calculus,
        ),
    )
    findings = audited(subject(UNITS, mechanism="aim"), only=("outlier 0 -> 1", "unit of 3 rows alike"))
    assert "price" in broken(findings)
    assert "(select:" in findings["price"].summary
    assert findings["price"].value == pytest.approx(4, rel=0.1)


def test_a_choice_whose_scores_move_further_than_booked_is_caught(monkeypatch):
    monkeypatch.setattr("dpsynth.privacy.curator.of_a_distance", lambda _: 1)
    findings = audited(subject(UNITS, mechanism="aim"), only=("unit of 3 rows alike",))
    assert "sensitivity" in broken(findings)
    assert "(select:" in findings["sensitivity"].summary


def test_an_act_that_is_not_booked_is_caught(monkeypatch):
    monkeypatch.setattr(Curator, "_charge", lambda self, *_: type("Entry", (), {"number": 0})())
    findings = audited(subject())
    assert broken(findings) >= {"price"}
    assert findings["price"].value > 1e100


def test_a_budget_that_is_not_divided_is_caught(monkeypatch):
    monkeypatch.setattr("dpsynth.privacy.ledger.price", lambda *_: Fraction(0))
    monkeypatch.setattr(
        "dpsynth.mechanisms.independent.measure_one_ways",
        lambda curator, budget, _: tuple(
            curator.measure(one_way(curator.domain, c), budget=budget, purpose="each the whole")
            for c in range(len(curator.domain))
        ),
    )
    findings = audited(subject())
    assert broken(findings) >= {"price", "total"}
    assert findings["total"].value == pytest.approx(2, rel=1e-3)


def test_spending_beyond_the_claim_is_caught(monkeypatch):
    monkeypatch.setattr("dpsynth.privacy.ledger.Ledger.refuse", lambda *_: None)
    monkeypatch.setattr(
        "dpsynth.mechanisms.independent.measure_one_ways",
        lambda curator, budget, _: tuple(
            curator.measure(one_way(curator.domain, c), budget=budget, purpose="each the whole")
            for c in range(len(curator.domain))
        ),
    )
    assert broken(audited(subject())) >= {"ledger", "total"}


def test_a_threshold_that_forgets_that_a_unit_has_three_rows_is_caught(monkeypatch):
    real = acts._chance_above
    monkeypatch.setattr(acts, "_chance_above", lambda act: real(dataclasses.replace(act, rows=1)))
    findings = audited(subject(OPEN, epsilon=8.0), rows=200)
    assert "thresholds" in broken(findings)
    assert "unit of 3 rows" in findings["thresholds"].summary


def test_categories_read_from_the_rows_are_caught(monkeypatch):
    real = Seller.discover

    def discover(self, column, **more):
        found = real(self, column, **more)
        labels = self._log.calls[-1].labels[:-1]
        counts = np.full(len(labels), 10_000, dtype=np.int64)
        return dataclasses.replace(found, labels=labels, counts=counts)

    monkeypatch.setattr(Seller, "discover", discover)
    findings = audited(subject(OPEN, epsilon=8.0), only=("outlier 0 -> 1",), rows=200)
    assert "calls" in broken(findings) or "outcome" in broken(findings)


def test_a_refusal_that_depends_on_the_rows_is_caught(monkeypatch):
    real = Codec.encode

    def encode(self, source):
        if len(self.codes(source)[0]) > 35:
            raise ValueError("too many rows")
        return real(self, source)

    monkeypatch.setattr(Codec, "encode", encode)
    findings = audited(subject(), only=("outlier 5 -> 6",))
    assert "outcome" in broken(findings)
    assert "too many rows" in findings["outcome"].summary


def test_an_exact_number_of_rows_in_the_output_is_caught(monkeypatch):
    rows = []
    encode, sample = Codec.encode, Release.sample
    monkeypatch.setattr(
        Codec, "encode", lambda self, source: rows.append(len(self.codes(source)[0])) or encode(self, source)
    )
    monkeypatch.setattr(
        Release, "sample", lambda self, n=None, **more: sample(self, rows[-1] if n is None else n, **more)
    )
    findings = audited(subject(), whole=True, only=("outlier 0 -> 1",))
    assert broken(findings) == {"outcome"}
    assert "another rows and sample" in findings["outcome"].summary


# ---- one mistake each, in traces made by hand --------------------------------------------------------


def call(exact, **changes):
    stated = {
        "kind": "measure",
        "asked": {"purpose": "a"},
        "norm": "l2",
        "sensitivity": 1.0,
        "scale": 10.0,
        "price": 0.01,
        "exact": np.array(exact),
        "answer": np.array(exact),
    }
    return Call(**{**stated, **changes})


def trace(*calls, spent=None, claimed=1.0, calculus="gdp", ended="done", **shape):
    spent = sum(c.price for c in calls) if spent is None else spent
    return Trace(
        calls=calls,
        outcome=Outcome(ended=ended, shape=shape),
        spent=spent,
        claimed=claimed,
        calculus=calculus,
    )


def judged(first, second):
    found = judge([Compared(subject="s", pair="p", first=first, second=second)])
    return {f.check.split(".")[1] for f in found if f.verdict is Verdict.violation}


def test_traces_by_hand():
    clean = trace(call([3, 4]))
    assert judged(clean, trace(call([3, 5]))) == set()
    assert judged(clean, trace(call([4, 5]))) == {"sensitivity"}
    assert judged(clean, trace(call([3, 5], scale=9.0))) == {"calls", "price"}
    assert judged(clean, trace(call([3, 5], kind="count"))) == {"calls"}
    assert judged(clean, trace(call([3, 5, 0]))) == {"calls"}
    assert judged(clean, trace(call([3, 5]), rows=7)) == {"outcome"}
    assert judged(clean, trace(call([3, 5]), ended="E: no")) == {"outcome"}
    assert judged(clean, trace(call([3, 5]), spent=0.02)) == {"ledger"}
    assert judged(trace(call([3])), trace(call([3], sensitivity=0.0, scale=0.0, price=0.0))) == {
        "calls",
        "price",
    }
    quiet = trace(call([3], sensitivity=0.0))
    assert judged(quiet, quiet) == set()
    assert judged(quiet, trace(call([4], sensitivity=0.0))) == {"sensitivity"}
    large = trace(*[call([3]) for _ in range(200)])
    assert judged(large, large) == {"ledger"}
    chosen = call([3, 8, 5], kind="select", norm="range", scale=1.0, price=1.0, sensitivity=1.0)
    first = trace(chosen, calculus="pure")
    assert (
        judged(first, trace(dataclasses.replace(chosen, exact=np.array([4, 7, 5])), calculus="pure")) == set()
    )
    further = trace(dataclasses.replace(chosen, exact=np.array([5, 6, 5])), calculus="pure")
    assert judged(first, further) == {"sensitivity", "selection", "total"}
    bare = trace(call([3], scale=0.0))
    assert judged(bare, trace(call([4], scale=0.0))) == {"price", "total"}


def test_movements_that_stay_far_below_their_bound_show_nothing():
    small = call([3, 4], sensitivity=3.0, scale=30.0)
    found = judge(
        [
            Compared(
                subject="s",
                pair="p",
                first=trace(small),
                second=trace(call([3, 5], sensitivity=3.0, scale=30.0)),
            )
        ]
    )
    (finding,) = [f for f in found if f.check == "replay.sensitivity"]
    assert finding.verdict is Verdict.inconclusive
    assert "No pair comes near its bound" in finding.summary


def test_a_movement_that_is_no_number_stays_a_violation():
    lost = trace(call([3.0, math.nan], sensitivity=3.0, scale=30.0))
    whole = trace(call([3.0, 4.0], sensitivity=3.0, scale=30.0))
    compared = [Compared(subject="s", pair="p", first=whole, second=other) for other in (whole, lost)]
    (finding,) = [f for f in judge(compared) if f.check == "replay.sensitivity"]
    assert finding.verdict is Verdict.violation


def test_newcomers_without_a_booked_delta_are_caught():
    asked = {"purpose": "a", "threshold": 20, "rows": 1, "law": "ThresholdedGaussian", "delta": 0.0}
    one = trace(call([5, 1], kind="discover", labels=("a", ""), asked=asked))
    two = trace(call([5, 1, 1], kind="discover", labels=("a", "b", ""), asked=asked))
    assert judged(one, one) == set()
    assert judged(one, two) == {"thresholds"}


def test_runs_that_all_fail_are_no_pass():
    failing = trace(call([3]), ended="BudgetRefusedError: no")
    found = judge([Compared(subject="s", pair="p", first=failing, second=failing)])
    (outcome,) = [f for f in found if f.check == "replay.outcome"]
    assert outcome.verdict is Verdict.inconclusive
    assert "no run of s came to its end: BudgetRefusedError: no" in outcome.summary


def test_nothing_to_replay_is_no_pass():
    (finding,) = judge([Compared(subject="s", pair="p", first=trace(), second=trace())])
    assert finding.verdict is Verdict.inconclusive
    assert finding.check == "replay.calls"
    (finding,) = judge([])
    assert "none was made" in finding.summary
    failing = replay(subject(), [family.Pair(name="p", first=pd.DataFrame(), second=pd.DataFrame())])
    assert [f.verdict for f in failing] == [Verdict.inconclusive]
    assert "DataError" in failing[0].summary


# ---- the arithmetic ----------------------------------------------------------------------------------


def test_distances_are_in_the_norm_of_the_noise():
    for norm, expected in (("l2", 5.0), ("l1", 7.0), ("range", 4.0)):
        assert moved(call([0, 0], norm=norm), call([3, -4], norm=norm)) == expected
    one = call([9, 2, 7], labels=("a", "b", ""))
    assert moved(one, call([7, 6, 9], labels=("c", "", "a"))) == 1.0
    assert moved(call([], labels=()), call([], labels=())) == 0.0


def test_the_loss_of_a_choice_against_its_law():
    one = call([3, 8, 5], norm="range", sensitivity=2.0, scale=1.5)
    two = call([5, 6, 5], norm="range", sensitivity=2.0, scale=1.5)

    def law(c):
        weights = [math.exp(1.5 * q / 4) for q in c.exact.tolist()]
        return [w / sum(weights) for w in weights]

    losses = [math.log(p / q) for p, q in zip(law(one), law(two), strict=True)]
    assert loss_of(one, two) == pytest.approx((max(losses) - min(losses), max(map(abs, losses))))
    far = call([10**30, 10**30 + 2, 0], norm="range", scale=1.0)
    near = dataclasses.replace(far, exact=np.array([10**30 + 1, 10**30 + 1, 0], dtype=object))
    assert loss_of(dataclasses.replace(far, exact=far.exact.astype(object)), near)[0] == pytest.approx(1)


@pytest.mark.parametrize("calculus", ["gdp", "zcdp", "pure"])
def test_prices_agree_with_the_library(calculus):
    choice = ExponentialMechanism(epsilon=0.7, sensitivity=2, candidates=3)
    stated = call([1, 2], norm="range", sensitivity=2.0, scale=0.7)
    assert promised(stated, calculus) == pytest.approx(float(price(choice, calculus)), rel=1e-12)
    laplace = acts.DiscreteLaplace(scale=3.0, sensitivity=2)
    stated = call([1, 2], norm="l1", sensitivity=2.0, scale=3.0)
    assert promised(stated, calculus) == pytest.approx(float(price(laplace, calculus)), rel=1e-12)
    gauss = call([0, 0], sensitivity=2.0, scale=4.0)
    expected = {"gdp": 0.25, "zcdp": 0.125, "pure": math.inf}[calculus]
    assert promised(gauss, calculus) == expected
    assert price_of(gauss, call([2, 0], scale=4.0), calculus) == expected
    assert price_of(gauss, gauss, calculus) == 0
    chosen = call([0, 0], norm="range", scale=0.7), call([1, -1], norm="range", scale=0.7)
    span, greatest = loss_of(*chosen)
    assert span == pytest.approx(0.7)
    assert price_of(*chosen, "pure") == greatest


def test_the_chance_of_newcomers_is_the_delta_of_the_act():
    for law, make in (
        ("ThresholdedGaussian", acts.ThresholdedGaussian),
        ("ThresholdedDiscreteGaussian", acts.ThresholdedDiscreteGaussian),
    ):
        act = make(sigma=3.0, sensitivity_squared=9, rows=3, threshold=12)
        asked = {"threshold": 12, "law": law}
        none = call([4], labels=("",), scale=3.0, asked=asked)
        together = call([3, 4], labels=("a", ""), scale=3.0, asked=asked)
        apart = call([1, 1, 1, 4], labels=("a", "b", "c", ""), scale=3.0, asked=asked)
        chances = [newcomers(none, other)[0] for other in (together, apart)]
        assert newcomers(apart, none) == (chances[1], 3)
        if law == "ThresholdedGaussian":
            assert max(chances) == pytest.approx(float(acts.delta_of(act)), rel=1e-9)
        else:
            assert max(chances) < float(acts.delta_of(act))


# ---- the level ---------------------------------------------------------------------------------------


@pytest.mark.statistical
def test_a_synthesizer_of_ones_own_is_audited_on_its_schema(monkeypatch):
    """False alarms of the noise's tests: 1e-6 together; replay and prices have none."""
    monkeypatch.setattr("dpsynth.audit.unit._ALPHA", 1e-6)
    found = unit_level(subject(UNITS).synthesizer, seed=3)
    assert {f.check.split(".")[0] for f in found} >= {"replay", "accounting", "noise"}
    assert all(f.verdict is Verdict.consistent for f in found if not f.check.startswith("noise"))
    assert all(f.verdict is not Verdict.violation for f in found)
    assert {f.details["subject"] for f in found if f.check.startswith("noise")} == {subject(UNITS).name}
    assert all(f.publishable and f.level == "unit" for f in found)


def test_a_family_for_which_time_is_too_short_is_said_to_be_unfinished():
    *others, family_of = replay_findings([subject()], seconds=0.0)
    assert all(f.verdict is Verdict.consistent for f in others)
    assert family_of.check == "replay.family"
    assert family_of.verdict is Verdict.inconclusive
    assert "outlier 1 -> 2" in family_of.details["left out"]
    assert "outlier 0 -> 1" not in family_of.details["left out"]


def test_without_one_every_mechanism_and_every_way_of_booking_is():
    names = [s.name for s in own_subjects()]
    assert {n.split(" ")[0] for n in names} == set(MECHANISMS)
    for part in ("gdp", "zcdp", "pure", "replace-one", "add-remove"):
        assert any(part in n for n in names)
    assert any(isinstance(s.schema, OpenSchema) for s in own_subjects())
    small = [s for s in own_subjects() if s.name.startswith("independent")]
    assert all(f.verdict is Verdict.consistent for f in replay_findings(small[:1]))
