"""What is publicly known of one table: its columns and whose privacy is protected."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError, model_validator

from dpsynth.errors import SchemaError
from dpsynth.schema.columns import Categorical, Column, Identifier, Integer, Ordinal

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMAT_VERSION", "Schema", "UnitColumn"]

FORMAT_VERSION = 1


class UnitColumn(BaseModel):
    """The privacy unit is everyone who shares a value of ``column``, with at most ``max_rows`` rows each.

    The bound is enforced: rows beyond it are dropped, uniformly at random, before anything is counted.
    Rows whose unit is missing belong to no one and are dropped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: StrictStr
    max_rows: StrictInt = Field(ge=1, le=1_000_000)


class Schema(BaseModel):
    """Public knowledge of a table. Build it with :meth:`load`, :meth:`from_domain` or :meth:`from_dict`.

    Attributes:
        privacy_unit: ``"row"``, or a :class:`UnitColumn`. Required, never guessed.
        columns: Column name to its kind, in table order.
        review: Dotted keys still marked ``!REVIEW``; a fit refuses a schema that has any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dpsynth: Literal[1] = FORMAT_VERSION
    privacy_unit: Literal["row"] | UnitColumn
    columns: Mapping[StrictStr, Column] = Field(min_length=1)
    review: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if any(not name for name in self.columns):
            raise ValueError("a column name is empty")
        if not self.learned:
            raise ValueError("no column is learned: every column is an identifier or the privacy unit")
        return self

    @property
    def learned(self) -> tuple[str, ...]:
        """Names of the columns that are measured: all but identifiers and the privacy unit's own column."""
        unit = self.privacy_unit.column if isinstance(self.privacy_unit, UnitColumn) else None
        return tuple(n for n, c in self.columns.items() if not isinstance(c, Identifier) and n != unit)

    @property
    def max_rows(self) -> int:
        """Most rows of one privacy unit that are counted; 1 for ``row``."""
        return self.privacy_unit.max_rows if isinstance(self.privacy_unit, UnitColumn) else 1

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Build a schema from plain values.

        Raises:
            SchemaError: names the key that is wrong and what to do.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise _as_schema_error(error) from None

    @classmethod
    def from_domain(
        cls,
        domain: Mapping[str, int],
        *,
        ordered: Iterable[str] = (),
        privacy_unit: Literal["row"] | Mapping[str, Any] = "row",
    ) -> Self:
        """Build the schema of an integer-coded table: column ``c`` holds ``0 .. domain[c]-1``, never missing.

        Args:
            domain: Column name to number of codes.
            ordered: Columns whose codes are in a meaningful order.
            privacy_unit: ``"row"`` (one row is one person) or ``{"column": ..., "max_rows": ...}``.

        Raises:
            SchemaError: a size is below 1, or ``ordered`` names a column that ``domain`` has not.

        Example:
            >>> Schema.from_domain({"age": 85, "sex": 2}, ordered=["age"]).learned
            ('age', 'sex')
        """
        names = set(ordered)
        if unknown := sorted(names - set(domain)):
            raise SchemaError(f"ordered names {unknown[0]!r}, which is not in the domain", key="ordered")
        columns = {
            name: {
                "kind": "ordinal" if name in names else "categorical",
                "count": int(size),
                "missing": False,
                "out_of_domain": "clip",
            }
            for name, size in domain.items()
        }
        return cls.from_dict({"privacy_unit": privacy_unit, "columns": columns})
