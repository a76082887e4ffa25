"""The seal: nothing gets out of a coded table or a curator but through a priced act."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from dpsynth.domain import Axis, Domain
from dpsynth.errors import SealedError
from dpsynth.privacy.curator import Curator
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.sealed import CodedTable, open_codes
from tests.privacy.tables import curator, rows, table

DOMAIN = Domain((Axis("x", 3), Axis("y", 2)))
X, Y = np.array([0, 1, 2], dtype=np.uint8), np.array([0, 1, 0], dtype=np.uint16)


@pytest.mark.parametrize(
    "peek",
    [
        np.asarray,
        len,
        iter,
        list,
        bool,
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda t: pickle.dumps(t, protocol=0),
        lambda t: t[0],
        lambda t: 0 in t,
        lambda t: t.__getstate__(),
        lambda t: t.__reduce__(),
        lambda t: t.__reduce_ex__(2),
        lambda t: np.array([1]) + t,
    ],
)
def test_a_coded_table_shows_nothing(peek: Callable[[CodedTable], object]) -> None:
    with pytest.raises(SealedError, match="sealed"):
        peek(CodedTable(DOMAIN, [X, Y]))


@pytest.mark.parametrize(
    "peek",
    [
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda c: pickle.dumps(c, protocol=0),
        lambda c: c.__getstate__(),
        lambda c: c.__reduce__(),
        lambda c: c.__reduce_ex__(4),
    ],
)
def test_a_curator_is_not_copied_or_saved(peek: Callable[[Curator], object]) -> None:
    with pytest.raises(SealedError, match="not saved or copied"):
        peek(curator(rows(4)))


@pytest.mark.parametrize("sealed", [table(rows(50)), curator(rows(50))], ids=["table", "curator"])
def test_nothing_public_holds_rows(sealed: object) -> None:
    """No __dict__, no array among the public attributes, nothing in repr, str, format; nothing assignable."""
    assert not hasattr(sealed, "__dict__")
    for name in dir(sealed):
        if not name.startswith("_"):
            assert not isinstance(getattr(sealed, name), np.ndarray)
            with pytest.raises(AttributeError):
                setattr(sealed, name, None)
    other = type(sealed)
    empty = table(rows(0)) if other is CodedTable else curator(rows(0))
    for show in (repr, str, format):
        assert show(sealed) == show(empty)


def test_what_may_be_known_of_a_table() -> None:
    sealed = CodedTable(DOMAIN, [X, Y], rows_per_unit=2)
    assert (sealed.domain, sealed.rows_per_unit) == (DOMAIN, 2)
    assert repr(sealed) == "CodedTable(<sealed>, columns=2, rows_per_unit=2)"


def test_the_rows_are_a_frozen_copy() -> None:
    x = X.copy()
    sealed = CodedTable(DOMAIN, [x, Y])
    x[:] = 250  # beyond the domain: had the table kept the array, counting would fail on it
    codes = open_codes(sealed)
    assert codes[0].tolist() == [0, 1, 2]
    assert not any(c.flags.writeable for c in codes)
    assert all(c.base is None for c in codes)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([X], "1 arrays of codes for a domain of 2 axes"),
        ([X, Y.reshape(3, 1)], "'y' must be one-dimensional unsigned"),
        ([X.astype(np.int64), Y], "'x' must be one-dimensional unsigned"),
        ([X.astype(bool), Y], "'x' must be one-dimensional unsigned"),
        ([X.astype(float), Y], "'x' must be one-dimensional unsigned"),
        ([X, Y[:2]], "'y' differ in length"),
        ([X + np.uint8(1), Y], "'x' is not below the axis's size 3"),
    ],
)
def test_arrays_that_do_not_fit(codes: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CodedTable(DOMAIN, codes)


@pytest.mark.parametrize("k", [0, -1, 1.5, float("nan"), True, None])
def test_rows_per_unit_is_a_positive_integer(k: int) -> None:
    with pytest.raises(ValueError, match="rows_per_unit"):
        CodedTable(DOMAIN, [X, Y], rows_per_unit=k)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_no_rows_and_every_width(dtype: type[np.unsignedinteger]) -> None:
    CodedTable(DOMAIN, [np.zeros(0, dtype), np.zeros(0, dtype)])
    sealed = CodedTable(DOMAIN, [X.astype(dtype), Y.astype(dtype)])
    assert Curator(sealed, Guarantee(epsilon=1.0, delta=1e-6)).spent == 0
