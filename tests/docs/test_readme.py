"""The README does what it says: its Python and shell blocks run, in order, in one folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?ms)^```(python|console)\n(.*?)^```", README)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)\)")
DOCUMENTS = sorted(str(f.relative_to(ROOT)) for f in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def _program(folder: Path) -> dict[str, str]:
    """Make ``dpsynth`` a command of this source tree, and return an environment that finds it."""
    script = folder / "bin" / "dpsynth"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dpsynth "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}


def _transcript(text: str) -> list[tuple[str, str]]:
    """Split a shell transcript into commands and what they show."""
    parts = re.split(r"(?m)^\$ (.*)\n", text)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_every_block_runs(tmp_path: Path) -> None:
    environment = _program(tmp_path)
    assert [kind for kind, _ in BLOCKS] == ["python", "python", "console"]
    python = "".join(text for kind, text in BLOCKS if kind == "python")
    ran = subprocess.run(
        [sys.executable, "-c", python],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Plan: oneshot over 3 columns" in ran.stdout
    for command, shown in _transcript(BLOCKS[-1][1]):
        result = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout + result.stderr == shown, command


@pytest.mark.parametrize(
    ("mark", "command"),
    [
        ("main-job", "pip install '.[demo]' && dpsynth demo"),
        ("tests", "pip install '.[test]' && pytest"),
    ],
)
def test_the_set_up_commands_can_be_extracted(mark: str, command: str) -> None:
    found = re.search(rf"(?ms)^<!-- {mark} -->\n```sh\n(.*?)^```", README)
    assert found is not None
    assert found.group(1) == f"{command}\n"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    dead = [target for target in LINK.findall(text) if not (ROOT / name).parent.joinpath(target).exists()]
    assert dead == []


def test_each_dependency_is_justified() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {re.split(r"[<>=\[]", dependency)[0] for dependency in project["dependencies"]}
    said = set(re.findall(r"(?m)^- `([\w-]+)`: ", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert named == said


def test_the_changelog_has_this_version() -> None:
    from dpsynth import __version__

    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
