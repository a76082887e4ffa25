"""What opening a table accepts, refuses and shows."""

from __future__ import annotations

import csv
import gzip
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from dpsynth.data import Codec, Layout, Source, open_source
from dpsynth.data.cells import Factored, Numbers, Times, factored
from dpsynth.errors import DataError, MissingFileError
from dpsynth.privacy.sealed import open_codes
from dpsynth.schema import Schema

CANARY = "canary7f3a91"
SCHEMA = Schema.from_dict(
    {
        "privacy_unit": "row",
        "columns": {
            "a": {"kind": "categorical", "missing": True, "values": ["x", "y"]},
            "n": {"kind": "integer", "missing": True, "lower": 0, "upper": 9, "out_of_domain": "missing"},
        },
    }
)


def codes_of(data, schema=SCHEMA):
    return [c.tolist() for c in open_codes(Codec(schema).encode(open_source(data)))]


def refusal(function, *arguments):
    """Run what must be refused; return the error, having checked that it quotes no private value."""
    with pytest.raises(DataError) as caught:
        function(*arguments)
    error = caught.value
    assert CANARY not in str(error) + repr(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a,n\nx,1\ny,2\n", [[0, 1], [1, 2]]),
        (b"a,n\nx,1\ny,2", [[0, 1], [1, 2]]),
        (b"\xef\xbb\xbfa,n\r\nx,1\r\ny,2\r\n", [[0, 1], [1, 2]]),
        (b"\n\na,n\n\nx,1\n\n", [[0], [1]]),
        (b"a,n\rx,1\ry,2\r", [[0, 1], [1, 2]]),
        (b'"a","n"\n"x","1"\n', [[0], [1]]),
        (b"n,extra,a\n1,zzz,x\n", [[0], [1]]),
        (b"a,n\n", [[], []]),
        (b"a,n", [[], []]),
        (b"a,n\nx,1,too many\nx\ny,2\n", [[1], [2]]),
        (b'a,n\n"two\nlines",1\ny,2\n', [[2, 1], [1, 2]]),
        (b'a,n\nx,1\ny,"unclosed\nx,3\n', [[0, 1], [1, 10]]),
        (b"a,n\n\xff\xfe,1\nx,\x00\n", [[2, 0], [1, 10]]),
        (b"a,n\n,NA\nnull,?\n", [[3, 3], [10, 10]]),
    ],
)
def test_csv_is_read_as_text_whatever_it_holds(content, expected, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert codes_of(path) == expected
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress(content))
    assert codes_of(str(packed)) == expected


def test_tsv_is_tab_separated(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_bytes(b"a\tn\nx\t1\n")
    assert codes_of(path) == [[0], [1]]


def test_not_utf8_is_latin1(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("é,b\nü,ü\n".encode("latin-1"))
    schema = {
        "privacy_unit": "row",
        "columns": {"é": {"kind": "categorical", "missing": False, "values": ["ü"]}},
    }
    assert codes_of(path, Schema.from_dict(schema)) == [[0]]


def test_a_file_longer_than_one_line_buffer(tmp_path):
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("a", "n"), ("x" * 3_000_000, 1), ("x", 2)])
    assert codes_of(path) == [[2, 0], [1, 2]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "t.csv is empty"),
        ("t.csv", b"\n\n", "t.csv is empty"),
        ("t.csv", "a,n\nx,1\n".encode("utf-16"), "UTF-16"),
        ("t.csv", b"a," + b"n" * 200_000 + b"\nx,1\n", "first line"),
        ("t.csv.gz", b"\x1f\x8b" + CANARY.encode(), "cannot be read"),
        ("t.parquet", CANARY.encode(), "not a complete Parquet file"),
        ("t.xlsx", b"", "supported endings are .csv, .csv.gz, .tsv, .tsv.gz, .parquet"),
        ("t.csv", b"a,n,a\nx,1,2\n", "columns 1 and 3 of the data have one name"),
    ],
)
def test_files_that_are_refused(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    assert message in str(refusal(open_source, path))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere\.csv: no such file"):
        open_source(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("cut", [100, 30, 5])
def test_truncated_parquet_is_refused(cut, tmp_path):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"a": [CANARY] * 50, "n": range(50)}), path)
    path.write_bytes(path.read_bytes()[:-cut])
    assert "write it again" in str(refusal(open_source, path))


