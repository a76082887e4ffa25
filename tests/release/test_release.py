"""What a release gives: tables of a chosen size and seed, and exact marginals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import dpsynth
from dpsynth.data.layout import Layout
from dpsynth.errors import InputError, ReleaseError
from dpsynth.release.release import MAX_ROWS, Release
from dpsynth.schema import Schema
from tests.release.building import ROW, tiny


def test_a_table_has_the_schemas_columns_and_the_rows_asked_for(release):
    table = release.sample(50, seed=1)
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["key", "age", "sex", "smoker"]
    assert len(table) == 50
    assert table["age"].between(0, 9).all()
    assert len(release.sample(0)) == 0


def test_the_default_is_the_noisy_number_of_rows(release):
    assert len(release.sample()) == round(release.model.total)


def test_a_seed_makes_it_repeatable_and_its_absence_does_not(release):
    assert release.sample(80, seed=3).equals(release.sample(80, seed=np.int64(3)))
    assert not release.sample(80, seed=3).equals(release.sample(80, seed=4))
    assert not release.sample(80).equals(release.sample(80))
    assert not release.sample(80, seed=3).equals(release.sample(80, seed=3, method="iid"))


@pytest.mark.parametrize("frame", ["pandas", "polars", "pyarrow"])
def test_the_kind_of_frame_can_be_chosen(release, frame):
    table = release.sample(20, seed=1, frame=frame)
    assert type(table).__module__.startswith(frame)
    assert table.shape == (20, 4)
    assert tiny(frame=frame).sample(20).shape == (20, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": -1}, "outside 0"),
        ({"n": MAX_ROWS + 1}, "several tables"),
        ({"n": True}, "not a whole number"),
        ({"n": 10.0}, "not a whole number"),
        ({"n": "10"}, "not a whole number"),
        ({"n": 3, "seed": -1}, "seed=.*at least 0"),
        ({"n": 3, "seed": True}, "seed=.*at least 0"),
        ({"n": 3, "seed": "x"}, "seed=.*at least 0"),
        ({"n": 3, "method": "magic"}, "systematic, iid"),
        ({"n": 3, "frame": "excel"}, "pandas, polars, pyarrow"),
    ],
)
def test_an_argument_out_of_range_is_named(release, arguments, message):
    with pytest.raises(InputError, match=message):
        release.sample(**arguments)


def test_a_marginal_is_by_name_and_sums_to_the_number_of_rows(release):
    pair = release.marginal(["sex", "age"])
    assert pair.shape == (3, 10)
    assert pair.sum() == pytest.approx(release.model.total)
    assert np.allclose(pair.sum(axis=1), release.marginal(["sex"]))
    assert np.allclose(pair.T, release.marginal(("age", "sex")))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["age", "height"], '"height" is not in this release; its learned columns are "age", "sex"'),
        (["key"], '"key" is never learned'),
        (["age", "age"], "different columns"),
        ("age", r"write \['age'\]"),
        ([3], '"3" is not in this release'),
    ],
)
def test_a_marginal_of_other_columns_is_refused(release, columns, message):
    with pytest.raises(InputError, match=message):
        release.marginal(columns)


def test_a_model_of_other_columns_is_refused(release):
    other = Schema.loads(ROW.replace("age:", "years:"))
    with pytest.raises(ReleaseError, match="not the schema's learned columns"):
        Release(other, release.layout, release.model, release.measurements, release.statement)


def test_columns_outside_the_schema_leave_no_trace(release):
    layout = Layout("pandas", (*release.layout.dtypes, ("diagnosis", "int64")))
    kept = Release(release.schema, layout, release.model, release.measurements, release.statement)
    assert "diagnosis" not in dict(kept.layout.dtypes)


def test_its_repr_is_short_and_public(release):
    assert repr(release) == (
        f"Release(columns=4, rows~{release.model.total:.0f}, epsilon=1, delta=1e-06, mechanism='by-hand')"
    )


def test_the_package_offers_it():
    assert dpsynth.Release is Release
