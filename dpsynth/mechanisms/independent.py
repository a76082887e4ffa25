"""Every column on its own: the baseline that keeps no dependence, and the best for one-way marginals.

The whole budget is spent on one-way marginals, shared among columns by the 2/3 rule (the 1/2 rule in pure
epsilon).
"""

from __future__ import annotations

from dpsynth.domain import Domain
from dpsynth.mechanisms.mechanism import (
    Measured,
    Mechanism,
    Progress,
    Stage,
    measure_one_ways,
    planned_one_ways,
)
from dpsynth.mechanisms.pure import laplace_one_ways
from dpsynth.privacy.curator import Curator

__all__ = ["INDEPENDENT"]


def _plan(domain: Domain, budget: float, rows_per_unit: int) -> tuple[Stage, ...]:
    return (planned_one_ways(domain, budget, rows_per_unit, 1.0),)


def _run(curator: Curator, progress: Progress) -> Measured:
    return Measured(measure_one_ways(curator, curator.left, progress), ())


def _pure_plan(domain: Domain, budget: float, rows_per_unit: int) -> tuple[Stage, ...]:
    return (laplace_one_ways(domain, budget, rows_per_unit, 1.0),)


_SUMMARY = "one-way marginals only; columns are independent"
INDEPENDENT = Mechanism(
    name="independent",
    summary=_SUMMARY,
    plan=_plan,
    run=_run,
    pure=Mechanism(name="independent", summary=_SUMMARY, plan=_pure_plan, run=_run),
)
