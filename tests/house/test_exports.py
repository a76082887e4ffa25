"""What ``import dpsynth`` offers, and what it does not drag in."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import dpsynth
from tests.conftest import ROOT
from tests.house.test_layers import module_of, sources

HEAVY = (
    "pandas",
    "scipy",
    "opendp",
    "pyarrow",
    "polars",
    "networkx",
    "mpmath",
    "numba",
    "rich",
    "typer",
    "matplotlib",
)


def test_the_public_names_are_pinned() -> None:
    assert sorted(dpsynth.__all__) == [
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
    assert dpsynth.__version__ == "0.1.0"


@pytest.mark.parametrize("name", dpsynth.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(dpsynth, name) is not None
    assert name in dir(dpsynth)


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="no attribute 'synthesise'; it offers Accountant, DpsynthError"):
        dpsynth.synthesise  # noqa: B018  -- the access is the test


def test_importing_dpsynth_stays_light() -> None:
    script = (
        f"import sys, dpsynth, dpsynth.privacy.curator; print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", [p for p in sources() if p.name != "__main__.py"], ids=module_of)
def test_all_names_what_exists(path: object) -> None:
    module = importlib.import_module(module_of(path))
    for name in getattr(module, "__all__", ()):
        assert hasattr(module, name)
