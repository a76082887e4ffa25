"""Named marginals: the division of the budget, the resolutions, and what is recovered."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from dpsynth.domain import Axis, Domain
from dpsynth.errors import GuaranteeError, InputError
from dpsynth.mechanisms import Terms, Workload
from dpsynth.mechanisms.candidates import candidates_of
from dpsynth.mechanisms.fixed import FIXED, NAMED, Settings, _affordable, named_marginals
from dpsynth.mechanisms.pairs import noise_weight
from dpsynth.model.levels import nested_levels
from tests.mechanisms.harness import chain, curator_for, fit, random_table, script_noise

QUIET = lambda stage, fraction: None  # noqa: E731


def under(weights: dict) -> object:
    return FIXED.under(Terms(workload=Workload.of(weights)))


def test_the_budget_goes_by_weight_and_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """``(w n)**(2/3)``; the one-way marginals, named or not, are all measured first."""
    script_noise(monkeypatch, 3)
    curator = curator_for(chain(size=3), epsilon=20.0)
    measured = under({("c0", "c1"): 8.0, ("c1", "c2", "c4"): 1.0, ("c3",): 5.0}).run(curator, QUIET)
    assert [m.query.columns for m in measured.tables] == [(0, 1), (1, 2, 4)]
    assert {m.query.columns for m in measured.one_ways} == {(c,) for c in range(5)}
    pair, triple = (e for e in curator.entries if e.purpose == NAMED)
    assert (pair.cells, triple.cells) == (9, 27)
    assert float(pair.price / triple.price) == pytest.approx((8 * 9 / 27) ** (2 / 3), rel=1e-6)
    assert curator.spent >= Fraction(999, 1000) * curator.budget


def test_the_division_has_the_least_weighted_error() -> None:
    """Against every other division on a grid: ``sum w n sigma`` under ``sum 1 / sigma**2 = 1``."""
    w, n = np.array([2.0, 1.0, 0.5]), np.array([4.0, 30.0, 100.0])

    def error(shares):
        return float((w * n / np.sqrt(shares)).sum())

    best = (w * n) ** (2 / 3) / ((w * n) ** (2 / 3)).sum()
    for a, b in itertools.product(np.linspace(0.02, 0.96, 48), repeat=2):
        if a + b < 0.99:
            assert error(best) <= error(np.array([a, b, 1 - a - b])) + 1e-9


@pytest.mark.parametrize("power", [1e-4, 1e-2, 1.0, 100.0])
def test_tables_are_coarsened_until_their_noise_is_tolerable(power: float) -> None:
    domain = Domain(tuple(Axis(f"c{i}", 60, 60) for i in range(3)))
    levels = [nested_levels(axis, np.ones(60)) for axis in domain]
    ladders = [candidates_of(domain, s, 1.0, levels, (32, 128, 512, 2048, 8192)) for s in [(0, 1), (1, 2)]]
    chosen = _affordable(ladders, power, 1000.0, 0.25)
    shares = np.array([c.query.cells for c in chosen]) ** (2 / 3)
    for c, share in zip(chosen, shares / shares.sum(), strict=True):
        noise = (
            noise_weight(1000.0 * math.sqrt(power))
            * math.sqrt(2 / math.pi)
            * c.query.cells
            / math.sqrt(power * share)
        )
        coarsest = c is ladders[0][0] or c is ladders[1][0]
        assert noise <= 250 or coarsest
    if power == 100.0:
        assert [c.query.cells for c in chosen] == [3600, 3600]
    if power == 1e-4:
        assert all(c is ladder[0] for c, ladder in zip(chosen, ladders, strict=True))


def test_a_planted_table_is_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    script_noise(monkeypatch, 5)
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 2, 20_000), rng.integers(0, 2, 20_000)
    domain = Domain((Axis("a", 2), Axis("b", 2), Axis("parity", 2)))
    curator = curator_for((domain, [a, b, a ^ b]), epsilon=2.0)
    measured = under({("a", "b", "parity"): 1.0}).run(curator, QUIET)
    rows = fit(domain, measured).sample(20_000, np.random.default_rng(0))
    assert ((rows[0] ^ rows[1]) == rows[2]).mean() > 0.97


def test_few_rows_get_more_for_the_columns() -> None:
    settings = Settings()
    assert settings.one_ways(10.0) == settings.most
    assert settings.one_ways(1e9) == settings.least
    assert settings.least < settings.one_ways(4000.0) == Fraction(42, 100) < settings.most


def test_a_workload_of_columns_spends_all_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    script_noise(monkeypatch, 5)
    curator = curator_for(chain())
    alone = under({("c1",): 2.0})
    assert len(alone.plan(curator.domain, 1.0, 1)) == 1
    assert not alone.run(curator, QUIET).tables
    assert curator.spent >= Fraction(999, 1000) * curator.budget


def test_a_marginal_of_too_many_columns_is_refused_before_anything_is_spent() -> None:
    table = random_table([12] * 9, 10)
    curator = curator_for(table)
    wide = FIXED.under(Terms(workload=Workload.of([table[0].names])))
    for ask in (lambda: wide.run(curator, QUIET), lambda: wide.plan(curator.domain, 1.0, 1)):
        with pytest.raises(InputError, match="too many columns"):
            ask()
    assert curator.spent == 0


@pytest.mark.parametrize(
    "wrong", [{"least": Fraction(0)}, {"least": Fraction(4, 5)}, {"most": Fraction(1)}, {"tolerance": 0.0}]
)
def test_settings_out_of_range(wrong: dict) -> None:
    with pytest.raises(GuaranteeError, match="least <= most"):
        named_marginals(Settings(**wrong))


def test_equal_shares_mean_no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    script_noise(monkeypatch, 5)
    curator = curator_for(chain())
    flat = named_marginals(Settings(least=Fraction(1, 2), most=Fraction(1, 2)))
    assert [s.purpose for s in flat.plan(curator.domain, 1.0, 1)] == ["one-way marginals", NAMED]
    flat.run(curator, QUIET)
    assert {e.purpose for e in curator.entries} == {"one-way marginals", NAMED}
    assert FIXED.under(Terms()).takes == ("workload",)
