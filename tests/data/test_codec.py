"""What each kind of column makes of each kind of value."""

from __future__ import annotations

import datetime as dt
import io
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pyarrow import csv

from dpsynth.data import Codec, Layout, open_source
from dpsynth.domain import Axis
from dpsynth.errors import DataError, SchemaError
from dpsynth.privacy.sealed import open_codes
from dpsynth.schema import Schema
from tests.strategies.frames import BrokenZone, objects_frame


def schema_of(**columns):
    return Schema.from_dict({"privacy_unit": "row", "columns": columns})


def code(spec, value):
    """The code of one value in an object column, or in its own column where pandas has a dtype for it."""
    codec = Codec(schema_of(x={"missing": True, **spec}))
    return int(open_codes(codec.encode(open_source(objects_frame({"x": [value]}))))[0][0])


WHOLE = {"kind": "integer", "lower": -2, "upper": 5}  # codes 0..7, missing 8


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(
            (1, 3),
            (1.0, 3),
            ("1", 3),
            (" 1 ", 3),
            ("1.0", 3),
            ("+1", 3),
            ("1e0", 3),
            (True, 3),
            ("true", 3),
            (Decimal(1), 3),
        ),
        *((1.5, 4), ("1.5", 4), (2.5, 4), (0.5, 2), (-0.5, 2), (Decimal("2.5"), 4), ("2.5", 4)),
        *(
            (99, 7),
            (-99, 0),
            (10**30, 7),
            ("1e400", 7),
            (float("inf"), 7),
            ("-Infinity", 0),
            (Decimal("-1e9999999"), 0),
        ),
        *(
            (None, 8),
            (float("nan"), 8),
            (pd.NaT, 8),
            (pd.NA, 8),
            ("", 8),
            ("NA", 8),
            (" null ", 8),
            ("?", 8),
            (Decimal("NaN"), 8),
        ),
        *(
            ("one", 0),
            ("1,5", 0),
            ("1_0", 0),
            ("٣", 0),
            ("0x1", 0),
            (b"1", 0),
            ([1], 0),
            (dt.date(2020, 1, 1), 0),
            (1j, 0),
        ),
    ],
)
def test_whole_numbers(value, expected):
    assert code(WHOLE, value) == expected
    inside = expected not in {0, 7, 8}
    assert code({**WHOLE, "out_of_domain": "missing"}, value) == (expected if inside else 8)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(
            (0.25, 25),
            ("0.25", 25),
            ("0.254", 25),
            (0.2549, 25),
            ("2.5e-1", 25),
            (Decimal("0.25"), 25),
            (np.float32(0.25), 25),
        ),
        *(
            (1, 100),
            (True, 100),
            (7, 100),
            (-1, 0),
            ("inf", 100),
            (10**400, 100),
            (-(10**400), 0),
            ("x", 0),
            (None, 101),
            ("nan", 101),
        ),
    ],
)
def test_decimal_numbers(value, expected):
    assert code({"kind": "real", "lower": 0, "upper": 1, "decimals": 2}, value) == expected


def test_a_text_and_a_float_round_alike():
    values = [f"{a}.{b:03d}" for a in range(3) for b in range(1000)]
    codec = Codec(
        schema_of(x={"kind": "real", "missing": False, "lower": 0, "upper": 3, "decimals": 2, "bins": 400})
    )
    texts, floats = (
        open_codes(codec.encode(open_source(pd.DataFrame({"x": column}))))[0]
        for column in (values, [float(v) for v in values])
    )
    assert texts.tolist() == floats.tolist()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(
            (dt.date(2020, 1, 3), 2),
            ("2020-01-03", 2),
            ("2020-01-03 23:59", 2),
            (dt.datetime(2020, 1, 3, 9), 2),  # noqa: DTZ001  -- naive on purpose
        ),
        *((pd.Timestamp("2020-01-03 10:00"), 2), (np.datetime64("2020-01-03T10", "h"), 2), ("20200103", 2)),
        *(
            (dt.datetime(2020, 1, 3, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))), 1),
            ("2020-01-03T01:00:00+02:00", 1),
        ),
        *(
            (dt.date(9999, 12, 31), 30),
            (dt.date.min, 0),
            ("9999-12-31T23:59:59-12:00", 30),
            (np.datetime64(10**17, "s"), 30),
            (dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))), 0),
        ),
        *(
            (None, 31),
            (pd.NaT, 31),
            (np.datetime64("NaT"), 31),
            ("NaT", 31),
            ("03/01/2020", 0),
            (5, 0),
            (2.5, 0),
            (True, 0),
            ("10000-01-01", 0),
        ),
    ],
)
def test_days(value, expected):
    assert code({"kind": "date", "lower": "2020-01-01", "upper": "2020-01-31"}, value) == expected


