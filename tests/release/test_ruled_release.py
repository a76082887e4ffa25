"""A release under constraints, from rows to rows: fitted, saved, loaded, sampled, forged."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import dpsynth
from dpsynth import Schema, Synthesizer
from dpsynth.errors import InputError, ReleaseError, SchemaError
from dpsynth.evaluate.fidelity import compare
from dpsynth.mechanisms import MECHANISMS
from dpsynth.release.arrays import to_npy
from dpsynth.release.verify import verify
from dpsynth.schema import Range
from tests.release.building import edited, members_of, rehashed, zipped
from tests.strategies.constraints import keeps, rows_of

SCHEMA = """\
privacy_unit: row
columns:
  age: {kind: integer, missing: true, lower: 0, upper: 99, bins: 12}
  status: {kind: categorical, missing: true, values: [single, married, widowed]}
  code: {kind: integer, missing: false, lower: 1, upper: 4}
  level: {kind: ordinal, missing: false, values: [none, primary, secondary, tertiary]}
  admitted: {kind: date, missing: false, lower: 2020-01-01, upper: 2021-12-31, bins: 20}
  discharged: {kind: date, missing: true, lower: 2020-01-01, upper: 2022-12-31, bins: 30}
constraints:
  - impossible: {age: {below: 16}, status: [married, widowed]}
  - determines: {by: code, column: level, map: {1: none, 2: primary, 3: secondary, 4: tertiary}}
  - at_most: [admitted, discharged]
