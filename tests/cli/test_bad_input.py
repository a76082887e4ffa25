"""What bad input gets: the right exit code, one or two lines, no traceback, and nothing read or spent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dpsynth.data import codec
from dpsynth.errors import BudgetRefusedError, VerificationError
from dpsynth.synthesizer import Synthesizer
from tests.cli.conftest import GUARANTEE, Run

DRAFT = ("schema", "draft", "table.csv")
PLAN = ("plan", "schema.yaml")
FIT = ("fit", "table.csv", "--schema", "schema.yaml", "--out", "new.dpsynth")
SAMPLE = ("sample", "table.dpsynth")

REFUSED = {
    "unknown command": (("fitt",), "No such command"),
    "unknown option": ((*PLAN, *GUARANTEE, "--bogus"), "No such option"),
    "missing option": ((*PLAN, "--epsilon", "1"), "--delta"),
    "missing argument": (("verify",), "RELEASE"),
    "epsilon text": ((*PLAN, "--epsilon", "one", "--delta", "1e-9"), "--epsilon"),
    "epsilon zero": ((*FIT, "--epsilon", "0", "--delta", "1e-9"), "epsilon"),
    "epsilon negative": ((*FIT, "--epsilon", "-1", "--delta", "1e-9"), "epsilon"),
    "epsilon nan": ((*FIT, "--epsilon", "nan", "--delta", "1e-9"), "epsilon"),
    "epsilon inf": ((*FIT, "--epsilon", "inf", "--delta", "1e-9"), "epsilon"),
    "delta zero": ((*FIT, "--epsilon", "1", "--delta", "0", "--mechanism", "aim"), "needs a delta above 0"),
    "delta below zero": ((*FIT, "--epsilon", "1", "--delta", "-1e-9"), "delta"),
    "unknown adjacency": ((*PLAN, *GUARANTEE, "--adjacency", "swap"), "replace-one"),
    "delta one": ((*PLAN, "--epsilon", "1", "--delta", "1"), "delta"),
    "affords nothing": ((*FIT, "--epsilon", "1e-300", "--delta", "1e-300"), "affords"),
    "unknown mechanism": ((*FIT, *GUARANTEE, "--mechanism", "mts"), "did you mean 'mst'?"),
    "unknown noise": ((*FIT, *GUARANTEE, "--noise", "gauss"), "opendp"),
    "no schema": (("plan", "nowhere.yaml", *GUARANTEE), "there is no such schema file"),
    "schema is a folder": (("plan", ".", *GUARANTEE), "directory"),
    "broken schema": (("plan", "broken.yaml", *GUARANTEE), "broken.yaml:3: columns.age"),
    "schema is data": (("schema", "check", "table.csv"), "table.csv"),
    "no table": (("fit", "nowhere.csv", *FIT[2:], *GUARANTEE), "nowhere.csv"),
    "table is a folder": (("fit", ".", *FIT[2:], *GUARANTEE), "folder"),
    "unknown table": (("fit", "schema.yaml", *FIT[2:], *GUARANTEE), "unknown kind of file"),
    "check without table": (("schema", "check", "schema.yaml", "nowhere.csv"), "nowhere.csv"),
    "column absent": (("fit", "other.csv", *FIT[2:], *GUARANTEE), "'paid'"),
    "review left": (("fit", "table.csv", "--schema", "todo.yaml", *FIT[4:], *GUARANTEE), "!REVIEW"),
    "output exists": ((*FIT[:-1], "table.dpsynth", *GUARANTEE), "--force"),
    "output is the input": ((*FIT[:-1], "table.csv", *GUARANTEE, "--force"), "replace the input"),
    "output is no release": ((*FIT[:-1], "other.csv", *GUARANTEE, "--force"), "choose another name"),
    "output is a damaged release": ((*FIT[:-1], "bad.dpsynth", *GUARANTEE, "--force"), "bad.dpsynth"),
    "no output folder": ((*FIT[:-1], "nowhere/new.dpsynth", *GUARANTEE), "no such folder"),
    "output folder is a file": ((*FIT[:-1], "table.csv/new.dpsynth", *GUARANTEE), "table.csv"),
    "draft exists": ((*DRAFT, "-o", "schema.yaml"), "--force"),
    "draft over table": ((*DRAFT, "-o", "table.csv", "--force"), "replace the input"),
    "draft unit text": ((*DRAFT, "-o", "d.yaml", "--privacy-unit", "person"), "--unit-column"),
    "draft both units": (
        (*DRAFT, "-o", "d.yaml", "--privacy-unit", "row", "--unit-column", "age", "--max-rows", "1"),
        "not both",
    ),
    "draft half a unit": ((*DRAFT, "-o", "d.yaml", "--unit-column", "age"), "together"),
    "draft max rows": ((*DRAFT, "-o", "d.yaml", "--unit-column", "age", "--max-rows", "0"), "below 1"),
    "draft unit absent": ((*DRAFT, "-o", "d.yaml", "--unit-column", "no", "--max-rows", "1"), "'no'"),
    "explain nothing": (("explain",), "either a release, or epsilon and delta"),
    "explain both": (("explain", "table.dpsynth", *GUARANTEE), "either a release"),
    "explain half": (("explain", "--epsilon", "1"), "both epsilon and delta"),
    "explain no release": (("explain", "nowhere.dpsynth"), "nowhere.dpsynth"),
    "explain epsilon": (("explain", "--epsilon", "0", "--delta", "1e-9"), "epsilon"),
    "plot ending": (("explain", *GUARANTEE, "--plot", "x.pdf"), ".png or .svg"),
    "plot exists": (("explain", *GUARANTEE, "--plot", "table.svg"), "--force"),
    "plot over release": (
        ("explain", "release.png", "--plot", "release.png", "--force"),
        "replace the input",
    ),
    "sign no release": (("sign", "nowhere.dpsynth", "--key", "private.pem"), "nowhere.dpsynth"),
    "sign no key": (("sign", "table.dpsynth", "--key", "nowhere.pem"), "no such key file"),
    "sign by a table": (("sign", "table.dpsynth", "--key", "table.csv"), "no private key"),
    "verify by a private key": (("verify", "table.dpsynth", "--key", "private.pem"), "a private key"),
    "verify no key": (("verify", "table.dpsynth", "--key", "nowhere.pem"), "no such key file"),
    "keygen exists": (("keygen", "private.pem", "x.pem", "--no-passphrase"), "never replaced"),
    "keygen no folder": (("keygen", "no/x.pem", "y.pem", "--no-passphrase"), "no such folder"),
    "keygen both": (
        ("keygen", "x.pem", "y.pem", "--no-passphrase", "--passphrase-file", "w"),
        "exclude each other",
    ),
    "keygen no passphrase": (("keygen", "x.pem", "y.pem"), "needs a passphrase"),
    "keygen no file": (("keygen", "x.pem", "y.pem", "--passphrase-file", "w"), "passphrase file"),
    "no release": (("verify", "nowhere.dpsynth"), "nowhere.dpsynth"),
    "sample no release": (("sample", "nowhere.dpsynth", "--out", "x.csv"), "nowhere.dpsynth"),
    "sample a damaged release": (("sample", "bad.dpsynth", "--out", "x.csv"), "bad.dpsynth"),
    "sample negative": ((*SAMPLE, "-n", "-1", "--out", "x.csv"), "-1"),
    "sample negative seed": ((*SAMPLE, "--seed", "-1", "--out", "x.csv"), "-1"),
    "sample ending": ((*SAMPLE, "--out", "x.xlsx"), ".parquet"),
    "sample method": ((*SAMPLE, "--out", "x.csv", "--method", "best"), "systematic"),
    "sample over release": ((*SAMPLE[:1], "release.csv", "--out", "release.csv", "--force"), "the input"),
    "licence without metadata": ((*SAMPLE, "--out", "x.csv", "--licence", "MIT"), "--croissant"),
    "metadata exists": ((*SAMPLE, "--out", "there.csv", "--croissant"), "there.csv.croissant.json"),
    "sample exists": ((*SAMPLE, "--out", "table.csv"), "--force"),
}


@pytest.fixture
def bad_files(folder: Path) -> Path:
    schema = (folder / "schema.yaml").read_text()
    (folder / "broken.yaml").write_text("privacy_unit: row\ncolumns:\n  age: {kind: integer, lower: 3}\n")
    (folder / "todo.yaml").write_text(schema.replace("upper: 99", "upper: !REVIEW 99"))
    (folder / "other.csv").write_text("age,ward\n1,north\n")
    (folder / "bad.dpsynth").write_bytes((folder / "table.dpsynth").read_bytes()[:500])
    (folder / "there.csv.croissant.json").write_text("{}")
    (folder / "table.svg").write_text("<svg/>")
    (folder / "release.png").write_bytes((folder / "table.dpsynth").read_bytes())
    (folder / "release.csv").write_bytes((folder / "table.dpsynth").read_bytes())
    return folder


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test fail if a row is coded."""

    def encode(self: object, source: object) -> object:
        pytest.fail("rows were read")

    monkeypatch.setattr(codec.Codec, "encode", encode)