def test_damaged_parquet_pages_are_refused_on_reading(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"a": [CANARY + str(i) for i in range(500)], "n": range(500)})
    parquet.write_table(table, path, compression="gzip")
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    path.write_bytes(content)
    assert "is damaged" in str(refusal(Codec(SCHEMA).encode, open_source(path)))


def test_csv_parse_failure_quotes_nothing(tmp_path, monkeypatch):
    from pyarrow import csv as arrow_csv

    path = tmp_path / "t.csv"
    path.write_bytes(b"a,n\nx,1\n")

    def fail(*_, **__):
        raise pa.ArrowInvalid(CANARY)

    monkeypatch.setattr(arrow_csv, "read_csv", fail)
    assert "cannot be parsed as CSV" in str(refusal(Codec(SCHEMA).encode, open_source(path)))


def test_parquet_gives_pandas_dtypes(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pd.DataFrame(
        {
            "i": np.array([1], "int8"),
            "f": np.array([1], "float32"),
            "d": [1.0],
            "b": [True],
            "t": np.array([0], "datetime64[ms]"),
            "z": pd.DatetimeIndex(["2020-01-01"], tz="Europe/Paris").as_unit("us"),
            "c": pd.Categorical(["x"]),
            "s": ["x"],
        }
    )
    frame.to_parquet(path)
    assert dict(open_source(path).layout.dtypes) == {
        **dict.fromkeys(["i"], "int8"),
        "f": "float32",
        "d": "float64",
        "b": "bool",
        "t": "datetime64[ms]",
        "z": "datetime64[us, Europe/Paris]",
        "c": "category",
        "s": "file",
    }


# ---------------------------------------------------------------- frames


def test_absent_columns_are_named_with_the_nearest():
    frame = pd.DataFrame({"A ": [CANARY], "n": [1]})
    message = str(refusal(Codec(SCHEMA).encode, open_source(frame)))
    assert message == "the data has no column 'a'; did you mean 'A '? It has: 'A ', 'n'"


def test_the_first_row_of_a_table_without_a_header_is_not_shown(tmp_path):
    """Its values stand where column names are looked for."""
    path = tmp_path / "t.csv"
    path.write_text(f"{CANARY},7\n{CANARY}2,8\n")
    for data in (path, pd.read_csv(path)):
        message = str(refusal(Codec(SCHEMA).encode, open_source(data)))
        assert message == (
            "the data has no column 'a', 'n'. It has 2 others; is its first line the column names?"
        )
    path.write_text(f"{CANARY},{CANARY}\n1,2\n")
    message = str(refusal(open_source, path))
    assert CANARY not in message
    assert message.startswith("columns 1 and 2 of the data have one name")


def test_duplicate_columns_are_pointed_at():
    for names in (["a", "n", "a"], [1, "1", "n"]):
        error = refusal(open_source, pd.DataFrame([[CANARY, 1, 2]], columns=names))
        second = 3 if names[0] == "a" else 2
        assert f"columns 1 and {second} of the data have one name" in str(error)
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert "columns 1 and 2 of the data have one name" in str(refusal(open_source, table))


@pytest.mark.parametrize("thing", [[1, 2], {"a": [1]}, None, 3, np.zeros(2), pd.Series([1]), pl.Series([1])])
def test_other_objects_are_refused(thing):
    assert "give a pandas or polars DataFrame" in str(refusal(open_source, thing))


def test_a_lazy_query_that_fails_quotes_nothing():
    lazy = pl.LazyFrame({"a": [CANARY], "n": [1]}).with_columns(pl.col("a").cast(pl.Int64))
    assert "query failed" in str(refusal(Codec(SCHEMA).encode, open_source(lazy)))


def test_a_lazy_frame_is_collected_once_and_names_are_not_patterns():
    calls = []

    def note(frame):
        calls.append(1)
        return frame

    lazy = pl.LazyFrame({"*": ["x"], "^n$": [3]}).map_batches(note, schema={"*": pl.String, "^n$": pl.Int64})
    columns = dict(zip(["*", "^n$"], SCHEMA.columns.values(), strict=True))
    schema = Schema.from_dict({"privacy_unit": "row", "columns": columns})
    assert codes_of(lazy, schema) == [[0], [3]]
    assert len(calls) == 1


def test_columns_that_the_schema_does_not_list_are_never_read():
    frame = pd.DataFrame({"a": ["x"], "n": [1], "secret": [object()]})
    source = open_source(frame)
    seen = []
    spy = Source(source.layout, lambda names: seen.append(names) or source.load(names))
    Codec(SCHEMA).encode(spy)
    assert seen == [("a", "n")]


def test_nothing_shows_values_or_length():
    frame = pd.DataFrame({"a": [CANARY] * 77, "n": range(77), "t": pd.date_range("2020", periods=77)})
    source = open_source(frame)
    shown = repr(source) + repr(source.layout) + str(source.layout.to_dict())
    for name, form in (("a", Factored), ("n", Numbers), ("t", Times)):
        cells = source.cells(name)
        assert isinstance(cells, form)
        shown += repr(cells) + repr(factored(cells))
    shown += repr(Codec(SCHEMA)) + repr(Codec(SCHEMA).encode(source))
    shown += repr(open_source(pd.DataFrame({"o": [[CANARY]]})).cells("o").values)
    assert CANARY not in shown
    assert "77" not in shown
    assert "2020" not in shown


def test_column_gives_plain_arrays():
    frame = pd.DataFrame(
        {
            "i": [1, 2, 3],
            "f": [1.0, None, 3],
            "m": pd.array([1, None, 3], dtype="Int64"),
            "t": pd.to_datetime(["2020-01-01", None, "2020-01-03"]),
            "s": ["x", None, "y"],
            "o": pd.Series(["x", None, [1]], dtype=object),
        }
    )
    source = open_source(frame)
    assert source.column("i").tolist() == [1, 2, 3]
    np.testing.assert_array_equal(source.column("f"), [1, np.nan, 3])
    np.testing.assert_array_equal(source.column("m"), [1, np.nan, 3])
    np.testing.assert_array_equal(
        source.column("t"), np.array(["2020-01-01", "NaT", "2020-01-03"], "datetime64[us]")
    )
    assert source.column("s").tolist() == ["x", None, "y"]
    assert source.column("o").tolist() == ["x", None, None]


ODD_ARROW = [
    pa.array([[1], None]),
    pa.array([{"k": 1}, None]),
    pa.array([b"x", None]),
    pa.array([1, None], pa.duration("s")),
    pa.array([1, None], pa.time32("s")),
    pa.array([None, None], pa.null()),
    pa.array(["x", None], pa.string_view()),
    pa.array(["x", None], pa.large_string()),
    pa.array([1, None], pa.decimal128(5, 2)),
    pa.array([2**63, None], pa.uint64()),
    pa.array([1.0, None], pa.float16()),
    pa.array([True, None]),
    pa.array([2**62, None], pa.timestamp("s")),
    pa.array([2**62, None], pa.timestamp("ns", "UTC")),
    pa.array([2**31 - 1, None], pa.date32()),
    pa.array([86_400_000 * 10**8, None], pa.date64()),
    pa.array(["x", None]).dictionary_encode(),
    pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["x", None])).slice(1),
    pa.DictionaryArray.from_arrays(pa.array([0, None]), pa.array([3])),
    pa.chunked_array([], type=pa.string()),
    pa.chunked_array([], type=pa.dictionary(pa.int8(), pa.string())),
    pa.chunked_array([pa.array(["x"]).dictionary_encode(), pa.array(["y"]).dictionary_encode()]),
]


