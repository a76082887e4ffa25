"""Writing a schema: stable text, read back exactly."""

from __future__ import annotations

import datetime as dt
import json
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.errors import SchemaError
from dpsynth.schema import Schema
from dpsynth.schema.columns import KINDS
from dpsynth.schema.document import parse
from dpsynth.schema.writing import _ORDER, _scalar
from tests.strategies.schemas import columns_of, schemas


class _AnyReader(yaml.SafeLoader):
    """YAML 1.1 as most programs read it, with the tag ignored."""


_AnyReader.add_constructor(
    "!REVIEW",
    lambda loader, node: {
        yaml.ScalarNode: lambda: loader.construct_object(
            yaml.ScalarNode(loader.resolve(yaml.ScalarNode, node.value, (True, False)), node.value)
            if node.style is None
            else yaml.ScalarNode("tag:yaml.org,2002:str", node.value)
        ),
        yaml.SequenceNode: lambda: loader.construct_sequence(node, deep=True),
        yaml.MappingNode: lambda: loader.construct_mapping(node, deep=True),
    }[type(node)](),
)


@settings(max_examples=100)
@given(schemas(marks=True))
def test_the_file_says_what_the_schema_says(schema):
    text = schema.to_yaml()
    again = Schema.loads(text)
    assert again == schema
    assert again.review == schema.review
    assert hash(again) == hash(schema)
    assert again.to_yaml() == text
    assert json.dumps(again.to_dict()) == json.dumps(schema.to_dict())


@settings(max_examples=100)
@given(schemas(marks=True))
def test_plain_values_say_what_the_schema_says(schema):
    plain = json.loads(json.dumps(schema.to_dict()))
    assert plain == schema.to_dict()
    assert Schema.from_dict(plain) == schema


@given(schemas(marks=True))
def test_the_file_means_the_same_to_a_yaml_1_1_reader(schema):
    """Texts, names and flags stay what they are; numbers and days may come as floats and dates."""
    read = yaml.load(schema.to_yaml(), _AnyReader)
    assert list(read["columns"]) == list(schema.columns)
    for name, column in schema.columns.items():
        said = read["columns"][name]
        assert said["kind"] == column.kind
        if column.kind in {"categorical", "ordinal"}:
            assert said.get("values") == (None if column.values is None else list(column.values))
            assert said.get("other_label") == column.other_label


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(data=st.data())
def test_every_kind_survives_alone(kind, data):
    column = data.draw(columns_of(kind))
    extra = {"x": {"kind": "boolean", "missing": False}}
    schema = Schema.from_dict({"privacy_unit": "row", "columns": {"c": column, **extra}})
    assert Schema.loads(schema.to_yaml()).columns["c"] == column


@given(st.text())
def test_any_text_is_written_so_that_it_is_read_back(text):
    assert parse(f"a: {_scalar(text)}\nb: [{_scalar(text)}, 1]\n").content == {"a": text, "b": [text, 1]}


