"""Proofs and code go together: no door without a page, no page without its pins, no pin out of date."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest

from dpsynth.privacy import noise
from dpsynth.privacy.curator import Curator
from dpsynth.privacy.seller import Seller
from proofs import pins as proofs
from proofs.__main__ import main

PARTS = ("Precondition", "Pseudocode", "Claim", "Proof", "Assumption", "Reference")
PRIMITIVES = {
    "bins",
    "book",
    "composition",
    "discrete_gaussian",
    "discrete_laplace",
    "exponential_mechanism",
    "rounded_gaussian",
    "sensitivity",
    "tradeoff",
    "unit_bounding",
}


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the package and its proofs, and let the pins look there."""
    shutil.copytree(
        proofs.ROOT / "dpsynth", tmp_path / "dpsynth", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(proofs.ROOT / "proofs", tmp_path / "proofs")
    monkeypatch.setattr(proofs, "ROOT", tmp_path)
    return tmp_path


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_no_pin_is_stale() -> None:
    stale = [f"{p.page}: {p.target}" for p in proofs.pins() if not p.fresh]
    assert stale == [], "read these pages against the code, then `python -m proofs pin`"


def test_every_door_and_primitive_has_a_page() -> None:
    doors = {
        n: f"dpsynth.privacy.{door.__name__.lower()}:{door.__name__}.{n}"
        for door in (Curator, Seller)
        for n, v in vars(door).items()
        if callable(v) and not n.startswith("_") and n != "close"
    }
    assert {p.stem for p in proofs.pages()} == doors.keys() | PRIMITIVES
    for door, target in doors.items():
        assert target in {p.target for p in proofs.pins() if p.page == f"{door}.md"}


@pytest.mark.parametrize("page", proofs.pages(), ids=lambda p: p.stem)
def test_a_page_has_its_parts_and_known_assumptions(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = [h.removesuffix("s") for h in re.findall(r"^## (\w+)", text, re.MULTILINE)]
    assert [h for h in headings if h in PARTS] == list(PARTS)
    index = (page.parent / "README.md").read_text(encoding="utf-8")
    assert f"]({page.name})" in index
    known = set(re.findall(r"^\| `([a-z-]+)` \|", index, re.MULTILINE))
    assumed = text.split("## Assumptions")[1].split("## References")[0]
    assert set(re.findall(r"`([a-z-]+)`", assumed)) <= known
    for named in re.findall(r"`(test_\w+)`", text):
        files = [
            *Path(__file__).parent.glob("*.py"),
            *(Path(__file__).parent.parent / "accountant").glob("*.py"),
        ]
        tests = "".join(t.read_text(encoding="utf-8") for t in files)
        assert f"def {named}(" in tests


@pytest.mark.parametrize("function", noise.__all__)
def test_every_sampler_is_pinned(function: str) -> None:
    assert f"dpsynth.privacy.noise:{function}" in {p.target for p in proofs.pins()}


@pytest.mark.parametrize(
    ("file", "old", "new", "pinned"),
    [
        ("noise.py", "2.0 * (sigma * margin)", "1.0 * (sigma * margin)", "noise:_invert"),
        ("noise.py", "2.0**-39", "2.0**-49", "noise:_NDTRI_MARGIN"),
        (
            "acts.py",
            "epsilon**2 / 8",
            "epsilon**2 / 9",
            "acts:price",
        ),
        ("curator.py", "of_counts(self.guarantee)", "of_counts(None)", "curator:Curator.measure"),
        ("sensitivity.py", "sides * k**2", "k**2", "sensitivity:of_counts"),
        (
            "ledger.py",
            "if cost > self.left",
            "if cost >= self.left",
            "ledger:Ledger.charge",
        ),
    ],
)
def test_one_changed_constant_makes_a_pin_stale(
    copied: Path, file: str, old: str, new: str, pinned: str
) -> None:
    assert main(["check"]) == 0
    _change(copied / "dpsynth" / "privacy" / file, old, new)
    assert f"dpsynth.privacy.{pinned}" in {p.target for p in proofs.pins(copied) if not p.fresh}


def test_check_fails_and_pin_renews(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("proofs.__main__.pins", lambda: proofs.pins(copied))
    monkeypatch.setattr(proofs.digest, "__defaults__", (copied,))
    _change(copied / "dpsynth" / "privacy" / "noise.py", "1.2533141373155003", "1.2533")
    assert main(["check"]) == 1
    assert "STALE  rounded_gaussian.md" in capsys.readouterr().out
    assert main(["pin"]) == 0
    assert "1 pins renewed\n  dpsynth.privacy.noise:_MILLS" in capsys.readouterr().out
    assert main(["check"]) == 0
    assert "pins are fresh" in capsys.readouterr().out
    _change(copied / "dpsynth" / "privacy" / "noise.py", "_MILLS", "_RATIO")
    assert main(["check"]) == 1
    assert "GONE   rounded_gaussian.md" in capsys.readouterr().out
    with pytest.raises(ValueError, match="_MILLS does not exist"):
        main(["pin"])
    assert main(["chekc"]) == 2
    assert proofs.digest("dpsynth.privacy.nothing:f", copied) is None


def test_only_what_runs_counts() -> None:
    def written(source: str) -> str:
        return "".join(proofs._written(ast.parse(source)))

    plain = written("def f(x: int) -> int:\n    return x + 1\n")
    assert written('def f(x: int) -> int:\n    """Say."""\n    # why\n    return (x\n        + 1)\n') == plain
    assert written("def f(x: int) -> int:\n    return x + 1.0\n") != plain
    assert written("def f(x: int) -> int:\n    return x + True\n") != plain


def test_the_form_of_a_hash_does_not_depend_on_the_python() -> None:
    """A pinned literal: if a version of Python changes it, the written form needs a look."""
    source = 'def f(a, *, b=1):\n    """Doc."""\n    return f"{a!r:>{b}}" if b else [*a]\n'
    expected = (
        "(Module body=[(FunctionDef name=<str 'f'> "
        "args=(arguments args=[(arg arg=<str 'a'>)] kwonlyargs=[(arg arg=<str 'b'>)] "
        "kw_defaults=[(Constant value=<int 1>)]) "
        "body=[(Return value=(IfExp test=(Name id=<str 'b'>) "
        "body=(JoinedStr values=[(FormattedValue value=(Name id=<str 'a'>) conversion=<int 114> "
        "format_spec=(JoinedStr values=[(Constant value=<str '>'>)"
        "(FormattedValue value=(Name id=<str 'b'>) conversion=<int -1>)]))]) "
        "orelse=(List elts=[(Starred value=(Name id=<str 'a'>))])))])])"
    )
    assert "".join(proofs._written(ast.parse(source))) == expected
