"""A release that bought its domain: what it says of that, that it is verified, and that lies are noticed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dpsynth import Synthesizer, load, verify
from dpsynth.errors import InputError, ReleaseError
from dpsynth.privacy import noise
from dpsynth.privacy.acts import ThresholdedGaussian
from dpsynth.release.provenance import ColumnProvenance, provenance_of
from dpsynth.release.wording import text_of
from dpsynth.schema import OpenSchema, Schema
from tests.release.building import members_of, rehashed, zipped

CANARY = "Zebedee-Quux"
SCHEMA = OpenSchema.from_dict(
    {
        "privacy_unit": "row",
        "columns": {
            "word": {"kind": "categorical", "missing": "buy", "values": "buy"},
            "size": {
                "kind": "integer",
                "missing": False,
                "lower": 0,
                "upper": "buy",
                "edges": "buy",
                "bins": 20,
            },
            "glad": {"kind": "boolean", "missing": "buy"},
            "stated": {"kind": "categorical", "missing": False, "values": ["a", "b"]},
        },
    }
)


def frame(rows: int = 3000) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    word = rng.choice(["naïve", "plain"], rows).astype(object)
    word[0] = CANARY
    word[1:200] = None
    return pd.DataFrame(
        {
            "word": word,
            "size": rng.integers(0, 500, rows),
            "glad": rng.random(rows) < 0.5,
            "stated": rng.choice(["a", "b"], rows),
        }
    )


@pytest.fixture(scope="module", autouse=True)
def repeatable() -> Iterator[None]:
    """Noise of its true size from a seed: else one bound in a hundred would be off by an interval."""
    rng = np.random.default_rng(5)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("rounded_gaussian", "discrete_gaussian"):
            patch.setattr(noise, name, lambda n, sigma: np.rint(rng.normal(0, sigma, n)).astype(np.int64))
        patch.setattr(noise, "discrete_laplace", lambda n, t: np.rint(rng.laplace(0, t, n)).astype(np.int64))
        yield


@pytest.fixture(scope="module")
def path(repeatable: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    synth = Synthesizer(SCHEMA, epsilon=20.0, delta=1e-6, mechanism="independent")
    release = synth.fit(frame())
    where = tmp_path_factory.mktemp("bought") / "bought.dpsynth"
    release.save(where)
    return where


def test_it_is_verified_and_samples(path: Path) -> None:
    report = verify(path)
    assert report.passed, str(report)
    (check,) = (c for c in report.checks if c.name == "bought domains")
    assert check.detail == "5 things bought of 3 columns, each with an entry that paid for it"
    release = load(path)
    table = release.sample(500, seed=1)
    assert set(table["word"].dropna()) <= {"naïve", "plain", "other"}
    assert 300 < table["size"].max() <= 511


def test_it_says_what_was_bought(path: Path) -> None:
    release = load(path)
    known = {p.name: (p.known, p.bought) for p in release.statement.provenance}
    assert known["word"] == ("2 values and other, may be missing, bought", ("missing", "values"))
    assert known["size"][0].startswith("lower bound 0, stated in the schema; upper bound 511, bins, bought")
    assert known["glad"] == ("true and false, stated in the schema; never missing, bought", ("missing",))
    assert known["stated"] == ("2 values and other, stated in the schema", ())
    text = text_of(release.statement)
    assert '- "word": whether values are missing and its categories, bought.' in text
    assert '- "size": its upper bound and its bins, bought.' in text
    assert "public-or-bought-schema" in text
    assert "come from the schema, not from the rows" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert release.statement.delta_spent > 0
    assert any(isinstance(e.act, ThresholdedGaussian) for e in release.statement.entries)


def test_nothing_of_one_row_is_in_it(path: Path) -> None:
    for name, content in members_of(path).items():
        assert CANARY.encode() not in content, name


Forge = Callable[[dict[str, Any]], None]


def _drop(purpose: str) -> Forge:
    def forge(statement: dict[str, Any]) -> None:
        kept = [e for e in statement["ledger"] if e["purpose"] != purpose]
        for number, entry in enumerate(kept, 1):
            entry["number"] = number
        statement["ledger"] = kept

    return forge


def _say_stated(statement: dict[str, Any]) -> None:
    del statement["columns"][0]["bought"]


def _say_bought(statement: dict[str, Any]) -> None:
    statement["columns"][3]["bought"] = ["values"]


def _rename(statement: dict[str, Any]) -> None:
    next(e for e in statement["ledger"] if e["purpose"] == "buying categories")["purpose"] = (
        "one-way marginals"
    )


def _two_columns(statement: dict[str, Any]) -> None:
    next(e for e in statement["ledger"] if e["purpose"] == "buying bounds")["columns"] = ["size", "glad"]


def _fewer_rows(statement: dict[str, Any]) -> None:
    next(e for e in statement["ledger"] if "threshold" in e["act"])["act"]["rows"] = 2


def _lower_threshold(statement: dict[str, Any]) -> None:
    next(e for e in statement["ledger"] if "threshold" in e["act"])["act"]["threshold"] -= 3


def _measured_by_threshold(statement: dict[str, Any]) -> None:
    entry = next(e for e in statement["ledger"] if e["purpose"] == "one-way marginals")
    entry["act"] |= {"act": "ThresholdedGaussian", "rows": 1, "threshold": 50}


def _other_noise(statement: dict[str, Any]) -> None:
    next(e for e in statement["ledger"] if "threshold" in e["act"])["act"]["act"] = (
        "ThresholdedDiscreteGaussian"
    )


@pytest.mark.parametrize(
    ("forge", "check", "said"),
    [
        (_drop("buying whether values are missing"), "bought domains", "no entry paid for it"),
        (_drop("buying bounds"), "bought domains", "no entry paid for it"),
        (_say_stated, "bought domains", "is said to be stated"),
        (_say_bought, "bought domains", 'values of "stated" is said to be bought'),
        (_rename, "bought domains", "by another act than that takes"),
        (_two_columns, "bought domains", "from 2 columns at once"),
        (_fewer_rows, "sensitivities", "priced for 2 rows a unit"),
        (_lower_threshold, "spending", "overspent"),
        (_measured_by_threshold, "measurements are paid for", "measures no table"),
    ],
)
def test_lies_are_noticed(path: Path, tmp_path: Path, forge: Forge, check: str, said: str) -> None:
    members = members_of(path)
    statement = json.loads(members["statement.json"])
    forge(statement)
    members["statement.json"] = json.dumps(statement).encode()
    report = verify(zipped(rehashed(members), tmp_path / "forged.dpsynth"))
    found = {c.name: c.detail for c in report.failed}
    assert said in found[check]


def test_an_act_without_a_price_is_no_statement(path: Path, tmp_path: Path) -> None:
    members = members_of(path)
    statement = json.loads(members["statement.json"])
    _other_noise(statement)
    members["statement.json"] = json.dumps(statement).encode()
    report = verify(zipped(rehashed(members), tmp_path / "forged.dpsynth"))
    assert any("no known price" in c.detail for c in report.failed)


@pytest.mark.parametrize("bought", [["value"], ["values", "values"], [3]])
def test_what_cannot_have_been_bought_is_refused(bought: list[object]) -> None:
    content = {"name": "a", "kind": "boolean", "known": "", "treatment": "measured", "bought": bought}
    with pytest.raises(ReleaseError, match="what was bought is not a list of"):
        ColumnProvenance.from_dict(content, "column 1")


def test_records_are_read_back() -> None:
    schema = Schema.from_dict(
        {
            "privacy_unit": "row",
            "columns": {"n": {"kind": "integer", "missing": True, "lower": 0, "upper": 9}},
        }
    )
    (record,) = provenance_of(schema, {"n": ("missing", "lower", "upper")})
    assert record.known == "lower bound 0, upper bound 9, may be missing, bought"
    assert ColumnProvenance.from_dict(record.to_dict(), "column 1") == record
    (plain,) = provenance_of(schema)
    assert "bought" not in plain.to_dict()
    assert plain.known == "bounds 0 to 9, may be missing, stated in the schema"


@pytest.mark.parametrize("backend", ["exact", "opendp"])
def test_the_plan_shows_what_buying_costs(backend: str) -> None:
    plan = Synthesizer(SCHEMA, epsilon=1.0, delta=1e-6, noise=backend).plan()  # type: ignore[arg-type]
    shares = {s.purpose: s.share for s in plan.stages}
    buying = sum(share for purpose, share in shares.items() if purpose.startswith("buying"))
    assert 0 < buying <= 0.25
    assert plan.delta_aside == pytest.approx(1e-7)
    assert plan.to_dict()["delta_aside"] == plan.delta_aside
    assert "with 1e-07 of delta set aside" in str(plan)
    whole = Synthesizer(SCHEMA.filled(FOUND), epsilon=1.0, delta=1e-6).plan()
    assert "delta_aside" not in whole.to_dict()
    assert not any(s.purpose.startswith("buying") for s in whole.stages)


FOUND: dict[str, dict[str, Any]] = {
    "word": {"missing": True, "values": ["a"]},
    "size": {"upper": 511, "edges": [9]},
    "glad": {"missing": True},
}


def test_a_workload_names_columns_of_an_open_schema() -> None:
    synth = Synthesizer(SCHEMA, epsilon=1.0, delta=1e-6, mechanism="aim", workload="target:word")
    assert synth.to_buy is SCHEMA
    assert synth.schema == SCHEMA.stand_in
    with pytest.raises(InputError):
        Synthesizer(SCHEMA, epsilon=1.0, delta=1e-6, mechanism="aim", workload="target:absent")


def test_without_a_delta_categories_are_refused_before_a_row_is_read() -> None:
    with pytest.raises(InputError, match="categories are bought with a delta"):
        Synthesizer(SCHEMA, epsilon=1.0, delta=0.0, mechanism="independent")


def test_bounds_and_nulls_are_bought_in_pure_epsilon_too() -> None:
    columns = {n: c for n, c in SCHEMA.to_dict()["columns"].items() if n != "word"}
    schema = OpenSchema.from_dict({"privacy_unit": "row", "columns": columns})
    synth = Synthesizer(schema, epsilon=20.0, delta=0.0, mechanism="independent")
    assert sum(s.share for s in synth.plan().stages if s.purpose.startswith("buying")) < 0.25
    release = synth.fit(frame())
    assert release.schema.to_dict()["columns"]["size"]["upper"] == 511
    assert release.statement.calculus == "pure"
    assert release.statement.delta_aside == 0


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_neighbours_end_alike(rows: int) -> None:
    """A table without rows and those with one or two fit alike: no error, the same columns."""
    release = Synthesizer(SCHEMA, epsilon=1.0, delta=1e-6, mechanism="independent").fit(frame(300)[:rows])
    assert list(release.schema.columns) == ["word", "size", "glad", "stated"]
    assert CANARY not in release.schema.to_yaml()
    assert len(release.sample(5, seed=0)) == 5


def test_units_with_many_rows() -> None:
    schema = OpenSchema.from_dict(SCHEMA.to_dict() | {"privacy_unit": {"column": "who", "max_rows": 2}})
    table = frame().assign(who=np.repeat(np.arange(1000), 3))
    release = Synthesizer(schema, epsilon=20.0, delta=1e-6, mechanism="independent").fit(table)
    assert release.schema.max_rows == 2
    assert {e.act.sensitivity_squared for e in release.statement.entries} == {4}  # type: ignore[union-attr]
    assert "enforced-unit" in release.statement.assumptions
    assert 1700 < release.model.total < 2300
