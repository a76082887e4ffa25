"""Constraints: what may be stated, how it is written, and what is refused at which key and line."""

from __future__ import annotations

import copy
import datetime as dt
import json
import pickle
from decimal import Decimal

import jsonschema
import pytest
from hypothesis import given, settings

from dpsynth.errors import SchemaError
from dpsynth.schema import AtMost, Determines, Impossible, Range, Schema, json_schema
from tests.strategies.constraints import constrained

CHECKER = jsonschema.Draft202012Validator(json_schema())
CLOCK = {
    "kind": "datetime",
    "missing": False,
    "lower": "2020-01-01T00:00:00",
    "upper": "2020-02-01T00:00:00",
}
COLUMNS = {
    "age": {"kind": "integer", "missing": True, "lower": 0, "upper": 120},
    "wage": {"kind": "real", "missing": False, "lower": 0, "upper": 1000, "decimals": 1},
    "marital": {"kind": "categorical", "missing": False, "values": ["single", "married", "widowed"]},
    "grade": {"kind": "ordinal", "missing": False, "values": ["low", "mid", "high"]},
    "rank": {"kind": "ordinal", "missing": False, "values": ["low", "mid", "high", "top"]},
    "size": {"kind": "ordinal", "missing": False, "count": 9, "out_of_domain": "clip"},
    "step": {"kind": "ordinal", "missing": False, "values": [1, 2], "out_of_domain": "clip"},
    "works": {"kind": "boolean", "missing": True},
    "start": {"kind": "date", "missing": False, "lower": "2020-01-01", "upper": "2022-12-31"},
    "end": {"kind": "date", "missing": True, "lower": "2020-01-01", "upper": "2024-12-31"},
    "at": CLOCK,
    "hour": {**CLOCK, "resolution": 3600},
    "there": {**CLOCK, "timezone": "UTC"},
    "key": {"kind": "identifier"},
}


def of(*constraints, unit="row"):
    return Schema.from_dict({"privacy_unit": unit, "columns": COLUMNS, "constraints": list(constraints)})


@settings(max_examples=150)
@given(constrained())
def test_files_and_plain_values_say_what_the_schema_says(schema):
    text = schema.to_yaml()
    assert Schema.loads(text) == schema
    assert Schema.loads(text).to_yaml() == text
    plain = json.loads(json.dumps(schema.to_dict()))
    assert Schema.from_dict(plain) == schema
    assert hash(Schema.from_dict(plain)) == hash(schema)
    CHECKER.validate(plain)


def test_values_are_read_in_the_type_of_their_column():
    schema = of(
        {"impossible": {"wage": [0.1, 3], "start": ["2020-02-29"], "works": [None, True]}},
        {
            "impossible": {
                "age": {"below": 16, "at_least": 0},
                "grade": {"above": "low"},
                "end": {"at_most": "2021-06-30"},
            }
        },
        {"determines": {"column": "wage", "by": "works", "map": {True: "2.50", "false": 0}}},
        {"determines": {"column": "age", "by": "start", "map": {dt.date(2020, 1, 2): None, "2020-01-03": 7}}},
        {
            "determines": {
                "column": "at",
                "by": "wage",
                "map": {"0.10": "2020-01-01T10:00:00", Decimal("7.0"): "2020-01-02T00:00"},
            }
        },
        AtMost("start", "end"),
    )
    first, second, third, fourth, fifth, last = schema.constraints
    assert first == Impossible(
        {"wage": (Decimal("0.1"), Decimal(3)), "start": (dt.date(2020, 2, 29),), "works": (None, True)}
    )
    assert second.conditions["end"] == Range(at_most=dt.date(2021, 6, 30))
    assert third == Determines(column="wage", by="works", map={"true": Decimal("2.5"), "false": Decimal(0)})
    assert fourth.map == {"2020-01-02": None, "2020-01-03": 7}
    assert list(fifth.map) == ["0.1", "7"]
    assert last == AtMost("start", "end")


def test_the_text_is_pleasant():
    schema = of(
        {"impossible": {"age": {"below": 16}, "marital": ["married", "widowed"]}},
        {"determines": {"by": "age", "column": "grade", "map": {1: "low", 2: "mid"}}},
        {"at_most": ["start", "end"]},
    )
    assert schema.to_yaml().partition("\nconstraints:")[2] == (
        """
  - impossible:
      age: {below: 16}
      marital: [married, widowed]
  - determines:
      column: grade
      by: age
      map:
        "1": low
        "2": mid
  - at_most: [start, end]
"""
    )


