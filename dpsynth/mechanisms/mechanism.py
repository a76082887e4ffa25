"""What every mechanism is: a plan that needs no rows, and a run that asks a curator."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.errors import InputError
from dpsynth.mechanisms.workload import Workload
from dpsynth.privacy.curator import Curator, Marginal, Measurement
from dpsynth.privacy.guarantee import Calculus, Guarantee

__all__ = [
    "Measured",
    "Mechanism",
    "Progress",
    "Stage",
    "Terms",
    "column_errors",
    "measure_one_ways",
    "one_way",
    "one_way_budgets",
    "planned",
    "size_rule",
    "useful_rows",
]

Progress: TypeAlias = Callable[[str, float], None]
"""Called with the name of a stage and the fraction of it that is done. Never told anything private."""

ONE_WAYS = "one-way marginals"
AGAIN = "one-way marginals, again"
INSTEAD = "one-way marginals, in place of pairs"
_LARGEST_WEIGHT = 1024  # a column of more codes than this gets no larger share for them


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One line of a plan: what will be asked of the curator, and at what price.

    Attributes:
        purpose: As it will stand in the ledger.
        acts: Most acts of this kind.
        share: Fraction of the whole budget they get together.
        sigma: Standard deviation of the noise in each cell, in rows: least and greatest over the acts.
            Zeros for choices by lot, which are noisy in another way.
        cells: Most noisy numbers they return together.
        note: What decides the open points.
        distances: Whether the numbers are distances, of which a replaced unit moves each by two rows of one.
        warning: What the user should know before anything is spent.
    """

    purpose: str
    acts: int
    share: float
    sigma: tuple[float, float]
    cells: int
    note: str = ""
    warning: str = ""
    distances: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a mechanism brings home: public measurements, ready for estimation."""

    one_ways: tuple[Measurement, ...]  # each column once or more
    tables: tuple[Measurement, ...]  # of two or more columns each; a column's groupings are nested


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a user may ask of a mechanism beyond its name; None for what is left to it.

    Attributes:
        workload: The marginals that matter.
        model_size: Most memory for the model's tables, in MB (2**20 bytes).
        seconds: Wall-clock time after which the mechanism spends what is left at once.

    Raises:
        InputError: a size or a time that is not positive and finite.
    """

    workload: Workload | None = None
    model_size: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("model_size", "seconds"):
            value = getattr(self, name)
            if value is not None and not (type(value) in (int, float) and 0 < value < math.inf):
                raise InputError(f"{name}={value!r} is not a positive, finite number")

    @property
    def given(self) -> tuple[str, ...]:
        """Names of what the user did ask."""
        return tuple(name for name in self.__dataclass_fields__ if getattr(self, name) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """A named pair of functions.

    Attributes:
        name: As the user writes it.
        summary: One line for people.
        plan: ``(domain, budget, rows_per_unit) -> stages``; ``budget`` is ``mu**2`` (or ``2 rho`` in zCDP).
        run: ``(curator, progress) -> measurements``; may spend all that the curator has left.
        takes: Names of the terms it can be asked to keep.
        adapt: ``terms -> mechanism``, for one that takes any.
        pure: What takes its place under pure epsilon (delta 0), with a plan whose budget is epsilon and whose
            ``rows_per_unit`` is the most by which a unit moves a table in L1; None if it needs a delta.
    """

    name: str
    summary: str
    plan: Callable[[Domain, float, int], tuple[Stage, ...]]
    run: Callable[[Curator, Progress], Measured]
    takes: tuple[str, ...] = ()
    adapt: Callable[[Terms], Mechanism] | None = None
    pure: Mechanism | None = None

    def under(self, terms: Terms) -> Mechanism:
        """Return this mechanism under a user's terms.

        Raises:
            InputError: it does not take one of them.
        """
        for name in terms.given:
            if name not in self.takes:
                raise InputError(
                    f"mechanism {self.name!r} takes no {name}; it takes {', '.join(self.takes) or 'nothing'}"
                )
        return self if self.adapt is None else self.adapt(terms)


def one_way(domain: Domain, column: int) -> Marginal:
    """Return the one-way marginal of a column at full resolution."""
    return Marginal((column,), (np.arange(domain.axes[column].size),))


def planned(
    mechanism: Mechanism,
    domain: Domain,
    guarantee: Guarantee,
    calculus: Calculus,
    *,
    budget: float | None = None,
) -> tuple[Stage, ...]:
    """Return the plan of a mechanism (under pure epsilon: of its pure form).

    Args:
        mechanism: The mechanism.
        domain: The columns.
        guarantee: What is promised in all.
        calculus: The currency.
        budget: What the mechanism gets; by default all that the guarantee affords.

    Raises:
        GuaranteeError: the guarantee affords nothing in this calculus.
    """
    budget = guarantee.budget(calculus) if budget is None else budget
    sides, unit = guarantee.sides, guarantee.rows_per_unit
    if calculus == "pure":
        return mechanism.plan(domain, budget, sides * unit)
    stages = mechanism.plan(domain, budget * (1 if calculus == "gdp" else 2) / sides, unit)
    factor = math.sqrt(sides)  # a count moves by that much more, a distance by this again
    return tuple(
        dataclasses.replace(s, sigma=(s.sigma[0] * factor, s.sigma[1] * factor)) if s.distances else s
        for s in stages
    )


def size_rule(calculus: Calculus) -> float:
    """Return the power of a table's size that its share of a budget is in proportion to.

    The error of ``n`` cells is ``n sigma``, and ``sigma`` is in proportion to ``share**-(1/2)`` in GDP and
    zCDP, to ``1/share`` in pure epsilon: the sum of errors is least at ``n**(2/3)`` and at ``n**(1/2)``.
    """
    return 1 / 2 if calculus == "pure" else 2 / 3


def one_way_budgets(domain: Domain, budget: Fraction, calculus: Calculus = "gdp") -> list[Fraction]:
    """Divide a budget among the columns in proportion to ``size**(2/3)``, in pure epsilon ``size**(1/2)``.

    The expected L1 error of a measured table of ``n`` cells is about ``n * sigma``; under ``sum of
    1/sigma**2 = budget`` the sum over columns is least for shares proportional to ``n**(2/3)``; see
    :func:`size_rule`. Sizes above 1024 count as 1024, so that one column of very many categories does not
    take everything.

    Reference: Zhang et al. 2021 (PrivSyn), section 4.3 (the 2/3 rule).
    """
    rule = size_rule(calculus)
    weights = [Fraction(round(2**20 * min(s, _LARGEST_WEIGHT) ** rule)) for s in domain.sizes]
    whole = sum(weights)
    return [budget * w / whole for w in weights]


def column_errors(
    domain: Domain, counts: Sequence[npt.NDArray[np.float64]], power: float
) -> npt.NDArray[np.float64]:
    """Return the L1 error to expect of each column, in rows, once it is denoised.

    Of a cell of ``c`` rows and noise ``s`` about ``0.7 min(sqrt(2/pi) s, c)``, as in
    :func:`dpsynth.model.estimation.one_way_variances`.

    Args:
        domain: The columns.
        counts: Denoised counts of each.
        power: ``1 / sigma**2`` of one measurement with all that the columns share, as in
            :func:`one_way_budgets`.
    """
    shares = one_way_budgets(domain, Fraction(1))
    noise = [math.sqrt(2 / math.pi / (float(s) * power)) for s in shares]
    return np.array([0.7 * np.minimum(s, c).sum() for s, c in zip(noise, counts, strict=True)])


def measure_one_ways(
    curator: Curator, budget: Fraction, progress: Progress, *, purpose: str = ONE_WAYS
) -> tuple[Measurement, ...]:
    """Measure every column once, at full resolution; ``purpose`` is for the ledger.

    Privacy: spends at most ``budget`` through :meth:`Curator.measure`.
    """
    measured = []
    stage = "measuring columns" if purpose == ONE_WAYS else f"measuring {purpose}"
    shares = one_way_budgets(curator.domain, budget, curator.calculus)
    for column, share in enumerate(shares):
        measured.append(curator.measure(one_way(curator.domain, column), budget=share, purpose=purpose))
        progress(stage, (column + 1) / len(shares))
    return tuple(measured)


def planned_one_ways(domain: Domain, budget: float, rows_per_unit: int, share: float) -> Stage:
    """Return the plan's line for :func:`measure_one_ways`."""
    shares = one_way_budgets(domain, Fraction(budget * share))
    sigmas = sorted(rows_per_unit / float(b) ** 0.5 for b in shares)
    return Stage(
        purpose=ONE_WAYS,
        acts=len(domain),
        share=share,
        sigma=(sigmas[0], sigmas[-1]),
        cells=sum(domain.sizes),
    )


def planned_again(
    domain: Domain, budget: float, rows_per_unit: int, least: Fraction, most: Fraction
) -> Stage:
    """Return the plan's line for measuring columns again, from a share of ``least`` up to one of ``most``.

    The share in between is settled in hundredths of the budget, once the rows are known roughly.
    """
    more = float(most - least)
    again = planned_one_ways(domain, budget, rows_per_unit, more)
    next_hundredth = Fraction(math.floor(100 * least) + 1, 100)
    slight = float(min(next_hundredth, most) - least)
    return dataclasses.replace(
        again,
        purpose=AGAIN,
        sigma=(again.sigma[0], planned_one_ways(domain, budget, rows_per_unit, slight).sigma[1]),
        note="up to this share where rows are few for the noise; what they leave, the others get",
    )


def useful_rows(domain: Domain, budget: float, rows_per_unit: int, calculus: Calculus = "gdp") -> int:
    """Return how many rows make half of the one-way marginals useful, for their noise alone.

    A column of ``s`` codes measured at ``sigma`` has an expected total variation of about
    ``s * sigma * sqrt(2/pi) / (2 n)``, under Laplace noise of scale ``t`` of ``s * t / (2 n)``; useful is at
    most a tenth.

    Args:
        domain: The columns.
        budget: ``mu**2``, or epsilon, for all one-way marginals.
        rows_per_unit: Most rows by which one unit moves a table.
        calculus: ``"pure"`` if the budget is epsilon.
    """
    shares = one_way_budgets(domain, Fraction(budget), calculus)
    if calculus == "pure":
        noise = [s * rows_per_unit / float(b) / 2 for s, b in zip(domain.sizes, shares, strict=True)]
    else:
        noise = [
            s * rows_per_unit / math.sqrt(float(b)) * math.sqrt(2 / math.pi) / 2
            for s, b in zip(domain.sizes, shares, strict=True)
        ]
    return math.ceil(10 * statistics.median(noise))


def ignore_progress(stage: str, fraction: float) -> None:
    """Take no notice of progress."""
