"""Where what a release knows comes from, and what its promise rests on: from the schema, never the rows."""

from __future__ import annotations

from dataclasses import dataclass

from dpsynth.privacy.guarantee import Backend, Calculus
from dpsynth.schema import Boolean, Categorical, Column, Identifier, Ordinal, Schema, UnitColumn

__all__ = ["ColumnProvenance", "assumptions_of", "provenance_of", "unit_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProvenance:
    """Where what the release knows of a column comes from.

    Attributes:
        name: The column.
        kind: Its kind in the schema.
        known: What is public of it and whence, such as ``"9 values, stated in the schema"``.
        treatment: ``"measured"`` with noise, or ``"regenerated"`` (its content was never read).
    """

    name: str
    kind: str
    known: str
    treatment: str


def unit_of(schema: Schema) -> tuple[str, int]:
    """Return the schema's privacy unit as a guarantee states it: ``"row"`` or a column, and rows per unit."""
    unit = schema.privacy_unit
    return (unit.column if isinstance(unit, UnitColumn) else "row"), schema.max_rows


def assumptions_of(backend: Backend, calculus: Calculus, schema: Schema) -> tuple[str, ...]:
    """Return the names of what the promise rests on, for a source of noise, its calculus and a unit."""
    noise = ("opendp-noise",)
    if backend == "exact":
        noise = ("log-accuracy",) if calculus == "pure" else ("ndtri-accuracy",)
    unit = "enforced-unit" if isinstance(schema.privacy_unit, UnitColumn) else "one-row-per-person"
    return (
        "os-entropy",
        "mpmath-accuracy",
        *noise,
        "public-schema",
        unit,
        "no-side-channels",
        "trusted-machine",
    )


def provenance_of(schema: Schema) -> tuple[ColumnProvenance, ...]:
    """Return where the knowledge of each of the schema's columns comes from."""
    learned = set(schema.learned)
    return tuple(
        ColumnProvenance(
            name=name,
            kind=spec.kind,
            known=_known(spec),
            treatment="measured" if name in learned else "regenerated",
        )
        for name, spec in schema.columns.items()
    )


def _known(spec: Column) -> str:
    if isinstance(spec, Identifier):
        return "format, stated in the schema"
    if isinstance(spec, Boolean):
        what = "true and false"
    elif isinstance(spec, (Categorical, Ordinal)):
        what = f"{len(spec.labels)} value{'s' if len(spec.labels) > 1 else ''}"
        what += "" if spec.other is None else " and other"
    else:
        what = f"bounds {spec.lower} to {spec.upper}"
    return f"{what}{', may be missing' if spec.missing else ''}, stated in the schema"
