"""``dpsynth sample --where``: what is typed, what comes back, what is refused."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from dpsynth.cli.where import conditions_of
from dpsynth.errors import InputError
from dpsynth.schema import Range, Schema
from tests.cli.conftest import Run

SCHEMA = Schema.loads("""
privacy_unit: row
columns:
  key: {kind: identifier, format: "K-####"}
  age: {kind: integer, missing: true, lower: -5, upper: 99}
  share: {kind: real, missing: false, lower: 0, upper: 1, decimals: 2}
  "a=b": {kind: categorical, missing: true, values: ["x", "y,z", "1..2"], out_of_domain: missing}
  code: {kind: categorical, missing: true, values: ["missing", "known"], out_of_domain: missing}
  stage: {kind: ordinal, missing: false, values: [i, ii, iii]}
  paid: {kind: boolean, missing: true}
""")


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("age=30..40", "age", Range(at_least=30, at_most=40)),
        ("age=..-1", "age", Range(at_most=-1)),
        ("age=30..", "age", Range(at_least=30)),
        ("age=-3", "age", [-3]),
        ("age=1, 2,missing", "age", [1, 2, None]),
        ("a=b=x", "a=b", ["x"]),
        ("a=b=y,z", "a=b", ["y,z"]),
        ("a=b=1..2", "a=b", ["1..2"]),
        ("a=b=x,missing", "a=b", ["x", None]),
        ("code=missing", "code", ["missing"]),
        ("code=known,missing", "code", ["known", "missing"]),
        ("stage=ii..", "stage", Range(at_least="ii")),
        ("stage=i,iii", "stage", ["i", "iii"]),
        ("paid=true", "paid", [True]),
        ("paid=missing", "paid", [None]),
        ("key=K-0001", "key", ["K-0001"]),
    ],
)
def test_a_condition_is_read_in_the_columns_type(text, name, said):
    assert conditions_of(SCHEMA, [text]) == {name: said}


def test_decimals_are_read_exactly():
    ((_, said),) = conditions_of(SCHEMA, ["share=0.1..0.3"]).items()
    assert (str(said.at_least), str(said.at_most)) == ("0.1", "0.3")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["age"], "a condition such as age=30..40 or sex=Female is expected"),
        (["nobody=1"], "there is no column 'nobody'; there are key, age"),
        (["age=1", "age=2"], "names column 'age' twice"),
        (["age=young"], "--where age=young: .*expected"),
        (["age=.."], "a range needs one of"),
        (["paid=yes"], "--where paid=yes: .*expected"),
        (["share=much.."], "decimal number"),
    ],
)
def test_what_cannot_be_read_is_refused(texts, words):
    with pytest.raises(InputError, match=words):
        conditions_of(SCHEMA, texts)


def test_rows_that_meet_the_conditions_are_written(run: Run):
    result = run(
        "sample", "table.dpsynth", "-n", "40", "--out", "new.csv", "--json", "--seed", "3",
        "--where", "age=20..29", "--where", "ward=north,missing",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["rows"] == 40
    assert shown["where"] == ["age=20..29", "ward=north,missing"]
    table = pd.read_csv("new.csv")
    assert table["age"].between(20, 29).all()
    assert (table["ward"].isna() | (table["ward"] == "north")).all()


def test_without_a_number_as_many_rows_as_are_estimated_are_written(run: Run):
    result = run("sample", "table.dpsynth", "--out", "new.csv", "--where", "age=0..49", "--json")
    assert 300 < json.loads(result.stdout)["rows"] < 600


@pytest.mark.parametrize("condition", ["age=200", "ward=west", "age=40..30", "ward=", "paid"])
def test_a_condition_that_cannot_be_ends_with_code_2_and_no_file(run: Run, folder, condition: str):
    result = run("sample", "table.dpsynth", "--out", "new.csv", "--where", condition)
    assert result.exit_code == 2
    assert not (folder / "new.csv").exists()
