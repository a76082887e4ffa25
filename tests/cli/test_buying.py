"""Commands with a schema that buys: draft, check, plan, fit, verify."""

from __future__ import annotations

import json
from pathlib import Path

from dpsynth.schema import OpenSchema, Schema
from tests.cli.conftest import GUARANTEE, Run

BUYING = """\
privacy_unit: row
columns:
  age: {kind: integer, missing: false, lower: buy, upper: buy, edges: buy}
  ward: {kind: categorical, missing: buy, values: buy}
  paid: {kind: boolean, missing: true}
"""


def test_from_draft_to_release(run: Run, folder: Path) -> None:
    result = run("schema", "draft", "table.csv", "--buy", "--privacy-unit", "row", "-o", "draft.yaml")
    assert result.exit_code == 0, result.output
    text = (folder / "draft.yaml").read_text(encoding="utf-8")
    assert "north" not in text
    assert text.startswith("# A draft that buys.")
    schema = OpenSchema.loads(text)
    assert {p.column: p.keys for p in schema.purchases} == {
        "age": ("missing", "lower", "upper", "edges"), "ward": ("missing", "values"), "paid": ("missing",),
    }  # fmt: skip
    assert set(schema.stand_in.review) == {f"columns.{name}.kind" for name in ("age", "ward", "paid")}
    assert run("fit", "table.csv", "--schema", "draft.yaml", *GUARANTEE, "-o", "new.dpsynth").exit_code == 2
    (folder / "buying.yaml").write_text(text.replace("!REVIEW ", ""), encoding="utf-8")
    result = run("fit", "table.csv", "--schema", "buying.yaml", *GUARANTEE, "-o", "new.dpsynth")
    assert result.exit_code == 0, result.output
    assert run("verify", "new.dpsynth").exit_code == 0


def test_check_says_what_is_to_buy(run: Run, folder: Path) -> None:
    (folder / "buying.yaml").write_text(BUYING, encoding="utf-8")
    result = run("schema", "check", "buying.yaml", "table.csv")
    assert result.exit_code == 0, result.output
    assert "learned   3 (3 codes each)" in result.stdout
    assert "to buy    values of ward" in result.stdout
    content = json.loads(run("schema", "check", "buying.yaml", "--json").stdout)
    assert content["buy"] == {"age": ["lower", "upper", "edges"], "ward": ["missing", "values"]}
    assert content["columns"] == {"age": None, "ward": None, "paid": 3}
    assert "buy" not in json.loads(run("schema", "check", "schema.yaml", "--json").stdout)


def test_check_of_a_schema_that_buys_all(run: Run, folder: Path) -> None:
    text = BUYING.replace("missing: true", "missing: buy")
    (folder / "buying.yaml").write_text(text, encoding="utf-8")
    result = run("schema", "check", "buying.yaml")
    assert "learned   3\n" in result.stdout
    assert "to buy    missing of ward, paid" in result.stdout


def test_plan_shows_shares(run: Run, folder: Path) -> None:
    (folder / "buying.yaml").write_text(BUYING, encoding="utf-8")
    result = run("plan", "buying.yaml", *GUARANTEE)
    assert result.exit_code == 0, result.output
    assert "buying categories" in result.stdout
    assert "of delta set aside" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    stages = json.loads(run("plan", "buying.yaml", *GUARANTEE, "--json").stdout)["stages"]
    assert abs(sum(s["share"] for s in stages) - 1) < 1e-9
    assert [s["purpose"] for s in stages][:2] == ["buying the number of rows", "buying categories"]


def test_what_cannot_be_bought_is_told_with_its_line(run: Run, folder: Path) -> None:
    (folder / "buying.yaml").write_text(
        BUYING.replace("upper: buy", "upper: buy, spikes: [1]"), encoding="utf-8"
    )
    result = run("plan", "buying.yaml", *GUARANTEE)
    assert result.exit_code == 2
    assert "buying.yaml:3: columns.age.spikes" in result.stderr.replace("\n", "")


def test_a_draft_without_buying_is_whole(run: Run, folder: Path) -> None:
    assert run("schema", "draft", "table.csv", "--privacy-unit", "row", "-o", "draft.yaml").exit_code == 0
    assert Schema.load(folder / "draft.yaml").review
