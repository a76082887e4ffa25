"""The adaptive mechanism: what it asks for, by brute force, and what it recovers."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from dpsynth.domain import Axis, Domain
from dpsynth.errors import GuaranteeError, InputError
from dpsynth.mechanisms import MECHANISMS, Terms, Workload
from dpsynth.mechanisms import aim as module
from dpsynth.mechanisms import candidates as pools
from dpsynth.mechanisms.aim import AIM, CHOICES, CHOSEN, REPEATED, Settings, adaptive
from dpsynth.mechanisms.answers import Answers, answers_of
from dpsynth.mechanisms.candidates import Candidate, Pool, candidates_of, ladder
from dpsynth.mechanisms.mechanism import AGAIN, Measured, one_way
from dpsynth.mechanisms.pairs import noise_weight
from dpsynth.model.levels import nested_levels
from dpsynth.privacy.curator import Curator, Measurement
from dpsynth.privacy.marginal import Marginal
from tests.mechanisms.harness import chain, curator_for, fit, random_table, script_noise

QUIET = lambda stage, fraction: None  # noqa: E731


def _levels(domain: Domain) -> list:
    return [nested_levels(axis, np.ones(axis.size)) for axis in domain]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Every choice that was asked for, with its candidates, handicaps, weights and references."""
    script_noise(monkeypatch, 4)
    asked, real = [], Curator.select

    def select(curator, queries, reference, **given):
        place = real(curator, queries, reference, **given)
        tables = [reference(q) for q in queries]
        asked.append({"queries": list(queries), "tables": tables, "place": place, **given})
        return place

    monkeypatch.setattr(Curator, "select", select)
    return asked


def test_ladders_refine_the_coarser_column_while_the_table_fits() -> None:
    """Against a search over all resolutions: none that is finer in one step fits the limit."""
    sizes = [[40, 20, 9, 4], [6], [30, 15, 8]]
    limits = [400, 1500, 4000]
    found = ladder(sizes, limits)
    assert found[0] == (3, 0, 2)
    assert all(a >= b for x, y in itertools.pairwise(found) for a, b in zip(x, y, strict=True))

    def cells(at):
        return math.prod(s[i] for s, i in zip(sizes, at, strict=True))

    for at, limit in zip(found[1:], limits, strict=True):
        assert cells(at) <= limit
        for c in range(3):
            finer = tuple(i - (c == k) for k, i in enumerate(at))
            assert min(finer) < 0 or cells(finer) > limit


def test_sets_that_are_too_large_at_their_coarsest_are_no_candidates() -> None:
    domain = Domain(tuple(Axis(f"c{i}", 30) for i in range(4)))
    assert candidates_of(domain, (0, 1, 2, 3), 1.0, _levels(domain), (32, 128)) == []
    assert len(candidates_of(domain, (0, 1), 1.0, _levels(domain), (4,))) == 1
    (single,) = candidates_of(domain, (2,), 1.0, _levels(domain), (4,))
    assert single.query.shape == (30,)


def test_a_measured_table_tells_of_every_candidate_inside_it() -> None:
    """``1 / sigma**2`` of sums of cells, by the sums themselves: variances add."""
    domain = Domain((Axis("a", 8, 8), Axis("b", 6, 6), Axis("c", 2)))
    levels = _levels(domain)
    sets = [(0,), (1,), (0, 1), (0, 2), (0, 1, 2)]
    listed = [c for s in sets for c in candidates_of(domain, s, 1.0, levels, (32, 512))]
    pool = Pool(listed, 3)
    fine = next(c for c in reversed(listed) if c.columns == (0, 1))
    pool.note(fine.columns, fine.at, fine.query, 3.0)
    for power, c in zip(pool._power, listed, strict=True):
        inside = set(c.columns) <= {0, 1}
        nested = all(
            a >= dict(zip((0, 1), fine.at, strict=True)).get(k, 9)
            for k, a in zip(c.columns, c.at, strict=True)
        )
        if inside and nested:
            cells_summed = fine.query.cells / c.query.cells
            assert power == pytest.approx(1 / (cells_summed * 9.0))
        else:
            assert power == 0
    open_to = pool.promising(2.9, most_noise=1e9, room=10**9, most_sets=99)
    assert listed.index(fine) in open_to  # less noise than it was measured with
    assert listed.index(fine) not in pool.promising(3.1, most_noise=1e9, room=10**9, most_sets=99)


