"""``dpsynth budget verify`` and ``export``: is a book as it was written, and all that it says."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dpsynth.cli.options import AsJson, Book, Force, Quiet
from dpsynth.cli.paths import replacing, require_room
from dpsynth.cli.screen import hung, screen_of
from dpsynth.errors import InputError

__all__ = ["export", "verify"]


class Form(StrEnum):
    """What an export is written as."""

    json = "json"
    csv = "csv"


def verify(
    context: typer.Context,
    *,
    book: Book,
    head: Annotated[
        str | None,
        typer.Option(
            "--head", metavar="HASH", help="A head written down earlier; must be in it.", show_default=False
        ),
    ] = None,
    release: Annotated[
        list[Path] | None,
        typer.Option(
            "--release",
            metavar="RELEASE",
            help="A release to look up in the book; may be given several times.",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Recompute every hash, price and sum of a book, and look up releases in it.

    Ends with exit code 4 when a check fails. Nothing is spent from a book that fails.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    from dpsynth.accountant import Accountant  # noqa: PLC0415  -- lazy: `--help` needs no book
    from dpsynth.release import bundle  # noqa: PLC0415  -- lazy, as above

    statements = {str(path): bundle.load(path).statement for path in release or ()}
    report = Accountant(book).verify(head=head, releases=statements)
    failed = len(report.failed)
    verdict = (
        f"{failed} of {len(report.checks)} checks failed or could not be made; nothing is spent from {book}"
        if failed
        else f"All {len(report.checks)} checks passed: {report.records} records, head {report.head}"
    )
    marks = {True: "pass", False: "FAIL", None: " -- "}
    lines = [hung(f"  {marks[check.passed]}  {check.name}: {check.detail}", 8) for check in report.checks]
    screen.show({"book": str(book), **report.to_dict()}, "\n".join([*lines, "", hung(verdict, 2)]))
    if failed:
        raise typer.Exit(4)


def export(
    context: typer.Context,
    *,
    book: Book,
    form: Annotated[
        Form, typer.Option("--format", help="Everything, or lines for a spreadsheet.")
    ] = Form.json,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Where to; by default standard output.", show_default=False
        ),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write out a whole book: every record with its hash, and the totals."""
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    from dpsynth.accountant import Accountant  # noqa: PLC0415  -- lazy: `--help` needs no book

    if out is None:
        if screen.as_json and form is Form.csv:
            raise InputError(
                "--json asks for one JSON object and --format csv for lines; name a file with --out"
            )
        for piece in Accountant.open(book).export(form.value):  # checked once whole, before anything is shown
            if not screen.quiet:
                typer.echo(piece, nl=False)
        return
    require_room(out, force=force, keep=(book,))
    with replacing(out) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        for piece in Accountant(book).export(form.value):
            file.write(piece)
    screen.show({"book": str(book), "out": str(out), "format": form.value}, f"Wrote {out}")
