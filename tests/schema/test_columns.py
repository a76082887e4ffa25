"""The kinds of column: what each takes, and what each refuses, at which key."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from pydantic import TypeAdapter, ValidationError

from dpsynth.errors import SchemaError
from dpsynth.schema import Boolean, Categorical, Date, Datetime, Identifier, Integer, Ordinal, Real, Schema
from dpsynth.schema.columns import KINDS
from tests.strategies.schemas import columns

LABELLED = {"kind": "categorical", "missing": False}
INTEGER = {"kind": "integer", "missing": False, "lower": 0, "upper": 10}
REAL = {"kind": "real", "missing": False, "lower": 0, "upper": 1, "decimals": 2}
DATE = {"kind": "date", "missing": False, "lower": "2020-01-01", "upper": "2020-12-31"}
MOMENT = {
    "kind": "datetime",
    "missing": False,
    "lower": "2020-01-01T00:00:00",
    "upper": "2020-12-31T00:00:00",
    "resolution": 60,
}
IDENTIFIER = {"kind": "identifier"}


def column(spec):
    return Schema.from_dict(
        {"privacy_unit": "row", "columns": {"c": spec, "x": Boolean(missing=False)}}
    ).columns["c"]


def zone(hours):
    return dt.timezone(dt.timedelta(hours=hours))


BAD = [
    # labels
    (LABELLED, {}, "", "state values (a list of what may occur) or count"),
    (LABELLED, {"values": ["a"], "count": 3}, ".count", "state either values or count, not both"),
    (LABELLED, {"values": []}, ".values", "empty; at least one item is needed"),
    (LABELLED, {"values": "abc"}, ".values", "a list such as [a, b] is expected, not str"),
    (LABELLED, {"values": {"a", "b"}}, ".values", "a list such as [a, b] is expected, not set"),
    (LABELLED, {"values": ["a", 1]}, ".values.1", "values mix texts with whole numbers (this is number 2"),
    (LABELLED, {"values": [1, True]}, ".values.1", "values mix whole numbers with true and false"),
    (LABELLED, {"values": ["a", "b", "a"]}, ".values.2", "number 3 of the list is the same as number 1"),
    (LABELLED, {"values": ["a", None]}, ".values.1", "not nothing (null); put quotes"),
    (LABELLED, {"values": [0.5]}, ".values.0", "not the decimal number 0.5; put quotes"),
    (LABELLED, {"values": [["a"]]}, ".values.0", "not a list"),
    (LABELLED, {"values": [{"a": 1}]}, ".values.0", "not a mapping"),
    (LABELLED, {"values": [np.int64(1)]}, ".values.0", "not a int64"),
    (LABELLED, {"values": [0, 2**62 + 1], "out_of_domain": "clip"}, ".values.1", "within -2**62 .. 2**62"),
    (LABELLED, {"values": ["\ud800"]}, ".values.0", "half of a surrogate pair"),
    (LABELLED, {"count": 0}, ".count", "the whole number 0 is below the least allowed, 1"),
    (LABELLED, {"count": 10**8}, ".count", "above the greatest allowed, 10000000"),
    (LABELLED, {"count": 10**50}, ".count", "a whole number of more than 40 digits is above"),
    (LABELLED, {"count": True}, ".count", "a whole number is expected, not the boolean true"),
    (LABELLED, {"count": 3.0}, ".count", "a whole number is expected, not the decimal number 3.0"),
    (LABELLED, {"count": "3"}, ".count", 'not the text "3"; write plain digits'),
    (LABELLED, {"count": 3}, ".out_of_domain", "needs an other_label where values are whole numbers"),
    (LABELLED, {"values": [True, False]}, ".out_of_domain", "where values are true and false"),
    (LABELLED, {"count": 3, "other_label": "x"}, ".other_label", "must be one of whole numbers"),
    (LABELLED, {"count": 3, "other_label": 2**63}, ".other_label", "within -2**62 .. 2**62"),
    (LABELLED, {"values": ["a"], "other_label": 1}, ".other_label", "must be one of texts"),
    (LABELLED, {"values": ["a"], "other_label": 1.5}, ".other_label", "put quotes around it"),
    (
        LABELLED,
        {"values": ["a"], "out_of_domain": "clip", "other_label": "b"},
        ".other_label",
        "only with out_of_domain: other",
    ),
    (LABELLED, {"values": ["a"], "out_of_domain": "missing"}, ".out_of_domain", "needs missing: true"),
    (
        LABELLED,
        {"values": ["a"], "out_of_domain": "drop"},
        ".out_of_domain",
        "clip, other or missing is expected",
    ),
    (LABELLED, {"values": ["a"], "categories": []}, ".categories", "unknown key; did you mean values?"),
    (
        LABELLED,
        {"values": ["a"], "xyzzy": 1},
        ".xyzzy",
        "unknown key; known are kind, missing, values, count",
    ),
    (LABELLED | {"missing": "yes"}, {"count": 2}, ".missing", 'not the text "yes"; write true'),
    (LABELLED | {"missing": "off"}, {"count": 2}, ".missing", "write false"),
    (
        LABELLED | {"missing": 0},
        {"count": 2},
        ".missing",
        "true or false is expected, not the whole number 0",
    ),
    (LABELLED | {"missing": None}, {"count": 2}, ".missing", "true or false is expected, not nothing (null)"),
    ({"kind": "ordinal"}, {"count": 2}, ".missing", "the key missing is missing; state true if"),
    # booleans
    (
        {"kind": "boolean", "missing": False},
        {"out_of_domain": "missing"},
        ".out_of_domain",
        "needs missing: true",
    ),
    (
        {"kind": "boolean", "missing": False},
        {"out_of_domain": "other"},
        ".out_of_domain",
        "clip or missing is expected",
    ),
    # whole numbers
    (INTEGER, {"upper": -1}, ".upper", "upper is below lower"),
    (INTEGER, {"lower": -(2**62), "upper": 2**62}, ".upper", "more than 2**62 distinct values"),
    (INTEGER, {"upper": 2**62 + 1}, ".upper", "above the greatest allowed"),
    (
        INTEGER,
        {"lower": Decimal("1.0")},
        ".lower",
        "not the decimal number 1.0; write it without a decimal point",
    ),
    (INTEGER, {"lower": "1_000"}, ".lower", 'not the text "1_000"; write plain digits'),
    (INTEGER, {"bins": 1}, ".bins", "below the least allowed, 2"),
    (INTEGER, {"bins": 10**6}, ".bins", "above the greatest allowed, 65536"),
    (INTEGER, {"edges": []}, ".edges", "empty; at least one item"),
    (INTEGER, {"edges": 5}, ".edges", "a list such as [a, b] is expected, not int"),
    (INTEGER, {"edges": list(range(1, 70_000)), "upper": 70_000}, ".edges", "too long; at most 65536 items"),
    (INTEGER, {"edges": [5, 5]}, ".edges.1", "edges must increase"),
    (INTEGER, {"edges": [5, 4]}, ".edges.1", "edges must increase"),
    (INTEGER, {"edges": [0, 4]}, ".edges.0", "edges must lie above lower"),
    (INTEGER, {"edges": [4, 11]}, ".edges.1", "edges must lie above lower and not above upper"),
    (INTEGER, {"edges": [4], "bins": 5}, ".bins", "state either bins (equal widths) or edges"),
    (INTEGER, {"spikes": [3, 11]}, ".spikes.1", "spikes must lie between lower and upper"),
    (INTEGER, {"spikes": [3, 4, 3]}, ".spikes.2", "this spike is listed twice"),
    (INTEGER, {"spikes": [3, "4"]}, ".spikes.1", "a whole number is expected"),
    (INTEGER, {"spikes": None}, ".spikes", "a list is expected, not nothing (null)"),
    (INTEGER, {"out_of_domain": "missing"}, ".out_of_domain", "needs missing: true"),
    (INTEGER, {"min": 3}, ".min", "unknown key; did you mean lower?"),
    # decimals
    (REAL, {"upper": "0.123"}, ".upper", "more digits after the point than decimals: 2 allows"),
    (REAL, {"lower": Decimal("1e-999999")}, ".lower", "more digits after the point"),
    (REAL, {"spikes": [0.5, 0.125]}, ".spikes.1", "more digits after the point"),
    (REAL, {"edges": [0.125]}, ".edges.0", "more digits after the point"),
    (REAL, {"upper": -1}, ".upper", "upper is below lower"),
    (REAL, {"upper": 1e16}, ".upper", "above the greatest allowed, 1000000000000000"),
    (REAL, {"upper": Decimal("1e999999")}, ".upper", "above the greatest allowed"),
    (REAL, {"spikes": [Decimal("1e999999")]}, ".spikes.0", "above the greatest allowed"),
    (REAL, {"lower": float("-inf")}, ".lower", "a finite number is expected"),
    (REAL, {"upper": float("nan")}, ".upper", "a finite number is expected"),
    (REAL, {"upper": Decimal("sNaN")}, ".upper", "a finite number is expected"),
    (REAL, {"upper": True}, ".upper", "a decimal number such as 12.5 is expected"),
    (REAL, {"upper": "1_000"}, ".upper", "a decimal number such as 12.5 is expected"),
    (REAL, {"upper": "1e3"}, ".upper", "a decimal number such as 12.5 is expected"),
    (REAL, {"upper": None}, ".upper", "a decimal number such as 12.5 is expected"),
    (REAL, {"decimals": 16}, ".decimals", "above the greatest allowed, 15"),
    (REAL, {"upper": 10**12, "decimals": 9}, ".upper", "times 10**decimals is above 2**62"),
    (REAL, {"lower": -4 * 10**9, "upper": 4 * 10**9, "decimals": 9}, ".upper", "more than 2**62 distinct"),
    # days
    (DATE, {"lower": "2020-02-30"}, ".lower", "there is no such day"),
    (DATE, {"lower": 20200101}, ".lower", "a day such as 2024-01-31 is expected"),
    (DATE, {"lower": "20200101"}, ".lower", "a day such as 2024-01-31 is expected"),
    (DATE, {"lower": dt.datetime(2020, 1, 1)}, ".lower", "without a time of day"),  # noqa: DTZ001  -- refused
    (DATE, {"upper": "2019-01-01"}, ".upper", "upper is below lower"),
    (DATE, {"spikes": ["2020-05-01", "2021-05-01"]}, ".spikes.1", "must lie between"),
    # moments
    (MOMENT, {"upper": "2020-12-31"}, ".upper", "with a time of day"),
    (MOMENT, {"upper": "2020-12-31T24:61:00"}, ".upper", "there is no such moment"),
    (MOMENT, {"upper": "2020-12-31T00:00:00Z"}, ".upper", "without an offset"),
    (MOMENT, {"upper": dt.datetime(2020, 12, 31, tzinfo=zone(1))}, ".upper", "without an offset"),
    (MOMENT, {"upper": 1.6e9}, ".upper", "a moment such as 2024-01-31T23:59:59 is expected"),
    (MOMENT, {"upper": "2019-12-31T00:00"}, ".upper", "upper is below lower"),
    (MOMENT, {"timezone": "Mars/Olympus"}, ".timezone", "not an IANA time zone"),
    (MOMENT, {"timezone": "../etc/passwd"}, ".timezone", "not an IANA time zone"),
    (MOMENT, {"timezone": "a\0b"}, ".timezone", "not an IANA time zone"),
    (MOMENT, {"timezone": 1}, ".timezone", "a text is expected, not the whole number 1"),
    (MOMENT, {"resolution": 0}, ".resolution", "below the least allowed, 1"),
    (
        MOMENT,
        {"spikes": ["2020-05-01T00:00:30"]},
        ".spikes.0",
        "lower plus a multiple of resolution: 60 seconds",
    ),
    # identifiers
    (IDENTIFIER, {"format": "ABC"}, ".format", "no # (digit) or @ (letter)"),
    (IDENTIFIER, {"format": r"\#\@"}, ".format", "no # (digit) or @ (letter)"),
    (IDENTIFIER, {"format": "##\\"}, ".format", "ends in a backslash"),
    (IDENTIFIER, {"format": "#\ud800"}, ".format", "half of a surrogate pair"),
    (IDENTIFIER, {"format": ""}, ".format", "empty; at least one character"),
    (IDENTIFIER, {"format": "#" * 201}, ".format", "too long; at most 200 characters"),
    (IDENTIFIER, {"format": 5}, ".format", "put quotes around it"),
    (IDENTIFIER, {"missing": True}, ".missing", "unknown key; known are kind, format, unique"),
    # kinds
    ({}, {"missing": True}, ".kind", "the key kind is missing; state one of categorical"),
    ({"kind": None}, {}, ".kind", "the key kind is missing"),
    ({"kind": "float"}, {}, ".kind", "did you mean real?"),
    ({"kind": "Categoric"}, {}, ".kind", "did you mean categorical?"),
    ({"kind": "xyzzy"}, {}, ".kind", "known are categorical, ordinal"),
    ({"kind": ["real"]}, {}, ".kind", "this is not a kind of column"),
]


@pytest.mark.parametrize(("base", "change", "key", "said"), BAD)
def test_what_is_refused(base, change, key, said):
    with pytest.raises(SchemaError) as caught:
        column(base | change)
    assert said in caught.value.problem
    assert caught.value.key == "columns.c" + key
    assert "\n" not in caught.value.problem


@pytest.mark.parametrize("spec", [None, 5, "integer", ["integer"]])
def test_a_column_is_a_mapping(spec):
    with pytest.raises(SchemaError, match="a mapping of keys such as") as caught:
        column(spec)
    assert caught.value.key == "columns.c"


@pytest.mark.parametrize("kind", KINDS)
def test_every_required_key_is_asked_for_in_words(kind):
    with pytest.raises(SchemaError) as caught:
        column({"kind": kind, "zzz": 1})
    required = [key for key, field in KINDS[kind].model_fields.items() if field.is_required()]
    for key in required:
        assert f"columns.c.{key}: the key {key} is missing; state" in str(caught.value)


def test_labels_and_other():
    assert column(LABELLED | {"values": ["b", "a"]}).labels == ("b", "a")
    assert column(LABELLED | {"values": ["b", "a"]}).other == "other"
    assert column(LABELLED | {"values": ["b", "a"], "other_label": "a"}).other == "a"
    assert column(LABELLED | {"count": 3, "other_label": -1}).labels == range(3)
    assert column(LABELLED | {"count": 3, "other_label": -1}).other == -1
    assert column(LABELLED | {"count": 3, "out_of_domain": "clip"}).other is None


def test_true_is_not_one():
    flags = Categorical(missing=False, values=(True, False), out_of_domain="clip")
    numbers = Categorical(missing=False, values=(1, 0), out_of_domain="clip")
    assert flags != numbers
    assert flags == Categorical(missing=False, values=(True, False), out_of_domain="clip")
    assert flags != Ordinal(missing=False, values=(True, False), out_of_domain="clip")
    assert flags != "flags"


def test_a_bound_is_what_is_written():
    spec = column(REAL | {"lower": 0.1, "upper": "0.30"})
    assert (spec.lower, spec.upper) == (Decimal("0.1"), Decimal("0.3"))
    assert column(REAL | {"lower": np.float64(0.1)}).lower == Decimal("0.1")
    assert column(REAL | {"upper": Decimal(10**15), "lower": 10**15 - 1, "decimals": 3}).upper == 10**15
    assert column(REAL | {"lower": Decimal("-0.0"), "upper": Decimal("1E+1")}).upper == 10
    assert column(DATE).lower == dt.date(2020, 1, 1)
    assert column(DATE | {"lower": dt.date(2020, 2, 1)}).lower == dt.date(2020, 2, 1)
    assert column(MOMENT | {"lower": "2019-01-01 10:00"}).lower == dt.datetime(2019, 1, 1, 10)  # noqa: DTZ001  -- wall-clock time


def test_edges_may_stand_with_bins_at_its_default():
    assert column(INTEGER | {"edges": [5, 10], "bins": 128}).edges == (5, 10)


def test_the_widest_ranges():
    assert column(INTEGER | {"lower": -(2**61), "upper": 2**61 - 1}).upper == 2**61 - 1
    assert column(INTEGER | {"upper": 0}).upper == 0
    assert column(DATE | {"lower": "0001-01-01", "upper": "9999-12-31"}).upper == dt.date.max


@given(columns())
def test_columns_are_frozen_and_hashable(spec):
    assert hash(spec) == hash(type(spec).model_validate(spec.model_dump()))
    with pytest.raises(ValidationError, match="frozen"):
        spec.kind = "real"


def test_columns_can_be_built_directly():
    built = [
        Boolean(missing=True),
        Integer(missing=False, lower=0, upper=1),
        Real(missing=False, lower=Decimal(0), upper=Decimal(1), decimals=0),
        Date(missing=False, lower=dt.date(2020, 1, 1), upper=dt.date(2020, 1, 1)),
        Datetime(missing=False, lower="2020-01-01T00:00", upper="2020-01-02T00:00"),
        Identifier(),
    ]
    plain = json.loads(TypeAdapter(list).dump_json(built))
    assert [spec["kind"] for spec in plain] == [
        "boolean",
        "integer",
        "real",
        "date",
        "datetime",
        "identifier",
    ]
