"""Rules across coded columns: which combinations of codes no row may hold, and what they leave.

A rule tells the codes of its columns apart only as far as it must: codes that it treats alike share a
*class*, so its table stays small however many codes there are. Public: rules follow from the schema alone.

What all rules leave together is found exactly, by elimination: one column after another is removed, and what
it allows its neighbours is handed on. The tables met on the way are the cliques of a junction tree; after a
pass back, a cell is allowed in one of them if and only if some row that keeps every rule has it.

Reference: Dechter 1999, "Bucket elimination: a unifying framework for reasoning", Artificial Intelligence 113
(adaptive consistency).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["LARGEST_TABLE", "NoRowError", "Rule", "Support", "TooWideError", "agreed_tables", "support_of"]

Groups = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

LARGEST_TABLE = 2**20
"""Most cells of a table that the rules need, one rule's or what several hand on."""


class NoRowError(ValueError):
    """Rules leave no row at all."""


class TooWideError(ValueError):
    """Rules tie so many classes of columns together that a table of what they leave would be too large."""


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """Which combinations of classes of some columns may occur.

    Attributes:
        columns: Positions of two or more columns, increasing.
        classes: For each column, the class, from 0, of each of its codes.
        allowed: Whether a combination may occur, shape ``(classes of each column)``.

    Raises:
        ValueError: columns that do not increase, classes that are not numbered from 0, or a table of another
            shape.
    """

    columns: tuple[int, ...]
    classes: tuple[Groups, ...]
    allowed: Flags

    def __post_init__(self) -> None:
        if len(self.columns) < 2 or list(self.columns) != sorted(set(self.columns)) or self.columns[0] < 0:
            raise ValueError("a rule needs two columns or more, in increasing order")
        if len(self.classes) != len(self.columns) or self.allowed.ndim != len(self.columns):
            raise ValueError("a rule needs classes of each of its columns, and a table over them")
        for classes, size in zip(self.classes, self.allowed.shape, strict=True):
            if classes.ndim != 1 or not np.array_equal(np.unique(classes), np.arange(size)):
                raise ValueError("the classes of a rule are not numbered from 0, or do not fit its table")
        if self.allowed.dtype != np.bool_:
            raise ValueError("a rule's table does not hold true and false")

    @classmethod
    def over(cls, columns: Sequence[int], classes: Sequence[Groups], allowed: Flags) -> Rule:
        """Make a rule of columns in any order, merging classes that its table does not tell apart."""
        order = sorted(range(len(columns)), key=lambda i: columns[i])
        present = [np.unique(classes[i], return_inverse=True) for i in order]
        table = allowed.transpose(order)[np.ix_(*(which for which, _ in present))]
        merged = []
        for axis, (which, numbered) in enumerate(present):
            lines = np.moveaxis(table, axis, 0).reshape(which.size, -1)
            _, first, kinds = np.unique(lines, axis=0, return_index=True, return_inverse=True)
            table = table.take(first, axis=axis)
            merged.append(kinds.ravel()[numbered].astype(np.int64))
        return cls(tuple(sorted(columns)), tuple(merged), np.ascontiguousarray(table))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rule):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def _content(self) -> tuple[object, ...]:
        classes = tuple(c.astype(np.int64).tobytes() for c in self.classes)
        return self.columns, classes, self.allowed.shape, self.allowed.tobytes()

    def keeps(self, codes: Sequence[npt.NDArray[np.integer]]) -> Flags:
        """Return whether each row keeps the rule.

        Args:
            codes: One array of codes a column of the domain, all of one length.
        """
        kept: Flags = self.allowed[
            tuple(classes[codes[column]] for column, classes in zip(self.columns, self.classes, strict=True))
        ]
        return kept


@dataclass(frozen=True, slots=True, eq=False)
class Support:
    """What rules leave of the combinations of columns, as a junction tree of tables that agree.

    Attributes:
        states: For each column of the domain, the state, from 0, of each code: codes of one state are alike
            to all rules. One state where a column is in no rule.
        cliques: Columns of each table, increasing; parents before children.
        parents: Position of each clique's parent, -1 for a root.
        allowed: For each clique, whether a combination of states occurs in a row that keeps all rules.
    """

    states: tuple[Groups, ...]
    cliques: tuple[tuple[int, ...], ...]
    parents: tuple[int, ...]
    allowed: tuple[Flags, ...]

    def possible(self, column: int) -> Flags:
        """Return whether each code of a column occurs in a row that keeps all rules."""
        for clique, table in zip(self.cliques, self.allowed, strict=True):
            if column in clique:
                occurs: Flags = np.any(table, axis=tuple(i for i, c in enumerate(clique) if c != column))
                return occurs[self.states[column]]
        return np.ones(self.states[column].size, dtype=np.bool_)


