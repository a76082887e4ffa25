"""The layers of an audit that need no data, each a function of a setting: what planted bugs are shown to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from dpsynth.audit.accounting import accounting_findings
from dpsynth.audit.choices import choice_findings
from dpsynth.audit.finding import Finding
from dpsynth.audit.mutant import Setting

__all__ = ["LAYERS", "Layer"]

Layer: TypeAlias = Callable[[Setting, int], Sequence[Finding]]
"""Runs one layer on a setting; the other argument is the seed of the audit's own chance."""


def _accounting(_setting: Setting, _seed: int) -> Sequence[Finding]:
    return accounting_findings()


def _noise(setting: Setting, _seed: int) -> Sequence[Finding]:
    return choice_findings(delta=setting.delta, noise=setting.noise, adjacency=setting.adjacency)


LAYERS: Mapping[str, Layer] = {"accounting": _accounting, "noise": _noise}
"""By name, from the quickest to the slowest."""
