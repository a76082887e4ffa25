"""Rows per unit: what is bought, what it costs, and that estimates and intervals are true."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from dpsynth import DpsynthError, suggest_max_rows
from dpsynth.accountant import Accountant
from dpsynth.data import open_source
from dpsynth.data.bounding import unit_sizes
from dpsynth.errors import BudgetRefusedError, DataError, GuaranteeError, InputError
from dpsynth.privacy.acts import RoundedGaussian
from dpsynth.privacy.guarantee import gdp_budget
from dpsynth.privacy.sealed import open_codes
from dpsynth.unit_effects import effects_of, share_of, sum_of, width_of
from tests.mechanisms.harness import script_noise
from tests.strategies.frames import MAKERS

DELTA = 1e-9


def table_of(sizes, *, missing=0, seed=0):
    """A table with so many rows for each unit, in a random order, and rows of nobody."""
    units = np.repeat([f"u{i}" for i in range(len(sizes))], sizes).tolist() + [None] * missing
    order = np.random.default_rng(seed).permutation(len(units))
    return pd.DataFrame({"u": pd.array(units, dtype="str")[order], "x": order})


def silent(monkeypatch):
    """Draw no noise, so that what is asked can be compared with what is true."""
    script_noise(monkeypatch, None)


# ---- what is counted -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MAKERS)
def test_every_source_gives_one_row_a_unit(tmp_path, kind):
    units = ["a"] * 3 + ["b"] + ["c"] * 9 + [None] * 4 + ["d"] * 3
    texts = {"u": units, "x": [str(i) for i in range(len(units))]}
    table = unit_sizes(open_source(MAKERS[kind](texts, tmp_path)), "u", 5)
    assert sorted(open_codes(table)[0].tolist()) == [0, 2, 2, 4]
    assert table.rows_per_unit == 1
    assert [(axis.name, axis.size, axis.ordered) for axis in table.domain] == [("rows per u", 5, 5)]


def test_a_category_of_no_row_is_no_unit():
    frame = pd.DataFrame({"u": pd.Categorical(["a", "a"], categories=["z", "a", "b"])})
    assert open_codes(unit_sizes(open_source(frame), "u", 5))[0].tolist() == [1]


def test_a_table_of_nobody_is_a_histogram_of_noise_alone(monkeypatch):
    silent(monkeypatch)
    found = suggest_max_rows(table_of([], missing=7), "u", epsilon=1.0, delta=DELTA)
    assert found.counts == (0,) * 50
    assert found.recommended is None
    assert "lost in noise" in str(found)


@pytest.mark.parametrize("rows", [1, 3, 400])
def test_one_unit_moves_one_count_by_one(rows, monkeypatch):
    silent(monkeypatch)
    sizes = [1, 1, 2, 5, 7]
    without = suggest_max_rows(table_of(sizes), "u", epsilon=1.0, delta=DELTA, largest=6).counts
    with_it = suggest_max_rows(table_of([*sizes, rows]), "u", epsilon=1.0, delta=DELTA, largest=6).counts
    assert np.abs(np.subtract(with_it, without)).sum() == 1


# ---- what it costs ---------------------------------------------------------------------------------


def test_the_whole_budget_goes_into_one_act_of_sensitivity_one():
    found = suggest_max_rows(table_of([1, 2, 3]), "u", epsilon=0.5, delta=DELTA)
    (entry,) = found.entries
    budget = gdp_budget(0.5, DELTA)
    assert entry.act == RoundedGaussian(sigma=found.sigma, sensitivity_squared=1)
    assert found.sigma == pytest.approx(1 / math.sqrt(budget))
    assert entry.price <= Fraction(budget)
    assert 0.499 < found.epsilon_spent <= 0.5
    assert (found.guarantee.unit, found.guarantee.rows_per_unit) == ("u", 1)


def test_the_result_states_its_own_cost():
    found = suggest_max_rows(table_of([1, 2, 3]), "u", epsilon=0.5, delta=DELTA)
    said = json.loads(json.dumps(found.to_dict(), allow_nan=False))["statement"]
    assert said["guarantee"] == {"epsilon": 0.5, "delta": DELTA, "unit": "u"}
    assert [act["act"]["act"] for act in said["ledger"]] == ["RoundedGaussian"]
    assert said["spent"] == pytest.approx(said["budget"])
    assert "adds to every fit's" in str(found)


def test_noise_is_drawn_afresh():
    table = table_of([1, 2, 3])
    first, second = (suggest_max_rows(table, "u", epsilon=0.1, delta=DELTA).counts for _ in range(2))
    assert first != second


@pytest.mark.parametrize(
    ("terms", "error", "message"),
    [
        ({"largest": 1}, InputError, "largest=1 is not a whole number from 2 to 10,000"),
        ({"largest": 10_001}, InputError, "largest=10001"),
        ({"largest": 5.0}, InputError, "largest=5.0"),
        ({"cells": 0}, InputError, "cells=0"),
        ({"tables": True}, InputError, "tables=True"),
        ({"epsilon": 0.0}, GuaranteeError, "epsilon=0.0"),
        ({"fit_epsilon": math.nan}, GuaranteeError, "epsilon"),
        ({"delta": 1.0}, GuaranteeError, "delta=1.0"),
        ({"unit": "nobody"}, DataError, "no column 'nobody'"),
        ({"unit": "raw"}, DataError, "'raw' is of dtype .* whose values cannot be told apart"),
    ],
)
def test_what_cannot_be_bought_is_refused_before_a_row_is_read(terms, error, message, monkeypatch):
    import pyarrow as pa

    monkeypatch.setattr("dpsynth.data.source.arrow_cells", None)  # reading a column would fail
    table = pa.table({"u": ["a"], "raw": pa.array([b"x"])})
    asked = {"unit": "u", "epsilon": 1.0, "delta": DELTA, **terms}
    with pytest.raises(error, match=message) as caught:
        suggest_max_rows(table, asked.pop("unit"), **asked)
    assert isinstance(caught.value, DpsynthError)


# ---- in a book -------------------------------------------------------------------------------------


def book_of(tmp_path, epsilon):
    return Accountant.create(tmp_path / "book.db", dataset="visits", epsilon=epsilon, delta=DELTA, unit="u")


def test_a_purchase_is_reserved_and_settled_in_a_book(tmp_path):
    book = book_of(tmp_path, 1.0)
    found = suggest_max_rows(table_of([1, 2]), "u", epsilon=0.5, delta=DELTA, accountant=book)
    assert found.book.dataset == "visits"
    assert found.statement()["book"]["reservation"] == found.book.reservation
    (totals,) = book.show()
    assert 0.499 < totals.epsilon_spent <= 0.5 + 1e-9
    assert "suggest-max-rows" in str(book.history())
    assert book.verify().passed


def test_a_book_without_room_refuses_before_a_row_is_read(tmp_path):
    book = book_of(tmp_path, 0.1)
    with pytest.raises(BudgetRefusedError):
        suggest_max_rows(object(), "u", epsilon=0.5, delta=DELTA, accountant=book)
    assert book.show()[0].epsilon_spent == 0


def test_what_was_not_drawn_is_given_back(tmp_path):
    book = book_of(tmp_path, 1.0)
    with pytest.raises(DataError):
        suggest_max_rows(object(), "u", epsilon=0.5, delta=DELTA, accountant=book)
    assert book.show()[0].epsilon_spent == 0


def test_a_data_set_is_named_with_its_book():
    with pytest.raises(InputError, match="give accountant as well"):
        suggest_max_rows(table_of([1]), "u", epsilon=0.5, delta=DELTA, dataset="visits")


# ---- what it says ----------------------------------------------------------------------------------


def test_without_noise_all_figures_are_the_true_ones(monkeypatch):
    silent(monkeypatch)
    sizes = np.repeat([1, 2, 3, 4], [4000, 3000, 2000, 1000])
    found = suggest_max_rows(table_of(sizes, missing=500), "u", epsilon=1.0, delta=DELTA, largest=8)
    assert found.counts == (4000, 3000, 2000, 1000, 0, 0, 0, 0)
    assert found.units.estimate == 10_000
    assert not found.open_ended
    assert [effect.max_rows for effect in found.effects] == [1, 2, 3, 4, 5, 6, 7]
    for effect in found.effects:
        k = effect.max_rows
        lost = np.maximum(sizes - k, 0).sum()
        assert effect.units_cut.estimate == pytest.approx((sizes > k).mean())
        assert effect.rows_lost.estimate == pytest.approx(lost / sizes.sum())
        for share in (effect.units_cut, effect.rows_lost):
            assert 0 <= share.low <= share.estimate <= share.high <= 1
        noise = k * 200 * math.sqrt(2 / math.pi) * math.sqrt(20 / gdp_budget(1.0, DELTA))
        assert effect.noise == pytest.approx(noise)
        assert effect.error == pytest.approx(lost + noise)


@pytest.mark.parametrize(("fit_epsilon", "expected"), [(1e-3, 1), (4.0, 3)])
def test_more_budget_for_the_fit_affords_a_larger_bound(fit_epsilon, expected, monkeypatch):
    silent(monkeypatch)
    sizes = np.repeat([1, 2, 3, 4], [4000, 3000, 2000, 1000])
    found = suggest_max_rows(
        table_of(sizes), "u", epsilon=1.0, delta=DELTA, largest=8, fit_epsilon=fit_epsilon, cells=200
    )
    assert found.recommended == expected
    assert f"max_rows: {expected}" in str(found)


def test_units_beyond_the_last_count_are_told_of(monkeypatch):
    silent(monkeypatch)
    sizes = np.repeat([1, 60], [500, 400])
    found = suggest_max_rows(table_of(sizes), "u", epsilon=1.0, delta=DELTA, largest=20)
    assert found.counts[-1] == 400
    assert found.open_ended
    assert "Some units have 20 rows or more" in str(found)
    assert found.effects[0].rows_lost.estimate < np.maximum(sizes - 1, 0).sum() / sizes.sum()


def test_the_picture_adds_up_and_fits_a_terminal(monkeypatch):
    silent(monkeypatch)
    sizes = np.repeat(np.arange(1, 100), np.arange(99, 0, -1))
    for largest in (2, 5, 11, 12, 50, 300):
        found = suggest_max_rows(table_of(sizes), "u", epsilon=1.0, delta=DELTA, largest=largest)
        histogram = str(found).split("max_rows")[0].splitlines()[2:-2]
        shown = [int(line.split()[-1].replace(",", "")) for line in histogram[:-1]]
        assert sum(shown) == sizes.size, histogram
        assert all(len(line) <= 80 for line in histogram)
        assert f"{largest} or more" in str(found)


@pytest.mark.statistical
def test_intervals_hold_as_often_as_they_say():
    """2,000 noisy histograms, seed fixed (it is the arithmetic that is tested): 95 % within 2 points."""
    rng = np.random.default_rng(7)
    truth = np.array([500.0, 200, 80, 40, 20, 10, 0, 3])
    rows = np.arange(1.0, 9.0)
    width = width_of(12.0, "gdp")
    kept = np.zeros(3)
    part, ones = np.maximum(rows - 2, 0), np.ones(8)
    for _ in range(2_000):
        noisy = truth + np.rint(rng.normal(0, 12.0, truth.size))
        number = sum_of(noisy, ones, width)
        cut = share_of(noisy, (rows > 2).astype(float), ones, width)
        lost = share_of(noisy, part, rows, width)
        kept += [
            number.low <= truth.sum() <= number.high,
            cut.low <= truth[2:].sum() / truth.sum() <= cut.high,
            lost.low <= (part @ truth) / (rows @ truth) <= lost.high,
        ]
    assert ((kept / 2_000 > 0.93) & (kept / 2_000 < 0.97)).all(), kept


@pytest.mark.statistical
def test_intervals_hold_under_laplace_noise_too():
    """2,000 noisy histograms, seed fixed: at least 94.5 % for one count, more for sums."""
    rng = np.random.default_rng(8)
    width, truth = width_of(12.0, "pure"), np.array([40.0, 300, 90, 20])
    weights = (np.array([0, 1.0, 0, 0]), np.ones(4))
    kept = np.zeros(2)
    for _ in range(2_000):
        noisy = truth + rng.laplace(0, 12.0 / math.sqrt(2), truth.size)
        found = [sum_of(noisy, w, width) for w in weights]
        kept += [f.low <= w @ truth <= f.high for f, w in zip(found, weights, strict=True)]
    assert 0.935 < kept[0] / 2_000 <= kept[1] / 2_000


@pytest.mark.parametrize("adjacency", ["add-remove", "replace-one"])
@pytest.mark.parametrize("delta", [0.0, DELTA])
def test_every_guarantee_can_be_bought_under(delta, adjacency, monkeypatch):
    silent(monkeypatch)
    monkeypatch.setattr("dpsynth.privacy.noise.discrete_laplace", lambda size, *_: np.zeros(size, np.int64))
    table = table_of(np.repeat([1, 2, 3], 500))
    found = suggest_max_rows(table, "u", epsilon=0.5, delta=delta, adjacency=adjacency, largest=4)
    (entry,) = found.entries
    sides = 1 if adjacency == "add-remove" else 2
    assert found.counts == (500, 500, 500, 0)
    assert found.epsilon_spent <= 0.5
    assert ("adjacency" in found.to_dict()["statement"]["guarantee"]) == (sides == 2)
    if delta:
        assert entry.act.sensitivity_squared == sides
        noise = math.sqrt(2 / math.pi) * math.sqrt(20 * sides / gdp_budget(1.0, delta))
    else:
        assert found.calculus == "pure"
        noise = 20 * sides / 1.0
    assert found.effects[0].noise == pytest.approx(200 * noise)


def test_an_interval_is_everything_where_noise_drowns_the_whole():
    noisy = np.array([3.0, -4.0, 1.0])
    share = share_of(noisy, np.array([0.0, 1.0, 1.0]), np.ones(3), width_of(50.0, "gdp"))
    assert (share.low, share.high) == (0.0, 1.0)
    assert 0 <= share.estimate <= 1


def test_effects_stay_possible_whatever_the_noise():
    rng = np.random.default_rng(0)
    for size in (2, 3, 40):
        for _ in range(50):
            for effect in effects_of(np.rint(rng.normal(0, 100, size)), 100.0, 1.0):
                for share in (effect.units_cut, effect.rows_lost):
                    assert 0 <= share.low <= share.estimate <= share.high <= 1
                assert effect.error >= effect.noise > 0


def test_a_unit_column_called_row_is_refused_since_the_promise_would_be_for_one_row() -> None:
    with pytest.raises(InputError, match="called row"):
        suggest_max_rows(pd.DataFrame({"row": [1, 1, 2]}), "row", epsilon=1.0, delta=1e-6)
