"""The Bayesian network: scores, usefulness and growth by brute force; a planted network recovered."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from dpsynth.domain import Axis, Domain
from dpsynth.errors import GuaranteeError
from dpsynth.mechanisms.pairs import Option
from dpsynth.mechanisms.privbayes import (
    JOINTS,
    PRIVBAYES,
    Settings,
    _distances,
    _grown,
    _parents,
    _score,
    bayesian_network,
)
from dpsynth.model.levels import nested_levels
from dpsynth.privacy.marginal import Marginal
from tests.mechanisms.harness import chain, curator_for, fit, script_noise

QUIET = lambda stage, fraction: None  # noqa: E731


def _symmetric(d: int, seed: int) -> np.ndarray:
    r = np.triu(np.random.default_rng(seed).random((d, d)), 1)
    return r + r.T


def test_the_score_is_that_of_the_formula() -> None:
    r = _symmetric(4, 0)
    assert _score(0, (2,), r) == pytest.approx(r[0, 2])
    expected = (r[0, 1] + r[0, 2] + r[0, 3]) / math.sqrt(3 + r[1, 2] + r[1, 3] + r[2, 3])
    assert _score(0, (1, 2, 3), r) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("useful", [3, 8, 17, 1000])
def test_parents_are_useful_and_no_single_one_would_add(seed: int, useful: int) -> None:
    sizes, r = [2, 3, 2, 4, 2], _symmetric(5, seed)
    parents, score = _parents(0, [1, 2, 3, 4], r, sizes, useful, 3)
    cells = math.prod(sizes[c] for c in (0, *parents))
    if not parents:
        assert score == 0
        assert all(sizes[0] * sizes[p] > useful for p in range(1, 5))
        return
    assert cells <= useful
    assert len(set(parents)) == len(parents) <= 3
    assert score == pytest.approx(_score(0, parents, r))
    assert parents[0] == max((p for p in range(1, 5) if sizes[0] * sizes[p] <= useful), key=lambda p: r[0, p])
    if len(parents) < 3:
        for p in {1, 2, 3, 4} - set(parents):
            assert cells * sizes[p] > useful or _score(0, (*parents, p), r) <= score


def test_the_network_is_grown_in_the_order_of_scores() -> None:
    """Each table holds one new column and parents that came before; the next is the best of those left."""
    d = 6
    r = _symmetric(d, 3)
    domain = Domain(tuple(Axis(f"c{i}", 3) for i in range(d)))
    levels = [nested_levels(axis, np.ones(3)) for axis in domain]
    joints = _grown(r, levels, domain, 9, 3)
    assert len(joints) == d - 1
    inside = {int(r.sum(axis=0).argmax())}
    for joint in joints:
        (new,) = set(joint.columns) - inside
        (parent,) = set(joint.columns) - {new}
        best = max((r[a, b], a, b) for a in inside for b in set(range(d)) - inside)
        assert r[parent, new] == best[0]
        inside.add(new)
    assert {len(j.columns) for j in _grown(r, levels, domain, 27, 3)} == {2, 3}
    assert _grown(r, levels, domain, 8, 3) == []
    assert _grown(np.zeros((d, d)), levels, domain, 81, 3) == []


def test_a_pair_counts_at_its_finest_useful_resolution() -> None:
    def option(pair, cells):
        groups = np.arange(cells)
        return Option(Marginal(pair, (groups, np.zeros(2, dtype=int))), np.zeros((cells, 1), dtype=int), 0.0)

    options = [option((0, 1), 4), option((0, 1), 16), option((0, 1), 64), option((1, 2), 50)]
    found = _distances(3, options, np.array([0.1, 0.2, 0.3, 0.4]), 20)
    assert found[0, 1] == found[1, 0] == 0.2
    assert found[1, 2] == 0.4  # above 20 cells, but there is none coarser
    assert found[0, 2] == 0


def test_joint_tables_are_useful_and_paid_by_the_two_thirds_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    script_noise(monkeypatch, 2)
    curator = curator_for(chain(rows=20_000, columns=6), epsilon=2.0)
    measured = PRIVBAYES.run(curator, QUIET)
    entries = [e for e in curator.entries if e.purpose == JOINTS]
    assert 1 < len(entries) == len(measured.tables) <= 5
    rest = sum(e.price for e in entries)
    sigma = math.sqrt(5 / float(rest))
    for e, other in itertools.pairwise(entries):
        assert float(e.price / other.price) == pytest.approx((e.cells / other.cells) ** (2 / 3), rel=1e-6)
    assert all(4 * math.sqrt(2 / math.pi) * sigma * e.cells <= 20_000 * 1.05 for e in entries)


def test_a_planted_tree_is_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table of the chain 0-1-2-3-4 holds a column and its neighbour."""
    script_noise(monkeypatch, 1)
    domain, codes = chain(rows=20_000, columns=5, size=4)
    curator = curator_for((domain, codes), epsilon=5.0)
    measured = PRIVBAYES.run(curator, QUIET)
    held = {p for m in measured.tables for p in itertools.combinations(sorted(m.query.columns), 2)}
    assert {(0, 1), (1, 2), (2, 3), (3, 4)} <= held
    rows = fit(domain, measured).sample(20_000, np.random.default_rng(0))
    for a, b in itertools.pairwise(range(5)):
        assert (rows[a] == rows[b]).mean() == pytest.approx((codes[a] == codes[b]).mean(), abs=0.03)


def test_where_nothing_is_useful_the_columns_are_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    script_noise(monkeypatch, 1)
    curator = curator_for(chain(rows=50), epsilon=0.1)
    measured = PRIVBAYES.run(curator, QUIET)
    assert not measured.tables
    assert len(measured.one_ways) == 15
    assert curator.spent >= Fraction(999, 1000) * curator.budget


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"least": Fraction(0)}, "shares"),
        ({"least": Fraction(4, 5)}, "shares"),
        ({"selection": Fraction(0)}, "shares"),
        ({"most": Fraction(19, 20)}, "shares"),
        ({"theta": 0.0}, "theta"),
        ({"parents": 0}, "theta"),
        ({"parents": 4}, "theta"),
        ({"largest": 0}, "theta"),
    ],
)
def test_settings_out_of_range(wrong: dict, message: str) -> None:
    with pytest.raises(GuaranteeError, match=message):
        Settings(**wrong)


def test_equal_shares_mean_no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    script_noise(monkeypatch, 5)
    flat = bayesian_network(Settings(least=Fraction(1, 2), most=Fraction(1, 2)))
    curator = curator_for(chain())
    assert len(flat.plan(curator.domain, 1.0, 1)) == 3
    flat.run(curator, QUIET)
    assert len([e for e in curator.entries if e.cells == 8]) == 5
