"""A release of format version 1, written once, must load for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dpsynth.release.bundle import load
from dpsynth.release.verify import verify

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "release-1.dpsynth"


def test_the_golden_release_loads():
    release = load(GOLDEN)
    assert release.statement.version == "0.1.0a0"
    assert release.statement.guarantee.unit == "household"
    assert release.statement.guarantee.rows_per_unit == 3
    assert release.statement.guarantee.epsilon == 1.0
    assert len(release.statement.entries) == 6
    assert float(release.statement.spent) == pytest.approx(0.75 * float(release.statement.budget), rel=1e-6)
    assert release.model.domain.names == ("age", "sex", "smoker")
    assert release.model.domain.sizes == (10, 3, 3)
    assert release.model.total == pytest.approx(GOLDEN_TOTAL)
    assert [m.entry for m in release.measurements] == [1, 2, 3, 6]
    assert np.array_equal(release.measurements[1].values, GOLDEN_SEX)
    assert list(release.sample(10, seed=1).columns) == ["key", "age", "sex", "smoker"]
    assert "(1, 1e-06)-differential privacy" in str(release.statement)


def test_the_golden_release_verifies():
    report = verify(GOLDEN)
    assert report.passed, str(report)


GOLDEN_TOTAL = 426.25
GOLDEN_SEX = [163, 166, 159]
