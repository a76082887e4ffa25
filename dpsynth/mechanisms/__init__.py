"""Mechanisms: functions of a curator that decide what to measure, and at what share of the budget.

A mechanism sees noisy answers only, so it cannot leak; and it is priced by what it asks, so it cannot
spend more than the guarantee. :data:`MECHANISMS` names them.
"""

from __future__ import annotations

from dpsynth.mechanisms.aim import AIM
from dpsynth.mechanisms.fixed import FIXED
from dpsynth.mechanisms.independent import INDEPENDENT
from dpsynth.mechanisms.mechanism import Mechanism, Progress, Stage, Terms
from dpsynth.mechanisms.mst import MST
from dpsynth.mechanisms.oneshot import ONESHOT
from dpsynth.mechanisms.privbayes import PRIVBAYES
from dpsynth.mechanisms.workload import Workload

__all__ = ["MECHANISMS", "Mechanism", "Progress", "Stage", "Terms", "Workload"]

MECHANISMS: dict[str, Mechanism] = {m.name: m for m in (ONESHOT, AIM, MST, PRIVBAYES, FIXED, INDEPENDENT)}
