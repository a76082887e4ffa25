"""A policy: what a release must keep to before it may leave, as a file that people write and agree on.

Read as strictly as a schema: an unknown key, a key that stands twice and a value of another kind are errors
with their line. What a key asks is judged by :mod:`dpsynth.audit.gate`; docs/audit.md explains each.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from dpsynth.errors import PolicyError, SchemaError
from dpsynth.privacy.guarantee import Adjacency
from dpsynth.schema.document import Document, KeyPath, dotted, parse, read_text

__all__ = ["ORIGINS", "AuditRules", "Ceiling", "ColumnRules", "Origin", "Policy", "UnitRule", "policy_schema"]

Origin = Literal[
    "stated",
    "regenerated",
    "bought",
    "bought.values",
    "bought.missing",
    "bought.lower",
    "bought.upper",
    "bought.edges",
]
ORIGINS: tuple[Origin, ...] = get_args(Origin)
"""Where what is known of a column can come from; ``bought`` stands for all that begin so."""

_MOST_DAYS = 36_500
_CHECK = re.compile(r"[a-z0-9_]+([.-][a-z0-9_]+)*(\.\*)?")
_WHO = "state who is protected: row, or {column: NAME, max_rows: K}"
_ABSENT = {"unit": _WHO, "column": "name the column that says whose row it is"}
_LIMITS = "state a number, or {value: ..., upper: ...}"
_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

_Number = Annotated[float, Field(allow_inf_nan=False)]
_Days = Annotated[float, Field(gt=0, le=_MOST_DAYS, allow_inf_nan=False)]


class UnitRule(BaseModel):
    """Whose privacy the release must protect: ``row``, or a column's value with so many rows."""

    model_config = _STRICT

    column: Annotated[str, Field(min_length=1)]
    max_rows: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    def __str__(self) -> str:
        if self.column == "row":
            return "row"
        return self.column if self.max_rows is None else f"{self.column}, at most {self.max_rows} rows"


class ColumnRules(BaseModel):
    """Where what a release knows of its columns may come from."""

    model_config = _STRICT | ConfigDict(json_schema_extra={"minProperties": 1})

    allow: Annotated[list[Origin], Field(min_length=1)] | None = None
    forbid: Annotated[list[Origin], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.allow is None and self.forbid is None:
            raise ValueError("state allow, forbid or both")
        return self


class Ceiling(BaseModel):
    """The most that a finding may come to: its value, or the upper end of its interval."""

    model_config = _STRICT

    value: _Number | None = None
    upper: _Number | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.ends:
            raise ValueError(_LIMITS)
        return self

    @property
    def ends(self) -> tuple[tuple[str, float], ...]:
        """What is bounded of a finding, ``"value"`` or ``"upper"``, and by how much."""
        return tuple(
            (end, most) for end, most in (("value", self.value), ("upper", self.upper)) if most is not None
        )


def _version(value: object) -> object:
    if type(value) is not int or value != 1:
        raise ValueError("this version of the format is not read here; write policy: 1")
    return value


def _unit(value: object) -> object:
    if value == "row":
        return {"column": "row"}
    if not isinstance(value, Mapping):
        raise ValueError(_WHO)  # noqa: TRY004  -- pydantic takes ValueError
    if value.get("column") == "row":
        raise ValueError("a unit column is never called row; for one row each write unit: row")
    return value


def _ceiling(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"value": value}
    if not isinstance(value, Mapping):
        raise ValueError(_LIMITS)  # noqa: TRY004  -- as above
    return value


def _check_name(name: str) -> str:
    if not _CHECK.fullmatch(name):
        raise ValueError(
            "a check is a dotted name such as whitebox.mu; replay.* stands for all that begin so"
        )
    return name


_LimitJson = {
    "anyOf": [
        {"type": "number"},
        {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "properties": {
                "value": {"type": "number", "description": "Of the number that was found."},
                "upper": {"type": "number", "description": "Of the upper end of its interval."},
            },
        },
    ]
}
_UnitJson = {
    "oneOf": [
        {"const": "row", "description": "One row is one privacy unit."},
        {
            "type": "object",
            "required": ["column"],
            "additionalProperties": False,
            "properties": {
                "column": {"type": "string", "minLength": 1, "not": {"const": "row"}},
                "max_rows": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
            },
        },
    ]
}


class AuditRules(BaseModel):
    """What must have been audited, how lately, and with what outcome."""

    model_config = _STRICT

    levels: Annotated[
        dict[Literal["unit", "mechanism", "data"], _Days],
        Field(description="Levels that must have been run, each with the most days since."),
    ] = {}
    tolerate_inconclusive: Annotated[
        bool, Field(description="Whether findings that are INCONCLUSIVE may stand.")
    ] = False
    ceilings: Annotated[
        dict[
            Annotated[str, AfterValidator(_check_name)],
            Annotated[Ceiling, BeforeValidator(_ceiling), WithJsonSchema(_LimitJson)],
        ],
        Field(
            description="The most that findings of a name may come to; each must have been found.",
            json_schema_extra={"propertyNames": {"pattern": f"^{_CHECK.pattern}$"}},
        ),
    ] = {}


class Policy(BaseModel):
    """What a release must keep to. Build it with :meth:`load`.

    Attributes:
        policy: Version of this format.
        epsilon: The greatest epsilon of the guarantee.
        delta: The greatest delta of the guarantee.
        unit: Whose privacy must be protected.
        adjacency: Which tables must be neighbours; None leaves it open.
        columns: Where what is known of columns may come from; None leaves it open.
        audit: What must have been audited; None leaves it open.
    """

    model_config = _STRICT

    policy: Annotated[Literal[1], BeforeValidator(_version), Field(description="Version of this format.")]
    epsilon: Annotated[
        float, Field(gt=0, allow_inf_nan=False, description="The greatest epsilon of the guarantee.")
    ]
    delta: Annotated[
        float, Field(ge=0, lt=1, allow_inf_nan=False, description="The greatest delta of the guarantee.")
    ]
    unit: Annotated[
        UnitRule,
        BeforeValidator(_unit),
        WithJsonSchema(_UnitJson),
        Field(description="Whose privacy must be protected."),
    ]
    adjacency: Annotated[Adjacency | None, Field(description="Which tables must be neighbours.")] = None
    columns: ColumnRules | None = None
    audit: AuditRules | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a policy file (YAML; docs/audit.md explains every key).

        Raises:
            MissingFileError: there is no such file.
            PolicyError: says every problem, each with its line and key.
        """
        name = os.fspath(path)
        try:
            document = parse(
                read_text(path, "policy"), name, what="policy", keys="policy, epsilon, delta and unit"
            )
        except SchemaError as error:  # the reader of schema files, whose form a policy has
            raise PolicyError(error.problem, key=error.key, line=error.line, path=name) from None
        if document.review:
            first = document.review[0]
            raise PolicyError(
                "a policy is agreed on before it is used; remove !REVIEW",
                key=dotted(first),
                line=document.line_of(first),
                path=name,
            )
        if empty := _empty(document.content):
            raise PolicyError(
                "the key has no value; state one, or remove the key",
                key=dotted(empty),
                line=document.line_of(empty),
                path=name,
            )
        try:
            return cls.model_validate(_plain(document.content))
        except ValidationError as error:
            raise _error_of(error, document) from None


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a policy file, as plain values: docs/policy.schema.json."""
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Policy.model_json_schema()}
    content["title"] = "dpsynth policy file"
    content["description"] = "What a release must keep to before it may leave."
    return content


