"""One door: a list of who may touch noise and codes, and of what nobody may do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.house.test_layers import imports_of, module_of, sources

FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "marshal", "shelve", "random"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
NUMPY_RANDOM = {"Generator", "default_rng", "SeedSequence", "PCG64", "PCG64DXSM", "Philox", "BitGenerator"}
KEYHOLES = {
    "_CodedTable__codes",
    "_Curator__codes",
    "_Curator__known",
    "_RawTable__columns",
    "_Seller__columns",
}


def violations(source: str, module: str = "dpsynth.other") -> list[str]:
    """Return what a piece of source does that the house forbids."""
    return [f for node in ast.walk(ast.parse(source)) for f in (*_imported(node), *_done(node, module))]


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (f"imports {a.name}" for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES)
    elif isinstance(node, ast.ImportFrom):
        names, base = {a.name for a in node.names}, node.module or ""
        if base.split(".")[0] in FORBIDDEN_MODULES or (base == "numpy" and "random" in names):
            yield f"imports from {base}"
        if base == "numpy.random":
            yield from (f"imports {name}" for name in names - NUMPY_RANDOM)


def _done(node: ast.AST, module: str) -> Iterator[str]:
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            yield f"calls {node.func.id}"
        for keyword in node.keywords:
            if keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False":
                yield "allows pickle"
    elif isinstance(node, ast.Attribute):
        owner = ast.unparse(node.value)
        if owner in ("np.random", "numpy.random") and node.attr not in NUMPY_RANDOM:
            yield f"uses {owner}.{node.attr}"
        if node.attr in KEYHOLES and not module.endswith((".privacy.sealed", ".privacy.raw")):
            yield f"uses {node.attr}"
    elif isinstance(node, ast.Constant) and node.value in KEYHOLES:
        yield f"names {node.value}"


@pytest.mark.parametrize("path", sources(), ids=module_of)
def test_nobody_does_what_is_forbidden(path: Path) -> None:
    assert violations(path.read_text(encoding="utf-8"), module_of(path)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib",
        "import random",
        "from random import gauss",
        "from numpy import random",
        "from numpy.random import normal",
        "import numpy as np\nnp.random.seed(1)",
        "import numpy as np\nnp.random.laplace()",
        "eval('1')",
        "def f():\n    exec('1')",
        "np.load('x', allow_pickle=True)",
        "np.load('x', allow_pickle=flag)",
        "t._CodedTable__codes",
        "getattr(c, '_Curator__codes')",
        "t._RawTable__columns",
    ],
)
def test_the_scan_notices(source: str) -> None:
    """Guard of the guard."""
    assert violations(source)


@pytest.mark.parametrize(
    "source", ["np.random.default_rng(1)", "np.load('x', allow_pickle=False)", "import numpy"]
)
def test_the_scan_lets_pass(source: str) -> None:
    assert violations(source) == []


def test_only_the_curator_draws_and_opens() -> None:
    users: dict[str, set[str]] = {
        "noise": set(),
        "open_codes": set(),
        "open_columns": set(),
        "counting": set(),
    }
    for path in sources():
        module, tree = module_of(path), ast.parse(path.read_text(encoding="utf-8"))
        if "dpsynth.privacy.noise" in set(imports_of(path)):
            users["noise"].add(module)
        if "dpsynth.privacy.counting" in set(imports_of(path)):
            users["counting"].add(module)
        for node in ast.walk(tree):
            name = (
                node.id
                if isinstance(node, ast.Name)
                else node.attr
                if isinstance(node, ast.Attribute)
                else ""
            )
            imported = [a.name for a in node.names] if isinstance(node, ast.ImportFrom) else []
            for key in ("open_codes", "open_columns"):
                if key in (name, *imported):
                    users[key].add(module)
    drawn = users.pop("counting")
    assert users == {
        "noise": {"dpsynth.privacy.curator", "dpsynth.privacy.seller"},
        "open_codes": {"dpsynth.privacy.curator"},
        "open_columns": {"dpsynth.privacy.seller"},
    }
    assert drawn == {"dpsynth.privacy.curator", "dpsynth.mechanisms.answers"}  # the latter counts drawn rows


def _readers(file: str, name: str) -> dict[str, set[str]]:
    """Return which methods of a class of the privacy core read each of its private members."""
    tree = ast.parse((ROOT / "dpsynth" / "privacy" / file).read_text(encoding="utf-8"))
    (door,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    readers: dict[str, set[str]] = {}
    for method in door.body:
        if isinstance(method, ast.FunctionDef):
            for node in ast.walk(method):
                if (
                    isinstance(node, ast.Attribute)
                    and node.attr.startswith("__")
                    and not node.attr.endswith("__")
                ):
                    readers.setdefault(node.attr, set()).add(method.name)
    return readers


def test_the_exact_counts_have_few_readers() -> None:
    """Within the curator, what counts is reached from one noisy method each, and those from one door."""
    readers = _readers("curator.py", "Curator")
    assert readers["__codes"] == readers["__known"] == {"__init__", "__tables"}
    assert readers["__tables"] == {"__distances", "__noisy_counts"}
    assert readers["__distances"] == {"__noisy_distances", "__choose"}
    assert readers["__noisy_counts"] == {"measure"}
    assert readers["__noisy_distances"] == {"score"}
    assert readers["__choose"] == {"select"}


HOOKS = {"_perturb", "_pick", "_doors", "_counted", "_released"}


def _hooked(source: str) -> set[str]:
    """Return the door classes that a piece of source derives from, and the hooks it names or defines."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            names = {ast.unparse(base).split(".")[-1] for base in node.bases}
            found |= names & {"Curator", "Seller", "Synthesizer", "Doors"}
        name = getattr(node, "attr", None) or getattr(node, "name", None) or getattr(node, "value", None)
        if isinstance(node, (ast.Attribute, ast.FunctionDef, ast.Constant)) and name in HOOKS:
            found.add(name)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Doors":
            found.add("Doors()")
    return found