HOURS = {
    "kind": "datetime",
    "lower": "2020-07-01T00:00:00",
    "upper": "2020-07-01T23:59:59",
    "resolution": 3600,
}


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Paris", "America/New_York"])
def test_moments_of_mixed_zones(zone):
    spec = {**HOURS, "timezone": zone}
    offset = {None: 0, "UTC": 0, "Europe/Paris": 2, "America/New_York": -4}[zone]
    assert code(spec, "2020-07-01 12:59:59.999") == 12
    assert code(spec, dt.datetime(2020, 7, 1, 12, 30)) == 12  # noqa: DTZ001  -- naive on purpose
    for aware in (
        "2020-07-01T12:30:00Z",
        "2020-07-01T14:30:00+02:00",
        dt.datetime(2020, 7, 1, 12, 30, tzinfo=dt.UTC),
    ):
        assert code(spec, aware) == 12 + offset
    mixed = pd.DataFrame(
        {"x": pd.DatetimeIndex(["2020-07-01T12:30"]).tz_localize("UTC").tz_convert("Asia/Tokyo")}
    )
    codec = Codec(schema_of(x={**spec, "missing": False}))
    for frame in (mixed, pl.from_pandas(mixed)):
        assert open_codes(codec.encode(open_source(frame)))[0].tolist() == [12 + offset]


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Pacific/Auckland", "Asia/Tokyo"])
@pytest.mark.parametrize("lower", ["0001-01-01T00:00:00", "2000-01-01T00:00:00"])
def test_moments_where_the_calendar_ends_are_coded_as_any_others(zone, lower):
    upper = "9999-12-31T23:59:59"  # often written for "no end"
    spec = {**HOURS, "timezone": zone, "lower": lower, "upper": upper, "resolution": 3600, "bins": 9}
    last = code(spec, upper)
    for late in ("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999-23:59"):
        assert code(spec, late) == last
    for early in ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+23:59"):
        assert code(spec, early) == code(spec, lower) == 0
    ends = pd.DataFrame({"x": pd.array(["0001-01-01", "9999-12-31T23:59:59", None], "datetime64[s, UTC]")})
    codes = open_codes(Codec(schema_of(x={**spec, "missing": True})).encode(open_source(ends)))[0].tolist()
    assert codes[0] <= 1  # in the zone it is some hours later or earlier
    assert codes[1] >= last - 1


TEXTS = {
    "kind": "categorical",
    "values": ["1", "01", " pad", "True", "NA", "2.5", "Yes", "2020-01-31"],
}  # other 8, missing 9


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(
            ("1", 0),
            (1, 0),
            (1.0, 0),
            ("1.0", 0),
            (" 1", 0),
            ("01", 1),
            ("001", 0),
            (" pad", 2),
            ("pad", 2),
            ("pad ", 2),
        ),
        *(
            (True, 3),
            ("True", 3),
            ("true", 3),
            ("NA", 4),
            (" NA ", 4),
            ("na", 9),
            ("", 9),
            (None, 9),
            (2.5, 5),
            ("2.50", 5),
        ),
        *(
            ("Yes", 6),
            ("yes", 8),
            (dt.date(2020, 1, 31), 7),
            (dt.datetime(2020, 1, 31), 7),  # noqa: DTZ001  -- naive on purpose
            (dt.datetime(2020, 1, 31, 3), 8),  # noqa: DTZ001  -- naive on purpose
        ),
        *(
            ("other", 8),
            (3, 8),
            ([1], 8),
            (b"1", 8),
            (False, 8),
            (float("inf"), 8),
            (10**4000, 8),
            (Decimal("1.00"), 0),
        ),
    ],
)
def test_text_labels(value, expected):
    assert code(TEXTS, value) == expected


