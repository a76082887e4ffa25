"""The conversions against four independent accountants, and on the safe side of all of them."""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
import threading
import types
from collections.abc import Callable
from fractions import Fraction

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.errors import GuaranteeError
from dpsynth.privacy.guarantee import (
    Guarantee,
    calculus_of,
    gdp_budget,
    gdp_delta,
    gdp_epsilon,
    zcdp_budget,
    zcdp_delta,
    zcdp_epsilon,
)
from tests.privacy.oracles import MP

EPSILONS = (1e-3, 0.03, 0.5, 1.0, 3.0, 10.0, 100.0)
DELTAS = (1e-12, 1e-9, 1e-5, 1e-2)
GRID = tuple(itertools.product(EPSILONS, DELTAS))
BUDGETS = (gdp_budget, zcdp_budget)
DELTA_OF = {gdp_budget: gdp_delta, zcdp_budget: zcdp_delta}
EPSILON_OF = {gdp_budget: gdp_epsilon, zcdp_budget: zcdp_epsilon}


def _gdp_exact(mu_squared: float | Fraction, epsilon: float) -> mpmath.mpf:
    """Return delta with 80 digits, from the integral of ``max(0, 1 - exp(epsilon - L))``'s closed form."""
    fraction = Fraction(mu_squared)
    with MP.workdps(80):
        mu = MP.sqrt(MP.mpf(fraction.numerator) / fraction.denominator)
        a, b = (MP.mpf(epsilon) / mu - mu / 2) / MP.sqrt(2), (MP.mpf(epsilon) / mu + mu / 2) / MP.sqrt(2)
        return MP.erfc(a) / 2 - MP.exp(MP.mpf(epsilon)) * MP.erfc(b) / 2


def _zcdp_at(rho: float, epsilon: float, alpha: mpmath.mpf) -> mpmath.mpf:
    with MP.workdps(80):
        r, e = MP.mpf(rho), MP.mpf(epsilon)
        return MP.exp((alpha - 1) * (alpha * r - e)) / (alpha - 1) * (1 - 1 / alpha) ** alpha


@pytest.mark.parametrize(("epsilon", "delta"), GRID)
def test_gdp_budget_is_safe_and_nearly_tight(epsilon: float, delta: float) -> None:
    """delta(budget) <= delta with 80 digits, and the budget 1e-9 (relative) larger is already too much."""
    budget = gdp_budget(epsilon, delta)
    assert _gdp_exact(budget, epsilon) <= MP.mpf(delta)
    assert _gdp_exact(budget * (1 + 1e-9), epsilon) > MP.mpf(delta)
    assert gdp_delta(budget, epsilon) <= delta


@pytest.mark.parametrize(("epsilon", "delta"), GRID)
def test_zcdp_budget_is_safe_and_nearly_tight(epsilon: float, delta: float) -> None:
    """Some alpha, found by an independent search, proves delta; for 1e-9 more, the best alpha does not."""
    rho = zcdp_budget(epsilon, delta)

    def best(r: float) -> mpmath.mpf:
        alpha = MP.mpf(1) + MP.mpf(epsilon) / (2 * r)
        low, high = MP.log((alpha - 1) / 100), MP.log((alpha - 1) * 100)
        for _ in range(120):  # ternary search on log(alpha - 1)
            a, b = low + (high - low) / 3, high - (high - low) / 3
            if _zcdp_at(r, epsilon, 1 + MP.exp(a)) < _zcdp_at(r, epsilon, 1 + MP.exp(b)):
                high = b
            else:
                low = a
        return _zcdp_at(r, epsilon, 1 + MP.exp(low))

    with MP.workdps(40):
        assert best(rho) <= MP.mpf(delta) * (1 + MP.mpf(10) ** -14)
        assert best(rho * (1 + 1e-9)) > MP.mpf(delta)
    assert zcdp_delta(rho, epsilon) <= delta


@pytest.mark.parametrize(("epsilon", "delta"), GRID)
@pytest.mark.parametrize("budget_of", BUDGETS)
def test_round_trips(budget_of: Callable[[float, float], float], epsilon: float, delta: float) -> None:
    """epsilon(budget(e, d), d) <= e and close to it; the next float down is not enough."""
    budget = budget_of(epsilon, delta)
    back = EPSILON_OF[budget_of](budget, delta)
    assert back <= epsilon
    assert math.isclose(back, epsilon, rel_tol=1e-8)
    assert DELTA_OF[budget_of](budget, back) <= delta
    assert DELTA_OF[budget_of](budget, back * (1 - 1e-8)) > delta


@pytest.mark.parametrize("budget_of", BUDGETS)
def test_monotone(budget_of: Callable[[float, float], float]) -> None:
    for e1, e2 in itertools.pairwise(EPSILONS):
        assert budget_of(e1, 1e-9) < budget_of(e2, 1e-9)
        assert DELTA_OF[budget_of](0.5, e1) >= DELTA_OF[budget_of](0.5, e2)
    for d1, d2 in itertools.pairwise(DELTAS):
        assert budget_of(1.0, d1) < budget_of(1.0, d2)
        assert EPSILON_OF[budget_of](0.5, d1) > EPSILON_OF[budget_of](0.5, d2)


