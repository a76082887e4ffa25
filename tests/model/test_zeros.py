"""Rules in the model: no row breaks one, whatever the noise; and what rows tell is not lost."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dpsynth.domain import Axis, Domain
from dpsynth.model import zeros
from dpsynth.model.calibration import CliqueTree
from dpsynth.model.conditioning import given as given_evidence
from dpsynth.model.estimates import Estimate
from dpsynth.model.network import NetworkModel
from dpsynth.model.polishing import polish_rows
from dpsynth.model.structure import fit_model, fit_network, read_model
from dpsynth.model.tree import TreeModel
from dpsynth.model.zeros import keep_rules
from dpsynth.privacy.curator import Marginal, Measurement
from dpsynth.rules import NoRowError, Rule, support_of
from tests.strategies.models import marginal_of, merged_groups

METHODS = ("systematic", "iid")
THREE = np.arange(3)
FOUR = np.arange(4)
UP = THREE[:, None] <= THREE[None, :]
SAME = np.eye(3, dtype=bool)
SHAPES = {
    "rule and pair": [(0, 1, UP)],
    "chain": [(0, 1, UP), (1, 2, UP)],
    "cycle": [(0, 1, ~SAME), (1, 2, ~SAME), (0, 2, ~SAME)],
    "larger cycle": [(0, 1, ~SAME), (1, 2, UP), (2, 3, ~SAME), (0, 3, UP.T)],
    "disconnected": [(0, 1, SAME), (2, 3, UP)],
    "one determines another": [
        (0, 1, np.array([[True, True, False], [False, False, True], [False, False, True]]))
    ],
    "each determines the other": [(0, 1, SAME[[1, 2, 0]])],
    "two rules of one pair": [(0, 1, UP), (0, 1, ~SAME)],
    "all equal": [(0, 1, SAME), (1, 2, SAME), (2, 3, SAME)],
}


def domain_of(rules, columns=4, size=3):
    made = tuple(Rule.over((a, b), (THREE, THREE), allowed) for a, b, allowed in rules)
    return Domain(tuple(Axis(f"c{i}", size) for i in range(columns)), made)


def allowed_cells(domain):
    """Every combination of codes, and whether it keeps the rules."""
    cells = np.indices(domain.sizes)
    kept = np.ones(domain.sizes, dtype=bool)
    for rule in domain.rules:
        kept &= rule.keeps(list(cells))
    return kept


def noisy(columns, values, sigma, groups=None):
    groups = groups or [np.arange(s) for s in values.shape]
    return Measurement(
        query=Marginal(columns, tuple(groups)), values=np.rint(values).astype(np.int64), sigma=sigma, entry=1
    )


def measured(joint, domain, rng, *, total, sigma, pairs):
    """Noisy one-ways, and noisy tables of pairs or more, of a joint distribution."""

    def one(columns):
        counts = total * marginal_of(joint, columns)
        return noisy(columns, counts + rng.normal(0, sigma, counts.shape), max(sigma, 1e-3))

    return [one((c,)) for c in range(len(domain))], [one(p) for p in pairs]


def keeps(domain, rows):
    return all(rule.keeps(rows).all() for rule in domain.rules)


PAIRS = [(0, 1), (1, 2), (2, 3), (0, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", [0.0, 30.0, 1e5])
def test_no_row_breaks_a_rule(shape, sigma):
    domain = domain_of(SHAPES[shape])
    rng = np.random.default_rng(1)
    joint = rng.dirichlet(np.full(81, 0.3)).reshape(domain.sizes)  # its rows break the rules
    model = fit_model(domain, *measured(joint, domain, rng, total=5e3, sigma=sigma, pairs=PAIRS))
    meta, arrays = model.to_arrays()
    again = read_model(json.loads(json.dumps(meta)), {k: v.copy() for k, v in arrays.items()})
    assert again.domain == domain
    for seed, method in itertools.product(range(3), METHODS):
        rows = model.sample(3_000, np.random.default_rng(seed), method=method)
        assert keeps(domain, rows)
        np.testing.assert_array_equal(rows, again.sample(3_000, np.random.default_rng(seed), method=method))


@pytest.mark.parametrize("shape", SHAPES)
def test_marginals_are_zero_where_no_row_may_be(shape):
    domain = domain_of(SHAPES[shape])
    rng = np.random.default_rng(2)
    joint = rng.dirichlet(np.full(81, 0.3)).reshape(domain.sizes)
    model = fit_model(domain, *measured(joint, domain, rng, total=5e3, sigma=50.0, pairs=PAIRS))
    kept = allowed_cells(domain)
    for k in (1, 2, 3, 4):
        for columns in itertools.permutations(range(4), k):
            away = tuple(i for i in range(4) if i not in columns)
            possible = kept.any(axis=away).transpose(np.argsort(np.argsort(columns)))
            found = model.marginal(columns)
            assert not found[~possible].any()
            assert found.sum() == pytest.approx(model.total)


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_that_keep_the_rules_are_learned_as_they_are(shape):
    """Measured without noise, the model's tables are the truth's; a rule adds no error."""
    domain = domain_of(SHAPES[shape])
    rng = np.random.default_rng(3)
    joint = rng.dirichlet(np.full(81, 0.5)).reshape(domain.sizes) * allowed_cells(domain)
    joint /= joint.sum()
    model = fit_model(domain, *measured(joint, domain, rng, total=1e6, sigma=0.0, pairs=PAIRS))
    assert {e.columns for e in model.estimates} == set(PAIRS)
    for columns in PAIRS:
        np.testing.assert_allclose(model.marginal(columns) / 1e6, marginal_of(joint, columns), atol=2e-4)
        rows = model.sample(20_000, np.random.default_rng(0))
        counts = np.zeros((3, 3))
        np.add.at(counts, tuple(rows[c] for c in columns), 1 / 20_000)
        assert np.abs(counts - marginal_of(joint, columns)).sum() < 0.01


def test_a_rule_alone_gives_the_product_over_what_it_allows():
    """Without a pair measured: the distribution of greatest entropy with the columns' own margins."""
    domain = domain_of([(0, 1, UP)], columns=2)
    joint = np.array([[0.3, 0.1, 0.1], [0.0, 0.2, 0.1], [0.0, 0.0, 0.2]])
    nodes = (joint.sum(axis=1), joint.sum(axis=0))
    model = fit_network(domain, 1.0, *keep_rules(domain, nodes, ()))
    found = model.marginal((0, 1))
    np.testing.assert_allclose(found.sum(axis=1), nodes[0], atol=1e-4)
    np.testing.assert_allclose(found.sum(axis=0), nodes[1], atol=1e-4)
    odds = found[0, 1] * found[1, 2] / (found[0, 2] * found[1, 1])
    assert odds == pytest.approx(1, abs=1e-3)