@pytest.mark.parametrize("column", ODD_ARROW, ids=lambda column: str(column.type)[:30])
@pytest.mark.parametrize("kind", ["categorical", "integer", "real", "date", "datetime", "boolean"])
def test_every_arrow_type_is_coded(column, kind):
    specs = {
        "categorical": {"values": ["x", "y"]},
        "integer": {"lower": 0, "upper": 9},
        "real": {"lower": 0, "upper": 9, "decimals": 1},
        "date": {"lower": "2000-01-01", "upper": "2030-01-01"},
        "datetime": {
            "lower": "2000-01-01T00:00:00",
            "upper": "2030-01-01T00:00:00",
            "timezone": "Asia/Tokyo",
        },
        "boolean": {},
    }
    spec = {"kind": kind, "missing": True, **specs[kind]}
    schema = Schema.from_dict({"privacy_unit": "row", "columns": {"c": spec}})
    codec = Codec(schema)
    table = pa.table({"c": column})
    (codes,) = open_codes(codec.encode(open_source(table)))
    assert codes.size == len(column)
    null = column.is_null().to_pylist()
    assert all(
        code == codec.domain.sizes[0] - 1
        for code, missing in zip(codes.tolist(), null, strict=True)
        if missing
    )
    back = codec.decode([codes], open_source(table).layout, np.random.default_rng(0))
    assert open_codes(codec.encode(open_source(back)))[0].tolist() == codes.tolist()
    if len(column) and str(column.type) not in {"null", "string_view", "date64[ms]"}:
        wrapped = pd.DataFrame(
            {
                "c": pd.arrays.ArrowExtensionArray(
                    pa.chunked_array(column) if isinstance(column, pa.ChunkedArray) else column
                )
            }
        )
        assert open_codes(codec.encode(open_source(wrapped)))[0].tolist() == codes.tolist()