@given(mu_squared=st.floats(1e-8, 1e3), more=st.floats(1.0001, 10), epsilon=st.floats(0, 100))
def test_delta_laws(mu_squared: float, more: float, epsilon: float) -> None:
    delta = gdp_delta(mu_squared, epsilon)
    assert _gdp_exact(mu_squared, epsilon) <= delta <= 1
    assert delta <= gdp_delta(mu_squared * more, epsilon)
    assert gdp_delta(Fraction(mu_squared), epsilon) == delta
    assert zcdp_delta(mu_squared / 2, epsilon) >= delta * (1 - 1e-12)  # mu-GDP is mu^2/2-zCDP, and better


def test_gdp_affords_8_to_22_percent_more_than_zcdp() -> None:
    gains = [
        gdp_budget(e, d) / (2 * zcdp_budget(e, d)) for e, d in itertools.product((0.1, 1, 10), DELTAS[:3])
    ]
    assert 1.05 < min(gains) <= max(gains) < 1.30


@pytest.mark.parametrize("sigma", [0.7, 5.0, 40.0])
def test_agrees_with_dp_accounting(sigma: float) -> None:
    """dp-accounting's privacy loss distributions are rounded pessimistically: ours is below, and close."""
    import dp_accounting

    pld = dp_accounting.pld.PLDAccountant()
    pld.compose(dp_accounting.GaussianDpEvent(sigma))
    rdp = dp_accounting.rdp.RdpAccountant()
    rdp.compose(dp_accounting.GaussianDpEvent(sigma))
    for delta in (1e-9, 1e-5):
        ours = gdp_epsilon(1 / sigma**2, delta)
        theirs = pld.get_epsilon(delta)
        assert ours <= theirs * (1 + 1e-9)
        assert math.isclose(ours, theirs, rel_tol=2e-3, abs_tol=1e-3)
        renyi = rdp.get_epsilon(delta)
        zcdp = zcdp_epsilon(0.5 / sigma**2, delta)
        assert ours < zcdp <= renyi * (1 + 1e-9)  # they search a grid of orders
        assert math.isclose(zcdp, renyi, rel_tol=2e-2)


@pytest.mark.parametrize("scale", [0.8, 3.0, 25.0])
@pytest.mark.parametrize("delta", [1e-9, 1e-5])
def test_zcdp_agrees_with_opendp(scale: float, delta: float) -> None:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
    measurement = dp.c.make_zCDP_to_approxDP(dp.m.make_gaussian(*space, scale=scale))
    theirs = measurement.map(1.0).epsilon(delta)
    ours = zcdp_epsilon(Fraction(1, 2) / Fraction(scale) ** 2, delta)
    assert ours <= theirs * (1 + 1e-9)
    assert math.isclose(ours, theirs, rel_tol=1e-6)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 1e-5), (1.0, 1e-9), (5.0, 1e-3)])
