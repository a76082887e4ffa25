"""Differentially private synthetic tables.

::

    schema = dpsynth.Schema.load("schema.yaml")
    synth = dpsynth.Synthesizer(schema, epsilon=1.0, delta=1e-9)
    print(synth.plan())
    release = synth.fit("private.csv")
    table = release.sample(10_000, seed=7)
    release.save("table.dpsynth")

Names are loaded on first use, so that ``import dpsynth`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpsynth import audit as audit
    from dpsynth.accountant import Accountant as Accountant
    from dpsynth.data.draft import draft_schema as draft_schema
    from dpsynth.errors import DpsynthError as DpsynthError
    from dpsynth.release.bundle import load as load
    from dpsynth.release.explanation import explain as explain
    from dpsynth.release.release import Release as Release
    from dpsynth.release.verify import verify as verify
    from dpsynth.schema import Schema as Schema
    from dpsynth.schema import read_schema as read_schema
    from dpsynth.synthesizer import Synthesizer as Synthesizer
    from dpsynth.unit_rows import suggest_max_rows as suggest_max_rows

__version__ = "0.1.0"

_HOME = {
    "Accountant": "dpsynth.accountant",
    "DpsynthError": "dpsynth.errors",
    "Release": "dpsynth.release.release",
    "Schema": "dpsynth.schema",
    "Synthesizer": "dpsynth.synthesizer",
    "audit": "dpsynth.audit",
    "draft_schema": "dpsynth.data.draft",
    "explain": "dpsynth.release.explanation",
    "load": "dpsynth.release.bundle",
    "read_schema": "dpsynth.schema",
    "suggest_max_rows": "dpsynth.unit_rows",
    "verify": "dpsynth.release.verify",
}

__all__ = [
    "Accountant",
    "DpsynthError",
    "Release",
    "Schema",
    "Synthesizer",
    "audit",
    "draft_schema",
    "explain",
    "load",
    "suggest_max_rows",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import a public name where it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'dpsynth' has no attribute {name!r}; it offers {', '.join(__all__)}")
    home = importlib.import_module(_HOME[name])
    value = home if _HOME[name] == f"dpsynth.{name}" else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
