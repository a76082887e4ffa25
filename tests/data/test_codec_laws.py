"""Laws of the codec that hold for every schema, every kind of frame and whatever the cells hold."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.data import Codec, Layout, open_source
from dpsynth.data.lattice import Lattice
from dpsynth.privacy.sealed import open_codes
from dpsynth.schema import Schema
from tests.strategies.frames import MAKERS, codes_of, messy_columns, objects_frame
from tests.strategies.schemas import schemas

PANDAS = [
    *("file", "int8", "int64", "uint16", "float32", "float64", "bool", "object", "str", "string", "category"),
    *(
        "Int8",
        "Int64",
        "UInt32",
        "Float32",
        "Float64",
        "boolean",
        "datetime64[s]",
        "datetime64[ns]",
        "datetime64[us, UTC]",
    ),
    *(
        "int32[pyarrow]",
        "double[pyarrow]",
        "string[pyarrow]",
        "timestamp[ms][pyarrow]",
        "bool[pyarrow]",
        "period[D]",
    ),
    "dictionary<values=string, indices=int32, ordered=0>[pyarrow]",
]
POLARS = [
    *(
        "Int8",
        "Int64",
        "UInt16",
        "Float32",
        "Float64",
        "Boolean",
        "String",
        "Categorical",
        "Enum",
        "Date",
        "Decimal",
        "Null",
    ),
    *("Datetime[us]", "Datetime[ns]", "Datetime[ms, UTC]", "List"),
]
ARROW = [
    *(
        "int8",
        "int64",
        "uint32",
        "float",
        "double",
        "bool",
        "string",
        "large_string",
        "date32[day]",
        "date64[ms]",
        "null",
    ),
    *("timestamp[s]", "timestamp[ns]", "timestamp[us, tz=UTC]", "decimal128(10, 2)", "list<item: int64>"),
    "dictionary<values=string, indices=int32, ordered=0>",
]
DTYPES = {"pandas": PANDAS, "polars": POLARS, "pyarrow": ARROW}


def encode(schema_or_codec, data):
    codec = schema_or_codec if isinstance(schema_or_codec, Codec) else Codec(schema_or_codec)
    return open_codes(codec.encode(open_source(data)))


def has_huge_enum(schema):
    """A polars Enum lists all its texts, which takes seconds for millions."""
    return any((getattr(spec, "count", None) or 0) > 10_000 for spec in schema.columns.values())


def with_unit(schema, frame):
    """Add the privacy unit's column, one unit a row, so that no row is dropped."""
    unit = schema.privacy_unit
    if unit == "row":
        return frame
    ids = [f"u{i}" for i in range(frame.shape[0])]
    if isinstance(frame, pd.DataFrame):
        return frame.assign(**{unit.column: ids})
    if isinstance(frame, pl.DataFrame):
        return frame.with_columns(pl.Series(unit.column, ids, dtype=pl.String))
    if unit.column in frame.column_names:
        frame = frame.drop_columns([unit.column])
    return frame.append_column(unit.column, pa.array(ids, type=pa.string()))


@pytest.mark.parametrize("frame", ["pandas", "polars", "pyarrow"])
@given(data=st.data())
def test_encoding_decoded_codes_gives_them_back(frame, data):
    schema = data.draw(schemas().filter(lambda s: frame != "polars" or not has_huge_enum(s)))
    codec = Codec(schema)
    codes = data.draw(codes_of(codec))
    dtypes = st.sampled_from(DTYPES[frame])
    layout = Layout(frame, tuple((name, data.draw(dtypes)) for name in schema.columns))
    table = codec.decode(codes, layout, np.random.default_rng(data.draw(st.integers(0, 99))))
    again = encode(codec, with_unit(schema, table))
    for axis, before, after in zip(codec.domain, codes, again, strict=True):
        assert after.dtype == before.dtype, axis.name
        np.testing.assert_array_equal(after, before, err_msg=f"{axis.name} {layout.dtype(axis.name)}")


@pytest.mark.parametrize("frame", ["pandas", "polars", "pyarrow"])
@given(data=st.data())
def test_decoded_dtypes_and_order_follow_from_schema_and_layout_alone(frame, data):
    schema = data.draw(schemas().filter(lambda s: frame != "polars" or not has_huge_enum(s)))
    codec = Codec(schema)
    dtypes = st.sampled_from(DTYPES[frame])
    layout = Layout(frame, tuple((name, data.draw(dtypes)) for name in schema.columns))
    looks = []
    for codes in (
        [np.zeros(0, np.uint32)] * len(codec.domain),
        *(data.draw(codes_of(codec)) for _ in range(2)),
    ):
        table = codec.decode(codes, layout, np.random.default_rng(0))
        looks.append(open_source(table).layout)
        assert open_source(table).names == tuple(schema.columns)
        assert table.shape[0] == len(codes[0])
    assert looks[0] == looks[1] == looks[2]


