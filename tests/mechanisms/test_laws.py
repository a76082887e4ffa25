"""What holds for every mechanism. A new one inherits :class:`Laws` or the last test of this file fails."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import tracemalloc
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest

from dpsynth.mechanisms import MECHANISMS
from dpsynth.mechanisms.mechanism import INSTEAD, planned
from dpsynth.mechanisms.pairs import PAIRS, PAIRS_AGAIN
from dpsynth.mechanisms.triples import TRIPLES
from dpsynth.privacy.acts import DiscreteLaplace, ExponentialMechanism, price
from tests.conftest import ROOT
from tests.mechanisms.harness import (
    TABLES,
    Replay,
    chain,
    curator_for,
    fit,
    form_of,
    random_table,
    run,
    script_noise,
)

GUARANTEES = [
    {"epsilon": 1.0},
    {"epsilon": 1e-6},
    {"epsilon": 1_000.0},
    {"epsilon": 0.5, "rows_per_unit": 5},
    {"epsilon": 2.0, "delta": 0.1},
    {"epsilon": 1.0, "rows_per_unit": 2, "backend": "opendp"},
    {"epsilon": 1.0, "rows_per_unit": 2, "adjacency": "replace-one"},
]
PURE = [
    {"epsilon": 20.0, "delta": 0.0},
    {"epsilon": 0.5, "delta": 0.0, "rows_per_unit": 3, "backend": "opendp", "adjacency": "replace-one"},
    {"epsilon": 1e-6, "delta": 0.0},
]


def purpose_in_plan(purpose, stages):
    """The stage an entry belongs to: measuring again takes the place of the stage that bought nothing."""
    named = {s.purpose: s for s in stages}
    if purpose == INSTEAD and INSTEAD not in named:
        return named.get(PAIRS, stages[-1])
    return named[{PAIRS_AGAIN: TRIPLES}.get(purpose, purpose)]


class Laws:
    """Inherited by one class a mechanism, and one more for its form under pure epsilon."""

    name: str
    promise: ClassVar[dict[str, float]] = {}  # of the tests that need but one

    @pytest.fixture(params=sorted(TABLES))
    def table(self, request):
        return TABLES[request.param]()

    @pytest.fixture(params=GUARANTEES, ids=str)
    def curator(self, request, table, monkeypatch):
        script_noise(monkeypatch, 7)
        return curator_for(table, **request.param)

    def test_spends_its_budget_and_never_more(self, curator):
        run(self.name, curator)
        assert curator.spent <= curator.budget
        assert curator.spent >= Fraction(999, 1000) * curator.budget

    def test_the_ledger_says_what_was_measured(self, curator):
        measured = run(self.name, curator)
        every = (*measured.one_ways, *measured.tables)
        assert len({m.entry for m in every}) == len(every)
        for m in every:
            entry = curator.entries[m.entry - 1]
            assert entry.number == m.entry
            assert entry.columns == tuple(curator.domain.names[c] for c in m.query.columns)
            assert entry.cells == m.values.size
            assert entry.act.sigma == m.sigma
            assert m.values.shape == m.query.shape
        for entry in curator.entries:
            assert entry.price == price(entry.act, curator.calculus)
        assert {m.query.columns for m in measured.one_ways} == {(c,) for c in range(len(curator.domain))}

    def test_the_plan_is_true(self, curator):
        stages = planned(form_of(self.name, curator), curator.domain, curator.guarantee, curator.calculus)
        assert sum(s.share for s in stages) == pytest.approx(1, abs=1e-12)
        run(self.name, curator)
        filled = {s.purpose: [] for s in stages}
        for entry in curator.entries:
            stage = purpose_in_plan(entry.purpose, stages)
            filled[stage.purpose].append(entry)
            low, high = stage.sigma
            if isinstance(entry.act, ExponentialMechanism):
                assert (low, high) == (0, 0)
            else:
                assert low * (1 - 1e-9) <= entry.act.sigma <= high * (1 + 1e-9)
        share, spent = 0.0, Fraction(0)
        for stage in stages:
            entries = filled[stage.purpose]
            assert len(entries) <= stage.acts
            assert sum(e.cells for e in entries) <= stage.cells
            share, spent = share + stage.share, spent + sum(e.price for e in entries)
            assert float(spent) <= share * float(curator.budget) * (
                1 + 1e-9
            )  # what one leaves, the next may take
            if not stage.note:  # then nothing is left open
                assert len(entries) == stage.acts
                assert sum(e.cells for e in entries) == stage.cells

    def test_what_it_measured_makes_a_model(self, curator):
        measured = run(self.name, curator)
        model = fit(curator.domain, measured)
        rows = model.sample(30, np.random.default_rng(0))
        assert all(c.size == 30 for c in rows)
        assert all(rule.keeps(rows).all() for rule in curator.domain.rules)

    def test_progress_goes_up_to_one_in_every_stage(self, table, monkeypatch):
        script_noise(monkeypatch, 3)
        seen = {}
        run(
            self.name,
            curator_for(table, **self.promise),
            lambda stage, done: seen.setdefault(stage, []).append(done),
        )
        for fractions in seen.values():
            assert fractions == sorted(fractions)
            assert fractions[0] >= 0
            assert fractions[-1] == 1

    def test_the_same_noise_gives_the_same_answers(self, table, monkeypatch):
        found = []
        for _ in range(2):
            script_noise(monkeypatch, 11)
            curator = curator_for(table, **self.promise)
            measured = run(self.name, curator)
            values = [m.values.tolist() for m in (*measured.one_ways, *measured.tables)]
            found.append((values, curator.entries))
        assert found[0] == found[1]

    @pytest.mark.parametrize("rows_per_unit", [1, 5])
    def test_neighbours_are_asked_the_same(self, table, rows_per_unit, monkeypatch):
        """One unit more or less, answers frozen: questions, prices and shapes are equal, and the true
        vectors differ by no more than the sensitivity that was booked. The unit's rows are all alike, the
        worst case for a count.
        """
        domain, codes = table
        rng = np.random.default_rng(5)
        newcomer = [rng.integers(0, s) for s in domain.sizes]
        more = [np.append(c, np.full(rows_per_unit, x)) for c, x in zip(codes, newcomer, strict=True)]
        fewer = [c[rows_per_unit:] for c in codes]
        for other in (more, fewer):
            replay, ledgers = Replay(), []
            for neighbour in (codes, other):
                with monkeypatch.context() as patch:
                    replay.install(patch)
                    curator = curator_for((domain, neighbour), rows_per_unit=rows_per_unit, **self.promise)
                    run(self.name, curator)
                ledgers.append(curator.entries)
            replay.assert_neighbourly(rows_per_unit, pure="delta" in self.promise)
            assert ledgers[0] == ledgers[1]

    def test_hash_seeds_change_nothing(self):
        script = (
            "import pytest, hashlib\n"
            "from tests.mechanisms.harness import *\n"
            "patch = pytest.MonkeyPatch()\n"
            "script_noise(patch, 1)\n"
            f"table = random_table([7, 3, 30, 5, 2, 11], 500)\n"
            f"measured = run({self.name!r}, curator_for(table, **{self.promise!r}))\n"
            "every = (*measured.one_ways, *measured.tables)\n"
            "print(hashlib.sha256(repr([(m.query.columns, m.sigma, m.values.tolist()) for m in every])"
            ".encode()).hexdigest())\n"
        )
        found = set()
        for seed in ("0", "1", "4242"):
            environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
            done = subprocess.run(
                [sys.executable, "-c", script], env=environment, capture_output=True, check=True, text=True
            )
            found.add(done.stdout.strip())
        assert len(found) == 1
        assert len(found.pop()) == len(hashlib.sha256().hexdigest())

    def test_a_column_of_a_million_codes_fits_in_time_and_memory(self, monkeypatch):
        script_noise(monkeypatch, 2)
        sizes = [1_000_000, 2, 7, 300, 4, 11, 3]
        curator = curator_for(random_table(sizes, 5_000), **self.promise)
        tracemalloc.start()
        start = time.process_time()
        measured = run(self.name, curator)
        model = fit(curator.domain, measured)
        seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert model.domain == curator.domain
        assert peak < 600e6
        assert seconds < 40


class TestIndependent(Laws):
    name = "independent"

    def test_no_pair_is_measured(self):
        measured = run("independent", curator_for(chain()))
        assert not measured.tables


class TestMst(Laws):
    name = "mst"


class TestOneshot(Laws):
    name = "oneshot"


class TestAim(Laws):
    """Rounds cost seconds: guarantees of little budget, of units of several rows, and of other noise."""

    name = "aim"

    @pytest.fixture(params=[GUARANTEES[1], GUARANTEES[3], GUARANTEES[5]], ids=str)
    def curator(self, request, table, monkeypatch):
        script_noise(monkeypatch, 7)
        return curator_for(table, **request.param)


class TestPrivbayes(Laws):
    name = "privbayes"


class TestFixed(Laws):
    name = "fixed"


class PureLaws(Laws):
    """Inherited by the forms under pure epsilon."""

    promise: ClassVar[dict[str, float]] = {"delta": 0.0}

    @pytest.fixture(
        params=["one column", "columns of one code", "no rows", "rules across columns"],
    )
    def table(self, request):
        return TABLES[request.param]()

    @pytest.fixture(params=PURE, ids=str)
    def curator(self, request, table, monkeypatch):
        script_noise(monkeypatch, 7)
        return curator_for(table, **request.param)

    def test_it_asks_nothing_that_needs_a_delta(self, curator):
        run(self.name, curator)
        assert curator.calculus == "pure"
        assert {type(entry.act) for entry in curator.entries} <= {DiscreteLaplace, ExponentialMechanism}


class TestPureIndependent(PureLaws):
    name = "independent"


class TestPureMst(PureLaws):
    name = "mst"


class TestPurePrivbayes(PureLaws):
    name = "privbayes"


def _concrete(laws):
    return {c for sub in laws.__subclasses__() for c in ({sub} if hasattr(sub, "name") else _concrete(sub))}


def test_every_mechanism_is_under_the_laws():
    gaussian = {cls.name for cls in _concrete(Laws) if not issubclass(cls, PureLaws)}
    assert gaussian == set(MECHANISMS)
    assert {cls.name for cls in _concrete(PureLaws)} == {
        name for name, mechanism in MECHANISMS.items() if mechanism.pure is not None
    }


def test_a_mechanism_is_found_by_its_name_and_says_what_it_does():
    for name, mechanism in MECHANISMS.items():
        assert mechanism.name == name
        assert len(mechanism.summary) > 20