def _plain(value: Any) -> Any:
    """Return what a document says with floats for decimals."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _empty(content: Any, path: KeyPath = ()) -> KeyPath | None:
    """Return the first place without a value: a rule that was begun and not written would go unnoticed."""
    if content is None:
        return path
    inside: Iterable[tuple[str | int, Any]] = ()
    if isinstance(content, Mapping):
        inside = content.items()
    elif isinstance(content, list):
        inside = enumerate(content)
    found = (_empty(item, (*path, key)) for key, item in inside)
    return next((place for place in found if place is not None), None)


def _error_of(error: ValidationError, document: Document) -> PolicyError:
    """Make one error of all that pydantic found, in file order; its line and key are the first one's."""
    found: dict[KeyPath, PolicyError] = {}
    for detail in error.errors(include_url=False):
        at = _place(detail["loc"], document.content)
        path = (*at, str(detail["loc"][-1])) if detail["type"] == "missing" else at
        line, text = document.line_of(path), _text(detail)
        found.setdefault(path, PolicyError(text, key=dotted(path) or None, line=line, path=document.path))
    first, *rest = sorted(found.values(), key=lambda e: e.line or 0)
    text = "\n".join([first.problem, *map(str, rest)])
    return PolicyError(text, key=first.key, line=first.line, path=first.path)


def _place(loc: tuple[str | int, ...], content: Any) -> KeyPath:
    """Return that part of pydantic's place which is in the file."""
    path: list[str | int] = []
    for part in loc:
        inside = part in content if isinstance(content, Mapping) else isinstance(content, list)
        if not inside or (isinstance(content, list) and type(part) is not int):
            break
        path.append(part)
        content = content[part]
    return tuple(path)


def _text(detail: Any) -> str:
    kind, name, context = detail["type"], str(detail["loc"][-1]), detail.get("ctx", {})
    if kind == "missing":
        return _ABSENT.get(name, "the key is absent; every policy states it")
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(name, _KEYS, 1)
        return "unknown key" + (f"; did you mean {near[0]}?" if near else "; docs/audit.md lists every key")
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"one of these is expected: {context['expected']}"
    if kind in {"dict_type", "model_type", "model_attributes_type"}:
        return "a mapping of keys is expected"
    said = str(detail["msg"])
    return f"{said[:1].lower()}{said[1:]}"


_KEYS = sorted(
    {name for model in (Policy, UnitRule, ColumnRules, Ceiling, AuditRules) for name in model.model_fields}
)
