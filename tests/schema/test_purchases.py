"""Open schemas: what may be bought, how it is written and read, and what is refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.errors import MissingFileError, SchemaError
from dpsynth.schema import OpenSchema, Purchase, Schema, json_schema, read_schema
from dpsynth.schema.left_open import BUY_EDGES, BUYABLE
from tests.strategies.schemas import schemas

TEXT = """\
privacy_unit: row
columns:
  work: {kind: categorical, missing: buy, values: buy}
  age: {kind: integer, missing: false, lower: 0, upper: buy, edges: buy quantiles, bins: 20}
  wage: {kind: real, missing: buy, lower: buy, upper: buy, decimals: 2}
  born: {kind: date, missing: !REVIEW buy, lower: buy, upper: 2024-12-31}
  seen: {kind: datetime, missing: true, lower: buy, upper: buy, resolution: 60, timezone: Europe/Paris}
  glad: {kind: boolean, missing: buy}
  rank: {kind: ordinal, missing: buy, values: [low, high]}
"""
FOUND: dict[str, dict[str, Any]] = {
    "work": {"missing": True, "values": ["x", "naïve 名", "#"]},
    "age": {"upper": 90, "edges": [10, 20]},
    "wage": {"missing": False, "lower": "0.10", "upper": "12.50"},
    "born": {"missing": False, "lower": "1900-01-01"},
    "seen": {"lower": "2020-01-01T00:00:00", "upper": "2021-01-01T00:00:00"},
    "glad": {"missing": False},
    "rank": {"missing": True},
}
CHECKER = jsonschema.Draft202012Validator(json_schema())


def spec(**keys: Any) -> dict[str, Any]:
    return {"privacy_unit": "row", "columns": {"c": keys, "x": {"kind": "boolean", "missing": False}}}


def test_what_is_to_be_bought() -> None:
    schema = OpenSchema.loads(TEXT)
    assert schema.purchases[:3] == (
        Purchase(column="work", kind="categorical", keys=("missing", "values")),
        Purchase(column="age", kind="integer", keys=("upper", "edges"), cut="quantiles"),
        Purchase(column="wage", kind="real", keys=("missing", "lower", "upper")),
    )
    assert [p.column for p in schema.purchases] == list(schema.stand_in.columns)
    assert schema.stand_in.review == ("columns.born.missing",)


def test_it_is_written_and_read_back() -> None:
    schema = OpenSchema.loads(TEXT)
    text = schema.to_yaml()
    assert "edges: buy quantiles" in text
    assert "missing: !REVIEW buy" in text
    assert OpenSchema.loads(text) == schema
    assert OpenSchema.from_dict(schema.to_dict()) == schema
    assert OpenSchema.loads(text).to_yaml() == text


def test_filled_in_it_is_a_whole_schema() -> None:
    whole = OpenSchema.loads(TEXT).filled(FOUND)
    assert isinstance(whole, Schema)
    assert whole.review == ()
    assert Schema.loads(whole.to_yaml()) == whole
    assert whole.to_dict()["columns"]["age"] == {
        "kind": "integer", "missing": False, "lower": 0, "upper": 90, "edges": [10, 20],
    }  # fmt: skip
    assert whole.to_dict()["columns"]["work"]["values"] == ["x", "naïve 名", "#"]
    assert whole.to_dict()["columns"]["born"]["upper"] == "2024-12-31"


def test_without_edges_bins_stay() -> None:
    whole = OpenSchema.loads(TEXT).filled(FOUND | {"age": {"upper": 90, "edges": None}})
    assert whole.to_dict()["columns"]["age"]["bins"] == 20


@pytest.mark.parametrize(
    "found",
    [{}, {**FOUND, "more": {}}, {**FOUND, "rank": {}}, {**FOUND, "rank": {"missing": True, "values": ["a"]}}],
)
def test_what_was_not_asked_is_not_filled_in(found: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="not what the schema left open"):
        OpenSchema.loads(TEXT).filled(found)


def test_a_schema_may_buy_by_the_privacy_unit() -> None:
    schema = OpenSchema.loads(TEXT.replace("privacy_unit: row", "privacy_unit: {column: who, max_rows: 3}"))
    assert schema.stand_in.max_rows == 3


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "schema.yaml"
    schema = OpenSchema.loads(TEXT)
    schema.save(path)
    assert OpenSchema.load(path) == read_schema(path) == schema
    whole = schema.filled(FOUND)
    whole.save(path)
    assert read_schema(path) == whole
    with pytest.raises(SchemaError, match=r"nothing is to be bought; read it with Schema\.load"):
        OpenSchema.load(path)
    with pytest.raises(MissingFileError):
        read_schema(tmp_path / "absent.yaml")
    with pytest.raises(SchemaError, match="cannot be written"):
        schema.save(tmp_path / "absent" / "schema.yaml")


def test_a_whole_schema_leaves_nothing_open() -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.loads(TEXT)
    said = str(caught.value)
    assert "columns.work.values: this is to be bought by a fit" in said
    assert "schema:4: columns.age.edges" in said
    with pytest.raises(SchemaError, match=r"columns\.c\.lower: this is to be bought"):
        Schema.from_dict(spec(kind="integer", missing=False, lower="buy", upper=3))


INTEGER = {"kind": "integer", "missing": "buy"}


@pytest.mark.parametrize(
    ("keys", "at", "said"),
    [
        (
            {"kind": "categorical", "missing": True, "values": "buy", "out_of_domain": "clip"},
            "out_of_domain",
            "out_of_domain must be other",
        ),
        ({"kind": "boolean", "missing": "buy", "out_of_domain": "missing"}, "out_of_domain", "not bought"),
        ({**INTEGER, "lower": "buy", "upper": 9, "spikes": [3]}, "spikes", "both bounds"),
        ({**INTEGER, "lower": "buy", "upper": 9, "edges": [3]}, "edges", "both bounds"),
        ({"kind": "categorical", "missing": True, "values": "buy", "count": 3}, "count", "not both"),
        ({"kind": "ordinal", "missing": "buy", "values": "buy"}, "values", "cannot be bought"),
        (
            {"kind": "real", "missing": "buy", "lower": 0, "upper": 1, "decimals": "buy"},
            "decimals",
            "cannot be bought",
        ),
        ({**INTEGER, "lower": 0, "upper": 1, "bins": "buy"}, "bins", "cannot be bought"),
        ({**INTEGER, "lower": 0.5, "upper": 1}, "lower", "whole number"),
        ({**INTEGER, "lower": 0, "upper": 1, "edges": "buy trees"}, "edges", "list"),
        ({**INTEGER, "lower": 0}, "upper", "is missing"),
    ],
)
def test_what_cannot_be_bought(keys: dict[str, Any], at: str, said: str) -> None:
    with pytest.raises(SchemaError, match=said) as caught:
        OpenSchema.from_dict(spec(**keys))
    assert caught.value.key == f"columns.c.{at}"
    assert not CHECKER.is_valid(spec(**keys))


@pytest.mark.parametrize("content", [None, [], {"columns": 3}, {"columns": {"c": 3}}, {"columns": {"c": {}}}])
def test_what_is_no_schema(content: Any) -> None:
    with pytest.raises(SchemaError):
        OpenSchema.from_dict(content)


def test_texts_may_say_buy() -> None:
    content = spec(kind="categorical", missing=False, values=["buy", "sell"], other_label="buy")
    assert Schema.from_dict(content).columns["c"].values == ("buy", "sell")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "constraint",
    [{"impossible": {"c": {"below": 3}, "x": [True]}}, {"at_most": ["c", "d"]},
     {"determines": {"column": "x", "by": "c", "map": {1: True}}}],
)  # fmt: skip
def test_constraints_are_about_stated_columns(constraint: dict[str, Any]) -> None:
    content = spec(kind="integer", missing=False, lower="buy", upper=9)
    content["columns"]["d"] = {"kind": "integer", "missing": False, "lower": 0, "upper": 9}
    content["constraints"] = [constraint]
    with pytest.raises(SchemaError, match="c buys some"):
        OpenSchema.from_dict(content)
    content["columns"]["c"] = {
        "kind": "integer", "missing": False, "lower": 0, "upper": 9, "edges": "buy", "bins": 4,
    }  # fmt: skip
    assert OpenSchema.from_dict(content).stand_in.constraints


def test_a_malformed_constraint_is_told_as_always() -> None:
    content = spec(kind="integer", missing="buy", lower=0, upper=9) | {"constraints": [{"never": 3}]}
    with pytest.raises(SchemaError, match="a constraint is one of"):
        OpenSchema.from_dict(content)


@st.composite
def open_contents(draw: st.DrawFn) -> dict[str, Any]:
    """Contents of whole schemas in which some keys say ``buy`` instead."""
    content = copy.deepcopy(draw(schemas()).to_dict())
    content.pop("constraints", None)
    content.pop("review", None)
    for keys in content["columns"].values():
        for key in BUYABLE.get(keys["kind"], ()):
            if key in keys and draw(st.booleans()):
                keys[key] = draw(st.sampled_from(sorted(BUY_EDGES))) if key == "edges" else "buy"
        if keys.get("values") == "buy":
            for key in ("out_of_domain", "other_label"):
                keys.pop(key, None)
        if "buy" in (keys.get("lower"), keys.get("upper")):
            keys.pop("spikes", None)
            if isinstance(keys.get("edges"), list):
                del keys["edges"]
        if keys.get("missing") == "buy" and keys.get("out_of_domain") == "missing":
            del keys["out_of_domain"]
            if keys["kind"] in {"categorical", "ordinal"} and not isinstance(keys.get("values", [0])[0], str):
                keys["out_of_domain"] = "clip"
    return content


@given(open_contents())
def test_every_open_schema_is_written_and_read_back(content: dict[str, Any]) -> None:
    CHECKER.validate(content)
    opened = any(v in ("buy", *BUY_EDGES) for c in content["columns"].values() for k, v in c.items()
                 if k in BUYABLE.get(c["kind"], ()) and isinstance(v, str))  # fmt: skip
    if not opened:
        assert Schema.from_dict(content).to_dict()
        return
    schema = OpenSchema.from_dict(content)
    assert OpenSchema.loads(schema.to_yaml()) == schema
    assert OpenSchema.from_dict(schema.to_dict()) == schema
    with pytest.raises(SchemaError, match="to be bought"):
        Schema.from_dict(content)