"""


def patients(rows=3_000, seed=0):
    """Rows of which one in ten breaks a rule."""
    rng = np.random.default_rng(seed)
    age, code = rng.integers(0, 100, rows), rng.integers(1, 5, rows)
    admitted = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 731, rows), unit="D")
    level = np.array(["none", "primary", "secondary", "tertiary"])[code - 1]
    frame = pd.DataFrame(
        {
            "age": age,
            "status": np.where(age < 16, "single", rng.choice(["single", "married", "widowed"], rows)),
            "code": code,
            "level": level,
            "admitted": admitted,
            "discharged": admitted + pd.to_timedelta(rng.integers(0, 40, rows), unit="D"),
        }
    )
    wrong = rng.random(rows) < 0.1
    frame.loc[wrong, "discharged"] = frame.loc[wrong, "admitted"] - pd.Timedelta(days=20)
    frame.loc[wrong, "level"] = "none"
    frame.loc[wrong, "status"] = "married"
    frame.loc[::11, "discharged"] = pd.NaT
    return frame


@pytest.fixture(scope="module", params=sorted(MECHANISMS))
def release(request):
    schema = Schema.loads(SCHEMA)
    return Synthesizer(schema, epsilon=2.0, delta=1e-6, mechanism=request.param).fit(patients())


@pytest.mark.parametrize("method", ["systematic", "iid"])
def test_no_synthetic_row_breaks_a_constraint(release, method, tmp_path):
    release.save(tmp_path / "r.dpsynth")
    again = dpsynth.load(tmp_path / "r.dpsynth")
    for seed in range(4):
        table = release.sample(2_000, seed=seed, method=method, frame="pyarrow")
        assert table.equals(again.sample(2_000, seed=seed, method=method, frame="pyarrow"))
        for row in rows_of(release.schema, table):
            assert all(keeps(release.schema, constraint, row) for constraint in release.schema.constraints)
    missing = release.sample(3_000, seed=0)["discharged"].isna().mean()
    assert 0.05 < missing < 0.14


@pytest.mark.filterwarnings("ignore:the budget is small")
def test_a_fit_takes_no_notice_of_rows_that_break_a_rule():
    """Every row breaks one, and there is little or much noise: the fit goes through, the rows keep them."""
    schema = Schema.loads(SCHEMA)
    frame = patients()
    frame["discharged"] = frame["admitted"] - pd.Timedelta(days=1)
    for epsilon in (1e-4, 5.0):
        release = Synthesizer(schema, epsilon=epsilon, delta=1e-6).fit(frame)
        for row in rows_of(schema, release.sample(500, seed=1, frame="pyarrow")):
            assert all(keeps(schema, constraint, row) for constraint in schema.constraints)


def test_the_statement_says_that_constraints_were_enforced(release):
    assert "structural-zeros" in release.statement.processing
    assert "the schema's constraints (structural-zeros)" in " ".join(str(release.statement).split())


def test_a_model_whose_rules_are_not_the_schemas_is_refused(release, tmp_path):
    release.save(tmp_path / "a.dpsynth")
    assert verify(tmp_path / "a.dpsynth").passed
    members = members_of(tmp_path / "a.dpsynth")
    shape = release.model.domain.rules[0].allowed.shape
    loose = {"model/rule_0_allowed.npy": to_npy(np.ones(shape, dtype=np.int64))}
    forged = zipped(rehashed({**members, **loose}), tmp_path / "b.dpsynth")
    with pytest.raises(ReleaseError, match="columns and rules are not those of schema"):
        dpsynth.load(forged)
    report = verify(forged)
    assert not report.passed
    assert "rules" in str(report)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda model: model.update(rules={}), "model.json"),
        (lambda model: model["rules"].pop(), "belongs to nothing in model.json"),
        (lambda model: model["rules"][0].update(columns=[0.5]), "lists of whole numbers"),
        (lambda model: model["rules"][0].update(columns=[0, 1, 2]), "rule_0_classes_2.npy is missing"),
        (lambda model: model["rules"][0].update(columns=[1, 0]), "in increasing order"),
        (lambda model: model["rules"][0].update(columns=[0, 5]), "do not fit its codes"),
        (lambda model: model["rules"][0].update(more=1), "model.json, rule 0"),
    ],
)
def test_what_is_no_rule_is_refused(release, tmp_path, edit, said):
    release.save(tmp_path / "a.dpsynth")
    members = edited(members_of(tmp_path / "a.dpsynth"), "model.json", edit)
    with pytest.raises(ReleaseError, match=re.escape(said)):
        dpsynth.load(zipped(rehashed(members), tmp_path / "b.dpsynth"))


def test_education_and_its_number_on_real_rows(real_data):
    """UCI Adult: the number says the level; the map is in its code book."""
    frame = pd.read_csv(real_data("adult/adult_raw.csv"))[
        ["age", "education", "education-num", "sex", "income"]
    ]
    levels = [
        *(
            "Preschool",
            "1st-4th",
            "5th-6th",
            "7th-8th",
            "9th",
            "10th",
            "11th",
            "12th",
            "HS-grad",
            "Some-college",
        ),
        *("Assoc-voc", "Assoc-acdm", "Bachelors", "Masters", "Prof-school", "Doctorate"),
    ]
    columns = {
        "age": {"kind": "integer", "missing": False, "lower": 17, "upper": 90},
        "education": {
            "kind": "categorical",
            "missing": False,
            "values": sorted(levels),
            "out_of_domain": "clip",
        },
        "education-num": {"kind": "integer", "missing": False, "lower": 1, "upper": 16},
        "sex": {
            "kind": "categorical",
            "missing": False,
            "values": ["Female", "Male"],
            "out_of_domain": "clip",
        },
        "income": {
            "kind": "categorical",
            "missing": False,
            "values": ["<=50K", ">50K"],
            "out_of_domain": "clip",
        },
    }
    number = dict(enumerate(levels, 1))
    rule = {"determines": {"by": "education-num", "column": "education", "map": number}}
    content = {"privacy_unit": "row", "columns": columns}
    errors = {}
    for name, constraints in (("free", []), ("ruled", [rule])):
        schema = Schema.from_dict(content | {"constraints": constraints})
        release = Synthesizer(schema, epsilon=1.0, delta=1e-9).fit(frame)
        for method in ("systematic", "iid"):
            drawn = release.sample(seed=3, method=method)
            if constraints:
                assert (drawn["education-num"].map(number) == drawn["education"]).all()
        errors[name] = compare(schema, frame, release.sample(len(frame), seed=0))[2]
    assert errors["ruled"] < 0.04
    assert errors["ruled"] < 1.2 * errors["free"]


def test_rules_without_a_row_are_refused_before_anything_is_read_or_spent(tmp_path):
    schema = Schema.loads(SCHEMA)
    stated = "missing: true, lower: 2020-01-01, upper: 2022"
    late = SCHEMA.replace(stated, "missing: false, lower: 2018-01-01, upper: 2018")
    synth = Synthesizer(Schema.loads(late), epsilon=1.0, delta=1e-6)
    for act in (synth.plan, lambda: synth.fit(tmp_path / "there is no such file.csv")):
        with pytest.raises(
            SchemaError, match=r"constraints\.2 \(at_most: admitted, discharged\) leaves none"
        ):
            act()
    free = Schema.from_dict({k: v for k, v in schema.to_dict().items() if k != "constraints"})
    plans = [Synthesizer(s, epsilon=1.0, delta=1e-6, mechanism="independent").plan() for s in (free, schema)]
    assert plans[0].model_bytes < plans[1].model_bytes < 10 * 2**30


@pytest.mark.parametrize(
    "where",
    [
        {"age": Range(below=16)},
        {"level": "primary"},
        {"admitted": Range(at_least="2020-03-03", at_most="2020-03-20")},
        {"discharged": None, "status": "married"},
    ],
    ids=str,
)
def test_rows_under_conditions_keep_the_constraints_too(release, where):
    for method in ("systematic", "iid"):
        table = release.sample(300, seed=1, method=method, where=where, frame="pyarrow")
        for row in rows_of(release.schema, table):
            assert all(keeps(release.schema, constraint, row) for constraint in release.schema.constraints)


@pytest.mark.parametrize(
    "where", [{"age": Range(below=16), "status": "married"}, {"code": 1, "level": "primary"}]
)
def test_conditions_that_the_constraints_forbid_hold_for_no_row(release, where):
    with pytest.raises(InputError, match="no row meets the conditions"):
        release.sample(5, where=where)
