"""The array reader: what it writes it reads, and nothing else."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dpsynth.errors import ReleaseError
from dpsynth.release.arrays import from_npy, to_npy

_ARRAYS = hnp.arrays(
    st.sampled_from([np.int64, np.float64]), hnp.array_shapes(max_dims=4, max_side=5), elements=None
)


@given(_ARRAYS)
def test_an_array_comes_back_bit_by_bit(array):
    again = from_npy(to_npy(array), "a.npy")
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()
    assert not again.flags.writeable


@given(_ARRAYS)
def test_numpy_reads_and_writes_the_same_format(array):
    assert np.load(io.BytesIO(to_npy(array)), allow_pickle=False).tobytes() == array.tobytes()
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array))
    assert from_npy(buffer.getvalue(), "a.npy").tobytes() == array.tobytes()


def test_version_two_is_read():
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.arange(3), version=(2, 0))
    assert from_npy(buffer.getvalue(), "a.npy").tolist() == [0, 1, 2]


def test_a_transposed_array_is_written_in_c_order():
    array = np.arange(6).reshape(2, 3).T
    assert from_npy(to_npy(array), "a").tolist() == array.tolist()


@pytest.mark.parametrize("array", [np.zeros(3, np.float32), np.array(["a"]), np.zeros(0), np.array(1.0)])
def test_other_arrays_are_not_written(array):
    with pytest.raises(ValueError, match="int64 and float64"):
        to_npy(array)


def _npy(header: str, body: bytes = b"\0" * 16, version: bytes = b"\x01\x00") -> bytes:
    width = 2 if version == b"\x01\x00" else 4
    return b"\x93NUMPY" + version + len(header).to_bytes(width, "little") + header.encode("latin-1") + body


def _header(descr: str = "'<i8'", order: str = "False", shape: str = "(2,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an array file"),
        (b"\x93NUMPY", "version"),
        (_npy(_header(), version=b"\x03\x00"), "version"),
        (_npy(_header() + " " * 5000), "4096 is the limit"),
        (_npy(_header(), version=b"\x02\x00")[:8] + b"\xff\xff\xff\xff", "4096 is the limit"),
        (_npy("{"), "cannot be read"),
        (_npy("(" * 3000), "cannot be read"),
        (_npy("-" * 4000 + "1"), "cannot be read"),
        (_npy("__import__('os').system('true')"), "cannot be read"),
        (_npy("{'descr': '\xe9'}"), "cannot be read"),
        (_npy("{[]: 1}"), "cannot be read"),
        (_npy("[1, 2]"), "other keys"),
        (_npy("{'descr': '<i8', 'shape': (2,)}"), "other keys"),
        (_npy(_header(descr="'|O'")), "dtype"),
        (_npy(_header(descr="'>i8'")), "dtype"),
        (_npy(_header(descr="[('a', '<i8')]")), "dtype"),
        (_npy(_header(order="True")), "C order"),
        (_npy(_header(order="0")), "C order"),
        (_npy(_header(shape="()")), "1 to 32"),
        (_npy(_header(shape=f"({'1,' * 33})")), "1 to 32"),
        (_npy(_header(shape="2")), "1 to 32"),
        (_npy(_header(shape="(True, 2)")), "1 to 32"),
        (_npy(_header(shape="(2.0,)")), "1 to 32"),
        (_npy(_header(shape="(-2, -1)")), "axis"),
        (_npy(_header(shape="(0,)"), b""), "axis"),
        (_npy(_header(shape=f"(0, {2**60})"), b""), "axis"),
        (_npy(_header(shape=f"({2**61}, 8)"), b""), "numbers but holds"),
        (_npy(_header(shape="(3,)")), "3 numbers but holds 16 bytes"),
        (_npy(_header(shape="(1,)")), "1 numbers but holds 16 bytes"),
        (_npy(_header())[:40], "cannot be read|holds"),
    ],
)
def test_a_hostile_array_is_refused(data, message):
    with pytest.raises(ReleaseError, match=message) as caught:
        from_npy(data, "model/node_0.npy")
    assert str(caught.value).startswith("model/node_0.npy ")


def test_a_huge_shape_allocates_nothing():
    data = _npy(_header(shape=f"({2**60},)"))
    tracemalloc.start()
    try:
        with pytest.raises(ReleaseError, match="1152921504606846976 numbers"):
            from_npy(data, "a.npy")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 30))
def test_no_other_error_escapes(noise, at, cut):
    data = to_npy(np.arange(6).reshape(2, 3))
    mangled = data[:at] + noise + data[at + cut :]
    try:
        from_npy(mangled, "a.npy")
    except ReleaseError:
        return
    assert mangled[:6] == data[:6]
