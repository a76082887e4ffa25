"""What a guarantee means: the figures, their sides, the words, and the picture."""

from __future__ import annotations

import builtins
import dataclasses
import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
from scipy.stats import norm

import dpsynth
from dpsynth.errors import GuaranteeError, InputError, MissingFileError
from dpsynth.privacy.guarantee import Calculus, gdp_budget
from dpsynth.release.bounds import ALARMS, BASELINES, PRIORS, Bounds
from dpsynth.release.drawing import roc
from dpsynth.release.explanation import explain
from dpsynth.release.numerals import percent, plain, rounded_up
from dpsynth.release.release import Release
from tests.release.building import UNIT, tiny


def test_figures_of_a_guarantee_are_the_closed_forms() -> None:
    found = explain(epsilon=1.0, delta=1e-9).promised
    mu = math.sqrt(gdp_budget(1.0, 1e-9))
    assert found.mu == pytest.approx(mu, rel=1e-14)
    assert Fraction(found.mu) ** 2 >= found.amount
    assert found.rho == pytest.approx(mu**2 / 2, rel=1e-14)
    assert found.advantage == pytest.approx(2 * norm.cdf(mu / 2) - 1, rel=1e-12)
    for alarms, detected in zip(ALARMS, found.detections, strict=True):
        assert detected == pytest.approx(norm.cdf(norm.ppf(alarms) + mu), rel=1e-9)
    for baseline, success in zip(BASELINES, found.successes, strict=True):
        assert success == pytest.approx(norm.cdf(norm.ppf(baseline) + mu), rel=1e-9)
    for prior, belief in zip(PRIORS, found.beliefs, strict=True):
        right, wrong = prior * found.detections[1], (1 - prior) * ALARMS[1]
        assert belief == pytest.approx(right / (right + wrong), rel=1e-12)
        assert Fraction(belief) * (Fraction(right) + Fraction(wrong)) >= Fraction(right) * (
            1 - Fraction(1, 10**15)
        )
    assert found.epsilon(1e-9) == pytest.approx(1.0)
    assert found.delta(1.0) <= 1e-9


def test_figures_of_a_release_are_those_of_its_ledger(release: Release, saved: Path) -> None:
    statement = release.statement
    found = explain(release)
    assert found.promised.amount == statement.budget
    assert found.spent is not None
    assert found.spent.amount == statement.spent
    assert found.spent.epsilon(statement.guarantee.delta) == statement.epsilon_spent
    assert found.spent.advantage < found.promised.advantage
    assert explain(saved) == explain(str(saved)) == explain(statement) == found
    assert dpsynth.explain is explain


def test_delta_set_aside_is_counted_as_spent() -> None:
    aside = Fraction(1, 4_000_000)
    release = tiny(delta_aside=aside)
    found = explain(release)
    assert found.promised.beside == found.spent.beside == aside
    assert found.promised.epsilon(1e-6) <= 1.0
    assert found.spent.epsilon(1e-6) == release.statement.epsilon_spent
    without = Bounds.of(release.statement.budget, "gdp")
    assert found.promised.advantage >= without.advantage + float(aside)


def test_a_pure_promise_and_a_delta_beside() -> None:
    pure = Bounds.of(Fraction(1), "pure")
    assert pure.mu is None
    assert pure.rho == 0.5
    assert pure.successes[0] == pytest.approx(0.01 * math.e)
    assert pure.epsilon(0.0) == pytest.approx(1.0)
    beside = Bounds.of(Fraction(1), "gdp", 1e-3)
    assert beside.advantage == pytest.approx(Bounds.of(1, "gdp").advantage + 1e-3)
    promised = explain(epsilon=1.0, delta=1e-9).guarantee
    content = beside.to_dict(promised)
    assert content["delta_beside"] == 1e-3
    assert content["curve"]["epsilon_at_delta"][-1]["epsilon"] is None
    assert "delta_beside" not in pure.to_dict(promised)


@pytest.mark.parametrize("noise", ["exact", "opendp"])
def test_without_a_delta_the_promise_is_pure(noise: str) -> None:
    found = explain(epsilon=1.0, delta=0.0, noise=noise, adjacency="replace-one")
    assert found.promised.calculus == "pure"
    assert found.promised.amount == 1
    assert found.promised.advantage == pytest.approx(math.tanh(0.5))
    assert found.to_dict()["guarantee"]["adjacency"] == "replace-one"
    assert "epsilon at delta 0" in str(found)
    assert "replacing one row" in str(found)


