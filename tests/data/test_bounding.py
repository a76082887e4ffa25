"""The unit bound: never more rows than stated, chosen uniformly, units never split."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dpsynth.data import Codec, open_source
from dpsynth.data.bounding import keep_rows, unit_ids
from dpsynth.data.source import Source
from dpsynth.errors import DataError
from dpsynth.privacy.sealed import open_codes
from dpsynth.schema import Schema
from tests.strategies.frames import garbage, objects_frame


def schema_of(max_rows, *, listed=False):
    columns = {"x": {"kind": "integer", "missing": False, "lower": 0, "upper": 255, "bins": 256}}
    if listed:
        columns["u"] = {"kind": "identifier"}
    return Schema.from_dict({"privacy_unit": {"column": "u", "max_rows": max_rows}, "columns": columns})


@given(st.lists(st.integers(-1, 6), max_size=60), st.integers(1, 5))
def test_each_unit_keeps_as_many_rows_as_it_may(ids, max_rows):
    ids = np.array(ids, dtype=np.int64)
    kept = keep_rows(ids, max_rows)
    assert kept.tolist() == sorted(set(kept.tolist()))
    for unit in range(7):
        assert (ids[kept] == unit).sum() == min(max_rows, (ids == unit).sum())
    assert (ids[kept] >= 0).all()


def uniform_p_value(choose, *, units=20_000, rows=5, keep=2):
    """Chi-square p-value of the pairs of rows kept, over many units of five rows, against uniform."""
    kept = choose(np.repeat(np.arange(units), rows), keep).reshape(units, keep) % rows
    counts = np.bincount(kept[:, 0] * rows + kept[:, 1], minlength=rows * rows)
    return stats.chisquare(counts[counts > 0]).pvalue if (counts > 0).sum() == 10 else 0.0


@pytest.mark.statistical
def test_rows_are_kept_uniformly():
    """False-alarm rate 1e-6: one chi-square test, 10 cells, 20,000 units."""
    assert uniform_p_value(keep_rows) > 1e-6


@pytest.mark.statistical
def test_the_uniformity_test_sees_a_bias():
    """The guard guarded: draws with 7 % less weight on one row in five are rejected, 20,000 units."""

    def biased(ids, keep):
        draws = np.random.default_rng(0).random(ids.size)
        draws[::5] *= 1.15
        order = np.lexsort((draws, ids))
        return np.sort(order.reshape(-1, 5)[:, :keep].ravel())

    assert uniform_p_value(biased) < 1e-6
    assert uniform_p_value(lambda ids, keep: np.flatnonzero(np.arange(ids.size) % 5 < keep)) == 0.0


def test_rows_kept_differ_from_run_to_run():
    ids = np.zeros(10_000, dtype=np.int64)
    assert keep_rows(ids, 100).tolist() != keep_rows(ids, 100).tolist()


@pytest.mark.parametrize(
    "same",
    [
        ["1", 1, 1.0, " 1 ", "1.0", "1e0", True, "TRUE", Decimal("1.00"), np.int8(1)],
        [
            "2020-01-01",
            dt.date(2020, 1, 1),
            dt.datetime(2020, 1, 1),  # noqa: DTZ001  -- naive on purpose
            pd.Timestamp("2020-01-01"),
            "2020-01-01T01:00:00+01:00",
        ],
        ["inf", float("inf"), "Infinity"],
        [uuid.UUID(int=3), str(uuid.UUID(int=3))],
        [[1], {"a": 2}, b"x", object()],
        ["a", "a ", " a"],
        [2**53 + 1, str(2**53 + 1), f"{2**53 + 1}.0"],
    ],
)
def test_one_unit_written_in_many_ways_is_one_unit(same):
    cells = open_source(objects_frame({"u": [*same, "somebody else"]})).cells("u")
    ids = unit_ids(cells)
    assert len(set(ids[:-1].tolist())) == 1
    assert ids[-1] not in ids[:-1]


@pytest.mark.parametrize("null", [None, float("nan"), pd.NaT, pd.NA, "", " NA ", "?"])
def test_rows_of_no_one_are_dropped(null):
    frame = objects_frame({"u": [null, "a", null], "x": [1, 2, 3]})
    (codes,) = open_codes(Codec(schema_of(5)).encode(open_source(frame)))
    assert codes.tolist() == [2]


@given(st.lists(garbage(), max_size=12), st.integers(1, 3))
def test_bounding_is_total(units, max_rows):
    frame = objects_frame({"u": units, "x": range(len(units))})
    table = Codec(schema_of(max_rows)).encode(open_source(frame))
    assert table.rows_per_unit == max_rows
    ids = unit_ids(open_source(frame).cells("u"))
    kept = open_codes(table)[0]
    counts = np.bincount(ids[kept] if kept.size else np.zeros(0, np.int64))
    assert (counts <= max_rows).all()


@pytest.mark.parametrize(
    "dtype", ["int64", "uint8", "bool", "Int64", "float64", "str", "category", "datetime64[s]"]
)
def test_every_unit_dtype_is_bounded(dtype):
    frame = pd.DataFrame({"u": pd.Series([0, 1] * 20).astype(dtype), "x": range(40)})
    (codes,) = open_codes(Codec(schema_of(3, listed=True)).encode(open_source(frame)))
    assert sorted(c % 2 for c in codes.tolist()) == [0, 0, 0, 1, 1, 1]


def test_an_absent_unit_column_is_refused():
    with pytest.raises(DataError, match="the data has no column 'u'"):
        Codec(schema_of(1)).encode(open_source(pd.DataFrame({"x": [1]})))


@pytest.mark.parametrize("column", [pa.array([[1]]), pa.array([b"x"]), pa.array([1], pa.duration("s"))])
def test_a_unit_column_whose_values_cannot_be_told_apart_is_refused(column):
    with pytest.raises(DataError, match="make it texts or whole numbers"):
        Codec(schema_of(1)).encode(open_source(pa.table({"u": column, "x": [1]})))


def test_bounding_takes_no_seeded_chance(monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("seeded chance")

    monkeypatch.setattr(np.random, "default_rng", forbidden)
    source = open_source(pd.DataFrame({"u": [1, 1], "x": [1, 2]}))
    assert isinstance(source, Source)
    assert open_codes(Codec(schema_of(1)).encode(source))[0].size == 1
