"""MST as published: arXiv 2108.04978, Algorithm 1, on dpsynth's curator. For comparison, not for use.

Thirds of the budget for one-way marginals, for selection by ``d - 1`` exponential mechanisms (Kruskal), and
for the edges, all at full resolution, without weights by size. Priced in GDP and denoised like the rest.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import networkx as nx
import numpy as np

from dpsynth.domain import Domain
from dpsynth.mechanisms.mechanism import Measured, Mechanism, Progress, Stage, one_way, planned_one_ways
from dpsynth.model.estimation import one_way_estimates
from dpsynth.privacy.curator import Curator
from dpsynth.privacy.marginal import Marginal

__all__ = ["REFERENCE_MST"]

_THIRD = Fraction(1, 3)


def _plan(domain: Domain, budget: float, rows_per_unit: int) -> tuple[Stage, ...]:
    return (planned_one_ways(domain, budget, rows_per_unit, 1 / 3),)


def _run(curator: Curator, progress: Progress) -> Measured:
    domain, third = curator.domain, curator.left * _THIRD
    ones = tuple(
        curator.measure(one_way(domain, c), budget=third / len(domain), purpose="one-way marginals")
        for c in range(len(domain))
    )
    total, counts = one_way_estimates(domain, ones)
    groups = [np.arange(size) for size in domain.sizes]

    def independent(query: Marginal) -> np.ndarray:
        a, b = query.columns
        return np.rint(np.outer(counts[a], counts[b]) / total).astype(np.int64)

    joined: nx.Graph = nx.Graph()
    joined.add_nodes_from(range(len(domain)))
    chosen = []
    for step in range(len(domain) - 1):
        candidates = [
            Marginal((a, b), (groups[a], groups[b]))
            for a, b in itertools.combinations(range(len(domain)), 2)
            if not nx.has_path(joined, a, b)
        ]
        pick = curator.select(candidates, independent, budget=third / (len(domain) - 1), purpose="edge")
        chosen.append(candidates[pick])
        joined.add_edge(*candidates[pick].columns)
        progress("choosing pairs", (step + 1) / (len(domain) - 1))
    share = curator.left / len(chosen)
    return Measured(ones, tuple(curator.measure(q, budget=share, purpose="pair marginals") for q in chosen))


REFERENCE_MST = Mechanism(
    name="mst-as-published", summary="arXiv 2108.04978, Algorithm 1", plan=_plan, run=_run
)
