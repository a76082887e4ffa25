"""Whole schemas: from files, plain values and domains; the privacy unit; review."""

from __future__ import annotations

import copy
import pickle
import traceback

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import dpsynth.schema
from dpsynth.errors import SchemaError
from dpsynth.schema import Boolean, Schema, UnitColumn
from tests.strategies.schemas import names, schemas

ONE = {"x": {"kind": "boolean", "missing": False}}
FILE = """\
dpsynth: 1
privacy_unit: row
columns:
  age:
    kind: integer
    missing: !REVIEW false
    lower: !REVIEW 17
    upper: 90
  a.b: !REVIEW
    kind: categorical
    missing: false
    values: [x, !REVIEW y]
"""
WHO = "state who is protected: row, or {column: NAME, max_rows: K}"


def refused(said):
    with pytest.raises(SchemaError) as caught:
        Schema.loads(said, "s.yaml") if isinstance(said, str) else Schema.from_dict(said)
    return caught.value


def test_the_public_names():
    assert dpsynth.schema.__all__ == sorted(
        dpsynth.schema.__all__, key=lambda n: (not n.isupper(), n[0].islower(), n)
    )
    assert all(hasattr(dpsynth.schema, name) for name in dpsynth.schema.__all__)


@pytest.mark.parametrize(
    "unit",
    [None, "person", "ROW", 1, True, ["row"], {}, {"column": "p"}, {"max_rows": 2}],
)
def test_a_privacy_unit_is_stated(unit):
    error = refused({"privacy_unit": unit, "columns": ONE})
    assert error.key.startswith("privacy_unit")
    assert WHO in error.problem or "is missing; " in error.problem


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("privacy_unit: !REVIEW\ncolumns:\n  x: {kind: boolean, missing: false}\n", 1),
        ("columns:\n  x: {kind: boolean, missing: false}\nprivacy_unit: !REVIEW null\n", 3),
        ("columns:\n  x: {kind: boolean, missing: false}\nprivacy_unit:\n", 3),
        ("# head\n\ncolumns:\n  x: {kind: boolean, missing: false}\n", 3),
    ],
)
def test_a_privacy_unit_left_open_is_an_error_at_its_line(text, line):
    error = refused(text)
    assert (error.line, error.key) == (line, "privacy_unit")
    assert error.problem.endswith(WHO)


@pytest.mark.parametrize(
    ("unit", "key", "said"),
    [
        ({"column": "p", "max_rows": 0}, "max_rows", "below the least allowed, 1"),
        ({"column": "p", "max_rows": 10**7}, "max_rows", "above the greatest allowed, 1000000"),
        ({"column": "p", "max_rows": True}, "max_rows", "a whole number is expected"),
        ({"column": "p", "max_rows": "3"}, "max_rows", "a whole number is expected"),
        ({"column": 5, "max_rows": 3}, "column", "a text is expected, not the whole number 5"),
        ({"column": "", "max_rows": 3}, "column", "empty; at least one character"),
        ({"column": "p", "max_row": 3, "max_rows": 3}, "max_row", "did you mean max_rows?"),
        ({"column": "p"}, "max_rows", "the key max_rows is missing; state the most rows"),
        ({"max_rows": 3}, "column", "the key column is missing; name the column"),
        ({"column": "row", "max_rows": 3}, "column", "would read like one row each"),
    ],
)
def test_a_unit_column_is_checked(unit, key, said):
    error = refused({"privacy_unit": unit, "columns": ONE})
    assert error.key == f"privacy_unit.{key}"
    assert said in error.problem


def test_the_unit_column_is_not_learned():
    unit = {"column": "p", "max_rows": 3}
    schema = Schema.from_dict({"privacy_unit": unit, "columns": ONE | {"p": {"kind": "identifier"}}})
    assert schema.learned == ("x",)
    assert schema.max_rows == 3
    assert schema.privacy_unit == UnitColumn(column="p", max_rows=3)
    error = refused({"privacy_unit": unit, "columns": ONE | {"p": {"kind": "boolean", "missing": False}}})
    assert error.key == "columns.p.kind"
    assert "declare it kind: identifier, or leave it out" in error.problem


