"""What is publicly known of one table: its columns and whose privacy is protected."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    PrivateAttr,
    StrictInt,
    StrictStr,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from dpsynth.errors import SchemaError
from dpsynth.schema.columns import Column, Identifier
from dpsynth.schema.constraints import Constraint, check_constraints
from dpsynth.schema.document import (
    Document,
    KeyPath,
    Problem,
    dotted,
    error_of,
    parse,
    raise_all,
    read_text,
    split,
)
from dpsynth.schema.left_open import open_keys, unbuyable_keys
from dpsynth.schema.phrasing import NOT_A_KEY_OF_THE_FILE, WHO_IS_PROTECTED, problems_of
from dpsynth.schema.stating import read_constraint
from dpsynth.schema.values import Items, MisplacedError, Text
from dpsynth.schema.writing import content_of, ordered_marks, place_of_mark, to_text

__all__ = ["FORMAT_VERSION", "Schema", "UnitColumn", "document_of"]

FORMAT_VERSION = 1
_NOT_SOLD = "this cannot be bought: it says what the column means, which no count tells; state it"
_LEFT_OPEN = "this is to be bought by a fit, and not known yet; read the schema with dpsynth.read_schema"


class UnitColumn(BaseModel):
    """The privacy unit is everyone who shares a value of ``column``, with at most ``max_rows`` rows each.

    The bound is enforced: rows beyond it are dropped, uniformly at random, before anything is counted.
    Rows whose unit is missing belong to no one and are dropped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    column: Text = Field(min_length=1)
    max_rows: StrictInt = Field(ge=1, le=1_000_000)


def _unit_form(value: object) -> str | None:
    if value == "row":
        return "row"
    return "column" if isinstance(value, (Mapping, UnitColumn)) else None


_PrivacyUnit = Annotated[
    Annotated[Literal["row"], Tag("row")] | Annotated[UnitColumn, Tag("column")],
    Discriminator(_unit_form, custom_error_type="privacy_unit", custom_error_message=WHO_IS_PROTECTED),
]


