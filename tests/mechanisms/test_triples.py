"""Sets of three columns: which are looked at, what they are compared with, and that they are found."""

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
from dpsynth.mechanisms import triples as module
from dpsynth.mechanisms.oneshot import Settings, one_shot
from dpsynth.mechanisms.pairs import PAIRS_AGAIN
from dpsynth.mechanisms.triples import LARGEST_TRIPLE, SCORES_OF_TRIPLES, TRIPLES, triple_options
from dpsynth.model.levels import nested_levels
from dpsynth.model.structure import fit_network
from tests.mechanisms.harness import curator_for, fit, script_noise
from tests.strategies.models import edges_of, marginal_of


def interacting(rows=60_000, seed=0):
    """The third column is the sum of the others where a fourth says so; pairs tell a part of it."""
    rng = np.random.default_rng(seed)
    a, b, d = rng.integers(0, 4, rows), rng.integers(0, 4, rows), rng.integers(0, 2, rows)
    c = np.where(d == 1, (a + b) % 4, np.maximum(a, b))
    return Domain((Axis("a", 4), Axis("b", 4), Axis("c", 4), Axis("d", 2))), [a, b, c, d]


def network(sizes=(6, 5, 4, 3), pairs=((0, 1), (1, 2), (0, 2)), seed=0):
    rng = np.random.default_rng(seed)
    joint = rng.dirichlet(np.full(int(np.prod(sizes)), 0.3)).reshape(sizes)
    domain = Domain(tuple(Axis(f"c{i}", s) for i, s in enumerate(sizes)))
    groups = [(np.arange(s),) for s in sizes]
    nodes = tuple(marginal_of(joint, (c,)) for c in range(len(sizes)))
    return fit_network(domain, 1e4, nodes, edges_of(joint, pairs, groups, rng))


def levels_of(model):
    return [nested_levels(axis, 1e4 * node) for axis, node in zip(model.domain, model.nodes, strict=True)]


def options_of(model, *, total=1e4, sigma=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return triple_options(levels_of(model), model, total=total, sigma=sigma, rng=rng)


def test_only_sets_with_two_dependent_pairs_are_looked_at():
    assert {o.query.columns for o in options_of(network())} == {(0, 1, 2)}
    star = {(0, 1, 2), (0, 1, 3), (0, 2, 3)}
    assert {o.query.columns for o in options_of(network(pairs=((0, 1), (0, 2), (0, 3), (1, 2))))} == star
    assert options_of(network(pairs=((0, 1), (2, 3)))) == []


@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 137.0, 5e3, 1e6]))
def test_references_are_whole_rows_of_the_model_and_resolutions_go_from_coarse_to_fine(seed, total):
    options = options_of(network(sizes=(9, 7, 5, 2), seed=seed), total=total, seed=seed)
    for _, same in itertools.groupby(options, key=lambda o: o.query.columns):
        cells = [o.query.cells for o in same]
        assert cells == sorted(set(cells))
        assert cells[-1] <= LARGEST_TRIPLE
    for option in options:
        assert option.reference.dtype == np.int64
        assert option.reference.shape == option.query.shape
        assert option.reference.min() >= 0
        assert option.reference.sum() == pytest.approx(max(1, total), abs=option.query.cells / 2 + 1)


def test_the_stray_is_what_two_tables_of_chance_differ_by():
    """Rows drawn independently from the model against the model's own: within a fifth, over all options."""
    model = network(pairs=tuple(itertools.combinations(range(4), 2)))
    options = options_of(model)
    rows = model.sample(10_000, np.random.default_rng(9), method="iid")
    other = model.sample(10_000, np.random.default_rng(10), method="iid")
    found = expected = 0.0
    for option in options:
        tables = []
        for drawn in (rows, other):
            codes = [g[drawn[c]] for c, g in zip(option.query.columns, option.query.groups, strict=True)]
            cells = np.ravel_multi_index(codes, option.query.shape)
            tables.append(np.bincount(cells, minlength=option.query.cells))
        found, expected = found + np.abs(tables[0] - tables[1]).sum(), expected + option.stray
    assert 0.8 < found / expected < 1.2