def test_constraints_are_frozen_values():
    schema = of({"impossible": {"age": {"below": 16}, "marital": ["married"]}}, AtMost("start", "end"))
    assert copy.deepcopy(schema) == schema
    assert pickle.loads(pickle.dumps(schema)) == schema
    assert schema != of(AtMost("start", "end"))
    assert hash(schema.constraints[0]) == hash(Impossible({"age": Range(below=16), "marital": ("married",)}))
    assert hash(Determines(column="a", by="b", map={1: 2})) == hash(
        Determines(column="a", by="b", map={"1": 2})
    )
    with pytest.raises(AttributeError):
        schema.constraints[1].first = "end"


def test_a_coded_table_takes_constraints():
    schema = Schema.from_domain(
        {"a": 3, "b": 5, "c": 2},
        ordered=["a", "b"],
        constraints=[AtMost("a", "b"), {"impossible": {"a": [0], "c": [1]}}],
    )
    assert schema.constraints == (AtMost("a", "b"), Impossible({"a": (0,), "c": (1,)}))


def test_marks_stand_on_whole_constraints():
    text = """\
privacy_unit: row
columns:
  a: {kind: boolean, missing: false}
  b: {kind: boolean, missing: false}
constraints:
  - impossible: {a: [true], b: [true]}
  - !REVIEW
    impossible: {a: [false], b: [true]}
  - impossible:
      a: [true]
      b: [!REVIEW false]
"""
    schema = Schema.loads(text)
    assert schema.review == ("constraints.1", "constraints.2")
    again = Schema.loads(schema.to_yaml())
    assert again == schema
    assert "\n  - !REVIEW\n    impossible:\n" in schema.to_yaml()
    with pytest.raises(SchemaError) as caught:
        schema.require_reviewed()
    assert caught.value.line == 7
    assert "11: constraints.2: awaits review" in str(caught.value)
    whole = Schema.loads(text.replace("constraints:", "constraints: !REVIEW"))
    assert whole.review == ("constraints", "constraints.1", "constraints.2")
    assert Schema.loads(whole.to_yaml()) == whole
    with pytest.raises(SchemaError, match=r"review names constraints\.3, which the schema has not"):
        Schema.from_dict(schema.to_dict() | {"review": ["constraints.3"]})