def test_two_noisy_views_of_one_thing_are_pooled():
    """Columns that determine each other: both get their (geometric) mean."""
    domain = domain_of([(0, 1, SAME)], columns=2)
    first, second = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.3, 0.3])
    (one, two), _ = keep_rules(domain, (first, second), ())
    mean = np.sqrt(first * second)
    np.testing.assert_allclose(one, mean / mean.sum(), atol=1e-9)
    np.testing.assert_allclose(two, one, atol=1e-9)


def test_columns_without_rules_are_left_alone():
    domain = domain_of([(0, 1, UP)])
    rng = np.random.default_rng(0)
    nodes = tuple(rng.dirichlet(np.ones(3)) for _ in range(4))
    free = Estimate((2, 3), (THREE, THREE), np.outer(nodes[2], nodes[3]))
    found, estimates = keep_rules(domain, nodes, (free,))
    assert found[2] is nodes[2]
    assert found[3] is nodes[3]
    assert estimates == (free,)


@st.composite
def cases(draw):
    """Rules over few columns that leave a row, distributions with zeros anywhere, tables at odd groups."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**30)))
    rules = []
    for _ in range(draw(st.integers(1, 3))):
        columns = draw(st.permutations(range(len(sizes))))[: draw(st.integers(2, min(3, len(sizes))))]
        classes = [rng.integers(0, 3, sizes[c]) for c in columns]
        rules.append(
            Rule.over(columns, classes, rng.random([3] * len(columns)) < draw(st.sampled_from([0.4, 0.7])))
        )
    domain = Domain(tuple(Axis(f"c{i}", s) for i, s in enumerate(sizes)), tuple(rules))
    joint = rng.dirichlet(np.full(int(np.prod(sizes)), draw(st.sampled_from([0.02, 1.0])))).reshape(sizes)
    nodes = tuple(marginal_of(joint, (c,)) for c in range(len(sizes)))
    estimates = []
    for k in (2, 3):
        for columns in itertools.combinations(range(len(sizes)), k):
            if draw(st.booleans()):
                groups = tuple(
                    merged_groups(sizes[c], rng) if draw(st.booleans()) else np.arange(sizes[c])
                    for c in columns
                )
                table = np.zeros([int(g.max()) + 1 for g in groups])
                np.add.at(table, np.ix_(*groups), marginal_of(joint, columns))
                estimates.append(Estimate(columns, groups, table))
    return domain, nodes, tuple(estimates)


@settings(max_examples=150)
@given(cases(), st.sampled_from([1, 8, 10**6]), st.integers(0, 99))
def test_any_rules_any_noise(case, largest, seed):
    domain, nodes, estimates = case
    try:
        support = support_of(domain.sizes, domain.rules)
    except NoRowError:
        assume(False)
    nodes, estimates = keep_rules(domain, nodes, estimates)
    for column, node in enumerate(nodes):
        assert not node[~support.possible(column)].any()
    model = fit_network(domain, 10.0, nodes, estimates, largest=largest)
    for method in METHODS:
        assert keeps(domain, model.sample(200, np.random.default_rng(seed), method=method))
    columns = tuple(range(len(domain)))
    assert not model.marginal(columns)[~allowed_cells(domain)].any()


def test_states_too_many_for_a_rule_fall_back_to_its_classes():
    """Pairs measured at 40 codes, a rule of two classes: states shrink, and rows still follow the pairs."""
    size = 40
    halves = np.arange(size) // 20
    rule = Rule.over((0, 1), (halves, halves), np.array([[True, True], [False, True]]))
    domain = Domain((Axis("a", size, size), Axis("b", size, size), Axis("c", 4)), (rule,))
    rng = np.random.default_rng(0)
    base = rng.integers(0, size, 4_000)
    codes = [base, np.maximum(base, rng.integers(0, size, 4_000)), base % 4]
    joint = np.zeros(domain.sizes)
    np.add.at(joint, tuple(codes), 1 / 4_000)
    wide = fit_model(domain, *measured(joint, domain, rng, total=4e3, sigma=0.0, pairs=[(0, 1), (0, 2)]))
    assert wide.tree.sizes == (40, 40, 4)
    small = fit_network(domain, 4e3, wide.nodes, wide.estimates, largest=300)
    assert small.tree.sizes == (2, 2, 4)
    rows = small.sample(4_000, np.random.default_rng(0))
    assert keeps(domain, rows)
    found = np.zeros((size, 4))
    np.add.at(found, (rows[0], rows[2]), 1 / 4_000)
    assert np.abs(found - marginal_of(joint, (0, 2))).sum() < 0.2


def test_a_table_that_cannot_be_raked_is_left_out(monkeypatch):
    monkeypatch.setattr(zeros, "_SWEEPS", 1)
    domain = domain_of([(0, 1, UP)], columns=2)
    table = np.full((3, 3), 1 / 9)
    nodes = (np.array([0.7, 0.2, 0.1]), np.array([0.6, 0.3, 0.1]))
    _, estimates = keep_rules(domain, nodes, (Estimate((0, 1), (THREE, THREE), table),))
    assert estimates == ()


def test_too_wide_a_question_leaves_a_table_its_noise(monkeypatch):
    """Which codes far apart go together may take too large a table; rows keep the rules all the same."""
    domain = domain_of([(0, 1, UP), (1, 2, UP), (2, 3, UP)])
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.full(81, 0.5)).reshape(domain.sizes)
    nodes = tuple(marginal_of(joint, (c,)) for c in range(4))
    far = Estimate((0, 3), (THREE, THREE), marginal_of(joint, (0, 3)))
    monkeypatch.setattr("dpsynth.rules.LARGEST_TABLE", 9)
    nodes, estimates = keep_rules(domain, nodes, (far,))
    model = fit_network(domain, 1.0, nodes, estimates)
    assert estimates[0].table[2, 0] > 0
    assert keeps(domain, model.sample(2_000, np.random.default_rng(0)))


# ---- polishing -------------------------------------------------------------------------------------------


def test_polishing_never_enters_a_forbidden_cell():
    """Targets that ask for nothing but forbidden rows."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 3, 5_000)
    rows = [first, np.maximum(first, rng.integers(0, 3, 5_000)), rng.integers(0, 3, 5_000)]
    wish = np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.5, 0.0]])
    nodes = (wish.sum(axis=1), wish.sum(axis=0), np.full(3, 1 / 3))
    tables = [
        Estimate((0, 1), (THREE, THREE), wish),
        Estimate((1, 2), (THREE, THREE), np.outer(nodes[1], nodes[2])),
    ]
    rule = Rule.over((0, 1), (THREE, THREE), UP)
    free = polish_rows(rows, nodes, tables, np.random.default_rng(1))
    kept = polish_rows(rows, nodes, tables, np.random.default_rng(1), rules=(rule,))
    assert not rule.keeps(free).all()
    assert rule.keeps(kept).all()
    assert any((a != b).any() for a, b in zip(rows, kept, strict=True)), "other changes are made"