def test_options_whose_noise_would_drown_any_signal_are_left_out_but_for_the_coarsest():
    model = network(sizes=(40, 30, 20, 2), pairs=((0, 1), (1, 2), (0, 2)))
    assert len(options_of(model)) > 1
    assert len(options_of(model, sigma=1e9)) == 1


def test_no_more_sets_than_the_limit_are_looked_at(monkeypatch):
    monkeypatch.setattr(module, "CANDIDATES", 2)
    found = {o.query.columns for o in options_of(network(pairs=tuple(itertools.combinations(range(4), 2))))}
    assert len(found) == 2


def test_an_interaction_is_measured_and_lowers_the_error(monkeypatch):
    script_noise(monkeypatch, 4)
    table = interacting()
    errors = {}
    for part in (Fraction(0), Fraction(3, 10)):
        curator = curator_for(table, epsilon=10.0)
        measured = one_shot(Settings(larger=part)).run(curator, lambda stage, done: None)
        drawn = fit(table[0], measured).sample(60_000, np.random.default_rng(0))
        truth, found = np.zeros((4, 4, 4)), np.zeros((4, 4, 4))
        np.add.at(truth, tuple(table[1][:3]), 1 / 60_000)
        np.add.at(found, tuple(drawn[:3]), 1 / 60_000)
        errors[part] = np.abs(truth - found).sum() / 2
        triples = [m for m in measured.tables if len(m.query.columns) == 3]
        assert bool(triples) == bool(part)
        assert bool(part) == any(e.purpose == TRIPLES for e in curator.entries)
    assert errors[Fraction(3, 10)] < 0.3 * errors[Fraction(0)]


def test_without_an_interaction_the_pairs_are_measured_again(monkeypatch):
    """Two dependent columns beside two independent ones: no set of three has two dependent pairs."""
    script_noise(monkeypatch, None)
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 80_000)
    table = (
        Domain(tuple(Axis(n, 4) for n in "abcd")),
        [a, a, rng.integers(0, 4, a.size), rng.integers(0, 4, a.size)],
    )
    curator = curator_for(table, epsilon=10.0)
    measured = one_shot(Settings()).run(curator, lambda stage, done: None)
    purposes = [e.purpose for e in curator.entries]
    assert PAIRS_AGAIN in purposes
    assert TRIPLES not in purposes
    assert all(len(m.query.columns) == 2 for m in measured.tables)


def test_where_rows_are_few_nothing_is_kept(monkeypatch):
    script_noise(monkeypatch, 1)
    curator = curator_for(interacting(rows=2_000), epsilon=1.0)
    one_shot(Settings()).run(curator, lambda stage, done: None)
    assert SCORES_OF_TRIPLES not in {e.purpose for e in curator.entries}


@given(st.floats(0, 1e15), st.floats(0, 1e15))
def test_the_part_kept_grows_with_the_signal(a, b):
    low, high = sorted((a, b))
    chosen = Settings()
    assert 0 <= chosen.triples(low) <= chosen.triples(high) <= chosen.larger
    assert chosen.triples(1e15) == chosen.larger
    assert chosen.triples(1e4) == 0


@pytest.mark.parametrize("part", [Fraction(-1, 10), Fraction(1), Fraction(2)])
def test_a_part_that_is_none_is_refused(part):
    with pytest.raises(GuaranteeError, match="sets of three columns must be"):
        Settings(larger=part)


def test_the_plan_names_the_part():
    domain = interacting(rows=1)[0]
    stages = {s.purpose: s for s in one_shot(Settings()).plan(domain, 2.0, 1)}
    assert f"up to {100 * Settings().larger} %" in stages[SCORES_OF_TRIPLES].note
    assert stages[TRIPLES].acts == max(math.comb(4, 3), math.comb(4, 2))
    assert TRIPLES not in {s.purpose for s in one_shot(Settings(larger=Fraction(0))).plan(domain, 2.0, 1)}
