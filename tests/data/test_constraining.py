"""Constraints in codes: exact at the codes, and kept by every row that is drawn."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dpsynth.data import Codec, Layout, open_source
from dpsynth.domain import Axis, Domain
from dpsynth.errors import SchemaError
from dpsynth.privacy.sealed import open_codes
from dpsynth.rules import Rule
from dpsynth.schema import Schema
from tests.strategies.constraints import constrained, keeps, rows_of, values_of

ARROW = Layout("pyarrow", ())


def codec_of(schema):
    """The codec, or nothing where the constraints leave no row."""
    try:
        return Codec(schema)
    except SchemaError:
        return None


def codes_that_keep(codec, n, rng):
    """Rows of codes, each drawn from all rows of codes that keep the rules, by trying."""
    rows = [rng.integers(0, size, 400 * n) for size in codec.domain.sizes]
    kept = np.ones(400 * n, dtype=bool)
    for rule in codec.domain.rules:
        kept &= rule.keeps(rows)
    return [row[kept][:n] for row in rows]


@settings(max_examples=300)
@given(schema=constrained(), seed=st.integers(0, 2**20))
def test_codes_that_keep_the_rules_decode_to_rows_that_keep_the_constraints(schema, seed):
    codec = codec_of(schema)
    assume(codec is not None)
    rng = np.random.default_rng(seed)
    codes = codes_that_keep(codec, 60, rng)
    table = codec.decode(codes, ARROW, rng)
    for row in rows_of(schema, table):
        assert all(keeps(schema, constraint, row) for constraint in schema.constraints), row
    again = open_codes(codec.encode(open_source(table)))
    for before, after in zip(codes, again, strict=True):
        assert before.tolist() == after.tolist()


@settings(max_examples=150)
@given(schema=constrained(), data=st.data())
def test_a_row_that_keeps_the_constraints_keeps_the_rules(schema, data):
    """With the law above: the rules allow a cell of codes if and only if a row of values may stand in it."""
    codec = codec_of(schema)
    row = {
        name: data.draw(st.sampled_from([*values_of(column), *([None] if column.missing else [])]))
        for name, column in schema.columns.items()
    }
    assume(all(keeps(schema, constraint, row) for constraint in schema.constraints))
    assert codec is not None, "a row is possible"
    frame = pd.DataFrame({name: pd.Series([value], dtype=object) for name, value in row.items()})
    codes = open_codes(codec.encode(open_source(frame)))
    assert all(rule.keeps(codes).all() for rule in codec.domain.rules)


@settings(max_examples=100)
@given(schema=constrained(), seed=st.integers(0, 2**20))
def test_rows_that_break_a_rule_are_coded_and_decoded_like_others(schema, seed):
    codec = codec_of(schema)
    assume(codec is not None)
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, size, 40) for size in codec.domain.sizes]
    table = codec.decode(codes, ARROW, rng)
    again = open_codes(codec.encode(open_source(table)))
    for before, after in zip(codes, again, strict=True):
        assert before.tolist() == after.tolist()


def of(columns, *constraints, unit="row"):
    return Schema.from_dict({"privacy_unit": unit, "columns": columns, "constraints": constraints})


AGE = {"kind": "integer", "missing": False, "lower": 0, "upper": 1000, "bins": 5}
STATUS = {"kind": "categorical", "missing": True, "values": ["single", "married"]}
START = {"kind": "date", "missing": False, "lower": "2020-01-01", "upper": "2023-12-31", "bins": 8}
END = {"kind": "date", "missing": True, "lower": "2019-01-01", "upper": "2029-12-31", "bins": 8}


def test_a_limit_cuts_a_bin():
    codec = Codec(
        of({"age": AGE, "status": STATUS}, {"impossible": {"age": {"below": 16}, "status": ["married"]}})
    )
    (rule,) = codec.domain.rules
    assert rule.allowed.shape == (2, 2)
    codes = [np.repeat(np.arange(codec.domain.sizes[0]), 40), np.full(codec.domain.sizes[0] * 40, 1)]
    ages = codec.decode(codes, ARROW, np.random.default_rng(0)).column("age").to_numpy()
    young = ages < 16
    assert np.array_equal(rule.keeps(codes), ~young)
    assert young.any()


def test_codes_that_a_rule_treats_alike_share_a_class():
    codes = {"education": 16, "number": 16, "other": 5}
    schema = Schema.from_domain(
        codes,
        constraints=[
            {
                "determines": {
                    "by": "number",
                    "column": "education",
                    "map": {str(i): i // 4 for i in range(12)},
                }
            }
        ],
    )
    (rule,) = Codec(schema).domain.rules
    assert rule.columns == (0, 1)
    assert rule.allowed.shape == (4, 4)
    for education, number in itertools.product(range(16), range(16)):
        allowed = number >= 12 or education == number // 4
        assert rule.keeps([np.array([education]), np.array([number])]).tolist() == [allowed]


def test_a_rule_that_forbids_nothing_is_no_rule():
    schema = of({"a": AGE, "b": {**AGE, "lower": 2000, "upper": 3000}}, {"at_most": ["a", "b"]})
    assert Codec(schema).domain.rules == ()


def test_compared_columns_share_their_cuts_and_keep_fine_bins():
    columns = {
        "small": {"kind": "integer", "missing": False, "lower": 0, "upper": 20},
        "wide": {"kind": "real", "missing": False, "lower": 0, "upper": 10**6, "decimals": 2},
    }
    codec = Codec(of(columns, {"at_most": ["small", "wide"]}))
    assert codec.domain.sizes[0] == 21
    assert 128 + 21 <= codec.domain.sizes[1] <= 128 + 2 * 21 + 6
    codes = [np.arange(21).repeat(2000), np.zeros(42_000, dtype=np.int64)]
    rng = np.random.default_rng(1)
    codes[1] = rng.integers(0, codec.domain.sizes[1], 42_000)
    codes = [c[codec.domain.rules[0].keeps(codes)] for c in codes]
    table = codec.decode(codes, ARROW, rng)
    assert (table.column("small").to_numpy() <= table.column("wide").to_numpy()).all()


def test_two_dates_of_one_bin_come_out_like_sorted_draws():
    """Means of the lesser and the greater of two even draws, 20,000 rows, seeded: no false alarm at all."""
    codec = Codec(of({"start": START, "end": {**START}}, {"at_most": ["start", "end"]}))
    inside = np.full(20_000, 3)
    table = codec.decode([inside, inside], ARROW, np.random.default_rng(4)).to_pandas()
    days = (pd.to_datetime(table["end"]) - pd.to_datetime(table["start"])).dt.days
    starts = pd.to_datetime(table["start"])
    width = (starts.max() - starts.min()).days + 1
    assert days.min() == 0
    assert abs(days.mean() / width - 1 / 3) < 0.01
    assert abs((starts - starts.min()).dt.days.mean() / width - 1 / 3) < 0.01


def test_without_a_rule_the_same_draws_as_ever():
    """A schema that compares nothing decodes with the chance it always took."""
    columns = {"start": START, "end": END}
    plain, ruled = (
        Codec(of(columns)),
        Codec(of(columns, {"impossible": {"start": ["2020-01-01"], "end": [None]}})),
    )
    codes = [np.array([2, 3, 4]), np.array([1, 2, 3])]
    assert plain.domain.sizes == ruled.domain.sizes
    one, two = (c.decode(codes, ARROW, np.random.default_rng(0)) for c in (plain, ruled))
    assert one.equals(two)


@pytest.mark.parametrize(
    ("columns", "constraints", "key", "said"),
    [
        (
            {"a": AGE, "b": {**AGE, "upper": 10}, "c": STATUS},
            [
                {"impossible": {"a": [3], "c": ["married"]}},
                {"at_most": ["b", "a"]},
                {"impossible": {"a": {"at_least": 0}, "b": {"at_least": 0}}},
            ],
            "constraints.2",
            "no row is possible: constraints.2 (impossible: a, b) leaves none; correct or remove it",
        ),
        (
            {"a": {**AGE, "lower": 5}, "b": {**AGE, "upper": 7}, "c": {"kind": "boolean", "missing": False}},
            [
                {"at_most": ["a", "b"]},
                {"impossible": {"c": [True], "a": {"below": 6}}},
                {"impossible": {"c": [True], "a": {"at_least": 6}}},
                {"determines": {"by": "b", "column": "c", "map": {"5": True, "6": True, "7": True}}},
            ],
            "constraints.0",
            (
                "no row is possible: constraints.0 (at_most: a, b), constraints.1 (impossible: c, a), "
                "constraints.2 (impossible: c, a) and constraints.3 (determines: c, b) together leave none; "
                "correct or remove one of them"
            ),
        ),
        (
            {"a": {**AGE, "lower": 5}, "b": {**AGE, "upper": 4}},
            [{"at_most": ["a", "b"]}],
            "constraints.0",
            "no row is possible: constraints.0 (at_most: a, b) leaves none; correct or remove it",
        ),
        (
            {"a": {**AGE, "upper": 2000, "bins": 2000}, "b": {**AGE, "upper": 2000, "bins": 2000}},
            [{"at_most": ["a", "b"]}],
            "constraints.0",
            "give the columns fewer bins or values",
        ),
        (
            {
                f"c{i}": {"kind": "ordinal", "missing": False, "count": 30, "out_of_domain": "clip"}
                for i in range(6)
            },
            [{"at_most": [f"c{i}", f"c{j}"]} for i, j in itertools.combinations(range(6), 2)],
            "constraints",
            "together the constraints are too wide: a table of 729000000 cells is needed",
        ),
        (
            {
                "a": {**AGE, "lower": -(2**61), "upper": 0},
                "b": {"kind": "real", "missing": False, "lower": 0, "upper": 1, "decimals": 3},
            },
            [{"at_most": ["a", "b"]}],
            "constraints",
            "'a' has bounds too wide to compare to 3 decimals; narrow its bounds, or use fewer decimals",
        ),
    ],
)
def test_constraints_that_cannot_be_kept_are_refused(columns, constraints, key, said):
    with pytest.raises(SchemaError) as caught:
        Codec(of(columns, *constraints))
    assert caught.value.key == key
    assert said in caught.value.problem


def test_the_line_of_a_contradiction_is_told():
    text = (
        "privacy_unit: row\ncolumns:\n  a: {kind: integer, missing: false, lower: 5, upper: 9}\n"
        "  b: {kind: integer, missing: false, lower: 1, upper: 4}\nconstraints:\n  - at_most: [a, b]\n"
    )
    with pytest.raises(SchemaError) as caught:
        Codec(Schema.loads(text, "s.yaml"))
    assert (caught.value.line, caught.value.path) == (6, "s.yaml")


def test_missing_values_are_exempt_unless_they_are_named():
    columns = {"start": {**START, "missing": True}, "end": END, "status": STATUS}
    schema = of(
        columns,
        {"at_most": ["start", "end"]},
        {"determines": {"by": "status", "column": "end", "map": {"single": None, "married": "2021-01-01"}}},
    )
    codec = Codec(schema)
    order, follows = codec.domain.rules
    start, end, status = (size - 1 for size in codec.domain.sizes)  # the codes of missing
    some = np.array([0])
    assert order.keeps([np.array([start]), some, some]).all()
    assert order.keeps([np.array([start - 1]), np.array([end]), some]).all()
    single, married = np.array([0]), np.array([1])
    assert follows.keeps([some, np.array([end]), single]).all()
    assert not follows.keeps([some, some, single]).any()
    assert follows.keeps([some, np.array([end]), married]).all()
    assert not follows.keeps([some, some, married]).any()
    assert follows.keeps([some, some, np.array([status])]).all()


def test_a_domain_refuses_rules_that_do_not_fit():
    axes = (Axis("a", 2), Axis("b", 3))
    allowed = np.array([[True, False], [True, True]])
    two, three = np.array([0, 1]), np.array([0, 1, 1])
    assert Domain(axes, (Rule((0, 1), (two, three), allowed),)).rules[0].allowed is allowed
    with pytest.raises(ValueError, match="a rule's classes of 'b' do not fit its codes"):
        Domain(axes, (Rule((0, 1), (two, two), allowed),))
    with pytest.raises(ValueError, match="a rule names a column outside the domain"):
        Domain(axes, (Rule((1, 2), (three, two), allowed),))
