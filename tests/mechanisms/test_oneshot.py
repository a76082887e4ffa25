"""One shot: the choice against exhaustive search, the shares, the plan, and what it finds."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.domain import Axis, Domain
from dpsynth.errors import GuaranteeError
from dpsynth.mechanisms import MECHANISMS
from dpsynth.mechanisms import oneshot as module
from dpsynth.mechanisms.choosing import best_options
from dpsynth.mechanisms.mechanism import AGAIN, INSTEAD, ONE_WAYS
from dpsynth.mechanisms.oneshot import Settings, one_shot
from dpsynth.mechanisms.pairs import NOISE, PAIRS, PAIRS_AGAIN, SCORES, Option
from dpsynth.mechanisms.triples import TRIPLES
from dpsynth.model.network import NetworkModel
from dpsynth.privacy.curator import Marginal
from tests.mechanisms.harness import chain, curator_for, fit, random_table, run, script_noise
from tests.strategies.models import domains

# ---- the choice ------------------------------------------------------------------------------------------


def option(pair, cells):
    query = Marginal(pair, (np.arange(2), np.arange(cells // 2)))
    return Option(query, np.zeros(query.shape, dtype=np.int64), 0.0)


def worth(chosen, options, gains, power, weight):
    """The objective of the module's docstring."""
    used = sum((weight * NOISE * options[i].query.cells) ** (2 / 3) for i in chosen)
    return sum(gains[i] for i in chosen) - used**1.5 / math.sqrt(power)


@st.composite
def choices(draw):
    """Up to four pairs of up to three resolutions; gains often alike."""
    columns = draw(st.integers(2, 3))
    options, gains = [], []
    for pair in itertools.combinations(range(columns), 2):
        for cells in draw(st.sets(st.sampled_from([4, 8, 32, 128]), min_size=1, max_size=3)):
            options.append(option(pair, cells))
            gains.append(draw(st.sampled_from([0.0, 1.0, 10.0, 11.0]) | st.floats(0, 1_000)))
    return (
        options,
        np.array(gains),
        draw(st.sampled_from([1e-6, 1e-3, 0.1, 1.0, 10.0, 1e6])),
        draw(st.sampled_from([0.05, 0.3, 0.7])),
    )


@settings(max_examples=300)
@given(choices())
def test_the_choice_is_within_a_hundredth_of_the_best_subset(choice):
    """Oracle: every combination of at most one option a pair."""
    options, gains, power, weight = choice
    chosen = best_options(options, gains, power, weight)
    pairs = [options[i].query.columns for i in chosen]
    assert len(set(pairs)) == len(pairs)
    groups = {}
    for i, o in enumerate(options):
        groups.setdefault(o.query.columns, [None]).append(i)
    best = max(
        worth([i for i in c if i is not None], options, gains, power, weight)
        for c in itertools.product(*groups.values())
    )
    found = worth(chosen, options, gains, power, weight)
    assert found >= 0.99 * best - 1e-9
    alone = max(worth([i], options, gains, power, weight) for i in range(len(options)))
    assert found >= max(alone, 0.0) - 1e-9


def test_alike_pairs_that_are_not_worth_it_together_are_taken_one_by_one():
    """One unit price for all would take all four or none; two are best."""
    options = [option(pair, 32) for pair in ((0, 1), (2, 3), (4, 5), (6, 7))]
    size = (0.3 * NOISE * 32) ** (2 / 3)
    gains = np.full(4, 2.2 * size**1.5)
    chosen = best_options(options, gains, 1.0, 0.3)
    assert len(chosen) == 2


def test_what_costs_nothing_is_all_taken_at_the_best_resolution_and_what_brings_nothing_is_left():
    options = [option(pair, cells) for pair in ((0, 1), (0, 2), (1, 2)) for cells in (4, 32)]
    gains = np.array([5.0, 9.0, 9.0, 5.0, 0.0, 0.0])
    assert best_options(options, gains, 1e30, 0.3) == [1, 2]
    assert best_options(options, gains, 1e-30, 0.3) == []
    assert best_options(options, np.zeros(6), 1.0, 0.3) == []


# ---- shares and plan -------------------------------------------------------------------------------------


@given(st.floats(0, 1e15), st.floats(0, 1e15))
def test_the_share_of_one_ways_falls_with_the_signal_and_keeps_to_its_bounds(a, b):
    chosen = Settings(least=Fraction(1, 5), most=Fraction(3, 5))
    low, high = sorted((a, b))
    assert Fraction(1, 5) <= chosen.one_ways(high) <= chosen.one_ways(low) <= Fraction(3, 5)
    assert Settings().one_ways(0.0) == Settings().most
    assert Settings().one_ways(1e15) == Settings().least


