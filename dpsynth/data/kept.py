"""The rows that count, chosen once: a table seen twice is the same table."""

from __future__ import annotations

from collections.abc import Sequence

from dpsynth.data.bounding import keep_rows, require_unit, unit_ids
from dpsynth.data.cells import Cells, Factored, Ints, Numbers, Times
from dpsynth.data.source import Column, Source
from dpsynth.data.withheld import reading
from dpsynth.schema import Schema, UnitColumn

__all__ = ["kept_source"]


@reading
def kept_source(source: Source, schema: Schema) -> Source:
    """Return a source of the rows that the unit bound leaves, read from the table now and once.

    Coding it bounds units again, which then drops nothing: no unit has more rows left than it may have.

    Args:
        source: A table with every column that the schema names, and the unit's.
        schema: Whose unit and columns these are.

    Raises:
        DataError: a column is absent, the file is damaged, or the values of the unit's column cannot be told
            apart.

    Privacy: the result is as private as the rows. Which rows of a unit are kept is chance from the operating
    system.
    """
    unit = schema.privacy_unit
    extra = [unit.column] if isinstance(unit, UnitColumn) else []
    source.require([*schema.columns, *extra])
    if isinstance(unit, UnitColumn):
        require_unit(source, unit.column)
    column = source.load([*schema.learned, *extra])
    if not isinstance(unit, UnitColumn):
        return Source(source.layout, lambda _: column)
    kept = keep_rows(unit_ids(column(unit.column)), unit.max_rows)

    def load(_: Sequence[str]) -> Column:
        return lambda name: _picked(column(name), kept)

    return Source(source.layout, load)


def _picked(cells: Cells, rows: Ints) -> Cells:
    if isinstance(cells, Numbers):
        return Numbers(cells.values[rows], None if cells.null is None else cells.null[rows])
    if isinstance(cells, Times):
        return Times(cells.micros[rows], cells.null[rows], cells.aware)
    return Factored(cells.index[rows], cells.values)