def support_of(sizes: Sequence[int], rules: Sequence[Rule]) -> Support:
    """Return what rules leave, exactly.

    Args:
        sizes: Number of codes of each column of the domain.
        rules: Rules over those columns.

    Raises:
        NoRowError: they leave no row.
        TooWideError: a table of more than 2**20 cells would be needed.
    """
    states = [np.zeros(size, dtype=np.int64) for size in sizes]
    for rule in rules:
        for column, classes in zip(rule.columns, rule.classes, strict=True):
            both = states[column] * (int(classes.max()) + 1) + classes
            states[column] = np.unique(both, return_inverse=True)[1].astype(np.int64)
    cliques, parents = _eliminate([int(s.max()) + 1 for s in states], rules)
    return Support(tuple(states), cliques, parents, agreed_tables(states, cliques, parents, rules))


def agreed_tables(
    states: Sequence[Groups],
    cliques: Sequence[tuple[int, ...]],
    parents: Sequence[int],
    rules: Sequence[Rule],
) -> tuple[Flags, ...]:
    """Return, for each clique of a junction tree, which cells occur in a row that keeps all rules.

    Args:
        states: For each column of the domain, the state, from 0, of each code; a rule treats codes of one
            state alike.
        cliques: Columns of each table; parents before children.
        parents: Position of each clique's parent, -1 for a root.
        rules: Each has its columns in some clique.

    Raises:
        NoRowError: the rules leave no row.
        ValueError: a rule's columns are in no clique, or a state holds codes that a rule tells apart.
    """
    counts = [int(s.max()) + 1 for s in states]
    tables: list[Flags] = [np.ones([counts[c] for c in clique], dtype=np.bool_) for clique in cliques]
    for rule in rules:
        homes = [i for i, clique in enumerate(cliques) if set(rule.columns) <= set(clique)]
        if not homes:
            raise ValueError("no clique holds the columns of a rule")
        tables[homes[0]] &= _spread(rule, states, cliques[homes[0]])
    for i in reversed(range(len(cliques))):
        if not tables[i].any():
            raise NoRowError("the rules leave no row")
        if parents[i] >= 0:
            tables[parents[i]] &= _passed(tables[i], cliques[i], cliques[parents[i]])
    for i, parent in enumerate(parents):
        if parent >= 0:
            tables[i] &= _passed(tables[parent], cliques[parent], cliques[i])
    return tuple(tables)


def _eliminate(
    counts: Sequence[int], rules: Sequence[Rule]
) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """Return the cliques of eliminating the rules' columns, cheapest first, and each one's parent."""
    near: dict[int, set[int]] = {}
    for rule in rules:
        for column in rule.columns:
            near.setdefault(column, set()).update(rule.columns)
    found: list[frozenset[int]] = []
    order: list[int] = []
    while near:
        cells = {c: math.prod(counts[n] for n in together) for c, together in near.items()}
        column = min(sorted(near), key=lambda c: cells[c])
        if cells[column] > LARGEST_TABLE:
            raise TooWideError(f"a table of {cells[column]} cells is needed; {LARGEST_TABLE} are allowed")
        clique = frozenset(near.pop(column))
        found.append(clique)
        order.append(column)
        for other in clique - {column}:
            near[other] = (near[other] | clique) - {column}
    place = {column: i for i, column in enumerate(order)}
    last = len(order) - 1
    parents = []
    for column, clique in zip(reversed(order), reversed(found), strict=True):
        after = [place[c] for c in clique if c != column]
        parents.append(last - min(after) if after else -1)
    return tuple(tuple(sorted(c)) for c in reversed(found)), tuple(parents)


def _spread(rule: Rule, states: Sequence[Groups], clique: tuple[int, ...]) -> Flags:
    """Return a rule's table over the states of a clique that holds its columns, to be broadcast."""
    index = []
    for column, classes in zip(rule.columns, rule.classes, strict=True):
        of_state = np.zeros(int(states[column].max()) + 1, dtype=np.int64)
        of_state[states[column]] = classes
        if not np.array_equal(of_state[states[column]], classes):
            raise ValueError("a state holds codes that a rule tells apart")
        index.append(of_state)
    table: Flags = rule.allowed[np.ix_(*index)]
    return table.reshape([table.shape[rule.columns.index(c)] if c in rule.columns else 1 for c in clique])


def _passed(table: Flags, clique: tuple[int, ...], towards: tuple[int, ...]) -> Flags:
    """Return what one clique allows of the columns it shares with another, to be broadcast there."""
    away = tuple(i for i, c in enumerate(clique) if c not in towards)
    shared: Flags = np.any(table, axis=away, keepdims=True)
    return shared.reshape([table.shape[clique.index(c)] if c in clique else 1 for c in towards])