@pytest.mark.parametrize(
    "series",
    [
        pl.Series([[1], None]),
        pl.Series([{"k": 1}, None]),
        pl.Series([object(), None], dtype=pl.Object),
        pl.Series([2**100, None], dtype=pl.Int128),
        pl.Series([b"x", None]),
        pl.Series([None, None]),
        pl.Series(["x", None], dtype=pl.Categorical),
        pl.Series(["x", None], dtype=pl.Enum(["x"])),
        pl.Series([1, None], dtype=pl.Decimal(10, 2)),
        pl.Series([1, None], dtype=pl.Time),
        pl.Series([1, None], dtype=pl.Duration),
        pl.Series([2**62, None], dtype=pl.Datetime("us", "Europe/Paris")),
    ],
    ids=lambda series: str(series.dtype)[:30],
)
def test_every_polars_type_is_coded(series):
    table = pl.DataFrame({"a": series, "n": series})
    a, n = codes_of(table)
    assert a[1] == 3
    assert n[1] == 10
    assert "x" not in str(open_source(table).layout.dtype("a")).removeprefix("Categorical").lower().replace(
        "enum", ""
    )


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([1, None], dtype="Sparse[float]"),
        pd.Series(pd.period_range("2020", periods=2, freq="D")).where([True, False]),
        pd.Series(pd.arrays.IntervalArray.from_breaks([0, 1, 2])).where([True, False]),
        pd.Series([pd.Timedelta(1), None]),
        pd.Series([1 + 2j, None], dtype=object),
        pd.Series([True, None], dtype="boolean"),
        pd.Series([1.5, None], dtype="Float32"),
        pd.Series(["x", None], dtype=pd.StringDtype("python")),
        pd.Series(pd.Categorical([pd.Timestamp("2020", tz="UTC"), None])),
        pd.Series(np.array([1, np.nan], dtype="longdouble")),
    ],
    ids=lambda series: str(series.dtype)[:30],
)
def test_every_pandas_type_is_coded(series):
    a, n = codes_of(pd.DataFrame({"a": series, "n": series}))
    assert a[1] == 3
    assert n[1] == 10


