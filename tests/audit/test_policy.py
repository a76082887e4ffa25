"""Policy files: what they may say, and that every mistake is an error with its line."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from dpsynth.audit.policy import Policy, policy_schema
from dpsynth.errors import MissingFileError, PolicyError
from tests.conftest import ROOT

LEAST = """\
policy: 1
epsilon: 1
delta: 1e-6
unit: row
"""
WHOLE = """\
policy: 1
epsilon: 4.5
delta: 1e-9
unit: {column: person, max_rows: 3}
adjacency: replace-one
columns:
  allow: [stated, regenerated, bought.lower]
  forbid: [bought.values]
audit:
  levels: {unit: 30, mechanism: 90.5}
  tolerate_inconclusive: true
  ceilings:
    whitebox.mu: 1.5
    anonymeter.*: {value: 0.1, upper: 0.2}
"""

WRONG = [
    ("", 1, "needs the keys policy, epsilon, delta and unit"),
    ("- policy", 1, "must be a mapping with the keys policy"),
    (LEAST + "unit: row\n", 5, "stands twice"),
    (LEAST + "aduit: {}\n", 5, "did you mean audit"),
    (LEAST + "zzz: {}\n", 5, "docs/audit.md lists every key"),
    (LEAST.replace("policy: 1", "policy: 2"), 1, "write policy: 1"),
    (LEAST.replace("policy: 1", "policy: true"), 1, "write policy: 1"),
    (LEAST.replace("epsilon: 1", "epsilon: 0"), 2, "greater than 0"),
    (LEAST.replace("epsilon: 1", "epsilon: '1'"), 2, "valid number"),
    (LEAST.replace("epsilon: 1", "epsilon: true"), 2, "valid number"),
    (LEAST.replace("epsilon: 1", "epsilon: .inf"), 2, "valid number"),
    (LEAST.replace("epsilon: 1\n", ""), 1, "every policy states it"),
    (LEAST.replace("1e-6", "1"), 3, "less than 1"),
    (LEAST.replace("1e-6", "-1"), 3, "greater than or equal to 0"),
    (LEAST.replace("1e-6", "!REVIEW 1e-6"), 3, "remove !REVIEW"),
    (LEAST.replace("unit: row\n", ""), 1, "state who is protected"),
    (LEAST.replace("unit: row", "unit: rows"), 4, "state who is protected"),
    (LEAST.replace("row", "{max_rows: 2}"), 4, "name the column"),
    (LEAST.replace("row", "{column: row}"), 4, "never called row"),
    (LEAST.replace("row", "{column: a, max_rows: 0}"), 4, "greater than or equal to 1"),
    (LEAST.replace("row", "{column: a, rows: 1}"), 4, "unknown key"),
    (LEAST + "adjacency: swap\n", 5, "'add-remove' or 'replace-one'"),
    (LEAST + "adjacency:\n", 5, "no value"),
    (LEAST + "columns: {}\n", 5, "allow, forbid or both"),
    (LEAST + "columns: [stated]\n", 5, "a mapping of keys"),
    (LEAST + "columns:\n  allow: []\n", 6, "at least 1"),
    (LEAST + "columns:\n  forbid:\n    - bought\n    - guessed\n", 8, "bought.edges"),
    (LEAST + "audit:\n", 5, "no value"),
    (LEAST + "audit:\n  levels:\n    - unit\n", 6, "a mapping of keys"),
    (LEAST + "audit:\n  levels:\n    unit: 0\n", 7, "greater than 0"),
    (LEAST + "audit:\n  levels:\n    all: 3\n", 7, "'unit', 'mechanism' or 'data'"),
    (LEAST + "audit:\n  tolerate_inconclusive: yes\n", 6, "valid boolean"),
    (LEAST + "audit:\n  ceilings:\n    A B: 3\n", 7, "a dotted name"),
    (LEAST + "audit:\n  ceilings:\n    a.b: {}\n", 7, "state a number"),
    (LEAST + "audit:\n  ceilings:\n    a.b: high\n", 7, "state a number"),
    (LEAST + "audit:\n  ceilings:\n    a.b: {least: 3}\n", 7, "unknown key"),
]


def written(folder, text):
    path = folder / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_a_policy_says(tmp_path):
    least = Policy.load(written(tmp_path, LEAST))
    assert (least.epsilon, least.delta, str(least.unit)) == (1.0, 1e-6, "row")
    assert (least.adjacency, least.columns, least.audit) == (None, None, None)
    whole = Policy.load(written(tmp_path, WHOLE))
    assert str(whole.unit) == "person, at most 3 rows"
    assert whole.columns.allow == ["stated", "regenerated", "bought.lower"]
    assert whole.audit.levels == {"unit": 30.0, "mechanism": 90.5}
    assert whole.audit.tolerate_inconclusive
    assert whole.audit.ceilings["whitebox.mu"].ends == (("value", 1.5),)
    assert whole.audit.ceilings["anonymeter.*"].ends == (("value", 0.1), ("upper", 0.2))
    unbounded = Policy.load(written(tmp_path, LEAST.replace("row", "{column: person}")))
    assert str(unbounded.unit) == "person"


@pytest.mark.parametrize(("text", "line", "said"), WRONG)
def test_a_wrong_policy_is_refused_with_its_line(tmp_path, text, line, said):
    with pytest.raises(PolicyError) as caught:
        Policy.load(written(tmp_path, text))
    assert said in caught.value.problem
    assert (caught.value.line, caught.value.path) == (line, str(tmp_path / "policy.yaml"))


def test_every_problem_is_named_at_once(tmp_path):
    text = LEAST.replace("epsilon: 1", "epsilon: -1").replace("unit: row", "unit: 3") + "more: 1\n"
    with pytest.raises(PolicyError) as caught:
        Policy.load(written(tmp_path, text))
    lines = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "4", "5"]


def test_no_file(tmp_path):
    with pytest.raises(MissingFileError, match="no such policy file"):
        Policy.load(tmp_path / "policy.yaml")
    with pytest.raises(PolicyError, match="name the policy file"):
        Policy.load(tmp_path)


def test_the_published_form_is_current():
    published = json.loads((ROOT / "docs" / "policy.schema.json").read_text(encoding="utf-8"))
    assert published == policy_schema(), "write policy_schema() to docs/policy.schema.json"
    jsonschema.Draft202012Validator.check_schema(published)


@pytest.mark.parametrize("text", [LEAST, WHOLE])
def test_the_published_form_accepts_policies(text):
    content = yaml.safe_load(text.replace("1e-", "1.0e-"))
    jsonschema.Draft202012Validator(policy_schema()).validate(content)


ONLY_LOAD_SEES = ("stands twice", "remove !REVIEW", "no value", "keys policy", "mapping with")


@pytest.mark.parametrize(
    "text", [text for text, _, said in WRONG if not any(part in said for part in ONLY_LOAD_SEES)]
)
def test_the_published_form_refuses_what_is_refused(text):
    content = yaml.safe_load(
        text.replace("1e-", "1.0e-").replace(": yes", ": 'yes'").replace(".inf", "'inf'")
    )
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(policy_schema()).validate(content)


def test_the_reference_names_every_key():
    text = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    keys = set()

    def walk(part):
        keys.update(part.get("properties", {}))
        for inside in part.values():
            for item in inside if isinstance(inside, list) else [inside]:
                if isinstance(item, dict):
                    walk(item)

    walk(policy_schema())
    assert {key for key in keys if f"`{key}" not in text and f"{key}:" not in text} == set()
