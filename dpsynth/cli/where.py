"""Conditions as they are typed: ``sex=Female``, ``ward=north,south``, ``age=30..40``, ``paid=missing``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dpsynth.errors import InputError
from dpsynth.schema import Boolean, Categorical, Identifier, Ordinal, Range, Schema
from dpsynth.schema.columns import Column
from dpsynth.schema.ranges import Value, read_key

__all__ = ["conditions_of"]


def conditions_of(schema: Schema, texts: Sequence[str]) -> dict[str, Any]:
    """Read conditions, one a column.

    A text is one of the column's values; ``missing``, unless that is one of them; ``LOW..HIGH``, both ends
    included and either left out, for numbers, times and ordinal labels; or several values with commas.

    Args:
        schema: Of the release.
        texts: As typed.

    Returns:
        For each column a list of values or a range, as ``Release.sample`` takes them.

    Raises:
        InputError: a text without ``=``, a column that is unknown or named twice, or a value that cannot be
            read in the column's type.
    """
    conditions: dict[str, Any] = {}
    for text in texts:
        name, said = _split(schema, text)
        if name in conditions:
            raise InputError(f"--where names column {name!r} twice; write one condition, such as {name}=A,B")
        column = schema.columns[name]
        try:
            conditions[name] = _condition(column, said)
        except ValueError as error:
            raise InputError(f"--where {text}: {error}") from None
    return conditions


def _split(schema: Schema, text: str) -> tuple[str, str]:
    """Return the column and what is said of it; a name may hold ``=`` itself."""
    if "=" not in text:
        raise InputError(f"--where {text}: a condition such as age=30..40 or sex=Female is expected")
    cuts = [i for i, letter in enumerate(text) if letter == "="]
    for cut in cuts:
        if text[:cut] in schema.columns:
            return text[:cut], text[cut + 1 :]
    offered = ", ".join(list(schema.columns)[:20])
    raise InputError(f"--where {text}: there is no column {text[: cuts[0]]!r}; there are {offered}")


def _condition(column: Column, said: str) -> list[Value] | Range:
    if isinstance(column, Identifier):
        return [said]
    if isinstance(column, (Categorical, Ordinal, Boolean)) and _is_value(column, said):
        return [read_key(column, said)]
    if said == "missing":
        return [None]
    if ".." in said and not isinstance(column, (Categorical, Boolean)):
        low, high = said.split("..", 1)
        ends = {"at_least": low.strip(), "at_most": high.strip()}
        return Range(**{end: read_key(column, value) for end, value in ends.items() if value})
    return [_value(column, part.strip()) for part in said.split(",")]


def _value(column: Column, text: str) -> Value:
    return None if text == "missing" and not _is_value(column, text) else read_key(column, text)


def _is_value(column: Column, text: str) -> bool:
    """Whether a text is one of a labelled column's values."""
    if not isinstance(column, (Categorical, Ordinal)):
        return isinstance(column, Boolean) and text in {"true", "false"}
    try:
        value = read_key(column, text)
    except ValueError:
        return False
    return value in column.labels or value == column.other
