"""Drafts: what is guessed, how it is marked, and that a reviewed draft works."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.data import Codec, draft_schema, open_source
from dpsynth.errors import DataError, MissingFileError, SchemaError
from dpsynth.privacy.sealed import open_codes
from dpsynth.schema import OpenSchema, Schema, UnitColumn
from tests.strategies.frames import garbage, objects_frame

N = 60


def guessed(values, name="x"):
    """The guess for one column, as the schema states it, beside a column that is always learned."""
    frame = pd.DataFrame({name: values, "b": [True] * len(values)})
    schema = Schema.loads(draft_schema(frame, privacy_unit="row"))
    content = schema.to_dict()["columns"][name]
    return {key: value for key, value in content.items() if key != "missing"}, content.get("missing")


@pytest.mark.parametrize(
    ("values", "expected", "missing"),
    [
        ([1, 2, 3, 3], {"kind": "integer", "lower": 1, "upper": 3}, False),
        ([1.0, None, 3.0], {"kind": "integer", "lower": 1, "upper": 3}, True),
        (["1", " 2", "3.0", "NA"], {"kind": "integer", "lower": 1, "upper": 3}, True),
        (["01", "10"], {"kind": "categorical", "values": ["01", "10"]}, False),
        ([0.25, -1.5], {"kind": "real", "lower": -1.5, "upper": 0.25, "decimals": 2}, False),
        (["0.5", "7"], {"kind": "real", "lower": 0.5, "upper": 7, "decimals": 1}, False),
        ([1e300, 0.5], {"kind": "real", "lower": 0, "upper": 10**15, "decimals": 0}, False),
        ([float("inf"), 2], {"kind": "integer", "lower": 2, "upper": 2}, False),
        ([float("inf"), None], {"kind": "integer", "lower": 0, "upper": 1}, True),
        ([2**70, 1], {"kind": "integer", "lower": 1, "upper": 2**61 - 1}, False),
        ([True, False], {"kind": "boolean"}, False),
        ([True, None], {"kind": "boolean"}, True),
        (["true", "False"], {"kind": "boolean"}, False),
        (["Yes", "No"], {"kind": "categorical", "values": ["No", "Yes"]}, False),
        (
            ["2020-01-31", "2020-01-32"],
            {"kind": "categorical", "values": ["2020-01-31", "2020-01-32"]},
            False,
        ),
        (["b", "a", None, "a", "?"], {"kind": "categorical", "values": ["a", "b"]}, True),
        (["2020-01-31", "2019-05-01"], {"kind": "date", "lower": "2019-05-01", "upper": "2020-01-31"}, False),
        ([dt.date(2020, 1, 31), None], {"kind": "date", "lower": "2020-01-31", "upper": "2020-01-31"}, True),
        (
            [pd.Timestamp("2020-01-01 10:00"), pd.Timestamp("2020-01-01 12:30")],
            {
                "kind": "datetime",
                "lower": "2020-01-01T10:00:00",
                "upper": "2020-01-01T12:30:00",
                "resolution": 60,
            },
            False,
        ),
        (
            list(pd.DatetimeIndex(["2020-01-01 10:00", "2020-01-01 12:00"], tz="Europe/Paris")),
            {
                "kind": "datetime",
                "lower": "2020-01-01T10:00:00",
                "upper": "2020-01-01T12:00:00",
                "resolution": 3600,
                "timezone": "Europe/Paris",
            },
            False,
        ),
        (
            [float("-inf"), dt.date(2020, 1, 1)],
            {"kind": "categorical", "values": ["-inf", "2020-01-01"]},
            False,
        ),
        ([None, None], {"kind": "categorical", "values": ["?"]}, True),
        ([[1], {}], {"kind": "categorical", "values": ["?"]}, False),
        (["a\x00b", "c"], {"kind": "categorical", "values": ["c"]}, False),
        (list(range(N)), {"kind": "identifier"}, None),
        ([f"AB-{i:05d}" for i in range(N)], {"kind": "identifier", "format": "@@-#####"}, None),
        ([f"é#{i:07d}" for i in range(N)], {"kind": "identifier", "format": "é\\########"}, None),
        ([f"name {i}" for i in range(N)], {"kind": "identifier"}, None),
        ([f"{i:05d}a" if i % 2 else f"{i:05d}-" for i in range(N)], {"kind": "identifier"}, None),
    ],
)
def test_guesses(values, expected, missing):
    assert guessed(values) == (expected, missing)


@pytest.mark.parametrize("name", ["patient_nbr", "hhID", "Facility ID", "id"])
def test_a_name_that_says_key_makes_a_repeated_number_an_identifier(name):
    values = [10_000 + i // 2 for i in range(N)] + list(range(20_000, 20_010))
    assert guessed(values, name)[0] == {"kind": "identifier", "format": "#####", "unique": False}
    assert guessed(values, "income")[0]["kind"] == "integer"


def test_everything_read_from_rows_is_marked_and_the_head_says_so():
    frame = pd.DataFrame(
        {
            "i": [3, 4],
            "r": [0.5, None],
            "c": ["x", "y"],
            "b": [True, False],
            "t": pd.to_datetime(["2020-01-01 01:00", "2020-01-02 00:00"]),
        }
    )
    text = draft_schema(frame, privacy_unit="row")
    assert text.startswith("# PRIVATE DRAFT.")
    schema = Schema.loads(text)
    assert set(schema.review) == {
        *(f"columns.i.{key}" for key in ("kind", "missing", "lower", "upper")),
        *(f"columns.r.{key}" for key in ("kind", "missing", "lower", "upper", "decimals")),
        *(f"columns.c.{key}" for key in ("kind", "missing", "values")),
        *(f"columns.b.{key}" for key in ("kind", "missing")),
        *(f"columns.t.{key}" for key in ("kind", "missing", "lower", "upper", "resolution")),
    }
    with pytest.raises(SchemaError, match="awaits review"):
        schema.require_reviewed()


def test_the_privacy_unit_is_asked_for_and_never_guessed():
    frame = pd.DataFrame({"who": range(N), "x": ["a", "b"] * 30})
    text = draft_schema(frame)
    assert "privacy_unit: !REVIEW null" in text
    with pytest.raises(SchemaError, match="privacy_unit"):
        Schema.loads(text)
    answered = text.replace("privacy_unit: !REVIEW null", "privacy_unit: {column: who, max_rows: 2}")
    assert Schema.loads(answered).learned == ("x",)
    given_unit = {"column": "x", "max_rows": 3}
    for unit in (given_unit, UnitColumn(**given_unit)):
        schema = Schema.loads(draft_schema(frame, privacy_unit=unit))
        assert schema.privacy_unit == UnitColumn(**given_unit)
        assert schema.columns["x"].kind == "identifier"
        assert schema.learned == ("who",)


def test_drafts_that_are_refused(tmp_path):
    with pytest.raises(DataError, match="no column 'y'"):
        draft_schema(pd.DataFrame({"x": [1]}), privacy_unit={"column": "y", "max_rows": 1})
    with pytest.raises(SchemaError, match="max_rows"):
        draft_schema(pd.DataFrame({"x": [1], "y": [2]}), privacy_unit={"column": "y", "max_rows": 0})
    with pytest.raises(DataError, match="nothing to draft"):
        draft_schema(pd.DataFrame({"": [1]}))
    with pytest.raises(MissingFileError):
        draft_schema(tmp_path / "none.csv")


def test_odd_tables_are_drafted_with_a_note():
    frame = pd.DataFrame({"": range(2), "x": ["a", "a"], "none": [None, None]})
    text = draft_schema(frame, privacy_unit="row")
    assert "# Note: a column without a name was left out" in text
    assert "# Note: 'none' has no values" in text
    many = pd.DataFrame({"x": [f"v{i}" for i in range(1200)] * 2})
    assert "more than 1000" in draft_schema(many, privacy_unit="row")
    only_keys = Schema.loads(
        draft_schema(pd.DataFrame({"k": [f"v{i}" for i in range(N)]}), privacy_unit="row")
    )
    assert only_keys.learned == ("k",)


@given(st.lists(garbage(), max_size=10), st.integers(1, 8))
def test_any_table_can_be_drafted_and_its_draft_used(values, copies):
    frame = objects_frame({"x": values * copies, "y": [1] * (len(values) * copies)})
    schema = Schema.loads(draft_schema(frame, privacy_unit="row"))
    check_round_trip(schema, frame)


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_moments_at_the_end_of_the_calendar_can_be_drafted(end):
    assert "kind: !REVIEW date" in draft_schema(pd.DataFrame({"x": [end, "2020-01-01"]}), privacy_unit="row")


def test_a_draft_that_buys_marks_every_kind_it_read_from_rows():
    words = {"b": [True, False] * 5, "w": ["true", "false"] * 5}
    open_schema = OpenSchema.loads(draft_schema(pd.DataFrame(words), privacy_unit="row", buy=True))
    assert set(open_schema.stand_in.review) == {"columns.b.kind", "columns.w.kind"}


def check_round_trip(schema, data):
    """Encode, decode and encode again; every code comes back."""
    codec = Codec(schema)
    source = open_source(data)
    codes = open_codes(codec.encode(source))
    table = codec.decode(codes, codec.layout(source), np.random.default_rng(0))
    assert tuple(table.columns) == tuple(schema.columns)
    for axis, before, after in zip(
        codec.domain, codes, open_codes(codec.encode(open_source(table))), strict=True
    ):
        np.testing.assert_array_equal(after, before, err_msg=axis.name)
    return dict(zip(codec.domain.names, codes, strict=True))


@pytest.mark.parametrize(
    ("file", "kinds"),
    [
        ("adult/adult_raw.csv", {"age": "integer", "workclass": "categorical", "income": "categorical"}),
        ("titanic/raw_train_891x12.csv", {"Age": "real", "Name": "identifier", "Sex": "categorical"}),
        ("kdd_census_income/train.parquet", {}),
        ("diabetes130/data.parquet", {"encounter_id": "identifier", "patient_nbr": "identifier"}),
        ("cms_hospitals/hospitals.csv", {"ZIP Code": "categorical", "State": "categorical"}),
        ("cms_hospitals/readmissions.csv", {"Excess Readmission Ratio": "categorical"}),
        ("nist_acs/ma2018.csv", {}),
        ("household_survey/persons.csv", {}),
    ],
)
def test_real_tables_go_from_draft_to_codes_and_back(file, kinds, real_data):
    path = real_data(file)
    schema = Schema.loads(draft_schema(path, privacy_unit="row"))
    assert {name: schema.columns[name].kind for name in kinds} == kinds
    codes = check_round_trip(schema, path)
    for name, spec in schema.columns.items():
        if hasattr(spec, "labels") and name in codes:
            assert not (codes[name] == len(spec.labels)).all()
