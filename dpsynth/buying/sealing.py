"""From a source to sealed columns, for what is to be bought of them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from dpsynth.buying.scale import Scale
from dpsynth.data.cells import Cells, factored
from dpsynth.data.labels import LabelCoder, label_text
from dpsynth.data.reading import is_null_text
from dpsynth.data.source import Source
from dpsynth.data.withheld import reading
from dpsynth.privacy.raw import LONGEST_LABEL, NEITHER, NULL, RawColumn, RawTable, Texts
from dpsynth.schema.columns import Boolean, Categorical, Column, Date, Datetime, Integer, Ordinal, Real
from dpsynth.schema.purchases import OpenSchema, Purchase

__all__ = ["seal_columns"]


@reading
def seal_columns(source: Source, schema: OpenSchema) -> RawTable:
    """Return the columns that something is to be bought of, sealed.

    Total in the values: every table that has the columns goes through, whatever its cells hold. A label is a
    cell's text without surrounding blanks, if it is printable and has at most 200 characters.

    Args:
        source: The kept rows, with every column that the schema names.
        schema: What is to be bought.

    Raises:
        DataError: a column is absent.

    Privacy: the columns come back sealed.
    """
    column = source.load([p.column for p in schema.purchases])
    specs = schema.stand_in.columns
    return RawTable(
        {p.column: _raw(specs[p.column], p, column(p.column)) for p in schema.purchases},
        rows_per_unit=schema.stand_in.max_rows,
    )


def _raw(spec: Column, purchase: Purchase, cells: Cells) -> RawColumn:
    if isinstance(spec, (Integer, Real, Date, Datetime)):
        return Scale.of(spec, purchase.keys).read(cells)
    if "values" in purchase.keys:
        return _labels(cells)
    coder = LabelCoder.build(
        cast("Categorical | Ordinal | Boolean", spec)
    )  # its stand-in may be missing: that code comes last
    null = coder.encode(cells) == coder.size - 1
    return Texts(np.where(null, NULL, NEITHER).astype(np.int64), ())


def _labels(cells: Cells) -> Texts:
    rows = factored(cells)
    known: dict[str, int] = {}
    places = np.full(len(rows.values) + 1, NULL, dtype=np.int64)  # the last is a null's, of index -1
    for place, value in enumerate(rows.values):
        places[place] = _label(value, known)
    return Texts(places[rows.index], tuple(known))


def _label(value: Any, known: dict[str, int]) -> int:
    text = label_text(value)
    if text is None:
        return NEITHER
    text = text.strip()
    if is_null_text(text):
        return NULL
    if len(text) > LONGEST_LABEL or not text.isprintable():
        return NEITHER
    return known.setdefault(text, len(known))
