"""``dpsynth audit``: what it runs, what it writes and where, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dpsynth.audit import running
from dpsynth.audit.finding import Audit, Level, Verdict
from dpsynth.release.bundle import load
from dpsynth.release.release import Release
from tests.audit.test_finding import finding, secret
from tests.cli.conftest import GUARANTEE, Run
from tests.release.building import tiny

DATA = ("--level", "data", "--real", "table.csv", "--holdout", "table.csv")
FOUND = {
    Level.unit: finding(level=Level.unit, check="replay.calls", seconds=1.0),
    Level.mechanism: finding(),
    Level.data: secret(check="mamamia.auc", summary="Seen in real rows.", value=0.777),
}


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> dict[Level, list[object]]:
    """Let each level find one thing; a test may put others there."""
    found: dict[Level, list[object]] = {level: [one] for level, one in FOUND.items()}
    ran = {level: lambda _subject, _terms, level=level: found[level] for level in Level}
    monkeypatch.setattr(running, "_LEVELS", ran)
    return found


@pytest.mark.usefixtures("levels")
def test_a_release_is_audited(run: Run) -> None:
    result = run("audit", "table.dpsynth")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Audit of oneshot at epsilon 1, delta 1e-09" in result.stdout
    assert "CONSISTENT    replay.calls: 0.41 mu; at least 0.38; allowed 0.46" in result.stdout
    assert "whitebox" not in result.stdout
    assert "that is no proof that it is kept" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.usefixtures("levels")
def test_a_guarantee_is_audited_on_a_schema_or_on_own_tables(run: Run) -> None:
    for more, digest in (((), True), (("--schema", "schema.yaml"), False)):
        options = (*GUARANTEE, "--mechanism", "mst", "--noise", "opendp", "--adjacency", "replace-one")
        result = run("audit", *options, *more, "--level", "mechanism", "--json")
        assert result.exit_code == 0, result.output
        subject = json.loads(result.stdout)["audit"]["subject"]
        assert (subject["mechanism"], subject["noise"]) == ("mst", "opendp")
        assert subject["guarantee"]["adjacency"] == "replace-one"
        assert (subject["schema"] is None) is digest


@pytest.mark.usefixtures("levels")
def test_without_any_subject_the_library_is_audited(run: Run) -> None:
    result = run("audit")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Audit of every mechanism\n")
    assert json.loads(run("audit", "--json").stdout)["audit"]["subject"]["guarantee"] == {}
    assert run("audit", "--level", "unit", "--level", "unit").exit_code == 0


def test_a_violation_ends_with_exit_code_4(run: Run, levels: dict[Level, list[object]]) -> None:
    levels[Level.unit] = [finding(level=Level.unit, verdict=Verdict.violation, summary="It is moved by 2.")]
    result = run("audit", "table.dpsynth", "--out", "audit")
    assert result.exit_code == 4
    assert "It is moved by 2." in result.stdout
    assert "BROKEN" in result.stdout
    assert Audit.load("audit/audit.json").violations
    assert json.loads(run("audit", "table.dpsynth", "--json").stdout)["violations"] == 1
    quiet = run("audit", "table.dpsynth", "--quiet")
    assert (quiet.exit_code, quiet.output) == (4, "")


def test_what_could_not_run_is_said(run: Run, levels: dict[Level, list[object]]) -> None:
    open_one = finding(
        value=None, interval=None, verdict=Verdict.inconclusive, summary="It takes 2,000 runs."
    )
    levels[Level.mechanism] = [open_one]
    result = run("audit", "table.dpsynth", "--level", "mechanism")
    assert result.exit_code == 0
    assert "INCONCLUSIVE  whitebox.mu" in result.stdout
    assert "It takes 2,000 runs." in result.stdout


@pytest.mark.usefixtures("levels")
def test_what_is_confidential_is_written_apart_and_not_shown(run: Run, folder: Path) -> None:
    result = run("audit", "table.dpsynth", "--level", "all", *DATA[2:], "--out", "audit")
    assert result.exit_code == 0, result.output
    assert "mamamia" not in result.output
    assert "0.777" not in result.output
    assert "CONFIDENTIAL, never to leave: 1 findings in audit/confidential" in result.stdout
    names = sorted(str(p.relative_to(folder / "audit")) for p in (folder / "audit").rglob("*") if p.is_file())
    files = ["AUDIT.md", "audit.html", "audit.json"]
    assert names == [*files, *(f"confidential/{name}" for name in files)]
    assert [f.check for f in Audit.load("audit/audit.json").findings] == ["replay.calls", "whitebox.mu"]
    assert [f.check for f in Audit.load("audit/confidential/audit.json").findings] == ["mamamia.auc"]
    said = run("audit", "table.dpsynth", *DATA, "--out", "other", "--json")
    assert "mamamia" not in said.output
    content = json.loads(said.stdout)
    assert (content["confidential"], content["audit"]["findings"]) == (1, [])
    assert len(content["files"]) == 6


def test_a_violation_in_what_is_confidential(run: Run, levels: dict[Level, list[object]]) -> None:
    levels[Level.data] = [secret(verdict=Verdict.violation)]
    assert run("audit", "table.dpsynth", *DATA, "--out", "audit").exit_code == 4


@pytest.mark.usefixtures("levels")
def test_an_audit_passes_its_gate(run: Run, folder: Path) -> None:
    arguments = ("--level", "all", *DATA[2:], "--out", "audit")
    assert run("audit", "table.dpsynth", *arguments).exit_code == 0
    (folder / "policy.yaml").write_text(
        "policy: 1\nepsilon: 1\ndelta: 1e-9\nunit: row\n"
        "audit: {levels: {unit: 1, mechanism: 1, data: 1}, ceilings: {whitebox.mu: 0.5}}\n"
    )
    gate = ("gate", "table.dpsynth", "--policy", "policy.yaml", "--audit", "audit/audit.json")
    assert run(*gate, "--audit", "audit/confidential/audit.json").exit_code == 0
    assert run(*gate).exit_code == 4


@pytest.mark.usefixtures("levels")
def test_an_output_is_replaced_when_asked(run: Run, folder: Path) -> None:
    (folder / "empty").mkdir()
    assert run("audit", "table.dpsynth", "--out", "empty").exit_code == 0
    again = run("audit", "table.dpsynth", "--out", "empty")
    assert (again.exit_code, again.stdout) == (2, "")
    assert "--force" in again.stderr
    assert run("audit", "table.dpsynth", "--out", "empty", "--force").exit_code == 0


@pytest.fixture
def bad_files(folder: Path) -> None:
    tiny().save(folder / "own.dpsynth")
    (folder / "bad.dpsynth").write_bytes((folder / "table.dpsynth").read_bytes()[:500])
    (folder / "broken.yaml").write_text("privacy_unit: row\ncolumns:\n  age: {kind: integer, lower: 3}\n")


REFUSED = {
    "a schema alone": (("--schema", "schema.yaml"), "name a release, or give both --epsilon and --delta"),
    "nothing to attack": (("--level", "mechanism"), "name a release, or give both"),
    "workload alone": (("--workload", "all-2-way"), "workload"),
    "half a guarantee": (("--epsilon", "1"), "both --epsilon and --delta"),
    "unknown level": (("table.dpsynth", "--level", "units"), "--level"),
    "both subjects": (("table.dpsynth", "--epsilon", "1"), "--epsilon is for an audit without a release"),
    "release and schema": (("table.dpsynth", "--schema", "schema.yaml"), "--schema is for"),
    "release and adjacency": (("table.dpsynth", "--adjacency", "add-remove"), "--adjacency is for"),
    "no release": (("nowhere.dpsynth",), "nowhere.dpsynth"),
    "release is a table": (("table.csv",), "table.csv"),
    "damaged release": (("bad.dpsynth",), "bad.dpsynth"),
    "own mechanism": (("own.dpsynth",), "none of dpsynth's own"),
    "epsilon": (("--epsilon", "0", "--delta", "1e-9"), "epsilon"),
    "mechanism": ((*GUARANTEE, "--mechanism", "mts"), "did you mean 'mst'?"),
    "schema": ((*GUARANTEE, "--schema", "broken.yaml"), "broken.yaml:3"),
    "workload": (("table.dpsynth", "--workload", "all-the-way"), "workload"),
    "seed": (("table.dpsynth", "--seed", "-1"), "-1"),
    "data alone": (("table.dpsynth", "--level", "data", "--out", "a"), "--real DATA and --holdout DATA"),
    "data without holdout": (("table.dpsynth", *DATA[:4], "--out", "a"), "--holdout DATA"),
    "all without tables": (("table.dpsynth", "--level", "all", "--out", "a"), "--real DATA"),
    "data without release": ((*GUARANTEE, *DATA, "--out", "a"), "name a release"),
    "data without a folder": (("table.dpsynth", *DATA), "--out DIR"),
    "no such table": (
        ("table.dpsynth", *DATA[:3], "no.csv", "--holdout", "table.csv", "--out", "a"),
        "no.csv",
    ),
    "no such holdout": (("table.dpsynth", *DATA[:5], "no.csv", "--out", "a"), "no.csv"),
    "tables without data": (("table.dpsynth", "--real", "table.csv"), "for --level data"),
    "output is a file": (("table.dpsynth", "--out", "table.csv"), "a file, not a folder"),
    "no folder above": (("table.dpsynth", "--out", "no/audit"), "no such folder"),
    "output in use": (("table.dpsynth", "--out", "."), "--force"),
}


@pytest.mark.usefixtures("bad_files")
@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_run(run: Run, levels: dict[Level, list[object]], name: str) -> None:
    arguments, said = REFUSED[name]
    levels[Level.unit] = levels[Level.data] = None  # type: ignore[assignment]  -- running one would fail
    result = run("audit", *arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    error = json.loads(run("audit", *arguments, "--json").stdout)["error"]
    assert (error["exit_code"], said in error["message"]) == (2, True)


@pytest.mark.usefixtures("levels")
def test_a_release_that_lies_is_not_audited(run: Run, folder: Path) -> None:
    release: Release = load("table.dpsynth")
    release.save("lie")
    statement = folder / "lie" / "statement.json"
    statement.write_text(statement.read_text().replace('"epsilon": 1.0', '"epsilon": 0.5'))
    result = run("audit", "lie")
    assert result.exit_code == 4
    assert "Do not rely on this release" in result.stderr
