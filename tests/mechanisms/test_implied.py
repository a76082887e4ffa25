"""What rules tell of pairs by themselves, and that nobody pays to hear it again."""

from __future__ import annotations

import numpy as np
import pytest

from dpsynth.domain import Axis, Domain
from dpsynth.mechanisms import pairs
from dpsynth.mechanisms.pairs import implied_tables, pair_options
from dpsynth.model.levels import nested_levels
from dpsynth.rules import Rule
from tests.mechanisms.harness import chain, curator_for, run, script_noise

SIX = np.arange(6)
SAME = Rule.over((0, 1), (SIX, SIX), np.eye(6, dtype=bool))
UP = Rule.over((2, 3), (SIX, SIX), SIX[:, None] <= SIX[None, :])


def domain_of(*rules, columns=5):
    return Domain(tuple(Axis(f"c{i}", 6) for i in range(columns)), rules)


def test_without_rules_nothing_is_implied():
    assert implied_tables(domain_of(), [np.full(6, 10.0)] * 5) == {}


def test_what_rules_imply_is_the_least_that_they_and_the_columns_tell():
    counts = [np.array([30.0, 10, 10, 5, 3, 2]), np.array([30.0, 10, 10, 5, 3, 2]), np.full(6, 10.0)]
    counts += [np.array([0.0, 2, 8, 10, 20, 20]), np.full(6, 10.0)]
    found = implied_tables(domain_of(SAME, UP), counts)
    assert set(found) == {(0, 1), (2, 3)}
    np.testing.assert_allclose(found[0, 1], np.diag(counts[0]), rtol=1e-6, atol=1e-6)
    assert not found[2, 3][np.tril_indices(6, -1)].any()
    np.testing.assert_allclose(found[2, 3].sum(), 60)
    assert (np.abs(found[2, 3].sum(axis=1) - counts[2]) < 10).all()


def test_columns_tied_through_others_are_compared_with_what_follows():
    """a = b and b = c: so a = c, though no rule names both."""
    second = Rule.over((1, 2), (SIX, SIX), np.eye(6, dtype=bool))
    counts = [np.array([30.0, 10, 10, 5, 3, 2])] * 3
    found = implied_tables(domain_of(SAME, second, columns=3), counts)
    assert set(found) == {(0, 1), (0, 2), (1, 2)}
    np.testing.assert_allclose(found[0, 2], np.diag(counts[0]), rtol=1e-6, atol=1e-6)


def test_a_pair_of_too_many_cells_is_compared_with_independent_columns(monkeypatch):
    monkeypatch.setattr(pairs, "_LARGEST_IMPLIED", 35)
    assert implied_tables(domain_of(SAME), [np.full(6, 10.0)] * 5) == {}


def test_options_refer_to_what_is_implied():
    domain, counts = domain_of(SAME), [np.array([300.0, 100, 100, 50, 30, 20])] * 5
    levels = [nested_levels(axis, c) for axis, c in zip(domain, counts, strict=True)]
    settings = {"total": 600.0, "sigma": 1.0, "resolutions": (8, 36)}
    free = pair_options(levels, counts, **settings)
    told = pair_options(levels, counts, **settings, implied=implied_tables(domain, counts))
    assert len(free) == len(told)
    for before, after in zip(free, told, strict=True):
        if after.query.columns != (0, 1):
            np.testing.assert_array_equal(before.reference, after.reference)
            continue
        counted = np.zeros(after.reference.shape)
        np.add.at(counted, np.ix_(*after.query.groups), np.diag(counts[0]))
        np.testing.assert_array_equal(after.reference, counted)
        assert after.stray < before.stray


@pytest.mark.parametrize("name", ["oneshot", "mst"])
def test_what_a_rule_says_is_not_bought(name, monkeypatch):
    domain, codes = chain(size=6)
    codes[1] = codes[0]
    asked = []
    for rules in ((), (SAME,)):
        script_noise(monkeypatch, 4)
        measured = run(name, curator_for((Domain(domain.axes, rules), codes), epsilon=2.0))
        asked.append({frozenset(m.query.columns) for m in measured.tables})
    assert frozenset((0, 1)) in asked[0]
    assert not any({0, 1} <= columns for columns in asked[1])
    assert asked[1], "other pairs are"
