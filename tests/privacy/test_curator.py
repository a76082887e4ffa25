"""The door: what it answers, what it books, what it refuses, and what it never says."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.errors import BudgetRefusedError, GuaranteeError
from dpsynth.privacy import curator as door
from dpsynth.privacy import noise
from dpsynth.privacy.acts import DiscreteGaussian, ExponentialMechanism, RoundedGaussian, price
from dpsynth.privacy.curator import Curator, Marginal
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.marginal import LARGEST_TABLE
from tests.privacy.tables import SIZES, brute_force, curator, every_marginal, marginal, rows, table

ONE = Fraction(1, 100)


def zeros(query: Marginal) -> np.ndarray:
    return np.zeros(query.shape, dtype=np.int64)


DOORS: dict[str, Callable[..., Any]] = {
    "measure": lambda c, q=None, **kw: c.measure(
        (q or every_marginal())[0], **{"budget": ONE, "purpose": "p"} | kw
    ),
    "score": lambda c, q=None, **kw: c.score(
        every_marginal() if q is None else q,
        kw.pop("reference", zeros),
        **{"budget": ONE, "purpose": "p"} | kw,
    ),
    "select": lambda c, q=None, **kw: c.select(
        every_marginal() if q is None else q,
        kw.pop("reference", zeros),
        **{"budget": ONE, "purpose": "p"} | kw,
    ),
}
EACH_DOOR = pytest.mark.parametrize("ask", DOORS.values(), ids=DOORS.keys())


def test_these_are_all_the_doors() -> None:
    methods = {n for n, v in vars(Curator).items() if callable(v) and not n.startswith("_")} - {"close"}
    assert methods == set(DOORS)


@pytest.mark.parametrize("backend", ["exact", "opendp"])
@given(n=st.integers(0, 30), seed=st.integers(0, 99), data=st.data())
def test_without_noise_the_answers_are_exact(backend: str, n: int, seed: int, data: st.DataObject) -> None:
    content = rows(n, seed=seed)
    groups = [
        np.array(data.draw(st.lists(st.integers(0, 3), min_size=s, max_size=s)), dtype=np.int32)
        for s in SIZES
    ]
    query = Marginal((2, 0, 1), (groups[2], groups[0], groups[1]))
    reference = np.arange(query.cells).reshape(query.shape) - 3
    expected = brute_force(content, query)
    distance = int(np.abs(expected - reference).sum())
    with pytest.MonkeyPatch.context() as patch:
        for name in ("rounded_gaussian", "discrete_gaussian"):
            patch.setattr(noise, name, lambda size, sigma: np.zeros(size, dtype=np.int64))
        seen: list[list[int]] = []
        patch.setattr(noise, "exponential_choice", lambda scores, *_: seen.append(scores) or 0)
        asked = curator(content, backend=backend)
        measured = asked.measure(query, budget=ONE, purpose="one")
        assert measured.values.dtype == np.int64
        assert np.array_equal(measured.values, expected)
        scores, _ = asked.score(
            [query, marginal(0)], lambda q: reference if q is query else zeros(q), budget=ONE, purpose="s"
        )
        assert scores.tolist() == [distance, n]
        asked.select(
            [query],
            lambda _: reference.astype(np.uint16) if reference.min() >= 0 else reference,
            budget=ONE,
            purpose="x",
            handicap=[np.int64(5)],
        )
        assert seen == [[distance - 5]]


@EACH_DOOR
@pytest.mark.parametrize("backend", ["exact", "opendp"])
@pytest.mark.parametrize("k", [1, 3])
def test_every_call_writes_one_entry_and_draws_as_booked(
    ask: Callable[..., Any], backend: str, k: int, no_noise: list[tuple[str, Any]]
) -> None:
    asked = curator(rows(20), k=k, backend=backend)
    ask(asked)
    (entry,) = asked.entries
    assert (entry.number, entry.purpose) == (1, "p")
    assert entry.price == asked.spent == price(entry.act, asked.calculus) <= ONE
    assert asked.left == asked.budget - asked.spent
    assert float(entry.price) == pytest.approx(float(ONE), rel=1e-12)
    ((sampler, drawn),) = no_noise
    if isinstance(entry.act, ExponentialMechanism):
        assert entry.act == ExponentialMechanism(epsilon=drawn[1], sensitivity=k, candidates=7)
        assert (drawn[2], entry.cells, entry.columns) == (k, 1, ("c0", "c1", "c2"))
    else:
        assert drawn == (entry.cells, entry.act.sigma)
        assert type(entry.act) is (RoundedGaussian if backend == "exact" else DiscreteGaussian)
        assert sampler == ("rounded" if backend == "exact" else "discrete")
        assert (entry.act.sensitivity_squared, entry.cells) in {(k**2, 3), (7 * k**2, 7)}
    ask(asked)
    assert [e.number for e in asked.entries] == [1, 2]
    assert asked.spent == 2 * entry.price


def test_k_rows_a_unit_need_k_times_the_noise(no_noise: list[tuple[str, Any]]) -> None:
    one, five = (curator(rows(9), k=k).measure(marginal(0), budget=ONE, purpose="p") for k in (1, 5))
    assert five.sigma == pytest.approx(5 * one.sigma, rel=1e-15)
    assert (one.entry, five.entry) == (1, 1)
    sigmas = [
        curator(rows(9), k=k).score(every_marginal(), zeros, budget=ONE, purpose="p")[1] for k in (1, 5)
    ]
    assert sigmas[1] == pytest.approx(5 * sigmas[0], rel=1e-15)
    assert sigmas[0] == pytest.approx(7**0.5 * one.sigma, rel=1e-15)


def test_real_noise_is_added_in_the_shape_of_the_answer() -> None:
    """At sigma 10 the 24 cells are all exact with probability below 0.04**24."""
    content = rows(100)
    for backend in ("exact", "opendp"):
        asked = curator(content, backend=backend)
        query = marginal(0, 1, 2)
        measured = asked.measure(query, budget=ONE, purpose="p")
        assert measured.values.shape == query.shape
        assert not np.array_equal(measured.values, brute_force(content, query))
        assert 0 <= asked.select(every_marginal(), zeros, budget=ONE, purpose="p") < 7


def _unchanged(asked: Curator, attempt: Callable[[], object], error: type[Exception], match: str) -> str:
    before = (asked.entries, asked.spent, asked.left)
    with pytest.raises(error, match=match) as caught:
        attempt()
    assert (asked.entries, asked.spent, asked.left) == before
    return str(caught.value)


@EACH_DOOR
def test_overspending_is_refused_and_changes_nothing(
    ask: Callable[..., Any], explosive: Callable[[], None]
) -> None:
    asked = curator(rows(20))
    ask(asked)
    explosive()
    for budget in (asked.left + Fraction(1, 2**99), asked.budget, Fraction(10) ** 700):
        message = _unchanged(
            asked, lambda b=budget: ask(asked, budget=b), BudgetRefusedError, "Nothing was drawn"
        )
        assert "mu^2" in message
    zcdp = curator(rows(20), backend="opendp")
    assert "rho" in _unchanged(zcdp, lambda: ask(zcdp, budget=zcdp.budget * 2), BudgetRefusedError, "is left")


@EACH_DOOR
def test_all_that_is_left_may_be_spent(ask: Callable[..., Any], no_noise: list[Any]) -> None:
    asked = curator(rows(20))
    ask(asked, budget=asked.left)
    assert 0 <= asked.left < asked.budget / 2**40
    assert len(asked.entries) == 1


def test_a_race_between_check_and_charge_is_lost_by_the_late(explosive: Callable[[], None]) -> None:
    """The reference is called between the early check and the charge: spend everything in it."""
    asked = curator(rows(20))

    def greedy(query: Marginal) -> np.ndarray:
        if not asked.entries:
            asked._charge(
                RoundedGaussian(sigma=float(asked.left) ** -0.5 * 1.01, sensitivity_squared=1), "x", [0], 1
            )
        return zeros(query)

    explosive()
    with pytest.raises(BudgetRefusedError):
        asked.score([marginal(0)], greedy, budget=asked.left, purpose="p")
    assert len(asked.entries) == 1


BAD_QUERIES = {
    "no such column": (Marginal((3,), (np.arange(3),)), "outside the domain's 3 columns"),
    "negative column": (Marginal((-1,), (np.arange(4),)), "outside the domain's 3 columns"),
    "too few groups": (Marginal((0,), (np.arange(2),)), "has not one group a code"),
    "too many groups": (Marginal((0,), (np.arange(4),)), "has not one group a code"),
    "too large": (Marginal((0, 1), (np.array([0, 0, 2**20]), np.array([0, 2**20]))), "above the limit"),
}


@EACH_DOOR
@pytest.mark.parametrize(("query", "message"), BAD_QUERIES.values(), ids=BAD_QUERIES.keys())
def test_a_query_that_does_not_fit(
    ask: Callable[..., Any], query: Marginal, message: str, explosive: Callable[[], None]
) -> None:
    explosive()
    asked = curator(rows(20))
    _unchanged(asked, lambda: ask(asked, [query]), ValueError, message)


@EACH_DOOR
@pytest.mark.parametrize(
    "budget", [0, Fraction(-1), float("nan"), float("inf"), None, "1", Fraction(1, 2**101)]
)
def test_a_share_that_is_no_share(
    ask: Callable[..., Any], budget: object, explosive: Callable[[], None]
) -> None:
    explosive()
    asked = curator(rows(20))
    _unchanged(asked, lambda: ask(asked, budget=budget), GuaranteeError, "share of the budget")


BAD_REFERENCES = {
    "shape": np.zeros(2, dtype=np.int64),
    "scalar": 0,
    "float": np.zeros(3),
    "bool": np.zeros(3, dtype=bool),
    "object": np.array([0, 1, 2], dtype=object),
    "timedelta": np.zeros(3, dtype="m8[s]"),
    "wraps around": np.array([-(2**63), 0, 0]),
    "uint64, once silently a float": np.array([2**63 + 1, 0, 0], dtype=np.uint64),
    "huge in total": np.array([2**59, 2**59, 2**59]),
}


@pytest.mark.parametrize("name", ["score", "select"])
@pytest.mark.parametrize("reference", BAD_REFERENCES.values(), ids=BAD_REFERENCES.keys())
def test_a_reference_that_is_no_reference(
    name: str, reference: object, explosive: Callable[[], None]
) -> None:
    """It is refused before the charge, not after: and before a wrap-around could jump by 2**64."""
    explosive()
    asked = curator(rows(20))
    _unchanged(
        asked,
        lambda: DOORS[name](asked, [marginal(0)], reference=lambda _: reference),
        ValueError,
        "reference",
    )


@pytest.mark.parametrize("name", ["score", "select"])
def test_a_reference_that_raises_costs_nothing(name: str, explosive: Callable[[], None]) -> None:
    explosive()
    asked = curator(rows(20))

    def broken(query: Marginal) -> np.ndarray:
        raise KeyError("a bug in a mechanism")

    _unchanged(asked, lambda: DOORS[name](asked, reference=broken), KeyError, "a bug")


@pytest.mark.parametrize("name", ["score", "select"])
def test_a_reference_is_given_the_query_and_nothing_else(name: str, no_noise: list[Any]) -> None:
    queries = every_marginal()
    given_to: list[tuple[object, ...]] = []
    DOORS[name](curator(rows(20)), queries, reference=lambda *a: given_to.append(a) or zeros(a[0]))
    assert [a[0] for a in given_to] == queries
    assert all(len(a) == 1 for a in given_to)


def test_large_references_are_counted_exactly(no_noise: list[Any]) -> None:
    """Beyond 2**53, where a float would lose the one row that differs."""
    reference = np.array([2**59, 0, -(2**58)])
    for n in (4, 5):
        content = np.zeros((n, 3), dtype=int)
        scores, _ = curator(content).score([marginal(0)], lambda _: reference, budget=ONE, purpose="p")
        assert int(scores[0]) == 2**59 - n + 2**58


@pytest.mark.parametrize("name", ["score", "select"])
def test_nothing_to_score(name: str, explosive: Callable[[], None]) -> None:
    explosive()
    asked = curator(rows(20))
    _unchanged(asked, lambda: DOORS[name](asked, []), ValueError, "nothing to score")


@pytest.mark.parametrize(
    ("handicap", "message"),
    [([1], "1 handicaps for 7"), ([0.5] * 7, "whole"), ([None] * 7, "whole"), (["1"] * 7, "whole")],
)
def test_handicaps_are_whole_numbers_one_a_candidate(
    handicap: list[Any], message: str, explosive: Callable[[], None]
) -> None:
    explosive()
    asked = curator(rows(20))
    _unchanged(asked, lambda: DOORS["select"](asked, handicap=handicap), ValueError, message)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "1 weights for 7"),
        ([0.5] * 7, "whole"),
        (["1"] * 7, "whole"),
        ([0, 1, 1, 1, 1, 1, 1], "from 1 to"),
        ([-1] * 7, "from 1 to"),
        ([2**32 + 1] * 7, "from 1 to"),
    ],
)
def test_weights_are_positive_whole_numbers_one_a_candidate(
    weights: list[Any], message: str, explosive: Callable[[], None]
) -> None:
    explosive()
    asked = curator(rows(20))
    _unchanged(asked, lambda: DOORS["select"](asked, weights=weights), ValueError, message)


@pytest.mark.parametrize("k", [1, 3])
def test_weights_scale_scores_and_the_sensitivity_booked(k: int, no_noise: list[tuple[str, Any]]) -> None:
    content = rows(40)
    queries, handicap, weights = every_marginal(), [3, 0, -2, 5, 0, 0, 1], [1, 2, 3, 7, 5, 1, np.int64(4)]
    asked = curator(content, k=k)
    reference = lambda q: np.full(q.shape, 2)  # noqa: E731  -- a public table
    chosen = asked.select(queries, reference, budget=ONE, purpose="p", handicap=handicap, weights=weights)
    expected = [
        int(w) * (int(np.abs(brute_force(content, q) - reference(q)).sum()) - h)
        for q, h, w in zip(queries, handicap, weights, strict=True)
    ]
    ((_, (scores, epsilon, sensitivity)),) = no_noise
    assert list(scores) == expected
    assert chosen == int(np.argmax(expected))
    (entry,) = asked.entries
    assert entry.act == ExponentialMechanism(epsilon=epsilon, sensitivity=7 * k, candidates=7)
    assert sensitivity == 7 * k
    assert entry.price == price(ExponentialMechanism(epsilon=epsilon, sensitivity=1, candidates=1), "gdp")


def test_a_weighted_choice_has_the_law_of_the_exponential_mechanism() -> None:
    """The law of the choice on two neighbours, in closed form from brute-force counts: no ratio above the
    epsilon that was booked, and the loss ranges over most of it where the heaviest candidate moves by k."""
    queries, weights = every_marginal(), [1, 2, 3, 4, 5, 6, 9]
    laws, epsilons = [], set()
    for n in (30, 31):
        asked = curator(rows(31)[:n])
        seen: list[tuple[list[int], float, int]] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(noise, "exponential_choice", lambda *a, log=seen: log.append(a) or 0)
            asked.select(queries, zeros, budget=asked.budget, purpose="p", weights=weights)
        ((scores, epsilon, sensitivity),) = seen
        assert scores == [w * n for w in weights]
        exponents = np.array(scores) * epsilon / (2 * sensitivity)
        law = np.exp(exponents - exponents.max())
        laws.append(np.log(law / law.sum()))
        epsilons.add(epsilon)
    (epsilon,) = epsilons
    loss = laws[0] - laws[1]
    assert np.abs(loss).max() <= epsilon
    assert np.ptp(loss) <= epsilon
    assert np.ptp(loss) == pytest.approx(epsilon / 2 * (9 - 1) / 9, rel=1e-9)


def test_handicaps_may_be_an_array_and_of_any_size(no_noise: list[Any]) -> None:
    asked = curator(rows(20))
    assert DOORS["select"](asked, handicap=np.array([0, 0, -9, 0, 0, 0, 0])) == 2
    assert DOORS["select"](asked, handicap=[10**30, 0, 0, 0, 0, 0, -(10**30)]) == 6


@pytest.mark.parametrize(
    ("columns", "groups"),
    [
        ((), ()),
        ((0, 0), (np.arange(3), np.arange(3))),
        ((0,), (np.arange(3), np.arange(3))),
        ((0.0,), (np.arange(3),)),
        (("0",), (np.arange(3),)),
        (tuple(range(33)), (np.zeros(1, dtype=int),) * 33),
        ((0,), (np.array([], dtype=int),)),
        ((0,), (np.zeros((3, 1), dtype=int),)),
        ((0,), (np.int64(3),)),
        ((0,), (np.array([0, 1, -1]),)),
        ((0,), (np.array([0.0, 1.5, 2.0]),)),
        ((0,), (np.array([False, True, True]),)),
        ((0,), (np.array([0, 1, 2], dtype=object),)),
        ((0,), (np.array([0, 1, 2], dtype="m8[s]"),)),
        ((0,), (np.array([0, 1, np.nan]),)),
        ((0,), (np.array([0, 1, LARGEST_TABLE]),)),
        ((0,), (np.array([0, 1, 2**64 - 1], dtype=np.uint64),)),
    ],
)
def test_marginals_are_checked_at_birth(columns: tuple[Any, ...], groups: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"marginal|grouping|groups"):
        Marginal(columns, groups)


def test_a_marginal_cannot_be_changed_after_the_check() -> None:
    mine = np.array([0, 1, 2])
    query = Marginal((np.int64(0),), (mine,))
    mine[:] = -7
    assert query.groups[0].tolist() == [0, 1, 2]
    assert type(query.columns[0]) is int
    with pytest.raises(ValueError, match="WRITEABLE"):
        query.groups[0].flags.writeable = True
    with pytest.raises(dataclasses.FrozenInstanceError):
        query.columns = (1,)
    again = Marginal((1,), query.groups)
    assert again.groups[0] is query.groups[0]  # already frozen: not copied a second time


@pytest.mark.parametrize("remade", [copy.deepcopy, lambda q: pickle.loads(pickle.dumps(q))])
def test_a_copied_marginal_is_checked_again_at_the_door(
    remade: Callable[[Marginal], Marginal], explosive: Callable[[], None]
) -> None:
    """Copying skips the constructor and thaws the arrays; the door rebuilds what it is given."""
    query = remade(marginal(0))
    query.groups[0][:] = [-1, 0, 1]
    explosive()
    asked = curator(rows(20))
    _unchanged(asked, lambda: asked.measure(query, budget=ONE, purpose="p"), ValueError, "counted from 0")


def test_cells_are_counted_without_overflow() -> None:
    groups = np.array([0, LARGEST_TABLE - 1])
    query = Marginal(tuple(range(32)), (groups,) * 32)
    assert query.cells == LARGEST_TABLE**32


def test_a_guarantee_must_cover_the_tables_units() -> None:
    with pytest.raises(ValueError, match="up to 3 rows a unit, the guarantee covers 2"):
        Curator(table(rows(5), rows_per_unit=3), Guarantee(epsilon=1.0, delta=1e-6, rows_per_unit=2))
    Curator(table(rows(5), rows_per_unit=2), Guarantee(epsilon=1.0, delta=1e-6, rows_per_unit=3))


def test_an_unknown_backend() -> None:
    with pytest.raises(ValueError, match="neither 'exact' nor 'opendp'"):
        Curator(table(rows(5)), Guarantee(epsilon=1.0, delta=1e-6), backend="numpy")


def test_repr_and_attributes_are_public() -> None:
    asked = curator(rows(5), backend="opendp")
    assert repr(asked).startswith("Curator(zcdp, spent=0 of ")
    assert (asked.backend, asked.calculus, asked.domain.sizes) == ("opendp", "zcdp", SIZES)
    assert asked.guarantee.rows_per_unit == 1


@EACH_DOOR
def test_an_error_after_the_charge_carries_no_counts(
    ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a debugger, ``pytest -l`` or an error reporter would print of the door's frames holds no array."""

    def fails(*_: object) -> None:
        try:
            Path("/no/such/source/of/entropy").read_bytes()
        except OSError as error:
            raise RuntimeError("no noise") from error

    for name in ("rounded_gaussian", "discrete_gaussian", "exponential_choice"):
        monkeypatch.setattr(noise, name, fails)
    asked = curator(rows(20))
    with pytest.raises(RuntimeError, match="no noise") as caught:
        ask(asked)
    assert len(asked.entries) == 1  # spent: nobody can know what a failing sampler let out
    link: BaseException | None = caught.value
    seen = 0
    while link is not None:
        trace = link.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            if code.co_filename in (door.__file__, noise.__file__):
                seen += 1
                for value in trace.tb_frame.f_locals.values():
                    flat = value if isinstance(value, (list, tuple)) else [value]
                    assert not any(isinstance(v, np.ndarray) and v.sum() != 0 for v in flat), code.co_name
                    assert not any(type(v) is int for v in flat) or code.co_name in DOORS, code.co_name
            trace = trace.tb_next
        link = link.__context__
    assert seen >= 2


