"""Workloads: what they name, what they weigh, and what they refuse."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth import Schema, Synthesizer
from dpsynth.domain import Axis, Domain
from dpsynth.errors import InputError, SchemaError
from dpsynth.mechanisms import Mechanism, Terms, Workload
from dpsynth.mechanisms.workload import column_weights, downward_closure

DOMAIN = Domain((Axis("age", 10), Axis("sex", 2), Axis("income", 5), Axis("state", 50)))


def test_all_ways_and_targets() -> None:
    assert Workload.parse("all-2-way").resolve(DOMAIN) == dict.fromkeys(
        itertools.combinations(range(4), 2), 1.0
    )
    assert list(Workload.parse("target:income").resolve(DOMAIN)) == [(0, 1, 2), (0, 2, 3), (1, 2, 3)]
    assert Workload(ways=2, target="sex").resolve(DOMAIN) == {(0, 1): 1.0, (1, 2): 1.0, (1, 3): 1.0}
    assert list(Workload(ways=1, target="sex").resolve(DOMAIN)) == [(1,)]
    assert list(Workload(ways=7).resolve(DOMAIN)) == [(0, 1, 2, 3)]
    assert list(Workload(ways=2, target="sex").resolve(Domain((Axis("sex", 2),)))) == [(0,)]


def test_the_cap_leaves_out_of_all_and_refuses_what_is_named() -> None:
    assert list(Workload(ways=2, largest=100).resolve(DOMAIN)) == [(0, 1), (0, 2), (1, 2), (1, 3)]
    with pytest.raises(InputError, match="every marginal of the workload has more than largest=3"):
        Workload(ways=2, largest=3).resolve(DOMAIN)
    with pytest.raises(InputError, match=r"\(state, age\) has 500 cells, above largest=100"):
        Workload.of([("state", "age")], largest=100).resolve(DOMAIN)


def test_named_marginals_have_weights() -> None:
    given_weights = Workload.of({("income", "age"): 2.5, ("sex",): 1})
    assert given_weights.resolve(DOMAIN) == {(0, 2): 2.5, (1,): 1.0}
    assert Workload.of([("sex", "age"), "state"]).resolve(DOMAIN) == {(0, 1): 1.0, (3,): 1.0}


def test_a_file_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("marginals:\n  - [age, income]\n  - {columns: [sex, state], weight: 2.5}\nlargest: 100\n")
    assert Workload.parse(str(file)) == Workload.of(
        {("age", "income"): 1.0, ("sex", "state"): 2.5}, largest=100
    )
    file.write_text("ways: 2\ntarget: sex\n")
    assert Workload.parse(str(file)) == Workload(ways=2, target="sex")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ways: 2\nway: 3\n", "unknown key 'way'"),
        ("marginals: age\n", "marginals is not a list"),
        ("marginals: [age]\n", "a marginal is a list of columns"),
        ("marginals: [{weight: 2}]\n", "a marginal is a list of columns"),
        ("marginals: [{columns: [age], importance: 2}]\n", "a marginal is a list of columns"),
        ("marginals: [{columns: age}]\n", "a marginal is a list of columns"),
        ("marginals: [{columns: [age], weight: much}]\n", "weight 'much'"),
        ("marginals: [[age, 7]]\n", "needs one or more column names"),
        ("marginals: []\n", "either `ways` or a list"),
        ("ways: two\n", "ways='two'"),
        ("ways: 2\nmarginals: [[age]]\n", "either `ways` or a list"),
        ("ways: [\n", "not valid YAML"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "w.yml"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        Workload.parse(str(file))
    if message == "not valid YAML":
        assert isinstance(caught.value, SchemaError)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "either `ways` or a list"),
        ({"ways": 0}, "ways=0"),
        ({"ways": 9}, "from 1 to 8"),
        ({"ways": True}, "ways=True"),
        ({"ways": 2, "largest": 0}, "largest=0"),
        ({"marginals": ((("a",), 1.0),), "target": "a"}, "target goes with `ways`"),
        ({"marginals": (((), 1.0),)}, "one or more column names"),
        ({"marginals": (((1,), 1.0),)}, "one or more column names"),
        ({"marginals": ((("a", "a"), 1.0),)}, r"\(a, a\) repeats a column"),
        ({"marginals": ((("a", "b"), 1.0), (("b", "a"), 1.0))}, r"\(b, a\) twice"),
        ({"marginals": ((("a",), 0.0),)}, "weight 0.0"),
        ({"marginals": ((("a",), -1.0),)}, "weight -1.0"),
        ({"marginals": ((("a",), float("nan")),)}, "weight nan"),
        ({"marginals": ((("a",), float("inf")),)}, "weight inf"),
        ({"marginals": ((("a",), "1"),)}, "weight '1'"),
    ],
)
def test_refused_at_birth(fields: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Workload(**fields)


@pytest.mark.parametrize("text", ["all-way", "3-way", "", "income", "all-three-way"])
def test_a_text_that_is_no_workload(text: str) -> None:
    with pytest.raises(InputError, match="none of: all-K-way, target:COLUMN, or a YAML file"):
        Workload.parse(text)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match="there is no such file"):
        Workload.parse("nowhere.yaml")


def test_unknown_columns_and_too_many_marginals() -> None:
    with pytest.raises(InputError, match="'incomes', which is no learned column; did you mean 'income'"):
        Workload.parse("target:incomes").resolve(DOMAIN)
    with pytest.raises(InputError, match=r"'zzz'.*the schema lists"):
        Workload.of([("age", "zzz")]).resolve(DOMAIN)
    many = Domain(tuple(Axis(f"c{i}", 2) for i in range(60)))
    with pytest.raises(InputError, match="5,461,512 marginals; 500,000 is the limit"):
        Workload(ways=5).resolve(many)


@given(data=st.data())
def test_weights_of_candidates_are_those_of_the_definition(data: st.DataObject) -> None:
    """``w_r = sum_s c_s |r & s|``, by brute force over the whole closure."""
    names = [f"c{i}" for i in range(6)]
    domain = Domain(tuple(Axis(n, 2) for n in names))
    sets = data.draw(
        st.sets(st.frozensets(st.sampled_from(names), min_size=1, max_size=4), min_size=1, max_size=6)
    )
    ordered = sorted(tuple(sorted(s)) for s in sets)
    weights = [data.draw(st.floats(0.1, 9)) for _ in ordered]
    workload = Workload.of(dict(zip(ordered, weights, strict=True))).resolve(domain)
    totals = column_weights(domain, workload)
    closure = downward_closure(workload)
    assert set(closure) == {
        tuple(sorted(r)) for s in workload for k in range(1, len(s) + 1) for r in itertools.combinations(s, k)
    }
    assert list(closure) == sorted(closure, key=lambda s: (len(s), s))
    for r in closure:
        expected = sum(c * len(set(r) & set(s)) for s, c in workload.items())
        assert totals[list(r)].sum() == pytest.approx(expected)
    assert all(len(r) <= 2 for r in downward_closure(workload, most=2))


def test_terms_are_checked_and_refused_where_nobody_takes_them() -> None:
    for name in ("model_size", "seconds"):
        for value in (0, -1.0, float("nan"), float("inf"), "1", True):
            with pytest.raises(InputError, match=f"{name}="):
                Terms(**{name: value})
    assert Terms(seconds=2, workload=Workload(ways=2)).given == ("workload", "seconds")
    plain = Mechanism(name="x", summary="", plan=lambda *_: (), run=lambda *_: None)
    assert plain.under(Terms()) is plain
    with pytest.raises(InputError, match="mechanism 'x' takes no seconds; it takes nothing"):
        plain.under(Terms(seconds=1))


def test_a_synthesizer_checks_its_workload_against_the_schema() -> None:
    schema = Schema.from_domain({"age": 85, "sex": 2})
    with pytest.raises(InputError, match="'ages', which is no learned column"):
        Synthesizer(schema, epsilon=1.0, delta=1e-9, workload="target:ages")
    with pytest.raises(InputError, match="mechanism 'oneshot' takes no workload"):
        Synthesizer(schema, epsilon=1.0, delta=1e-9, workload="all-2-way")


def test_the_plan_says_from_how_many_rows_on_the_budget_is_useful() -> None:
    """Independent arithmetic: s sigma sqrt(2/pi) / 2n = 0.1 for the middle of three columns."""
    schema = Schema.from_domain({"a": 2, "b": 10, "c": 100})
    synth = Synthesizer(schema, epsilon=1.0, delta=1e-9, mechanism="independent")
    plan = synth.plan()
    share = 10 ** (2 / 3) / (2 ** (2 / 3) + 10 ** (2 / 3) + 100 ** (2 / 3))
    sigma = (plan.budget * share) ** -0.5
    assert plan.useful_rows == pytest.approx(10 * sigma * np.sqrt(2 / np.pi) / 2 / 0.1, abs=1.01)
    assert plan.warnings == ()
    assert synth.plan(rows=plan.useful_rows).warnings == ()
    (warning,) = synth.plan(rows=plan.useful_rows - 1).warnings
    assert f"at least {plan.useful_rows:,} rows" in warning
    assert f"warning: {warning}" in str(synth.plan(rows=10))
    assert synth.plan(rows=10).to_dict()["warnings"] == [warning]


def test_a_hopeless_budget_is_warned_of_before_it_is_spent(tmp_path: Path) -> None:
    """Even a million rows would drown; the warning comes before the file is found to be missing."""
    schema = Schema.from_domain({"a": 2, "b": 10, "c": 100})
    synth = Synthesizer(schema, epsilon=1e-5, delta=1e-9, mechanism="independent")
    with pytest.warns(UserWarning, match="the budget is small"), pytest.raises(InputError):
        synth.fit(tmp_path / "nowhere.csv")
