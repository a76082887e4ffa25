"""The spanning tree: what it finds, what it leaves, and what it does when there is nothing to find."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.domain import Axis, Domain
from dpsynth.errors import GuaranteeError
from dpsynth.evaluate.fidelity import mean_total_variation
from dpsynth.mechanisms import MECHANISMS
from dpsynth.mechanisms import mst as module
from dpsynth.mechanisms.mechanism import INSTEAD, one_way_budgets
from dpsynth.mechanisms.mst import Settings, spanning_tree
from dpsynth.mechanisms.pairs import COARSEST, RESOLUTIONS, Option, pair_options
from dpsynth.model.levels import nested_levels
from dpsynth.model.structure import fit_model
from dpsynth.privacy.curator import Marginal
from tests.mechanisms.harness import chain, curator_for, random_table, run, script_noise
from tests.strategies.models import domains


def pairs_of(measured):
    return {tuple(sorted(m.query.columns)) for m in measured.tables}


def test_a_planted_chain_is_found():
    """Real noise. Neighbours' distance from independence is above 5,000 of 8,000 rows and others' are at
    least 1,000 less, against noise of sigma 3: false alarm far below 1e-9.
    """
    measured = run("mst", curator_for(chain(rows=8_000, columns=6), epsilon=50.0))
    assert pairs_of(measured) == {(i, i + 1) for i in range(5)}


@pytest.mark.parametrize("epsilon", [0.5, 5.0])
def test_it_beats_the_independent_baseline_on_two_way_marginals(epsilon, monkeypatch):
    script_noise(monkeypatch, 4)
    domain, codes = chain(rows=10_000)
    errors = {}
    for name in ("independent", "mst"):
        measured = run(name, curator_for((domain, codes), epsilon=epsilon))
        model = fit_model(domain, measured.one_ways, measured.tables)
        rows = model.sample(10_000, np.random.default_rng(0))
        errors[name] = mean_total_variation(codes, rows, domain.sizes, 2)
    assert errors["mst"] < 0.35 * errors["independent"]


def factorial(size=4, columns=3, copies=20):
    """Every combination of codes equally often: exactly independent."""
    cells = np.array(list(itertools.product(range(size), repeat=columns)) * copies).T
    return Domain(tuple(Axis(f"c{i}", size) for i in range(columns))), list(cells)


def test_where_no_pair_is_worth_measuring_the_columns_get_the_rest(monkeypatch):
    script_noise(monkeypatch, None)
    curator = curator_for(factorial())
    measured = run("mst", curator)
    assert not measured.tables
    assert len(measured.one_ways) == 6
    assert [e.purpose for e in curator.entries[-3:]] == [INSTEAD] * 3
    assert curator.spent >= Fraction(999, 1000) * curator.budget
    model = fit_model(curator.domain, measured.one_ways, measured.tables)
    np.testing.assert_allclose(np.concatenate(model.nodes), 0.25, atol=0.01)


def test_edges_make_a_forest_and_share_by_the_two_thirds_rule(monkeypatch):
    script_noise(monkeypatch, 8)
    measured = run("mst", curator_for(chain(columns=7)))
    assert 1 <= len(measured.tables) <= 6
    assert len(pairs_of(measured)) == len(measured.tables)
    prices = np.array([m.sigma**-2 for m in measured.tables])
    weights = np.array([m.values.size ** (2 / 3) for m in measured.tables])
    np.testing.assert_allclose(prices / prices.sum(), weights / weights.sum(), rtol=1e-9)


@pytest.mark.parametrize("rows_per_unit", [1, 5])
@pytest.mark.parametrize("backend", ["exact", "opendp"])
def test_the_noise_reckoned_with_is_the_noise_that_comes(rows_per_unit, backend, monkeypatch):
    """The choice weighs noise by ``power``; what is bought has ``sum of 1/sigma**2 = power``."""
    script_noise(monkeypatch, 9)
    powers = []

    def spy(options, gains, power, weight):
        powers.append(power)
        return best_forest(options, gains, power, weight)

    best_forest = module._best_forest
    monkeypatch.setattr(module, "_best_forest", spy)
    measured = run("mst", curator_for(chain(), rows_per_unit=rows_per_unit, backend=backend))
    assert sum(m.sigma**-2 for m in measured.tables) == pytest.approx(powers[0], rel=1e-9)


@given(domains(max_columns=6, max_size=5_000), st.fractions(Fraction(1, 10**12), 100))
def test_one_way_budgets_are_the_whole_in_proportion(domain, budget):
    shares = one_way_budgets(domain, budget)
    assert sum(shares) == budget
    weights = [min(s, 1024) ** (2 / 3) for s in domain.sizes]
    for share, weight in zip(shares, weights, strict=True):
        assert float(share / budget) == pytest.approx(weight / sum(weights), rel=1e-5)


@given(st.integers(1, 700), st.integers(1, 700), st.floats(1, 1e6), st.integers(0, 99))
def test_a_pairs_options_go_from_coarse_to_fine_within_the_plan(a, b, rows, seed):
    rng = np.random.default_rng(seed)
    domain = Domain((Axis("a", a, a), Axis("b", b)))
    counts = [rows * rng.dirichlet(np.full(s, 0.3)) for s in (a, b)]
    levels = [nested_levels(axis, c) for axis, c in zip(domain, counts, strict=True)]
    options = pair_options(levels, counts, total=rows, sigma=1.0, resolutions=RESOLUTIONS)
    cells = [o.query.cells for o in options]
    assert cells == sorted(set(cells))
    assert max(cells[1:], default=0) <= 8192
    assert cells[0] <= COARSEST
    least, most = module._table_sizes(Settings(), domain)
    assert least <= cells[0]
    assert cells[-1] <= most[0]
    for option in options:
        assert option.reference.shape == option.query.shape
        assert (option.reference >= 0).all()
        assert 0 <= option.stray < math.inf
    scores = MECHANISMS["mst"].plan(domain, 1.0, 1)[1]
    assert len(options) <= scores.cells


@given(st.integers(2, 5), st.data())
def test_without_a_price_the_choice_is_the_heaviest_forest(columns, data):
    """Oracle: every subset of pairs, each with the better of its two options."""
    pairs = list(itertools.combinations(range(columns), 2))
    options, gains = [], []
    for pair in pairs:
        for groups in (2, 3):
            query = Marginal(pair, (np.arange(groups), np.arange(groups)))
            options.append(Option(query, np.zeros((groups, groups), dtype=np.int64), 0.0))
            gains.append(data.draw(st.sampled_from([0.0, 1.0, 2.5, 7.0, 100.0])))
    chosen = module._best_forest(options, np.array(gains), power=1e30, weight=0.3)
    assert is_forest([options[i].query.columns for i in chosen])
    best = {p: max(gains[2 * i], gains[2 * i + 1]) for i, p in enumerate(pairs)}
    heaviest = max(
        sum(best[p] for p in subset)
        for k in range(columns)
        for subset in itertools.combinations(pairs, k)
        if is_forest(subset)
    )
    assert sum(gains[i] for i in chosen) == pytest.approx(heaviest)


def is_forest(pairs):
    part = {}
    for a, b in pairs:
        here, there = part.get(a, a), part.get(b, b)
        if here == there:
            return False
        part = {c: here if p == there else p for c, p in {a: here, b: there, **part}.items()}
    return True


def test_a_price_above_every_gain_buys_nothing():
    query = Marginal((0, 1), (np.arange(2), np.arange(2)))
    option = Option(query, np.zeros((2, 2), dtype=np.int64), 0.0)
    assert module._best_forest([option], np.array([1.0]), power=1e-9, weight=0.3) == []


def test_settings_change_the_shares():
    stages = spanning_tree(Settings(one_ways=Fraction(1, 3), selection=Fraction(1, 3))).plan(
        random_table([3, 4, 5], 0)[0], 1.0, 1
    )
    assert [s.share for s in stages] == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(
    "shares",
    [
        {"one_ways": Fraction(0)},
        {"selection": Fraction(-1, 10)},
        {"one_ways": Fraction(1, 2), "selection": Fraction(1, 2)},
    ],
)
def test_shares_that_leave_nothing_are_refused(shares):
    with pytest.raises(GuaranteeError, match="positive and sum below 1"):
        Settings(**shares)
