"""A first schema for a table, guessed from its private rows: a private text for the steward's eyes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from dpsynth.data.inference import Guess, guess
from dpsynth.data.layout import split_zone
from dpsynth.data.source import Source, open_source
from dpsynth.data.withheld import reading
from dpsynth.errors import DataError
from dpsynth.schema import OpenSchema, Schema, UnitColumn, dotted
from dpsynth.schema.left_open import BUY, open_keys

__all__ = ["draft_schema"]

_HEAD: Final = """\
# PRIVATE DRAFT. It was read from private rows: value lists, bounds and formats below are theirs.
# Do not publish it and do not fit with it as it is. For every value marked !REVIEW: replace it by what is
# publicly known (a code book, a form, a law), or confirm that it is public, and then remove the mark.
# A fit refuses a schema in which a mark is left.
"""
_HEAD_BUY: Final = """\
# A draft that buys. Values, bounds and nulls were left out: a fit buys them, with noise. Kinds and grids,
# marked !REVIEW, were guessed from private rows: correct or confirm each from public knowledge, then remove
# the mark. State what is publicly known instead of buying it: that is cheaper and more exact.
"""
_BINS: Final = 256  # narrower than usual: half of them are for where values pile up
_UNIT: Final = """\
# Whose privacy is protected? Write row if no one stands behind two rows. Otherwise name the column that says
# who it is, and the most rows to keep of each: {column: NAME, max_rows: K}
privacy_unit: !REVIEW null
"""

_GRID: Final[tuple[str, ...]] = ("kind", "decimals", "resolution", "timezone")
_READ_FROM_ROWS: Final = frozenset(
    {"kind", "missing", "values", "lower", "upper", "decimals", "resolution", "format", "unique"}
)


@reading
def draft_schema(
    data: object,
    *,
    privacy_unit: Literal["row"] | Mapping[str, Any] | UnitColumn | None = None,
    buy: bool = False,
) -> str:
    """Write a first schema for a table.

    Args:
        data: What :func:`~dpsynth.data.source.open_source` takes.
        privacy_unit: ``"row"`` or ``{"column": NAME, "max_rows": K}``; without it the draft asks, since
            the rows cannot tell.
        buy: Draft a schema that leaves values, bounds, bins and nulls to be bought by a fit, instead of
            quoting them. What is left of the rows is a guess at each column's kind and grid.

    Returns:
        YAML text. Everything that was read from rows is marked ``!REVIEW``.

    Raises:
        DataError: the table cannot be opened, has no named column, or has not the unit's column.
        SchemaError: the privacy unit is malformed.

    Privacy: none. The text quotes private values and says so in its head.
    """
    source = open_source(data)
    unit = privacy_unit.model_dump() if isinstance(privacy_unit, UnitColumn) else privacy_unit
    unit_column = unit.get("column") if isinstance(unit, Mapping) else None
    if isinstance(unit_column, str):
        source.require([unit_column])
    guesses, notes = _guess_all(source, unit_column)
    if buy:
        guesses = {name: _left_open(spec) for name, spec in guesses.items()}
        notes = []
    review = [
        dotted(("columns", name, key))
        for name, spec in guesses.items()
        for key in spec
        if _is_marked(key, spec)
    ]
    content = {"privacy_unit": "row" if unit is None else unit, "columns": guesses, "review": review}
    is_open = any(True for _ in open_keys(content))
    text = (OpenSchema if is_open else Schema).from_dict(content).to_yaml()
    if unit is None:
        text = text.replace("privacy_unit: row\n", _UNIT, 1)
    return (_HEAD_BUY if buy else _HEAD) + "".join(f"# Note: {note}\n" for note in notes) + text


def _left_open(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a guess without what only the rows tell: kind and grid, and the rest to be bought."""
    kind = spec["kind"]
    if kind == "identifier":
        return {"kind": kind}
    kept: dict[str, Any] = {key: spec[key] for key in _GRID if key in spec}
    if "lower" in spec:
        return {**kept, "missing": BUY, "lower": BUY, "upper": BUY, "bins": _BINS, "edges": BUY}
    return {**kept, "missing": BUY, **({"values": BUY} if kind == "categorical" else {})}


def _guess_all(source: Source, unit_column: str | None) -> tuple[dict[str, dict[str, Any]], list[str]]:
    names = [name for name in source.names if name]
    if not names:
        raise DataError("the table has no column with a name, so there is nothing to draft")
    notes = [] if len(names) == len(source.names) else ["a column without a name was left out"]
    column = source.load(names)
    guesses: dict[str, Guess] = {}
    for name in names:
        zone = split_zone(source.layout.dtype(name))[1]
        guesses[name] = guess(name, column(name), zone=zone)
    if unit_column in guesses and guesses[unit_column].spec["kind"] != "identifier":
        guesses[unit_column] = Guess({"kind": "identifier", "format": "##########"})
    learned = [name for name in names if name != unit_column]
    if learned and all(guesses[name].spec["kind"] == "identifier" for name in learned):
        for name in learned:
            guesses[name] = guess(name, column(name), may_be_key=False)
    notes += [g.note for g in guesses.values() if g.note]
    return {name: g.spec for name, g in guesses.items()}, notes


def _is_marked(key: str, spec: Mapping[str, Any]) -> bool:
    return key in _READ_FROM_ROWS and spec[key] != BUY
