"""The pieces of the confidential level, each against an answer worked out another way."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from dpsynth import Schema, Synthesizer
from dpsynth.audit.baselines import closest_scores, density_scores
from dpsynth.audit.ceilings import Claim, Rates, perfect, trials_needed, verdict_of
from dpsynth.audit.exposed import distances, exposure, most_exposed
from dpsynth.audit.finding import Verdict
from dpsynth.audit.guessing import Promise, judge_guesses, least_enough, pairs_needed, per_unit
from dpsynth.audit.mamamia import cells_of, measured_scores, ratio_scores
from dpsynth.audit.shadow import Shadows, fits_needed, shadow_findings
from dpsynth.audit.tables import Rows, overlap, written
from dpsynth.data.codec import Codec
from dpsynth.data.source import open_source
from dpsynth.domain import Axis, Domain
from dpsynth.errors import DataError
from dpsynth.privacy.curator import Marginal, Measurement
from dpsynth.privacy.guarantee import Guarantee
from tests.audit.tables import SCHEMA, SIZES, honest, people

GDP = Claim(amount=Fraction(1, 4), calculus="gdp")  # mu = 1/2
DOMAIN = Domain((Axis("a", 5, 4), Axis("b", 3)))


def rows(codes, units=None):
    codes = np.array(codes, dtype=np.int32)
    units = np.arange(len(codes)) if units is None else np.array(units)
    return Rows(codes, units, np.zeros((len(codes), 0), dtype=np.int64))


def test_a_ceiling_is_the_curve_of_the_calculus():
    assert GDP.ceiling(0.1) == pytest.approx(norm.cdf(norm.ppf(0.1) + 0.5))
    assert GDP.ceiling(0.1, steps=2) == pytest.approx(norm.cdf(norm.ppf(0.1) + 1.0))
    pure = Claim(amount=Fraction(1), calculus="pure")
    assert pure.ceiling(0.1) == pytest.approx(0.1 * math.e)
    assert pure.ceiling(0.1, steps=2) == pytest.approx(1 - math.exp(-1) * (1 - 0.1 * math.e))
    assert (GDP.swap, Claim(amount=GDP.amount, calculus="gdp", adjacency="replace-one").swap) == (2, 1)


def test_a_claim_is_all_that_the_guarantee_affords():
    statement = honest(people(50, 0)).statement
    assert Claim.of(statement).amount == pytest.approx(float(statement.budget))
    assert Claim.of(statement).amount >= statement.spent


def test_rates_are_bounded_from_both_ends():
    rates = Rates(detections=90, positives=100, alarms=5, negatives=50)
    assert (rates.detection, rates.alarm) == (0.9, 0.1)
    low, high = rates.bounds(0.05)
    assert low < 0.9
    assert high > 0.1
    assert rates.reversed == Rates(detections=45, positives=50, alarms=10, negatives=100)
    assert rates.reversed.reversed == rates


def test_what_is_beyond_a_claim():
    assert perfect(100).beyond(GDP, 1e-3)
    assert not Rates(detections=60, positives=100, alarms=40, negatives=100).beyond(GDP, 1e-3)
    seldom = Rates(detections=200, positives=1_000, alarms=0, negatives=1_000)
    assert seldom.beyond(GDP, 1e-3)
    assert seldom.reversed.beyond(GDP, 1e-3)
    assert Rates(detections=1_000, positives=1_000, alarms=600, negatives=1_000).beyond(GDP, 1e-3)


def test_a_verdict_needs_power():
    assert verdict_of(perfect(100), GDP, 1e-3) == (Verdict.violation, None)
    even = Rates(detections=50, positives=100, alarms=50, negatives=100)
    assert verdict_of(even, GDP, 1e-3) == (Verdict.consistent, None)
    few = Rates(detections=2, positives=4, alarms=2, negatives=4)
    verdict, needed = verdict_of(few, GDP, 1e-3)
    assert verdict is Verdict.inconclusive
    assert perfect(needed).beyond(GDP, 1e-3)
    assert not perfect(needed - 1).beyond(GDP, 1e-3)
    assert trials_needed(Claim(amount=Fraction(10**4), calculus="gdp"), 1e-3) is None


def test_fits_needed_count_both_worlds_and_what_is_learned_from():
    assert fits_needed(None, "shadow.queries") is None
    assert fits_needed(10, "shadow.queries") == 54
    assert fits_needed(10, "shadow.measured") == 32


def test_distances_are_means_over_columns():
    first = np.array([[0, 0], [4, 1]], dtype=np.int32)
    second = np.array([[3, 0], [1, 2], [4, 1]], dtype=np.int32)
    ((block, found),) = list(distances(first, second, DOMAIN))
    assert block == slice(0, 2)
    # codes 0..3 of "a" are in order; 4 (missing) is a whole column away from each of them
    np.testing.assert_allclose(found, [[0.5, (1 / 3 + 1) / 2, 1.0], [1.0, 1.0, 0.0]], atol=1e-6)


def test_distances_come_in_blocks(monkeypatch):
    monkeypatch.setattr("dpsynth.audit.exposed._CELLS", 3)
    codes = np.array([[0, 0], [1, 1], [2, 2]], dtype=np.int32)
    blocks = list(distances(codes, codes, DOMAIN))
    assert [b for b, _ in blocks] == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert [float(found[0, i]) for i, (_, found) in enumerate(blocks)] == [0, 0, 0]


def test_the_most_exposed_are_those_far_from_all():
    crowd = [[0, 0]] * 8 + [[1, 0]] * 8
    table = rows([*crowd, [3, 2]])
    rng = np.random.default_rng(0)
    assert most_exposed(table, DOMAIN, number=1, candidates=100, rng=rng).tolist() == [16]
    found = exposure(table.of(np.array([16])), table, DOMAIN)
    assert found == pytest.approx([(1 + 2 / 3) / 2])


def test_nobody_is_ones_own_neighbour():
    table = rows([[0, 0]] * 6 + [[1, 0]], units=[0] * 6 + [1])
    found = exposure(table.of(np.array([0])), table, DOMAIN)
    assert found == pytest.approx([(1 / 6 + 4) / 5] * 6)  # one other row; the rest are as far as can be
    assert most_exposed(table, DOMAIN, number=5, candidates=5, rng=np.random.default_rng(0)).tolist() == [
        0,
        1,
    ]


def test_the_closest_record_scores_zero_and_others_below():
    synthetic = np.array([[0, 0], [2, 1]], dtype=np.int32)
    scores = closest_scores(np.array([[2, 1], [3, 1]], dtype=np.int32), synthetic, DOMAIN)
    np.testing.assert_allclose(scores, [0, -1 / 6], atol=1e-6)


def test_densities_are_compared_with_the_populations():
    target = np.array([[0, 0]], dtype=np.int32)
    crowded, sparse = np.zeros((10, 2), dtype=np.int32), np.array([[0, 0]] + [[3, 2]] * 9, dtype=np.int32)
    assert density_scores(target, crowded, sparse, DOMAIN)[0] == pytest.approx(math.log(10), abs=0.3)
    assert density_scores(target, sparse, sparse, DOMAIN)[0] == 0


def measurement(values, *, sigma=2.0, columns=(0, 1)):
    groups = [np.arange(DOMAIN.sizes[c]) for c in columns]
    query = Marginal(columns, tuple(groups))
    return Measurement(query=query, values=np.array(values).reshape(query.shape), sigma=sigma, entry=1)


def test_cells_are_numbered_as_the_tables_are():
    query = Marginal((1, 0), (np.array([0, 1, 1]), np.arange(5)))
    assert cells_of(query, np.array([[3, 2], [0, 0]], dtype=np.int32)).tolist() == [8, 0]


def test_ratios_are_of_smoothed_shares():
    synthetic, reference = np.array([[0, 0]] * 3 + [[1, 1]]), np.array([[0, 0], [2, 2], [2, 2]])
    scores = ratio_scores(np.array([[0, 0], [3, 0]]), synthetic, reference, [measurement(np.zeros(15))])
    shares = [(3 + 0.5) / (4 + 1.5), (1 + 0.5) / (3 + 1.5)]
    unseen = [0.5 / 5.5, 0.5 / 4.5]
    np.testing.assert_allclose(scores, [shares[0] / shares[1], unseen[0] / unseen[1]])


def test_each_set_of_columns_counts_once_at_its_finest():
    coarse = Measurement(
        query=Marginal((0, 1), (np.zeros(5, dtype=int), np.arange(3))),
        values=np.zeros((1, 3), dtype=int),
        sigma=1.0,
        entry=2,
    )
    fine = measurement(np.zeros(15))
    table, target = np.array([[0, 0], [1, 0], [2, 1]]), np.array([[0, 0]])
    alone = ratio_scores(target, table, table[1:], [fine])
    np.testing.assert_allclose(ratio_scores(target, table, table[1:], [coarse, fine, fine]), alone)
    np.testing.assert_allclose(ratio_scores(target, table, table[1:], [fine, coarse]), alone)
    assert ratio_scores(target, table, table, []).tolist() == [0.0]


def test_measured_counts_are_compared_with_what_the_population_puts_there():
    reference = np.array([[0]] * 50 + [[1]] * 50)
    own = measurement([30, 10, 0, 0, 0], columns=(0,))
    scores = measured_scores(np.array([[0], [1]]), reference, [own], 40.0)
    share = 50.5 / 101.5
    expected = [(y - 40 * share) / (4 + 40 * share * 1.4) for y in (30, 10)]
    np.testing.assert_allclose(scores, expected)


def test_a_unit_has_the_greatest_of_its_rows_scores():
    assert per_unit(np.array([1.0, 5.0, 2.0, 0.0]), np.array([7, 3, 7, 0])).tolist() == [0.0, 5.0, 2.0]


@pytest.mark.statistical
def test_guesses_at_a_promise_kept_are_no_violation():
    """Exact Gaussian scores at the mu that is claimed for a pair: 10 bounds at 1e-8 each."""
    promise = Promise(claim=GDP, guarantee=Guarantee(epsilon=1.0, delta=1e-5))
    rng = np.random.default_rng(7)
    for _ in range(10):
        gaps = rng.normal(1.0, math.sqrt(2), 500)
        assert promise.shown(500, 500, int((gaps > 0).sum()), 1e-8) <= promise.most


def test_a_promise_of_two_steps():
    kept = Guarantee(epsilon=1.0, delta=1e-5)
    mu = Promise(claim=GDP, guarantee=kept)
    assert (mu.unit, mu.most) == ("mu", 1.0)
    beside = Promise(
        claim=Claim(amount=GDP.amount, calculus="gdp", beside=Fraction(1, 10**6)), guarantee=kept
    )
    assert (beside.unit, beside.most) == ("epsilon", 2.0)
    assert beside.delta == pytest.approx((1 + math.e) * 1e-5)
    one = Promise(claim=Claim(amount=GDP.amount, calculus="gdp", adjacency="replace-one"), guarantee=kept)
    assert one.most == 0.5
    assert one.delta == 1e-5
    vast = Promise(
        claim=Claim(amount=Fraction(1), calculus="zcdp"), guarantee=Guarantee(epsilon=9_000.0, delta=1e-5)
    )
    assert vast.delta == 1.0
    assert vast.shown(100, 100, 100, 0.05) == 0.0
    assert pairs_needed(vast, 1e-3) is None


def test_pairs_needed_are_enough_and_hardly_more():
    assert least_enough(lambda n: n >= 1_000, 2**14) in range(1_000, 1_064)
    assert least_enough(lambda n: n >= 1, 4) == 1
    assert least_enough(lambda _: False, 8) is None


def test_rows_say_nothing_of_themselves():
    assert repr(rows([[0, 0], [1, 1]])) == "Rows(columns=2)"


@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
def test_shared_rows_are_noticed(share):
    first, second = (np.stack(Codec(SCHEMA).codes(open_source(people(2_000, s))), axis=1) for s in (1, 2))
    copied = np.concatenate([second, first[: int(share * 2_000)]])
    clean = overlap(rows(first), rows(second))
    assert clean.p_value > 1e-6
    if share * 2_000 > 1.5 * clean.least:
        with pytest.raises(DataError):
            overlap(rows(first), rows(copied))
    else:
        assert overlap(rows(first), rows(copied)).p_value < clean.p_value


@pytest.mark.statistical
def test_the_training_table_itself_is_no_holdout():
    """Rows so much alike that no two are the only ones of their kind: the order tells of a copy."""
    codes = np.random.default_rng(0).integers(0, 2, (300, 2))
    with pytest.raises(DataError, match="the holdout is the training table, row by row"):
        overlap(rows(codes), rows(codes.copy()))
    ordered = codes[np.lexsort(codes.T[::-1])]
    assert overlap(rows(ordered), rows(ordered)).p_value > 1e-6, "in order, so may another table be"
    assert overlap(rows(codes), rows(codes[::-1])).p_value > 1e-6


def test_tables_of_one_population_are_not_taken_for_overlapping():
    """100 splits of a population with many people alike, each refused with probability 1e-6; none near."""
    rng = np.random.default_rng(3)
    for _ in range(100):
        table = rng.zipf(1.5, (400, 2)).clip(max=60).astype(np.int32)
        at = int(rng.integers(50, 350))
        assert overlap(rows(table[:at]), rows(table[at:])).p_value > 1e-6


def test_written_rows_are_read_as_the_same_codes():
    table = people(40, 0)
    codes = np.stack(Codec(SCHEMA).codes(open_source(table)), axis=1)
    frame = written(SCHEMA, rows(codes), np.random.default_rng(0))
    pd.testing.assert_frame_equal(frame[list(SIZES)], table, check_dtype=False)
    by_person = Schema.from_domain({"a": 3}, privacy_unit={"column": "who", "max_rows": 2})
    frame = written(by_person, rows([[0], [1], [2]], units=[5, 5, 6]), np.random.default_rng(0))
    assert frame["who"].tolist() == [5, 5, 6]
    assert (
        Synthesizer(by_person, epsilon=100, delta=1e-5, mechanism="independent").fit(frame).schema
        == by_person
    )


@pytest.mark.parametrize(("detected", "said"), [(36, "leave the rest to chance."), (20, "allows 69.1%.")])
def test_a_success_above_the_ceiling_that_chance_explains_is_said_to_be(detected, said):
    """30 of 60 fits without the target are taken for fits with it; Phi(0 + 1/2) is 69.1 %."""
    inside = np.arange(120)[:, None] % 2 == 0
    measured = np.where(np.arange(120) // 2 % 2 == 0, 1.0, -1.0)
    hits = np.flatnonzero(inside[:, 0])
    measured[hits] = np.where(np.arange(60) < detected + 10, 1.0, -1.0)
    shadows = Shadows(inside, np.zeros((120, 1, 3)), measured[:, None])
    found = shadow_findings(shadows, GDP, alpha=1e-3)[1]
    assert found.verdict is Verdict.consistent
    assert found.summary.endswith(said)


def test_far_more_detections_than_allowed_are_never_a_pass():
    """Two thirds are detected; the clearest pairs are those of far outsiders, and half of them mislead."""
    rng = np.random.default_rng(0)
    inside = np.where(np.arange(900) % 3 > 0, 0.0, -rng.random(900) - 1)
    outside = -rng.random(900) - 0.5
    promise = Promise(
        claim=Claim(amount=Fraction(1, 4), calculus="gdp"), guarantee=Guarantee(epsilon=1.0, delta=1e-5)
    )
    found = judge_guesses("x", inside, outside, promise, alpha=1e-3, rng=rng, note="", started=0.0)
    assert found.verdict is Verdict.inconclusive
    assert found.interval[0] > found.ceiling
    assert "That is far more" in found.summary


def guessed(inside, outside, seed=0):
    return judge_guesses(
        "mamamia.ratio",
        inside,
        outside,
        Promise(claim=GDP, guarantee=Guarantee(epsilon=1.0, delta=1e-5)),
        alpha=1e-3,
        rng=np.random.default_rng(seed),
        note="",
        started=0.0,
    )


def test_an_attack_that_tells_nobody_apart_is_no_pass():
    """So many pairs would show a violation if all were told apart; here none is."""
    told = guessed(np.arange(1.0, 2_001.0), np.zeros(2_000))
    assert told.verdict is Verdict.violation
    alike = guessed(np.zeros(2_000), np.zeros(2_000))
    assert alike.details["bound"]["limit"] <= alike.details["bound"]["claimed_for_a_pair"]
    assert (alike.verdict, alike.details["tied_pairs"]) == (Verdict.inconclusive, 1.0)
    assert "of a member and a non-member that it tells apart." in alike.summary


def test_of_pairs_with_one_score_one_is_guessed_by_lot(monkeypatch):
    """The bounds hold for a number of guesses that is fixed: ties are guesses too."""
    seen = []
    shown = Promise.shown
    monkeypatch.setattr(
        Promise, "shown", lambda self, *counts: (seen.append(counts[:3]), shown(self, *counts))[1]
    )
    guessed(np.repeat([1.0, 0.0], [50, 950]), np.zeros(1_000))
    real, able = zip(*[(seen[i], seen[i + 1]) for i in (0, 2, 4)], strict=True)
    assert [c[:2] for c in real] == [c[:2] for c in able] == [(1_000, 50), (1_000, 250), (1_000, 1_000)]
    assert [c[2] for c in able] == [50, 50, 50]
    assert real[0][2] == 50
    assert 80 < real[1][2] < 220, "half of 200 ties, and the 50: beyond 8 deviations else"
