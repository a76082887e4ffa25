"""A virtual environment for each program, made when it is first needed and kept in a cache folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.methods import Peer

__all__ = ["EnvironmentFailed", "cache", "interpreter", "python_of"]


class EnvironmentFailed(Exception):  # noqa: N818
    """A program cannot be run here; the text says why and what to do."""


def cache() -> Path:
    """Return where environments are kept unless told otherwise."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "dpsynth-benchmarks"


def interpreter(oldest: tuple[int, int]) -> str:
    """Return a Python of at least this version: the present one, or one found on the path or under pyenv.

    Raises:
        EnvironmentFailed: there is none.
    """
    if sys.version_info[:2] >= oldest:
        return sys.executable
    major, first = oldest
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for minor in range(first, first + 4):
        found = shutil.which(f"python{major}.{minor}")
        candidates = [found] if found else []
        candidates += [str(p) for p in sorted(pyenv.glob(f"{major}.{minor}.*/bin/python"), reverse=True)]
        for candidate in candidates:
            if _runs(candidate, (major, minor)):
                return candidate
    raise EnvironmentFailed(f"needs Python {major}.{first} or newer, and none is on the path")


def python_of(peer: Peer, folder: Path) -> str:
    """Return the Python of a program's environment, which is made unless it is there as it should be.

    Args:
        peer: Which program; dpsynth runs in the present environment.
        folder: Where environments are kept.

    Raises:
        EnvironmentFailed: its checkout is not named, no Python is new enough, or pip failed.
    """
    checkout = os.environ.get(peer.checkout, "")
    if peer.checkout and not checkout:
        raise EnvironmentFailed(f"set {peer.checkout} to a checkout of github.com/{peer.source}")
    if peer.checkout and not Path(checkout).is_dir():
        raise EnvironmentFailed(f"{peer.checkout} names no folder")
    if not peer.requirements:
        return sys.executable
    place = folder.resolve() / peer.name.replace("/", "-")
    python = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    marker = place / "installed.json"
    wanted = json.dumps(list(peer.requirements))
    if marker.is_file() and marker.read_text(encoding="utf-8") == wanted and python.exists():
        return str(python)
    print(f"making an environment for {peer.name} in {place}", flush=True)
    _call([interpreter(peer.python), "-m", "venv", "--clear", str(place)])
    _call([str(python), "-m", "pip", "install", "--quiet", *peer.requirements])
    marker.write_text(wanted, encoding="utf-8")
    return str(python)


def _runs(python: str, version: tuple[int, int]) -> bool:
    code = "import sys; print(sys.version_info[:2])"
    said = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return said.returncode == 0 and said.stdout.strip() == str(version)


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if "ERROR" in line]
        raise EnvironmentFailed((lines or ["the environment could not be made"])[0])
