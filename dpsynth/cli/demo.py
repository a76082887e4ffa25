"""``dpsynth demo``: the whole road on a public table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dpsynth.cli.options import AsJson, Quiet
from dpsynth.cli.screen import screen_of

if TYPE_CHECKING:
    from rich.console import Group

    from dpsynth.demo import Demo

__all__ = ["demo"]


def demo(
    context: typer.Context,
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to leave the files in.")
    ] = Path("dpsynth-demo"),
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make and check a synthetic General Social Survey (public data; needs the extra 'demo')."""
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    with screen.progress() as report:
        report("loading", 0.0)
        from dpsynth.demo import run  # noqa: PLC0415  -- lazy: `--help` needs no tables

        done = run(out, progress=report)
    screen.show(done.to_dict(), "" if as_json else _picture(done))


def _picture(done: Demo) -> Group:
    """Draw the result for a terminal of 80 columns or more."""
    from rich import box  # noqa: PLC0415  -- lazy: `--help` needs no tables
    from rich.console import Group  # noqa: PLC0415  -- lazy, as above
    from rich.table import Table  # noqa: PLC0415  -- lazy, as above
    from rich.text import Text  # noqa: PLC0415  -- lazy, as above

    first, last = done.outcomes[0], done.outcomes[-1]
    columns = len(done.release.schema.columns)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("distance of synthetic from real rows")
    for name in (*(o.mechanism for o in done.outcomes), "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    for ways, count in ((1, columns), (2, columns * (columns - 1) // 2)):
        label = f"mean over all {count} {'one' if ways == 1 else 'two'}-way tables"
        errors = [o.errors[ways] for o in done.outcomes]
        ratio = first.errors[ways] / last.errors[ways]
        table.add_row(label, *(f"{e:.4f}" for e in errors), f"{ratio:.2f}")
    table.add_row("seconds to fit", *(f"{o.fit_seconds:.2f}" for o in done.outcomes), "")
    table.add_row("seconds to draw as many rows", *(f"{o.sample_seconds:.2f}" for o in done.outcomes), "")
    return Group(
        Text(f"General Social Survey 1994-2006: {done.rows:,} respondents, {columns} columns (public data)"),
        Text(f"{done.release.statement.guarantee}"),
        table,
        Text("Distance: total variation, from 0 (equal) to 1 (disjoint); lower is better."),
        Text(f"The ratio is {first.mechanism}'s to {last.mechanism}'s, the baseline without dependences."),
        Text("Three releases were made here, to compare. Of a private table all budgets would"),
        Text("add up, and the distances, being computed from real rows, would stay private."),
        Text(""),
        Text(f"Left in {done.folder}:", overflow="fold"),
        *(Text(f"  {name:<19} {what}") for name, what in done.files.items()),
        Text(f"Next: dpsynth verify {done.folder / 'happiness.dpsynth'} --statement", overflow="fold"),
    )