@pytest.mark.parametrize("noise", ["exact", "opendp"])
def test_as_json_it_is_plain_and_complete(noise: str) -> None:
    content = explain(epsilon=2.0, delta=1e-6, unit="household", rows_per_unit=3, noise=noise).to_dict()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["guarantee"] == {"epsilon": 2.0, "delta": 1e-6, "unit": "household", "rows_per_unit": 3}
    promised = content["promised"]
    assert ("mu" in promised) == (noise == "exact")
    assert [row["delta"] for row in promised["curve"]["epsilon_at_delta"]] == [1e-3, 1e-5, 1e-6, 1e-9, 1e-12]
    assert [row["epsilon"] for row in promised["curve"]["delta_at_epsilon"]] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert promised["curve"]["delta_at_epsilon"][-1]["delta"] <= 1e-6
    assert "spent" not in content


@pytest.mark.parametrize("backend", ["exact", "opendp"])
def test_in_words_it_shows_promise_and_spending_side_by_side(backend: str) -> None:
    text = str(explain(tiny(UNIT, backend=backend)))
    lines = text.splitlines()
    assert max(map(len, lines[1:])) <= 80
    assert ("mu, of Gaussian" in text) == (backend == "exact")
    assert "rho, of zero-concentrated" in text
    for words in (
        "by luck",
        "promised",
        "spent",
        "detects them, at 1 % false alarms",
        "guesses a secret of yes or no",
    ):
        assert words in text
    assert "spent" not in str(explain(epsilon=100.0, delta=1e-9))
    assert "100 %" in str(explain(epsilon=100.0, delta=1e-9))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, InputError, "either a release, or epsilon and delta"),
        ({"release": "x.dpsynth", "epsilon": 1.0}, InputError, "either a release"),
        ({"epsilon": 1.0}, InputError, "both epsilon and delta"),
        ({"epsilon": 1.0, "delta": 1e-9, "noise": "gauss"}, InputError, "neither 'exact' nor 'opendp'"),
        ({"epsilon": -1.0, "delta": 1e-9}, GuaranteeError, "epsilon"),
        ({"epsilon": 1.0, "delta": 1e-9, "rows_per_unit": 0}, GuaranteeError, "rows_per_unit"),
        ({"release": "nowhere.dpsynth"}, MissingFileError, "no such release"),
    ],
)
def test_what_is_refused(arguments: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        explain(**arguments)


def test_the_curve_is_whole_and_symmetric() -> None:
    x, y = roc(Bounds.of(1, "gdp"))
    assert (x[0], y[0], x[-1], y[-1]) == (0.0, 0.0, 1.0, 1.0)
    assert x == sorted(x)
    assert y == sorted(y)
    assert all(b >= a for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_plot_is_drawn_the_same_each_time(tmp_path: Path, ending: str) -> None:
    found = explain(tiny(UNIT))
    first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    found.plot(first)
    found.plot(second)
    assert first.read_bytes() == second.read_bytes()
    start = {"png": b"\x89PNG", "svg": b"<?xml"}[ending]
    assert first.read_bytes().startswith(start)
    if ending == "svg":
        text = first.read_text(encoding="utf-8")
        for words in ("advantage", "false alarms", "really spent", "guessing by luck", "stated: (1, 1e-06)"):
            assert words in text


def test_a_plot_needs_a_fitting_name_a_folder_and_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = explain(epsilon=1.0, delta=1e-9)
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        found.plot(tmp_path / "x.pdf")
    with pytest.raises(InputError, match="cannot be written: No such file"):
        found.plot(tmp_path / "nowhere" / "x.svg")
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'dpsynth\[plot\]'"):
        found.plot(tmp_path / "x.png")


def test_a_pure_promise_is_drawn_without_a_stated_delta(tmp_path: Path) -> None:
    found = explain(epsilon=1.0, delta=1e-9)
    pure = dataclasses.replace(found, promised=Bounds.of(1, "pure"))
    pure.plot(tmp_path / "pure.svg")
    assert "promised" in (tmp_path / "pure.svg").read_text(encoding="utf-8")


def test_numbers_are_rounded_up_and_no_further() -> None:
    assert rounded_up(0.100001, 3) == "0.101"
    assert rounded_up(1.01e-9, 2) == "1.1e-9"
    assert rounded_up(math.inf, 3) == "none"
    assert percent(0.0101) == "1.01 %"
    assert percent(0.01010001) == "1.02 %"
    assert percent(1.0) == "100 %"
    assert percent(0.0) == "0 %"
    assert plain(2.0) == "2"


@pytest.mark.parametrize("calculus", ["gdp", "zcdp", "pure"])
def test_an_absurdly_small_amount_has_its_bounds_at_once(calculus: Calculus) -> None:
    amount = Fraction(1, 10**399)  # a file may state it; no ledger comes to it
    found = Bounds.of(amount, calculus)
    assert 0 < found.rho <= 1e-300
    assert found.mu is None or amount <= Fraction(found.mu) ** 2 <= Fraction(1, 10**299)
    assert Bounds.of(0, calculus).rho == 0