@pytest.mark.parametrize(
    ("content", "key", "said"),
    [
        ({"privacy_unit": "row"}, "columns", "the key columns is missing; list every column"),
        ({"privacy_unit": "row", "columns": {}}, "columns", "empty; at least one column is needed"),
        (
            {"privacy_unit": "row", "columns": None},
            "columns",
            "a mapping of column names is expected, as NAME",
        ),
        ({"privacy_unit": "row", "columns": [ONE]}, "columns", "before a colon instead of after a dash"),
        ({"privacy_unit": "row", "columns": {"": ONE["x"]}}, 'columns.""', "a column name is empty"),
        (
            {"privacy_unit": "row", "columns": {3: ONE["x"]}},
            "columns.3",
            "a text is expected, not the whole number 3",
        ),
        (
            {"privacy_unit": "row", "columns": {"i": {"kind": "identifier"}}},
            "columns",
            "no column is learned",
        ),
        ({"privacy_unit": "row", "columns": ONE, "unit": 1}, "unit", "did you mean privacy_unit?"),
        ({"privacy_unit": "row", "columns": ONE, "colums": 1}, "colums", "did you mean columns?"),
        ({"dpsynth": 2, "privacy_unit": 5}, "dpsynth", "write dpsynth: 1, or install a newer"),
        ({"dpsynth": True, "privacy_unit": "row", "columns": ONE}, "dpsynth", "write dpsynth: 1"),
        ({"dpsynth": "1", "privacy_unit": "row", "columns": ONE}, "dpsynth", "write dpsynth: 1"),
        ([], None, "a mapping with privacy_unit and columns is expected, not list"),
        (
            {"privacy_unit": "row", "columns": ONE, "review": ["columns.y"]},
            None,
            "review names columns.y, which",
        ),
        (
            {"privacy_unit": "row", "columns": ONE, "review": ["columns.x.lower"]},
            None,
            "review names columns.x.lower",
        ),
        (
            {"privacy_unit": "row", "columns": ONE, "review": ["columns.x.kind.0"]},
            None,
            "which the schema has not",
        ),
        (
            {"privacy_unit": "row", "columns": ONE, "review": ["privacy_unit.column"]},
            None,
            "which the schema has not",
        ),
        ({"privacy_unit": "row", "columns": ONE, "review": ["dpsynth.x"]}, None, "which the schema has not"),
        ({"privacy_unit": "row", "columns": ONE, "review": ["a..b"]}, None, "'a..b' is not a dotted key"),
        ({"privacy_unit": "row", "columns": ONE, "review": [3]}, "review.0", "a text is expected"),
        (
            {"privacy_unit": "row", "columns": ONE, "review": 3},
            "review",
            "a list is expected, not the whole number 3",
        ),
    ],
)
def test_what_is_refused(content, key, said):
    error = refused(content)
    assert (error.key, error.line) == (key, None)
    assert said in error.problem


def test_a_name_that_utf8_cannot_hold_is_refused():
    assert (
        "half of a surrogate pair"
        in refused({"privacy_unit": "row", "columns": {"\ud800": ONE["x"]}}).problem
    )


def test_a_mark_beyond_the_end_of_a_list_is_refused():
    spec = {"kind": "categorical", "missing": False, "values": ["a"]}
    for mark in ("columns.c.values.1", "columns.c.values.x", "columns.c.values.0.0", "columns.c.values.00"):
        content = {"privacy_unit": "row", "columns": {"c": spec}, "review": [mark]}
        assert "which the schema has not" in refused(content).problem


def test_review_is_not_a_key_of_the_file():
    error = refused(FILE + "review: []\n")
    assert (error.line, error.key) == (13, "review")
    assert "put !REVIEW before the value" in error.problem


def test_every_problem_is_said_with_its_line():
    text = (
        FILE.replace("upper: 90", "uper: 90")
        .replace("kind: categorical", "kind: text")
        .replace("row", "rows")
    )
    error = refused(text)
    assert str(error).split("\n") == [
        f"s.yaml:2: privacy_unit: {WHO}",
        (
            "s.yaml:4: columns.age.upper: the key upper is missing; "
            "state the highest possible value, from public knowledge and not from the data"
        ),
        "s.yaml:8: columns.age.uper: unknown key; did you mean upper?",
        (
            's.yaml:10: columns."a.b".kind: this is not a kind of column; '
            "state one of categorical, ordinal, boolean, integer, real, date, datetime, identifier"
        ),
    ]
    assert (error.line, error.key, error.path) == (2, "privacy_unit", "s.yaml")


@pytest.mark.parametrize(
    "value", ["secret", "7654321", "[7654321]", "76543.21", "{a: 7654321}", "7654321987654321987654"]
)
@pytest.mark.parametrize(
    "key", ["kind", "missing", "lower", "upper", "decimals", "bins", "edges", "spikes", "out_of_domain"]
)
@pytest.mark.parametrize("kind", ["real", "integer", "date", "datetime"])
def test_a_value_awaiting_review_is_never_repeated(kind, key, value):
    spec = {"kind": kind, "missing": "false", "lower": "0", "upper": "1"} | {key: f"!REVIEW {value}"}
    lines = "".join(f"    {k}: {v}\n" for k, v in spec.items())
    said = "nothing"
    try:
        Schema.loads(f"privacy_unit: row\ncolumns:\n  c:\n{lines}")
    except SchemaError as error:
        said = str(error)
    assert said
    assert not any(part in said for part in ("secret", "7654321", "76543.21"))


def test_plain_values_awaiting_review_are_not_repeated_either():
    spec = {"kind": "integer", "missing": False, "lower": "7654321", "upper": 1}
    content = {"privacy_unit": "row", "columns": {"c": spec}, "review": ["columns.c.lower", "a..b", 3]}
    assert "7654321" not in str(refused(content))


