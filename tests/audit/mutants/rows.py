"""Defects that look at the rows on the way in, or let them decide what is asked."""

from __future__ import annotations

import dataclasses

import numpy as np

from dpsynth.audit.mutant import Mutant, Setting
from dpsynth.data import codec
from dpsynth.data.codec import Codec
from dpsynth.data.numeric import NumericCoder
from dpsynth.domain import Axis, Domain
from dpsynth.errors import DataError
from dpsynth.mechanisms import MECHANISMS, mst
from dpsynth.mechanisms.mechanism import one_way
from dpsynth.model.estimation import one_way_estimates
from dpsynth.privacy.sealed import CodedTable, open_codes
from tests.audit.mutants.planting import change, planted, seeing

__all__ = ["MUTANTS"]

_real_encode, _real_layout, _real_numbers = Codec.encode, Codec.layout, NumericCoder.encode
_real_keep = codec.keep_rows


def _largest_seen(self, source):
    """Code the rows, and cut every axis behind the largest code that occurs."""
    table = _real_encode(self, source)
    codes = open_codes(table)
    sizes = [int(c.max()) + 1 if c.size else 1 for c in codes]
    axes = tuple(
        Axis(axis.name, size, min(axis.ordered, size)) for axis, size in zip(self.domain, sizes, strict=True)
    )
    self.domain = Domain(axes)
    return CodedTable(self.domain, codes, rows_per_unit=table.rows_per_unit)


def _rare_to_common(self, source):
    """Code the rows, and turn every value that occurs once into the most common one."""
    table = _real_encode(self, source)
    merged = []
    for column in open_codes(table):
        counts = np.bincount(column, minlength=1)
        common = column.dtype.type(counts.argmax())
        merged.append(np.where(counts[column] < 2, common, column) if column.size else column)
    return CodedTable(self.domain, merged, rows_per_unit=table.rows_per_unit)


def _refusing_none(self, source):
    table = _real_encode(self, source)
    if open_codes(table)[0].size == 0:
        raise DataError("the table has no rows: there is nothing to learn")
    return table


def _missing_beyond(self, cells):
    """Code numbers without a thought of those that are none."""
    _, status, _ = self._on_grid(cells)
    codes = _real_numbers(self, cells).astype(np.uint32)
    codes[status != 0] = self.size
    return codes


def _one_row_too_many(ids, max_rows):
    return _real_keep(ids, max_rows + 1)


def _rounds_by_rows(seen):
    """As many looks at the first column as batches of eight rows, one at least."""
    real = MECHANISMS["independent"]

    def run(curator, progress):
        for _ in range(-(-seen.rows // 8)):
            budget = curator.left / 100
            curator.measure(one_way(curator.domain, 0), budget=budget, purpose="a batch")
        return real.run(curator, progress)

    return (change(MECHANISMS, "independent", dataclasses.replace(real, run=run)),)


def _levels_of_exact_counts(seen):
    """The pairs' resolutions, and what is independent of them, from the columns' exact counts."""

    def estimates(domain, one_ways):
        total, _ = one_way_estimates(domain, one_ways)
        return total, [
            np.bincount(c, minlength=axis.size).astype(np.float64)
            for axis, c in zip(domain, seen.codes, strict=True)
        ]

    return (change(mst, "one_way_estimates", estimates),)


_INDEPENDENT = Setting(mechanism="independent")

MUTANTS = (
    Mutant(
        name="domain-from-data",
        breaks="a column's codes end at the largest that occurs",
        precedent="dpmm 18 and 24; SmartNoise; reprosyn 38; dpart 6",
        killers=("replay",),
        setting=_INDEPENDENT,
        plant=planted(change(Codec, "encode", _largest_seen)),
    ),
    Mutant(
        name="rare-values-dropped",
        breaks="a value that occurs once becomes the most common one before it is counted",
        precedent="rare-value suppression ahead of the noise; found with one copy more only",
        killers=("replay",),
        setting=_INDEPENDENT,
        plant=planted(change(Codec, "encode", _rare_to_common)),
    ),
    Mutant(
        name="refuses-no-rows",
        breaks="an empty table is refused, a table of one row is not",
        precedent="row-count refusals; synthetic-data-showcase 76",
        killers=("replay",),
        setting=_INDEPENDENT,
        plant=planted(change(Codec, "encode", _refusing_none)),
    ),
    Mutant(
        name="missing-escapes",
        breaks="a missing number gets a code beyond the last, and the fit ends in an error",
        precedent="NaN against clipping: SmartNoise, dpmm, synthcity, Opacus, diffprivlib",
        killers=("replay",),
        setting=_INDEPENDENT,
        plant=planted(change(NumericCoder, "encode", _missing_beyond)),
    ),
    Mutant(
        name="one-row-too-many",
        breaks="one row of a unit more is kept than its bound",
        precedent="unfinished bounding of contributions",
        killers=("replay",),
        setting=Setting(mechanism="independent", rows_per_unit=3),
        plant=planted(change(codec, "keep_rows", _one_row_too_many)),
    ),
    Mutant(
        name="rounds-by-rows",
        breaks="the number of rounds is that of batches of rows",
        precedent="Opacus: steps from len(data); NIST DPWGAN's early stopping",
        killers=("replay",),
        setting=_INDEPENDENT,
        plant=seeing(_rounds_by_rows),
    ),
    Mutant(
        name="structure-from-exact-counts",
        breaks="resolutions of pairs, and what counts as independent, follow from exact columns",
        precedent="structure chosen non-privately",
        killers=("replay",),
        plant=seeing(_levels_of_exact_counts),
    ),
    Mutant(
        name="dtypes-from-values",
        breaks="the release keeps dtypes that the values decided",
        precedent="metadata of the source in SmartNoise and Synthcity",
        killers=("replay",),
        setting=_INDEPENDENT,
        plant=planted(change(Codec, "layout", lambda self, source: source.layout)),
    ),
)
