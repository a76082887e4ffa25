"""The door to raw columns: what it answers, what it costs, what it refuses."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth.errors import BudgetRefusedError, GuaranteeError, SealedError
from dpsynth.privacy import noise
from dpsynth.privacy.acts import (
    DiscreteGaussian,
    DiscreteLaplace,
    RoundedGaussian,
    ThresholdedDiscreteGaussian,
    ThresholdedGaussian,
    delta_of,
    price,
    threshold_for,
)
from dpsynth.privacy.curator import Curator
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.ledger import Ledger
from dpsynth.privacy.raw import NEITHER, NULL, Points, RawTable
from dpsynth.privacy.seller import Seller
from proofs.checks import thresholding
from tests.privacy.tables import rows, table
from tests.privacy.test_raw import SECRET, points, texts

BUDGET, DELTA = Fraction(1, 20), Fraction(1, 10**8)


def ledger(rows: int = 1, calculus: str = "gdp") -> Ledger:
    guarantee = Guarantee(epsilon=3.0, delta=1e-6, rows_per_unit=rows)
    return Ledger(guarantee, calculus, Fraction(1, 10**7))  # type: ignore[arg-type]


def seller(rows: int = 1, calculus: str = "gdp") -> Seller:
    index = [0] * 40 + [1] * 300 + [2] + [NULL] * 7 + [NEITHER] * 5
    n = len(index)
    values = np.concatenate([np.zeros(200), np.arange(n - 200)]).astype(np.int64)
    null, garbled = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    null[:3], garbled[3:5] = True, True
    columns = {"label": texts(index, ("b", "a", SECRET, "absent")), "number": Points(values, null, garbled)}
    return Seller(RawTable(columns, rows_per_unit=rows), ledger(rows, calculus))


def test_what_is_common_is_found(no_noise: list[tuple[str, object]]) -> None:
    shop = seller()
    found = shop.discover("label", budget=BUDGET, delta=DELTA, purpose="looking")
    assert found.labels in (("a", "b"), ("a",))
    assert found.counts.tolist() == [300, 40][: len(found.labels)]
    assert (found.labels == ("a", "b")) == (found.threshold < 40)
    assert found.nulls == 7
    (entry,) = shop.ledger.entries
    assert entry.act == ThresholdedGaussian(
        sigma=found.sigma, sensitivity_squared=1, rows=1, threshold=found.threshold
    )
    assert (entry.purpose, entry.columns, entry.number) == ("looking", ("label",), found.entry)
    assert entry.price <= BUDGET
    assert 0 < entry.delta <= DELTA
    assert no_noise == [("rounded", (4, found.sigma))]  # three labels occur, and nulls


def test_intervals_are_counted(no_noise: list[tuple[str, object]]) -> None:
    shop = seller()
    found = shop.count("number", [0, 1, 10, 60], budget=BUDGET, purpose="counting")
    assert found.counts.tolist() == [200 - 5 + 1, 9, 50]
    assert found.nulls == 3
    assert found.elsewhere == 353 - 3 - (196 + 9 + 50)
    assert found.edges == (0, 1, 10, 60)
    (entry,) = shop.ledger.entries
    assert entry.act == RoundedGaussian(sigma=found.sigma, sensitivity_squared=1)
    assert (entry.cells, entry.delta) == (5, 0)
    assert no_noise == [("rounded", (5, found.sigma))]


@pytest.mark.parametrize(("column", "nulls"), [("label", 7), ("number", 3)])
def test_without_edges_rows_and_nulls_are_counted(
    no_noise: list[tuple[str, object]], column: str, nulls: int
) -> None:
    found = seller().count(column, (), budget=BUDGET, purpose="rows")
    assert (found.nulls, found.elsewhere, found.counts.size) == (nulls, 353 - nulls, 0)
    assert len(no_noise) == 1


def test_opendp_noise_is_priced_in_zcdp(no_noise: list[tuple[str, object]]) -> None:
    shop = seller(calculus="zcdp")
    shop.discover("label", budget=BUDGET, delta=DELTA, purpose="looking")
    shop.count("number", (0, 5), budget=BUDGET, purpose="counting")
    acts = [entry.act for entry in shop.ledger.entries]
    assert [type(act) for act in acts] == [ThresholdedDiscreteGaussian, DiscreteGaussian]
    assert [name for name, _ in no_noise] == ["discrete", "discrete"]
    assert all(entry.price <= BUDGET for entry in shop.ledger.entries)


@pytest.mark.parametrize("rows", [2, 5])
def test_more_rows_a_unit_cost_more(no_noise: list[tuple[str, object]], rows: int) -> None:
    one, many = seller(), seller(rows)
    found = [s.discover("label", budget=BUDGET, delta=DELTA, purpose="x") for s in (one, many)]
    assert found[1].sigma == pytest.approx(rows * found[0].sigma)
    assert found[1].threshold > rows * (found[0].threshold - 2)
    assert many.ledger.entries[0].act.sensitivity_squared == rows**2  # type: ignore[union-attr]
    assert len(no_noise) == 2


def test_the_whole_answer_is_noisy() -> None:
    draws = [seller().count("number", (0, 60), budget=BUDGET, purpose="x") for _ in range(40)]
    for values in ({d.nulls for d in draws}, {d.elsewhere for d in draws}, {int(d.counts[0]) for d in draws}):
        assert len(values) > 5  # sigma is 4.5: fewer have a chance far below 1e-20
    found = [seller().discover("label", budget=BUDGET, delta=DELTA, purpose="x") for _ in range(40)]
    assert len({int(f.counts[0]) for f in found}) > 5
    assert len({f.nulls for f in found}) > 5
    assert all(SECRET not in f.labels for f in found)  # its row passes with a chance of at most 1e-8


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (lambda s: s.discover("number", budget=BUDGET, delta=DELTA, purpose="x"), ValueError, "of numbers"),
        (lambda s: s.discover("x", budget=BUDGET, delta=DELTA, purpose="x"), ValueError, "not among"),
        (
            lambda s: s.discover("label", budget=Fraction(9), delta=DELTA, purpose="x"),
            BudgetRefusedError,
            "asks mu",
        ),
        (
            lambda s: s.discover("label", budget=BUDGET, delta=Fraction(1, 1000), purpose="x"),
            BudgetRefusedError,
            "asks delta",
        ),
        (
            lambda s: s.discover("label", budget=BUDGET, delta=Fraction(0), purpose="x"),
            GuaranteeError,
            "positive",
        ),
        (
            lambda s: s.discover("label", budget=Fraction(0), delta=DELTA, purpose="x"),
            GuaranteeError,
            "positive",
        ),
        (lambda s: s.count("label", (0, 1), budget=BUDGET, purpose="x"), ValueError, "no intervals"),
        (lambda s: s.count("number", (0,), budget=BUDGET, purpose="x"), ValueError, "two to"),
        (lambda s: s.count("number", range(2**20 + 1), budget=BUDGET, purpose="x"), ValueError, "two to"),
        (lambda s: s.count("number", (0, 0), budget=BUDGET, purpose="x"), ValueError, "increase"),
        (lambda s: s.count("number", (0.0, 1), budget=BUDGET, purpose="x"), ValueError, "whole numbers"),
        (lambda s: s.count("number", (0, 2**62 + 2), budget=BUDGET, purpose="x"), ValueError, "within"),
        (lambda s: s.count("number", (-(2**62) - 1, 0), budget=BUDGET, purpose="x"), ValueError, "within"),
        (lambda s: s.count("number", (0, 1), budget=Fraction(9), purpose="x"), BudgetRefusedError, "asks mu"),
    ],
)
def test_a_refused_request_changes_nothing(
    explosive: Callable[[], None], ask: Callable[[Seller], object], error: type[Exception], said: str
) -> None:
    shop = seller()
    explosive()
    with pytest.raises(error, match=said) as caught:
        ask(shop)
    assert shop.ledger.entries == ()
    assert SECRET not in str(caught.value)


def test_edges_may_reach_as_far_as_points(no_noise: list[tuple[str, object]]) -> None:
    shop = Seller(RawTable({"n": points([-(2**62), 2**62])}), ledger())
    found = shop.count("n", (-(2**62), 0, 2**62 + 1), budget=BUDGET, purpose="x")
    assert found.counts.tolist() == [1, 1]
    assert len(no_noise) == 1


def test_a_failure_shows_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(size: int, sigma: float) -> None:
        raise OSError("no entropy")

    monkeypatch.setattr(noise, "rounded_gaussian", broken)
    for ask in (
        lambda s: s.discover("label", budget=BUDGET, delta=DELTA, purpose="x"),
        lambda s: s.count("number", (0, 1), budget=BUDGET, purpose="x"),
    ):
        shop = seller()
        with pytest.raises(OSError, match="no entropy") as caught:
            ask(shop)
        frames = [
            f for f, _ in traceback.walk_tb(caught.value.__traceback__) if "seller" in f.f_code.co_filename
        ]
        assert not any(
            "counts" in f.f_locals or "column" in f.f_locals for f in frames if "__" in f.f_code.co_name
        )
        assert len(shop.ledger.entries) == 1  # stays spent


def test_a_unit_with_more_rows_than_promised_is_refused() -> None:
    with pytest.raises(ValueError, match="up to 3 rows a unit, the guarantee covers 1"):
        Seller(RawTable({"n": points([1])}, rows_per_unit=3), ledger())


@pytest.mark.parametrize("do", [copy.copy, copy.deepcopy, pickle.dumps, lambda s: s.__reduce__()])
def test_it_is_not_saved_or_copied(do: Callable[[Seller], object]) -> None:
    with pytest.raises(SealedError):
        do(seller())


def test_it_shows_columns_and_budget_only() -> None:
    assert repr(seller()).startswith("Seller(columns=2, Ledger(gdp")


def test_partitions_and_losses_agree_with_the_code() -> None:
    assert len(thresholding.run()) == 2
    found, allowed = thresholding.replaced(2, 1.5, 0.5, 7)
    assert found <= allowed


def test_the_enumeration_notices() -> None:
    """Guard of the guard: a delta that forgets that one unit may have several labels is too small."""
    one = thresholding.chance_of((1,), 2.0, 9, discrete=False)
    assert thresholding.greatest_chance(3, 2.0, 9) > 2.9 * one
    assert sorted(thresholding.partitions(4)) == [(1, 1, 1, 1), (2, 1, 1), (2, 2), (3, 1), (4,)]
    spread = [thresholding.chance_of(p, 1.0, 12, discrete=False) for p in thresholding.partitions(3)]
    assert max(spread) == spread[0] > 0  # far out, all rows on one label is worst


@settings(max_examples=60, deadline=None)
@given(
    sigma=st.floats(0.3, 500),
    rows=st.integers(1, 100_000),
    delta=st.floats(1e-25, 0.3),
    make=st.sampled_from([ThresholdedGaussian, ThresholdedDiscreteGaussian]),
)
def test_the_threshold_is_the_least(
    sigma: float, rows: int, delta: float, make: type[ThresholdedGaussian]
) -> None:
    threshold = threshold_for(make, sigma, rows, Fraction(delta))

    def spent(at: int) -> Fraction:
        return delta_of(make(sigma=sigma, sensitivity_squared=rows**2, rows=rows, threshold=at))

    assert spent(threshold) <= Fraction(delta)
    assert threshold == 1 or spent(threshold - 1) > Fraction(delta)


def test_many_rows_spread_thin() -> None:
    """For a thousand rows each on its own label the chance is a thousand times that of one, all but."""
    act = ThresholdedGaussian(sigma=200.0, sensitivity_squared=10**6, rows=1000, threshold=2100)
    with mpmath.workdps(40):
        one = mpmath.erfc((mpmath.mpf(2100) - 0.5) / 200 / mpmath.sqrt(2)) / 2
        all_at_once = mpmath.erfc((mpmath.mpf(2100) - 999.5) / 200 / mpmath.sqrt(2)) / 2
        assert float(delta_of(act)) == pytest.approx(float(max(all_at_once, 1 - (1 - one) ** 1000)), rel=1e-9)


@pytest.mark.parametrize("make", [ThresholdedGaussian, ThresholdedDiscreteGaussian])
@pytest.mark.parametrize(
    "change",
    [{"sigma": 0.0}, {"sensitivity_squared": 0}, {"rows": 0}, {"rows": 10**6 + 1}, {"threshold": 0},
     {"threshold": 2**62 + 1}, {"threshold": 1.5}],
)  # fmt: skip
def test_an_act_out_of_range_is_refused(make: type[ThresholdedGaussian], change: dict[str, object]) -> None:
    terms = {"sigma": 1.0, "sensitivity_squared": 1, "rows": 1, "threshold": 5} | change
    with pytest.raises(GuaranteeError):
        make(**terms)  # type: ignore[arg-type]


def test_discrete_noise_has_no_price_in_gdp() -> None:
    act = ThresholdedDiscreteGaussian(sigma=1.0, sensitivity_squared=1, rows=1, threshold=5)
    assert price(act, "zcdp") == Fraction(1, 2)
    with pytest.raises(GuaranteeError, match="no known price"):
        price(act, "gdp")


def test_the_curator_goes_on_with_the_ledger() -> None:
    shop = seller()
    shop.count("number", (0, 5), budget=BUDGET, purpose="counting")
    guarantee = shop.ledger.guarantee
    curator = Curator(table(rows(20)), guarantee, ledger=shop.ledger)
    assert curator.left == shop.ledger.left < curator.budget
    assert [entry.purpose for entry in curator.entries] == ["counting"]
    with pytest.raises(ValueError, match="for another guarantee or calculus"):
        Curator(table(rows(20)), guarantee, backend="opendp", ledger=shop.ledger)
    with pytest.raises(ValueError, match="for another guarantee or calculus"):
        Curator(table(rows(20)), Guarantee(epsilon=1.0, delta=1e-6), ledger=shop.ledger)


def _promised(**fields: object) -> Ledger:
    promise = Guarantee(**{"epsilon": 3.0, "delta": 1e-6, "rows_per_unit": 2} | fields)  # type: ignore[arg-type]
    pure = promise.delta == 0
    return Ledger(promise, "pure" if pure else "gdp", Fraction(0) if pure else Fraction(1, 10**7))


def _shop(book: Ledger, **more: object) -> Seller:
    column = texts([0] * 40 + [1] * 30, ("b", "a"))
    return Seller(RawTable({"label": column}, rows_per_unit=2), book, **more)  # type: ignore[arg-type]


def test_a_replaced_unit_moves_counts_by_less_and_by_more(no_noise: list[tuple[str, object]]) -> None:
    book = _promised(adjacency="replace-one")
    found = _shop(book).discover("label", budget=BUDGET, delta=DELTA, purpose="p")
    _shop(book).count("label", [], budget=BUDGET, purpose="p")
    first, second = (entry.act for entry in book.entries)
    assert (first.sensitivity_squared, first.rows, second.sensitivity_squared) == (8, 2, 8)
    assert found.sigma == second.sigma == pytest.approx((8 / 0.05) ** 0.5, rel=1e-12)


@pytest.mark.parametrize(("backend", "sampler"), [("exact", "laplace"), ("opendp", "opendp laplace")])
def test_pure_epsilon_buys_counts_but_no_categories(
    backend: str, sampler: str, no_noise: list[tuple[str, object]]
) -> None:
    book = _promised(delta=0.0)
    shop = _shop(book, backend=backend)
    with pytest.raises(GuaranteeError, match="delta is 0: state them in the schema"):
        shop.discover("label", budget=BUDGET, delta=DELTA, purpose="p")
    assert (book.entries, no_noise) == ((), [])
    found = shop.count("label", [], budget=Fraction(1, 4), purpose="p")
    (entry,) = book.entries
    assert entry.act == DiscreteLaplace(scale=8.0, sensitivity=2)
    assert found.sigma == entry.act.sigma
    assert no_noise == [(sampler, (2, 8.0))]


def test_the_noise_is_of_the_ledgers_calculus() -> None:
    with pytest.raises(ValueError, match="backend='opendp' is not accounted in the ledger's gdp"):
        _shop(_promised(), backend="opendp")
