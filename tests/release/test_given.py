"""Marginals and rows of a release under conditions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dpsynth import Schema, Synthesizer
from dpsynth.errors import InputError
from dpsynth.model.tree import TreeModel
from dpsynth.schema import Range

SCHEMA = Schema.loads("""
privacy_unit: row
columns:
  key: {kind: identifier, format: "K-######"}
  age: {kind: integer, missing: false, lower: 0, upper: 99, bins: 12}
  ward: {kind: categorical, missing: true, values: [north, south, east], out_of_domain: missing}
  paid: {kind: boolean, missing: false}
  grade: {kind: ordinal, missing: false, values: [a, b, c, d], out_of_domain: clip}
""")


@pytest.fixture(scope="module", params=["mst", "oneshot"])
def fitted(request):
    """A release of a table in which everything depends on age; a forest, and a network."""
    rng = np.random.default_rng(0)
    n = 20_000
    age = rng.integers(0, 100, n)
    ward = rng.choice(["north", "south", "east"], n)
    ward = np.where(rng.random(n) < age / 100, "north", ward)
    paid = rng.random(n) < np.where(ward == "north", 0.8, 0.2)
    grade = np.array(["a", "b", "c", "d"])[np.clip(age // 25 + rng.integers(-1, 2, n), 0, 3)]
    frame = pd.DataFrame({"key": "", "age": age, "ward": ward, "paid": paid, "grade": grade})
    frame.loc[::9, "ward"] = None
    return Synthesizer(SCHEMA, epsilon=10, delta=1e-9, mechanism=request.param).fit(frame)


def test_a_marginal_given_a_value_is_a_slice_of_the_joint_one(fitted):
    found = fitted.marginal(["grade"], given={"ward": "north"})
    wanted = fitted.marginal(["ward", "grade"])[0]
    np.testing.assert_allclose(found, wanted, atol=1e-3 * wanted.sum())
    assert fitted.marginal(["ward"], given={"ward": None})[-1] == pytest.approx(fitted.marginal(["ward"])[-1])


def test_the_conditions_of_all_values_add_up_to_the_whole(fitted):
    parts = [fitted.marginal(["paid", "grade"], given={"ward": w}) for w in ("north", "south", "east", None)]
    whole = fitted.marginal(["paid", "grade"])
    np.testing.assert_allclose(np.sum(parts, axis=0), whole, atol=5e-3 * whole.sum())


def test_a_range_counts_the_part_of_a_bin_that_is_in_it(fitted):
    ages = fitted.marginal(["age"])
    assert fitted.marginal([], given={"age": Range(at_most=99)}) == pytest.approx(ages.sum())
    tenth = sum(float(fitted.marginal([], given={"age": a})) for a in range(100))
    assert tenth == pytest.approx(ages.sum())


@pytest.mark.parametrize("method", ["systematic", "iid"])
@pytest.mark.parametrize(
    "where",
    [
        {"ward": "south"},
        {"age": Range(at_least=18, below=30), "ward": ["north", None]},
        {"grade": Range(above="b"), "paid": True},
    ],
)
def test_every_row_meets_the_conditions_and_rows_follow_the_marginals_given_them(fitted, where, method):
    n = 10_000
    rows = fitted.sample(n, seed=1, where=where, method=method, frame="pandas")
    assert len(rows) == n
    if "age" in where:
        assert rows["age"].between(18, 29).all()
    if where.get("ward") == "south":
        assert (rows["ward"] == "south").all()
    elif "ward" in where:
        assert (rows["ward"].isna() | (rows["ward"] == "north")).all()
    if "grade" in where:
        assert rows["grade"].isin(["c", "d"]).all()
        assert rows["paid"].all()
    for name, values in (("grade", ["a", "b", "c", "d"]), ("paid", [False, True])):
        shares = fitted.marginal([name], given=where)
        counted = rows[name].value_counts().reindex(values, fill_value=0).to_numpy() / n
        gap = np.abs(counted - shares / shares.sum()).sum()
        assert gap < (0.02 if method == "systematic" else 0.15)  # the latter are of the junction tree alone


def test_as_many_rows_are_drawn_as_are_estimated_to_meet_the_conditions(fitted):
    where = {"ward": "north"}
    assert len(fitted.sample(seed=0, where=where)) == round(float(fitted.marginal([], given=where)))
    assert len(fitted.sample(0, where=where)) == 0
    assert list(fitted.sample(0, where=where).columns) == list(SCHEMA.columns)


def test_no_conditions_are_the_release_itself(fitted):
    pd.testing.assert_frame_equal(fitted.sample(50, seed=3), fitted.sample(50, seed=3, where={}))
    np.testing.assert_array_equal(fitted.marginal(["age"]), fitted.marginal(["age"], given={}))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"nobody": 1}, "'nobody' is not in the schema"),
        ({"key": "K-000001"}, "'key' is never learned"),
        ({"age": 100}, "'age': this is not between"),
        ({"ward": "west"}, "'ward': this is not one of"),
        ({"age": Range(at_least=30, below=30)}, "'age': no value"),
    ],
)
def test_conditions_that_cannot_be_are_refused(fitted, said, words):
    for ask in (lambda: fitted.marginal(["paid"], given=said), lambda: fitted.sample(5, where=said)):
        with pytest.raises(InputError, match=words):
            ask()


def test_conditions_that_no_row_meets_are_refused():
    schema = Schema.from_domain({"a": 2, "b": 2})
    frame = pd.DataFrame({"a": [0] * 4000, "b": [0, 1] * 2000})
    fitted = Synthesizer(schema, epsilon=100, delta=1e-9, mechanism="independent").fit(frame)
    nodes = (np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    never = replace(fitted, model=TreeModel(fitted.model.domain, 10.0, nodes, ()))
    with pytest.raises(InputError, match=r"no row meets the conditions on .a.: they have probability zero"):
        never.sample(5, where={"a": 1})
    with pytest.raises(InputError, match=r"no row meets the conditions on .a., .b.: they have"):
        never.marginal(["b"], given={"a": 1, "b": 0})


RULED = Schema.loads("""
privacy_unit: row
columns:
  first: {kind: integer, missing: false, lower: 0, upper: 999, bins: 16}
  last: {kind: integer, missing: false, lower: 0, upper: 999, bins: 16}
  job: {kind: categorical, missing: false, values: [worker, retired], other_label: else, out_of_domain: other}
  age: {kind: integer, missing: false, lower: 0, upper: 99, bins: 20}
