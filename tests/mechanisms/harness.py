"""Scripted noise, small tables of many forms, and a replay that freezes what the door lets out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from dpsynth.domain import Axis, Domain
from dpsynth.mechanisms import MECHANISMS
from dpsynth.model.structure import fit_model
from dpsynth.privacy import noise
from dpsynth.privacy.curator import Curator
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.sealed import CodedTable
from dpsynth.rules import Rule


def script_noise(monkeypatch, seed):
    """Put a seeded stream in place of all samplers; with ``seed=None`` there is no noise at all."""
    rng = np.random.default_rng(seed)

    def draw(size, sigma):
        return np.rint(rng.normal(0, 0 if seed is None else sigma, size)).astype(np.int64)

    monkeypatch.setattr(noise, "rounded_gaussian", draw)
    monkeypatch.setattr(noise, "discrete_gaussian", draw)

    def laplace(size, scale):
        return np.rint(rng.laplace(0, 0 if seed is None else scale, size)).astype(np.int64)

    monkeypatch.setattr(noise, "discrete_laplace", laplace)
    monkeypatch.setattr(noise, "opendp_laplace", laplace)

    def choose(scores, epsilon, sensitivity):
        gumbel = 0 if seed is None else rng.gumbel(0, 1, len(scores))
        return int(np.argmax(np.array(scores, dtype=float) * epsilon / (2 * sensitivity) + gumbel))

    monkeypatch.setattr(noise, "exponential_choice", choose)


def chain(rows=4_000, columns=5, size=8, seed=0):
    """Each column is the one before, or noise in one row of five; column order shuffled by ``2 i mod``."""
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, size, rows)]
    for _ in range(columns - 1):
        codes.append(np.where(rng.random(rows) < 0.8, codes[-1], rng.integers(0, size, rows)))
    return Domain(tuple(Axis(f"c{i}", size) for i in range(columns))), codes


def random_table(sizes, rows, seed=0):
    """Independent columns with a heavy head; every third is ordered."""
    rng = np.random.default_rng(seed)
    axes = tuple(Axis(f"c{i}", s, s if i % 3 == 0 else 0) for i, s in enumerate(sizes))
    codes = [np.minimum(rng.geometric(min(1.0, 3 / s), rows) - 1, s - 1) for s in sizes]
    return Domain(axes), codes


def ruled():
    """A chain with rules that its rows break: one column follows from another, one is at most another."""
    domain, codes = chain()
    eight = np.arange(8)
    follows = Rule.over((1, 0), (eight, eight), np.eye(8, dtype=bool))
    order = Rule.over((2, 4), (eight, eight), eight[:, None] <= eight[None, :])
    return Domain(domain.axes, (follows, order)), codes


TABLES = {
    "one column": lambda: random_table([9], 500),
    "two columns": lambda: random_table([9, 4], 500),
    "columns of one code": lambda: random_table([1, 1, 5, 1], 300),
    "only columns of one code": lambda: random_table([1, 1], 300),
    "thirty columns": lambda: random_table([2 + i % 11 for i in range(30)], 800),
    "a large and a small column": lambda: random_table([3_000, 2, 40], 2_000),
    "no rows": lambda: random_table([6, 5, 4], 0),
    "one row": lambda: random_table([6, 5, 4], 1),
    "chain": chain,
    "rules across columns": ruled,
}


def seal(table, rows_per_unit=1):
    domain, codes = table
    return CodedTable(domain, [c.astype(np.uint32) for c in codes], rows_per_unit=rows_per_unit)


def curator_for(table, *, epsilon=1.0, delta=1e-9, rows_per_unit=1, backend="exact", adjacency="add-remove"):
    guarantee = Guarantee(
        epsilon=epsilon, delta=delta, unit="row", rows_per_unit=rows_per_unit, adjacency=adjacency
    )
    return Curator(seal(table, rows_per_unit), guarantee, backend=backend)


def run(name, curator, progress=lambda stage, fraction: None):
    return form_of(name, curator).run(curator, progress)


def form_of(name, curator):
    """The mechanism, or what takes its place under pure epsilon."""
    return MECHANISMS[name].pure if curator.calculus == "pure" else MECHANISMS[name]


def fit(domain, measured):
    """The model that a release would get from these measurements."""
    return fit_model(domain, measured.one_ways, measured.tables)


@dataclass
class Call:
    """One question to the door: what was asked, what was true, what came out."""

    kind: str
    queries: list
    references: list
    budget: object
    purpose: str
    sigma: float
    exact: np.ndarray
    answer: np.ndarray

    def asked(self):
        groups = [(q.columns, [g.tolist() for g in q.groups]) for q in self.queries]
        return self.kind, groups, [r.tolist() for r in self.references], self.budget, self.purpose, self.sigma


@dataclass
class Replay:
    """Records every answer; in a second run gives the recorded answers again, whatever is true there."""

    seed: int = 0
    script: list[Call] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def install(self, monkeypatch):
        script_noise(monkeypatch, None)  # what the real methods return is then exact
        real_measure, real_score, real_select = Curator.measure, Curator.score, Curator.select
        rng = np.random.default_rng(self.seed)
        self.script, self.calls = self.calls, []

        def answer(exact, sigma):
            if self.script:
                return self.script[len(self.calls)].answer
            return exact + np.rint(rng.normal(0, sigma, exact.shape)).astype(np.int64)

        def measure(curator, query, *, budget, purpose):
            found = real_measure(curator, query, budget=budget, purpose=purpose)
            out = answer(found.values, found.sigma)
            self.calls.append(
                Call("measure", [query], [], budget, purpose, found.sigma, found.values.copy(), out)
            )
            return replace(found, values=out)

        def score(curator, queries, reference, *, budget, purpose):
            exact, sigma = real_score(curator, queries, reference, budget=budget, purpose=purpose)
            out = answer(exact, sigma)
            references = [reference(q) for q in queries]
            self.calls.append(Call("score", list(queries), references, budget, purpose, sigma, exact, out))
            return out, sigma

        def select(curator, queries, reference, *, budget, purpose, handicap=None, weights=None):
            scores = []
            with monkeypatch.context() as patch:
                patch.setattr(noise, "exponential_choice", lambda s, *_: scores.extend(s) or 0)
                real_select(
                    curator,
                    queries,
                    reference,
                    budget=budget,
                    purpose=purpose,
                    handicap=handicap,
                    weights=weights,
                )
            act = curator.entries[-1].act
            drawn = np.array(scores) * act.epsilon / (2 * act.sensitivity) + rng.gumbel(0, 1, len(scores))
            chosen = self.script[len(self.calls)].answer if self.script else int(drawn.argmax())
            references = [reference(q) for q in queries]
            shares = [1] * len(queries) if weights is None else list(weights)
            public = (act.epsilon, act.sensitivity, list(handicap), shares)
            self.calls.append(
                Call("select", list(queries), references, budget, purpose, public, np.array(scores), chosen)
            )
            return chosen

        monkeypatch.setattr(Curator, "measure", measure)
        monkeypatch.setattr(Curator, "score", score)
        monkeypatch.setattr(Curator, "select", select)

    def assert_neighbourly(self, sensitivity, *, pure=False):
        """Same questions at the same prices, and true vectors within what was booked."""
        assert len(self.calls) == len(self.script)
        for first, second in zip(self.script, self.calls, strict=True):
            assert first.asked() == second.asked()
            assert first.exact.shape == second.exact.shape
            if first.kind == "select":
                moved = np.abs(first.exact - second.exact) / np.array(first.sigma[3])
                assert moved.max() <= sensitivity
                assert first.sigma[1] == sensitivity * max(first.sigma[3])
                continue
            if pure:  # booked in L1
                count = len(first.queries) if first.kind == "score" else 1
                assert int(np.abs(first.exact - second.exact).sum()) <= sensitivity * count
                continue
            distance = math.sqrt(float(np.square(first.exact - second.exact).sum()))
            booked = sensitivity * (math.sqrt(len(first.queries)) if first.kind == "score" else 1)
            assert distance <= booked * (1 + 1e-12)
