"""Where what a release knows comes from, and what its promise rests on: from the schema, never the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from dpsynth.errors import ReleaseError
from dpsynth.privacy.guarantee import Backend, Calculus
from dpsynth.release.documents import check_fields
from dpsynth.schema import Boolean, Categorical, Column, Identifier, Ordinal, Schema, UnitColumn

_COLUMN: Mapping[str, type | tuple[type, ...]] = {"name": str, "kind": str, "known": str, "treatment": str}
_BUYABLE = ("missing", "values", "lower", "upper", "edges")
_NOTHING: Mapping[str, tuple[str, ...]] = {}

__all__ = ["ColumnProvenance", "assumptions_of", "provenance_of", "unit_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProvenance:
    """Where what the release knows of a column comes from.

    Attributes:
        name: The column.
        kind: Its kind in the schema.
        known: What is public of it and whence, such as ``"9 values, stated in the schema"``.
        treatment: ``"measured"`` with noise, or ``"regenerated"`` (its content was never read).
        bought: What of it was bought from the rows, with noise: of ``values``, ``missing``, ``lower``,
            ``upper`` and ``edges``.
    """

    name: str
    kind: str
    known: str
    treatment: str
    bought: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain JSON values; ``from_dict`` reads them back."""
        content = {"name": self.name, "kind": self.kind, "known": self.known, "treatment": self.treatment}
        return {**content, "bought": list(self.bought)} if self.bought else content

    @classmethod
    def from_dict(cls, content: object, where: str) -> Self:
        """Rebuild a record.

        Args:
            content: What :meth:`to_dict` gave.
            where: Which record it is, for messages.

        Raises:
            ReleaseError: it is no such record.
        """
        fields = dict(check_fields(content, _COLUMN, where, optional={"bought": list}))
        bought = fields.pop("bought", [])
        if not all(isinstance(key, str) and key in _BUYABLE for key in bought) or len({*bought}) != len(
            bought
        ):
            raise ReleaseError(f"{where}: what was bought is not a list of {', '.join(_BUYABLE)}")
        return cls(**fields, bought=tuple(bought))


def unit_of(schema: Schema) -> tuple[str, int]:
    """Return the schema's privacy unit as a guarantee states it: ``"row"`` or a column, and rows per unit."""
    unit = schema.privacy_unit
    return (unit.column if isinstance(unit, UnitColumn) else "row"), schema.max_rows


def assumptions_of(
    backend: Backend, calculus: Calculus, schema: Schema, *, bought: bool = False
) -> tuple[str, ...]:
    """Return the names of what the promise rests on.

    Args:
        backend: The source of noise.
        calculus: What it is accounted in.
        schema: Whose unit it is.
        bought: Whether something in the schema was bought.
    """
    noise = ("opendp-noise",)
    if backend == "exact":
        noise = ("log-accuracy",) if calculus == "pure" else ("ndtri-accuracy",)
    unit = "enforced-unit" if isinstance(schema.privacy_unit, UnitColumn) else "one-row-per-person"
    return (
        "os-entropy",
        "mpmath-accuracy",
        *noise,
        "public-or-bought-schema" if bought else "public-schema",
        unit,
        "no-side-channels",
        "trusted-machine",
    )


def provenance_of(
    schema: Schema, bought: Mapping[str, tuple[str, ...]] = _NOTHING
) -> tuple[ColumnProvenance, ...]:
    """Return where the knowledge of each of the schema's columns comes from.

    Args:
        schema: As it was used; whole.
        bought: For each column that was bought from, the keys that were.
    """
    learned = set(schema.learned)
    return tuple(
        ColumnProvenance(
            name=name,
            kind=spec.kind,
            known=_known(spec, frozenset(bought.get(name, ()))),
            treatment="measured" if name in learned else "regenerated",
            bought=tuple(bought.get(name, ())),
        )
        for name, spec in schema.columns.items()
    )


def _known(spec: Column, bought: frozenset[str]) -> str:
    if isinstance(spec, Identifier):
        return "format, stated in the schema"
    if isinstance(spec, Boolean):
        parts = [("true and false", False)]
    elif isinstance(spec, (Categorical, Ordinal)):
        what = f"{len(spec.labels)} value{'s' if len(spec.labels) > 1 else ''}"
        parts = [(what + ("" if spec.other is None else " and other"), "values" in bought)]
    elif {"lower", "upper"} & bought:
        parts = [
            (f"lower bound {spec.lower}", "lower" in bought),
            (f"upper bound {spec.upper}", "upper" in bought),
        ]
    else:
        parts = [(f"bounds {spec.lower} to {spec.upper}", False)]
    if "edges" in bought:
        parts.append(("bins", True))
    if spec.missing or "missing" in bought:
        parts.append(("may be missing" if spec.missing else "never missing", "missing" in bought))
    stated, paid = (", ".join(what for what, was in parts if was is side) for side in (False, True))
    return "; ".join(
        [*([f"{stated}, stated in the schema"] if stated else []), *([f"{paid}, bought"] if paid else [])]
    )
