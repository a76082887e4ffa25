"""``dpsynth schema draft``: a first schema, read from the private table and so itself private."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from dpsynth.cli.options import AsJson, Force, Quiet
from dpsynth.cli.paths import replacing, require_file, require_room
from dpsynth.cli.screen import screen_of
from dpsynth.errors import InputError

__all__ = ["draft"]

_ASK_UNIT = "Say in it whose privacy is protected (privacy_unit): that is never guessed.\n"


def draft(
    context: typer.Context,
    *,
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="The private table (.csv, .parquet).", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The schema to write.", show_default=False)
    ],
    privacy_unit: Annotated[
        str | None,
        typer.Option("--privacy-unit", metavar="row", help="Protect one row.", show_default=False),
    ] = None,
    unit_column: Annotated[
        str | None,
        typer.Option(
            "--unit-column",
            metavar="NAME",
            help="Protect all rows that share a value of this column.",
            show_default=False,
        ),
    ] = None,
    max_rows: Annotated[
        int | None,
        typer.Option(
            "--max-rows", metavar="K", help="With --unit-column: most rows kept of one.", show_default=False
        ),
    ] = None,
    buy: Annotated[
        bool,
        typer.Option(
            "--buy", help="Quote no values or bounds: leave them to be bought by a fit, with noise."
        ),
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Draft a schema from a private table, for review.

    The draft is PRIVATE: its value lists and bounds are read from the rows and marked !REVIEW. Replace or
    confirm each from public knowledge and remove the mark; fit refuses a schema in which one is left.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    unit = _unit(privacy_unit, unit_column, max_rows)
    require_file(data, "table")
    require_room(out, force=force, keep=(data,))
    from dpsynth.data.draft import draft_schema  # noqa: PLC0415  -- lazy: `--help` needs no tables

    with screen.progress() as report:
        report("reading the table", 0.0)
        text = draft_schema(data, privacy_unit=unit, buy=buy)
    with replacing(out) as file, open(file, "w", encoding="utf-8", opener=_for_owner_only) as stream:
        stream.write(text)
    marks = sum(": !REVIEW" in line for line in text.splitlines() if not line.startswith("#"))
    screen.show(
        {"schema": str(out), "private": True, "review": marks},
        f"Wrote {out}, readable by you alone: it holds {'guesses from' if buy else 'private values'} "
        f"{'private rows ' if buy else ''}until reviewed.\n"
        f"{'' if unit else _ASK_UNIT}"
        f"{marks} values are marked !REVIEW. Replace or confirm each from public knowledge,\n"
        f"remove the mark, then run: dpsynth schema check {out} {data}",
    )


def _unit(
    privacy_unit: str | None, column: str | None, max_rows: int | None
) -> Literal["row"] | dict[str, Any] | None:
    """Return the privacy unit as a schema states it, or ``None`` when it was not said.

    Raises:
        InputError: the options contradict each other.
    """
    if privacy_unit not in {None, "row"}:
        raise InputError("--privacy-unit takes row; for a column use --unit-column NAME --max-rows K")
    if privacy_unit and (column or max_rows is not None):
        raise InputError("state either --privacy-unit row or --unit-column with --max-rows, not both")
    if (column is None) != (max_rows is None):
        raise InputError("--unit-column and --max-rows are stated together")
    if max_rows is not None and max_rows < 1:
        raise InputError(f"--max-rows {max_rows} is below 1")
    if column is not None:
        return {"column": column, "max_rows": max_rows}
    return "row" if privacy_unit else None


def _for_owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
