"""Every column on its own: the baseline that keeps no dependence, and the best for one-way marginals.

The whole budget is spent on one-way marginals, shared among columns by the 2/3 rule.
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
from dpsynth.privacy.curator import Curator

__all__ = ["INDEPENDENT"]


def _plan(domain: Domain, budget: float, rows_per_unit: int) -> tuple[Stage, ...]:
    return (planned_one_ways(domain, budget, rows_per_unit, 1.0),)


def _run(curator: Curator, progress: Progress) -> Measured:
    return Measured(measure_one_ways(curator, curator.left, progress), ())


INDEPENDENT = Mechanism(
    name="independent", summary="one-way marginals only; columns are independent", plan=_plan, run=_run
)
