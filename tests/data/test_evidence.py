"""Conditions on columns in codes: what they leave of each code, what is drawn, and what is refused."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.data.codec import Codec
from dpsynth.data.lattice import Lattice
from dpsynth.data.source import open_source
from dpsynth.errors import InputError
from dpsynth.schema import Range, Schema

SCHEMA = Schema.loads("""
privacy_unit: row
columns:
  key: {kind: identifier, format: "K-####"}
  age: {kind: integer, missing: true, lower: 0, upper: 999, edges: [100, 400, 700]}
  low: {kind: integer, missing: false, lower: 0, upper: 9}
  share: {kind: real, missing: false, lower: 0, upper: 1, decimals: 2, bins: 8}
  day: {kind: date, missing: false, lower: 2024-01-01, upper: 2024-12-31, bins: 12}
  ward: {kind: categorical, missing: true, values: [north, south], other_label: else, out_of_domain: other}
  stage: {kind: ordinal, missing: false, values: [i, ii, iii, iv], out_of_domain: clip}
  paid: {kind: boolean, missing: true}
""")
CODEC = Codec(SCHEMA)


def weights(name, said):
    """The weights of a column's codes under one condition."""
    ((_, found),) = CODEC.evidence(CODEC.conditions({name: said})).items()
    return found


@pytest.mark.parametrize(
    ("name", "said", "wanted"),
    [
        ("low", 3, {3: 1.0}),
        ("low", np.int64(3), {3: 1.0}),
        ("low", [3, 5], {3: 1.0, 5: 1.0}),
        ("low", (3, 3), {3: 1.0}),
        ("low", Range(above=7), {8: 1.0, 9: 1.0}),
        ("low", Range(at_least=np.int64(9)), {9: 1.0}),
        ("age", None, {6: 1.0}),
        ("age", [None, 0], {0: 1.0, 6: 1.0}),
        ("age", Range(at_least=100, below=250), {2: 0.5}),
        ("age", Range(at_least=400), {3: 1.0, 4: 1.0, 5: 1.0}),
        ("age", [110, 120, 980], {2: 2 / 300, 4: 1 / 299}),
        ("ward", "south", {1: 1.0}),
        ("ward", ["else", None], {2: 1.0, 3: 1.0}),
        ("stage", Range(above="i", at_most="iii"), {1: 1.0, 2: 1.0}),
        ("stage", "iv", {3: 1.0}),
        ("paid", True, {1: 1.0}),
        ("paid", [False, None], {0: 1.0, 2: 1.0}),
    ],
)
def test_a_condition_leaves_of_each_code_the_share_for_which_it_holds(name, said, wanted):
    found = weights(name, said)
    np.testing.assert_allclose(found, [wanted.get(code, 0.0) for code in range(found.size)])


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"nobody": 1}, "'nobody' is not in the schema"),
        ({"key": "K-0001"}, "'key' is never learned"),
        ({"low": 10}, "'low': this is not between the column's bounds"),
        ({"low": 1.5}, "'low': .*is expected"),
        ({"low": True}, "'low': .*is expected"),
        ({"low": None}, "'low': the column is declared missing: false"),
        ({"low": []}, "'low': an empty list"),
        ({"low": Range(above=4, below=5)}, "'low': no value of the column lies in this range"),
        ({"low": Range(at_least=7, at_most=3)}, "'low': no value of the column lies in this range"),
        ({"share": 0.123}, "'share': this is not on the column's grid"),
        ({"ward": "east"}, "'ward': this is not one of the column's values"),
        ({"ward": Range(at_least="north")}, "'ward': .*has no order"),
        ({"paid": "yes"}, "'paid': .*is expected"),
    ],
)
def test_conditions_that_cannot_be_are_refused(said, words):
    with pytest.raises(InputError, match=words):
        CODEC.conditions(said)


@pytest.mark.parametrize(
    "said",
    [
        {"age": Range(at_least=12, at_most=17)},
        {"age": [11, 35, 80], "share": Range(below=0.07)},
        {"day": Range(at_least=dt.date(2024, 2, 20), below=dt.date(2024, 3, 5)), "low": [2, 9]},
        {"share": 0.5, "age": [None, 44]},
    ],
)
def test_decoded_values_meet_the_conditions_and_fill_them(said):
    conditions = CODEC.conditions(said)
    rng = np.random.default_rng(0)
    evidence = CODEC.evidence(conditions)
    n = 4_000
    codes = []
    for column, axis in enumerate(CODEC.domain):
        mass = evidence.get(column, np.ones(axis.size))
        codes.append(rng.choice(axis.size, n, p=mass / mass.sum()))
    layout = CODEC.layout(open_source(pd.DataFrame({name: [] for name in SCHEMA.columns})))
    frame = CODEC.decode(codes, layout, rng, conditions=conditions)
    for found, drawn in zip(CODEC.codes(open_source(frame)), codes, strict=True):
        np.testing.assert_array_equal(found, drawn)
    if said.get("age") == Range(at_least=12, at_most=17):
        assert sorted(set(frame["age"].astype(int))) == [12, 13, 14, 15, 16, 17]
        assert np.bincount(frame["age"].astype(int))[12:].min() > 0.8 * n / 6
    elif "age" in said:
        ages = set(frame["age"].dropna().astype(int))
        assert ages == {a for a in said["age"] if a is not None}
        assert frame["age"].isna().any() == (None in said["age"])
    if "share" in said:
        wanted = {0.5} if said["share"] == 0.5 else {i / 100 for i in range(7)}
        assert set(frame["share"].round(2)) == wanted
    if "day" in said:
        days = pd.to_datetime(frame["day"])
        assert (days.min(), days.max()) == (pd.Timestamp("2024-02-20"), pd.Timestamp("2024-03-04"))
        assert set(frame["low"].astype(int)) == {2, 9}