@pytest.mark.parametrize(
    "shares",
    [
        {"least": Fraction(0)},
        {"least": Fraction(4, 5)},
        {"selection": Fraction(0)},
        {"selection": Fraction(-1, 20)},
        {"most": Fraction(19, 20)},
    ],
)
def test_shares_that_leave_nothing_are_refused(shares):
    with pytest.raises(GuaranteeError, match="leave something for the pairs"):
        Settings(**shares)


def assert_within_plan(curator, stages):
    """Acts, cells and noise of every stage; a stage may use what those before it left."""
    named = {s.purpose: s for s in stages}
    entries = curator.entries
    assert {e.purpose for e in entries} <= {*named, PAIRS_AGAIN}
    at, cumulative, spent = 0, 0.0, Fraction(0)
    for stage in stages:
        purposes = {stage.purpose} | {TRIPLES: {PAIRS_AGAIN}}.get(stage.purpose, set())
        mine = list(itertools.takewhile(lambda e, p=purposes: e.purpose in p, entries[at:]))
        at += len(mine)
        assert len({e.purpose for e in mine}) <= 1
        assert len(mine) <= stage.acts
        assert sum(e.cells for e in mine) <= stage.cells
        low, high = stage.sigma
        assert all(low * (1 - 1e-9) <= e.act.sigma <= high * (1 + 1e-9) for e in mine)
        cumulative, spent = cumulative + stage.share, spent + sum(e.price for e in mine)
        assert float(spent) <= cumulative * float(curator.budget) * (1 + 1e-9)
    assert at == len(entries)
    assert cumulative == pytest.approx(1, abs=1e-12)
    assert Fraction(999, 1000) * curator.budget <= curator.spent <= curator.budget


@settings(max_examples=20)
@given(
    domains(min_columns=1, max_columns=6, max_size=300),
    st.sampled_from([0, 1, 30, 3_000]),
    st.sampled_from([1e-3, 0.3, 3.0, 100.0]),
    st.sampled_from([(1, "exact"), (3, "exact"), (2, "opendp")]),
    st.integers(0, 2**32 - 1),
)
def test_the_plan_brackets_what_happens(domain, rows, epsilon, unit, seed):
    rng = np.random.default_rng(seed)
    first = rng.random(rows)
    codes = [np.minimum((first if rng.random() < 0.5 else rng.random(rows)) * s, s - 1) for s in domain.sizes]
    with pytest.MonkeyPatch.context() as patch:
        script_noise(patch, seed)
        table = (domain, [c.astype(np.int64) for c in codes])
        curator = curator_for(table, epsilon=epsilon, rows_per_unit=unit[0], backend=unit[1])
        power = float(curator.budget) * (1 if curator.calculus == "gdp" else 2)
        stages = MECHANISMS["oneshot"].plan(domain, power, unit[0])
        measured = run("oneshot", curator)
        assert_within_plan(curator, stages)
        model = fit(domain, measured)
    assert all(c.size == 9 for c in model.sample(9, rng))


@pytest.mark.parametrize("rows", [0, 1, 400])
@pytest.mark.parametrize("columns", [1, 2, 30])
def test_few_and_many_columns_no_row_and_one(rows, columns, monkeypatch):
    script_noise(monkeypatch, 5)
    curator = curator_for(random_table([2 + i % 7 for i in range(columns)], rows))
    measured = run("oneshot", curator)
    assert {m.query.columns for m in measured.one_ways} == {(c,) for c in range(columns)}
    assert curator.spent >= Fraction(999, 1000) * curator.budget
    assert_within_plan(curator, MECHANISMS["oneshot"].plan(curator.domain, float(curator.budget), 1))
    if columns == 1:
        assert [e.purpose for e in curator.entries] == [ONE_WAYS]
    assert all(c.size == 5 for c in fit(curator.domain, measured).sample(5, np.random.default_rng(0)))


def test_where_no_pair_is_worth_measuring_the_columns_get_the_rest(monkeypatch):
    """Exactly independent rows and no noise: every distance is zero."""
    script_noise(monkeypatch, None)
    cells = np.array(list(itertools.product(range(4), repeat=3)) * 20).T
    curator = curator_for((Domain(tuple(Axis(f"c{i}", 4) for i in range(3))), list(cells)))
    measured = run("oneshot", curator)
    assert not measured.tables
    assert [e.purpose for e in curator.entries[-3:]] == [INSTEAD] * 3
    assert PAIRS not in {e.purpose for e in curator.entries}
    assert len(measured.one_ways) == len(curator.entries) - sum(e.purpose == SCORES for e in curator.entries)
    assert_within_plan(curator, MECHANISMS["oneshot"].plan(curator.domain, float(curator.budget), 1))