ONE_KEY = "a constraint is one of impossible: {COLUMN: VALUES, ...}"
BAD = [
    (5, (), "a list such as [a, b] is expected, not int"),
    ([5], (0,), ONE_KEY),
    ([{}], (0,), ONE_KEY),
    ([{"never": {}}], (0,), ONE_KEY),
    ([{"at_most": ["start", "end"], "why": "x"}], (0,), ONE_KEY),
    ([{"impossible": ["age"]}], (0, "impossible"), "a mapping of columns to values is expected"),
    ([{"impossible": {"age": [3]}}], (0, "impossible"), "takes two columns or more"),
    (
        [{"impossible": {"age": [], "works": [True]}}],
        (0, "impossible", "age"),
        "at least one value is needed",
    ),
    (
        [{"impossible": {"age": 3, "works": [True]}}],
        (0, "impossible", "age"),
        "a list of values such as [a, b]",
    ),
    ([{"impossible": {"age": {}, "works": [True]}}], (0, "impossible", "age"), "needs one of below, at_most"),
    (
        [{"impossible": {"age": {"under": 3}, "works": [True]}}],
        (0, "impossible", "age", "under"),
        "unknown key; known are below, at_most, above, at_least",
    ),
    (
        [{"impossible": {"age": {"below": None}, "works": [True]}}],
        (0, "impossible", "age", "below"),
        "to compare with",
    ),
    (
        [{"impossible": {"age": {"below": 3, "at_most": 2}, "works": [True]}}],
        (0, "impossible", "age", "at_most"),
        "state either below or at_most, not both",
    ),
    (
        [{"impossible": {"age": {"above": 3, "at_least": 2}, "works": [True]}}],
        (0, "impossible", "age", "at_least"),
        "state either above or at_least, not both",
    ),
    (
        [{"impossible": {"age": [[3]], "works": [True]}}],
        (0, "impossible", "age", 0),
        "a text, a number, a day",
    ),
    (
        [{"impossible": {"aeg": [3], "works": [True]}}],
        (0, "impossible", "aeg"),
        "'aeg' is not a column of the table",
    ),
    (
        [{"impossible": {"key": [3], "works": [True]}}],
        (0, "impossible", "key"),
        "'key' is an identifier, which is never",
    ),
    (
        [{"impossible": {"age": [7, 121], "works": [True]}}],
        (0, "impossible", "age", 1),
        "not between the column's bounds",
    ),
    (
        [{"impossible": {"age": ["7"], "works": [True]}}],
        (0, "impossible", "age", 0),
        "one of whole numbers is expected",
    ),
    (
        [{"impossible": {"age": [True], "works": [True]}}],
        (0, "impossible", "age", 0),
        "one of whole numbers is expected",
    ),
    (
        [{"impossible": {"wage": ["a"], "works": [True]}}],
        (0, "impossible", "wage", 0),
        "a decimal number such as 12.5",
    ),
    (
        [{"impossible": {"wage": [0.25], "works": [True]}}],
        (0, "impossible", "wage", 0),
        "not on the column's grid",
    ),
    (
        [{"impossible": {"wage": [None], "works": [True]}}],
        (0, "impossible", "wage", 0),
        "is declared missing: false",
    ),
    (
        [{"impossible": {"start": ["May"], "works": [True]}}],
        (0, "impossible", "start", 0),
        "a day such as 2024-01-31",
    ),
    (
        [{"impossible": {"at": ["2020-01-01"], "works": [True]}}],
        (0, "impossible", "at", 0),
        "a moment such as",
    ),
    (
        [{"impossible": {"hour": ["2020-01-01T00:30:00"], "works": [True]}}],
        (0, "impossible", "hour", 0),
        "not on the column's grid",
    ),
    (
        [{"impossible": {"marital": ["maried"], "works": [True]}}],
        (0, "impossible", "marital", 0),
        "not one of the column's",
    ),
    (
        [{"impossible": {"works": ["yes"], "age": [1]}}],
        (0, "impossible", "works", 0),
        "one of true and false is expected",
    ),
    (
        [{"impossible": {"marital": {"below": "married"}, "works": [True]}}],
        (0, "impossible", "marital"),
        "a categorical column has no order; list the values instead",
    ),
    (
        [{"impossible": {"works": {"below": True}, "age": [1]}}],
        (0, "impossible", "works"),
        "a boolean column has no order",
    ),
    (
        [{"impossible": {"grade": {"below": "other"}, "works": [True]}}],
        (0, "impossible", "grade", "below"),
        "this value has no place in the order",
    ),
    (
        [{"impossible": {"grade": {"below": "low"}, "works": [True]}}],
        (0, "impossible", "grade"),
        "no value of the column",
    ),
    (
        [{"impossible": {"age": {"above": 120}, "works": [True]}}],
        (0, "impossible", "age"),
        "no value of the column lies",
    ),
    (
        [{"impossible": {"wage": {"above": 3, "below": 3.1}, "age": [1]}}],
        (0, "impossible", "wage"),
        "no value of the",
    ),
    ([{"determines": ["age"]}], (0, "determines"), "a mapping with the keys column, by and map is expected"),
    (
        [{"determines": {"by": "age", "map": {1: "low"}}}],
        (0, "determines"),
        "the key column is missing; state column, by",
    ),
    (
        [{"determines": {"by": "age", "of": "grade"}}],
        (0, "determines", "of"),
        "unknown key; known are column, by, map",
    ),
    (
        [{"determines": {"by": 3, "column": "grade", "map": {}}}],
        (0, "determines", "by"),
        "the name of a column is expected",
    ),
    (
        [{"determines": {"by": "age", "column": "age", "map": {1: 1}}}],
        (0, "determines", "by"),
        "cannot follow from itself",
    ),
    (
        [{"determines": {"by": "age", "column": "grade", "map": {}}}],
        (0, "determines", "map"),
        "at least one value",
    ),
    (
        [{"determines": {"by": "age", "column": "grade", "map": [1]}}],
        (0, "determines", "map"),
        "a mapping is expected, of",
    ),
    (
        [{"determines": {"by": "key", "column": "grade", "map": {1: "low"}}}],
        (0, "determines", "by"),
        "is an identifier",
    ),
    (
        [{"determines": {"by": "age", "column": "x", "map": {1: "low"}}}],
        (0, "determines", "column"),
        "'x' is not a column",
    ),
    (
        [{"determines": {"by": "age", "column": "grade", "map": {"01": "low"}}}],
        (0, "determines", "map", "01"),
        "one of whole numbers is expected",
    ),
    (
        [{"determines": {"by": "works", "column": "grade", "map": {"yes": "low"}}}],
        (0, "determines", "map", "yes"),
        "one of true and false is expected",
    ),
    (
        [{"determines": {"by": "wage", "column": "grade", "map": {"1": "low", "1.0": "mid"}}}],
        (0, "determines", "map", "1.0"),
        "the same value stands twice",
    ),
    (
        [{"determines": {"by": "age", "column": "grade", "map": {"1": "lowest"}}}],
        (0, "determines", "map", "1"),
        "not one of the column's values",
    ),
    ([{"at_most": "start"}], (0, "at_most"), "a list of two columns is expected"),
    ([{"at_most": ["start"]}], (0, "at_most"), "a list of two columns is expected"),
    ([{"at_most": ["start", 3]}], (0, "at_most"), "a list of two columns is expected"),
    ([{"at_most": ["start", "start"]}], (0, "at_most", 1), "one column stands twice"),
    ([{"at_most": ["start", "finish"]}], (0, "at_most", 1), "'finish' is not a column of the table"),
    ([{"at_most": ["marital", "age"]}], (0, "at_most", 0), "'marital' is categorical, which has no order"),
    ([{"at_most": ["age", "works"]}], (0, "at_most", 1), "'works' is boolean, which has no order"),
    ([{"at_most": ["age", "start"]}], (0, "at_most"), "compare numbers with numbers, days with days"),
    ([{"at_most": ["start", "at"]}], (0, "at_most"), "compare numbers with numbers, days with days"),
    ([{"at_most": ["at", "there"]}], (0, "at_most"), "they must have the same timezone"),
    ([{"at_most": ["at", "hour"]}], (0, "at_most"), "they must have the same resolution"),
    (
        [{"at_most": ["grade", "step"]}],
        (0, "at_most"),
        "the values of one must begin with the values of the other",
    ),
    (
        [{"at_most": ["size", "step"]}],
        (0, "at_most"),
        "the values of one must begin with the values of the other",
    ),
    (
        [{"at_most": ["age", "wage"]}, {"at_most": ["wage", "age"]}],
        (1, "at_most"),
        "with the other constraints these columns could only be equal",
    ),
]
ONLY_LOAD_SEES = (  # what depends on the columns, or on two values
    *("is not a column", "is an identifier", "bounds", "one of ", "decimal number", "column's grid"),
    *("missing: false", "a day such", "a moment such", "no order", "no value of", "no place in"),
    *(
        "follow from itself",
        "value stands twice",
        "compare numbers",
        "they must",
        "must begin",
        "only be equal",
    ),
)


