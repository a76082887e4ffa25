"""``dpsynth schema check``: is a schema ready, and does a table have its columns?"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpsynth.cli.options import AsJson, Quiet, SchemaFile
from dpsynth.cli.paths import require_file
from dpsynth.cli.screen import screen_of

if TYPE_CHECKING:
    from dpsynth.schema import Constraint, Schema

__all__ = ["check"]

_SHOWN = 10


def check(
    context: typer.Context,
    *,
    schema: SchemaFile,
    data: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="A table; only its column names are read.", show_default=False),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Check a schema, and a table's column names against it. No row is read.

    Ends with exit code 4 when a review mark is left or a column is absent from the table.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    from dpsynth.buying.lines import assumed  # noqa: PLC0415  -- lazy: `--help` needs no tables
    from dpsynth.data.codec import Codec  # noqa: PLC0415  -- lazy, as above
    from dpsynth.schema import OpenSchema, read_schema  # noqa: PLC0415  -- lazy, as above

    read = read_schema(schema)
    found = read.stand_in if isinstance(read, OpenSchema) else read
    domain = Codec(assumed(read) if isinstance(read, OpenSchema) else found).domain
    to_buy = {p.column: list(p.keys) for p in read.purchases} if isinstance(read, OpenSchema) else {}
    names = None
    if data is not None:
        from dpsynth.data.source import open_source  # noqa: PLC0415  -- lazy, as above

        require_file(data, "table")
        names = open_source(data).names
    content = _findings(found, names) | {
        "schema": str(schema),
        "data": None if data is None else str(data),
        "columns": {axis.name: None if axis.name in to_buy else axis.size for axis in domain},
        **({"buy": to_buy} if to_buy else {}),
        "constraints": found.to_dict().get("constraints", []),
    }
    screen.show(content, _text(content, found))
    if not content["passed"]:
        raise typer.Exit(4)


def _findings(schema: Schema, names: tuple[str, ...] | None) -> dict[str, Any]:
    """Return what is left to do, as plain JSON values."""
    from dpsynth.schema.document import split  # noqa: PLC0415  -- lazy: `--help` needs no schema

    needed = list(schema.columns)
    if not isinstance(schema.privacy_unit, str) and schema.privacy_unit.column not in needed:
        needed.append(schema.privacy_unit.column)
    absent = [] if names is None else [n for n in needed if n not in names]
    headed = len(absent) < len(needed)  # else the names may be values: a first line that is no header
    return {
        "passed": not schema.review and not absent,
        "review": [{"key": mark, "line": schema.problem("", *split(mark)).line} for mark in schema.review],
        "absent": absent,
        "extra": [n for n in names if n not in needed] if names is not None and headed else [],
        "nearest": {n: near[0] for n in absent if (near := difflib.get_close_matches(n, names or (), 1))},
    }


def _to_buy(columns: dict[str, list[str]]) -> list[str]:
    """Say what a fit will buy, key by key."""
    keys: dict[str, list[str]] = {}
    for name, said in columns.items():
        for key in said:
            keys.setdefault(key, []).append(name)
    return [
        f"  to buy    {key} of {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
        for key, names in sorted(keys.items())
    ]


def _text(content: dict[str, Any], schema: Schema) -> str:
    unit = schema.privacy_unit
    who = "one row" if isinstance(unit, str) else f"all rows of one {unit.column!r}, at most {unit.max_rows}"
    sizes = [size for size in content["columns"].values() if size is not None]
    span = f" ({min(sizes):,} to {max(sizes):,} codes each)" if sizes else ""
    if len(set(sizes)) == 1:
        span = f" ({sizes[0]:,} codes each)"
    lines = [
        f"{content['schema']}: {len(schema.columns)} columns",
        f"  learned   {len(content['columns'])}{span}",
        *_to_buy(content.get("buy", {})),
        f"  protects  {who}",
        *(f"  rule      {_phrase(constraint)}" for constraint in schema.constraints[:_SHOWN]),
    ]
    if len(schema.constraints) > _SHOWN:
        lines.append(f"  rule      ... and {len(schema.constraints) - _SHOWN} more")
    marks = [f"{mark['key']} (line {mark['line']})" for mark in content["review"]]
    lines += _listed("FAIL", "await review, as marked !REVIEW", marks)
    if content["data"] is not None:
        if len(content["absent"]) >= len(schema.columns):
            lines.append("  note  the table's columns have other names; is its first line the column names?")
        absent = [
            f"{n} (did you mean {content['nearest'][n]}?)" if n in content["nearest"] else n
            for n in content["absent"]
        ]
        lines += _listed("FAIL", f"are absent from {content['data']}", absent)
        lines += _listed("note", "are in the table only, and stay out of the release", content["extra"])
    lines.append("Ready to fit." if content["passed"] else "Not ready to fit.")
    return "\n".join(lines)


def _phrase(constraint: Constraint) -> str:
    """Say which columns a constraint ties, and how; a value in it may await review and is not repeated."""
    names = [repr(name) for name, _ in constraint.columns]
    match constraint.kind:
        case "impossible":
            return f"some values of {', '.join(names[:-1])} and {names[-1]} never occur together"
        case "determines":
            return f"{names[1]} determines {names[0]}"
    return f"{names[0]} is at most {names[1]}"


def _listed(mark: str, what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = [f"      ... and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return [f"  {mark}  {len(names)} {what}:", *(f"      {n}" for n in names[:_SHOWN]), *more]