def test_the_same_noise_gives_the_same_answers(monkeypatch):
    found = []
    for _ in range(2):
        script_noise(monkeypatch, 11)
        curator = curator_for(chain())
        measured = run("oneshot", curator)
        found.append(([m.values.tolist() for m in (*measured.one_ways, *measured.tables)], curator.entries))
    assert found[0] == found[1]


@pytest.mark.parametrize("rows_per_unit", [1, 5])
@pytest.mark.parametrize("backend", ["exact", "opendp"])
def test_the_noise_reckoned_with_is_the_noise_that_comes(rows_per_unit, backend, monkeypatch):
    """The choice weighs noise by ``power``; what is bought has ``sum of 1/sigma**2`` of one such power."""
    script_noise(monkeypatch, 9)
    powers = []

    def spy(options, gains, power, weight):
        powers.append(power)
        return choose(options, gains, power, weight)

    choose = module.best_options
    monkeypatch.setattr(module, "best_options", spy)
    measured = run("oneshot", curator_for(chain(), rows_per_unit=rows_per_unit, backend=backend))
    assert measured.tables
    bought = sum(m.sigma**-2 for m in measured.tables)
    assert min(abs(bought / power - 1) for power in powers) < 1e-9
    prices = np.array([m.sigma**-2 for m in measured.tables])
    weights = np.array([m.values.size ** (2 / 3) for m in measured.tables])
    np.testing.assert_allclose(prices / prices.sum(), weights / weights.sum(), rtol=1e-9)


@pytest.mark.parametrize("resolutions", [(), (16,), (32, 128)])
@pytest.mark.parametrize(
    ("least", "most"), [("1/2", "1/2"), ("1/3", "1/2"), ("0.339", "0.3395"), ("0.25", "0.9")]
)
@pytest.mark.parametrize("rows", [0, 3_000, 300_000])
def test_the_plan_follows_the_settings(resolutions, least, most, rows, monkeypatch):
    script_noise(monkeypatch, 2)
    shares = {"least": Fraction(least), "most": Fraction(most), "selection": Fraction(1, 20)}
    mechanism = one_shot(Settings(**shares, resolutions=resolutions))
    curator = curator_for(random_table([40, 30, 9, 2], rows))
    stages = mechanism.plan(curator.domain, float(curator.budget), 1)
    assert stages[0].share == pytest.approx(float(Fraction(least)))
    assert (AGAIN in {s.purpose for s in stages}) == (least != most)
    mechanism.run(curator, lambda stage, done: None)
    assert_within_plan(curator, stages)


# ---- what it finds ---------------------------------------------------------------------------------------


def loop(rows=20_000, columns=3, size=4, seed=0):
    """Columns in a ring: neighbours are equal or one apart more often than not."""
    rng = np.random.default_rng(seed)
    step = np.exp(-2.0 * np.minimum(np.arange(size), size - np.arange(size)))
    near = step[(np.arange(size)[:, None] - np.arange(size)[None, :]) % size]
    joint = np.ones((size,) * columns)
    for a in range(columns):
        b = (a + 1) % columns
        joint = joint * near.reshape([size if c in (a, b) else 1 for c in range(columns)])
    cells = rng.choice(joint.size, rows, p=(joint / joint.sum()).ravel())
    codes = list(np.unravel_index(cells, joint.shape))
    return Domain(tuple(Axis(f"c{i}", size) for i in range(columns))), codes


@pytest.mark.parametrize("columns", [3, 5])
def test_a_planted_loop_is_recovered_and_better_than_by_a_tree(columns, monkeypatch):
    """Epsilon 100: the loop's pairs within 0.01 of total variation; a tree must leave one of them out."""
    domain, codes = loop(columns=columns)
    worst = {}
    for name in ("oneshot", "mst"):
        script_noise(monkeypatch, 4)
        measured = run(name, curator_for((domain, codes), epsilon=100.0))
        model = fit(domain, measured)
        gaps = []
        for pair in ((a, (a + 1) % columns) for a in range(columns)):
            true = np.bincount(codes[pair[0]] * 4 + codes[pair[1]], minlength=16).reshape(4, 4)
            gaps.append(np.abs(model.marginal(pair) / model.total - true / true.sum()).sum() / 2)
        worst[name] = max(gaps)
        if name == "oneshot":
            assert isinstance(model, NetworkModel)
            rows = model.sample(20_000, np.random.default_rng(0))
            assert np.mean(np.abs(rows[0] - rows[-1]) % 4 == 0) == pytest.approx(
                np.mean(codes[0] == codes[-1]), abs=0.01
            )
    assert worst["oneshot"] < 0.01
    assert worst["mst"] > 5 * worst["oneshot"]
