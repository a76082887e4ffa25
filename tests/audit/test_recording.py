"""The recorded road: it is the real one, what it says is true, and it can give its answers again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dpsynth import Schema, Synthesizer
from dpsynth.audit.listening import NULLS
from dpsynth.audit.recording import LibrarySubject
from dpsynth.errors import InputError
from dpsynth.mechanisms import MECHANISMS
from dpsynth.privacy.curator import Curator
from dpsynth.privacy.seller import Seller
from dpsynth.schema import OpenSchema
from dpsynth.schema.table import UnitColumn

ROWS = pd.DataFrame({"a": [0, 1, 2] * 20, "b": [0, 1] * 30, "c": [0, 0, 1, 1, 2, 3] * 10})
CLOSED = Schema.from_domain({"a": 3, "b": 2, "c": 4})
OPEN = OpenSchema.loads("""
privacy_unit: row
columns:
  town: {kind: categorical, values: buy, missing: buy}
  age: {kind: integer, lower: 0, upper: buy, edges: buy tree, missing: true, bins: 4, out_of_domain: clip}
""")
SHOP = pd.DataFrame({"town": ["Ulm", "Bonn", None] * 300, "age": [*range(30), None] * 29 + [70.0]})


def subject(schema=CLOSED, **terms):
    terms = {"epsilon": 1.0, "delta": 1e-9, "mechanism": "mst", **terms}
    return LibrarySubject(synthesizer=Synthesizer(schema, **terms))


@pytest.mark.parametrize(
    ("terms", "calculus"),
    [
        ({}, "gdp"),
        ({"noise": "opendp"}, "zcdp"),
        ({"delta": 0.0}, "pure"),
        ({"adjacency": "replace-one"}, "gdp"),
    ],
)
def test_every_call_is_noted_with_what_was_true_and_what_was_booked(terms, calculus):
    found = subject(**terms)
    trace = found.run(ROWS)
    assert trace.outcome.ended == "done"
    assert trace.calculus == found.calculus == calculus
    assert [c.exact.tolist() for c in trace.calls[:3]] == [[20, 20, 20], [30, 30], [20, 20, 10, 10]]
    for call in trace.calls:
        assert call.scale > 0
        if call.norm != "range":
            assert call.answer.shape == call.exact.shape
    assert trace.calls[0].norm == ("l1" if calculus == "pure" else "l2")
    sides = 2 if terms.get("adjacency") == "replace-one" else 1
    assert trace.calls[0].sensitivity == pytest.approx(sides**0.5)
    assert sum(c.price for c in trace.calls) == pytest.approx(trace.spent, rel=1e-12)
    assert trace.spent <= trace.claimed
    assert trace.claimed == found.guarantee.budget(calculus)
    assert trace.outcome.shape["rows"] > 0


@pytest.mark.parametrize("name", MECHANISMS)
def test_an_earlier_run_is_given_again_to_the_byte(name):
    found = subject(mechanism=name, workload="all-2-way" if name == "fixed" else None, epsilon=4.0)
    first = found.run(ROWS)
    again = found.run(ROWS[:-1], script=first)
    assert again.outcome == first.outcome
    assert len(again.calls) == len(first.calls)
    for one, two in zip(first.calls, again.calls, strict=True):
        assert np.array_equal(one.answer, two.answer)
        assert (one.kind, one.asked, one.scale) == (two.kind, two.asked, two.scale)
    assert not np.array_equal(first.calls[0].exact, again.calls[0].exact)
    fresh = found.run(ROWS).outcome.shape
    assert all(fresh[key] != first.outcome.shape[key] for key in ("sample", "more rows", "saved"))


def test_without_a_script_the_noise_is_the_doors_own():
    found = subject(mechanism="independent")
    drawn = [found.run(ROWS, measure_only=True).calls[0].answer.tolist() for _ in range(5)]
    assert len({tuple(numbers) for numbers in drawn}) == 5  # by chance alone: below 1e-6 at sigma over 40


def test_measuring_alone_asks_the_same():
    found = subject()
    whole = found.run(ROWS)
    part = found.run(ROWS, script=whole, measure_only=True)
    assert [c.asked for c in part.calls] == [c.asked for c in whole.calls]
    assert part.claimed == whole.claimed
    assert "rows" not in part.outcome.shape
    assert all(whole.outcome.shape[k] == v for k, v in part.outcome.shape.items() if k != "warnings")


def test_what_is_bought_is_noted_by_label_and_frozen():
    found = subject(OPEN, epsilon=8.0, delta=1e-6)
    first = found.run(SHOP)
    assert first.outcome.ended == "done"
    assert {c.kind for c in first.calls} >= {"count", "discover", "measure"}
    (look, *_) = [c for c in first.calls if c.kind == "discover"]
    assert look.labels == ("Ulm", "Bonn", NULLS)
    assert look.exact.tolist() == [300, 300, 300]
    assert look.asked["law"] == "ThresholdedGaussian"
    assert 0 < look.asked["delta"] < 1e-6
    assert look.asked["threshold"] >= 1
    other = pd.concat([SHOP, pd.DataFrame({"town": ["Kiel"], "age": [3.0]})])
    again = found.run(other, script=first)
    (seen, *_) = [c for c in again.calls if c.kind == "discover"]
    assert seen.labels == ("Ulm", "Bonn", "Kiel", NULLS)
    assert again.outcome == first.outcome
    assert found.schema is OPEN


def test_the_unit_bound_is_the_real_one():
    schema = CLOSED.model_copy(update={"privacy_unit": UnitColumn(column="who", max_rows=3)})
    rows = ROWS.assign(who=["one"] * 30 + [None] * 10 + [f"p{i}" for i in range(20)])
    trace = subject(schema).run(rows, measure_only=True)
    assert int(trace.calls[0].exact.sum()) == 23
    assert trace.calls[0].sensitivity == 3


def test_how_a_run_fails_is_its_outcome():
    trace = subject().run(ROWS.drop(columns="b"))
    assert trace.outcome.ended.startswith("DataError: ")
    assert trace.calls == ()
    assert trace.spent == 0
    assert trace.claimed == subject().guarantee.budget("gdp")


def test_a_fit_that_fails_in_the_plan_has_an_outcome(monkeypatch):
    monkeypatch.setattr(Synthesizer, "plan", lambda *_: 1 / 0)
    trace = subject().run(ROWS)
    assert trace.outcome.ended == "ZeroDivisionError: division by zero"
    assert trace.spent == 0 < trace.claimed


def test_warnings_are_part_of_the_outcome():
    assert any(
        "budget is small" in text for text in subject(epsilon=1e-5).run(ROWS).outcome.shape["warnings"]
    )


@pytest.mark.parametrize("name", ["measure", "score"])
def test_an_answer_beside_the_noise_is_noted_as_without_any(monkeypatch, name):
    def bare(self, query, *, budget, purpose):
        found = real(self, query, budget=budget, purpose=purpose)
        self._log.calls.pop()  # as if no noise had been asked for
        return found

    def bare_score(self, queries, reference, *, budget, purpose):
        found = real(self, queries, reference, budget=budget, purpose=purpose)
        self._log.calls.pop()
        return found

    real = getattr(Curator, name)
    monkeypatch.setattr(Curator, name, bare if name == "measure" else bare_score)
    trace = subject().run(ROWS, measure_only=True)
    assert all((c.scale == 0) == (c.kind == name) for c in trace.calls)


def test_what_the_ledger_omits_has_no_price(monkeypatch):
    monkeypatch.setattr(Curator, "_charge", lambda self, *_: type("Entry", (), {"number": 0})())
    trace = subject(mechanism="independent").run(ROWS, measure_only=True)
    assert len(trace.calls) == 3
    assert all(c.price == 0 for c in trace.calls)


def test_what_a_seller_counts_is_noted_before_its_noise(monkeypatch):
    monkeypatch.setattr(Seller, "_draw", lambda self, size, act: np.zeros(size, dtype=np.int64))
    trace = subject(OPEN, epsilon=8.0, delta=1e-6).run(SHOP, measure_only=True)
    counts = [c for c in trace.calls if c.kind == "count"]
    assert counts
    assert all(np.array_equal(c.exact, c.answer) for c in counts)


def test_its_name_says_what_was_audited():
    assert subject().name == "mst (epsilon=1, delta=1e-09, gdp, add-remove)"


def test_listening_doors_read_no_file(tmp_path):
    (tmp_path / "private.csv").write_text("a,b\n0,1\n")
    own = LibrarySubject(
        synthesizer=Synthesizer(Schema.from_domain({"a": 3, "b": 2}), epsilon=1.0, delta=1e-9)
    )
    for name in (tmp_path / "private.csv", str(tmp_path / "private.csv")):
        with pytest.raises(InputError, match="made-up rows are theirs, and no file"):
            own.run(name)
