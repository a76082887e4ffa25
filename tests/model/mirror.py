"""Reference estimator: entropic mirror descent on the marginals of a junction tree.

    minimise  L(mu) = 1/2 sum over targets t of weight_t ||M_t mu - y_t||^2   over the marginal polytope

Step: potentials less ``step * dL/dmu``, marginals by belief propagation, the step halved until the loss falls
as much as Armijo's rule asks. Plain numpy in the log domain; slow, and shares nothing with the fit it is
compared to.

References: Beck, Teboulle 2003 (mirror descent); McKenna, Sheldon, Miklau 2019 (arXiv:1901.09136),
Algorithm 1.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

__all__ = ["mirror_descent"]


def beliefs(tree, potentials):
    """Marginals of each clique of the distribution proportional to the product of ``exp(potentials)``."""
    log = [p.copy() for p in potentials]
    sent = [None] * len(log)
    for i in reversed(range(len(log))):
        parent = tree.parents[i]
        if parent >= 0:
            sent[i] = _over(tree, log[i], i, parent)
            log[parent] = log[parent] + _laid(tree, sent[i], i, parent)
    for i, parent in enumerate(tree.parents):
        if parent >= 0:
            there = _over(tree, log[parent], parent, i)
            log[i] = log[i] + _laid(tree, there, parent, i) - _laid(tree, sent[i], i, i)
    return [np.exp(table - logsumexp(table)) for table in log]


def _over(tree, table, clique, other):
    held = tree.cliques[clique]
    away = tuple(axis for axis, c in enumerate(held) if c not in tree.cliques[other])
    return logsumexp(table, axis=away) if away else table


def _laid(tree, message, clique, other):
    """Put the axes of what ``clique`` and its neighbour share where the other has them."""
    pair = set(tree.cliques[clique])
    lengths = iter(message.shape)
    shared = pair & set(tree.cliques[other]) if clique != other else None
    if shared is None:  # the message's own clique: its parent's columns
        shared = pair & set(tree.cliques[tree.parents[clique]])
    return message.reshape([next(lengths) if c in shared else 1 for c in tree.cliques[other]])


def mirror_descent(tree, margins, targets, weights, *, steps=2_000, enough=0.0):
    """Return clique tables and the loss after each step.

    Args:
        tree: The cliques.
        margins: Where to start: independent columns.
        targets: Tables of columns that are in some clique.
        weights: One a target, such as ``1 / sigma**2``.
        steps: Most steps.
        enough: Stop at the first loss that is not above this.
    """
    homes = [tree.smallest(t.columns) for t in targets]
    index = [_cells(tree, home, t) for home, t in zip(homes, targets, strict=True)]
    owners = {
        c: next(i for i, clique in enumerate(tree.cliques) if c in clique) for c in range(len(tree.sizes))
    }
    potentials = []
    for i, clique in enumerate(tree.cliques):
        table = np.zeros(tree.shape(i))
        for axis, c in enumerate(clique):
            if owners[c] == i:
                along = [-1 if a == axis else 1 for a in range(len(clique))]
                table = table + np.log(np.maximum(margins[c], 1e-300)).reshape(along)
        potentials.append(table)

    def loss(tables):
        total, gradient = 0.0, [np.zeros(t.shape) for t in tables]
        for home, where, target, weight in zip(homes, index, targets, weights, strict=True):
            found = np.bincount(where, tables[home].ravel(), target.table.size)
            residual = found - target.table.ravel()
            total += weight * float(residual @ residual) / 2
            gradient[home] += weight * residual[where].reshape(gradient[home].shape)
        return total, gradient

    tables = beliefs(tree, potentials)
    value, gradient = loss(tables)
    losses, step = [value], 1.0 / max(weights)
    for _ in range(steps):
        if value <= enough:
            break
        step *= 2.0
        while True:
            moved = [p - step * g for p, g in zip(potentials, gradient, strict=True)]
            tried = beliefs(tree, moved)
            new, slope = loss(tried)
            fall = sum(float((g * (t - n)).sum()) for g, t, n in zip(gradient, tables, tried, strict=True))
            if value - new >= 0.5 * fall or step < 1e-12:
                break
            step /= 2.0
        potentials, tables, value, gradient = moved, tried, new, slope
        losses.append(value)
    return tables, losses


def _cells(tree, home, target):
    """For each cell of a clique's table, the cell of the target that it adds to."""
    coordinates = np.indices(tree.shape(home)).reshape(len(tree.cliques[home]), -1)
    places = [tree.cliques[home].index(c) for c in target.columns]
    cells = [g[coordinates[p]] for p, g in zip(places, target.groups, strict=True)]
    return np.ravel_multi_index(cells, target.table.shape)
