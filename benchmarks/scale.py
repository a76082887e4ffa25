"""Many columns and large ones: does a fit come back, in what time and memory, and with what error.

Two tables: ``wide``, made up, 50,000 rows of 110 columns, of which four have thousands of categories, and
dependences planted along a random tree and across it; and ``kdd_census_income``, 199,523 rows of 42 columns.
Each mechanism runs in a process of its own, compiling included, so that its memory is its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.tables import Table
from dpsynth import Schema, Synthesizer
from dpsynth.evaluate.fidelity import mean_total_variation

__all__ = ["run", "wide_table"]

TARGETS = {"seconds": 180.0, "peak_mb": 4096.0}
_MECHANISMS = ("oneshot", "mst", "independent")
_LARGE = (3_000, 2_000, 5_000, 1_500)


def wide_table(rows: int = 50_000, columns: int = 110, *, seed: int = 0) -> Table:
    """Return a made-up table.

    Column ``i`` follows an earlier column in six rows of ten (through a random map of its codes), a second
    earlier column in two of ten, and is drawn on its own, with Zipf-like shares, in the others. Every third
    column of the rest is ordered; four columns have thousands of categories.

    Args:
        rows: Number of rows.
        columns: Number of columns, at least 30.
        seed: The same seed gives the same table.
    """
    rng = np.random.default_rng(seed)
    sizes = [int(s) for s in np.minimum(rng.geometric(0.08, columns) + 1, 100)]
    for place, size in zip((7, 29, 15, 22), _LARGE, strict=True):
        sizes[place] = size
    data: list[np.ndarray] = []
    for i, size in enumerate(sizes):
        shares = (1.0 + np.arange(size)) ** -1.1
        own = rng.choice(size, rows, p=shares / shares.sum())
        if i:
            way = rng.random(rows)
            for low, high in ((0.0, 0.6), (0.6, 0.8)):
                parent = int(rng.integers(i))
                follows = np.sort(rng.choice(size, sizes[parent], p=shares / shares.sum()))[data[parent]]
                own = np.where((way >= low) & (way < high), follows, own)
        data.append(own.astype(np.int64))
    names = [f"c{i:03d}" for i in range(columns)]
    ordered = [name for name, size in zip(names, sizes, strict=True) if size <= 100][::3]
    schema = Schema.from_domain(dict(zip(names, sizes, strict=True)), ordered=ordered)
    return Table("wide", pd.DataFrame(dict(zip(names, data, strict=True))), schema, tuple(sizes))


def measure(name: str, mechanism: str) -> dict[str, object]:
    """Fit and sample once in this process; return times, peak memory and errors."""
    table = wide_table() if name == "wide" else Table.load(name)
    start = time.perf_counter()
    release = Synthesizer(table.schema, epsilon=1.0, delta=1e-9, mechanism=mechanism).fit(table.frame)
    fitted = time.perf_counter()
    sample = release.sample(len(table.frame), seed=0)
    drawn = time.perf_counter()
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    real, synthetic = table.codes(), table.codes(sample)
    return {
        "rows": len(table.frame),
        "columns": len(table.sizes),
        "largest_column": max(table.sizes),
        "seconds": drawn - start,
        "fit_seconds": fitted - start,
        "sample_seconds": drawn - fitted,
        "peak_mb": int(status.split("VmHWM:")[1].split()[0]) / 1024,
        "estimated_tables": len(release.model.estimates),
        **{f"tvd{k}": mean_total_variation(real, synthetic, table.sizes, k) for k in (1, 2)},
    }


def run(runs: int) -> dict[str, object]:
    """Return, for each table and mechanism, the means over ``runs`` fresh processes."""
    results: dict[str, object] = {"epsilon": 1.0, "delta": 1e-9, "runs": runs, "targets": TARGETS}
    for name in ("wide", "kdd_census_income"):
        found: dict[str, object] = {}
        for mechanism in _MECHANISMS:
            each = [_in_a_process(name, mechanism) for _ in range(runs)]
            found[mechanism] = {key: sum(one[key] for one in each) / runs for key in each[0]}
        results[name] = found
    return results


def _in_a_process(name: str, mechanism: str) -> dict[str, float]:
    code = "import json, sys\nfrom benchmarks.scale import measure\nprint(json.dumps(measure(*sys.argv[1:])))"
    command = [sys.executable, "-c", code, name, mechanism]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    measured: dict[str, float] = json.loads(ran.stdout)
    return measured