def test_rooms_noise_and_numbers_limit_what_is_scored() -> None:
    domain = Domain(tuple(Axis(f"c{i}", 12) for i in range(4)))
    sets = [s for k in (1, 2, 3) for s in itertools.combinations(range(4), k)]
    listed = [c for s in sets for c in candidates_of(domain, s, 1.0, _levels(domain), (32, 512, 2048))]
    pool = Pool(listed, 4)
    everything = {"most_noise": 1e12, "room": 10**9, "most_sets": 99}
    assert len(pool.promising(1.0, **everything)) == len(listed)
    alone = [listed[i] for i in pool.promising(1.0, **everything | {"room": 3})]
    assert {len(c.columns) for c in alone} == {1}
    coarse = [listed[i] for i in pool.promising(1.0, **everything | {"most_noise": 0.0})]
    assert [c.columns for c in coarse] == sets  # the coarsest of each set stays
    pair = next(c for c in listed if c.columns == (1, 2))
    pool.note(pair.columns, pair.at, pair.query, 1.0)
    few = {listed[i].columns for i in pool.promising(0.5, **everything | {"most_sets": 11})}
    assert few - set(sets[:10]) == {(0, 1, 2)}  # of the larger sets, the first that holds the known pair


@pytest.mark.parametrize(("largest", "room", "offered"), [(2**17, 160, 5), (2**17, 195, 5), (30, 195, 6)])
def test_the_room_is_that_of_the_models_tables_and_cliques(monkeypatch, largest, room, offered) -> None:
    """After (0,1) and (1,2), the pair (0,2) needs the clique (0,1,2), of 125 cells; (0,3) only one more pair.

    A third pair makes 75 cells of tables, and cliques of no more than four times the largest.
    """
    monkeypatch.setattr(pools, "LARGEST_CLIQUE", largest)
    domain = Domain(tuple(Axis(f"c{i}", 5) for i in range(4)))
    listed = [
        c
        for s in itertools.combinations(range(4), 2)
        for c in candidates_of(domain, s, 1.0, _levels(domain), (32,))
    ]
    pool = Pool(listed, 4)
    for c in listed:
        if c.columns in ((0, 1), (1, 2)):
            pool.note(c.columns, c.at, c.query, 1e9)
    within = {listed[i].columns for i in pool.promising(1.0, most_noise=1e9, room=room, most_sets=99)}
    assert within == {(0, 1), (1, 2), (0, 3), (1, 3), (2, 3), (0, 2)} - ({(0, 2)} if offered == 5 else set())


def test_what_is_offered_is_scored_as_the_paper_says(watched: list[dict]) -> None:
    table = chain(rows=3_000, columns=4)
    curator = curator_for(table, epsilon=3.0)
    AIM.run(curator, QUIET)
    workload = list(itertools.combinations(range(4), 3))
    budget = curator.budget
    choices = [e for e in curator.entries if e.purpose == CHOICES]
    measured = [e for e in curator.entries if e.purpose == CHOSEN]
    assert len(choices) == len(measured) == len(watched) > 5
    total, _ = module.one_way_estimates(
        curator.domain,
        [
            Measurement(
                query=one_way(curator.domain, c), values=np.bincount(x, minlength=8), sigma=1.0, entry=1
            )
            for c, x in enumerate(table[1])
        ],
    )
    gamma = noise_weight(total * math.sqrt(float(budget)))
    for asked, entry, after in zip(watched, choices, measured, strict=True):
        weights = [sum(len(set(q.columns) & set(s)) for s in workload) for q in asked["queries"]]
        assert asked["weights"] == [round(2**20 * w / max(weights)) for w in weights]
        assert entry.act.sensitivity == 2**20
        expected = [gamma * math.sqrt(2 / math.pi) * after.act.sigma * q.cells for q in asked["queries"]]
        if after is not measured[-1]:  # the last gets what rounding left, too
            assert asked["handicap"] == pytest.approx(expected, rel=0.1, abs=1)
        chosen = asked["queries"][asked["place"]]
        assert after.columns == tuple(curator.domain.names[c] for c in chosen.columns)
        assert float(entry.price / after.price) == pytest.approx(1 / 9, rel=1e-3)


def test_rounds_start_at_a_share_of_the_budget_and_get_dearer_by_four(watched: list[dict]) -> None:
    curator = curator_for(chain(), epsilon=1.0)
    AIM.run(curator, QUIET)
    step = curator.budget / (16 * len(curator.domain))
    prices = [
        float((a.price + b.price) / step)
        for a, b in itertools.pairwise(curator.entries)
        if a.purpose == CHOICES
    ]
    assert prices[0] == pytest.approx(1, rel=1e-3)
    for before, after in itertools.pairwise(prices[:-1]):
        assert after / before == pytest.approx(4 ** round(math.log(after / before, 4)), rel=1e-3)
        assert after > 0.99 * before


@pytest.mark.parametrize(("moved", "still"), [(79, True), (81, False)])
def test_the_annealing_rule(moved: int, still: bool) -> None:
    """A table of 10 cells at sigma 10: its noise is sqrt(2/pi) * 100 = 79.8 in L1."""
    query = Marginal((0,), (np.arange(10),))
    new = Answers(100.0, (np.repeat(np.arange(10), 10).astype(np.uint8),))
    old = {id(query): np.full(10, 10) + np.array([moved, *[0] * 9])}
    measured = Measurement(query=query, values=np.zeros(10, dtype=np.int64), sigma=10.0, entry=1)
    assert module._is_still(measured, old, new, 1.0) == still
    assert not module._is_still(measured, old, new, 0.5)