@given(data=st.data())
def test_encoding_is_total_and_each_row_stands_alone(data):
    schema = data.draw(schemas(small=data.draw(st.booleans()), unit_columns=False))
    columns = data.draw(messy_columns(schema))
    codec = Codec(schema)
    whole = encode(codec, objects_frame(columns))
    n = len(next(iter(columns.values())))
    for axis, codes in zip(codec.domain, whole, strict=True):
        assert codes.shape == (n,)
        assert not n or int(codes.max()) < axis.size
    for i in range(n):
        alone = encode(codec, objects_frame({name: [values[i]] for name, values in columns.items()}))
        assert [int(c[0]) for c in alone] == [int(c[i]) for c in whole]


@given(data=st.data())
def test_decoding_lands_in_the_cell_of_the_original(data):
    schema = data.draw(schemas(unit_columns=False))
    codec = Codec(schema)
    frame = objects_frame(data.draw(messy_columns(schema)))
    codes = encode(codec, frame)
    table = codec.decode(codes, codec.layout(open_source(frame)), np.random.default_rng(1))
    for before, after in zip(codes, encode(codec, table), strict=True):
        np.testing.assert_array_equal(after, before)


TEXTS = st.one_of(
    st.none(),
    st.sampled_from(
        ["1", " 1", "1.0", "0.5", "2.675", "1e3", "NA", "?", "nan", "a", "Yes", "inf", "2020-01-01", "TRUE"]
    ),
    st.sampled_from(
        ["2020-03-01 10:00:00+02:00", "x,y", 'say "x"', "two\nlines", "é", "12345678901234567890", "007"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6),
)


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind != "arrow"])
@given(data=st.data())
def test_every_source_gives_the_codes_of_the_arrow_table(kind, data, tmp_path_factory):
    schema = data.draw(
        schemas(unit_columns=False).filter(lambda s: len(s.columns) > 1 and not _declares_blank(s))
    )
    n = data.draw(st.integers(0, 6))
    texts = {name: data.draw(st.lists(TEXTS, min_size=n, max_size=n)) for name in schema.columns}
    folder = tmp_path_factory.mktemp("table")
    expected = encode(schema, MAKERS["arrow"](texts, folder))
    for before, after in zip(expected, encode(schema, MAKERS[kind](texts, folder)), strict=True):
        np.testing.assert_array_equal(after, before)


def _declares_blank(schema):
    """In a CSV file a null and an empty text look the same, so a declared blank text takes both."""
    labels = [
        label
        for spec in schema.columns.values()
        for label in [*(getattr(spec, "values", None) or ()), getattr(spec, "other_label", None)]
    ]
    return any(isinstance(label, str) and not label.strip() for label in labels)


NUMBERS = {
    "int64": lambda v: pd.Series(v, dtype="int64"),
    "int8": lambda v: pd.Series(v, dtype="int8"),
    "float64": lambda v: pd.Series(v, dtype="float64"),
    "float32": lambda v: pd.Series(v, dtype="float32"),
    "object": lambda v: pd.Series(v, dtype=object),
    "Int64": lambda v: pd.Series(v, dtype="Int64"),
    "text": lambda v: pd.Series([str(x) for x in v], dtype="str"),
    "float text": lambda v: pd.Series([f" {x}.0 " for x in v], dtype="str"),
    "category": lambda v: pd.Series(v, dtype="category"),
    "float category": lambda v: pd.Series([float(x) for x in v], dtype="category"),
    "arrow": lambda v: pd.Series(v, dtype="int64[pyarrow]"),
    "decimal": lambda v: pd.Series([__import__("decimal").Decimal(x) for x in v], dtype=object),
    "sparse": lambda v: pd.Series(v, dtype="Sparse[int64]"),
}
COUNTING = {
    "integer": {"kind": "integer", "lower": 0, "upper": 9},
    "count": {"kind": "categorical", "count": 10, "out_of_domain": "clip"},
    "whole labels": {"kind": "ordinal", "values": list(range(10)), "out_of_domain": "clip"},
    "text labels": {"kind": "categorical", "values": [str(i) for i in range(10)]},
    "real": {"kind": "real", "lower": 0, "upper": 9, "decimals": 0},
}


