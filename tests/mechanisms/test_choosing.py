"""Forecasts of error, what they keep, and how they divide a budget between pairs and columns."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.mechanisms.choosing import TENTHS, Forecast, best_options, divide
from dpsynth.mechanisms.pairs import NOISE, Option
from dpsynth.privacy.marginal import Marginal

ROWS = 10_000


def option(pair, size):
    query = Marginal(pair, (np.arange(size), np.arange(size)))
    return Option(query, np.full(query.shape, ROWS // size**2), 0.0)


def ring(columns, sizes=(2, 6)):
    return [option(p, s) for p in itertools.combinations(range(columns), 2) for s in sizes]


def told(options, gains, chosen, power, columns):
    """The error of every pair, from the definition."""
    total, whole = 0.0, sum(options[i].query.cells ** (2 / 3) for i in chosen)
    for pair in {o.query.columns: None for o in options}:
        mine = [i for i, o in enumerate(options) if o.query.columns == pair]
        finest = max(gains[i] for i in mine)
        left = finest
        for i in set(mine) & set(chosen):
            cells = options[i].query.cells
            sigma = math.sqrt(whole / (power * cells ** (2 / 3)))
            a = 0.65 * np.minimum(NOISE * sigma, options[i].reference).sum()
            shrunk = a * gains[i] / math.hypot(a, gains[i]) if gains[i] else 0.0
            left = math.hypot(shrunk, 0.1 * NOISE * sigma * cells) + finest - gains[i]
        total += math.hypot(left, *columns[list(pair)])
    return total


@st.composite
def cases(draw):
    columns = draw(st.integers(2, 5))
    options = ring(columns)
    gains = [draw(st.sampled_from([0.0, 40.0]) | st.floats(0, ROWS)) for _ in options]
    chosen = [i + draw(st.integers(0, 1)) for i in range(0, len(options), 2) if draw(st.booleans())]
    errors = np.array([draw(st.floats(0, 2_000)) for _ in range(columns)])
    return options, np.array(gains), chosen, 10.0 ** draw(st.floats(-7, 2)), errors


@given(cases())
def test_the_error_is_that_of_the_definition(case):
    options, gains, chosen, power, columns = case
    error, spared = Forecast(options, gains).error(chosen, power, columns)
    assert error == pytest.approx(told(options, gains, chosen, power, columns), rel=1e-9, abs=1e-6)
    nothing = told(options, gains, (), power, columns)
    assert nothing - spared.sum() == pytest.approx(error, rel=1e-9, abs=1e-6)


@given(cases())
def test_dropping_never_makes_it_worse_and_keeps_only_what_was_there(case):
    options, gains, chosen, power, columns = case
    error, kept = Forecast(options, gains).worth_keeping(chosen, power, columns)
    assert set(kept) <= set(chosen)
    assert error == pytest.approx(told(options, gains, kept, power, columns), rel=1e-9, abs=1e-6)
    most = min(told(options, gains, some, power, columns) for some in (chosen, ()))
    assert error <= most * (1 + 1e-9) + 1e-6


def test_pairs_that_only_bring_noise_are_dropped_from_among_those_that_tell_something():
    options = ring(12, sizes=(4,))
    gains = np.where(np.arange(len(options)) < 6, 4_000.0, 20.0)
    _, kept = Forecast(options, gains).worth_keeping(range(len(options)), 1e-2, np.full(12, 50.0))
    assert sorted(kept) == list(range(6))


def division(gains, power, errors=300.0, had=1.0):
    """Columns had ``had`` of the power in question; their error falls with the root of what they get."""
    options = ring(6)
    return divide(
        Forecast(options, np.repeat(gains, 2)),
        power,
        lambda more: np.full(6, errors / math.sqrt(1 + more / (had * power))),
        lambda part: best_options(options, np.repeat(gains, 2), part, 0.7),
    )


def test_strong_pairs_get_all_weak_ones_little_and_noise_none():
    strong = np.full(15, 3_000.0)
    assert division(strong, 1.0, errors=1.0) == (TENTHS, pytest.approx(range(0, 30, 2)))
    assert division(strong, 1e-7) == (0, [])
    assert division(np.zeros(15), 1.0) == (0, [])
    one = np.array([3_000.0, *[0.0] * 14])
    tenths, chosen = division(one, 0.01)
    assert 0 < tenths < TENTHS
    assert chosen == [0]


def test_where_forecasts_are_alike_columns_come_first():
    """Columns without error gain nothing from a budget; those of pairs that are found anyhow lose nothing."""
    tenths, _ = division(np.full(15, 3_000.0), 1e9, errors=3_000.0, had=1e9)
    assert tenths < TENTHS
