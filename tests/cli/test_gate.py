"""``dpsynth gate``: what it shows, and how it ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dpsynth.audit.finding import Audit, Level, Verdict
from dpsynth.audit.identity import identity_of_release
from dpsynth.release.bundle import load
from tests.audit.test_finding import finding
from tests.cli.conftest import Run

POLICY = "policy: 1\nepsilon: 1\ndelta: 1e-9\nunit: row\n"


@pytest.fixture
def policy(folder: Path) -> Path:
    (folder / "policy.yaml").write_text(POLICY + "audit: {levels: {unit: 1}}\n")
    release = load("table.dpsynth")
    Audit(
        subject=identity_of_release(release.statement, release.schema),
        levels=(Level.unit,),
        made=datetime.now(UTC).isoformat(),
        seconds=1.0,
        findings=(finding(level=Level.unit),),
    ).save("audit.json")
    return folder / "policy.yaml"


GATE = ("gate", "table.dpsynth", "--policy", "policy.yaml")


@pytest.mark.usefixtures("policy")
def test_a_policy_that_is_kept(run: Run) -> None:
    result = run(*GATE, "--audit", "audit.json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "kept    epsilon: at most 1; found: 1" in result.stdout
    assert result.stdout.endswith("All 7 rules are kept: table.dpsynth passes policy.yaml.\n")
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.usefixtures("policy")
def test_a_policy_that_is_broken(run: Run) -> None:
    result = run(*GATE)
    assert result.exit_code == 4
    assert "BROKEN  audit.levels.unit: run in the last 1 days" in result.stdout
    said = run(*GATE, "--json")
    content = json.loads(said.stdout)
    assert (said.exit_code, content["passed"]) == (4, False)
    assert [r["name"] for r in content["rules"] if not r["kept"]] == [
        "audit.levels.unit",
        "audit.violations",
        "audit.tolerate_inconclusive",
    ]
    quiet = run(*GATE, "--quiet")
    assert (quiet.exit_code, quiet.output) == (4, "")


@pytest.mark.usefixtures("policy")
def test_an_audit_of_another_release_does_not_count(run: Run, folder: Path) -> None:
    content = json.loads((folder / "audit.json").read_text())
    content["subject"]["mechanism"] = "mst"
    (folder / "other.json").write_text(json.dumps(content))
    result = run(*GATE, "--audit", "other.json")
    assert result.exit_code == 4
    assert "note    other.json does not count" in result.stdout
    assert 'mechanism is "mst"' in " ".join(result.stdout.split())


@pytest.mark.usefixtures("policy")
def test_an_audit_that_tries_to_draw_on_the_terminal(run: Run, folder: Path) -> None:
    content = json.loads((folder / "audit.json").read_text())
    content["subject"]["mechanism"] = "mst\x1b]0;x\x07"
    content["findings"][0] |= {"verdict": Verdict.violation.value}
    (folder / "other.json").write_text(json.dumps(content))
    result = run(*GATE, "--audit", "other.json")
    assert (result.exit_code, "\x1b" in result.output) == (4, False)


@pytest.mark.usefixtures("policy")
def test_a_signature_is_asked_for(run: Run) -> None:
    result = run(*GATE, "--audit", "audit.json", "--key", "public.pem")
    assert result.exit_code == 4
    assert "failed: signature" in result.stdout


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gate", "table.dpsynth"), "--policy"),
        (("gate", "nowhere.dpsynth", "--policy", "policy.yaml"), "nowhere.dpsynth"),
        (("gate", "table.csv", "--policy", "policy.yaml"), "table.csv"),
        (("gate", "table.dpsynth", "--policy", "nowhere.yaml"), "there is no such policy file"),
        (("gate", "table.dpsynth", "--policy", "schema.yaml"), "schema.yaml:1"),
        ((*GATE, "--audit", "nowhere.json"), "there is no such audit"),
        ((*GATE, "--audit", "table.csv"), "this is no audit"),
        ((*GATE, "--audit", "policy.yaml"), "this is no audit"),
        ((*GATE, "--key", "nowhere.pem"), "no such key file"),
    ],
)
def test_bad_input(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("policy")
def test_a_policy_error_says_where(run: Run, folder: Path) -> None:
    (folder / "bad.yaml").write_text(POLICY + "audit:\n  levels: {unit: never}\n")
    error = json.loads(run("gate", "table.dpsynth", "--policy", "bad.yaml", "--json").stdout)["error"]
    assert (error["type"], error["path"], error["line"]) == ("PolicyError", "bad.yaml", 6)
    assert error["key"] == "audit.levels.unit"