def test_marginals_of_one_batch_share_at_most_one_column() -> None:
    assert module._entangled((0, 1), (0, 1, 2))
    assert module._entangled((0,), (0, 1))
    assert not module._entangled((0, 3), (0, 1))
    assert not module._entangled((0, 1, 2), (2,))


def test_answers_are_counts_of_rows_scaled_to_the_total(monkeypatch: pytest.MonkeyPatch) -> None:
    script_noise(monkeypatch, None)
    domain, codes = chain(rows=2_000, columns=3)
    curator = curator_for((domain, codes), epsilon=5.0)
    found = Measured(
        tuple(curator.measure(one_way(domain, c), budget=curator.budget / 9, purpose="x") for c in range(3)),
        (),
    )
    answers = answers_of(domain, found)
    assert answers.total == pytest.approx(2_000)
    query = one_way(domain, 1)
    (table,) = answers.to([query]).values()
    assert np.abs(table - np.bincount(codes[1], minlength=8)).max() <= 2
    assert table.dtype == np.int64


def test_a_planted_interaction_of_three_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third column is the sum of two coins modulo 2: no pair shows it."""
    script_noise(monkeypatch, 1)
    rng = np.random.default_rng(0)
    a, b, other = rng.integers(0, 2, 5_000), rng.integers(0, 2, 5_000), rng.integers(0, 4, 5_000)
    domain = Domain((Axis("a", 2), Axis("b", 2), Axis("parity", 2), Axis("other", 4)))
    curator = curator_for((domain, [a, b, (a + b) % 2, other]), epsilon=2.0)
    measured = AIM.run(curator, QUIET)
    assert any(m.query.columns == (0, 1, 2) for m in measured.tables)
    rows = fit(domain, measured).sample(5_000, np.random.default_rng(0))
    assert ((rows[0] + rows[1]) % 2 == rows[2]).mean() > 0.95


def test_time_that_is_up_spends_what_is_left_by_the_two_thirds_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    script_noise(monkeypatch, 2)
    curator = curator_for(chain(), epsilon=1.0)
    measured = AIM.under(Terms(seconds=1e-9)).run(curator, QUIET)
    assert curator.spent >= Fraction(999, 1000) * curator.budget
    again = [e for e in curator.entries if e.purpose == REPEATED]
    assert len(again) == 5
    assert not measured.tables
    assert {e.purpose for e in curator.entries} == {"one-way marginals", AGAIN, REPEATED}
    assert len({float(e.price) for e in again}) == 1  # columns of one size and one weight


def test_a_workload_with_a_target_measures_only_its_subsets(watched: list[dict]) -> None:
    curator = curator_for(chain(columns=6), epsilon=1.0)
    AIM.under(Terms(workload=Workload(ways=2, target="c5"))).run(curator, QUIET)
    offered = {q.columns for asked in watched for q in asked["queries"]}
    assert offered <= {(c,) for c in range(6)} | {(c, 5) for c in range(5)}


def test_no_room_for_a_pair_means_columns_only_and_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    script_noise(monkeypatch, 2)
    small = AIM.under(Terms(model_size=1e-6))
    curator = curator_for(chain())
    (stage,) = small.plan(curator.domain, 1.0, 1)
    assert "room for no pair of columns" in stage.warning
    assert not small.run(curator, QUIET).tables
    assert all(not s.warning for s in AIM.plan(curator.domain, 1.0, 1))


def test_a_workload_of_columns_measures_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    script_noise(monkeypatch, 2)
    alone = AIM.under(Terms(workload=Workload(ways=1)))
    curator = curator_for(chain())
    (stage,) = alone.plan(curator.domain, 1.0, 1)
    assert not stage.warning
    assert {e.purpose for e in curator.entries} <= {stage.purpose}
    assert not alone.run(curator, QUIET).tables


def test_unknown_columns_are_refused_before_anything_is_spent() -> None:
    curator = curator_for(chain())
    stranger = AIM.under(Terms(workload=Workload.of([("c0", "nobody")])))
    with pytest.raises(InputError, match="nobody"):
        stranger.run(curator, QUIET)
    assert curator.spent == 0
    with pytest.raises(InputError, match="nobody"):
        stranger.plan(curator.domain, 1.0, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"measuring": Fraction(1)},
        {"measuring": Fraction(0)},
        {"most": Fraction(1)},
        {"most": Fraction(1, 100)},
        {"rounds": 0},
        {"fits": 0},
        {"sets": 0},
    ],
)
def test_settings_out_of_range(wrong: dict) -> None:
    with pytest.raises(GuaranteeError, match="must"):
        Settings(**wrong)


def test_the_mechanism_takes_its_terms() -> None:
    assert MECHANISMS["aim"].takes == ("workload", "model_size", "seconds")
    assert adaptive(Settings()).name == "aim"
    assert isinstance(Candidate(one_way(Domain((Axis("a", 2),)), 0), (-1,), 1.0).columns, tuple)
    assert random_table([2], 3)[0].sizes == (2,)
