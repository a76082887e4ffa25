"""``dpsynth suggest-max-rows``: buy a noisy histogram of rows per unit, to choose the bound by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpsynth.cli.fit import account_line, accountant_of
from dpsynth.cli.options import AsJson, BookFile, DatasetName, Delta, Epsilon, Quiet
from dpsynth.cli.paths import require_file
from dpsynth.cli.screen import hung, screen_of

__all__ = ["suggest_max_rows"]


def suggest_max_rows(
    context: typer.Context,
    *,
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="The private table (.csv, .parquet).", show_default=False)
    ],
    unit: Annotated[
        str,
        typer.Option(
            "--unit", metavar="COLUMN", help="The column that identifies the unit.", show_default=False
        ),
    ],
    epsilon: Epsilon,
    delta: Delta,
    largest: Annotated[
        int, typer.Option("--largest", metavar="N", help="Rows to tell apart; N stands for N or more.")
    ] = 50,
    fit_epsilon: Annotated[
        float, typer.Option("--fit-epsilon", metavar="E", help="Of the coming fit: a guess, spends nothing.")
    ] = 1.0,
    cells: Annotated[
        int, typer.Option("--cells", metavar="N", help="Counts in one of its tables: a guess.")
    ] = 200,
    tables: Annotated[
        int, typer.Option("--tables", metavar="N", help="Tables that it divides its budget among: a guess.")
    ] = 20,
    book: BookFile = None,
    dataset: DatasetName = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Buy a noisy histogram of rows per unit, and learn what each max_rows would cut.

    It spends epsilon that adds to every fit's; with --book it is reserved there, as a fit's is. The exact
    numbers never leave.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    require_file(data, "table")
    from dpsynth.unit_rows import suggest_max_rows as buy  # noqa: PLC0415  -- lazy: `--help` needs no tables

    accountant = accountant_of(book, dataset)
    found = buy(
        data,
        unit,
        epsilon=epsilon,
        delta=delta,
        largest=largest,
        fit_epsilon=fit_epsilon,
        cells=cells,
        tables=tables,
        accountant=accountant,
        dataset=dataset,
    )
    totals = accountant.show(found.book.dataset)[0] if accountant and found.book else None
    lines = [hung(line, 4) for line in str(found).splitlines()]
    if totals is not None:
        lines.append(hung("Book" + account_line(book, totals).strip().removeprefix("book") + ".", 4))
    content = found.to_dict() | ({} if totals is None else {"book": {"path": str(book), **totals.to_dict()}})
    screen.show(content, "\n".join(lines))
