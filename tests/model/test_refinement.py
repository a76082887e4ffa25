"""Which tables rows are to follow: all pairs code by code as far as that is affordable."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dpsynth.domain import Axis, Domain
from dpsynth.model import refinement
from dpsynth.model.estimates import Estimate
from dpsynth.model.refinement import followed_tables


def domain_of(*sizes):
    return Domain(tuple(Axis(f"c{i}", size) for i, size in enumerate(sizes)))


def estimate_of(columns, shapes, sizes):
    """A table in which codes are merged to ``shapes`` groups."""
    groups = tuple(np.arange(sizes[c]) % g for c, g in zip(columns, shapes, strict=True))
    return Estimate(columns, groups, np.full(shapes, 1 / np.prod(shapes)))


def told(sizes, estimates, asked=None):
    def distributions(pairs):
        if asked is not None:
            asked.extend(pairs)
        shapes = [tuple(sizes[c] for c in pair) for pair in pairs]
        return [np.full(shape, 1 / np.prod(shape)) for shape in shapes]

    return followed_tables(domain_of(*sizes), estimates, distributions)


def test_every_pair_is_followed_code_by_code_and_counts_less_if_it_was_not_estimated():
    sizes, asked = (4, 3, 5, 2), []
    pair, triple = estimate_of((2, 0), (3, 2), sizes), estimate_of((0, 1, 3), (2, 2, 2), sizes)
    followed, weights = told(sizes, [pair, triple], asked)
    by_columns = {e.columns: (e, w) for e, w in zip(followed, weights, strict=True)}
    assert by_columns[0, 1, 3] == (triple, 0.2)
    assert asked == [(2, 0), (0, 1), (0, 3), (1, 2), (1, 3), (2, 3)]
    for columns in asked:
        estimate, weight = by_columns[columns]
        assert estimate.table.shape == tuple(sizes[c] for c in columns)
        assert all(g.tolist() == list(range(sizes[c])) for c, g in zip(columns, estimate.groups, strict=True))
        assert weight == (1.0 if columns == (2, 0) else 0.3)


@pytest.mark.parametrize(("limit", "largest"), [(10**6, 12), (27, 10**6)])
def test_too_large_a_pair_stays_at_its_groupings_if_it_was_estimated_and_is_left_out_if_not(
    monkeypatch, limit, largest
):
    sizes = (4, 3, 5)
    monkeypatch.setattr(refinement, "_MOST_CELLS", limit)
    monkeypatch.setattr(refinement, "_LARGEST_PAIR", largest)
    pairs = [estimate_of((0, 1), (2, 2), sizes), estimate_of((1, 2), (2, 2), sizes)]
    followed, weights = told(sizes, pairs)
    shapes = {e.columns: e.table.shape for e in followed}
    assert shapes == ({(0, 1): (4, 3), (1, 2): (2, 2)} if limit > 27 else {(0, 1): (4, 3), (1, 2): (3, 5)})
    assert weights == [1.0, 1.0]


def test_of_very_many_pairs_only_the_estimated_ones_are_asked_for(monkeypatch):
    sizes, asked = (2,) * 6, []
    monkeypatch.setattr(refinement, "_MOST_PAIRS", 14)
    pair = estimate_of((1, 4), (2, 2), sizes)
    assert [e.columns for e in told(sizes, [pair], asked)[0]] == [(1, 4)] == asked
    assert len(told((2,) * 5, [pair])[0]) == len(list(itertools.combinations(range(5), 2)))
