"""Attacks on the promise: what can be learned of a person, measured, beside what the guarantee allows.

An audit finds a broken promise or does not; it never proves one kept. Every number it gives is a
:class:`~dpsynth.audit.finding.Finding`. There is no overall score.

::

    found = dpsynth.audit.run("table.dpsynth", levels=["unit", "mechanism"])
    found.violations
    found.publishable.save("audit.json")

Names are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpsynth.audit.finding import Audit as Audit
    from dpsynth.audit.finding import Finding as Finding
    from dpsynth.audit.finding import Level as Level
    from dpsynth.audit.finding import Verdict as Verdict
    from dpsynth.audit.gate import judge as judge
    from dpsynth.audit.policy import Policy as Policy
    from dpsynth.audit.running import OWN_TABLES as OWN_TABLES
    from dpsynth.audit.running import run as run

_HOME = {
    "OWN_TABLES": "running",
    "Audit": "finding",
    "Finding": "finding",
    "Level": "finding",
    "Policy": "policy",
    "Verdict": "finding",
    "judge": "gate",
    "run": "running",
}

__all__ = ["OWN_TABLES", "Audit", "Finding", "Level", "Policy", "Verdict", "judge", "run"]


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used."""
    if name not in _HOME:
        raise AttributeError(
            f"module 'dpsynth.audit' has no attribute {name!r}; it offers {', '.join(__all__)}"
        )
    value = getattr(importlib.import_module(f"dpsynth.audit.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
