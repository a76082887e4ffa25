"""Identifiers in a stated format, all different where they must be."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.data import Codec, Layout, open_source
from dpsynth.data.identifiers import generate, space
from dpsynth.errors import DataError
from dpsynth.schema import Schema
from dpsynth.schema.columns import Identifier


@given(
    st.text(st.sampled_from("##@@-é\\ "), min_size=1, max_size=30), st.integers(0, 300), st.integers(0, 99)
)
def test_identifiers_have_the_format_and_are_distinct(pattern, n, seed):
    pattern += "\\\\" if pattern.endswith("\\") and not pattern.endswith("\\\\") else ""
    try:
        spec = Identifier(format=pattern + "#", unique=True)
    except ValueError:
        return
    n = min(n, space(spec.format))
    keys = generate("k", spec, n, np.random.default_rng(seed))
    expression = re.sub(
        r"\\(.)|#|@|([^\\#@])",
        lambda m: {"#": "[0-9]", "@": "[A-Z]"}.get(m.group(0), re.escape(m.group(1) or m.group(2) or "")),
        spec.format,
    )
    assert len(set(keys.texts.tolist())) == n == keys.texts.size
    assert all(re.fullmatch(expression, key) for key in keys.texts.tolist())


@pytest.mark.parametrize(("pattern", "size"), [("#", 10), ("@#", 260), (r"\##", 10), ("####", 10_000)])
def test_the_whole_space_can_be_used_and_no_more(pattern, size):
    assert space(pattern) == size
    spec = Identifier(format=pattern, unique=True)
    assert len(set(generate("k", spec, size, np.random.default_rng(3)).texts.tolist())) == size
    with pytest.raises(DataError, match=f"writes {size} different values, fewer than the {size + 1} rows"):
        generate("k", spec, size + 1, np.random.default_rng(3))
    loose = Identifier(format=pattern, unique=False)
    assert generate("k", loose, size + 1, np.random.default_rng(3)).texts.size == size + 1


def test_long_formats_are_distinct_and_reproducible():
    spec = Identifier(format="@" * 40, unique=True)
    first, second = (generate("k", spec, 50_000, np.random.default_rng(1)).texts for _ in range(2))
    assert (first == second).all()
    assert np.unique(first).size == 50_000


@pytest.mark.parametrize(
    ("frame", "dtype", "pattern", "expected"),
    [
        ("pandas", "int64", "#####", "int64"),
        ("pandas", "float64", "#####", "int64"),
        ("pandas", "Int32", "#####", "Int32"),
        ("pandas", "int8", "#####", "int64"),
        ("pandas", "int64", "#" * 25, "str"),
        ("pandas", "int64", "@####", "str"),
        ("pandas", "file", "#####", "str"),
        ("pandas", "object", "#####", "int64"),  # one garbled key makes int64 object or str: no telling
        ("pandas", "str", "#####", "int64"),
        ("pandas", "str", "A####", "str"),
        ("pandas", "string", "#####", "string"),
        ("pandas", "category", "#####", "str"),
        ("polars", "Int64", "#####", "Int64"),
        ("polars", "Int8", "#####", "String"),
        ("polars", "String", "@####", "String"),
        ("pyarrow", "int32", "#####", "int32"),
        ("pyarrow", "large_string", "#####", "large_string"),
    ],
)
@pytest.mark.parametrize("rows", [0, 4])
def test_identifier_dtypes(frame, dtype, pattern, expected, rows):
    columns = {"k": {"kind": "identifier", "format": pattern}, "b": {"kind": "boolean", "missing": False}}
    codec = Codec(Schema.from_dict({"privacy_unit": "row", "columns": columns}))
    table = codec.decode([np.zeros(rows, np.uint8)], Layout(frame, (("k", dtype),)), np.random.default_rng(0))
    assert open_source(table).layout.dtype("k") == expected


def test_identifiers_are_never_read():
    columns = {"k": {"kind": "identifier"}, "b": {"kind": "boolean", "missing": False}}
    codec = Codec(Schema.from_dict({"privacy_unit": "row", "columns": columns}))
    frame = pd.DataFrame({"k": ["SECRET1"], "b": [True]})
    source = open_source(frame)
    read = []
    source_cells = source._load
    source._load = lambda names: read.append(names) or source_cells(names)
    codec.encode(source)
    assert read == [("b",)]