@given(st.data())
def test_points_are_drawn_evenly_from_what_is_held(data):
    """Shares and draws against an enumeration of every point."""
    length = data.draw(st.integers(1, 60))
    starts = sorted({0, *data.draw(st.lists(st.integers(0, length - 1), max_size=8))})
    ends = data.draw(st.lists(st.integers(0, length), unique=True, max_size=8).map(sorted))
    held = tuple(range(a, b) for a, b in zip(ends[::2], ends[1::2], strict=False)) or (range(0),)
    lattice = Lattice(length, np.array(starts), held)
    inside = np.zeros(length, dtype=bool)
    for span in held:
        inside[span.start : span.stop] = True
    bins = np.searchsorted(starts, np.arange(length), side="right") - 1
    wanted = np.bincount(bins, weights=inside) / np.bincount(bins)
    np.testing.assert_allclose(lattice.shares(), wanted)
    for b in range(len(starts)):
        points = lattice.draw(np.full(400, b), np.random.default_rng(0))
        assert (bins[points] == b).all()
        if wanted[b]:
            assert set(points) <= set(np.flatnonzero(inside & (bins == b)))


ORDERED = Schema.loads("""
privacy_unit: row
columns:
  first: {kind: integer, missing: false, lower: 0, upper: 999, bins: 8}
  last: {kind: integer, missing: false, lower: 0, upper: 999, bins: 8}
constraints:
  - {at_most: [first, last]}
""")


def test_a_range_of_one_compared_column_keeps_the_order():
    codec = Codec(ORDERED)
    rng = np.random.default_rng(0)
    layout = codec.layout(open_source(pd.DataFrame({"first": [0], "last": [1]})))
    for name, said in (("first", Range(at_least=130, at_most=140)), ("last", Range(below=5))):
        conditions = codec.conditions({name: said})
        weights = codec.evidence(conditions)[codec.domain.index(name)]
        bins = int(np.flatnonzero(weights)[0])
        frame = codec.decode([np.full(500, bins)] * 2, layout, rng, conditions=conditions)
        assert (frame["first"] <= frame["last"]).all()
        assert frame[name].between(*((130, 140) if name == "first" else (0, 4))).all()


@pytest.mark.parametrize(
    "said",
    [
        {"first": Range(at_most=140), "last": Range(at_most=140)},
        {"first": [3, 500]},
    ],
)
def test_conditions_that_cut_compared_columns_apart_are_refused(said):
    codec = Codec(ORDERED)
    conditions = codec.conditions(said)
    layout = codec.layout(open_source(pd.DataFrame({"first": [0], "last": [1]})))
    with pytest.raises(InputError, match="a constraint compares it"):
        codec.decode([np.zeros(1, dtype=int)] * 2, layout, np.random.default_rng(0), conditions=conditions)


MIXED = Schema.loads("""
privacy_unit: row
columns:
  whole: {kind: integer, missing: false, lower: 0, upper: 999, bins: 8}
  part: {kind: real, missing: false, lower: 0, upper: 998, decimals: 1, bins: 8}
constraints:
  - {at_most: [whole, part]}
""")


def test_a_range_between_the_points_of_a_coarser_column_is_refused():
    """No whole number from 167 on is at most 166.6; a range of whole numbers leaves tenths to draw."""
    codec = Codec(MIXED)
    layout = codec.layout(open_source(pd.DataFrame({"whole": [0], "part": [0.1]})))
    between = codec.conditions({"part": Range(at_least=166.4, at_most=166.6)})
    with pytest.raises(InputError, match="of fewest decimals"):
        codec.decode([np.full(9, 2), np.full(9, 3)], layout, np.random.default_rng(0), conditions=between)
    whole = codec.conditions({"whole": Range(at_least=170, at_most=171)})
    frame = codec.decode([np.full(99, 2), np.full(99, 3)], layout, np.random.default_rng(0), conditions=whole)
    assert frame["whole"].between(170, 171).all()
    assert (frame["whole"] <= frame["part"]).all()
