"""What is publicly known of a table: columns, kinds, bounds, whose privacy is protected; YAML in and out."""

from __future__ import annotations

from dpsynth.schema.columns import (
    Boolean,
    Categorical,
    Column,
    Date,
    Datetime,
    Identifier,
    Integer,
    Label,
    Numeric,
    Ordinal,
    Real,
    Rule,
)
from dpsynth.schema.document import dotted
from dpsynth.schema.published import json_schema
from dpsynth.schema.table import FORMAT_VERSION, Schema, UnitColumn

__all__ = [
    "FORMAT_VERSION",
    "Boolean",
    "Categorical",
    "Column",
    "Date",
    "Datetime",
    "Identifier",
    "Integer",
    "Label",
    "Numeric",
    "Ordinal",
    "Real",
    "Rule",
    "Schema",
    "UnitColumn",
    "dotted",
    "json_schema",
]
