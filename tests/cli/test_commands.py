"""What every command does when all is well, for people and for machines."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pandas as pd
import pytest

import dpsynth
from dpsynth.mechanisms import MECHANISMS
from dpsynth.schema import Schema
from tests.cli.conftest import GUARANTEE, Run

FIT = ("fit", "table.csv", "--schema", "schema.yaml", *GUARANTEE, "--out", "new.dpsynth")
WORKING = {
    "schema draft": ("schema", "draft", "table.csv", "-o", "draft.yaml", "--privacy-unit", "row"),
    "schema check": ("schema", "check", "schema.yaml", "table.csv"),
    "plan": ("plan", "schema.yaml", *GUARANTEE),
    "explain": ("explain", *GUARANTEE),
    "fit": FIT,
    "verify": ("verify", "table.dpsynth"),
    "keygen": ("keygen", "k.pem", "k.pub.pem", "--no-passphrase"),
    "sign": ("sign", "table.dpsynth", "--key", "private.pem"),
    "sample": ("sample", "table.dpsynth", "-n", "20", "--out", "new.csv"),
}


@pytest.mark.parametrize("name", WORKING)
def test_every_command_says_what_it_did(run: Run, name: str) -> None:
    result = run(*WORKING[name])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip()
    assert result.stderr == ""
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", WORKING)
@pytest.mark.parametrize("before", [True, False])
def test_quiet_is_silent(run: Run, name: str, before: bool) -> None:
    result = run("-q", *WORKING[name]) if before else run(*WORKING[name], "--quiet")
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize("name", WORKING)
@pytest.mark.parametrize("before", [True, False])
def test_json_is_one_object_and_nothing_else(run: Run, name: str, before: bool) -> None:
    arguments = ("--json", *WORKING[name]) if before else (*WORKING[name], "--json")
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert isinstance(json.loads(result.stdout), dict)
    assert result.stderr == ""


@pytest.mark.parametrize("name", WORKING)
def test_every_help_lists_the_exit_codes(run: Run, name: str) -> None:
    result = run(*name.split(), "--help")
    assert result.exit_code == 0
    assert "4 a check failed" in " ".join(result.stdout.split())


def test_the_terms_of_a_mechanism_are_kept_or_refused(run: Run) -> None:
    base = ("plan", "schema.yaml", *GUARANTEE)
    planned = json.loads(run(*base, "--mechanism", "fixed", "--workload", "all-3-way", "--json").stdout)
    assert planned["stages"][-1]["purpose"] == "named marginals"
    assert planned["stages"][-1]["acts"] == 1
    assert planned["warnings"] == []
    small = run(*base, "--mechanism", "aim", "--model-size", "1e-6", "--rows", "10")
    said = " ".join(small.stdout.split())
    assert "room for no pair of columns" in said
    assert "the budget is small" in said
    lots = json.loads(run(*base, "--mechanism", "aim", "--json").stdout)
    assert next(s for s in lots["stages"] if s["purpose"] == "choices of a marginal")["sigma"] is None
    for wrong, message in (
        (("--workload", "all-3-way"), "takes no workload"),
        (("--mechanism", "aim", "--workload", "target:nobody"), "no learned column"),
        (("--mechanism", "aim", "--workload", "nothing"), "none of"),
        (("--mechanism", "aim", "--seconds", "0"), "not a positive"),
        (("--mechanism", "fixed", "--seconds", "5"), "takes no seconds"),
    ):
        refused = run(*base, *wrong)
        assert refused.exit_code == 2
        assert message in refused.stderr


def test_a_warning_comes_before_the_fit(run: Run) -> None:
    arguments = ["1e-6" if a == "1" else a for a in FIT]
    result = run(*arguments, "--mechanism", "independent")
    assert result.exit_code == 0
    assert "warning: the budget is small" in result.stderr


def test_the_help_names_every_mechanism(run: Run) -> None:
    for command in ("plan", "fit"):
        said = run(command, "--help").stdout
        assert [name for name in MECHANISMS if name not in said] == []


def test_without_a_command_the_help_is_shown_in_the_order_of_work(run: Run) -> None:
    result = run()
    assert result.exit_code == 0
    assert result.stdout.rstrip() == run("--help").stdout.rstrip()
    places = [
        result.stdout.index(f"│ {name} ") for name in ("schema", "plan", "fit", "verify", "sample", "demo")
    ]
    assert places == sorted(places)


def test_version(run: Run) -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"dpsynth {dpsynth.__version__}\n")


def test_a_draft_is_marked_and_for_its_owner_only(run: Run, folder: Path) -> None:
    result = run(*WORKING["schema draft"], "--json")
    said = json.loads(result.stdout)
    assert said == {"schema": "draft.yaml", "private": True, "review": len(Schema.load("draft.yaml").review)}
    assert stat.S_IMODE((folder / "draft.yaml").stat().st_mode) == 0o600


def test_a_draft_never_guesses_the_unit(run: Run, folder: Path) -> None:
    result = run("schema", "draft", "table.csv", "-o", "draft.yaml")
    assert "never guessed" in result.stdout
    assert run("schema", "check", "draft.yaml").exit_code == 2


def test_a_draft_takes_a_unit_column(run: Run) -> None:
    run("schema", "draft", "table.csv", "-o", "draft.yaml", "--unit-column", "age", "--max-rows", "3")
    assert Schema.load("draft.yaml").max_rows == 3


def test_check_lists_what_is_left_to_do(run: Run, folder: Path) -> None:
    text = (folder / "schema.yaml").read_text()
    (folder / "todo.yaml").write_text(text.replace("upper: 99", "upper: !REVIEW 99").replace("paid", "payed"))
    result = run("schema", "check", "todo.yaml", "table.csv")
    assert result.exit_code == 4
    assert "columns.age.upper (line 5)" in result.stdout
    assert "payed (did you mean paid?)" in result.stdout
    assert result.stdout.endswith("Not ready to fit.\n")
    said = json.loads(run("schema", "check", "todo.yaml", "table.csv", "--json").stdout)
    assert (said["passed"], said["review"], said["absent"], said["extra"]) == (
        False,
        [{"key": "columns.age.upper", "line": 5}],
        ["payed"],
        ["paid"],
    )


def test_check_wants_the_unit_column_in_the_table(run: Run, folder: Path) -> None:
    text = (folder / "schema.yaml").read_text()
    (folder / "unit.yaml").write_text(text.replace("unit: row", "unit: {column: person, max_rows: 2}"))
    said = json.loads(run("schema", "check", "unit.yaml", "table.csv", "--json").stdout)
    assert said["absent"] == ["person"]


def test_check_shortens_long_lists(run: Run, folder: Path) -> None:
    columns = "".join(f"  c{i}: {{kind: boolean, missing: !REVIEW false}}\n" for i in range(13))
    (folder / "wide.yaml").write_text(f"dpsynth: 1\nprivacy_unit: row\ncolumns:\n{columns}")
    assert "... and 3 more" in run("schema", "check", "wide.yaml").stdout


def test_check_says_the_rules(run: Run, folder: Path) -> None:
    rules = """
