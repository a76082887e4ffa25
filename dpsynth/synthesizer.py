"""The road itself: configure, plan, fit.

Everything before :meth:`Synthesizer.fit` is public: no row is read. Everything ``fit`` reads, it reads
through one :class:`~dpsynth.privacy.curator.Curator`; what it returns is public again.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from warnings import warn

from dpsynth.accountant import Accountant, BookReference
from dpsynth.buying.lines import assumed, delta_aside
from dpsynth.buying.sealing import seal_columns
from dpsynth.buying.shopping import buy
from dpsynth.data.codec import Codec
from dpsynth.data.kept import kept_source
from dpsynth.data.layout import Layout
from dpsynth.data.source import open_source
from dpsynth.data.withheld import emptied
from dpsynth.domain import Domain
from dpsynth.doors import Doors
from dpsynth.errors import InputError
from dpsynth.mechanisms import MECHANISMS, Mechanism, Progress, Stage, Terms, Workload
from dpsynth.mechanisms.mechanism import Measured, ignore_progress, planned, useful_rows
from dpsynth.mechanisms.purchases import planned_purchases
from dpsynth.model.structure import LARGEST_CLIQUE, fit_model, processing_of
from dpsynth.planning import BoundCost, Plan
from dpsynth.privacy.curator import Curator
from dpsynth.privacy.guarantee import Adjacency, Backend, Guarantee, calculus_of
from dpsynth.privacy.ledger import Ledger
from dpsynth.release.release import Release
from dpsynth.release.statement import Statement
from dpsynth.rules import support_of
from dpsynth.schema import OpenSchema, Schema

__all__ = ["BoundCost", "Plan", "Synthesizer"]

_MANY_ROWS = 1_000_000  # few tables have more: a plan warns if even so many would drown in noise
_BYTES_A_ROW_AND_COLUMN = 24  # text as read, codes, and one key while counting
_BOUNDS = (1, 2, 5, 10)  # of rows per unit, shown beside the schema's own


@dataclass(frozen=True, slots=True, init=False)
class Synthesizer:
    """A schema, a guarantee and a mechanism, checked to fit together.

    Args:
        schema: What is publicly known of the table; of an open schema, a fit buys the rest first.
        epsilon: Of the guarantee, in (0, 10000].
        delta: Of the guarantee, in [0, 1). 0 is pure epsilon: Laplace noise, and choices by lot.
        mechanism: A name in :data:`dpsynth.mechanisms.MECHANISMS`, or a mechanism of your own. The default is
            ``oneshot``, which has the least error on most of the benchmark's tables and budgets
            (docs/method.md), and ``mst`` where delta is 0.
        workload: The marginals that matter, or how the command line writes them (``"all-3-way"``,
            ``"target:COLUMN"``, a YAML file); for mechanisms that take one.
        model_size: Most memory for the model's tables in MB, for mechanisms that take it.
        seconds: Time after which the mechanism spends what is left at once, for mechanisms that take it.
        noise: ``"exact"``: exactly rounded Gaussian noise, accounted in GDP. ``"opendp"``: OpenDP's
            discrete Gaussian, accounted in zCDP; slower, and with more noise at the same guarantee. Where
            delta is 0, either one's discrete Laplace.
        adjacency: What is protected: that a unit is in the table or not (``"add-remove"``), or which unit's
            rows are in its place (``"replace-one"``, at more noise).

    Raises:
        GuaranteeError: epsilon or delta is out of range.
        InputError: an unknown mechanism or noise, a mechanism that needs a delta where delta is 0, terms that
            the mechanism does not take, or a workload that does not fit the schema.

    Example:
        >>> import pandas as pd
        >>> from dpsynth import Schema, Synthesizer
        >>> schema = Schema.from_domain({"age": 85, "sex": 2}, ordered=["age"])
        >>> synth = Synthesizer(schema, epsilon=1.0, delta=1e-9)
        >>> release = synth.fit(pd.DataFrame({"age": [30, 41] * 500, "sex": [0, 1] * 500}))
        >>> release.sample(3, seed=7).shape
        (3, 2)
    """

    schema: Schema
    to_buy: OpenSchema | None
    guarantee: Guarantee
    mechanism: Mechanism
    noise: Backend

    def __init__(
        self,
        schema: Schema | OpenSchema,
        *,
        epsilon: float,
        delta: float,
        mechanism: str | Mechanism | None = None,
        workload: Workload | str | None = None,
        model_size: float | None = None,
        seconds: float | None = None,
        noise: Backend = "exact",
        adjacency: Adjacency = "add-remove",
    ) -> None:
        if mechanism is None:
            mechanism = "mst" if delta == 0 else "oneshot"
        named = isinstance(mechanism, str) and mechanism in MECHANISMS
        if not named and not isinstance(mechanism, Mechanism):
            near = difflib.get_close_matches(str(mechanism), MECHANISMS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"mechanism={mechanism!r} is none of {', '.join(MECHANISMS)}{hint}")
        if noise not in ("exact", "opendp"):
            raise InputError(f"noise={noise!r} is neither 'exact' nor 'opendp'")
        to_buy = schema if isinstance(schema, OpenSchema) else None
        schema = schema.stand_in if isinstance(schema, OpenSchema) else schema
        if to_buy is not None and delta == 0 and any("values" in p.keys for p in to_buy.purchases):
            raise InputError(
                "categories are bought with a delta, and delta is 0: state values in the schema, or take a "
                "delta such as 1e-9"
            )
        unit = schema.privacy_unit if isinstance(schema.privacy_unit, str) else schema.privacy_unit.column
        guarantee = Guarantee(
            epsilon=epsilon, delta=delta, unit=unit, rows_per_unit=schema.max_rows, adjacency=adjacency
        )
        object.__setattr__(self, "schema", schema)
        object.__setattr__(self, "to_buy", to_buy)
        object.__setattr__(self, "guarantee", guarantee)
        wanted = Workload.parse(workload) if isinstance(workload, str) else workload
        if wanted is not None:
            wanted.resolve(Codec(schema).domain)
        chosen = mechanism if isinstance(mechanism, Mechanism) else MECHANISMS[mechanism]
        if calculus_of(noise, delta) == "pure":
            chosen = _pure(chosen)
        terms = Terms(workload=wanted, model_size=model_size, seconds=seconds)
        object.__setattr__(self, "mechanism", chosen.under(terms))
        object.__setattr__(self, "noise", noise)

    def plan(self, *, rows: int | None = None) -> Plan:
        """Return what a fit will measure, at what price and with how much memory. No row is read.

        Args:
            rows: A public guess of the number of rows. The plan then warns where noise would drown them;
                without it, where it would drown a million.

        Raises:
            GuaranteeError: the guarantee affords no measurement at all.

        Privacy: free; a function of the schema and the guarantee.
        """
        calculus = calculus_of(self.noise, self.guarantee.delta)
        aside = self._aside()
        budget = self.guarantee.budget(calculus, aside)
        domain = Codec(self.schema if self.to_buy is None else assumed(self.to_buy)).domain
        bought = tuple(planned_purchases(self.to_buy, self.guarantee, budget, calculus))
        rest = 1 - sum(stage.share for stage in bought)
        stages = planned(self.mechanism, domain, self.guarantee, calculus, budget=budget * rest)
        if bought:
            stages = tuple(dataclasses.replace(stage, share=stage.share * rest) for stage in stages)
        needed = self._useful(domain, budget * stages[0].share, self.guarantee.rows_per_unit)
        warnings = [stage.warning for stage in stages if stage.warning]
        if needed > (_MANY_ROWS if rows is None else rows):
            warnings.append(
                f"the budget is small: half of the one-way marginals would be off by more than a tenth, for "
                f"noise alone, unless the table has at least {needed:,} rows; raise epsilon or merge codes"
            )
        return Plan(
            guarantee=self.guarantee,
            calculus=calculus,
            budget=budget,
            mechanism=self.mechanism.name,
            stages=(*bought, *stages),
            columns=len(domain),
            model_bytes=_model_bytes(domain, stages),
            row_bytes=_BYTES_A_ROW_AND_COLUMN * len(self.schema.columns),
            useful_rows=needed,
            warnings=tuple(warnings),
            delta_aside=float(aside),
            bounds=tuple(self._bounds(domain, budget, stages[0])),
        )

    def _aside(self) -> Fraction:
        return Fraction(0) if self.to_buy is None else delta_aside(self.to_buy, self.guarantee.delta)

    def _useful(self, domain: Domain, budget: float, bound: int) -> int:
        """Return from how many rows on one-way marginals with so much budget are useful, under a bound."""
        calculus, sides = calculus_of(self.noise, self.guarantee.delta), self.guarantee.sides
        if calculus == "pure":
            return useful_rows(domain, budget, sides * bound, calculus)
        return useful_rows(domain, budget * (1 if calculus == "gdp" else 2) / sides, bound)

    def _bounds(self, domain: Domain, budget: float, first: Stage) -> Iterator[BoundCost]:
        """Give what a few bounds on rows per unit would cost: noise is in proportion to the bound."""
        if isinstance(self.schema.privacy_unit, str):
            return
        own = self.guarantee.rows_per_unit
        for bound in sorted({*_BOUNDS, own}):
            low, high = (sigma * bound / own for sigma in first.sigma)
            rows = self._useful(domain, budget * first.share, bound)
            yield BoundCost(max_rows=bound, sigma=(low, high), useful_rows=rows)

    @emptied
    def fit(
        self,
        data: Any,
        *,
        progress: Progress | None = None,
        accountant: Accountant | None = None,
        dataset: str | None = None,
    ) -> Release:
        """Measure a private table and return its release: model, measurements and statement.

        Args:
            data: A pandas, polars or Arrow frame, or a path to a CSV or Parquet file.
            progress: Called with a stage's name and the fraction of it that is done.
            accountant: A budget book. All that the guarantee affords is reserved in it before a row is read;
                what was not drawn is given back at the end, also when the fit ends in an error.
            dataset: Which of its data sets this table is; may be left out where it has one.

        Warns:
            UserWarning: what :meth:`plan` warns of, before any row is read.

        Raises:
            SchemaError: the schema still has values marked ``!REVIEW``.
            DataError: a file that cannot be read, or a column that is absent or there twice.
            BudgetRefusedError: the mechanism asked for more than the guarantee affords; or the book has no
                room for it, and no row was read.
            InputError: the book has no such data set, or several and none was named.
            BookError, VerificationError: the book cannot be opened or written, or was altered.

        Privacy: the release is (epsilon, delta)-differentially private as ``release.statement`` says. What is
        raised depends on column names and the schema, never on a value.
        """
        report = progress or ignore_progress
        self.schema.require_reviewed()
        for warning in self.plan().warnings:
            warn(warning, stacklevel=3)
        ledger = Ledger(self.guarantee, calculus_of(self.noise, self.guarantee.delta), self._aside())
        if accountant is None:
            if dataset is not None:
                raise InputError(f"dataset={dataset!r} is a name in a budget book; give accountant as well")
            return self._fit(data, report, ledger)
        with accountant.reserve(
            self.guarantee,
            calculus=ledger.calculus,
            delta_aside=ledger.delta_aside,
            mechanism=self.mechanism.name,
            dataset=dataset,
        ) as hold:
            hold.follow(ledger)  # all that is drawn in this fit is drawn on it
            release = self._fit(data, report, ledger, hold.reference)
            hold.commit(release.statement.entries, statement=release.statement.digest)
        return release

    def _fit(self, data: Any, report: Progress, ledger: Ledger, book: BookReference | None = None) -> Release:
        """Do what :meth:`fit` promises, on a ledger whose budget was reserved if there is a book."""
        return self._released(self._counted(data, report, ledger), report, book)

    @property
    def _doors(self) -> Doors:
        """Through what rows are read: in a fit through these and no others."""
        return Doors()

    def _counted(self, data: Any, report: Progress, ledger: Ledger) -> _Counted:
        """Read the rows, buy what the schema leaves open, and measure; nothing is drawn afterwards."""
        report("reading rows", 0.0)
        source = open_source(data)
        schema = self.schema
        bought: dict[str, tuple[str, ...]] = {}
        if self.to_buy is not None:
            source = kept_source(source, schema)
            seller = self._doors.seller(seal_columns(source, self.to_buy), ledger, backend=self.noise)
            schema, bought = buy(seller, self.to_buy, report)
        codec = Codec(schema)
        table = codec.encode(source)
        report("reading rows", 1.0)
        curator = self._doors.curator(table, self.guarantee, backend=self.noise, ledger=ledger)
        measured = self.mechanism.run(curator, report)
        ledger.close()  # what is left is never drawn, whoever kept the curator
        return _Counted(schema, bought, codec, codec.layout(source), curator, measured)

    def _released(self, counted: _Counted, report: Progress, book: BookReference | None) -> Release:
        """Fit the model to what was measured, and state what it cost; no row is read."""
        measured = counted.measured
        report("fitting the model", 0.0)
        model = fit_model(counted.codec.domain, measured.one_ways, measured.tables)
        report("fitting the model", 1.0)
        return Release(
            schema=counted.schema,
            layout=counted.layout,
            model=model,
            measurements=(*measured.one_ways, *measured.tables),
            statement=Statement.from_curator(
                counted.curator,
                counted.schema,
                self.mechanism.name,
                processing=processing_of(model),
                bought=counted.bought,
                book=book,
            ),
        )


@dataclass(frozen=True, slots=True)
class _Counted:
    """What the doors let out, and what a release needs beside it."""

    schema: Schema
    bought: dict[str, tuple[str, ...]]
    codec: Codec
    layout: Layout
    curator: Curator
    measured: Measured


def _pure(mechanism: Mechanism) -> Mechanism:
    """Return what takes a mechanism's place where delta is 0.

    Raises:
        InputError: nothing does; names the mechanisms that have a pure form.
    """
    if mechanism.pure is None:
        able = ", ".join(name for name, known in MECHANISMS.items() if known.pure is not None)
        raise InputError(
            f"mechanism {mechanism.name!r} needs a delta above 0; with delta=0 choose one of {able}"
        )
    return mechanism.pure


def _model_bytes(domain: Domain, stages: tuple[Stage, ...]) -> int:
    """Return a generous bound on the memory of measured tables and of the model, in bytes."""
    cells = sum(s.cells for s in stages) + sum(domain.sizes)
    denoising = 60 * min(max(domain.sizes), 65_536) + 200 * 8192  # mixture components times cells
    tables = max((s.acts for s in stages), default=0)
    cliques = 0
    if tables > len(domain) or domain.rules:  # cliques, and each table's place in one
        cliques = LARGEST_CLIQUE * (4 * len(domain) + tables // 2)
    if domain.rules:
        cliques += 4 * sum(table.size for table in support_of(domain.sizes, domain.rules).allowed)
    return 8 * (4 * cells + denoising + cliques)