def test_rules_for_unknown_values_and_nulls():
    base = {"kind": "ordinal", "values": ["lo", "hi"]}
    frame = pd.DataFrame({"x": ["lo", "hi", "zzz", None]})

    def codes(**keys):
        codec = Codec(schema_of(x={**base, **keys}))
        return codec.domain.axes[0], open_codes(codec.encode(open_source(frame)))[0].tolist()

    assert codes(missing=True) == (Axis("x", 4, 2), [0, 1, 2, 3])
    assert codes(missing=False) == (Axis("x", 3, 2), [0, 1, 2, 2])
    assert codes(missing=True, other_label="hi") == (Axis("x", 3, 2), [0, 1, 1, 2])
    assert codes(missing=True, out_of_domain="clip") == (Axis("x", 3, 2), [0, 1, 0, 2])
    assert codes(missing=False, out_of_domain="clip") == (Axis("x", 2, 2), [0, 1, 0, 0])
    assert codes(missing=True, out_of_domain="missing") == (Axis("x", 3, 2), [0, 1, 2, 2])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(
            (True, 1),
            (False, 0),
            (1, 1),
            (0.0, 0),
            ("1.0", 1),
            ("YES", 1),
            (" t ", 1),
            ("n", 0),
            (np.True_, 1),
            (Decimal(1), 1),
        ),
        *((None, 2), ("na", 2), (2, 0), (0.5, 0), ("maybe", 0), ([True], 0), (float("inf"), 0)),
    ],
)
def test_truths(value, expected):
    assert code({"kind": "boolean"}, value) == expected
    if value not in (False, 0, "n") and expected == 0:
        assert code({"kind": "boolean", "out_of_domain": "missing"}, value) == 2


def test_whole_and_truth_labels():
    spec = {"kind": "categorical", "values": [30, -7, 2**62], "other_label": 99}
    for value, expected in (
        ("30", 0),
        (-7.0, 1),
        (2**62, 2),
        (99, 3),
        (30.5, 3),
        ("30.5", 3),
        (None, 4),
        (2**64, 3),
    ):
        assert code(spec, value) == expected
    codec = Codec(schema_of(x={**spec, "missing": False}))
    for dtype in ("int64", "uint64", "float64"):
        frame = pd.DataFrame({"x": np.array([30, 2**62, 98], dtype=dtype)})
        assert open_codes(codec.encode(open_source(frame)))[0].tolist() == [0, 2, 3]
    only_true = {"kind": "categorical", "values": [True], "other_label": False}
    assert [code(only_true, v) for v in (True, "no", 1, None, "zzz")] == [0, 1, 0, 2, 1]


def test_spikes_edges_and_zero_have_their_own_bins():
    spec = {
        "kind": "integer",
        "missing": True,
        "lower": -1000,
        "upper": 10**6,
        "edges": [10, 500],
        "spikes": [77],
    }
    codec = Codec(schema_of(x=spec))
    # [-1000] [-999..-1] [0] [1..9] [10..76] [77] [78..499] [500..999999] [1000000] missing
    assert codec.domain.axes == (Axis("x", 10, 9),)
    values = [-(10**9), -999, -1, 0, 1, 9, 10, 76, 77, 78, 499, 500, 999_999, 10**6, 10**9]
    codes = open_codes(codec.encode(open_source(pd.DataFrame({"x": values}))))[0]
    assert codes.tolist() == [0, 1, 1, 2, 3, 3, 4, 4, 5, 6, 6, 7, 7, 8, 8]


def test_a_broken_zone_is_unreadable():
    moment = dt.datetime(2020, 7, 1, tzinfo=BrokenZone())
    assert code(HOURS, moment) == 0
    assert code({**HOURS, "out_of_domain": "missing"}, moment) == 24


def test_a_million_categories_and_none_of_them_listed():
    codec = Codec(schema_of(x={"kind": "categorical", "missing": True, "count": 10**6, "other_label": 10**6}))
    assert codec.domain.sizes == (10**6 + 2,)
    frame = pd.DataFrame({"x": ["999999", "1000000", "-1", None, "0"]})
    codes = open_codes(codec.encode(open_source(frame)))
    assert codes[0].dtype == np.uint32
    assert codes[0].tolist() == [999_999, 10**6, 10**6, 10**6 + 1, 0]
    table = codec.decode(codes, Layout("pandas", ()), np.random.default_rng(0))
    assert table["x"].tolist()[:3] == [999_999, 10**6, 10**6]