constraints:
  - impossible: {age: {below: 16}, ward: [north], paid: [true]}
  - determines: {column: ward, by: paid, map: {"false": south}}
  - at_most: [age, limit]
"""
    limit = "  limit: {kind: integer, missing: false, lower: 0, upper: 99}\n"
    (folder / "ruled.yaml").write_text((folder / "schema.yaml").read_text() + limit + rules)
    text = run("schema", "check", "ruled.yaml").stdout
    assert "  rule      some values of 'age', 'ward' and 'paid' never occur together\n" in text
    assert "  rule      'paid' determines 'ward'\n" in text
    assert "  rule      'age' is at most 'limit'\n" in text
    said = json.loads(run("schema", "check", "ruled.yaml", "--json").stdout)
    assert said["constraints"] == Schema.load("ruled.yaml").to_dict()["constraints"]
    (folder / "many.yaml").write_text(
        (folder / "ruled.yaml").read_text() + "  - at_most: [age, limit]\n" * 10
    )
    assert "  rule      ... and 3 more\n" in run("schema", "check", "many.yaml").stdout


def test_check_refuses_rules_that_leave_no_row(run: Run, folder: Path) -> None:
    limit = "  limit: {kind: integer, missing: false, lower: -9, upper: -1}\n"
    limit += "constraints:\n  - at_most: [age, limit]\n"
    (folder / "none.yaml").write_text((folder / "schema.yaml").read_text() + limit)
    result = run("schema", "check", "none.yaml")
    assert result.exit_code == 2
    assert "constraints.0 (at_most: age, limit) leaves none" in result.stderr


def test_plan_is_the_same_for_people_and_machines(run: Run) -> None:
    said = json.loads(run(*WORKING["plan"], "--json", "--mechanism", "independent").stdout)
    assert (said["mechanism"], said["calculus"], len(said["stages"])) == ("independent", "gdp", 1)
    assert "rho" in run(*WORKING["plan"], "--noise", "opendp").stdout


def test_fit_states_what_was_spent(run: Run) -> None:
    said = json.loads(run(*FIT, "--json").stdout)
    assert said["guarantee"] == {"epsilon": 1.0, "delta": 1e-9, "unit": "row", "rows_per_unit": 1}
    assert 0 < said["epsilon_spent"] <= 1.0000001
    assert Path(said["release"]).is_file()


def test_a_release_may_be_a_folder_and_be_replaced(run: Run, folder: Path) -> None:
    arguments = (*FIT[:-1], "release-folder")
    assert run(*arguments).exit_code == 0
    assert (folder / "release-folder").is_dir()
    assert run(*arguments).exit_code == 2
    assert run(*arguments, "--force").exit_code == 0
    assert run("verify", "release-folder").exit_code == 0


def test_verify_prints_the_statement_when_asked(run: Run) -> None:
    assert (
        str(dpsynth.load("table.dpsynth").statement) in run("verify", "table.dpsynth", "--statement").stdout
    )
    assert (
        "guarantee" in json.loads(run("verify", "table.dpsynth", "--statement", "--json").stdout)["statement"]
    )


def test_sampling_is_repeatable_by_its_seed(run: Run, folder: Path) -> None:
    for name in ("one.csv", "two.csv"):
        assert run("sample", "table.dpsynth", "-n", "50", "--seed", "3", "--out", name).exit_code == 0
    assert (folder / "one.csv").read_bytes() == (folder / "two.csv").read_bytes()
    said = json.loads(run("sample", "table.dpsynth", "-n", "50", "--out", "three.csv", "--json").stdout)
    run("sample", "table.dpsynth", "-n", "50", "--seed", said["seed"], "--out", "four.csv")
    assert (folder / "three.csv").read_bytes() == (folder / "four.csv").read_bytes()


def test_csv_and_parquet_hold_the_same_rows(run: Run, folder: Path) -> None:
    for ending in ("csv", "parquet"):
        out = ("--out", f"out.{ending}")
        assert run("sample", "table.dpsynth", "--seed", "3", "--method", "iid", *out).exit_code == 0
    lines = (folder / "out.csv").read_text().splitlines()
    table = pd.read_parquet(folder / "out.parquet")
    assert lines[0] == "age,ward,paid"
    assert len(lines) - 1 == len(table) > 500
    assert any(",," in line for line in lines)
    assert sum(",," in line for line in lines) == table["ward"].isna().sum()
    assert not any("nan" in line.lower() or ".0" in line for line in lines)


def test_explain_says_what_was_promised_and_spent_and_draws_it(run: Run, folder: Path) -> None:
    result = run("explain", "table.dpsynth", "--plot", "plot.svg", "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["plot"] == "plot.svg"
    assert (
        content["spent"]["membership"]["advantage"] <= content["promised"]["membership"]["advantage"] < 0.08
    )
    assert (folder / "plot.svg").read_text(encoding="utf-8").startswith("<?xml")
    worded = run("explain", "table.dpsynth", "--plot", "plot.svg", "--force").stdout
    assert "Drew plot.svg" in worded
    assert "guesses a secret of yes or no" in worded
    unit = run("explain", *GUARANTEE, "--unit", "household", "--rows-per-unit", "4", "--noise", "opendp")
    assert "all rows of one household (at most 4)" in " ".join(unit.stdout.split())
    assert max(map(len, unit.stdout.splitlines())) <= 80


def test_a_table_without_a_header_is_checked_without_showing_its_first_row(run: Run, folder: Path) -> None:
    (folder / "bare.csv").write_text("kx93canaryqz,south,no\n34,north,yes\n")
    for more in ((), ("--json",)):
        result = run("schema", "check", "schema.yaml", "bare.csv", *more)
        assert result.exit_code == 4
        assert "kx93canaryqz" not in result.output
    assert "is its first line the column names?" in run("schema", "check", "schema.yaml", "bare.csv").output
    result = run("fit", "bare.csv", "--schema", "schema.yaml", *GUARANTEE, "--out", "new")
    assert result.exit_code == 2
    assert "kx93canaryqz" not in result.output


def test_a_release_is_signed_and_checked(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "word").write_text("open sesame\n")
    made = run("keygen", "s.pem", "s.pub.pem", "--passphrase-file", "word", "--json")
    assert made.exit_code == 0, made.output
    key = json.loads(made.stdout)["key"]
    assert stat.S_IMODE((folder / "s.pem").stat().st_mode) == 0o600
    assert "ENCRYPTED" in (folder / "s.pem").read_text()
    refused = run("sign", "table.dpsynth", "--key", "s.pem")
    assert (refused.exit_code, "needs a passphrase" in refused.stderr) == (2, True)
    monkeypatch.setenv("DPSYNTH_PASSPHRASE", "wrong")
    assert "the passphrase is wrong" in run("sign", "table.dpsynth", "--key", "s.pem").stderr
    monkeypatch.setenv("DPSYNTH_PASSPHRASE", "")
    assert "the passphrase is empty" in run("sign", "table.dpsynth", "--key", "s.pem").stderr
    monkeypatch.setenv("DPSYNTH_PASSPHRASE", "open sesame")
    signed = run("sign", "table.dpsynth", "--key", "s.pem", "--json")
    assert json.loads(signed.stdout)["key"] == key
    assert "sesame" not in signed.output + made.output
    good = run("verify", "table.dpsynth", "--key", "s.pub.pem")
    assert (good.exit_code, key in " ".join(good.stdout.split())) == (0, True)
    run("keygen", "t.pem", "t.pub.pem", "--no-passphrase")
    assert run("verify", "table.dpsynth", "--key", "t.pub.pem", "--quiet").exit_code == 4
    assert run("sign", "table.dpsynth", "--key", "t.pem", "--passphrase-file", "absent").exit_code == 0
    assert run("verify", "table.dpsynth", "--key", "t.pub.pem", "--quiet").exit_code == 0


def test_a_passphrase_is_asked_for_at_a_terminal(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def prompt(text: str, **options: object) -> str:
        asked.append((text, options["hide_input"], options["confirmation_prompt"]))
        return "open sesame"

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("DPSYNTH_PASSPHRASE", raising=False)
    monkeypatch.setattr("dpsynth.cli.sign.sys.stdin", Terminal())
    monkeypatch.setattr("dpsynth.cli.sign.typer.prompt", prompt)
    from dpsynth.cli.sign import _passphrase

    assert _passphrase(None, new=True) == _passphrase(None, new=False) == b"open sesame"
    assert asked == [("Passphrase", True, True), ("Passphrase", True, False)]


def test_metadata_is_written_beside_the_table(run: Run, folder: Path) -> None:
    arguments = ("sample", "table.dpsynth", "-n", "20", "--out", "new.parquet", "--croissant")
    result = run(*arguments, "--licence", "CC0-1.0", "--name", "Visits", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["croissant"] == "new.parquet.croissant.json"
    content = json.loads((folder / "new.parquet.croissant.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256((folder / "new.parquet").read_bytes()).hexdigest()
    assert content["distribution"][0]["sha256"] == digest
    assert (content["name"], content["license"]) == ("Visits", "CC0-1.0")
    assert "Wrote new.parquet.croissant.json" in run(*arguments, "--force").stdout
