"""``dpsynth budget create``, ``show`` and ``history``: what all releases about a data set spend together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpsynth.cli.options import Adjacency, AdjacencyName, AsJson, Book, DatasetName, Quiet
from dpsynth.cli.screen import hung, screen_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from dpsynth.accountant.totals import History, Totals

__all__ = ["create", "history", "show"]


class CalculusName(StrEnum):
    """In which releases add up."""

    gdp = "gdp"
    zcdp = "zcdp"


def create(
    context: typer.Context,
    *,
    book: Book,
    dataset: Annotated[
        str, typer.Option("--dataset", metavar="NAME", help="What to call the data set.", show_default=False)
    ],
    epsilon: Annotated[
        float,
        typer.Option("--epsilon", metavar="E", help="Of all its releases together.", show_default=False),
    ],
    delta: Annotated[
        float,
        typer.Option("--delta", metavar="D", help="Likewise; 0 for pure epsilon.", show_default=False),
    ],
    unit_column: Annotated[
        str | None,
        typer.Option(
            "--unit-column",
            metavar="NAME",
            help="Protects all rows that share a value of this column; by default one row.",
            show_default=False,
        ),
    ] = None,
    adjacency: Adjacency = AdjacencyName.add_remove,
    calculus: Annotated[
        CalculusName | None,
        typer.Option("--calculus", help="In which releases add up; zcdp also admits OpenDP's noise."),
    ] = None,
    delta_aside: Annotated[
        float,
        typer.Option(
            "--delta-aside", metavar="D", help="The part of delta kept for finding categories by thresholds."
        ),
    ] = 0.0,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Give a data set a budget, in a new book or in one that is there.

    A budget is for good: it is never raised, lowered or taken away. No row is read.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    from dpsynth.accountant import Accountant  # noqa: PLC0415  -- lazy: `--help` needs no book

    made = Accountant.create(
        book,
        dataset=dataset,
        epsilon=epsilon,
        delta=delta,
        unit="row" if unit_column is None else unit_column,
        adjacency=adjacency.value,
        calculus=None if calculus is None else calculus.value,
        delta_aside=delta_aside,
    )
    (totals,) = made.show(dataset)
    lines = [
        hung(
            f"{book}: data set {dataset} may spend epsilon {epsilon:g}, delta {delta:g} in all its releases",
            2,
        ),
        f"  protects {_whom(totals)}",
        f"  budget {_currency(totals)} = {float(totals.budget):.6g}",
        hung(f"Next: dpsynth fit ... --book {book} --dataset {dataset}", 6),
    ]
    screen.show({"book": str(book), **totals.to_dict()}, "\n".join(lines))


def show(
    context: typer.Context,
    *,
    book: Book,
    dataset: DatasetName = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what each data set may spend, has spent and has left.

    Reservations that are not settled count in full, whether their fits are under way or were broken off.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    from dpsynth.accountant import Accountant  # noqa: PLC0415  -- lazy: `--help` needs no book

    found = Accountant.open(book)
    totals, (number, head) = found.show(dataset), found.head
    content = {
        "book": str(book),
        "records": number,
        "head": head,
        "datasets": [t.to_dict() for t in totals],
    }
    screen.show(content, "" if screen.as_json else _shown(book, totals, number, head))


def history(
    context: typer.Context,
    *,
    book: Book,
    dataset: DatasetName = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show every reservation, what became of it, and what its acts were for.

    With --json every act is listed with its noise, columns and price.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    from dpsynth.accountant import Accountant  # noqa: PLC0415  -- lazy: `--help` needs no book

    releases = Accountant.open(book).history(dataset)
    content = {"book": str(book), "releases": [release.to_dict() for release in releases]}
    screen.show(content, "" if screen.as_json else _told(book, releases))


def _shown(book: Path, totals: Sequence[Totals], number: int, head: str) -> RenderableType:
    rows = [
        [
            t.name,
            "row" if t.unit == "row" else t.unit,
            f"{t.delta:g}",
            f"{t.epsilon:g}",
            _up(t.epsilon_spent),
            f"{t.epsilon_left:g}",
            f"{float(t.spent / t.budget):.1%}",
            str(t.releases),
            str(len(t.open)),
        ]
        for t in totals
    ]
    heads = ("data set", "unit", "delta", "epsilon", "spent", "left", "used", "releases", "open")
    notes = [
        "spent: as an epsilon, reservations included. left: what one more release at this",
        "delta may have. They do not add up to epsilon: mu^2 or rho adds, epsilon does not.",
    ]
    for t in totals:
        if t.open:
            listed = ", ".join(f"{number} ({_minute(at)})" for number, at in t.open[:6])
            more = f" and {len(t.open) - 6} more" if len(t.open) > 6 else ""
            notes.append(
                f"open in {t.name}: record {listed}{more}; under way or broken off, and counted in full "
                "unless the fit still settles them"
            )
    return _page(f"{book}: {number} records", heads, rows, 2, [*notes, f"head: {head}"])


def _told(book: Path, releases: Sequence[History]) -> RenderableType:
    rows: list[list[str]] = []
    for r in releases:
        what = f"{_minute(r.at)} {r.dataset}, {r.mechanism}"
        figures = [f"{r.epsilon:g}", f"{r.delta:g}", str(len(r.acts)), f"{float(r.cost):.4g}"]
        rows.append([str(r.number), what, *figures, r.state])
        prices: dict[str, float] = {}
        for act in r.acts:
            prices[act.purpose] = prices.get(act.purpose, 0.0) + float(act.price)
        for purpose, count in r.purposes.items():
            rows.append(["", f"  {purpose}", "", "", str(count), f"{prices[purpose]:.4g}", ""])
    heads = ("record", "when (UTC), data set, mechanism", "epsilon", "delta", "acts", "cost", "state")
    notes = [
        "cost: in the data set's currency (mu^2, rho or epsilon). open: not settled, counted in full.",
    ]
    return _page(f"{book}: {len(releases)} releases", heads, rows, 2, notes)


def _page(
    title: str, heads: Iterable[str], rows: Iterable[Sequence[str]], left: int, notes: Iterable[str]
) -> RenderableType:
    """Draw a table for a terminal of 80 columns or more; so many columns are set to the left."""
    from rich import box  # noqa: PLC0415  -- lazy: `--help` needs no tables
    from rich.console import Group  # noqa: PLC0415  -- lazy, as above
    from rich.table import Table  # noqa: PLC0415  -- lazy, as above
    from rich.text import Text  # noqa: PLC0415  -- lazy, as above

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for i, name in enumerate(heads):
        table.add_column(name, justify="left" if i < left or name == "state" else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return Group(Text(title), table, *(Text(hung(note, 2)) for note in notes))


def _whom(totals: Totals) -> str:
    what = "one row" if totals.unit == "row" else f"all rows of one {totals.unit}"
    return f"{what} ({totals.adjacency})"


def _currency(totals: Totals) -> Any:
    return totals.to_dict()["currency"]


def _minute(at: str) -> str:
    return f"{at[:10]} {at[11:16]}"


def _up(value: float) -> str:
    """Write a number with four digits, rounded up: the safe side of a cost."""
    from decimal import ROUND_CEILING, Context, Decimal  # noqa: PLC0415  -- lazy, as above

    return f"{Decimal(repr(value)).normalize(Context(prec=4, rounding=ROUND_CEILING)):f}"
