"""From a frame to a whole schema: what is planted is found, and nothing of a few rows is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dpsynth.buying.categories import labels_of, left_over, worth_another_look
from dpsynth.buying.lines import (
    AGAIN,
    BINS,
    BOUNDS,
    CATEGORIES,
    CLOSER,
    NULLS,
    ROWS,
    assumed,
    delta_aside,
    lines_of,
)
from dpsynth.buying.scale import Scale, scales_of
from dpsynth.buying.sealing import seal_columns
from dpsynth.buying.shopping import buy
from dpsynth.data.codec import Codec
from dpsynth.data.kept import kept_source
from dpsynth.data.source import open_source
from dpsynth.errors import DataError, DpsynthError
from dpsynth.privacy import noise
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.ledger import Ledger
from dpsynth.privacy.raw import NEITHER, NULL, Points, Texts, open_columns
from dpsynth.privacy.seller import Discovered, Seller
from dpsynth.schema import OpenSchema, Schema

ALL: dict[str, dict[str, Any]] = {
    "word": {"kind": "categorical", "missing": "buy", "values": "buy"},
    "count": {"kind": "integer", "missing": "buy", "lower": "buy", "upper": "buy"},
    "wage": {
        "kind": "real", "missing": "buy", "lower": "buy", "upper": "buy", "decimals": 2,
        "edges": "buy", "bins": 40,
    },
    "day": {"kind": "date", "missing": "buy", "lower": "buy", "upper": "buy"},
    "seen": {
        "kind": "datetime", "missing": "buy", "lower": "buy", "upper": "buy", "resolution": 60,
        "edges": "buy quantiles", "bins": 16,
    },
    "glad": {"kind": "boolean", "missing": "buy"},
    "rank": {"kind": "ordinal", "missing": "buy", "values": ["low", "high"]},
    "code": {"kind": "integer", "missing": False, "lower": 0, "upper": 9999, "edges": "buy", "bins": 20},
}  # fmt: skip


def open_schema(columns: dict[str, dict[str, Any]] = ALL, unit: Any = "row") -> OpenSchema:
    return OpenSchema.from_dict({"privacy_unit": unit, "columns": columns})


def frame(rows: int = 4000, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    word = rng.choice(["naïve 名", "plain", "# odd: 'q' \"", "🙂"], rows, p=[0.5, 0.3, 0.15, 0.05]).astype(
        object
    )
    word[:3] = ["only-one", "two\nlines", "x" * 300]
    word[3:400] = None
    day = pd.Timestamp("2019-03-01") + pd.to_timedelta(rng.integers(0, 700, rows), unit="D")
    return pd.DataFrame(
        {
            "word": word,
            "count": rng.integers(20, 60, rows),
            "wage": np.where(rng.random(rows) < 0.4, 12.5, rng.integers(100, 90_000, rows) / 100),
            "day": day,
            "seen": day + pd.to_timedelta(rng.integers(0, 86_400, rows), unit="s"),
            "glad": np.where(rng.random(rows) < 0.2, None, rng.random(rows) < 0.5),
            "rank": np.where(rng.random(rows) < 0.5, "low", "high"),
            "code": np.where(rng.random(rows) < 0.3, 777, rng.integers(0, 10_000, rows)),
        }
    )


def bought(
    table: pd.DataFrame, schema: OpenSchema, epsilon: float = 20.0, calculus: str = "gdp"
) -> tuple[Schema, dict[str, tuple[str, ...]], Ledger]:
    unit = schema.stand_in.privacy_unit
    guarantee = Guarantee(
        epsilon=epsilon,
        delta=1e-6,
        unit=unit if isinstance(unit, str) else unit.column,
        rows_per_unit=schema.stand_in.max_rows,
    )
    ledger = Ledger(guarantee, calculus, delta_aside(schema, 1e-6))  # type: ignore[arg-type]
    source = kept_source(open_source(table), schema.stand_in)
    whole, keys = buy(Seller(seal_columns(source, schema), ledger), schema, lambda *_: None)
    return whole, keys, ledger


@pytest.fixture(autouse=True)
def repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise of its true size from a seed: the tests of noise itself are those of the privacy core."""
    rng = np.random.default_rng(11)

    def draw(size: int, sigma: float) -> np.ndarray:
        return np.rint(rng.normal(0, sigma, size)).astype(np.int64)

    monkeypatch.setattr(noise, "rounded_gaussian", draw)
    monkeypatch.setattr(noise, "discrete_gaussian", draw)


