"""Singling out, linkability and inference: the program that runs anonymeter, and what its counts mean."""

from __future__ import annotations

import io
import json
import math
import os
import sys
import types
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dpsynth.audit import anonymeter_process
from dpsynth.audit.anonymeter_risks import _stream, anonymeter_findings, interpreter, residual_risk
from dpsynth.audit.bounds import wilson
from dpsynth.audit.ceilings import Claim
from dpsynth.audit.finding import Verdict
from dpsynth.domain import Axis, Domain
from tests.audit.tables import SIZES, people

CLAIM = Claim(amount=Fraction(1, 16), calculus="gdp")
DOMAIN = Domain(tuple(Axis(k, s, s if k in "ab" else 0) for k, s in SIZES.items()))


def codes(rows, seed):
    return people(rows, seed).to_numpy().astype(np.int32)


def findings(python, *, real=None, control=None, domain=DOMAIN, attacks=150, synthetic=None, alpha=1e-3):
    real = codes(400, 1) if real is None else real
    control = codes(400, 2) if control is None else control
    synthetic = codes(400, 3) if synthetic is None else synthetic
    rng = np.random.default_rng(0)
    return anonymeter_findings(
        real, control, synthetic, domain, CLAIM, attacks=attacks, alpha=alpha, rng=rng, python=python
    )


@pytest.fixture
def answering(tmp_path):
    """An interpreter that reads the request, keeps it, and says what it is told to."""

    def make(answer):
        script = tmp_path / "python"
        script.write_text(
            f"#!{sys.executable}\n"
            "import json, pathlib, sys\n"
            "content = sys.stdin.buffer.read()\n"
            f"pathlib.Path({str(tmp_path / 'request')!r}).write_bytes(content)\n"
            "request = json.loads(content.split(b'\\n', 1)[0])\n"
            f"print({answer})\n"
        )
        script.chmod(0o700)
        return str(script)

    return make


def counts(real, control, naive):
    return f"json.dumps([dict(attacks=100, real={real}, control={control}, naive={naive})] * 6)"


def test_which_interpreter_is_asked(monkeypatch):
    monkeypatch.delenv("DPSYNTH_ANONYMETER", raising=False)
    assert interpreter("/a/python") == "/a/python"
    assert interpreter() is None  # numpy as old as it needs cannot be installed beside dpsynth
    monkeypatch.setenv("DPSYNTH_ANONYMETER", "/b/python")
    assert interpreter() == "/b/python"
    monkeypatch.delenv("DPSYNTH_ANONYMETER")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    assert interpreter() == sys.executable


def test_training_people_who_are_attacked_more_easily_are_a_violation(answering):
    found = findings(answering(counts(90, 30, 5)))
    link = next(f for f in found if f.check == "anonymeter.linkability")
    assert link.verdict is Verdict.violation
    assert link.value == pytest.approx(residual_risk(90, 30, 100, 1e-3)[0])
    assert link.details["success"]["ceiling"] == pytest.approx(CLAIM.ceiling(0.3 + 1 / 400))
    assert "more easily than promised" in link.summary
    assert not link.publishable
    secrets = [f.details["secret"] for f in found if f.check == "anonymeter.inference"]
    assert len(set(secrets)) == 3
    assert set(secrets) <= set(SIZES)


def test_as_much_success_on_both_sides_is_consistent(answering):
    for finding in findings(answering(counts(32, 30, 5))):
        if "singling" not in finding.check:
            assert finding.verdict is Verdict.consistent
            assert finding.interval[0] < 0 < finding.interval[1]


def test_singling_out_may_hit_anyone(answering):
    """Its chance is spread over all people, and the curve is steep for small chances."""
    single = findings(answering(counts(60, 30, 5)))[0]
    assert single.check == "anonymeter.singling-out.univariate"
    assert single.details["success"]["ceiling"] == pytest.approx(min(1.0, 100 * CLAIM.ceiling(0.003)))
    assert single.verdict is Verdict.inconclusive or single.details["success"]["ceiling"] < 1


def test_what_blind_guessing_does_as_well_says_nothing(answering):
    link = findings(answering(counts(30, 30, 30)))[2]
    assert link.verdict is Verdict.inconclusive
    assert "the attack says nothing" in link.summary


def test_where_no_success_could_show_anything(answering):
    link = findings(answering(counts(100, 99, 5)))[2]
    assert link.verdict is Verdict.inconclusive
    assert "no success at all would show a violation" in link.summary
    sure = findings(answering(counts(100, 100, 5)))[2]
    assert sure.ceiling == 0.0


def test_only_codes_are_sent(answering, tmp_path):
    findings(answering(counts(1, 1, 1)))
    line, rest = (tmp_path / "request").read_bytes().split(b"\n", 1)
    request = json.loads(line)
    sizes = dict(request["tables"])
    assert sum(sizes.values()) == len(rest)
    table = pa.ipc.open_stream(io.BytesIO(rest[: sizes["real"]])).read_all().to_pandas()
    assert list(table.columns) == [f"c{i}" for i in range(6)]
    assert table.duplicated().sum() == 0
    assert table["c0"].between(0, 11).all()
    assert set(table["c2"]) <= {f"v{i}" for i in range(8)}
    assert {a["attacks"] for a in request["attacks"]} == {len(table)}


