"""The form of ``certificate.json`` as a JSON Schema, for whoever reads certificates with other programs.

It says what a JSON Schema can say. That the figures follow from the acts is for ``verify``.
"""

from __future__ import annotations

from typing import Any

from dpsynth.release.bounds import ALARMS, BASELINES, PRIORS
from dpsynth.release.certificate import LIMITS

__all__ = ["certificate_schema"]

_Json = dict[str, Any]

_TEXT: _Json = {"type": "string"}
_WHOLE: _Json = {"type": "integer", "minimum": 0}
_AMOUNT: _Json = {"type": "number", "minimum": 0}
_RATE: _Json = {"type": "number", "minimum": 0, "maximum": 1}
_SHA256: _Json = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_NONE_OR_AMOUNT: _Json = {"type": ["number", "null"], "minimum": 0}
_EXACT: _Json = {
    "type": "object",
    "required": ["exact", "decimal"],
    "properties": {"exact": {"type": "string", "pattern": "^[0-9]+/[1-9][0-9]*$"}, "decimal": _AMOUNT},
}


def certificate_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a certificate, as plain values.

    Example:
        >>> certificate_schema()["properties"]["format"]
        {'const': 'dpsynth-certificate'}
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Certificate of a dpsynth release",
        "description": "Computed from statement.json and the other files; dpsynth verify computes it anew.",
        **_object(
            {
                "format": {"const": "dpsynth-certificate"},
                "format_version": {"const": 1},
                "dpsynth": _TEXT,
                "summary": _summary(),
                "statement": _statement(),
                "explanation": _object({"promised": _bounds(), "spent": _bounds()}),
                "files": {
                    "type": "object",
                    "description": "SHA-256 of every document, but for those that hold hashes.",
                    "additionalProperties": _SHA256,
                },
                "folders": {
                    "type": "object",
                    "description": "That of a folder's lines '<sha256>  <folder>/<name>'.",
                    "additionalProperties": _object({"files": _WHOLE, "sha256": _SHA256}),
                },
                "meanings": _object({"assumptions": _named(), "processing": _named()}),
                "limits": {**_named(), "examples": [LIMITS]},
                "guidance": _guidance(),
            }
        ),
    }


def _summary() -> _Json:
    required = {
        "promise": _TEXT,
        "unit": _TEXT,
        "rows_per_unit": {"type": "integer", "minimum": 1},
        "adjacency": {"enum": ["add-remove", "replace-one"]},
        "unit_bound": {"enum": ["enforced before counting", "asserted by the steward, not enforced"]},
        "epsilon_promised": _AMOUNT,
        "epsilon_spent": _NONE_OR_AMOUNT,
        "delta": _RATE,
        "advantage_at_most": _RATE,
        "acts": _WHOLE,
        "numbers_released": _WHOLE,
        "columns": {"type": "object", "additionalProperties": _WHOLE},
        "columns_bought_from": _WHOLE,
        "noise": _TEXT,
    }
    return _object(required, {"mu_promised": _NONE_OR_AMOUNT, "mu_spent": _NONE_OR_AMOUNT})


def _statement() -> _Json:
    """What statement.json holds; keys that apply to some releases only are not listed."""
    entry = {
        "number": {"type": "integer", "minimum": 1},
        "purpose": _TEXT,
        "act": {"type": "object", "required": ["act"], "properties": {"act": _TEXT}},
        "price": _AMOUNT,
        "columns": {"type": "array", "items": _TEXT},
        "cells": _WHOLE,
    }
    column = dict.fromkeys(("name", "kind", "known", "treatment"), _TEXT)
    guarantee = {"epsilon": _AMOUNT, "delta": _RATE, "unit": _TEXT, "rows_per_unit": _WHOLE}
    names: _Json = {"type": "array", "items": _TEXT}
    return _open(
        {
            "guarantee": _open(guarantee),
            "calculus": _TEXT,
            "budget": _EXACT,
            "spent": _EXACT,
            "epsilon_spent": _NONE_OR_AMOUNT,
            "mechanism": _TEXT,
            "backend": _TEXT,
            "row_count": _TEXT,
            "ledger": {"type": "array", "items": _open(entry)},
            "processing": names,
            "assumptions": names,
            "columns": {"type": "array", "items": _open(column)},
            "version": _TEXT,
        }
    )


def _bounds() -> _Json:
    alarms: _Json = {"enum": list(ALARMS)}
    membership = _object(
        {
            "advantage": _RATE,
            "detection": _rows({"false_alarms": alarms, "detected": _RATE}, len(ALARMS)),
            "belief": _rows(
                {"prior": {"enum": list(PRIORS)}, "false_alarms": alarms, "right": _RATE}, len(PRIORS)
            ),
        }
    )
    curve = _object(
        {
            "epsilon_at_delta": _rows({"delta": _RATE, "epsilon": _NONE_OR_AMOUNT}),
            "delta_at_epsilon": _rows({"epsilon": _AMOUNT, "delta": _RATE}),
        }
    )
    guessing = _rows({"baseline": {"enum": list(BASELINES)}, "success": _RATE}, len(BASELINES))
    return _object(
        {"rho": _NONE_OR_AMOUNT, "membership": membership, "guessing": guessing, "curve": curve},
        {"mu": _NONE_OR_AMOUNT, "delta_beside": _RATE},
    )


def _guidance() -> _Json:
    item = {
        "layer": {"enum": ["top", "middle", "bottom"]},
        "topic": _TEXT,
        "addressed": {"enum": ["yes", "in part", "no"]},
        "how": _TEXT,
        "evidence": _TEXT,
    }
    return _object({"document": _TEXT, "doi": _TEXT, "items": _rows(item)})


def _named() -> _Json:
    return {"type": "object", "additionalProperties": _TEXT}


def _rows(fields: _Json, count: int | None = None) -> _Json:
    size = {} if count is None else {"minItems": count, "maxItems": count}
    return {"type": "array", "items": _object(fields), **size}


def _open(required: _Json) -> _Json:
    return {"type": "object", "required": list(required), "properties": required}


def _object(required: _Json, optional: _Json | None = None) -> _Json:
    return {**_open(required), "properties": {**required, **(optional or {})}, "additionalProperties": False}
