"""``dpsynth explain``: what a guarantee, or a release, means for one person."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dpsynth.cli.options import AsJson, Force, Noise, NoiseName, Quiet
from dpsynth.cli.paths import replacing, require_room
from dpsynth.cli.screen import hung, screen_of
from dpsynth.errors import InputError

__all__ = ["explain"]


class AdjacencyName(StrEnum):
    """The two kinds of neighbours."""

    add_remove = "add-remove"
    replace_one = "replace-one"


def explain(
    context: typer.Context,
    *,
    release: Annotated[
        Path | None,
        typer.Argument(metavar="[RELEASE]", help="A release: what it promised and what it spent."),
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option("--epsilon", metavar="E", help="Of a guarantee.", show_default=False)
    ] = None,
    delta: Annotated[
        float | None, typer.Option("--delta", metavar="D", help="Of a guarantee.", show_default=False)
    ] = None,
    unit: Annotated[
        str, typer.Option("--unit", metavar="COLUMN", help="Whose privacy: a row, or a column's value.")
    ] = "row",
    rows_per_unit: Annotated[
        int, typer.Option("--rows-per-unit", metavar="K", help="Most rows of one unit.")
    ] = 1,
    adjacency: Annotated[
        AdjacencyName, typer.Option("--adjacency", help="Whether a unit comes or goes, or replaces another.")
    ] = AdjacencyName.add_remove,
    noise: Noise = NoiseName.exact,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Also draw it: .png or .svg. Needs the extra 'plot'.",
            show_default=False,
        ),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Say what a guarantee bounds for one person: no attacker does better, whatever they know.

    For a guarantee of your own, or for a release. No row is read; nothing is spent.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    if plot is not None:
        if plot.suffix.lower() not in {".png", ".svg"}:
            raise InputError(f"{plot}: a plot is a .png or .svg file; end the name so")
        require_room(plot, force=force, keep=() if release is None else (release,))
    from dpsynth.release.explanation import explain as explained  # noqa: PLC0415  -- lazy: `--help` needs none

    found = explained(
        release,
        epsilon=epsilon,
        delta=delta,
        unit=unit,
        rows_per_unit=rows_per_unit,
        adjacency=adjacency.value,
        noise=noise.value,
    )
    content = found.to_dict()
    lines = [hung(line, 2) if i == 0 else line for i, line in enumerate(str(found).splitlines())]
    if plot is not None:
        with replacing(plot) as file:
            found.plot(file)
        content["plot"] = str(plot)
        lines += ["", f"Drew {plot}"]
    screen.show(content, "\n".join(lines))
