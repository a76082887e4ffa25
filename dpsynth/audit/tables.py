"""The two tables of a confidential audit, and the checks without which its numbers would mean nothing.

The training rows are those that a release was fitted on; the holdout comes from the same people and was kept
from the fit. Three mistakes would make every number wrong, and are refused: a release of another schema, a
release that was not fitted on these rows, and a holdout that shares rows with them.

Tables that share rows: of categorical data equal rows are no proof, since many people are alike. The test is
of where equal rows lie. Take the rows that occur exactly twice in both tables together. If training rows and
holdout are a random split (or two samples of one population), the two copies fall into different tables with
probability ``p = 2 n m / ((n + m) (n + m - 1))``, whatever the population. A row that was copied into both
always does. So the number of split pairs is compared with a binomial one; a shared privacy unit is refused
outright. Deduplicating each table by itself looks the same as sharing rows, and has the same cure: remove
duplicates before the split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dpsynth.data.bounding import require_unit, unit_ids
from dpsynth.data.cells import factor_objects, object_array
from dpsynth.data.codec import Codec
from dpsynth.data.layout import Layout
from dpsynth.data.source import Source, open_source
from dpsynth.domain import Domain
from dpsynth.errors import DataError
from dpsynth.privacy.curator import Measurement
from dpsynth.release.release import Release
from dpsynth.release.statement import Statement
from dpsynth.schema import Schema, UnitColumn
from dpsynth.schema.columns import Identifier

__all__ = ["Audited", "Overlap", "Rows", "check_fit", "drawn", "overlap", "read_tables", "written"]

Codes = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]

ALPHA = 1e-6  # rate at which two tables that share nothing are refused
_DESCENTS = 10  # places where a table is out of order, at which another in the same order is a copy of it
_FAR = 4.0  # times the variance of the noise, that a release may lie from its own rows


class Audited(Protocol):
    """What the data level attacks: a :class:`~dpsynth.release.release.Release`, or what behaves like one."""

    @property
    def schema(self) -> Schema:
        """What is publicly known of the table."""

    @property
    def statement(self) -> Statement:
        """What is promised."""

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """The noisy marginals that it was fitted to."""

    def sample(self, n: int | None = None, *, seed: int | None = None) -> Any:
        """Draw a synthetic table."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Rows:
    """A coded table and whose row each one is. As private as the rows.

    Attributes:
        codes: Shape ``(rows, columns)``, in the order of the domain.
        units: Number of each row's privacy unit, shape ``(rows,)``; numbers are shared with the table that
            was read beside it, and rows of one unit are together.
        keys: Values of the identifiers that both tables have, numbered; shape ``(rows, identifiers)``.
    """

    codes: Codes
    units: Integers
    keys: Integers

    def __repr__(self) -> str:
        return f"Rows(columns={self.codes.shape[1]})"

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def people(self) -> Integers:
        """The units that have a row, ascending."""
        return np.unique(self.units)

    def of(self, units: Integers) -> Rows:
        """Return the rows of some units."""
        kept = np.isin(self.units, units)
        return Rows(self.codes[kept], self.units[kept], self.keys[kept])


def read_tables(schema: Schema, real: Any, holdout: Any) -> tuple[Rows, Rows]:
    """Code two tables by one schema.

    Rows whose unit is missing belong to nobody and are left out, as in a fit.

    Args:
        schema: Of both.
        real: A frame, or a path to a file.
        holdout: The same.

    Raises:
        DataError: a column is absent, a file cannot be read, or the tables have a privacy unit in common.

    Privacy: the result is as private as the rows.
    """
    codec, unit = Codec(schema), schema.privacy_unit
    sources = open_source(real), open_source(holdout)
    first, second = (np.stack(codec.codes(s), axis=1).astype(np.int32) for s in sources)
    n, m = len(first), len(second)
    named = [name for name, spec in schema.columns.items() if isinstance(spec, Identifier)]
    shared = [_joint_ids(sources, name) for name in named if all(name in s.names for s in sources)]
    keys = np.stack(shared, axis=1) if shared else np.zeros((n + m, 0), dtype=np.int64)
    if not isinstance(unit, UnitColumn):
        return Rows(first, np.arange(n), keys[:n]), Rows(second, np.arange(n, n + m), keys[n:])
    ids = _joint_ids(sources, unit.column)
    known, beside = ids[:n], ids[n:]
    if np.intersect1d(known[known >= 0], beside[beside >= 0]).size:
        raise DataError(
            f"the holdout overlaps the training rows: they share values of the privacy unit {unit.column!r}; "
            "split the table by unit before the fit"
        )
    tables = []
    for codes, owners, own in ((first, known, keys[:n]), (second, beside, keys[n:])):
        order = np.argsort(owners, kind="stable")
        order = order[owners[order] >= 0]
        tables.append(Rows(codes[order], owners[order], own[order]))
    return tables[0], tables[1]