def test_pydantic_does_not_repeat_values_in_the_chain_of_errors():
    spec = {"kind": "integer", "missing": False, "lower": "7654321", "upper": 1}
    error = refused({"privacy_unit": "row", "columns": {"c": spec}, "review": ["columns.c.lower"]})
    assert "7654321" not in "".join(traceback.format_exception(error))
    with pytest.raises(ValidationError) as caught:
        Schema(privacy_unit="row", columns={"c": spec})
    assert "7654321" not in str(caught.value)


def test_review_marks_are_kept_in_written_order():
    schema = Schema.loads(FILE)
    assert schema.review == (
        "columns.age.missing",
        "columns.age.lower",
        'columns."a.b"',
        'columns."a.b".values.1',
    )
    shuffled = schema.to_dict() | {"review": [*reversed(schema.review), schema.review[0]]}
    assert Schema.from_dict(shuffled) == schema


def test_a_schema_with_marks_is_not_ready(tmp_path):
    path = tmp_path / "draft.yaml"
    path.write_text(FILE)
    with pytest.raises(SchemaError, match="awaits review") as caught:
        Schema.load(path).require_reviewed()
    assert (caught.value.line, caught.value.key, caught.value.path) == (6, "columns.age.missing", str(path))
    starts = [line.split(": awaits")[0] for line in str(caught.value).split("\n")]
    assert starts == [
        f"{path}:6: columns.age.missing",
        f"{path}:7: columns.age.lower",
        f'{path}:9: columns."a.b"',
        f'{path}:12: columns."a.b".values.1',
    ]


def test_marks_without_a_file_are_named_by_key():
    schema = Schema.from_dict({"privacy_unit": "row", "columns": ONE, "review": ["columns.x.missing"]})
    with pytest.raises(SchemaError, match=r"^schema: columns\.x\.missing: awaits review"):
        schema.require_reviewed()


def test_a_reviewed_schema_is_ready():
    schema = Schema.loads(FILE.replace("!REVIEW ", "").replace("!REVIEW", ""))
    assert schema.review == ()
    assert schema.require_reviewed() is None
    assert schema != Schema.loads(FILE)


def test_problem_points_into_the_file():
    schema = Schema.loads(FILE, "s.yaml")
    error = schema.problem("the data have no such column; correct the name", "columns", "a.b")
    assert str(error) == 's.yaml:9: columns."a.b": the data have no such column; correct the name'
    assert str(Schema.from_domain({"a": 2}).problem("wrong", "columns", "a")) == "schema: columns.a: wrong"


def test_the_order_of_columns_matters():
    assert Schema.from_domain({"a": 2, "b": 3}) != Schema.from_domain({"b": 3, "a": 2})
    assert Schema.from_domain({"a": 2}) != {"a": 2}


@given(schemas())
def test_schemas_can_be_copied_and_pickled(schema):
    assert copy.deepcopy(schema) == schema
    assert pickle.loads(pickle.dumps(schema)) == schema


def test_columns_may_be_given_as_objects():
    assert Schema.from_dict(
        {"privacy_unit": "row", "columns": {"x": Boolean(missing=False)}}
    ) == Schema.from_dict({"privacy_unit": "row", "columns": ONE})


@given(st.dictionaries(names(), st.integers(1, 10**7), min_size=1, max_size=6), st.data())
def test_from_domain_states_the_domain(domain, data):
    ordered = data.draw(st.lists(st.sampled_from(list(domain)), unique=True))
    schema = Schema.from_domain(domain, ordered=ordered)
    assert schema.learned == tuple(domain)
    assert {name: len(column.labels) for name, column in schema.columns.items()} == domain
    assert {name for name, column in schema.columns.items() if column.kind == "ordinal"} == set(ordered)
    assert all((c.missing, c.out_of_domain) == (False, "clip") for c in schema.columns.values())
    assert Schema.loads(schema.to_yaml()) == schema


def test_from_domain_takes_numpy_integers_and_a_unit():
    schema = Schema.from_domain({"a": np.int64(3)}, privacy_unit={"column": "p", "max_rows": 2})
    assert schema.columns["a"].count == 3
    assert schema.max_rows == 2


@pytest.mark.parametrize("size", [0, -1, True, np.True_, 2.0, "3", None, float("nan")])
def test_from_domain_refuses_what_is_no_size(size):
    with pytest.raises(SchemaError, match="not a whole number of at least 1") as caught:
        Schema.from_domain({"b": 2, "a.b": size})
    assert caught.value.key == 'columns."a.b"'


def test_from_domain_refuses_a_size_beyond_the_limit():
    with pytest.raises(SchemaError, match="above the greatest allowed, 10000000"):
        Schema.from_domain({"a": 10**7 + 1})


def test_from_domain_refuses_an_empty_domain():
    with pytest.raises(SchemaError, match="at least one column is needed"):
        Schema.from_domain({})


def test_from_domain_refuses_unknown_ordered_columns():
    with pytest.raises(SchemaError, match="'b' is not in the domain") as caught:
        Schema.from_domain({"a": 2}, ordered=["a", "b"])
    assert caught.value.key == "ordered"


def test_from_domain_refuses_one_text_as_ordered():
    with pytest.raises(SchemaError, match="a list of column names, not one text"):
        Schema.from_domain({"a": 2, "g": 2, "e": 2, "age": 2}, ordered="age")
