"""The privacy unit, whatever the rows come in: bounded, dropped where missing, and absent from the model."""

from __future__ import annotations

import numpy as np
import pytest

from dpsynth import Schema, Synthesizer
from dpsynth.data import Codec, open_source
from dpsynth.errors import SchemaError
from dpsynth.mechanisms import MECHANISMS
from dpsynth.privacy.curator import Curator
from dpsynth.privacy.sealed import open_codes
from tests.mechanisms.harness import script_noise
from tests.strategies.frames import MAKERS

UNITS = ["ann"] * 9 + ["ben"] * 2 + [None] * 6 + ["cyd"] + ["", " NA "] * 2 + ["dee"] * 5


def texts_of(units):
    return {"u": units, "x": [str(i) for i in range(len(units))]}


def schema_of(max_rows, *, listed=False, size=64):
    columns = {"x": {"kind": "integer", "missing": False, "lower": 0, "upper": size - 1, "bins": size}}
    if listed:
        columns["u"] = {"kind": "identifier", "format": "####"}
    return Schema.from_dict({"privacy_unit": {"column": "u", "max_rows": max_rows}, "columns": columns})


def kept(data, max_rows, **terms):
    """Positions of the rows that a fit would count: every row has its own code."""
    return open_codes(Codec(schema_of(max_rows, **terms)).encode(open_source(data)))[0].tolist()


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_unit_has_at_most_as_many_rows_and_nobody_has_any(kind, listed, tmp_path):
    data = MAKERS[kind](texts_of(UNITS), tmp_path)
    rows = kept(data, 3, listed=listed)
    counted = {unit: sum(UNITS[row] == unit for row in rows) for unit in set(UNITS)}
    assert counted.pop("ann") == 3
    assert counted.pop("ben") == 2
    assert counted.pop("cyd") == 1
    assert counted.pop("dee") == 3
    assert set(counted.values()) == {0}, "rows without a unit are dropped, however a missing one is written"


@pytest.mark.parametrize("kind", MAKERS)
def test_every_row_of_a_unit_is_kept_at_times(kind, tmp_path):
    """The first and the last row of nine, once in 60 draws of 3 each: false-alarm rate (2/3)**60 < 3e-11."""
    data = MAKERS[kind](texts_of(UNITS), tmp_path)
    seen = set()
    for _ in range(60):
        seen.update(kept(data, 3))
        if {0, 8} <= seen:
            break
    assert {0, 8} <= seen


@pytest.mark.parametrize("kind", MAKERS)
def test_which_rows_of_one_are_kept_does_not_move_with_the_others(kind, tmp_path, monkeypatch):
    """The coupling of proofs/unit_bounding.md: with a row's own draw fixed, other units change nothing."""
    draws = {i: (7 * i * i + 3 * i + 11) % 1009 for i in range(len(UNITS))}

    def positions(units):
        chosen = [i for i, unit in enumerate(UNITS) if unit in units]
        real = [i for i in chosen if UNITS[i] and UNITS[i].strip() != "NA"]
        row_draws = np.array([draws[i] for i in real], dtype=np.uint64)
        monkeypatch.setattr("dpsynth.data.bounding.os.urandom", lambda _: row_draws.tobytes())
        texts = {"u": [UNITS[i] for i in chosen], "x": [str(i) for i in chosen]}
        return set(kept(MAKERS[kind](texts, tmp_path), 3))

    everyone = positions({"ann", "ben", "cyd", "dee", None, "", " NA "})
    for left_out in ("ann", "ben", "cyd", "dee"):
        others = positions({"ann", "ben", "cyd", "dee", None, "", " NA "} - {left_out})
        assert everyone - others == {i for i in everyone if UNITS[i] == left_out}
        assert others <= everyone


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("max_rows", [1, 4])
def test_every_act_is_priced_for_the_bound(mechanism, max_rows):
    schema = Schema.from_domain({"a": 3, "b": 4, "c": 2}, privacy_unit={"column": "u", "max_rows": max_rows})
    rng = np.random.default_rng(3)
    table = {name: rng.integers(0, 2, 400).astype(str) for name in "abc"}
    data = MAKERS["pandas object"]({**table, "u": [f"u{i // 6}" for i in range(400)]}, None)
    release = Synthesizer(schema, epsilon=8.0, delta=1e-9, mechanism=mechanism).fit(data)
    assert release.statement.guarantee.rows_per_unit == max_rows
    for entry in release.statement.entries:
        act = entry.act
        if hasattr(act, "sensitivity"):
            assert act.sensitivity % max_rows == 0
        else:
            count = entry.cells if "distances" in entry.purpose else 1
            assert act.sensitivity_squared == count * max_rows**2, entry.purpose


def test_noise_is_in_proportion_to_the_bound(monkeypatch):
    script_noise(monkeypatch, 0)
    data = MAKERS["pandas"](texts_of(UNITS), None)
    sigmas = {}
    for max_rows in (1, 2, 10):
        release = Synthesizer(schema_of(max_rows), epsilon=2.0, delta=1e-9, mechanism="independent").fit(data)
        sigmas[max_rows] = release.statement.entries[0].act.sigma
    assert sigmas[2] == pytest.approx(2 * sigmas[1])
    assert sigmas[10] == pytest.approx(10 * sigmas[1])


@pytest.mark.parametrize("kind", ["categorical", "integer", "boolean"])
def test_the_unit_column_cannot_be_learned(kind):
    spec = {
        "categorical": {"kind": kind, "missing": False, "values": ["ann", "ben"]},
        "integer": {"kind": kind, "missing": False, "lower": 0, "upper": 9},
        "boolean": {"kind": kind, "missing": False},
    }[kind]
    content = schema_of(2).to_dict()
    content["columns"]["u"] = spec
    with pytest.raises(SchemaError, match="never learned; declare it kind: identifier, or leave it out"):
        Schema.from_dict(content)


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_unit_column_reaches_no_model_and_no_file(mechanism, listed, tmp_path):
    units = [f"patient-{i // 3:04d}" for i in range(60)]
    data = MAKERS["pandas"](texts_of(units), tmp_path)
    release = Synthesizer(schema_of(2, listed=listed), epsilon=5.0, delta=1e-9, mechanism=mechanism).fit(data)
    assert "u" not in release.model.domain.names
    assert all("u" not in entry.columns for entry in release.statement.entries)
    release.save(tmp_path / "out")
    for file in (tmp_path / "out").rglob("*"):
        assert file.is_dir() or b"patient-" not in file.read_bytes(), file.name
    sampled = release.sample(50, seed=1)
    assert ("u" in sampled.columns) == listed
    if listed:
        assert not set(sampled["u"].astype(str)) & set(units)


def test_the_bound_needs_the_column_and_a_guarantee_that_covers_it():
    table = Codec(schema_of(3)).encode(open_source(MAKERS["pandas"](texts_of(UNITS), None)))
    guarantee = Synthesizer(schema_of(2), epsilon=1.0, delta=1e-9).guarantee
    with pytest.raises(ValueError, match="up to 3 rows a unit, the guarantee covers 2"):
        Curator(table, guarantee)
