"""The published JSON Schema and the reference agree with what is read."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given

from dpsynth.errors import SchemaError
from dpsynth.schema import OpenSchema, Schema, UnitColumn, json_schema
from dpsynth.schema.columns import KINDS
from dpsynth.schema.constraints import CONSTRAINTS
from tests.schema.test_columns import BAD
from tests.strategies.schemas import schemas

DOCS = Path(__file__).resolve().parents[2] / "docs"
CHECKER = jsonschema.Draft202012Validator(json_schema())
ONLY_LOAD_SEES = (  # relations between values, which a JSON Schema cannot state
    "upper is below lower",
    "more than 2**62 distinct",
    "edges must",
    "spikes must lie",
    "must lie between",
    "more digits after the point",
    "times 10**decimals",
    "there is no such",
    "IANA time zone",
    "lower plus a multiple",
    "half of a surrogate pair",
    "a finite number",
    "not a int64",
    "the decimal number 1.0",  # JSON does not tell 1.0 from 1
    "the decimal number 3.0",
    "too long; at most 65536 items",  # seen, after a quarter of a minute
)
SEEN = [(base, change) for base, change, _, said in BAD if not any(part in said for part in ONLY_LOAD_SEES)]


def test_the_published_file_is_current():
    published = json.loads((DOCS / "schema.json").read_text(encoding="utf-8"))
    assert published == json_schema(), "write dpsynth.schema.json_schema() to docs/schema.json"


def test_it_is_a_json_schema():
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@given(schemas())
def test_it_accepts_every_schema(schema):
    CHECKER.validate(schema.to_dict())


@pytest.mark.parametrize(("base", "change"), SEEN)
def test_it_refuses_what_is_refused(base, change):
    spec = {k: str(v) if type(v).__name__ in {"date", "datetime"} else v for k, v in (base | change).items()}
    content = {"privacy_unit": "row", "columns": {"c": spec, "x": {"kind": "boolean", "missing": False}}}
    assert not CHECKER.is_valid(content)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"columns": {"x": {"kind": "boolean", "missing": True}}},
        {"privacy_unit": "person", "columns": {"x": {"kind": "boolean", "missing": True}}},
        {"privacy_unit": {"column": "p"}, "columns": {"x": {"kind": "boolean", "missing": True}}},
        {"privacy_unit": "row", "columns": {}},
        {"privacy_unit": "row", "columns": []},
        {"privacy_unit": "row", "columns": {"": {"kind": "boolean", "missing": True}}},
        {"privacy_unit": "row", "columns": {"x": {"kind": "boolean"}}},
        {"privacy_unit": "row", "columns": {"x": {"kind": "boolean", "missing": True}}, "dpsynth": 2},
        {"privacy_unit": "row", "columns": {"x": {"kind": "boolean", "missing": True}}, "extra": 2},
        {"privacy_unit": "row", "columns": {"x": {"kind": "boolean", "missing": True}}, "review": []},
    ],
)
def test_it_refuses_wrong_files(content):
    assert not CHECKER.is_valid(content)
    with pytest.raises(SchemaError):
        Schema.loads(json.dumps(content))  # JSON is YAML


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_the_keys_defaults_and_bounds_of_every_kind(kind):
    said = json_schema()["$defs"][kind]
    fields = KINDS[kind].model_fields
    assert set(said["properties"]) == set(fields)
    assert set(said["required"]) == {"kind", *(key for key, field in fields.items() if field.is_required())}
    for key, field in fields.items():
        stated = said["properties"][key]
        assert stated["description"]
        if "default" in stated:
            assert stated["default"] == field.default
        for rule in field.metadata:
            for ours, theirs in (("ge", "minimum"), ("le", "maximum")):
                if hasattr(rule, ours) and stated.get("type") == "integer":
                    assert stated[theirs] == getattr(rule, ours)


def test_it_has_the_keys_of_the_table():
    said = json_schema()["properties"]
    assert set(said) == set(Schema.model_fields) - {"review"}
    assert set(said["privacy_unit"]["oneOf"][1]["properties"]) == set(UnitColumn.model_fields)


def test_the_schema_given_out_is_a_fresh_copy():
    kept = copy.deepcopy(json_schema())
    json_schema()["$defs"].clear()
    json_schema()["$defs"]["integer"]["properties"]["lower"]["minimum"] = 0
    assert json_schema() == kept


def _blocks() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (DOCS / "schema.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_example_of_the_reference_is_a_schema():
    schema = Schema.loads(_blocks()[0])
    assert {column.kind for column in schema.columns.values()} == set(KINDS)
    assert Schema.loads(schema.to_yaml()) == schema
    CHECKER.validate(schema.to_dict())


def test_the_rules_of_the_reference_are_constraints():
    columns = """\
privacy_unit: row
columns:
  age: {kind: integer, missing: false, lower: 0, upper: 120}
  marital: {kind: categorical, missing: false, values: [single, married, widowed]}
  education: {kind: ordinal, missing: false, values: [none, primary, secondary, tertiary]}
  education_number: {kind: integer, missing: false, lower: 1, upper: 4}
  admitted: {kind: date, missing: false, lower: 2020-01-01, upper: 2024-12-31}
  discharged: {kind: date, missing: true, lower: 2020-01-01, upper: 2025-12-31}
"""
    schema = Schema.loads(columns + _blocks()[1])
    assert [c.kind for c in schema.constraints] == list(CONSTRAINTS)
    assert Schema.loads(schema.to_yaml()) == schema
    CHECKER.validate(schema.to_dict())


def test_the_open_example_of_the_reference_buys_every_kind_of_thing():
    text = _blocks()[2]
    schema = OpenSchema.loads(text if "privacy_unit" in text else "privacy_unit: row\n" + text)
    bought = {key for purchase in schema.purchases for key in purchase.keys}
    assert bought == {"values", "missing", "lower", "upper", "edges"}
    CHECKER.validate(schema.to_dict())


def test_the_marked_example_of_the_reference_awaits_review():
    schema = Schema.loads("privacy_unit: row\n" + _blocks()[3])
    assert schema.review == ("columns.age.missing", "columns.age.lower", "columns.age.upper")


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_names_every_key(kind):
    text = (DOCS / "schema.md").read_text(encoding="utf-8")
    assert f"| `{kind}` |" in text
    for key in KINDS[kind].model_fields:
        assert key == "kind" or f"`{key}`" in text