def test_too_many_digits_are_refused_with_the_line():
    column = "{kind: real, missing: false, lower: 0, upper: 1000000, decimals: 10}"
    text = f"privacy_unit: row\ncolumns:\n  x: {column}\n"
    with pytest.raises(SchemaError, match="use fewer decimals") as caught:
        Codec(Schema.loads(text))
    assert (caught.value.key, caught.value.line) == ("columns.x.decimals", 3)


# ---------------------------------------------------------------- dtypes


SPECS = {
    "integer": {"kind": "integer", "lower": 0, "upper": 5},
    "wide integer": {"kind": "integer", "lower": 0, "upper": 2**60},
    "whole labels": {"kind": "categorical", "values": [0, 1, 2], "out_of_domain": "clip"},
    "real": {"kind": "real", "lower": 0, "upper": 5, "decimals": 1},
    "boolean": {"kind": "boolean"},
    "truth labels": {"kind": "categorical", "values": [True, False], "out_of_domain": "clip"},
    "text labels": {"kind": "categorical", "values": ["0", "1"]},
    "date": {"kind": "date", "lower": "2020-01-01", "upper": "2020-12-31"},
}


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_null_or_a_garbled_value_more_does_not_change_the_output_dtype(spec, missing):
    """pandas picks int64 or float64, bool or object by looking at the rows; the output must not tell."""
    if spec["kind"] == "date":
        plain = [pd.Timestamp("2020-01-02")] * 3
        neighbours = [plain, [*plain, pd.NaT], [*plain, None], [*plain, "garbled"], [None]]
    else:
        words = ["True", "False"] if spec["kind"] == "boolean" else ["0", "1"]
        neighbours = [[0, 1], [0, 1, None], [0, 1, 2**63], [0, 1, 2**70], [0, 1, 0.5], [0, 1, "garbled"]]
        neighbours += [
            words,
            [*words, None],
            [*words, 3],
            [None],
            [None, "garbled"],
            [True, False],
            [True, None],
        ]
    codec = Codec(schema_of(x={**spec, "missing": missing}))
    looks = set()
    for rows in neighbours:
        source = open_source(pd.DataFrame({"x": rows}))
        codes = open_codes(codec.encode(source))
        table = codec.decode(codes, codec.layout(source), np.random.default_rng(0))
        looks.add((str(table["x"].dtype), codec.layout(source)))
    assert len(looks) == 1


def test_a_dtype_keeps_no_value():
    """A sparse dtype names its fill value, which may be any one found in the rows."""
    frame = pd.DataFrame({"x": pd.arrays.SparseArray([1, 77_319, 77_319], fill_value=77_319)})
    codec = Codec(schema_of(x={"kind": "integer", "missing": False, "lower": 0, "upper": 5}))
    assert codec.layout(open_source(frame)).dtypes == (("x", "object"),)


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        *((d, d) for d in ("int8", "uint32", "Int16", "Float32", "float32", "category", "file")),
        *((d, d) for d in ("datetime64[s]", "datetime64[us, UTC]", "int8[pyarrow]", "float[pyarrow]")),
        *((d, "object") for d in ("int64", "uint64", "float64", "bool", "str", "object", "complex128")),
        *(
            (d, "object")
            for d in ("Int64", "Float64", "boolean", "string", "int64[pyarrow]", "string[pyarrow]")
        ),
        *((d, "object") for d in ("datetime64[us]", "datetime64[ns]", "Sparse[int64, 3]", "period[M]")),
    ],
)
def test_only_dtypes_that_values_cannot_decide_are_kept(dtype, kept):
    assert Layout("pandas", (("x", dtype), ("y", "int8"))).public(["x"]).dtypes == (("x", kept),)


READERS = {
    "polars": lambda file: pl.read_csv(file, try_parse_dates=True),
    "Arrow": csv.read_csv,
    "pandas": pd.read_csv,
    "pandas, nullable": lambda file: pd.read_csv(file, dtype_backend="numpy_nullable"),
    "pandas, Arrow": lambda file: pd.read_csv(file, dtype_backend="pyarrow"),
}