def test_a_rule_that_forbids_nothing_changes_nothing():
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 3, 1_000) for _ in range(2)]
    wish = rng.dirichlet(np.ones(9)).reshape(3, 3)
    nodes, table = (wish.sum(axis=1), wish.sum(axis=0)), Estimate((0, 1), (THREE, THREE), wish)
    idle = Rule((0, 1), (np.zeros(3, dtype=np.int64),) * 2, np.ones((1, 1), dtype=bool))
    one, two = (polish_rows(rows, nodes, [table], np.random.default_rng(1), rules=r) for r in ((), (idle,)))
    np.testing.assert_array_equal(one, two)


# ---- checks ----------------------------------------------------------------------------------------------


def ruled_model():
    domain = domain_of([(0, 1, UP)], columns=3)
    joint = np.full((3, 3, 3), 1 / 27) * allowed_cells(domain)
    joint /= joint.sum()
    nodes = tuple(marginal_of(joint, (c,)) for c in range(3))
    return fit_network(domain, 9.0, *keep_rules(domain, nodes, ()))


def refused(meta, arrays, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        read_model(meta, arrays)


def test_a_forger_of_a_models_rules_is_met():
    model = ruled_model()
    meta, arrays = model.to_arrays()
    at = next(i for i, c in enumerate(model.tree.cliques) if set(c) == {0, 1})
    forged = arrays[f"clique_{at}"].copy()
    forged[np.flatnonzero(forged == 0)[0]] = 1e-9
    refused(meta, arrays | {f"clique_{at}": forged}, "gives probability to what a rule forbids")
    refused(meta, arrays | {"rule_0_allowed": 2 * arrays["rule_0_allowed"]}, "does not hold 0 and 1")
    refused(meta, arrays | {"rule_0_allowed": 0 * arrays["rule_0_allowed"]}, "the rules leave no row")
    refused(meta, arrays | {"rule_0_classes_0": np.arange(4)}, "do not fit its table")
    refused(meta, arrays | {"rule_0_allowed": np.ones((3, 3))}, "is not one of int64")
    refused(meta | {"rules": [{"columns": [0, 2]}]}, arrays, "no clique holds the columns of a rule")
    refused(meta | {"rules": [{"columns": [0, 3]}]}, arrays, "a rule names a column outside the domain")
    refused(meta | {"rules": [{"columns": [float("inf")]}]}, arrays, "infinite or far too large")
    refused(meta | {"model": "tree"}, arrays, "a tree cannot keep rules across columns")


def test_states_that_mix_what_a_rule_tells_apart_are_refused():
    domain = domain_of([(0, 1, UP)], columns=2)
    third, lone = np.full(3, 1 / 3), np.zeros(3, dtype=np.int64)
    tree = CliqueTree((1, 1), ((0, 1),), (-1,))
    with pytest.raises(ValueError, match="a state holds codes that a rule tells apart"):
        NetworkModel(domain, 1.0, (third, third), (), (lone, lone), tree, (np.ones((1, 1)),))


def test_a_tree_is_no_model_of_rules():
    third = np.full(3, 1 / 3)
    with pytest.raises(ValueError, match="a tree cannot keep rules"):
        TreeModel(domain_of([(0, 1, UP)], columns=2), 1.0, (third, third), ())


def test_rows_without_mass_are_drawn_where_they_may_be():
    """A saved model whose separator has a trace of mass that its child lost to rounding."""
    domain = domain_of([(0, 1, UP), (1, 2, UP)], columns=3)
    trace = 1e-8
    first = np.diag([0.5, 0.5 - trace, trace])
    second = np.diag([0.5, 0.5, 0.0])
    nodes = (np.array([0.5, 0.5 - trace, trace]),) * 3
    model = NetworkModel(
        domain, 1.0, nodes, (), (THREE,) * 3, CliqueTree((3,) * 3, ((0, 1), (1, 2)), (-1, 0)), (first, second)
    )
    rows = model.sample(300, np.random.default_rng(0))
    assert keeps(domain, rows)
    only = first * 0
    only[2, 2] = 1.0
    odd = NetworkModel.__new__(NetworkModel)
    for name in NetworkModel.__slots__:
        object.__setattr__(odd, name, getattr(model, name))
    object.__setattr__(odd, "tables", (only, second))
    assert keeps(domain, odd.sample(300, np.random.default_rng(0), method="iid"))


@pytest.mark.parametrize("count", [6, 80])
def test_columns_that_deny_each_other_still_make_a_model(count):
    """Equal columns measured as opposites; of eighty the product is too small for a float."""
    domain = domain_of([(i, i + 1, SAME) for i in range(count - 1)], columns=count)
    first, last = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    nodes, _ = keep_rules(domain, tuple(last if i % 2 else first for i in range(count)), ())
    for node in nodes:
        assert node.sum() == pytest.approx(1)
        np.testing.assert_allclose(node, nodes[0], atol=1e-9)
    model = fit_network(domain, 5.0, nodes, ())
    for method in METHODS:
        rows = model.sample(500, np.random.default_rng(0), method=method)
        assert keeps(domain, rows)
        assert len(set(rows[0].tolist())) > 1


@pytest.mark.parametrize("shape", SHAPES)
def test_models_given_evidence_keep_the_rules(shape):
    domain = domain_of(SHAPES[shape])
    rng = np.random.default_rng(5)
    joint = rng.dirichlet(np.full(81, 0.3)).reshape(domain.sizes)
    model = fit_model(domain, *measured(joint, domain, rng, total=5e3, sigma=40.0, pairs=PAIRS))
    kept = allowed_cells(domain)
    for column, code in itertools.product(range(4), range(3)):
        evidence = {column: (np.arange(3) == code).astype(float)}
        if not np.take(kept, code, axis=column).any():
            with pytest.raises(ValueError, match="probability zero"):
                given_evidence(model, evidence)
            continue
        told = given_evidence(model, evidence)
        assert not told.marginal((0, 1, 2, 3))[~kept].any()
        for method in METHODS:
            rows = told.sample(400, np.random.default_rng(0), method=method)
            assert keeps(domain, rows)
            assert (rows[column] == code).all()
