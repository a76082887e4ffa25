"""Tiny releases made by hand, through the real door, and ways to forge them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dpsynth.data.codec import Codec
from dpsynth.data.layout import Layout
from dpsynth.errors import ReleaseError
from dpsynth.model.estimates import Estimate
from dpsynth.model.structure import processing_of
from dpsynth.model.tree import TreeModel
from dpsynth.privacy.curator import Curator, Marginal, Measurement
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.sealed import CodedTable
from dpsynth.release.certificate import certificate_of
from dpsynth.release.documents import dump, parse
from dpsynth.release.release import Release
from dpsynth.release.statement import Statement
from dpsynth.schema import Schema

ROW = """
privacy_unit: row
columns:
  key: {kind: identifier, format: "K-####"}
  age: {kind: integer, missing: false, lower: 0, upper: 9}
  sex: {kind: categorical, missing: false, values: [f, m]}
  smoker: {kind: boolean, missing: true}
"""
UNIT = ROW.replace("privacy_unit: row", "privacy_unit: {column: household, max_rows: 3}")
DTYPES = (("key", "str"), ("age", "int64"), ("sex", "str"), ("smoker", "object"))


def identity(size: int) -> np.ndarray:
    return np.arange(size)


def measured(
    schema: Schema, *, backend: str = "exact", epsilon: float = 1.0, **promise: Any
) -> tuple[Curator, list[Measurement]]:
    """Ask a curator for every column, a score of two pairs, a choice among them, and one grouped pair."""
    domain = Codec(schema).domain
    rng = np.random.default_rng(5)
    codes = [rng.integers(0, axis.size, 400).astype(np.uint8) for axis in domain]
    unit = schema.privacy_unit if isinstance(schema.privacy_unit, str) else schema.privacy_unit.column
    aside = promise.pop("delta_aside", Fraction(0))
    fields = {"epsilon": epsilon, "delta": 1e-6, "unit": unit, "rows_per_unit": schema.max_rows} | promise
    guarantee = Guarantee(**fields)
    table = CodedTable(domain, codes, rows_per_unit=schema.max_rows)
    curator = Curator(table, guarantee, backend=backend, delta_aside=aside)
    share = curator.budget / 8
    found = [
        curator.measure(Marginal((i,), (identity(axis.size),)), budget=share, purpose="one-way marginals")
        for i, axis in enumerate(domain)
    ]
    pairs = [
        Marginal((0, 1), (identity(domain.axes[0].size) // 4, identity(domain.axes[1].size))),
        Marginal((1, 2), (identity(domain.axes[1].size), identity(domain.axes[2].size))),
    ]
    nothing = lambda query: np.zeros(query.shape, dtype=np.int64)  # noqa: E731  -- a reference of zeros
    curator.score(pairs, nothing, budget=share, purpose="distances of pairs")
    curator.select(pairs, nothing, budget=share, purpose="choice of a pair")
    found.append(curator.measure(pairs[0], budget=share, purpose="pair marginals"))
    return curator, found


def model_of(schema: Schema, measurements: list[Measurement]) -> TreeModel:
    """A forest with one edge, whose margins agree by construction."""
    domain = Codec(schema).domain
    nodes = []
    for axis, measurement in zip(domain, measurements, strict=False):
        positive = np.maximum(measurement.values, 1).astype(np.float64)
        assert positive.shape == (axis.size,)
        nodes.append(positive / positive.sum())
    first, second = measurements[-1].query.groups
    table = np.outer(np.bincount(first, nodes[0]), np.bincount(second, nodes[1]))
    twist = 0.4 * table.min()
    table[:2, :2] += np.array([[twist, -twist], [-twist, twist]])
    edge = Estimate((0, 1), (first, second), table)
    total = float(np.mean([m.values.sum() for m in measurements]))
    return TreeModel(domain, max(total, 0.0), tuple(nodes), (edge,))


def tiny(
    text: str = ROW,
    *,
    backend: str = "exact",
    frame: str = "pandas",
    epsilon: float = 1.0,
    **promise: Any,
) -> Release:
    schema = Schema.loads(text)
    curator, found = measured(schema, backend=backend, epsilon=epsilon, **promise)
    model = model_of(schema, found)
    return Release(
        schema=schema,
        layout=Layout(frame, DTYPES if frame == "pandas" else ()),
        model=model,
        measurements=tuple(found),
        statement=Statement.from_curator(curator, schema, "by-hand", processing=processing_of(model)),
    )


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rehashed(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """Members with a certificate and a manifest that fit them, as a forger would make them."""
    with contextlib.suppress(ReleaseError):
        statement = Statement.from_dict(parse(members["statement.json"], "statement.json"))
        members = {**members, "certificate.json": dump(certificate_of(statement, members))}
    return hashed(members)


def hashed(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """Members with a manifest that fits them."""
    manifest = json.loads(members["manifest.json"])
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in members.items()
        if name != "manifest.json"
    }
    return {**members, "manifest.json": json.dumps(manifest).encode()}


def zipped(members: Mapping[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def unpacked(members: Mapping[str, bytes], path: Path) -> Path:
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def edited(members: Mapping[str, bytes], name: str, edit: Callable[[Any], object]) -> dict[str, bytes]:
    """Members with one JSON document changed in place by ``edit``."""
    content = json.loads(members[name])
    edit(content)
    return {**members, name: json.dumps(content).encode()}


def restated(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """Members whose figures and text follow from the acts in statement.json, as a careful forger would."""
    statement = Statement.from_dict(json.loads(members["statement.json"]))
    return {
        **members,
        "statement.json": json.dumps(statement.to_dict()).encode(),
        "STATEMENT.md": str(statement).encode(),
    }


def half(budget: dict[str, Any]) -> dict[str, Any]:
    value = Fraction(budget["exact"]) / 2
    return {"exact": f"{value.numerator}/{value.denominator}", "decimal": float(value)}


def write_golden(path: str | os.PathLike[str]) -> None:
    """Write the golden release of the present format. Run once a format version, never again.

    Its version is one that no later dpsynth has, so that its text counts as an older version's.
    """
    from dpsynth.release import bundle, statement

    former = statement.__version__
    statement.__version__ = bundle.__version__ = "0.1.0a0"
    try:
        tiny(UNIT).save(path)
    finally:
        statement.__version__ = bundle.__version__ = former
