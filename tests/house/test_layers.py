"""Imports point downhill: a module imports only from stages up to its own, and no package has a cycle."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import networkx as nx
import pytest

from tests.conftest import ROOT

ORDER = (
    "errors",
    "rules",
    "domain",
    "schema",
    "privacy",
    "accountant",
    "data",
    "buying",
    "model",
    "mechanisms",
    "planning",
    "release",
    "unit_effects",
    "unit_rows",
    "doors",
    "synthesizer",
    "evaluate",
    "audit",
    "report",
    "demo",
    "cli",
)
PACKAGE = ROOT / "dpsynth"
TOP = {"dpsynth", "dpsynth.__main__"}  # the two that may know everything


# A method that is a short way to a later module of its own package, imported when called.
SHORTCUTS = {
    ("dpsynth.release.release", "dpsynth.release.bundle"): "Release.save",
    ("dpsynth.release.statement", "dpsynth.release.wording"): "Statement.text",
    ("dpsynth.release.explanation", "dpsynth.release.drawing"): "Explanation.plot",
}


def module_of(path: Path) -> str:
    """Return the dotted name of a file of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources() -> list[Path]:
    """Return every Python file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> Iterator[str]:
    """Give every dpsynth module that a file imports, at its top, inside a function or for its types alone."""
    yield from _imports(path, ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports_at_run_time(path: Path) -> Iterator[str]:
    """Give every dpsynth module that a file imports but for the checker of its types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    yield from _imports(path, ast.walk(tree))


def _imports(path: Path, nodes: Iterable[ast.AST]) -> Iterator[str]:
    module = module_of(path)
    modules = {module_of(p) for p in sources()}
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "dpsynth")
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                above = package[: len(package) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            if base.split(".")[0] == "dpsynth":
                for alias in node.names:
                    whole = f"{base}.{alias.name}"
                    yield whole if whole in modules else base


def stage(module: str) -> str:
    """Return the stage a module belongs to: the second part of its name."""
    return module.split(".")[1]


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_imports_point_to_earlier_stages(path: Path) -> None:
    module = module_of(path)
    if module in TOP:
        return
    assert stage(module) in ORDER, f"{module} is of no known stage: give it a place in ORDER"
    here = ORDER.index(stage(module))
    for imported in imports_of(path):
        if imported == "dpsynth":  # for __version__ only
            continue
        assert ORDER.index(stage(imported)) <= here, f"{module} imports {imported}, a later stage"


def test_no_cycles() -> None:
    edges = {
        (module_of(path), imported)
        for path in sources()
        if module_of(path) not in TOP
        for imported in imports_at_run_time(path)
        if imported not in (module_of(path), "dpsynth")
    }
    assert set(SHORTCUTS) <= edges, "a shortcut that is gone should leave the list"
    assert sorted(nx.simple_cycles(nx.DiGraph(edges - set(SHORTCUTS)))) == []


def test_the_scan_sees_what_it_should() -> None:
    """Guard of the guard: function-level and relative imports count."""
    found = set(imports_of(PACKAGE / "privacy" / "curator.py"))
    assert {"dpsynth.privacy.noise", "dpsynth.privacy.sealed", "dpsynth.errors", "dpsynth.domain"} <= found


def test_no_grab_bags() -> None:
    names = {part for path in sources() for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert not names & {"utils", "util", "common", "base", "helpers", "misc"}


def test_modules_stay_short() -> None:
    long = {
        module_of(p): n for p in sources() if (n := len(p.read_text(encoding="utf-8").splitlines())) > 420
    }
    assert long == {}
