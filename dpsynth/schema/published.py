"""The file format as a JSON Schema, for editors and other programs.

It says what a JSON Schema can say. Relations between values, such as ``lower <= upper``, an existing day,
a known time zone or a constraint's columns, are checked by :meth:`dpsynth.schema.Schema.load` alone.
"""

from __future__ import annotations

from typing import Any

from dpsynth.schema.left_open import BUY, BUY_EDGES
from dpsynth.schema.values import MAX_BINS, MAX_CATEGORIES, MAX_LATTICE, MAX_REAL

__all__ = ["json_schema"]

_Json = dict[str, Any]

_WHOLE: _Json = {"type": "integer", "minimum": -MAX_LATTICE, "maximum": MAX_LATTICE}
_REAL: _Json = {
    "anyOf": [
        {"type": "number", "minimum": -MAX_REAL, "maximum": MAX_REAL},
        {"type": "string", "pattern": r"^[-+]?[0-9]{1,40}(\.[0-9]{0,40})?$"},
    ]
}
_DAY: _Json = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_MOMENT: _Json = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?$",
}
_TEXT: _Json = {"type": "string"}
_BUY: _Json = {"const": BUY, "description": "To be bought from the rows by a fit, with noise."}
_FLAG: _Json = {"type": "boolean"}

_MISSING = (
    "Whether the column may hold missing values; a missing value is then modelled as a category of its own."
)
_RULE_LABELLED = (
    "Where a value outside the declared ones goes: other (a category of its own), clip (the first declared "
    "value) or missing (needs missing: true)."
)
_RULE_RANGED = (
    "Where a value outside the bounds goes: clip (the nearest bound) or missing (needs missing: true)."
)
_EDGES = (
    "Inner bin edges, increasing, above lower and not above upper; a value equal to an edge starts the bin."
)
_SPIKES = "Values that get a bin of their own; the bounds, and 0 when inside them, always do."

