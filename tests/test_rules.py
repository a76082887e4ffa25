"""What rules leave, against every row that there is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpsynth import rules as rules_module
from dpsynth.rules import NoRowError, Rule, TooWideError, support_of


@st.composite
def ruled(draw):
    """Sizes of up to five columns and up to five rules over them, of two or three columns each."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=5))
    rules = []
    for _ in range(draw(st.integers(0, 5))):
        columns = draw(st.permutations(range(len(sizes))))[: draw(st.integers(2, min(3, len(sizes))))]
        classes = [
            np.array(draw(st.lists(st.integers(0, 2), min_size=sizes[c], max_size=sizes[c]))) for c in columns
        ]
        shape = [3] * len(columns)
        bits = draw(st.lists(st.booleans(), min_size=3 ** len(columns), max_size=3 ** len(columns)))
        rules.append(Rule.over(columns, classes, np.array(bits).reshape(shape) | draw(st.booleans())))
    return sizes, rules


def rows_that_keep(sizes, rules):
    rows = np.array(list(itertools.product(*map(range, sizes)))).T
    kept = np.ones(rows.shape[1], dtype=bool)
    for rule in rules:
        kept &= rule.keeps(list(rows))
    return rows[:, kept]


@settings(max_examples=300)
@given(ruled())
def test_support_is_what_rows_that_keep_the_rules_hold(case):
    sizes, rules = case
    rows = rows_that_keep(sizes, rules)
    if not rows.shape[1]:
        with pytest.raises(NoRowError, match="leave no row"):
            support_of(sizes, rules)
        return
    support = support_of(sizes, rules)
    for column, size in enumerate(sizes):
        occurs = np.isin(np.arange(size), rows[column])
        assert support.possible(column).tolist() == occurs.tolist()
    for i, (clique, table) in enumerate(zip(support.cliques, support.allowed, strict=True)):
        seen = np.zeros(table.shape, dtype=bool)
        seen[tuple(support.states[c][rows[c]] for c in clique)] = True
        assert np.array_equal(seen, table)
        assert support.parents[i] < i
    for rule in rules:
        assert any(set(rule.columns) <= set(clique) for clique in support.cliques)


@given(ruled(), st.data())
def test_merged_classes_say_the_same(case, data):
    sizes, _ = case
    columns = data.draw(st.permutations(range(len(sizes))))[:2]
    classes = [
        np.array(data.draw(st.lists(st.integers(0, 3), min_size=sizes[c], max_size=sizes[c])))
        for c in columns
    ]
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=16, max_size=16))).reshape(4, 4)
    rule = Rule.over(columns, classes, allowed)
    rows = np.array(list(itertools.product(*map(range, sizes)))).T
    assert np.array_equal(
        rule.keeps(list(rows)), allowed[classes[0][rows[columns[0]]], classes[1][rows[columns[1]]]]
    )
    for axis in range(2):
        lines = np.moveaxis(rule.allowed, axis, 0)
        assert len(np.unique(lines, axis=0)) == len(lines), "two classes that are alike"


def test_the_tree_is_a_junction_tree():
    """A cycle of five columns: the running intersection property holds."""
    differ = ~np.eye(3, dtype=bool)
    three = np.arange(3)
    rules = [Rule.over((i, (i + 1) % 5), (three, three), differ) for i in range(5)]
    support = support_of([3] * 5, rules)
    for column in range(5):
        holders = [i for i, clique in enumerate(support.cliques) if column in clique]
        tops = [i for i in holders if support.parents[i] not in holders]
        assert len(tops) == 1


def test_rules_are_equal_by_what_they_say():
    two = np.array([0, 1])
    one = Rule((0, 1), (two, two), np.eye(2, dtype=bool))
    same = Rule((0, 1), (two.copy(), two.copy()), np.eye(2, dtype=bool))
    other = Rule((0, 1), (two, two), ~np.eye(2, dtype=bool))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != "rule"


@pytest.mark.parametrize(
    ("columns", "classes", "allowed", "said"),
    [
        ((0,), [[0, 1]], [True, True], "two columns or more, in increasing order"),
        ((1, 0), [[0], [0]], [[True]], "two columns or more, in increasing order"),
        ((1, 1), [[0], [0]], [[True]], "two columns or more, in increasing order"),
        ((-1, 1), [[0], [0]], [[True]], "two columns or more, in increasing order"),
        ((0, 1), [[0]], [[True]], "classes of each of its columns"),
        ((0, 1), [[0], [0]], [True], "classes of each of its columns"),
        ((0, 1), [[0, 2], [0]], [[True], [True]], "not numbered from 0, or do not fit"),
        ((0, 1), [[0, 1], [0]], [[True]], "not numbered from 0, or do not fit"),
        ((0, 1), [[[0]], [0]], [[True]], "not numbered from 0, or do not fit"),
        ((0, 1), [[0], [0]], [[1]], "does not hold true and false"),
    ],
)
def test_a_rule_is_checked_at_birth(columns, classes, allowed, said):
    with pytest.raises(ValueError, match=said):
        Rule(columns, tuple(map(np.array, classes)), np.array(allowed))


def test_a_table_that_would_be_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(rules_module, "LARGEST_TABLE", 26)
    differ = ~np.eye(3, dtype=bool)
    three = np.arange(3)
    rules = [Rule.over((i, j), (three, three), differ) for i, j in itertools.combinations(range(4), 2)]
    assert support_of([3] * 4, rules[:1]).cliques == ((1,), (0, 1))
    with pytest.raises(TooWideError, match="a table of 81 cells is needed; 26 are allowed"):
        support_of([3] * 4, rules)
