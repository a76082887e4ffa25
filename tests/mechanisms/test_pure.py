"""Mechanisms under pure epsilon: what they choose, how they divide epsilon, when they stop."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from dpsynth.domain import Axis, Domain
from dpsynth.errors import GuaranteeError
from dpsynth.mechanisms import MECHANISMS, pure_network, pure_tree
from dpsynth.mechanisms.mechanism import INSTEAD, one_way_budgets, planned, size_rule, useful_rows
from dpsynth.mechanisms.pairs import PAIRS
from dpsynth.mechanisms.pure import CHOICES, laplace_sigma, nothing
from dpsynth.privacy.acts import DiscreteLaplace
from dpsynth.privacy.guarantee import Guarantee
from tests.mechanisms.harness import chain, curator_for, random_table, run, script_noise

LINKS = {(i, i + 1) for i in range(4)}


def joints_of(measured):
    return {m.query.columns for m in measured.tables}


def test_a_chain_is_found_as_a_tree(monkeypatch):
    script_noise(monkeypatch, 1)
    curator = curator_for(chain(rows=20_000), epsilon=5.0, delta=0.0)
    measured = run("mst", curator)
    assert joints_of(measured) == LINKS
    chosen = [e for e in curator.entries if e.purpose == CHOICES]
    assert len(chosen) == 4
    assert [e.act.candidates for e in chosen] == sorted((e.act.candidates for e in chosen), reverse=True)
    assert sum(e.price for e in chosen) <= curator.budget * Fraction(3, 20)


def test_a_chain_is_found_as_a_network(monkeypatch):
    """Each joint table adds one column and holds a neighbour of it."""
    script_noise(monkeypatch, 1)
    curator = curator_for(chain(rows=20_000), epsilon=5.0, delta=0.0)
    inside = set()
    for measured in run("privbayes", curator).tables:
        columns = set(measured.query.columns)
        (added,) = columns - inside if inside else {max(columns)}
        assert any(abs(added - c) == 1 for c in columns - {added})
        inside |= columns
    assert inside == set(range(5))


def test_parents_lie_in_one_table_measured_before(monkeypatch):
    """Column 3 is the parity of 0 and 2, and depends on no single column: it is shown by two parents."""
    rng = np.random.default_rng(3)
    first, third = rng.integers(0, 2, 40_000), rng.integers(0, 2, 40_000)
    second = np.where(rng.random(40_000) < 0.7, first, third)
    table = Domain(tuple(Axis(f"c{i}", 2) for i in range(4))), [first, second, third, first ^ third]
    script_noise(monkeypatch, 2)
    measured = run("privbayes", curator_for(table, epsilon=5.0, delta=0.0))
    tables = [set(m.query.columns) for m in measured.tables]
    assert [len(t) for t in tables if 3 in t] == [3]
    before = [*tables]
    last = before.pop()
    while before:
        new = last - set().union(*before)
        assert len(new) == 1
        assert any(last - new <= t for t in before)
        last = before.pop()


@pytest.mark.parametrize("name", ["mst", "privbayes"])
def test_where_nothing_depends_columns_are_measured_again(name, monkeypatch):
    """Without noise "none of these" is the best candidate at once; the rest of epsilon is not lost."""
    script_noise(monkeypatch, None)
    curator = curator_for(random_table([4, 4, 4], 3_000), delta=0.0)
    measured = run(name, curator)
    assert not measured.tables
    assert [e.purpose for e in curator.entries].count(CHOICES) == 1
    assert [e.purpose for e in curator.entries].count(INSTEAD) == 3
    assert curator.spent >= Fraction(999, 1000) * curator.budget


def test_edges_stop_where_none_is_worth_its_noise(monkeypatch):
    """Of three columns two depend: one edge, and it gets all that is left."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 4, 5_000)
    table = Domain(tuple(Axis(f"c{i}", 4) for i in range(3))), [first, rng.integers(0, 4, 5_000), first]
    script_noise(monkeypatch, None)
    curator = curator_for(table, delta=0.0)
    assert joints_of(run("mst", curator)) == {(0, 2)}
    assert curator.entries[-1].purpose == PAIRS
    rest = curator.budget * Fraction(35, 100)
    assert rest <= curator.entries[-1].price <= rest + curator.budget * Fraction(3, 20)


def test_none_of_these_is_the_number_of_rows_against_its_estimate():
    query, reference = nothing(Domain((Axis("a", 3), Axis("b", 2))), 41.6)
    assert (query.columns, query.shape, reference.tolist()) == ((0,), (1,), [42])


