"""Raw columns are sealed: nothing of them is shown, copied or saved, and bad ones are refused."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from dpsynth.errors import SealedError
from dpsynth.privacy.raw import NEITHER, NULL, Points, RawTable, Texts, open_columns

SECRET = "a-private-label"


def texts(index: list[int], labels: tuple[str, ...] = (SECRET,)) -> Texts:
    return Texts(np.array(index, dtype=np.int64), labels)


def points(values: list[int]) -> Points:
    flags = np.zeros(len(values), dtype=bool)
    return Points(np.array(values, dtype=np.int64), flags, flags)


def test_what_is_public_of_it() -> None:
    table = RawTable({"t": texts([0, NULL, NEITHER]), "n": points([1, 2, 3])}, rows_per_unit=4)
    assert table.names == ("t", "n")
    assert table.rows_per_unit == 4
    assert (table.kind("t"), table.kind("n")) == (Texts, Points)
    assert repr(table) == "RawTable(<sealed>, columns=2, rows_per_unit=4)"
    with pytest.raises(ValueError, match="'x' is not among those"):
        table.kind("x")


def test_an_empty_table_is_one() -> None:
    assert RawTable({"n": points([])}).names == ("n",)


def test_columns_show_nothing() -> None:
    assert repr(texts([0])) == "Texts(<private>)"
    assert repr(points([7])) == "Points(<private>)"


@pytest.mark.parametrize(
    "do",
    [
        len, iter, bool, list, np.asarray, copy.copy, copy.deepcopy, pickle.dumps,
        lambda t: t[0],
        lambda t: 1 in t,
        lambda t: t.__getstate__(),
        lambda t: t.__reduce__(),
        lambda t: pickle.Pickler(io.BytesIO()).dump(t),
    ],
)  # fmt: skip
def test_it_is_sealed(do: Callable[[RawTable], object]) -> None:
    with pytest.raises(SealedError):
        do(RawTable({"t": texts([0])}))


def test_it_owns_what_it_holds() -> None:
    index = np.array([0, 0], dtype=np.int64)
    table = RawTable({"t": Texts(index, (SECRET,))})
    index[0] = NULL
    column = open_columns(table)["t"]
    assert isinstance(column, Texts)
    assert column.index.tolist() == [0, 0]
    with pytest.raises(ValueError, match="read-only"):
        column.index[0] = NULL


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, "needs columns, all of one length"),
        ({"a": texts([0]), "b": points([1, 2])}, "needs columns, all of one length"),
        ({"a": texts([1])}, "index of column 'a' is beyond"),
        ({"a": texts([-3])}, "index of column 'a' is beyond"),
        ({"a": texts([0, 1], (SECRET, SECRET))}, "label of column 'a' is there twice"),
        ({"a": texts([0], (SECRET * 100,))}, "label of column 'a' is too long"),
        ({"a": texts([0], ("line\nbreak",))}, "label of column 'a' is too long, or not printable"),
        ({"a": Texts(np.zeros(2), (SECRET,))}, "column 'a' is not made of vectors"),
        ({"a": Texts(np.zeros((2, 2), dtype=np.int64), (SECRET,))}, "column 'a' is not made of vectors"),
        (
            {"a": Points(np.zeros(2, dtype=np.int64), np.zeros(2, dtype=bool), np.zeros(1, dtype=bool))},
            "differ",
        ),
        ({"a": Points(np.zeros(2, dtype=np.int64), np.zeros(2), np.zeros(2, dtype=bool))}, "right type"),
        ({"a": points([2**62 + 1])}, "point of column 'a' is beyond"),
        ({"a": points([-(2**62) - 1, 0])}, "point of column 'a' is beyond"),
    ],
)
def test_it_is_refused_at_birth(columns: dict[str, Texts | Points], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        RawTable(columns)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("rows", [0, -1, 1.0, True])
def test_rows_per_unit_is_a_count(rows: object) -> None:
    with pytest.raises(ValueError, match="rows_per_unit"):
        RawTable({"a": points([1])}, rows_per_unit=rows)  # type: ignore[arg-type]