def test_what_has_no_place_in_the_order_is_below_it():
    domain = Domain((Axis("a", 4, 2),))
    table = pa.ipc.open_stream(io.BytesIO(_stream(np.array([[0], [1], [2], [3]]), domain))).read_all()
    assert table["c0"].to_pylist() == [0, 1, -1, -2]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("'rows!'", "gave no answer"),
        ("'[]'", "an answer of another kind"),
        ("json.dumps([dict(error='ValueError')] * 6)", "anonymeter ended in ValueError"),
    ],
)
def test_a_process_that_fails_is_not_a_pass(answering, answer, why):
    for finding in findings(answering(answer)):
        assert finding.verdict is Verdict.inconclusive
        assert finding.value is None
        assert why in finding.summary


def test_an_interpreter_that_is_absent_or_slow(answering, monkeypatch):
    assert "cannot be started" in findings("/no/such/python")[0].summary
    monkeypatch.setattr("dpsynth.audit.anonymeter_risks._MOST_SECONDS", 0.3)
    assert "took longer than" in findings(answering("__import__('time').sleep(20)"))[0].summary


def test_an_interpreter_without_the_library_says_so():
    """The program itself runs here; what it asks for is not installed."""
    if interpreter() is not None:
        pytest.skip("anonymeter is at hand")
    assert "anonymeter ended in ModuleNotFoundError" in findings(sys.executable)[0].summary


def test_too_few_people():
    for finding in findings("/no/such/python", real=codes(99, 1)):
        assert finding.verdict is Verdict.inconclusive
        assert "at least 100 people on each side" in finding.summary
        assert finding.details["needed"] == 100


def test_a_table_of_one_column_is_only_singled_out_of(answering):
    one = Domain((Axis("a", 10_000, 10_000),))
    rows = np.arange(300, dtype=np.int32)[:, None]
    answer = "json.dumps([dict(attacks=100, real=9, control=1, naive=0)])"
    found = findings(answering(answer), real=rows, control=rows, synthetic=rows, domain=one)
    assert [f.check for f in found] == ["anonymeter.singling-out.univariate"]


def test_residual_risk_is_the_excess_over_the_control():
    centre = [sum(wilson(count=k, trials=500, alpha=0.05)) / 2 for k in (300, 100)]
    risk, error = residual_risk(300, 100, 500, 0.05)
    assert risk == pytest.approx((centre[0] - centre[1]) / (1 - centre[1]))
    assert residual_risk(3_000, 1_000, 5_000, 0.05)[1] == pytest.approx(error / math.sqrt(10), rel=0.05)


class Evaluator:
    """Stands in for the library's evaluators: keeps what it was given, and counts what can be counted."""

    made: ClassVar[list] = []

    def __init__(self, **given):
        self.given = given
        self.made.append(self)

    def evaluate(self, **how):
        if self.given.get("secret") == "fails":
            raise ValueError("a row")
        self.how = how
        return self

    def results(self, confidence_level):
        return types.SimpleNamespace(n_success=len(self.given["ori"]), n_control=2.5, n_baseline=1)


def test_the_program_asks_the_library(monkeypatch, capsys):
    library = types.ModuleType("anonymeter.evaluators")
    for name in ("SinglingOutEvaluator", "LinkabilityEvaluator", "InferenceEvaluator"):
        setattr(library, name, Evaluator)
    monkeypatch.setitem(sys.modules, "anonymeter", types.ModuleType("anonymeter"))
    monkeypatch.setitem(sys.modules, "anonymeter.evaluators", library)
    monkeypatch.setattr("logging.disable", lambda _: None)
    stream = _stream(codes(3, 0), DOMAIN)
    attacks = [
        {"kind": "singling-out", "mode": "univariate", "columns": 1, "attacks": 7},
        {"kind": "linkability", "first": ["c0"], "second": ["c1"], "attacks": 7},
        {"kind": "inference", "secret": "c0", "known": ["c1"], "attacks": 7},
        {"kind": "inference", "secret": "fails", "known": ["c1"], "attacks": 7},
    ]
    request = {"tables": [(n, len(stream)) for n in ("real", "control", "synthetic")], "attacks": attacks}
    content = json.dumps({**request, "seed": 5}).encode() + b"\n" + 3 * stream
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(content)))
    Evaluator.made.clear()
    anonymeter_process.main()
    answers = json.loads(capsys.readouterr().out)
    assert answers[:3] == [{"attacks": 7, "real": 3.0, "control": 2.5, "naive": 1.0}] * 3
    assert answers[3] == {"error": "ValueError"}
    single, link, infer, _ = Evaluator.made
    assert single.given["seed"] == 5
    assert single.how == {"mode": "univariate"}
    assert link.given["aux_cols"] == (["c0"], ["c1"])
    assert infer.given["secret"] == "c0"
    assert isinstance(infer.given["syn"], pd.DataFrame)


@pytest.mark.statistical
def test_the_real_library_finds_copied_rows_and_clears_fresh_ones():
    """A table that is the training rows gives them away; another sample of the population does not (six
    verdicts at 1e-7 each).
    """
    path = os.environ.get("DPSYNTH_ANONYMETER")
    if not path:
        pytest.skip("needs an interpreter with anonymeter; name it in DPSYNTH_ANONYMETER")
    real, control = codes(600, 1), codes(600, 2)
    copied = findings(path, real=real, control=control, synthetic=real, attacks=400)
    by_name = {f.check: f for f in copied}
    assert by_name["anonymeter.linkability"].verdict is Verdict.violation
    assert by_name["anonymeter.inference"].verdict is Verdict.violation
    assert by_name["anonymeter.inference"].value > 0.5
    fresh = findings(path, real=real, control=control, synthetic=codes(600, 3), attacks=400, alpha=1e-7)
    assert not [f.check for f in fresh if f.verdict is Verdict.violation]
    assert all(f.value is not None for f in fresh)