@pytest.mark.parametrize("reader", READERS)
def test_what_readers_of_files_infer_from_single_cells_is_not_kept(reader):
    seen, kept = set(), set()
    for number, truth, day in (
        ("2", "true", "2020-01-02"),
        ("2.5", "no", "-"),
        ("x", "", "2020-01-02T10:00"),
        ("", "", ""),
    ):
        text = f"n,t,d\n1,true,2020-01-01\n{number},{truth},{day}\n"
        layout = open_source(READERS[reader](io.BytesIO(text.encode()))).layout
        seen.add(layout)
        kept.add(layout.public(["n", "t", "d"]))
    assert len(seen) > 1
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("spec", "missing", "declared", "expected"),
    [
        ("integer", False, "int64", "int64"),
        ("integer", False, "int8", "int8"),
        ("integer", False, "uint16", "uint16"),
        ("integer", False, "float64", "int64"),
        ("integer", True, "int64", "float64"),
        ("integer", True, "float32", "float64"),
        ("wide integer", False, "int8", "int64"),
        ("wide integer", True, "float64", "Int64"),
        ("wide integer", True, "Float64", "Int64"),
        ("integer", True, "Int8", "Int8"),
        ("wide integer", True, "Int8", "Int64"),
        ("integer", True, "Float32", "Float64"),
        ("integer", False, "string", "string"),
        ("integer", False, "category", "int64"),
        ("whole labels", False, "category", "category"),
        ("whole labels", False, "int16", "int16"),
        ("whole labels", True, "int64[pyarrow]", "int64[pyarrow]"),
        ("real", True, "float32", "float32"),
        ("real", False, "int64", "float64"),
        ("real", False, "Float64", "Float64"),
        ("real", False, "Int64", "Float64"),
        ("boolean", False, "bool", "bool"),
        ("boolean", True, "bool", "object"),
        ("boolean", True, "boolean", "boolean"),
        ("boolean", False, "int64", "bool"),
        ("boolean", True, "float64", "object"),
        ("boolean", True, "Int8", "Int8"),
        ("boolean", True, "Float64", "Float64"),
        ("boolean", False, "category", "category"),
        ("text labels", True, "str", "str"),
        ("text labels", True, "object", "str"),
        ("text labels", True, "string", "string"),
        ("text labels", True, "category", "category"),
        ("text labels", False, "int64", "str"),
        ("date", True, "datetime64[ns]", "datetime64[ns]"),
        ("date", True, "datetime64[s, UTC]", "datetime64[s, UTC]"),
        ("date", True, "object", "datetime64[us]"),
        ("date", True, "float64", "str"),
        ("date", True, "str", "str"),
        ("date", True, "file", "datetime64[us]"),
    ],
)
def test_decoded_pandas_dtypes(spec, missing, declared, expected):
    codec = Codec(schema_of(x={**SPECS[spec], "missing": missing}))
    codes = [np.zeros(3, np.uint8)]
    table = codec.decode(codes, Layout("pandas", (("x", declared),)), np.random.default_rng(0))
    assert str(table["x"].dtype) == expected


def test_whole_reals_keep_a_masked_integer_dtype():
    codec = Codec(schema_of(x={"kind": "real", "missing": True, "lower": 0, "upper": 5, "decimals": 0}))
    table = codec.decode(
        [np.array([0, 5, 6], np.uint8)], Layout("pandas", (("x", "Int8"),)), np.random.default_rng(0)
    )
    assert str(table["x"].dtype) == "Int8"
    assert table["x"].tolist() == [0, 5, pd.NA]


def test_categories_are_the_public_values_in_order_and_never_the_observed():
    codec = Codec(schema_of(x={"kind": "ordinal", "missing": True, "values": ["lo", "mid", "hi"]}))
    frame = pd.DataFrame({"x": pd.Categorical(["hi", "zzz", None], categories=["zzz", "hi", "unused"])})
    source = open_source(frame)
    table = codec.decode(open_codes(codec.encode(source)), codec.layout(source), np.random.default_rng(0))
    assert table["x"].cat.categories.tolist() == ["lo", "mid", "hi", "other"]
    assert table["x"].cat.ordered
    assert table["x"].tolist()[:2] == ["hi", "other"]
    assert table["x"].isna().tolist() == [False, False, True]
    frame = pl.DataFrame({"x": pl.Series(["hi", None], dtype=pl.Enum(["zzz", "hi"]))})
    source = open_source(frame)
    table = codec.decode(open_codes(codec.encode(source)), codec.layout(source), np.random.default_rng(0))
    assert table["x"].dtype == pl.Enum(["lo", "mid", "hi", "other"])


