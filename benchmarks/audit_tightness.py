"""How much of what is claimed a white-box audit can show: its 95 % lower bound on mu, over the claimed mu.

Each mechanism runs on the audit's own worst case from real noise: 2,000 times with the unit and as often
without it at epsilon 8, more often at epsilon 1. Delta is 1e-5. There is no seed: the figures differ a little
each time.
"""

from __future__ import annotations

import os
import time

from dpsynth.audit.whitebox import SHOWN, judge
from dpsynth.audit.whitebox import draw_both as drawn
from dpsynth.mechanisms import MECHANISMS
from dpsynth.privacy.guarantee import Guarantee

__all__ = ["run"]

DELTA = 1e-5
PAIR = "alone"
AT_EIGHT = 2_000
AT_ONE = {"oneshot": 6_000, "aim": 1_500}  # runs a side, of those that are slow; else 20,000
DEMANDED = {8.0: (0.85, 2_000), 1.0: (0.75, 5_000)}  # tightness, of rows with so many runs a side
PURE = ("independent", "mst", "privbayes")


def run(runs: int, only: tuple[str, ...] = tuple(MECHANISMS), report=print) -> dict:
    """Return a row for each mechanism and epsilon, and whether each demand is met.

    Args:
        runs: Fifths of the sizes above: 5 for all of them.
        only: Names of mechanisms.
        report: Called with each row.
    """
    rows = []
    for name in only:
        for epsilon in (8.0, 1.0):
            size = AT_EIGHT if epsilon == 8 else AT_ONE.get(name, 20_000)
            rows.append(_row(name, Guarantee(epsilon=epsilon, delta=DELTA), max(50, size * runs // 5)))
            report(rows[-1])
        if name in PURE:
            rows.append(_row(name, Guarantee(epsilon=1.0, delta=0.0), max(50, 4_000 * runs)))
            report(rows[-1])
    return {"delta": DELTA, "level": 1 - SHOWN, "pair": PAIR, "rows": rows, "demands": demands(rows)}


def _row(name: str, guarantee: Guarantee, runs: int) -> dict:
    started = time.perf_counter()
    both = drawn(
        guarantee, name, PAIR, noise="exact", runs=runs, processes=int(os.environ.get("AUDIT_PROCESSES", "2"))
    )
    found = judge(*both, pair=PAIR, guarantee=guarantee, mechanism=name, noise="exact")
    row = {
        "mechanism": name,
        "epsilon": guarantee.epsilon,
        "delta": guarantee.delta,
        "unit": found.unit,
        "claimed": found.ceiling,
        "runs_a_side": len(both[0]),
        "estimate": found.value,
        "lower_99.9": found.interval[0],
        "tightness": found.details["tightness"],
        "spent_on_choices": found.details["spent_on_choices"],
        "verdict": found.verdict.value,
        "seconds": round(time.perf_counter() - started, 1),
    }
    measured = found.details.get("measured")
    return row | ({} if measured is None else {"tightness_of_measured": measured["tightness"]})


def demands(rows: list[dict]) -> dict[str, bool]:
    """Return whether the tightness is as demanded, of what can be tight, and no bound above its claim."""
    gaussian = [r for r in rows if r["delta"]]
    return {
        **{
            f"tightness at epsilon {epsilon:g} at least {least} from {runs:,} runs a side": all(
                r.get("tightness_of_measured", r["tightness"]) >= least
                for r in gaussian
                if r["epsilon"] == epsilon and r["runs_a_side"] >= runs
            )
            for epsilon, (least, runs) in DEMANDED.items()
        },
        "no bound above its claim": all(r["lower_99.9"] <= r["claimed"] for r in rows),
        "no violation": all(r["verdict"] != "VIOLATION" for r in rows),
    }