# ---------------------------------------------------------------- layouts


def test_layouts_survive_json():
    import json

    layout = open_source(pd.DataFrame({"a": ["x"], "n": [1]})).layout
    assert Layout.from_dict(json.loads(json.dumps(layout.to_dict()))) == layout
    assert layout.only(["n", "z"]).dtypes == (("n", "int64"),)
    assert layout.dtype("z") == "file"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"frame": "pandas"},
        {"frame": "pandas", "dtypes": 3},
        {"frame": "pandas", "dtypes": [["a"]]},
        {"frame": "excel", "dtypes": []},
        {"frame": ["pandas"], "dtypes": []},
        {"frame": "pandas", "dtypes": [["a", 3]]},
        {"frame": "pandas", "dtypes": [["a", "x" * 1000]]},
    ],
)
def test_malformed_layouts_are_refused(content):
    with pytest.raises(DataError):
        Layout.from_dict(content)


@pytest.mark.parametrize(
    "dtype",
    ["datetime64[us, Mars/Base]", "datetime64[us, ../../etc]", "datetime64[x]", "timestamp[us, tz=]", "["],
)
@pytest.mark.parametrize("frame", ["pandas", "polars", "pyarrow"])
def test_unknown_dtype_names_fall_back_to_the_natural_dtype(frame, dtype):
    spec = {"kind": "date", "missing": True, "lower": "2020-01-01", "upper": "2020-12-31"}
    codec = Codec(Schema.from_dict({"privacy_unit": "row", "columns": {"t": spec}}))
    table = codec.decode(
        [np.array([0, 127], np.uint8)], Layout(frame, (("t", dtype),)), np.random.default_rng(0)
    )
    assert open_codes(codec.encode(open_source(table)))[0].tolist() == [0, 127]


@pytest.mark.parametrize("fields", [1, 400])
def test_no_field_of_a_nested_dtype_reaches_the_layout(fields):
    """The fields of a struct may be keys found in the rows: neither kept nor a reason to fail."""
    record = {f"SECRET{i}": 1 for i in range(fields)}
    table = pa.table(
        {"s": pa.array([record]), "l": pa.array([[record]]), "d": pa.array(["x"]).dictionary_encode()}
    )
    layout = open_source(table).layout
    assert layout.dtype("s") == "struct"
    assert layout.dtype("l") == "list"
    assert layout.dtype("d").startswith("dictionary<")
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    for kept in (layout, open_source(frame).layout):
        assert "SECRET" not in str(kept.to_dict())
    columns = {name: {"kind": "categorical", "missing": True, "values": ["a"]} for name in ("s", "l", "d")}
    codec = Codec(Schema.from_dict({"privacy_unit": "row", "columns": columns}))
    for data in (table, frame):
        source = open_source(data)
        codec.encode(source)
        back = codec.decode([np.zeros(2, np.uint8)] * 3, codec.layout(source), np.random.default_rng(0))
        assert len(back) == 2


@pytest.mark.parametrize("first", ["1.0", "1.00", "1"])
def test_how_one_decimal_is_written_does_not_change_how_others_read(first: str) -> None:
    values = [Decimal(first), Decimal("1.0"), Decimal("1.0"), Decimal("-0.0"), Decimal("2.5")]
    cells = factored(open_source(pd.DataFrame({"a": pd.Series(values, dtype=object)})).cells("a"))
    distinct = cells.values  # noqa: PD011  -- not pandas
    assert [str(distinct[place]) for place in cells.index] == [first, "1.0", "1.0", "-0.0", "2.5"]
    labels = {"kind": "categorical", "missing": False, "values": ["1.0", "1.00"]}
    schema = Schema.from_dict({"privacy_unit": "row", "columns": {"a": labels}})
    assert codes_of(pd.DataFrame({"a": pd.Series(values, dtype=object)}), schema)[0][1:] == [0, 0, 2, 2]