constraints:
  - {at_most: [first, last]}
  - {impossible: {job: [retired], age: {below: 50}}}
""")


@pytest.fixture(scope="module")
def ruled():
    rng = np.random.default_rng(0)
    first, age = rng.integers(0, 1000, 4_000), rng.integers(0, 100, 4_000)
    last = np.minimum(999, first + rng.integers(0, 300, 4_000))
    job = np.where((age >= 50) & (rng.random(4_000) < 0.6), "retired", "worker")
    frame = pd.DataFrame({"first": first, "last": last, "job": job, "age": age})
    return Synthesizer(RULED, epsilon=2, delta=1e-6).fit(frame)


@pytest.mark.parametrize("method", ["systematic", "iid"])
@pytest.mark.parametrize(
    "where",
    [
        {"job": "retired"},
        {"age": Range(at_least=40, at_most=57)},
        {"first": Range(at_least=130, at_most=140)},
        {"age": Range(below=30), "job": "worker"},
    ],
)
def test_rows_under_conditions_keep_the_constraints(ruled, where, method):
    rows = ruled.sample(2_000, seed=1, where=where, method=method)
    assert (rows["first"] <= rows["last"]).all()
    assert not ((rows["job"] == "retired") & (rows["age"] < 50)).any()
    if "job" in where:
        assert (rows["job"] == where["job"]).all()
    for name, said in where.items():
        if isinstance(said, Range):
            high = said.at_most if said.below is None else said.below - 1
            assert rows[name].between(said.at_least or 0, high).all()


def test_conditions_that_a_constraint_rules_out_are_refused(ruled):
    with pytest.raises(InputError, match="no row meets the conditions"):
        ruled.sample(3, where={"job": "retired", "age": 20})
