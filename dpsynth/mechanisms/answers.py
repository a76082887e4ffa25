"""What a model answers: tables counted over rows that are drawn from it, at any resolution of any columns.

Rows follow all that the model knows, also of tables that no clique of its junction tree could hold; and
counting them costs a few nanoseconds a row and table. Post-processing: no private row is involved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.mechanisms.mechanism import Measured
from dpsynth.model.structure import Potential, refit_model
from dpsynth.privacy.counting import Remembered, count_tables
from dpsynth.privacy.marginal import Integers, Marginal

__all__ = ["Answers", "answers_of"]

_LEAST_ROWS, _MOST_ROWS = 5_000, 40_000
_EFFORT = 5.0  # the rows only answer for the model: more changes no choice that matters


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Rows drawn from a model, to answer for it at any resolution.

    Attributes:
        total: The model's number of rows, at least 1.
        rows: Codes, one array a column.
        potentials: Where the model's fit ended.
    """

    total: float
    rows: tuple[npt.NDArray[np.unsignedinteger[Any]], ...]
    potentials: tuple[Potential, ...] = ()

    def to(self, queries: Sequence[Marginal]) -> dict[int, Integers]:
        """Return the model's tables in whole rows, by the identity of the query."""
        scale = self.total / self.rows[0].size
        found = count_tables(self.rows, queries, Remembered())
        return {id(queries[i]): np.rint(scale * table).astype(np.int64) for i, table in found}


def answers_of(domain: Domain, found: Measured, before: Answers | None = None) -> Answers:
    """Fit a model to what was measured and draw the rows that answer for it.

    Args:
        domain: The columns.
        found: What was measured so far.
        before: Answers of the model of a part of it: the fit starts where that one ended, if there is one.

    Privacy: free; post-processing. The rows' chance is the same each time.
    """
    potentials = before.potentials if before is not None else ()
    model, reached = refit_model(domain, found.one_ways, found.tables, potentials)
    total = max(model.total, 1.0)
    rows = int(min(max(total, _LEAST_ROWS), _MOST_ROWS))
    drawn = model.sample(rows, np.random.default_rng(0), effort=_EFFORT)
    return Answers(
        total,
        tuple(c.astype(np.min_scalar_type(s - 1)) for c, s in zip(drawn, domain.sizes, strict=True)),
        reached,
    )