@pytest.mark.parametrize(("constraints", "at", "said"), BAD)
def test_what_is_refused_and_where(constraints, at, said):
    with pytest.raises(SchemaError) as caught:
        Schema.from_dict({"privacy_unit": "row", "columns": COLUMNS, "constraints": constraints})
    assert caught.value.key == ".".join(["constraints", *(f'"{a}"' if a == "1.0" else str(a) for a in at)])
    assert said in caught.value.problem


@pytest.mark.parametrize(
    "constraints",
    [c for c, _, said in BAD if not any(part in said for part in ONLY_LOAD_SEES)],
)
def test_the_json_schema_refuses_what_it_can(constraints):
    content = json.loads(json.dumps({"privacy_unit": "row", "columns": COLUMNS, "constraints": constraints}))
    assert not CHECKER.is_valid(content)


def test_comparable_columns_are_taken():
    pairs = [("age", "wage"), ("grade", "rank"), ("rank", "grade"), ("start", "end")]
    for pair in pairs:
        assert of({"at_most": pair}).constraints == (AtMost(*pair),)
    scales = Schema.from_domain({"a": 3, "b": 9}, ordered=["a", "b"], constraints=[AtMost("b", "a")])
    assert scales.constraints == (AtMost("b", "a"),)
    chain = of(AtMost("age", "wage"), AtMost("grade", "rank"), AtMost("age", "wage"))
    assert len(chain.constraints) == 3


def test_errors_tell_the_line_and_never_the_value():
    text = (
        "privacy_unit: row\n"
        "columns:\n"
        "  age: {kind: integer, missing: false, lower: 0, upper: 9}\n"
        "  sex: {kind: categorical, missing: false, values: [f, m]}\n"
        "constraints:\n"
        "  - impossible:\n"
        "      age: {below: 5}\n"
        "      sex: [f,\n"
        "        !REVIEW secret]\n"
    )
    with pytest.raises(SchemaError) as caught:
        Schema.loads(text, "s.yaml")
    assert caught.value.line == 9
    assert caught.value.key == "constraints.0.impossible.sex.1"
    assert "secret" not in str(caught.value)


def test_rules_is_a_near_miss():
    with pytest.raises(SchemaError, match="unknown key; did you mean constraints"):
        Schema.from_dict({"privacy_unit": "row", "columns": COLUMNS, "rules": []})


def test_the_privacy_units_own_column_is_no_part_of_a_rule():
    with pytest.raises(SchemaError, match="'key' is an identifier"):
        of({"impossible": {"key": ["x"], "works": [True]}}, unit={"column": "key", "max_rows": 2})
