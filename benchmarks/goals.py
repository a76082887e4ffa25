"""The default mechanism on every table, beside the goals that were set for it before it was built."""

from __future__ import annotations

import statistics
import time

from benchmarks.tables import Table
from dpsynth import Synthesizer
from dpsynth.evaluate.fidelity import mean_total_variation

__all__ = ["GOALS", "run"]

DELTA = 1e-9
GOALS: dict[tuple[str, float], tuple[float, float, float]] = {
    ("adult_coded14", 0.1): (0.026, 0.074, 0.137),
    ("adult_coded14", 1.0): (0.0053, 0.0270, 0.067),
    ("adult_coded14", 10.0): (0.0009, 0.0105, 0.042),
    ("adult_coded", 1.0): (0.0033, 0.0205, 0.050),
    ("titanic", 1.0): (0.040, 0.122, 0.227),
    ("salary", 1.0): (0.0032, 0.0245, 0.064),
    ("msnbc", 1.0): (0.0010, 0.022, 0.043),
}
"""Mean total variation distance over all marginals of one, two and three columns, by table and epsilon."""


def run(runs: int) -> dict[str, object]:
    """Return errors (means over ``runs`` fresh fits, with standard errors) and median seconds."""
    results = []
    for (name, epsilon), goal in GOALS.items():
        table = Table.load(name)
        synth = Synthesizer(table.schema, epsilon=epsilon, delta=DELTA)
        errors, seconds = [], []
        for seed in range(runs):
            start = time.perf_counter()
            sample = synth.fit(table.frame).sample(len(table.frame), seed=seed)
            seconds.append(time.perf_counter() - start)
            codes = table.codes(sample)
            errors.append([mean_total_variation(table.codes(), codes, table.sizes, k) for k in (1, 2, 3)])
        found = list(zip(*errors, strict=True))
        results.append(
            {
                "table": name,
                "epsilon": epsilon,
                "goal": list(goal),
                "errors": [statistics.fmean(e) for e in found],
                "standard_errors": [
                    statistics.stdev(e) / len(e) ** 0.5 if len(e) > 1 else None for e in found
                ],
                "seconds": statistics.median(seconds[1:] or seconds),
            }
        )
        print(results[-1], flush=True)
    return {"runs": runs, "delta": DELTA, "results": results}