_MISSING_RULE: _Json = {
    "if": {"properties": {"out_of_domain": {"const": "missing"}}, "required": ["out_of_domain"]},
    "then": {"properties": {"missing": {"const": True}}},
}


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a schema file, as plain values.

    Example:
        >>> json_schema()["required"]
        ['privacy_unit', 'columns']
    """
    kinds = {
        "categorical": _labelled("categorical", "A fixed set of values without order."),
        "ordinal": _labelled("ordinal", "A fixed set of values, listed from lowest to highest."),
        "boolean": _boolean(),
        "integer": _ranged("integer", "Whole numbers between public bounds, both included.", _WHOLE, {}),
        "real": _ranged("real", "Decimal numbers between public bounds, both included.", _REAL, _DECIMALS),
        "date": _ranged("date", "Calendar days between public bounds, both included.", _DAY, {}),
        "datetime": _ranged("datetime", "Moments between public bounds, both included.", _MOMENT, _CLOCK),
        "identifier": _identifier(),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dpsynth schema file",
        "description": "What is publicly known of one table: its columns and whose privacy is protected.",
        "type": "object",
        "required": ["privacy_unit", "columns"],
        "additionalProperties": False,
        "properties": {
            "dpsynth": {"const": 1, "default": 1, "description": "Version of this format."},
            "privacy_unit": _privacy_unit(),
            "columns": {
                "description": "Every column, by name, in table order.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"minLength": 1},
                "additionalProperties": {
                    "type": "object",
                    "required": ["kind"],
                    "properties": {"kind": {"enum": list(kinds)}},
                    "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in kinds],
                },
            },
            "constraints": {
                "description": "Rules across columns that no synthetic row breaks.",
                "type": "array",
                "items": {"oneOf": [_impossible(), _determines(), _at_most()]},
            },
        },
        "$defs": kinds,
    }


def _privacy_unit() -> _Json:
    return {
        "description": "Who is protected: row (one row is one person), or all who share a value of a column.",
        "oneOf": [
            {"const": "row", "description": "One row is one privacy unit."},
            _object(
                "All rows that share a value of column are one privacy unit.",
                {
                    "column": {
                        **_TEXT,
                        "minLength": 1,
                        "description": "The column that says whose row it is.",
                    },
                    "max_rows": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": 1_000_000,
                        "description": "Most rows of one unit that are kept; others are dropped at random.",
                    },
                },
                required=["column", "max_rows"],
            ),
        ],
    }


_VALUE: _Json = {"type": ["string", "number", "boolean", "null"]}
_LIMIT: _Json = {"type": ["string", "number", "boolean"]}


def _impossible() -> _Json:
    limits = {
        "below": "Less than this.",
        "at_most": "Not more than this.",
        "above": "More than this.",
        "at_least": "Not less than this.",
    }
    span = {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {name: {**_LIMIT, "description": said} for name, said in limits.items()},
        "allOf": [{"not": {"required": ["below", "at_most"]}}, {"not": {"required": ["above", "at_least"]}}],
    }
    some = {"type": "array", "minItems": 1, "items": _VALUE}
    conditions = {
        "description": "For each column the values meant: a list (null is missing) or a range.",
        "type": "object",
        "minProperties": 2,
        "additionalProperties": {"anyOf": [some, span]},
    }
    said = "No row meets all of these conditions at once."
    return _object(said, {"impossible": conditions}, required=["impossible"])


def _determines() -> _Json:
    content = _object(
        "A column, the column it follows from, and how.",
        {
            "column": {**_TEXT, "description": "The column that follows."},
            "by": {**_TEXT, "description": "The column that it follows from."},
            "map": {
                "description": "Values of by to values of column; a value that is not here leaves it free.",
                "type": "object",
                "minProperties": 1,
                "additionalProperties": _VALUE,
            },
        },
        required=["column", "by", "map"],
    )
    said = "One column's value follows from another's."
    return _object(said, {"determines": content}, required=["determines"])


def _at_most() -> _Json:
    pair = {
        "description": "Two columns in a common order: ordinal, or of numbers or times.",
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "uniqueItems": True,
        "items": _TEXT,
    }
    said = "In no row is the first column's value above the second's."
    return _object(said, {"at_most": pair}, required=["at_most"])


def _object(description: str, properties: _Json, *, required: list[str], **more: Any) -> _Json:
    return {
        "description": description,
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": properties,
        **more,
    }


def _common(kind: str) -> _Json:
    return {
        "kind": {"const": kind, "description": "The kind of column."},
        "missing": {"anyOf": [_FLAG, _BUY], "description": _MISSING},
    }


def _labelled(kind: str, description: str) -> _Json:
    def form(label: _Json) -> _Json:
        return {
            "required": ["values"],
            "properties": {
                "values": {"type": "array", "items": label},
                "other_label": label,
                "count": False,
            },
        }

    values = {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_CATEGORIES,
        "uniqueItems": True,
        "description": "The public values: all texts, all whole numbers, or true and false.",
    }
    properties = {
        **_common(kind),
        "values": {"anyOf": [values, _BUY], "description": values["description"]}
        if kind == "categorical"
        else values,
        "count": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_CATEGORIES,
            "description": "Instead of values: the values are the whole numbers 0 .. count-1.",
        },
        "out_of_domain": {
            "enum": ["other", "clip", "missing"],
            "default": "other",
            "description": _RULE_LABELLED,
        },
        "other_label": {
            "description": "How other is written: of the same type as the values; other by default for texts."
        },
    }
    bought = {
        "required": ["values"],
        "properties": {
            "values": {"const": BUY},
            "other_label": _TEXT,
            "count": False,
            "out_of_domain": {"const": "other"},
        },
    }
    plain = {"required": ["count"], "properties": {"other_label": _WHOLE, "values": False}}
    not_other = {
        "properties": {"out_of_domain": {"enum": ["clip", "missing"]}},
        "required": ["out_of_domain"],
    }
    texts = {"properties": {"values": {"items": _TEXT}}, "required": ["values"]}
    return _object(
        description,
        properties,
        required=["kind", "missing"],
        oneOf=[form(_TEXT), form(_WHOLE), form(_FLAG), plain, *([bought] if kind == "categorical" else [])],
        allOf=[
            _MISSING_RULE,
            {
                "if": not_other,
                "then": {"properties": {"other_label": False}},
                "else": {"anyOf": [texts, {"required": ["other_label"]}]},
            },
        ],
    )


def _boolean() -> _Json:
    rule = {
        "enum": ["clip", "missing"],
        "default": "clip",
        "description": "clip reads anything else as false.",
    }
    return _object(
        "True or false; 0/1 and the words yes/no, t/f, y/n are read too.",
        {**_common("boolean"), "out_of_domain": rule},
        required=["kind", "missing"],
        allOf=[_MISSING_RULE],
    )


_DECIMALS: _Json = {
    "decimals": {
        "type": "integer",
        "minimum": 0,
        "maximum": 15,
        "description": "Digits after the point; no bound, edge or spike may have more.",
    }
}
_CLOCK: _Json = {
    "resolution": {
        "type": "integer",
        "minimum": 1,
        "maximum": 86_400,
        "default": 1,
        "description": "Seconds between neighbouring moments; the grid starts at lower.",
    },
    "timezone": {
        **_TEXT,
        "description": "IANA zone such as Europe/Paris. Bounds are wall-clock times in it.",
    },
}


def _ranged(kind: str, description: str, point: _Json, own: _Json) -> _Json:
    properties = {
        **_common(kind),
        "lower": {
            "anyOf": [point, _BUY],
            "description": "The lowest possible value, from public knowledge.",
        },
        "upper": {
            "anyOf": [point, _BUY],
            "description": "The highest possible value, from public knowledge.",
        },
        **own,
        "bins": {
            "type": "integer",
            "minimum": 2,
            "maximum": MAX_BINS,
            "default": 128,
            "description": "Most fine bins; a column with fewer distinct values keeps each one.",
        },
        "edges": {
            "anyOf": [
                {"type": "array", "minItems": 1, "maxItems": MAX_BINS, "uniqueItems": True, "items": point},
                {
                    "enum": list(BUY_EDGES),
                    "description": "To be bought: where rows pile up, or equal shares.",
                },
            ],
            "description": _EDGES,
        },
        "spikes": {
            "type": "array",
            "maxItems": MAX_BINS,
            "uniqueItems": True,
            "items": point,
            "description": _SPIKES,
        },
        "out_of_domain": {"enum": ["clip", "missing"], "default": "clip", "description": _RULE_RANGED},
    }
    required = ["kind", "missing", "lower", "upper", *(["decimals"] if kind == "real" else [])]
    return _object(
        description,
        properties,
        required=required,
        allOf=[
            _MISSING_RULE,
            {
                "if": {"properties": {"edges": {"type": "array"}}, "required": ["edges"]},
                "then": {"properties": {"bins": {"const": 128}}},
            },
            {
                "if": {
                    "anyOf": [
                        {"properties": {k: {"const": BUY}}, "required": [k]} for k in ("lower", "upper")
                    ]
                },
                "then": {"properties": {"spikes": False, "edges": {"type": "string"}}},
            },
        ],
    )


def _identifier() -> _Json:
    return _object(
        "A key that is never read or learned: every synthetic row gets a fresh one.",
        {
            "kind": {"const": "identifier", "description": "The kind of column."},
            "format": {
                **_TEXT,
                "maxLength": 200,
                "pattern": r"^(\\[\s\S]|[^\\#@])*[#@](\\[\s\S]|[^\\])*$",
                "default": "##########",
                "description": "# is a digit, @ a capital letter; a backslash makes the next one literal.",
            },
            "unique": {
                **_FLAG,
                "default": True,
                "description": "Whether no two synthetic rows may share one.",
            },
        },
        required=["kind"],
    )