def test_sigma_agrees_with_diffprivlib(epsilon: float, delta: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its analytic Gaussian (Balle, Wang 2018) needs the same sigma. Its models are not loaded: they need an
    older scikit-learn."""
    monkeypatch.setitem(sys.modules, "diffprivlib.models", types.ModuleType("diffprivlib.models"))
    from diffprivlib.mechanisms import GaussianAnalytic

    theirs = GaussianAnalytic(epsilon=epsilon, delta=delta, sensitivity=1)._scale
    assert math.isclose(gdp_budget(epsilon, delta) ** -0.5, theirs, rel_tol=1e-6)


def test_extremes_end_and_err_on_the_safe_side() -> None:
    """Each of these once hung, overflowed or left the real numbers."""
    assert zcdp_delta(1e6, 1.0) == 1.0
    assert gdp_delta(Fraction(10) ** 700, 1.0) == zcdp_delta(Fraction(10) ** 700, 1.0) == 1.0
    assert gdp_delta(1e-320, 1.0) == gdp_delta(0, 1.0) == zcdp_delta(0, 1.0)
    assert 0 < gdp_delta(0, 1.0) < 1e-40
    assert gdp_delta(1.0, 1e300) == zcdp_delta(1.0, 1e300) == gdp_delta(0, 0.0 + 1.0)
    for budget_of in BUDGETS:
        budget = budget_of(1.0, 1 - 1e-12)
        assert DELTA_OF[budget_of](budget, 1.0) <= 1 - 1e-12
        assert budget > 20
        assert budget_of(1e4, 1e-12) > 1e3
    assert gdp_epsilon(1e-9, 0.5) == 0.0


@pytest.mark.parametrize("function", [gdp_delta, zcdp_delta])
@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), True, "1", Fraction(-1)])
def test_delta_refuses(function: Callable[[object, object], float], bad: object) -> None:
    with pytest.raises(GuaranteeError):
        function(bad, 1.0)
    if not isinstance(bad, Fraction):
        with pytest.raises(GuaranteeError):
            function(1.0, bad)


@pytest.mark.parametrize("function", [gdp_epsilon, zcdp_epsilon])
def test_epsilon_refuses(function: Callable[[float, float], float]) -> None:
    with pytest.raises(GuaranteeError, match="negative"):
        function(-1.0, 0.1)
    for budget, delta in ((1e300, 0.1), (1.0, float("nan")), (1.0, 1e-60)):
        with pytest.raises(GuaranteeError, match="no epsilon below 1e9"):
            function(budget, delta)


@pytest.mark.parametrize("calculus", ["gdp", "zcdp"])
def test_a_guarantee_that_affords_nothing(calculus: str) -> None:
    with pytest.raises(GuaranteeError, match="affords no measurement"):
        Guarantee(epsilon=1.0, delta=1e-60).budget(calculus)


def test_an_unknown_calculus_has_no_budget() -> None:
    with pytest.raises(GuaranteeError, match="none of gdp, zcdp, pure"):
        Guarantee(epsilon=1.0, delta=1e-9).budget("renyi")


@pytest.mark.parametrize("calculus", ["gdp", "zcdp"])
def test_without_delta_only_epsilon_itself_is_a_budget(calculus: str) -> None:
    pure = Guarantee(epsilon=1, delta=0)
    assert pure.budget("pure") == 1.0
    assert isinstance(pure.budget("pure"), float)
    assert Guarantee(epsilon=0.1, delta=1e-9).budget("pure") == 0.1
    with pytest.raises(GuaranteeError, match="needs a delta; use pure"):
        pure.budget(calculus)
    with pytest.raises(GuaranteeError, match="no Fraction from 0 to below delta"):
        pure.budget("pure", Fraction(1, 10**9))


def test_the_calculus_follows_from_the_noise_and_delta() -> None:
    assert [calculus_of(b, 1e-9) for b in ("exact", "opendp")] == ["gdp", "zcdp"]
    assert [calculus_of(b, 0) for b in ("exact", "opendp")] == ["pure", "pure"]


def test_a_guarantee_budgets_in_both_currencies() -> None:
    guarantee = Guarantee(epsilon=1, delta=1e-9)
    assert guarantee.budget("gdp") == gdp_budget(1.0, 1e-9)
    assert guarantee.budget("zcdp") == zcdp_budget(1.0, 1e-9)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epsilon": 0.0}, "outside"),
        ({"epsilon": -1.0}, "outside"),
        ({"epsilon": 10_001.0}, "outside"),
        ({"epsilon": float("nan")}, "finite"),
        ({"epsilon": float("inf")}, "finite"),
        ({"epsilon": True}, "finite"),
        ({"epsilon": "1"}, "finite"),
        ({"epsilon": 10**400}, "too large"),
        ({"delta": -1e-300}, "outside"),
        ({"adjacency": "swap"}, "neither 'add-remove' nor 'replace-one'"),
        ({"adjacency": None}, "neither 'add-remove' nor 'replace-one'"),
        ({"delta": 1.0}, "outside"),
        ({"delta": 1}, "outside"),
        ({"delta": float("nan")}, "finite"),
        ({"delta": None}, "finite"),
        ({"rows_per_unit": 0}, "rows_per_unit"),
        ({"rows_per_unit": float("nan")}, "rows_per_unit"),
        ({"rows_per_unit": 2.5}, "rows_per_unit"),
        ({"rows_per_unit": True}, "rows_per_unit"),
        ({"unit": ""}, "unit"),
        ({"unit": None}, "unit"),
    ],
)
def test_a_guarantee_is_checked_at_birth(fields: dict[str, object], message: str) -> None:
    with pytest.raises(GuaranteeError, match=message):
        Guarantee(**{"epsilon": 1.0, "delta": 1e-9} | fields)


def test_a_guarantee_says_what_it_promises() -> None:
    assert str(Guarantee(epsilon=1.0, delta=1e-9)) == (
        "(1, 1e-09)-differential privacy for adding or removing one row"
    )
    patient = Guarantee(epsilon=1.0, delta=1e-9, unit="patient", rows_per_unit=5)
    assert "all rows of one patient (at most 5)" in str(patient)
    assert str(Guarantee(epsilon=1.0, delta=0, adjacency="replace-one")) == (
        "(1, 0)-differential privacy for replacing one row by another"
    )
    assert str(dataclasses.replace(patient, adjacency="replace-one")).endswith(
        "for replacing all rows of one patient (at most 5) by those of another"
    )


def test_other_users_of_mpmath_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Budgets in four threads, while another sets mpmath's global precision to 5 digits, over and over."""
    expected = [gdp_budget(e, 1e-9) for e in EPSILONS]
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            mpmath.mp.dps = 5
            mpmath.mp.dps = 15

    def work(results: list[list[float]]) -> None:
        results.append([gdp_budget(e, 1e-9) for e in EPSILONS])

    results: list[list[float]] = []
    threads = [threading.Thread(target=work, args=(results,)) for _ in range(4)]
    nuisance = threading.Thread(target=disturb)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        nuisance.start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stop.set()
        nuisance.join()
        sys.setswitchinterval(interval)
        mpmath.mp.dps = 15
    assert results == [expected] * 4