@EACH_DOOR
def test_errors_do_not_depend_on_the_rows(ask: Callable[..., Any]) -> None:
    """The same bad requests to curators of 0, 20 and 21 rows get the same words."""
    requests = [
        *({"q": [query]} for query, _ in BAD_QUERIES.values()),
        {"budget": Fraction(0)},
        {"budget": Fraction(10**6)},
        *({"reference": lambda _, r=r: r} for r in BAD_REFERENCES.values()),
    ]
    for request in requests:
        if "reference" in request and ask is DOORS["measure"]:
            continue
        words = set()
        for n in (0, 20, 21):
            with pytest.raises((ValueError, BudgetRefusedError)) as caught:
                ask(curator(rows(n)), **request)
            words.add((type(caught.value), str(caught.value)))
        assert len(words) == 1


def test_threads_never_overspend(no_noise: list[Any]) -> None:
    """Eight threads ask for a tenth until refused: ten entries, numbered 1 to 10, and no more."""
    asked = curator(rows(20))
    tenth = asked.budget / 10
    refused: list[BudgetRefusedError] = []
    start = threading.Barrier(8)

    def greedy() -> None:
        start.wait()
        try:
            for _ in range(20):
                asked.measure(marginal(0), budget=tenth, purpose="p")
        except BudgetRefusedError as error:
            refused.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=greedy) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(refused) == 8
    assert [e.number for e in asked.entries] == list(range(1, 11))
    assert asked.spent == sum(e.price for e in asked.entries) <= asked.budget