def test_decoded_values_respect_bounds_decimals_and_grid():
    codec = Codec(
        schema_of(
            i={"kind": "integer", "missing": True, "lower": -50, "upper": 10_000, "bins": 20},
            r={
                "kind": "real",
                "missing": False,
                "lower": "-1.50",
                "upper": "99.75",
                "decimals": 2,
                "bins": 10,
            },
            t={
                "kind": "datetime",
                "missing": False,
                "lower": "2020-01-01T00:30:00",
                "upper": "2021-01-01T00:00:00",
                "resolution": 900,
            },
        )
    )
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, axis.size, 3000).astype(np.uint8) for axis in codec.domain]
    table = codec.decode(codes, Layout("pandas", ()), rng)
    assert table["i"].min() == -50
    assert table["i"].max() == 10_000
    assert (table["i"].dropna() % 1 == 0).all()
    assert table["r"].between(-1.5, 99.75).all()
    np.testing.assert_array_equal(table["r"], table["r"].round(2))
    assert table["t"].between("2020-01-01 00:30", "2021-01-01").all()
    assert ((table["t"] - pd.Timestamp("2020-01-01 00:30")).dt.total_seconds() % 900 == 0).all()
    texts = codec.decode(codes, Layout("pandas", tuple((n, "string") for n in "irt")), rng)
    assert texts["r"].str.fullmatch(r"-?\d+\.\d\d").all()
    assert texts["t"].str.fullmatch(r"2020-\d\d-\d\d \d\d:\d\d:\d\d|2021-01-01 00:00:00").all()


def test_decoding_is_reproducible_from_the_generator():
    codec = Codec(
        schema_of(
            i={"kind": "integer", "missing": False, "lower": 0, "upper": 10**6}, k={"kind": "identifier"}
        )
    )
    codes = [np.arange(codec.domain.sizes[0], dtype=np.uint8)]
    first, second, third = (
        codec.decode(codes, Layout("pandas", ()), np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert first.equals(second)
    assert not first.equals(third)


@pytest.mark.parametrize(
    "codes",
    [
        [],
        [np.zeros(2, np.uint8)],
        [np.zeros(2, np.uint8), np.zeros(3, np.uint8)],
        [np.zeros((2, 1), np.uint8)] * 2,
        [np.zeros(2), np.zeros(2)],
        [np.array([0, 9], np.uint8)] * 2,
        [np.array([0, -1])] * 2,
    ],
)
def test_codes_that_do_not_fit_are_refused(codes):
    codec = Codec(schema_of(a={"kind": "boolean", "missing": False}, b={"kind": "boolean", "missing": False}))
    with pytest.raises(DataError):
        codec.decode(codes, Layout("pandas", ()), np.random.default_rng(0))


def test_an_absent_polars_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    codec = Codec(schema_of(a={"kind": "boolean", "missing": False}))
    with pytest.raises(DataError, match='pip install polars, or ask for frame="pandas"'):
        codec.decode([np.zeros(2, np.uint8)], Layout("polars", ()), np.random.default_rng(0))


# ---------------------------------------------------------------- small tables


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("unit", ["row", {"column": "u", "max_rows": 2}])
def test_no_row_and_one_row(rows, unit):
    columns = {name.replace(" ", ""): {**spec, "missing": True} for name, spec in SPECS.items()}
    schema = Schema.from_dict({"privacy_unit": unit, "columns": columns})
    for frame in (
        pd.DataFrame({name: [None] * rows for name in [*columns, "u"]}),
        pl.DataFrame({name: [None] * rows for name in [*columns, "u"]}),
        pl.DataFrame({name: [None] * rows for name in [*columns, "u"]}).to_arrow(),
    ):
        codec = Codec(schema)
        codes = open_codes(codec.encode(open_source(frame)))
        kept = rows if unit == "row" else 0
        assert [c.tolist() for c in codes] == [[axis.size - 1] * kept for axis in codec.domain]
        table = codec.decode(codes, codec.layout(open_source(frame)), np.random.default_rng(0))
        assert table.shape == (kept, len(columns))