def test_what_is_planted_is_found() -> None:
    whole, keys, ledger = bought(frame(), open_schema())
    columns = whole.to_dict()["columns"]
    assert columns["word"] == {
        "kind": "categorical", "missing": True, "values": ["naïve 名", "plain", "# odd: 'q' \"", "🙂"],
    }  # fmt: skip
    assert (columns["count"]["lower"], columns["count"]["upper"]) == (16, 63)
    assert columns["count"]["missing"] is columns["day"]["missing"] is columns["rank"]["missing"] is False
    assert columns["glad"]["missing"] is True
    assert columns["wage"]["lower"] in (1.28, 2.56, 5.12, 10.24)
    assert 900 <= columns["wage"]["upper"] <= 1310.71
    assert "2018-06-01" < columns["day"]["lower"] <= "2019-03-01"
    assert "2021-01-28" <= columns["day"]["upper"] < "2021-12-01"
    assert columns["seen"]["lower"] <= "2019-03-01T00:00:00"
    edges = {name: len(columns[name]["edges"]) for name in ("wage", "seen", "code")}
    assert 20 <= edges["wage"] <= 39
    assert 8 <= edges["seen"] <= 15
    assert {777, 778} <= set(columns["code"]["edges"])
    assert columns["wage"]["edges"][0] > columns["wage"]["lower"]
    assert {12.5, 12.51} <= {float(e) for e in columns["wage"]["edges"]}
    assert keys == {p.column: p.keys for p in open_schema().purchases}
    assert Schema.loads(whole.to_yaml()) == whole
    assert Codec(whole).domain.names == tuple(ALL)
    plan = {line.purpose: line for line in lines_of(open_schema())}
    for purpose, line in plan.items():
        spent = sum(e.price for e in ledger.entries if e.purpose == purpose)
        assert spent <= ledger.budget * line.share
        assert sum(e.purpose == purpose for e in ledger.entries) <= line.acts
        assert {e.columns[0] for e in ledger.entries if e.purpose == purpose} <= {*line.columns}
    assert ledger.spent <= ledger.budget / 4
    assert 0 < ledger.delta_spent <= ledger.delta_aside


@pytest.mark.parametrize("calculus", ["gdp", "zcdp"])
@pytest.mark.parametrize("rows", [0, 1])
def test_an_empty_table_and_one_row_buy_the_same_kind_of_thing(rows: int, calculus: str) -> None:
    whole, keys, _ = bought(frame(500)[:rows], open_schema(), calculus=calculus)
    columns = whole.to_dict()["columns"]
    assert columns["word"] == {"kind": "categorical", "missing": False, "values": ["other"]}
    assert (columns["count"]["lower"], columns["count"]["upper"]) == (0, 1)
    assert (columns["day"]["lower"], columns["day"]["upper"]) == ("1970-01-01", "1970-01-02")
    assert "edges" not in columns["wage"]
    assert "edges" not in keys["wage"]
    assert keys["word"] == ("missing", "values")


def test_a_column_of_nulls() -> None:
    table = frame()
    for name in ("word", "count", "wage", "day", "seen", "glad", "rank"):
        table[name] = None
    columns = bought(table, open_schema())[0].to_dict()["columns"]
    assert all(columns[name]["missing"] for name in ("word", "count", "wage", "day", "seen", "glad", "rank"))
    assert columns["word"]["values"] == ["other"]


