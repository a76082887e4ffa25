"""Smooth curves: each cell told by the others, near a smooth truth, whatever the noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.model import denoise
from dpsynth.model.denoise import denoise_one_way
from dpsynth.model.smoothing import smooth_curves


def bell(cells=80, total=40_000.0):
    """A peak, and a tail of few rows."""
    shape = np.exp(-0.5 * np.square((np.arange(cells) - 25) / 9)) + 0.3 * np.exp(-np.arange(cells) / 15)
    return total * shape / shape.sum()


def test_a_cell_is_told_by_the_others(monkeypatch):
    """Oracle: the same fit without the cell, its noise made infinite."""
    truth, rng = bell(), np.random.default_rng(0)
    values = truth + rng.normal(0, 100, truth.size)
    noise, total = np.full(truth.size, 1e4), truth.sum()
    for width in (10.0, 3.5):
        monkeypatch.setattr("dpsynth.model.smoothing._WIDTHS", (width,))
        (found,) = smooth_curves(values, noise, truth, total)
        for cell in (0, 25, 40, 79):
            blind = noise.copy()
            blind[cell] = 1e12
            mean = noise.mean() / blind.mean()  # the penalty goes by the mean variance
            monkeypatch.setattr("dpsynth.model.smoothing._WIDTHS", (width * mean**-0.25,))
            (without,) = smooth_curves(values, blind, truth, total)
            monkeypatch.setattr("dpsynth.model.smoothing._WIDTHS", (width,))
            assert found[cell] == pytest.approx(without[cell], abs=60)
    assert np.abs(found - truth).sum() < 0.6 * np.abs(values - truth).sum()


def test_curves_improve_a_smooth_column_and_hardly_touch_one_of_atoms(monkeypatch):
    truth = bell()
    atoms = np.where(np.arange(80) % 10 == 0, 5_000.0, 0.0)
    gaps = {}
    for rough in (0.0, denoise._ROUGH):
        monkeypatch.setattr(denoise, "_ROUGH", rough)
        for name, counts in (("smooth", truth), ("atoms", atoms)):
            noisy = [counts + np.random.default_rng(s).normal(0, 150, 80) for s in range(6)]
            found = [denoise_one_way(y, 150.0, ordered=80, total=counts.sum()) for y in noisy]
            gaps[name, rough] = np.mean([np.abs(f - counts).sum() for f in found])
    assert gaps["smooth", denoise._ROUGH] < 0.9 * gaps["smooth", 0.0]
    assert gaps["atoms", denoise._ROUGH] < 1.15 * gaps["atoms", 0.0]


@given(
    st.lists(st.floats(-1e6, 1e7), min_size=8, max_size=40),
    st.floats(1e-3, 1e6),
    st.floats(1e-3, 1e9),
)
def test_any_values_give_positive_curves(values, sigma, total):
    y = np.array(values)
    for curve in smooth_curves(y, np.full(y.size, sigma**2), np.maximum(y, 0.0), total):
        assert np.isfinite(curve).all()
        assert (curve > 0).all()
