"""A small table, its schema and a release of it; and a way to run commands in their folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from dpsynth.cli import app

SCHEMA = """\
dpsynth: 1
privacy_unit: row

columns:
  age: {kind: integer, missing: false, lower: 0, upper: 99}
  ward: {kind: categorical, missing: true, values: [north, south], out_of_domain: missing}
  paid: {kind: boolean, missing: true}
"""
GUARANTEE = ("--epsilon", "1", "--delta", "1e-9")

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make ``table.csv``, ``schema.yaml`` and ``table.dpsynth`` once."""
    folder = tmp_path_factory.mktemp("ready")
    rng = np.random.default_rng(5)
    ward = rng.choice(["north", "south"], 900)
    table = pd.DataFrame({"age": rng.integers(0, 100, 900), "ward": ward, "paid": rng.random(900) < 0.5})
    table.loc[::7, "ward"] = None
    table.to_csv(folder / "table.csv", index=False)
    (folder / "schema.yaml").write_text(SCHEMA, encoding="utf-8")
    arguments = ["fit", f"{folder}/table.csv", "--schema", f"{folder}/schema.yaml", *GUARANTEE]
    result = CliRunner().invoke(app, [*arguments, "--out", f"{folder}/table.dpsynth"])
    assert result.exit_code == 0, result.output
    keys = ("keygen", f"{folder}/private.pem", f"{folder}/public.pem", "--no-passphrase")
    assert CliRunner().invoke(app, keys).exit_code == 0
    return folder


@pytest.fixture
def folder(ready: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a fresh copy of these files."""
    for file in ready.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``dpsynth`` with these arguments."""
    monkeypatch.delenv("DPSYNTH_TRACEBACK", raising=False)

    def command(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return command