def test_one_bound_alone() -> None:
    spec = {"kind": "integer", "missing": False, "lower": 10, "upper": "buy"}
    table = pd.DataFrame({"n": np.full(3000, 100), "m": np.full(3000, 100)})
    schema = open_schema({"n": spec, "m": spec | {"lower": "buy", "upper": 70}})
    columns = bought(table, schema)[0].to_dict()["columns"]
    assert (columns["n"]["lower"], columns["n"]["upper"]) == (10, 127)
    assert (columns["m"]["lower"], columns["m"]["upper"]) == (64, 70)


@pytest.mark.parametrize(
    ("kind", "stated", "value"),
    [("integer", {"upper": -(2**62)}, 5), ("integer", {"lower": 2**62}, 5),
     ("date", {"lower": "9999-12-30"}, None), ("date", {"upper": "0001-01-02"}, None),
     ("real", {"lower": 10**15 - 1, "decimals": 0}, 3)],
)  # fmt: skip
def test_a_stated_bound_at_the_end_of_all_values(kind: str, stated: dict[str, Any], value: Any) -> None:
    spec = {"kind": kind, "missing": True, "lower": "buy", "upper": "buy"} | stated
    whole, _, _ = bought(pd.DataFrame({"n": [value] * 300}), open_schema({"n": spec}))
    assert Schema.loads(whole.to_yaml()) == whole


def test_values_far_out_are_clipped_and_found() -> None:
    table = pd.DataFrame({"n": [2**63 - 1] * 3000, "r": [1e300] * 3000, "d": ["9999-12-31"] * 3000})
    schema = open_schema(
        {
            "n": ALL["count"],
            "r": {"kind": "real", "missing": False, "lower": "buy", "upper": "buy", "decimals": 3},
            "d": ALL["day"],
        }
    )
    whole = bought(table, schema)[0]
    assert Codec(whole).domain.names == ("n", "r", "d")
    assert whole.columns["n"].upper == 2**61 - 1  # type: ignore[union-attr]


def test_units_are_bounded_once_and_for_all() -> None:
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"who": np.repeat(np.arange(800), 5), "word": rng.choice(["a", "b"], 4000)})
    table.loc[table["who"] == 0, "word"] = [f"own{i}" for i in range(5)]
    schema = open_schema({"word": ALL["word"]}, {"column": "who", "max_rows": 3})
    source = kept_source(open_source(table), schema.stand_in)
    column = open_columns(seal_columns(source, schema))["word"]
    assert isinstance(column, Texts)
    assert column.index.size == 2400
    again = open_columns(seal_columns(source, schema))["word"]
    assert isinstance(again, Texts)
    assert column.index.tolist() == again.index.tolist()  # the same kept rows
    whole, _, ledger = bought(table, schema)
    assert sorted(whole.to_dict()["columns"]["word"]["values"]) == ["a", "b"]
    assert all(e.act.sensitivity_squared == 9 for e in ledger.entries)  # type: ignore[union-attr]
    codes = Codec(whole).encode(source)
    assert codes.rows_per_unit == 3


def test_a_table_without_the_columns_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="no column 'word'"):
        kept_source(open_source(pd.DataFrame({"other": [1]})), open_schema({"word": ALL["word"]}).stand_in)
    schema = open_schema({"word": ALL["word"]}, {"column": "who", "max_rows": 3})
    with pytest.raises(DataError, match="'who'"):
        kept_source(open_source(pd.DataFrame({"word": ["a"]})), schema.stand_in)


def test_kept_rows_of_every_form_of_cells() -> None:
    table = pd.DataFrame(
        {
            "who": [1, 1, 1, 2], "n": [1, 2, 3, 4], "t": pd.to_datetime(["2020-01-01"] * 4),
            "m": pd.array([1, None, 3, 4], dtype="Int64"),
        }
    )  # fmt: skip
    schema = Schema.from_dict(
        {
            "privacy_unit": {"column": "who", "max_rows": 1},
            "columns": {
                "n": {"kind": "integer", "missing": False, "lower": 0, "upper": 9},
                "m": {"kind": "integer", "missing": True, "lower": 0, "upper": 9},
                "t": {"kind": "date", "missing": False, "lower": "2020-01-01", "upper": "2020-01-05"},
            },
        }
    )
    kept = kept_source(open_source(table), schema)
    assert kept.names == ("who", "n", "t", "m")
    assert len(kept.column("n")) == len(kept.column("t")) == len(kept.column("m")) == 2


