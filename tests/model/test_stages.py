"""Each stage that can be left out: what the fit then is, and that with all of them nothing changes."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

from dpsynth.domain import Axis, Domain
from dpsynth.model import denoise, network
from dpsynth.model.denoise import center, project_to_simplex, rake
from dpsynth.model.stages import ALL_STAGES, Stages
from dpsynth.model.structure import fit_model
from dpsynth.privacy.curator import Measurement
from dpsynth.privacy.marginal import Marginal

SIZES = (12, 5, 4)
SIGMA = 6.0


def measured(seed=0):
    """Noisy answers of three columns: each alone, all pairs (the first in groups), and all three."""
    rng = np.random.default_rng(seed)
    joint = 3_000 * rng.dirichlet(np.full(int(np.prod(SIZES)), 0.3)).reshape(SIZES)
    groups = [np.arange(12) // 3, np.arange(5), np.arange(4)]
    coarse = joint.reshape(4, 3, 5, 4).sum(axis=1)

    def noisy(columns, table, own):
        values = np.rint(table + rng.normal(0, SIGMA, table.shape)).astype(np.int64)
        return Measurement(query=Marginal(columns, own), values=values, sigma=SIGMA, entry=1)

    ones = [
        noisy((c,), joint.sum(axis=tuple(i for i in range(3) if i != c)), (np.arange(s),))
        for c, s in enumerate(SIZES)
    ]
    sets = [(0, 1), (0, 2), (1, 2), (0, 1, 2)]
    tables = [
        noisy(s, coarse.sum(axis=tuple(i for i in range(3) if i not in s)), tuple(groups[c] for c in s))
        for s in sets
    ]
    return Domain(tuple(Axis(f"c{i}", s, s) for i, s in enumerate(SIZES))), ones, tables


def without(name):
    return replace(ALL_STAGES, **{name: False})


def fitted(stages=ALL_STAGES, tables=None):
    domain, ones, measured_tables = measured()
    return fit_model(domain, ones, measured_tables if tables is None else tables, stages=stages)


def test_all_stages_is_what_a_fit_does_anyway():
    domain, ones, tables = measured()
    plain, told = fit_model(domain, ones, tables), fitted(Stages())
    for a, b in zip((*plain.nodes, *plain.tables), (*told.nodes, *told.tables), strict=True):
        np.testing.assert_array_equal(a, b)


OTHERS = {"iterative_fitting", "polishing"}  # what raking to the estimates makes good, and what is no fit


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Stages) if f.name not in OTHERS])
def test_every_stage_changes_the_fit(name):
    """And whatever is left out, the estimates are distributions that agree: the model's own check passes."""
    full, less = fitted(), fitted(without(name))
    columns = [(0,), (0, 1), (0, 1, 2)]
    assert any(np.abs(full.marginal(c) - less.marginal(c)).max() > 1e-6 for c in columns)


def test_without_least_squares_a_column_is_what_its_own_marginal_tells():
    less, alone = fitted(without("least_squares")), fitted(tables=[])
    for a, b in zip(less.nodes, alone.nodes, strict=True):
        np.testing.assert_array_equal(a, b)


def test_without_empirical_bayes_a_column_is_only_projected():
    values = np.array([5.0, -3.0, 9.0, 1.0, 0.0, 2.0, 7.0, 4.0, 1.0])
    found = denoise.denoise_one_way(values, 2.0, ordered=9, total=24.0, stages=without("empirical_bayes"))
    np.testing.assert_array_equal(found, project_to_simplex(values, 24.0))


def test_a_pair_that_nothing_denoises_is_the_noisy_table_raked():
    rng = np.random.default_rng(1)
    rows, columns = np.array([30.0, 70.0, 20.0]), np.array([50.0, 10.0, 60.0])
    values = np.outer(rows, columns) / 120 + rng.normal(0, 5, (3, 3))
    bare = Stages(empirical_bayes=False, low_rank=False, shared_bases=False, projection=False)
    product = np.outer(rows, columns) / 120
    wanted = rake(np.maximum(product + center(values - product), 0.0), rows, columns)
    np.testing.assert_allclose(denoise.denoise_pair(values, 5.0, rows, columns, stages=bare), wanted)


def test_without_interactions_there_are_only_pairs():
    assert max(len(e.columns) for e in fitted().estimates) == 3
    assert max(len(e.columns) for e in fitted(without("interactions")).estimates) == 2


def test_without_iterative_fitting_cliques_are_independent_columns():
    less = fitted(without("iterative_fitting"))
    for i, clique in enumerate(less.tree.cliques):
        product = np.ones(())
        for column in clique:
            states = np.bincount(less.groups[column], weights=less.nodes[column])
            product = np.multiply.outer(product, states)
        np.testing.assert_allclose(less.tables[i], product, atol=1e-12)


def test_without_interpolation_codes_of_a_group_are_alike():
    less = fitted(without("interpolation"))
    shares = less.marginal((0, 1)) / less.marginal((0,))[:, None]
    np.testing.assert_allclose(shares.reshape(4, 3, 5), shares.reshape(4, 3, 5)[:, :1].repeat(3, axis=1))
    full = fitted().marginal((0, 1)).reshape(4, 3, 5)
    assert np.ptp(full / full.sum(axis=2, keepdims=True), axis=1).max() > 0.01


def test_rows_that_are_not_polished_are_those_that_polishing_starts_from(monkeypatch):
    model, started = fitted(), []

    def keep(columns, *rest, **keywords):
        started.append(columns)
        return columns

    monkeypatch.setattr(network, "polish_rows", keep)
    bare = model.sample(500, np.random.default_rng(3), effort=0)
    assert not started
    model.sample(500, np.random.default_rng(3))
    np.testing.assert_array_equal(started[0], bare)