def test_the_text_is_pleasant():
    schema = Schema.from_dict(
        {
            "privacy_unit": {"column": "person", "max_rows": 3},
            "columns": {
                "2020": {"kind": "boolean", "missing": False, "out_of_domain": "clip"},
                "sex": {"kind": "categorical", "missing": True, "values": ["F", "M", "yes", "x: y"]},
                "job": {
                    "kind": "ordinal",
                    "missing": False,
                    "values": [f"a long title {i}" for i in range(8)],
                },
                "wage": {"kind": "real", "missing": False, "lower": 0, "upper": "1000.50", "decimals": 2},
                "size": {
                    "kind": "integer",
                    "missing": False,
                    "lower": 0,
                    "upper": 5000,
                    "edges": list(range(100, 3700, 100)),
                },
                "day": {"kind": "date", "missing": False, "lower": "2020-01-01", "upper": "2020-12-31"},
                "at": {
                    "kind": "datetime",
                    "missing": False,
                    "lower": dt.datetime(2020, 1, 1),  # noqa: DTZ001  -- wall-clock time
                    "upper": "2020-01-31 23:59",
                    "spikes": ["2020-01-02T00:00:00"],
                },
                "id": {"kind": "identifier"},
            },
            "review": ["columns.sex.values", "columns.wage.lower", "columns.job", "columns.job.values.0"],
        }
    )
    assert schema.to_yaml() == (
        """\
# dpsynth schema, format 1: what is publicly known of one table. Reference: docs/schema.md
dpsynth: 1
privacy_unit:
  column: person
  max_rows: 3

columns:
  "2020":
    kind: boolean
    missing: false

  sex:
    kind: categorical
    missing: true
    values: !REVIEW [F, M, "yes", "x: y"]

  job: !REVIEW
    kind: ordinal
    missing: false
    values:
      - !REVIEW a long title 0
      - a long title 1
      - a long title 2
      - a long title 3
      - a long title 4
      - a long title 5
      - a long title 6
      - a long title 7

  wage:
    kind: real
    missing: false
    lower: !REVIEW 0
    upper: 1000.50
    decimals: 2

  size:
    kind: integer
    missing: false
    lower: 0
    upper: 5000
    edges: [
      100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200, 1300, 1400, 1500, 1600, 1700,
      1800, 1900, 2000, 2100, 2200, 2300, 2400, 2500, 2600, 2700, 2800, 2900, 3000, 3100, 3200,
      3300, 3400, 3500, 3600]

  day:
    kind: date
    missing: false
    lower: 2020-01-01
    upper: 2020-12-31

  at:
    kind: datetime
    missing: false
    lower: 2020-01-01T00:00:00
    upper: 2020-01-31T23:59:00
    spikes: [2020-01-02T00:00:00]

  id:
    kind: identifier
"""
    )


def test_decimals_in_plain_values_are_exact():
    bounds = {"lower": "0.1", "upper": "999.999999999999999"}
    spec = {"kind": "real", "missing": False, "decimals": 15, **bounds}
    schema = Schema.from_dict({"privacy_unit": "row", "columns": {"x": spec}})
    said = schema.to_dict()["columns"]["x"]
    assert (said["lower"], said["upper"]) == (0.1, "999.999999999999999")
    assert Schema.from_dict(schema.to_dict()) == schema


def test_every_key_of_every_kind_has_its_place():
    assert set(_ORDER) == {key for model in KINDS.values() for key in model.model_fields}


def test_save_and_load(tmp_path):
    path = tmp_path / "s.yaml"
    schema = Schema.from_domain({"naïve": 3, "b": 2})
    schema.save(path)
    assert path.read_bytes() == schema.to_yaml().encode()
    assert Schema.load(path) == Schema.load(str(path)) == schema


def test_save_where_nothing_can_be_written(tmp_path):
    with pytest.raises(SchemaError, match="cannot be written: No such file") as caught:
        Schema.from_domain({"a": 2}).save(tmp_path / "none" / "s.yaml")
    assert caught.value.path == str(tmp_path / "none" / "s.yaml")


def test_a_large_count_is_never_expanded():
    start = time.perf_counter()
    schema = Schema.from_domain({f"c{i}": 10**6 for i in range(200)})
    assert Schema.loads(schema.to_yaml()) == schema
    assert len(schema.columns["c0"].labels) == 10**6
    assert time.perf_counter() - start < 5


@pytest.mark.slow
def test_a_hundred_thousand_values_are_read_and_written_in_seconds():
    spec = {"kind": "categorical", "missing": False, "values": [f"value {i}" for i in range(100_000)]}
    schema = Schema.from_dict(
        {"privacy_unit": "row", "columns": {"c": spec}, "review": ["columns.c.values.7"]}
    )
    start = time.perf_counter()
    assert Schema.loads(schema.to_yaml()) == schema
    assert time.perf_counter() - start < 15  # about 2 s on one core
