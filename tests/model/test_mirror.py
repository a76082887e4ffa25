"""Iterative proportional fitting beside the reference: mirror descent on the same targets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.model.calibration import Target, calibrate
from tests.model.mirror import beliefs, mirror_descent
from tests.model.test_calibration import grouped, problems, target_of, tree_for
from tests.strategies.models import GRAPHS, edges_of, marginal_of


@pytest.mark.parametrize("shape", GRAPHS)
def test_the_references_belief_propagation_is_that_of_the_joint_distribution(shape):
    @settings(max_examples=15)
    @given(problems(shape), st.integers(0, 2**32 - 1))
    def check(problem, seed):
        joint, pairs, _ = problem
        tree = tree_for(joint.shape, pairs)
        rng = np.random.default_rng(seed)
        potentials = [rng.normal(size=tree.shape(i)) for i in range(len(tree.cliques))]
        whole = np.zeros(joint.shape)
        for clique, potential in zip(tree.cliques, potentials, strict=True):
            whole = whole + potential.reshape([s if c in clique else 1 for c, s in enumerate(joint.shape)])
        whole = np.exp(whole) / np.exp(whole).sum()
        for clique, table in zip(tree.cliques, beliefs(tree, potentials), strict=True):
            np.testing.assert_allclose(table, marginal_of(whole, clique), atol=1e-10)

    check()


def squares(tree, tables, targets, weights):
    """The loss of clique tables."""
    total = 0.0
    for target, weight in zip(targets, weights, strict=True):
        home = tree.smallest(target.columns)
        found = marginal_of(tables[home], [tree.cliques[home].index(c) for c in target.columns])
        total += weight * float(((grouped(found, target) - target.table) ** 2).sum()) / 2
    return total


@pytest.mark.parametrize("shape", GRAPHS)
def test_on_consistent_targets_fitting_reaches_the_loss_and_the_tables_of_mirror_descent(shape):
    @settings(max_examples=6)
    @given(problems(shape))
    def check(problem):
        joint, pairs, edges = problem
        tree = tree_for(joint.shape, pairs)
        margins = [marginal_of(joint, (c,)) for c in range(joint.ndim)]
        targets = [target_of(e) for e in edges]
        if not targets:
            return
        weights = [1.0] * len(targets)
        fitted, _, _ = calibrate(tree, margins, targets, sweeps=2_000, tolerance=1e-9)
        reference, losses = mirror_descent(tree, margins, targets, weights, steps=300)
        assert (np.diff(losses) <= 1e-15).all()
        assert squares(tree, fitted, targets, weights) <= losses[-1] + 1e-12
        if losses[-1] < 1e-10:
            for first, second in zip(fitted, reference, strict=True):
                assert np.abs(first - second).sum() < 1e-2

    check()


def dependent_ring(seed, strength):
    """Six columns in a ring, neighbours dependent."""
    rng = np.random.default_rng(seed)
    pairs = [(i, (i + 1) % 6) for i in range(6)]
    log = np.zeros([5] * 6)
    for pair in pairs:
        effect = rng.normal(0, strength, size=(5, 5))
        log = log + effect.reshape([5 if c in pair else 1 for c in range(6)])
    joint = np.exp(log) / np.exp(log).sum()
    edges = edges_of(joint, pairs, [(np.arange(5),)] * 6, rng)
    return tree_for([5] * 6, pairs), [marginal_of(joint, (c,)) for c in range(6)], list(map(target_of, edges))


def errors_of(strength, deviation, steps=200):
    """Mean L1 error of a table, stopped by the discrepancy principle and run on, over 3 noisy problems."""
    errors = []
    for seed in range(3):
        tree, margins, exact = dependent_ring(seed, strength)
        rng = np.random.default_rng(100 + seed)
        raw = [Target(t.columns, t.groups, t.table + rng.normal(0, deviation, t.table.shape)) for t in exact]
        weights, cells = [deviation**-2] * len(raw), sum(t.table.size for t in raw)
        both = []
        for enough in (cells / 2, 0.0):
            tables, _ = mirror_descent(tree, margins, raw, weights, steps=steps, enough=enough)
            gaps = []
            for target in exact:
                home = tree.smallest(target.columns)
                places = [tree.cliques[home].index(c) for c in target.columns]
                gaps.append(np.abs(marginal_of(tables[home], places) - target.table).sum())
            both.append(np.mean(gaps))
        errors.append(both)
    return np.mean(errors, axis=0)


def test_stopping_where_the_residual_is_what_noise_makes_it():
    """The discrepancy principle: with ``weight = 1/sigma**2`` the truth's expected loss is half the cells.

    On raw noisy tables descent first finds the signal and then fits the noise: where dependence is weak for
    the noise, stopping lowers the error; where it is strong, it costs a little.
    """
    stopped, run_on = errors_of(strength=0.2, deviation=0.01)
    assert stopped < 0.7 * run_on
    stopped, run_on = errors_of(strength=1.0, deviation=0.01)
    assert stopped < 1.15 * run_on