@pytest.mark.usefixtures("bad_files", "unread")
@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_a_row_is_read(run: Run, folder: Path, name: str) -> None:
    arguments, part = REFUSED[name]
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert part in result.stderr
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) <= 2
    assert "Traceback" not in result.stderr
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.usefixtures("bad_files", "unread")
@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_json_when_asked(run: Run, name: str) -> None:
    arguments, part = REFUSED[name]
    result = run(*arguments, "--json")
    error = json.loads(result.stdout)["error"]
    assert result.exit_code == error["exit_code"] == 2
    assert part in error["message"]
    assert result.stderr == ""


@pytest.mark.usefixtures("bad_files")
def test_a_schema_error_says_where(run: Run) -> None:
    error = json.loads(run("plan", "broken.yaml", *GUARANTEE, "--json").stdout)["error"]
    assert (error["type"], error["path"], error["line"]) == ("SchemaError", "broken.yaml", 3)
    assert error["key"].startswith("columns.age")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(run: Run, folder: Path) -> None:
    (folder / "locked").mkdir(mode=0o500)
    result = run(*FIT[:-1], "locked/new.dpsynth", *GUARANTEE)
    assert result.exit_code == 2
    assert "may not be written to" in result.stderr


def test_permissions_are_checked_before_a_row_is_read(
    run: Run, unread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    for arguments in ((*FIT, *GUARANTEE), (*FIT[:-1], "table.dpsynth", *GUARANTEE, "--force")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "may not be written" in result.stderr


def test_a_disk_that_fails_is_an_input_error_and_leaves_nothing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dpsynth.data.writing.write_table", full)
    before = set(folder.iterdir())
    result = run(*SAMPLE, "--out", "new.csv")
    assert (result.exit_code, set(folder.iterdir())) == (2, before)
    assert "new.csv: cannot be written: No space left on device" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [(BudgetRefusedError("asked 2, left 1"), 3), (VerificationError("it does not add up"), 4)],
)
def test_other_refusals_have_their_own_codes(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def fit(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(Synthesizer, "fit", fit)
    result = run(*FIT, *GUARANTEE)
    assert (result.exit_code, result.stderr) == (code, f"error: {error}\n")


def test_a_tampered_release_fails_its_check(run: Run, folder: Path) -> None:
    assert run(*FIT[:-1], "open", *GUARANTEE).exit_code == 0
    statement = folder / "open" / "statement.json"
    statement.write_text(statement.read_text().replace('"epsilon": 1.0', '"epsilon": 0.5'))
    result = run("verify", "open")
    assert result.exit_code == 4
    assert "FAIL" in result.stdout
    said = run("verify", "open", "--json", "--statement")
    assert (said.exit_code, json.loads(said.stdout)["passed"]) == (4, False)
    assert "statement" not in json.loads(said.stdout)


@pytest.mark.usefixtures("bad_files")
def test_a_truncated_release_is_not_verified(run: Run) -> None:
    result = run("verify", "bad.dpsynth")
    assert result.exit_code in {2, 4}
    assert "Traceback" not in result.output
