"""What a schema error says: the thing, the bound and the next step, at the key it is about.

Pydantic finds what is wrong; this module says it in the words of the schema file. A value that is marked for
review may have been read from private rows, so it is never repeated in a message.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from dpsynth.schema.columns import KINDS
from dpsynth.schema.document import Document, KeyPath, Problem
from dpsynth.schema.values import NOT_UTF8

__all__ = ["NOT_A_KEY_OF_THE_FILE", "WHO_IS_PROTECTED", "problems_of"]

WHO_IS_PROTECTED = "state who is protected: row, or {column: NAME, max_rows: K}"
NOT_A_KEY_OF_THE_FILE = "unknown key; put !REVIEW before the value that awaits review instead"

_SYNONYMS = {
    "bool": "boolean",
    "categories": "values",
    "category": "categorical",
    "date_time": "datetime",
    "decimal": "real",
    "domain": "values",
    "enum": "categorical",
    "float": "real",
    "id": "identifier",
    "int": "integer",
    "key": "identifier",
    "labels": "values",
    "levels": "values",
    "logical": "boolean",
    "max": "upper",
    "maximum": "upper",
    "min": "lower",
    "minimum": "lower",
    "nominal": "categorical",
    "nullable": "missing",
    "number": "real",
    "numeric": "real",
    "precision": "decimals",
    "rules": "constraints",
    "size": "count",
    "str": "categorical",
    "string": "categorical",
    "text": "categorical",
    "timestamp": "datetime",
    "type": "kind",
    "tz": "timezone",
    "unit": "privacy_unit",
    "version": "dpsynth",
}
_MISSING = {
    "privacy_unit": WHO_IS_PROTECTED,
    "columns": "list every column under it, as NAME: {kind: ..., missing: ...}",
    "kind": f"state one of {', '.join(KINDS)}",
    "missing": "state true if the column may hold missing values, else false",
    "lower": "state the lowest possible value, from public knowledge and not from the data",
    "upper": "state the highest possible value, from public knowledge and not from the data",
    "decimals": "state how many digits after the point the numbers have",
    "column": "name the column that says whose row it is",
    "max_rows": "state the most rows of one unit that are kept",
}
_EXPECTED = {
    "bool_type": "true or false is expected",
    "int_type": "a whole number is expected",
    "string_type": "a text is expected",
    "finite_number": "a finite number is expected",
    "model_attributes_type": "a mapping of keys such as {kind: ..., missing: ...} is expected",
    "dict_type": "a mapping of column names is expected, as NAME: {kind: ..., missing: ...}",
    "mapping_type": "a mapping of column names is expected, as NAME: {kind: ..., missing: ...}",
    "tuple_type": "a list is expected",
}
_WORDS = {"yes": "true", "y": "true", "on": "true", "no": "false", "n": "false", "off": "false"}
_BOUNDS = {"greater_than_equal": ("ge", "below the least"), "less_than_equal": ("le", "above the greatest")}


@dataclass(frozen=True, slots=True)
class _Found:
    """One finding of pydantic: its kind, where, what was given, and how that may be called in a message."""

    kind: str
    loc: tuple[str | int, ...]
    path: KeyPath
    value: Any
    told: str
    hide: bool
    context: Mapping[str, Any]
    message: str

    @property
    def name(self) -> str:
        """The last key."""
        return str(self.path[-1]) if self.path else ""


def problems_of(error: ValidationError, document: Document) -> list[Problem]:
    """Say what pydantic found, once for each key.

    Args:
        error: What pydantic raised for a :class:`~dpsynth.schema.Schema`.
        document: Where the content came from; gives lines and tells what is marked for review.
    """
    problems: dict[KeyPath, Problem] = {}
    for detail in error.errors(include_url=False):
        at = path = _path(detail["loc"])
        hide = document.is_marked(path)
        found = _Found(
            kind=detail["type"],
            loc=detail["loc"],
            path=path,
            value=detail["input"],
            told="a value marked for review" if hide else _describe(detail["input"]),
            hide=hide,
            context=detail.get("ctx", {}),
            message=detail["msg"],
        )
        if found.kind == "value_error":
            at += tuple(getattr(found.context["error"], "at", ()))
        elif found.kind.startswith("union_tag"):
            at += ("kind",)
        if at not in problems:
            problems[at] = Problem(at, _say(found), document.line_of(at))
    return list(problems.values())


def _path(loc: tuple[str | int, ...]) -> KeyPath:
    """Where an error is, without the names pydantic inserts for the branch of a union it tried."""
    if loc[:1] == ("columns",):
        return loc[:2] + loc[3:4] + tuple(part for part in loc[4:] if isinstance(part, int))
    if loc[:1] == ("privacy_unit",):
        return loc[:1] + loc[2:]
    return loc


def _say(found: _Found) -> str:
    if found.kind in _SAYINGS:
        return _SAYINGS[found.kind](found)
    if found.path[-2:-1] == ("values",) or found.name == "other_label":
        return f"a text, a whole number, true or false is expected, not {found.told}; put quotes around it"
    if found.kind in _EXPECTED:
        return f"{_EXPECTED[found.kind]}, not {found.told}{_next_step(found)}"
    return found.message


def _next_step(found: _Found) -> str:
    kind, value = found.kind, found.value
    if kind == "bool_type" and isinstance(value, str) and value.lower() in _WORDS and not found.hide:
        return f"; write {_WORDS[value.lower()]}"
    if kind == "string_type":
        return "; put quotes around it"
    if kind == "int_type" and isinstance(value, str):
        return "; write plain digits, without quotes, leading zeros or separators"
    if kind == "int_type" and isinstance(value, Decimal):
        return "; write it without a decimal point or exponent"
    if kind in {"dict_type", "mapping_type"} and isinstance(value, list):
        return "; write each name before a colon instead of after a dash"
    return ""


def _missing(found: _Found) -> str:
    return f"the key {found.name} is missing; {_MISSING[found.name]}"


def _bound(found: _Found) -> str:
    key, words = _BOUNDS[found.kind]
    return f"{found.told} is {words} allowed, {found.context[key]}"


def _short(found: _Found) -> str:
    what = "column" if found.name == "columns" else "character" if "string" in found.kind else "item"
    return f"empty; at least one {what} is needed"


def _unknown_key(found: _Found) -> str:
    known: Iterable[str] = ("dpsynth", "privacy_unit", "columns", "constraints")
    if found.loc[0] == "columns":
        known = ("kind", *(key for key in KINDS[str(found.loc[2])].model_fields if key != "kind"))
    elif found.loc[0] == "privacy_unit":
        known = ("column", "max_rows")
    return f"unknown key{_did_you_mean(found.name, known)}"


def _unknown_kind(found: _Found) -> str:
    kind = found.value.get("kind") if isinstance(found.value, Mapping) else None
    if kind is None:
        return f"the key kind is missing; {_MISSING['kind']}"
    if found.hide or not isinstance(kind, str):
        return f"this is not a kind of column; {_MISSING['kind']}"
    return f"{_describe(kind)} is not a kind of column{_did_you_mean(kind, KINDS)}"


_SAYINGS: dict[str, Callable[[_Found], str]] = {
    "value_error": lambda found: str(found.context["error"]),
    "missing": _missing,
    "extra_forbidden": _unknown_key,
    "string_unicode": lambda _: NOT_UTF8,
    "union_tag_not_found": _unknown_kind,
    "union_tag_invalid": _unknown_kind,
    "greater_than_equal": _bound,
    "less_than_equal": _bound,
    "too_short": _short,
    "string_too_short": _short,
    "too_long": lambda found: f"too long; at most {found.context['max_length']} items are allowed",
    "string_too_long": lambda found: (
        f"too long; at most {found.context['max_length']} characters are allowed"
    ),
    "literal_error": lambda found: (
        f"{found.context['expected'].replace(chr(39), '')} is expected, not {found.told}"
    ),
}


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    choices = list(known)
    low = word.lower().replace("-", "_").replace(" ", "_")
    near = [_SYNONYMS[low]] if _SYNONYMS.get(low) in choices else difflib.get_close_matches(low, choices, 1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(choices)}"


def _describe(value: object) -> str:
    """A value as the steward wrote it, with its type, in a few words."""
    if isinstance(value, str):
        return f"the text {json.dumps(value[:40])}"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int):
        return f"the whole number {value}" if abs(value) < 10**40 else "a whole number of more than 40 digits"
    if isinstance(value, (float, Decimal)):
        return f"the decimal number {value}"
    if isinstance(value, (list, tuple, Mapping)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    return "nothing (null)" if value is None else f"a {type(value).__name__}"
