"""Adult, 48,842 x 14, epsilon 1, delta 1e-9: error, time and memory of fitting and sampling."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from benchmarks.tables import Table
from dpsynth import Synthesizer
from dpsynth.evaluate.fidelity import mean_total_variation

__all__ = ["run"]

ROWS = 48_842
TARGETS = {"tvd1": 0.0065, "tvd2": 0.048, "seconds": 1.5, "cold_seconds": 8.0, "peak_mb": 500.0}
_COLD = """
import sys, time
from pathlib import Path
start = time.perf_counter()
from benchmarks.adult import fit_and_sample
from benchmarks.tables import Table
fit_and_sample(Table.load("adult_coded14"), sys.argv[1])
seconds = time.perf_counter() - start
status = Path("/proc/self/status").read_text()  # getrusage would count the parent's memory too
print(seconds, int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


def cold_start(mechanism: str) -> dict[str, float]:
    """Return seconds and memory of a new process, imports and compiling included; nothing is cached."""
    with tempfile.TemporaryDirectory() as empty:
        ran = subprocess.run(
            [sys.executable, "-c", _COLD, mechanism],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "NUMBA_CACHE_DIR": empty},
        )
    seconds, megabytes = map(float, ran.stdout.split())
    return {"cold_seconds": seconds, "peak_mb": megabytes}


def fit_and_sample(table: Table, mechanism: str):
    """Fit a release and sample as many rows as the public benchmark table has."""
    release = Synthesizer(table.schema, epsilon=1.0, delta=1e-9, mechanism=mechanism).fit(table.frame)
    return release, release.sample(ROWS, seed=0)


def run(runs: int) -> dict[str, object]:
    """Return, for each mechanism, errors (means over ``runs`` fresh fits), median seconds, and memory."""
    table = Table.load("adult_coded14")
    results: dict[str, object] = {"rows": ROWS, "columns": 14, "epsilon": 1.0, "delta": 1e-9, "runs": runs}
    for mechanism in ("mst", "oneshot", "independent"):
        fit_and_sample(table, mechanism)
        seconds, cpu, errors = [], [], []
        for _ in range(runs):
            wall, used = time.perf_counter(), time.process_time()
            _, sample = fit_and_sample(table, mechanism)
            seconds.append(time.perf_counter() - wall)
            cpu.append(time.process_time() - used)
            errors.append(
                [mean_total_variation(table.codes(), table.codes(sample), table.sizes, k) for k in (1, 2, 3)]
            )
        results[mechanism] = {
            **{f"tvd{k + 1}": sum(e[k] for e in errors) / runs for k in range(3)},
            "tvd2_of_each_run": [e[1] for e in errors],
            "seconds": sorted(seconds)[runs // 2],
            "cpu_seconds": sorted(cpu)[runs // 2],
            **cold_start(mechanism),
        }
    results["targets"] = TARGETS
    return results
