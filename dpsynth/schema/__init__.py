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
from dpsynth.schema.constraints import AtMost, Constraint, Determines, Impossible
from dpsynth.schema.document import dotted
from dpsynth.schema.published import json_schema
from dpsynth.schema.purchases import OpenSchema, Purchase, read_schema
from dpsynth.schema.ranges import Range
from dpsynth.schema.table import FORMAT_VERSION, Schema, UnitColumn

__all__ = [
    "FORMAT_VERSION",
    "AtMost",
    "Boolean",
    "Categorical",
    "Column",
    "Constraint",
    "Date",
    "Datetime",
    "Determines",
    "Identifier",
    "Impossible",
    "Integer",
    "Label",
    "Numeric",
    "OpenSchema",
    "Ordinal",
    "Purchase",
    "Range",
    "Real",
    "Rule",
    "Schema",
    "UnitColumn",
    "dotted",
    "json_schema",
    "read_schema",
]
