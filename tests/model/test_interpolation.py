"""Dependence inside groups: exact where it changes linearly, untouched where nothing lies between."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.domain import Axis, Domain
from dpsynth.model.interpolation import interpolation
from dpsynth.model.network import NetworkModel
from dpsynth.model.structure import fit_network
from tests.strategies.models import pair_of

ALONE = np.arange(2)


def factors(domain, joint, groups):
    """The factor of each pair of codes, or None; joint distribution of both columns' codes given."""
    found = interpolation(domain, [joint.sum(axis=1), joint.sum(axis=0)], grouped(joint, groups))
    return None if found is None else found.along((0, 1), [np.arange(len(joint)), np.arange(2)])


def domain_of(size, ordered):
    return Domain((Axis("line", size, ordered), Axis("other", 2)))


def gradient(size=24):
    """Uniform columns; the chance of the second's code 1 rises linearly along the first."""
    chance = np.linspace(0.1, 0.9, size)
    return np.stack([1 - chance, chance], axis=1) / size


def grouped(joint, groups):
    table = np.zeros((groups.max() + 1, 2))
    np.add.at(table, groups, joint)
    return pair_of(0, 1, groups, ALONE, table)


def test_a_linear_gradient_is_found_again_between_the_centres_of_the_groups():
    joint, groups = gradient(), np.repeat(np.arange(6), 4)
    factor = factors(domain_of(24, 24), joint, groups)
    steps = grouped(joint, groups).table[groups] / 4
    assert np.abs(steps - joint).max() > 0.001
    np.testing.assert_allclose((factor * steps)[2:-2], joint[2:-2], atol=1e-12)


def test_the_models_marginal_is_nearer_to_a_gradient_and_keeps_what_was_estimated():
    joint, groups = gradient(), np.repeat(np.arange(6), 4)
    nodes = (joint.sum(axis=1), joint.sum(axis=0))
    found = {}
    for ordered in (0, 24):
        model = fit_network(domain_of(24, ordered), 1.0, nodes, (grouped(joint, groups),))
        assert isinstance(model, NetworkModel)
        found[ordered] = model.marginal((0, 1))
        kept = np.zeros((6, 2))
        np.add.at(kept, groups, found[ordered])
        np.testing.assert_allclose(kept, model.estimates[0].table, atol=1e-6)
        np.testing.assert_allclose(model.marginal((1, 0)), found[ordered].T, atol=1e-12)
    assert np.abs(found[24] - joint).sum() < 0.4 * np.abs(found[0] - joint).sum()


def test_a_code_alone_and_an_unordered_code_keep_what_was_measured():
    """Groups of an ordered column with an atom, and of two codes without order at its end."""
    groups = np.array([0, 0, 0, 1, 2, 2, 2, 3, 3])
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.ones(18)).reshape(9, 2)
    factor = factors(domain_of(9, 7), joint, groups)
    np.testing.assert_allclose(factor[[3, 7, 8]], 1.0, atol=1e-12)
    assert np.abs(factor[[0, 1, 2, 4, 5, 6]] - 1.0).max() > 0.01


def test_without_order_or_without_groups_there_is_nothing_to_interpolate():
    joint = gradient(8)
    assert factors(domain_of(8, 0), joint, np.repeat(np.arange(4), 2)) is None
    assert factors(domain_of(8, 8), joint, np.arange(8)) is None


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_the_factors_are_finite_and_bounded(size, seed):
    """Also where groups, codes or cells have no probability at all."""
    rng = np.random.default_rng(seed)
    joint = rng.dirichlet(np.full(2 * size, 0.1)).reshape(size, 2) * rng.integers(0, 2, (size, 1))
    joint = np.where(joint.sum() > 0, joint / max(joint.sum(), 1e-300), 1 / joint.size)
    groups = np.cumsum(np.r_[0, rng.integers(0, 2, size - 1)])
    factor = factors(domain_of(size, size), joint, groups)
    if factor is not None:
        assert factor.shape == (size, 2)
        assert factor.min() >= 1 / 20
        assert factor.max() <= 20
