"""Standard errors of marginals: what they are, and that they cover the truth."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from dpsynth import Schema, Synthesizer
from dpsynth.errors import InputError

SIZES = {"a": 4, "b": 3, "c": 12, "d": 2}
SCHEMA = Schema.from_domain(SIZES, ordered=["c"])


def table(seed, n=3_000):
    """Rows in which every column depends on the one before."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 4, n)
    b = np.where(rng.random(n) < 0.5, a % 3, rng.integers(0, 3, n))
    c = np.clip(4 * b + rng.integers(-1, 5, n), 0, 11)
    d = np.where(rng.random(n) < 0.8, c > 5, rng.integers(0, 2, n)).astype(int)
    return pd.DataFrame({"a": a, "b": b, "c": c, "d": d})


@pytest.mark.parametrize("mechanism", ["oneshot", "mst", "independent"])
def test_two_standard_errors_cover_the_truth_in_95_of_100_cells(mechanism):
    """12 fits, all marginals of up to three columns: by number of columns, and for each fit at least 85 %."""
    covered = {1: [], 2: [], 3: []}
    for seed in range(12):
        frame = table(seed)
        release = Synthesizer(SCHEMA, epsilon=1.0, delta=1e-6, mechanism=mechanism).fit(frame)
        total = release.standard_error([])
        assert total.shape == ()
        for k, shares in covered.items():
            inside = []
            for columns in itertools.combinations(SIZES, k):
                truth = np.zeros([SIZES[c] for c in columns])
                np.add.at(truth, tuple(frame[c] for c in columns), 1)
                error = release.standard_error(columns)
                assert error.shape == truth.shape
                assert (error > 0).all()
                inside.append(np.abs(release.marginal(columns) - truth).ravel() <= 2 * error.ravel())
            shares.append(np.concatenate(inside).mean())
    for shares in covered.values():
        assert np.mean(shares) >= 0.95
        assert min(shares) >= 0.85


def test_a_measured_cell_has_the_deviation_of_its_noise_and_no_more():
    release = Synthesizer(SCHEMA, epsilon=1.0, delta=1e-6, mechanism="independent").fit(table(0))
    (measured,) = (m for m in release.measurements if m.query.columns == (1,))
    np.testing.assert_allclose(release.standard_error(["b"]), measured.sigma)
    pair = release.standard_error(["b", "a"])  # not measured: anything up to the smaller column is possible
    smaller = np.minimum.outer(release.marginal(["b"]), release.marginal(["a"]))
    expected = release.marginal(["b", "a"])
    assert (pair >= np.maximum(expected, smaller - expected)).all()


def test_more_columns_measured_together_are_known_better_than_apart():
    frame = table(3)
    alone = Synthesizer(SCHEMA, epsilon=5.0, delta=1e-6, mechanism="independent").fit(frame)
    pairs = Synthesizer(SCHEMA, epsilon=5.0, delta=1e-6, mechanism="oneshot").fit(frame)
    assert pairs.standard_error(["a", "b"]).mean() < 0.3 * alone.standard_error(["a", "b"]).mean()


@pytest.mark.parametrize("columns", [["nobody"], ["a", "a"], "a"])
def test_what_is_no_list_of_learned_columns_is_refused(columns):
    release = Synthesizer(SCHEMA, epsilon=1.0, delta=1e-6, mechanism="independent").fit(table(0))
    with pytest.raises(InputError):
        release.standard_error(columns)