@pytest.mark.parametrize("spec", COUNTING.values(), ids=COUNTING)
@pytest.mark.parametrize("make", NUMBERS.values(), ids=NUMBERS)
def test_one_number_has_one_code_however_it_is_stored(make, spec):
    values = [3, 0, 9, 1, 1]
    schema = Schema.from_dict({"privacy_unit": "row", "columns": {"x": {**spec, "missing": False}}})
    (codes,) = encode(schema, pd.DataFrame({"x": make(values)}))
    assert codes.tolist() == values


@given(
    length=st.one_of(st.integers(1, 300), st.integers(1, 2**62)),
    bins=st.integers(2, 300),
    data=st.data(),
)
def test_lattice_bins_partition_the_points(length, bins, data):
    spikes = data.draw(st.lists(st.integers(0, length - 1), max_size=4, unique=True))
    edges = None
    if length > 1:
        edges = data.draw(
            st.none() | st.lists(st.integers(1, length - 1), min_size=1, max_size=4, unique=True).map(sorted)
        )
    lattice = Lattice.cut(length, bins=bins, edges=edges, spikes=spikes)
    codes = np.arange(lattice.size)
    points = lattice.draw(codes, np.random.default_rng(0))
    assert lattice.bin_of(points).tolist() == codes.tolist()
    assert 0 <= points.min() <= points.max() < length
    singles = np.array(sorted({0, length - 1, *spikes}))
    own = lattice.bin_of(singles)
    for _ in range(3):
        assert lattice.draw(own, np.random.default_rng()).tolist() == singles.tolist()
    if length <= bins:
        assert lattice.size == length
    elif edges is None:
        inside = len(set(spikes) - {0, length - 1})
        assert lattice.size <= max(bins, 3 + 2 * inside)


def test_draws_inside_a_bin_are_uniform():
    """Chi-square over 10 points, 20,000 draws, seeded: no false alarm at all, since the seed is fixed."""
    lattice = Lattice.cut(1000, bins=102)
    k = int(np.flatnonzero(np.diff(lattice.starts) == 10)[3])
    points = lattice.draw(np.full(20_000, k), np.random.default_rng(5)) - lattice.starts[k]
    counts = np.bincount(points, minlength=10)
    assert counts.size == 10
    assert ((counts - 2000) ** 2 / 2000).sum() < 40


def test_a_moment_that_the_zone_skips_moves_forward():
    spec = {
        "kind": "datetime",
        "missing": False,
        "lower": "2021-03-28T02:30:00",
        "upper": "2021-03-28T02:30:00",
    }
    schema = Schema.from_dict({"privacy_unit": "row", "columns": {"t": {**spec, "timezone": "Europe/Paris"}}})
    codec = Codec(schema)
    layout = Layout("pandas", (("t", "datetime64[us, Europe/Paris]"),))
    table = codec.decode([np.zeros(2, np.uint8)], layout, np.random.default_rng(0))
    assert table["t"].iloc[0].isoformat() == "2021-03-28T03:00:00+02:00"


@pytest.mark.parametrize("frame", ["pandas", "polars", "pyarrow"])
def test_calendar_ends_survive_every_unit(frame):
    spec = {"kind": "date", "missing": True, "lower": dt.date.min, "upper": dt.date.max, "bins": 50}
    codec = Codec(Schema.from_dict({"privacy_unit": "row", "columns": {"t": spec}}))
    codes = [np.array([0, codec.domain.sizes[0] - 2, codec.domain.sizes[0] - 1], dtype=np.uint8)]
    for dtype in (
        "datetime64[ns]",
        "datetime64[ns, UTC]",
        "Datetime[ns]",
        "timestamp[ns]",
        "object",
        "str",
        "Date",
    ):
        layout = Layout(frame, (("t", dtype),))
        again = encode(codec, codec.decode(codes, layout, np.random.default_rng(0)))
        assert again[0].tolist() == codes[0].tolist(), dtype


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_lower_bound_between_two_seconds_widens_the_unit(unit):
    spec = {
        "kind": "datetime",
        "missing": True,
        "lower": "2020-01-01T00:00:00.250001",
        "upper": "2020-01-02T00:00:00",
    }
    codec = Codec(Schema.from_dict({"privacy_unit": "row", "columns": {"t": {**spec, "bins": 40}}}))
    codes = [np.arange(codec.domain.sizes[0], dtype=np.uint8)]
    table = codec.decode(codes, Layout("pandas", (("t", f"datetime64[{unit}]"),)), np.random.default_rng(0))
    assert table["t"].dtype == ("datetime64[ns]" if unit == "ns" else "datetime64[us]")
    assert encode(codec, table)[0].tolist() == codes[0].tolist()