def test_only_an_audit_has_doors_of_its_own() -> None:
    """Noise and lots of a fit are those of the two doors themselves: no other module can change them."""
    hooked = {module_of(p): f for p in sources() if (f := _hooked(p.read_text(encoding="utf-8")))}
    assert hooked.pop("dpsynth.privacy.curator") == {"_perturb", "_pick"}
    assert hooked.pop("dpsynth.privacy.seller") == {"_perturb"}
    assert hooked.pop("dpsynth.synthesizer") == {"_doors", "_counted", "_released", "Doors()"}
    assert hooked.pop("dpsynth.audit.losses") == {"Curator"}  # watches answers, and changes none
    assert set(hooked) <= {"dpsynth.audit.listening", "dpsynth.audit.recording"}
    listening = {"dpsynth.audit.listening", "dpsynth.audit.recording"}
    importers = {module_of(p) for p in sources() if listening & set(imports_of(p))}
    assert all(m.startswith(("dpsynth.audit", "dpsynth.cli.audit")) for m in importers)
    source = (ROOT / "dpsynth" / "synthesizer.py").read_text(encoding="utf-8")
    assert source.count("Doors()") == 1  # with no argument: the two doors themselves


def test_the_scan_for_doors_notices() -> None:
    """Guard of the guard."""
    for source in (
        "class Quiet(Curator): pass",
        "class Quiet(seller.Seller): pass",
        "curator._perturb = lambda exact, act: exact",
        "setattr(Curator, '_pick', first)",
        "class Other:\n    def _doors(self): return None",
        "doors.Doors(curator=Quiet)",
    ):
        assert _hooked(source)


def test_raw_columns_have_few_readers() -> None:
    """The seller's columns are reached from one noisy method each, and those from one door."""
    readers = _readers("seller.py", "Seller")
    assert readers["__columns"] == {"__init__", "__found", "__noisy_intervals"}
    assert readers["__found"] == {"discover"}
    assert readers["__noisy_intervals"] == {"count"}


def test_only_evaluation_reads_codes_in_the_open() -> None:
    """``Codec.codes`` is for tables that the caller may see; a fit gets its rows sealed."""
    callers = {
        module_of(path)
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "codes"
    }
    assert callers == {
        "dpsynth.data.codec",
        "dpsynth.evaluate.fidelity",
        "dpsynth.audit.canaries",
        "dpsynth.audit.tables",
    }