class Schema(BaseModel):
    """Public knowledge of a table. Build it with :meth:`load`, :meth:`from_domain` or :meth:`from_dict`.

    Two schemas are equal when they say the same, columns in the same order, with the same marks.

    Attributes:
        privacy_unit: ``"row"``, or a :class:`UnitColumn`. Required, never guessed.
        columns: Column name to its kind, in table order.
        constraints: Rules across columns that no synthetic row breaks.
        review: Dotted keys still marked ``!REVIEW``; a fit refuses a schema that has any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    dpsynth: Literal[1] = 1
    privacy_unit: _PrivacyUnit
    columns: Mapping[Text, Column] = Field(min_length=1)
    constraints: Annotated[tuple[Annotated[Constraint, PlainValidator(read_constraint)], ...], Items] = ()
    review: tuple[StrictStr, ...] = ()

    _document: Document = PrivateAttr(default_factory=Document)

    @field_validator("dpsynth", mode="before")
    @classmethod
    def _known_version(cls, value: object) -> object:
        if type(value) is int and value == FORMAT_VERSION:
            return value
        raise ValueError(
            f"this is not a format version that is read here; write dpsynth: {FORMAT_VERSION}, or install a "
            "newer dpsynth if the file was made by one"
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if "" in self.columns:
            raise MisplacedError("a column name is empty; every column needs a name", "columns", "")
        unit = self.privacy_unit.column if isinstance(self.privacy_unit, UnitColumn) else ""
        if unit == "row":
            raise MisplacedError(
                "a unit column called row would read like one row each; rename the column in the data",
                "privacy_unit",
                "column",
            )
        if unit and unit in self.columns and not isinstance(self.columns[unit], Identifier):
            raise MisplacedError(
                "the privacy unit's column is never learned; declare it kind: identifier, or leave it out",
                "columns",
                unit,
                "kind",
            )
        if not self.learned:
            raise MisplacedError(
                "no column is learned: every column is an identifier; declare one of another kind", "columns"
            )
        return self

    @model_validator(mode="after")
    def _resolve_constraints(self) -> Self:
        """Read each value that a constraint names in the type of its column."""
        if self.constraints:
            found = check_constraints(self.constraints, self.columns, self.learned)
            object.__setattr__(self, "constraints", found)  # a frozen model is still being built here
        return self

    @model_validator(mode="after")
    def _order_marks(self) -> Self:
        """Keep marks in the order in which :meth:`to_yaml` writes them, each once."""
        if self.review:
            object.__setattr__(
                self, "review", ordered_marks(self)
            )  # a frozen model is still being built here
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schema):
            return NotImplemented
        return self._said() == other._said()

    def __hash__(self) -> int:
        return hash(self._said())

    def _said(self) -> tuple[object, ...]:
        return (self.dpsynth, self.privacy_unit, tuple(self.columns.items()), self.constraints, self.review)

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
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a schema file (YAML; the format is described in ``docs/schema.md``).

        Raises:
            MissingFileError: there is no such file.
            SchemaError: says every problem, each with its line and key.
        """
        return cls.loads(read_text(path), path=path)

    @classmethod
    def loads(cls, text: str, path: str | os.PathLike[str] | None = None) -> Self:
        """Read a schema from YAML text.

        Args:
            text: What a schema file contains.
            path: The file's name, for messages.

        Raises:
            SchemaError: says every problem, each with its line and key.

        Example:
            >>> schema = Schema.loads('''
            ... privacy_unit: row
            ... columns:
            ...   age: {kind: integer, missing: false, lower: 0, upper: 120}
            ... ''')
            >>> schema.learned
            ('age',)
        """
        return cls.of_document(parse(text, None if path is None else os.fspath(path)))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Build a schema from plain values, such as :meth:`to_dict` gives.

        Raises:
            SchemaError: names the keys that are wrong and what to do.
        """
        return cls.of_document(document_of(content))

    @classmethod
    def of_document(cls, document: Document) -> Self:
        """Build a schema from what a file or plain values say.

        Raises:
            SchemaError: says every problem, each with its key and, from a file, its line.
        """
        content: dict[str, Any] = dict(document.content)
        _check_whole(content, document)
        if document.lines:
            _check_keys_of_file(content, document)
            content["review"] = tuple(dotted(mark) for mark in document.review)
        try:
            schema = cls.model_validate(content)
        except ValidationError as error:
            problems = problems_of(error, document)
            wrong_version = [p for p in problems if p.path == ("dpsynth",)]
            raise error_of(wrong_version or problems, document.path) from None
        schema._document = dataclasses.replace(document, content={})  # noqa: SLF001  -- its own class
        return schema

    @classmethod
    def from_domain(
        cls,
        domain: Mapping[str, int],
        *,
        ordered: Iterable[str] = (),
        privacy_unit: Literal["row"] | Mapping[str, Any] = "row",
        constraints: Iterable[Constraint | Mapping[str, Any]] = (),
    ) -> Self:
        """Build the schema of an integer-coded table: column ``c`` holds ``0 .. domain[c]-1``, never missing.

        Args:
            domain: Column name to number of codes.
            ordered: Columns whose codes are in a meaningful order.
            privacy_unit: ``"row"`` (one row is one person) or ``{"column": ..., "max_rows": ...}``.
            constraints: Rules across columns, such as ``AtMost("start", "end")``.

        Raises:
            SchemaError: a size is not a whole number of at least 1, ``ordered`` names a column that
                ``domain`` has not, or a constraint does not fit the columns.

        Example:
            >>> Schema.from_domain({"age": 85, "sex": 2}, ordered=["age"]).learned
            ('age', 'sex')
        """
        if isinstance(ordered, str):
            raise SchemaError("ordered takes a list of column names, not one text", key="ordered")
        names = list(ordered)
        if unknown := [name for name in names if name not in domain]:
            raise SchemaError(f"{unknown[0]!r} is not in the domain; name one of its columns", key="ordered")
        columns = {
            name: {
                "kind": "ordinal" if name in names else "categorical",
                "count": _size(name, size),
                "missing": False,
                "out_of_domain": "clip",
            }
            for name, size in domain.items()
        }
        content: dict[str, Any] = {"privacy_unit": privacy_unit, "columns": columns}
        return cls.from_dict(content | {"constraints": list(constraints)})

    def to_dict(self) -> dict[str, Any]:
        """Say everything in plain JSON values; :meth:`from_dict` reads them back.

        Defaults are left out, except ``missing``. A decimal is a number where a JSON number holds it
        exactly, else a text; days and moments are ISO texts. ``review`` is there only when a value is marked.
        """
        return content_of(self)

    def to_yaml(self) -> str:
        """Write the schema as a file's text, review marks included; :meth:`loads` reads it back."""
        return to_text(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the schema file.

        Raises:
            SchemaError: the file cannot be written there.
        """
        try:
            Path(path).write_text(self.to_yaml(), encoding="utf-8", newline="\n")
        except OSError as error:
            raise SchemaError(f"cannot be written: {error.strerror}", path=os.fspath(path)) from None

    def require_reviewed(self) -> None:
        """Refuse a schema in which a value still awaits review.

        Raises:
            SchemaError: names every key still marked ``!REVIEW``, with its line when it came from a file.
        """
        document = self._document
        lines = {dotted(place_of_mark(mark)): document.line_of(mark) for mark in reversed(document.review)}
        text = "awaits review: replace the value by public knowledge or confirm it, then remove !REVIEW"
        raise_all([Problem(split(mark), text, lines.get(mark)) for mark in self.review], document.path)

    def problem(self, text: str, *path: str | int) -> SchemaError:
        """Make an error about one key, with file and line when the schema came from a file; it is not raised.

        Args:
            text: What is wrong and what to do.
            path: Where, such as ``"columns", "age", "lower"``.
        """
        document = self._document
        line = document.line_of(path) if document.lines else None
        return SchemaError(text, key=dotted(path) or None, line=line, path=document.path)


def document_of(content: Mapping[str, Any]) -> Document:
    """Return plain values as a document, with the marks that they state.

    Raises:
        SchemaError: they are no mapping.
    """
    if not isinstance(content, Mapping):
        raise SchemaError(
            f"a mapping with privacy_unit and columns is expected, not {type(content).__name__}"
        )
    return Document(content, _marks_of(content))


def _check_whole(content: Mapping[str, Any], document: Document) -> None:
    """What is to be bought is not known yet: only an open schema may leave it so."""
    said = {("columns", name, key): _LEFT_OPEN for name, keys in open_keys(content) for key in keys}
    said |= {("columns", name, key): _NOT_SOLD for name, key in unbuyable_keys(content)}
    raise_all([Problem(path, text, document.line_of(path)) for path, text in said.items()], document.path)


def _check_keys_of_file(content: Mapping[str, Any], document: Document) -> None:
    """``review`` is a field of the model but not a key of the file."""
    if "review" in content:
        path: KeyPath = ("review",)
        raise_all([Problem(path, NOT_A_KEY_OF_THE_FILE, document.line_of(path))], document.path)


def _marks_of(content: Mapping[str, Any]) -> tuple[KeyPath, ...]:
    """The marks that plain values state, as far as they can be read; the model refuses the others."""
    stated = content.get("review")
    marks: list[KeyPath] = []
    for mark in stated if isinstance(stated, (list, tuple)) else ():
        if isinstance(mark, str):
            with contextlib.suppress(ValueError):
                marks.append(split(mark))
    return tuple(marks)


def _size(name: object, size: object) -> int:
    number = int(size) if isinstance(size, (int, np.integer)) and not isinstance(size, bool) else 0
    if number < 1:
        key = dotted(("columns", str(name)))
        raise SchemaError("the size is not a whole number of at least 1; give the number of codes", key=key)
    return number