def test_shares_follow_the_size_of_a_table():
    """``sum n / x`` under ``sum x = 1`` is least at ``n**(1/2)``: no other power of n does better."""
    domain = Domain(tuple(Axis(f"c{s}", s) for s in (2, 9, 100)))
    shares = one_way_budgets(domain, Fraction(1), "pure")
    assert sum(shares) == 1
    errors = {}
    for power in (0.3, 0.4, 0.5, 0.6, 2 / 3, 1.0):
        weights = np.array([2.0, 9.0, 100.0]) ** power
        errors[power] = float((np.array([2, 9, 100]) * weights.sum() / weights).sum())
    assert min(errors, key=errors.get) == 0.5 == size_rule("pure")
    ours = float(sum(s / float(x) for s, x in zip((2, 9, 100), shares, strict=True)))
    assert ours == pytest.approx(errors[0.5], rel=1e-5)
    assert size_rule("gdp") == size_rule("zcdp") == 2 / 3


def test_the_noise_planned_is_the_noise_bought():
    assert laplace_sigma(0.1, 2) == DiscreteLaplace(scale=20.0, sensitivity=2).sigma
    assert laplace_sigma(1e-300, 1) == DiscreteLaplace(scale=2.0**40, sensitivity=1).sigma


def test_useful_rows_under_laplace_noise():
    """One column of ten codes, scale 2: off by 10 * 2 / (2 n), a tenth at n = 100."""
    domain = Domain((Axis("a", 10),))
    assert useful_rows(domain, 0.5, 1, "pure") == 100
    assert useful_rows(domain, 0.5, 2, "pure") == 200


@pytest.mark.parametrize("name", ["independent", "mst", "oneshot"])
def test_a_replaced_unit_costs_a_factor_in_the_plan(name):
    """The square root of 2 in counts and 2 in distances; twice in pure epsilon."""
    domain, _ = random_table([5, 6, 7], 1)
    plans = {}
    for adjacency in ("add-remove", "replace-one"):
        guarantee = Guarantee(epsilon=1.0, delta=1e-9, adjacency=adjacency)
        plans[adjacency] = planned(MECHANISMS[name], domain, guarantee, "gdp")
    for before, after in zip(*plans.values(), strict=True):
        factor = 2 if before.distances else 2**0.5
        assert after.sigma == pytest.approx([factor * s for s in before.sigma], rel=1e-9)
    assert any(s.distances for s in plans["add-remove"]) == (name != "independent")
    if MECHANISMS[name].pure is not None:
        both = [
            planned(MECHANISMS[name].pure, domain, Guarantee(epsilon=0.01, delta=0, adjacency=a), "pure")[0]
            for a in ("add-remove", "replace-one")
        ]
        assert both[1].sigma == pytest.approx([2 * s for s in both[0].sigma], rel=1e-3)


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (pure_tree.Settings, {"one_ways": Fraction(0)}),
        (pure_tree.Settings, {"choices": Fraction(0)}),
        (pure_tree.Settings, {"one_ways": Fraction(9, 10), "choices": Fraction(1, 10)}),
        (pure_tree.Settings, {"gamma": -1.0}),
        (pure_network.Settings, {"one_ways": Fraction(1)}),
        (pure_network.Settings, {"choices": Fraction(0)}),
        (pure_network.Settings, {"theta": 0.0}),
        (pure_network.Settings, {"parents": 4}),
        (pure_network.Settings, {"gamma": -0.1}),
    ],
)
def test_settings_are_checked_at_birth(make, fields):
    with pytest.raises(GuaranteeError, match="must"):
        make(**fields)


def test_other_settings_make_another_mechanism(monkeypatch):
    script_noise(monkeypatch, 4)
    curator = curator_for(chain(), delta=0.0)
    tree = pure_tree.pure_tree(pure_tree.Settings(one_ways=Fraction(1, 5)))
    tree.run(curator, lambda stage, done: None)
    columns = sum(e.price for e in curator.entries if e.purpose == "one-way marginals")
    assert columns == pytest.approx(float(curator.budget) / 5, rel=1e-9)
    network = pure_network.pure_network(pure_network.Settings(parents=1))
    found = network.run(curator_for(chain(), delta=0.0), lambda stage, done: None)
    assert {len(m.query.columns) for m in found.tables} <= {2}