def sealed(values: list[Any], spec: dict[str, Any]) -> Texts | Points:
    schema = open_schema({"c": spec})
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return open_columns(seal_columns(open_source(pd.DataFrame({"c": column})), schema))["c"]


def test_labels_are_texts_of_one_row_each() -> None:
    column = sealed(
        [
            " a ",
            "a",
            1,
            1.0,
            "1",
            None,
            "?",
            "N/A",
            "x" * 201,
            "two\tparts",
            [1],
            True,
            dt.date(2020, 1, 1),
            "",
        ],
        {"kind": "categorical", "missing": True, "values": "buy"},
    )
    assert isinstance(column, Texts)
    said = [column.labels[i] if i >= 0 else i for i in column.index.tolist()]
    assert said == [
        "a", "a", "1", "1", "1", NULL, NULL, NULL, NEITHER, NEITHER, NEITHER, "True", "2020-01-01", NULL,
    ]  # fmt: skip


def test_nulls_alone_are_read_as_the_codec_reads_them() -> None:
    column = sealed([True, None, "maybe", "no", "?"], {"kind": "boolean", "missing": "buy"})
    assert isinstance(column, Texts)
    assert column.index.tolist() == [NEITHER, NULL, NEITHER, NEITHER, NULL]
    column = sealed(["?", None], {"kind": "categorical", "missing": "buy", "values": ["?"]})
    assert isinstance(column, Texts)
    assert column.index.tolist() == [NEITHER, NULL]


def test_points_and_back() -> None:
    schema = open_schema()
    scales = scales_of(schema)
    table = frame(50)
    source = open_source(table)
    columns = open_columns(seal_columns(source, schema))
    for name, as_text in (("count", int), ("wage", float), ("day", str), ("seen", str)):
        column = columns[name]
        assert isinstance(column, Points)
        back = [scales[name].write(int(p)) for p in column.points]
        if as_text is str:
            due = table[name].dt.floor("60s" if name == "seen" else "D").to_list()
            assert [pd.Timestamp(b) for b in back] == due
        else:
            assert [as_text(b) for b in back] == pytest.approx(table[name].to_list())


def test_garbled_points_are_nowhere() -> None:
    column = sealed(
        ["12", "twelve", None, "13"], {"kind": "integer", "missing": False, "lower": "buy", "upper": 99}
    )
    assert isinstance(column, Points)
    assert column.garbled.tolist() == [False, True, False, False]
    assert column.null.tolist() == [False, False, True, False]
    assert column.points[[0, 3]].tolist() == [12, 13]


def test_a_datetime_lattice_starts_at_the_stated_bound() -> None:
    spec = {
        "kind": "datetime", "missing": False, "lower": "2020-01-01T00:00:30", "upper": "buy",
        "resolution": 3600,
    }  # fmt: skip
    (scale,) = scales_of(open_schema({"c": spec})).values()
    assert isinstance(scale, Scale)
    assert scale.low == 0
    assert scale.write(2) == "2020-01-01T02:00:30"


def test_lines_name_what_is_bought_and_no_more() -> None:
    purposes = {line.purpose: line.columns for line in lines_of(open_schema())}
    assert purposes == {
        ROWS: ("word",),
        CATEGORIES: ("word",),
        AGAIN: ("word",),
        BOUNDS: ("count", "wage", "day", "seen"),
        CLOSER: ("day", "seen"),
        BINS: ("wage", "seen", "code"),
        NULLS: ("glad", "rank"),
    }
    few = open_schema({**{n: ALL[n] for n in ("glad",)}, "b": {"kind": "boolean", "missing": True}})
    assert sum(line.share for line in lines_of(few)) < sum(line.share for line in lines_of(open_schema()))
    assert sum(line.share for line in lines_of(open_schema())) <= Fraction(1, 4)
    assert delta_aside(few, 1e-6) == 0
    assert delta_aside(open_schema(), 1e-6) == Fraction(1e-6) / 10


