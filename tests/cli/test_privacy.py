"""No private value is ever shown: not in results, not in errors, not of other libraries' exceptions."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import pandas as pd
import pytest

from dpsynth.synthesizer import Synthesizer
from tests.cli.conftest import GUARANTEE, Run

CANARY = "kx93canaryqz"
FIT = ("fit", "rows.csv", "--schema", "schema.yaml", *GUARANTEE, "--out", "new")

CORRUPT = {
    "odd values": f'age,ward,paid\n1,north,yes\n{CANARY},"{CANARY}",{CANARY}\n2024-99-99,\0,maybe\n',
    "ragged rows": f"age,ward,paid\n{CANARY}\n1,north,yes,{CANARY},{CANARY}\n",
    "stray quote": f'age,ward,paid\n1,north,yes\n"{CANARY},south,no\n2,north,no\n',
    "no rows": "age,ward,paid\n",
    "bad text": f"age,ward,paid\n1,{CANARY}\udcff\udcfe,yes\n",
}


@pytest.mark.parametrize("name", CORRUPT)
def test_corrupt_rows_go_through_and_stay_unseen(run: Run, folder: Path, name: str) -> None:
    (folder / "rows.csv").write_bytes(CORRUPT[name].encode("utf-8", "surrogateescape"))
    outputs = [
        run("schema", "check", "schema.yaml", "rows.csv"),
        run(*FIT),
        run("verify", "new", "--statement"),
        run("sample", "new", "-n", "30", "--out", "out.csv"),
    ]
    assert [o.exit_code for o in outputs] == [0, 0, 0, 0], [o.output for o in outputs]
    (folder / "rows.csv").unlink()
    assert all(CANARY not in o.stdout + o.stderr for o in outputs)
    saved = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    assert len(saved) > 5
    assert not any(CANARY.encode() in content for content in saved)


def test_a_damaged_file_is_refused_without_a_quote(run: Run, folder: Path) -> None:
    pd.DataFrame({"age": [1], "ward": [CANARY], "paid": [True]}).to_parquet(folder / "rows.parquet")
    whole = (folder / "rows.parquet").read_bytes()
    (folder / "rows.parquet").write_bytes(whole[: len(whole) // 2])
    result = run("fit", "rows.parquet", *FIT[2:])
    assert result.exit_code == 2
    assert CANARY not in result.output


@pytest.mark.parametrize("as_json", [True, False])
def test_an_unexpected_error_shows_its_type_alone(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    def fit(*_arguments: object, **_options: object) -> None:
        secret = CANARY
        raise KeyError(secret)

    monkeypatch.setattr(Synthesizer, "fit", fit)
    result = run("fit", "table.csv", *FIT[2:], *(("--json",) if as_json else ()))
    assert result.exit_code == 1
    assert CANARY not in result.output
    assert "Traceback" not in result.output
    assert "unexpected KeyError" in result.output
    assert "SECURITY.md" in result.output
    assert result.stderr == "" if as_json else result.stdout == ""
    if as_json:
        assert json.loads(result.stdout)["error"]["exit_code"] == 1


def test_a_traceback_is_shown_on_request_without_locals(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_arguments: object, **_options: object) -> None:
        hidden = CANARY
        raise KeyError(len(hidden))

    monkeypatch.setattr(Synthesizer, "fit", fit)
    monkeypatch.setenv("DPSYNTH_TRACEBACK", "1")
    result = run("fit", "table.csv", *FIT[2:])
    assert result.exit_code == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert CANARY not in result.output


def test_the_console_script_silences_other_libraries(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from dpsynth.cli import main

    def fit(*_arguments: object, **_options: object) -> None:
        warnings.warn(CANARY, UserWarning, stacklevel=1)
        logging.getLogger("elsewhere").error(CANARY)
        raise KeyError(CANARY)

    monkeypatch.setattr(Synthesizer, "fit", fit)
    monkeypatch.setattr("sys.argv", ["dpsynth", "fit", "table.csv", *FIT[2:]])
    monkeypatch.delenv("DPSYNTH_TRACEBACK", raising=False)
    try:
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            main()
    finally:
        logging.disable(logging.NOTSET)
    assert ended.value.code == 1
    shown = capfd.readouterr()
    assert CANARY not in shown.out + shown.err