def _joint_ids(sources: Sequence[Source], column: str) -> Integers:
    """Number the values of a column over two tables; -1 where there is none."""
    cells: list[Any] = []
    for source in sources:
        require_unit(source, column)
        cells += source.column(column).tolist()
    return unit_ids(factor_objects(object_array(cells)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Whether two tables share rows, as far as equal rows tell. Confidential.

    Attributes:
        p_value: The chance of so many split pairs if they share none.
        least: About how many shared rows would have been noticed; all of them, if that is not enough.
    """

    p_value: float
    least: int


def overlap(real: Rows, holdout: Rows) -> Overlap:
    """Test whether a holdout shares rows with the training rows.

    ``P[Bin(D, p) >= split]`` for the ``D`` rows that occur exactly twice, as this module's docstring says;
    once with the learned columns alone, and once with identifiers that both tables have.

    Raises:
        DataError: it does, at a rate of false alarms of 1e-6.
    """
    from scipy.stats import binom  # noqa: PLC0415  -- lazy: scipy costs 0.3 s at import

    n, m = len(real), len(holdout)
    if _same(real, holdout):
        raise DataError("the holdout is the training table, row by row; it holds rows kept from the fit")
    chance = 2 * n * m / ((n + m) * (n + m - 1))
    plain = [real.codes, holdout.codes]
    named = [np.hstack([rows.codes, rows.keys]) for rows in (real, holdout)]
    p_value, pairs, unlike = 1.0, 0, 0.0
    for first, second in (plain, named) if real.keys.shape[1] else (plain,):
        _, cell, copies = np.unique(
            np.concatenate([first, second]), axis=0, return_inverse=True, return_counts=True
        )
        inside = np.bincount(cell.ravel()[:n], minlength=copies.size)
        pairs, split = int((copies == 2).sum()), int(((copies == 2) & (inside == 1)).sum())
        unlike = float((inside[copies == 1] > 0).sum() / n)  # of the training rows; copied, they are pairs
        p_value = min(p_value, float(binom.sf(split - 1, pairs, chance)))
    if p_value < ALPHA:
        raise DataError(
            "the holdout overlaps the training rows: far more rows stand once in each table than a random "
            "split leaves. Keep the holdout out of the fit; or, if duplicates were removed from each table "
            "by itself, remove them before the split"
        )
    extra, seen = 1, round(pairs * chance)
    while extra < m and binom.sf(seen + extra - 1, pairs + extra, chance) >= ALPHA:
        extra += max(1, extra // 20)
    return Overlap(p_value=p_value, least=min(m, round(extra / max(unlike, 1 / m))))


def _same(real: Rows, holdout: Rows) -> bool:
    """Whether two tables have the same rows in the same order, and not because both are sorted."""
    if real.codes.shape != holdout.codes.shape or not np.array_equal(real.codes, holdout.codes):
        return False
    places = np.unique(real.codes, axis=0, return_inverse=True)[1].ravel()
    return bool((np.diff(places) < 0).sum() >= _DESCENTS)


def check_fit(release: Audited, real: Rows, domain: Domain) -> None:
    """Refuse a release that was not fitted on these rows.

    A release holds noisy counts with known noise. Over all cells of its one-way marginals, ``sum ((y - c) /
    sigma)**2 / cells`` is about 1 for the rows it was fitted on (less if the noise is too small, which is for
    the attacks to find). Refused is what is above 4, and above what chance gives once in 10**9.

    Args:
        release: What is audited.
        real: The training rows, coded by the release's schema.
        domain: Of that schema.

    Raises:
        DataError: the release was not fitted on these rows.
    """
    from scipy.stats import chi2  # noqa: PLC0415  -- lazy, as above

    unit = release.schema.privacy_unit
    if isinstance(unit, UnitColumn) and np.unique(real.units, return_counts=True)[1].max() > unit.max_rows:
        return  # which rows of a unit were counted is chance that nobody kept
    total, cells = 0.0, 0
    for measured in release.measurements:
        if len(measured.query.columns) == 1:
            groups = measured.query.groups[0][real.codes[:, measured.query.columns[0]]]
            counts = np.bincount(groups, minlength=measured.values.size)
            total += float((((measured.values - counts) / measured.sigma) ** 2).sum())
            cells += counts.size
    if cells and total > _FAR * cells and chi2.sf(total, cells) < 1e-9:
        raise DataError(
            "the release was not fitted on these training rows: its measured columns are further from theirs "
            "than its noise allows. Give the table of the fit (and none of the holdout); or the release was "
            f"fitted with another schema over the same {len(domain)} column names"
        )


def drawn(release: Audited, rows: int | None, rng: np.random.Generator) -> Codes:
    """Return the codes of a synthetic table.

    Args:
        release: Where from.
        rows: How many; None for as many as a user gets who does not say.
        rng: Chance of the draw.

    Returns:
        Shape ``(rows, columns)``.
    """
    if isinstance(release, Release):  # without writing values and reading them again: the same codes
        n = round(release.model.total) if rows is None else rows
        columns: Sequence[npt.NDArray[Any]] = release.model.sample(n, rng, method="systematic")
    else:
        table = release.sample(rows, seed=int(rng.integers(2**31)))
        columns = Codec(release.schema).codes(open_source(table))
    return np.stack(columns, axis=1).astype(np.int32)


def written(schema: Schema, rows: Rows, rng: np.random.Generator) -> Any:
    """Write coded rows as a pandas frame that a fit reads as the same codes, the unit's column included.

    Args:
        schema: Whose codes these are.
        rows: To write, in this order.
        rng: Chance for values inside bins.
    """
    frame = Codec(schema).decode(list(rows.codes.T), Layout("pandas", ()), rng)
    if isinstance(schema.privacy_unit, UnitColumn):
        frame[schema.privacy_unit.column] = rows.units
    return frame
