"""Every way of counting gives the table that a loop gives."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.privacy import counting, kernels
from dpsynth.privacy.marginal import Marginal
from tests.conftest import ROOT
from tests.privacy.tables import brute_force

SIZES = (5, 3, 1, 7, 4)
DTYPES = ("u1", "u2", "u4", "u8")


def _codes(n: int, dtype: str = "u1", seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, s, n).astype(dtype) for s in SIZES]


def _query(columns: tuple[int, ...], rng: np.random.Generator) -> Marginal:
    return Marginal(columns, tuple(rng.integers(0, SIZES[c], SIZES[c]) for c in columns))


def _counted(
    codes: list[np.ndarray], requests: list[Marginal], known: counting.Remembered | None = None
) -> list[np.ndarray]:
    found = dict(counting.count_tables(codes, requests, known or counting.Remembered()))
    assert sorted(found) == list(range(len(requests)))
    return [found[i] for i in range(len(requests))]


@pytest.fixture(params=["compiled", "vectorised"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(counting, "_MUCH", 0 if request.param == "compiled" else 10**18)
    return request.param


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [0, 1, 200])
def test_all_ways_count_as_a_loop_does(way: str, dtype: str, n: int) -> None:
    codes, rng = _codes(n, dtype), np.random.default_rng(1)
    requests = [_query(c, rng) for r in range(1, 6) for c in combinations((3, 0, 4, 2, 1), r)]
    content = np.stack(codes, axis=1).astype(int)
    for request, table in zip(requests, _counted(codes, requests), strict=True):
        assert table.dtype == np.int64
        assert table.shape == request.shape
        assert np.array_equal(table, brute_force(content, request))


@pytest.mark.parametrize("n", [8191, 8192, 8193, 20_000])
def test_blocks_meet_without_a_gap(way: str, n: int) -> None:
    """Sizes beside the block's, with columns of different widths."""
    codes = [c.astype(d) for c, d in zip(_codes(n), ("u1", "u2", "u4", "u1", "u8"), strict=True)]
    request = Marginal((4, 1, 3), tuple(np.arange(SIZES[c]) for c in (4, 1, 3)))
    (table,) = _counted(codes, [request])
    key = (codes[4].astype(int) * 3 + codes[1].astype(int)) * 7 + codes[3].astype(int)
    assert np.array_equal(table.ravel(), np.bincount(key, minlength=84))


def test_keys_up_to_the_largest_table_are_held() -> None:
    """2**28 cells in 32 unsigned bits: the last cell is met."""
    last = np.array([0, 2**14 - 1])
    codes = [np.array([1, 1, 0], dtype="u1"), np.array([1, 0, 1], dtype="u1")]
    table = counting._count_compiled(codes, Marginal((0, 1), (last, last)))
    assert table.size == 2**28
    assert (table[-1, -1], table[-1, 0], table[0, -1], table.sum()) == (1, 1, 1, 3)


@given(data=st.data(), seed=st.integers(0, 99))
def test_nested_groupings_are_summed_and_others_counted(data: st.DataObject, seed: int) -> None:
    codes, rng = _codes(300, seed=seed), np.random.default_rng(seed)
    columns = data.draw(st.permutations(range(5)).map(lambda p: tuple(p[:3])))
    fine = _query(columns, rng)
    function = [rng.integers(0, 4, s) for s in fine.shape]
    nested = Marginal(columns, tuple(f[g] for f, g in zip(function, fine.groups, strict=True)))
    other, swapped = _query(columns, rng), Marginal(columns[::-1], nested.groups[::-1])
    content = np.stack(codes, axis=1).astype(int)
    requests = [nested, fine, other, swapped, nested]
    for request, table in zip(requests, _counted(codes, requests), strict=True):
        assert np.array_equal(table, brute_force(content, request))
    summed = counting._summed(brute_force(content, fine), fine, nested)
    assert summed is not None
    assert np.array_equal(summed, brute_force(content, nested))


def test_a_grouping_that_is_not_coarser_is_not_summed() -> None:
    fine = Marginal((0, 1), (np.array([0, 0, 1, 1, 2]), np.arange(3)))
    crossing = Marginal((0, 1), (np.array([0, 1, 1, 1, 1]), np.arange(3)))
    assert counting._summed(np.zeros(fine.shape, dtype=np.int64), fine, crossing) is None


def test_only_the_finest_of_a_set_of_columns_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, counted = _codes(5_000), []
    plain = counting._count
    monkeypatch.setattr(counting, "_count", lambda c, r: counted.append(r) or plain(c, r))
    fine = Marginal((0, 3), (np.arange(5), np.arange(7)))
    coarse = Marginal((0, 3), (np.arange(5) // 2, np.arange(7) // 3))
    known = counting.Remembered()
    first = _counted(codes, [coarse, fine], known)
    assert counted == [fine]
    again = _counted(codes, [fine, coarse], known)
    assert counted == [fine]
    assert again[0] is first[1]
    assert again[1] is first[0]


def test_memory_of_tables_is_bounded_and_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_REMEMBERED", 40)
    codes, known = _codes(100), counting.Remembered()
    requests = [Marginal((0, 3), (np.arange(5), np.arange(7))), Marginal((3,), (np.arange(7),))]
    tables = _counted(codes, requests, known)
    assert known.cells == 35
    assert _counted(codes, requests, known)[0] is tables[0]
    assert known.cells == 35
    for table in tables:
        with pytest.raises(ValueError, match="read-only"):
            table[...] = 0


def test_a_table_that_two_threads_counted_is_kept_once() -> None:
    known, table = counting.Remembered(), np.zeros(7, dtype=np.int64)
    known.keep(((0,), (b"",)), table)
    known.keep(((0,), (b"",)), table.copy())
    assert known.cells == 7
    assert known.get(((0,), (b"",))) is table


def test_the_kernels_as_python() -> None:
    """The same functions without the compiler."""
    codes, keys = np.array([2, 0, 1, 2], dtype=np.uint8), np.empty(4, dtype=np.uint32)
    kernels.set_offsets.py_func(codes, np.array([0, 10, 20], dtype=np.uint32), keys)
    assert keys.tolist() == [20, 0, 10, 20]
    kernels.add_offsets.py_func(codes, np.array([1, 2, 3], dtype=np.uint32), keys)
    assert keys.tolist() == [23, 1, 12, 23]
    counts = np.zeros(24, dtype=np.int64)
    kernels.tally.py_func(keys, counts)
    assert np.flatnonzero(counts).tolist() == [1, 12, 23]
    assert counts.sum() == 4


def test_little_work_does_not_load_the_compiler() -> None:
    script = (
        "import sys, numpy as np\n"
        "from dpsynth.domain import Axis, Domain\n"
        "from dpsynth.privacy.curator import Curator\n"
        "from dpsynth.privacy.guarantee import Guarantee\n"
        "from dpsynth.privacy.sealed import CodedTable\n"
        "from dpsynth.mechanisms import MECHANISMS\n"
        "domain = Domain((Axis('a', 9), Axis('b', 9)))\n"
        "codes = [np.zeros(100_000, dtype=np.uint8)] * 2\n"
        "curator = Curator(CodedTable(domain, codes), Guarantee(epsilon=1.0, delta=1e-6))\n"
        "MECHANISMS['independent'].run(curator, lambda *_: None)\n"
        "print('numba' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
