"""The statement: written from the ledger, read back exactly, plain to a reader."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import re
from fractions import Fraction

import pytest

from dpsynth import __version__
from dpsynth.errors import ReleaseError
from dpsynth.privacy.acts import price
from dpsynth.privacy.guarantee import gdp_delta
from dpsynth.release.explanation import explain
from dpsynth.release.numerals import percent, rounded_up
from dpsynth.release.statement import Statement, epsilon_of
from dpsynth.release.wording import ASSUMPTIONS, PROCESSING, promise_of
from dpsynth.schema import Schema
from tests.release.building import ROW, UNIT, measured, tiny


def test_it_says_what_the_curator_did():
    schema = Schema.loads(ROW)
    curator, _ = measured(schema)
    statement = Statement.from_curator(curator, schema, "by-hand")
    assert statement.entries == curator.entries
    assert statement.spent == curator.spent == sum(price(e.act, "gdp") for e in curator.entries)
    assert statement.budget == curator.budget
    assert statement.guarantee == curator.guarantee
    assert statement.version == __version__
    assert [p.treatment for p in statement.provenance] == ["regenerated", "measured", "measured", "measured"]
    assert statement.provenance[1].known == "bounds 0 to 9, stated in the schema"
    assert statement.provenance[2].known == "2 values and other, stated in the schema"
    assert statement.provenance[3].known == "true and false, may be missing, stated in the schema"


def test_the_epsilon_spent_is_the_least_that_the_price_allows_and_rounded_up():
    statement = tiny().statement
    spent = float(statement.spent)
    assert 0 < statement.epsilon_spent < statement.guarantee.epsilon
    assert gdp_delta(spent, statement.epsilon_spent) <= statement.guarantee.delta
    assert gdp_delta(spent, 0.999 * statement.epsilon_spent) > statement.guarantee.delta


def test_an_epsilon_that_does_not_exist_is_infinite_and_saved_as_null():
    assert math.isinf(epsilon_of(Fraction(10**400), "gdp", 1e-6))
    statement = tiny().statement
    entry = dataclasses.replace(statement.entries[0], price=Fraction(10**400))
    content = dataclasses.replace(statement, entries=(entry,)).to_dict()
    assert content["epsilon_spent"] is None
    json.dumps(content, allow_nan=False)


@pytest.mark.parametrize(("text", "backend"), [(ROW, "exact"), (UNIT, "exact"), (UNIT, "opendp")])
def test_it_comes_back_from_json_exactly(text, backend):
    statement = tiny(text, backend=backend).statement
    again = Statement.from_dict(json.loads(json.dumps(statement.to_dict())))
    assert again == statement
    assert str(again) == str(statement)


def test_a_guarantee_for_another_unit_than_the_schemas_is_refused():
    curator, _ = measured(Schema.loads(ROW))
    with pytest.raises(ReleaseError, match="make the guarantee from the schema"):
        Statement.from_curator(curator, Schema.loads(UNIT), "by-hand")


def test_the_assumptions_are_those_of_the_noise_and_the_unit():
    assert "one-row-per-person" in tiny().statement.assumptions
    assert "ndtri-accuracy" in tiny().statement.assumptions
    other = tiny(UNIT, backend="opendp").statement.assumptions
    assert "enforced-unit" in other
    assert "opendp-noise" in other
    assert "one-row-per-person" not in other
    assert "ndtri-accuracy" not in other
    assert set(other) <= set(ASSUMPTIONS)


@pytest.mark.parametrize(("text", "backend"), [(ROW, "exact"), (UNIT, "exact"), (UNIT, "opendp")])
def test_the_text_is_complete_and_fits_a_page(text, backend):
    statement = tiny(text, backend=backend).statement
    lines = str(statement).splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 66  # a printed page
    body = str(statement)
    assert promise_of(statement) in body
    for heading in ("What is promised", "What it cost", "columns and rows", "assumed", "not covered"):
        assert heading in body
    for name in statement.processing:
        assert PROCESSING[name] in " ".join(body.split())
    for name in statement.assumptions:
        assert f"- {name}: {ASSUMPTIONS[name]}" in body
    for purpose in ("one-way marginals", "distances of pairs", "choice of a pair", "pair marginals"):
        assert purpose in body
    assert "exact one is not in this release" in " ".join(body.split())
    unit = "one row" if text == ROW else 'the rows of one "household"'
    assert f"(1, 1e-06)-differential privacy for adding or removing {unit}" in body


def test_the_text_survives_an_odd_unit_many_purposes_and_a_large_epsilon():
    statement = tiny(UNIT.replace("household", '"a\\n# b' + "x" * 90 + '"')).statement
    assert statement.guarantee.unit.startswith("a\n# b")
    assert "a\n# b" not in str(statement)
    assert r"a\n# b" in str(statement)
    entries = tuple(
        dataclasses.replace(statement.entries[0], number=i, purpose=f"p{i}" * 30) for i in range(1, 30)
    )
    odd = dataclasses.replace(statement, entries=entries, assumptions=("unheard-of",), processing=("unseen",))
    assert max(map(len, str(odd).splitlines())) <= 100
    assert "everything else" in str(odd)
    assert "not known to this version" in str(odd)
    assert "unknown to this version (unseen)" in " ".join(str(odd).split())
    strong = dataclasses.replace(
        statement, guarantee=dataclasses.replace(statement.guarantee, epsilon=500.0), entries=()
    )
    assert "at most e^epsilon times" in " ".join(str(strong).split())
    hopeless = dataclasses.replace(statement.entries[0], price=Fraction(10**400))
    assert "none" in str(dataclasses.replace(statement, entries=(hopeless,)))


def test_a_table_without_identifiers_has_none_made_up():
    text = ROW.replace('  key: {kind: identifier, format: "K-####"}\n', "")
    assert "made up afresh" in str(tiny().statement)
    assert "made up afresh" not in str(tiny(text).statement)


@pytest.mark.parametrize("backend", ["exact", "opendp"])
def test_the_text_says_what_it_means_for_one_person(backend):
    statement = tiny(backend=backend).statement
    found = explain(statement)
    lines = str(statement).splitlines()
    for name, bounds in (("promised", found.promised), ("really spent", found.spent)):
        (line,) = (text for text in lines if text.startswith(f"    with it at most: {name} "))
        shares = [*bounds.detections, *bounds.successes[1:]]
        assert re.findall(r"[0-9.]+ %", line) == [percent(share) for share in shares]
    body = " ".join(str(statement).split())
    assert (f"mu = {rounded_up(found.promised.mu or 0, 4)}" in body) == (backend == "exact")


def test_nothing_but_public_things_is_in_the_text():
    """Two tables that differ in every row but were measured alike give the same text."""
    statement = tiny().statement
    assert str(statement) == str(tiny().statement)  # fresh noise each time: no noisy count is in the text
    assert "400" not in str(statement)


def test_its_repr_is_short():
    assert repr(tiny().statement) == (
        "Statement((1, 1e-06)-differential privacy for adding or removing one row, entries=6, "
        "mechanism='by-hand')"
    )


_EDITS = {
    "lacks 'ledger'": lambda c: c.pop("ledger"),
    "does not know": lambda c: c.update(extra=1),
    "calculus is none of": lambda c: c.update(calculus="renyi", ledger=[]),
    "none of gdp, zcdp, pure": lambda c: c.update(calculus="renyi"),
    "backend is none of": lambda c: c.update(backend="numpy"),
    "'backend' is not of type str": lambda c: c.update(backend=3),
    "row_count is not": lambda c: c.update(row_count="exactly 400"),
    "names of at most 64": lambda c: c.update(mechanism="Bad name\n"),
    "not all texts": lambda c: c["assumptions"].append(3),
    "processing has a list": lambda c: c["processing"].append(None),
    "budget is not between": lambda c: c["budget"].update(exact="0/1"),
    "not an exact fraction": lambda c: c["budget"].update(exact="1e3"),
    "epsilon=-1.0": lambda c: c["guarantee"].update(epsilon=-1),
    "epsilon is too large a number": lambda c: c["guarantee"].update(epsilon=10**400),
    "act this version does not know": lambda c: c["ledger"][0]["act"].update(act="Laplace"),
    "wrong fields": lambda c: c["ledger"][0]["act"].update(sigma=1),
    "sigma": lambda c: c["ledger"][0]["act"].update(sigma=-1.0),
    "no known price": lambda c: c["ledger"][0]["act"].update(act="DiscreteGaussian"),
    "one line of at most 200": lambda c: c["ledger"][0].update(purpose="a\nb"),
    "entry 1 of the ledger is not an object": lambda c: c.update(ledger=[7]),
    "20000 is the limit": lambda c: c.update(ledger=[0] * 20_001),
    "column 1 of the statement is not an object": lambda c: c.update(columns=["x"]),
}


@pytest.mark.parametrize("message", _EDITS)
def test_what_is_no_statement_is_refused(message):
    content = copy.deepcopy(tiny().statement.to_dict())
    _EDITS[message](content)
    with pytest.raises(ReleaseError, match=message.replace("(", r"\(")):
        Statement.from_dict(content)
