"""What it costs not to know the domain: Adult with all of it public, and with names and kinds alone.

``public`` is the schema drafted from the raw table, as if a code book had stated it: values, exact bounds,
whether values are missing. ``bought`` states names and kinds, and buys the rest. Errors are mean total
variation over all pairs of columns, counted twice: in the public schema's own codes, which favour the fit
that was given them, and with the numbers cut into 100 equal widths, which neither fit knew.
"""

from __future__ import annotations

import time
from typing import Any

import pandas as pd

from benchmarks.tables import folder
from dpsynth import Schema, Synthesizer
from dpsynth.data.draft import draft_schema
from dpsynth.evaluate.fidelity import compare
from dpsynth.schema import OpenSchema

__all__ = ["open_schema", "run"]

TARGET = 1.25  # 2-way error, bought / public, at epsilon 3
_EPSILONS = (3.0, 1.0)
_DELTA = 1e-9
_WIDTHS = 100


def open_schema(frame: pd.DataFrame) -> OpenSchema:
    """Return the names and kinds of a table's columns, and nothing else of it."""
    return OpenSchema.loads(_confirmed(draft_schema(frame, privacy_unit="row", buy=True)))


def _confirmed(draft: str) -> str:
    """Return a draft as a steward leaves it who confirms every mark: the table is public."""
    return draft.replace(" !REVIEW", "")


def run(runs: int) -> dict[str, object]:
    """Return errors and shares, means over ``runs`` fresh fits."""
    frame = pd.read_csv(folder() / "adult" / "adult_raw.csv")
    public = Schema.loads(_confirmed(draft_schema(frame, privacy_unit="row")))
    schemas = {"public": public, "bought": open_schema(frame)}
    results: list[dict[str, Any]] = []
    for epsilon in _EPSILONS:
        for name, schema in schemas.items():
            each = [_measure(frame, schema, public, epsilon) for _ in range(runs)]
            means = {key: sum(one[key] for one in each) / runs for key in each[0]}
            results.append(
                {"schema": name, "epsilon": epsilon, **means, "of_each_run": [e["tvd2"] for e in each]}
            )
    return {
        "table": "adult_raw", "rows": len(frame), "columns": frame.shape[1], "delta": _DELTA, "runs": runs,
        "target": TARGET, "results": results,
    }  # fmt: skip


def _measure(
    frame: pd.DataFrame, schema: Schema | OpenSchema, public: Schema, epsilon: float
) -> dict[str, float]:
    start = time.perf_counter()
    release = Synthesizer(schema, epsilon=epsilon, delta=_DELTA).fit(frame)
    synthetic = release.sample(len(frame), seed=0)
    seconds = time.perf_counter() - start
    entries, budget = release.statement.entries, release.statement.budget
    bought = [e for e in entries if e.purpose.startswith("buying")]
    errors = compare(public, frame, synthetic, ways=(1, 2))
    return {
        "tvd1": errors[1],
        "tvd2": errors[2],
        "tvd2_widths": compare(_in_widths(public), frame, synthetic, ways=(2,))[2],
        "share_bought": float(sum(e.price for e in bought) / budget),
        "share_categories": float(sum(e.price for e in bought if "categories" in e.purpose) / budget),
        "delta_bought": float(sum(e.delta for e in bought)),
        "values_found": float(
            sum(len(s.labels) for s in release.schema.columns.values() if s.kind == "categorical")
        ),
        "seconds": seconds,
    }


def _in_widths(schema: Schema) -> Schema:
    content = schema.to_dict()
    for spec in content["columns"].values():
        if spec["kind"] == "integer":
            spec["bins"] = _WIDTHS
    return Schema.from_dict(content)
