"""The one evaluator: reads the CSV that a program wrote and says how far its marginals are from the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.tables import Table
from dpsynth.evaluate.fidelity import mean_total_variation, workload_error

__all__ = ["BrokenTable", "errors", "read_codes"]


class BrokenTable(Exception):  # noqa: N818
    """A program wrote something that is not a table over the domain."""


def read_codes(path: Path, table: Table) -> list[np.ndarray]:
    """Return the columns of a synthetic table in the real one's order.

    Raises:
        BrokenTable: no table, a column is absent, or a value is not a code of its column.
    """
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise BrokenTable(f"no table could be read: {type(error).__name__}") from error
    codes = []
    for name, size in zip(table.frame.columns, table.sizes, strict=True):
        if name not in frame:
            raise BrokenTable(f"column {name!r} is absent")
        values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float)
        valid = (values >= 0) & (values < size) & (values == np.floor(values))
        if not valid.all():
            raise BrokenTable(f"column {name!r} has {np.sum(~valid):,} values outside 0..{size - 1}")
        codes.append(values.astype(np.int64))
    if not codes[0].size:
        raise BrokenTable("the table has no rows")
    return codes


def errors(table: Table, codes: Sequence[np.ndarray]) -> dict[str, float]:
    """Return ``tvd1``, ``tvd2``, ``tvd3`` and the error of the workload of all 3-way marginals."""
    real = table.codes()
    found = {f"tvd{k}": mean_total_variation(real, codes, table.sizes, k) for k in (1, 2, 3)}
    return {**found, "workload_error": workload_error(real, codes, table.sizes)}