@pytest.mark.parametrize("edges", ["buy", "buy quantiles"])
@pytest.mark.parametrize("bins", [20, 200])
def test_bins_and_nulls_of_a_column_whose_bounds_are_stated(edges: str, bins: int) -> None:
    spec = {"kind": "integer", "missing": "buy", "lower": 0, "upper": 99, "edges": edges, "bins": bins}
    table = pd.DataFrame({"n": [*range(100)] * 30 + [None] * 500, "m": [*range(100)] * 35})
    whole, keys, ledger = bought(table, open_schema({"n": spec, "m": spec}))
    assert [c["missing"] for c in whole.to_dict()["columns"].values()] == [True, False]
    assert all("missing" in found for found in keys.values())
    assert {e.columns for e in ledger.entries if e.purpose == NULLS} == {("n",), ("m",)}
    assert sum(line.share for line in lines_of(open_schema({"n": spec}))) <= Fraction(1, 4)


@pytest.mark.parametrize("function", [kept_source, seal_columns])
def test_another_librarys_error_says_nothing_of_the_rows(
    function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(cells: Any) -> Any:
        raise OverflowError(f"cannot convert {cells.values[0]}")  # noqa: PD011  -- not pandas

    monkeypatch.setattr("dpsynth.data.kept.unit_ids", failing)
    monkeypatch.setattr("dpsynth.buying.sealing.factored", failing)
    schema = open_schema({"word": ALL["word"]}, {"column": "who", "max_rows": 3})
    source = open_source(pd.DataFrame({"who": ["kx93canaryqz"], "word": ["kx93canaryqz"]}))
    with pytest.raises(DpsynthError, match="unexpected OverflowError") as caught:
        function(source, schema.stand_in if function is kept_source else schema)
    error: BaseException | None = caught.value
    while error is not None:
        assert "canary" not in str(error)
        error = error.__cause__ or error.__context__


def test_an_assumed_schema_stands_for_plans() -> None:
    whole = assumed(open_schema())
    sizes = dict(zip(Codec(whole).domain.names, Codec(whole).domain.sizes, strict=True))
    assert sizes["word"] == 33  # one of 32 serves as other; and missing
    assert 100 <= sizes["count"] <= 140
    assert sizes["wage"] >= 40
    one_sided = {"kind": "date", "missing": False, "lower": "2000-01-01", "upper": "buy"}
    other = {"kind": "integer", "missing": False, "lower": "buy", "upper": 5}
    assert Codec(assumed(open_schema({"a": one_sided, "b": other}))).domain.sizes


def look(labels: tuple[str, ...], counts: tuple[int, ...], nulls: int = 0, sigma: float = 10.0) -> Discovered:
    numbers = np.array(counts, dtype=np.int64)
    return Discovered(labels=labels, counts=numbers, nulls=nulls, sigma=sigma, threshold=70, entry=1)


def test_the_second_look_goes_where_rows_are_missing() -> None:
    looks = {"full": look(("a", "b"), (600, 395)), "short": look(("a",), (500,), 10), "bare": look((), ())}
    short = left_over(looks, 1000.0)
    assert short == {"full": 0.0, "short": 490.0, "bare": 1000.0}
    assert worth_another_look(short) == {"short": 490 / 1490, "bare": 1000 / 1490}
    assert worth_another_look({"full": 0.0}) == {}


def test_labels_are_merged_from_all_looks() -> None:
    assert labels_of([look(("a", "b"), (90, 80)), look(("b", "c"), (95, 20))], "other") == ["b", "a", "c"]
    assert labels_of([look(("b", "a"), (50, 50))], "other") == ["a", "b"]
    assert labels_of([look((), ())], "rest") == ["rest"]
