"""``dpsynth sample``: rows from a release. Free: nothing private is read."""

from __future__ import annotations

import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dpsynth.cli.options import AsJson, Force, Quiet
from dpsynth.cli.paths import replacing, require_room
from dpsynth.cli.screen import screen_of
from dpsynth.errors import InputError

__all__ = ["sample"]


class MethodName(StrEnum):
    """The ways of drawing rows."""

    systematic = "systematic"
    iid = "iid"


TableFile = Annotated[
    Path,
    typer.Option(
        "--out", "-o", metavar="FILE", help="The table to write: .csv or .parquet.", show_default=False
    ),
]
Described = Annotated[
    bool,
    typer.Option("--croissant", help="Also write FILE.croissant.json: metadata in MLCommons' Croissant."),
]
Licence = Annotated[
    str | None,
    typer.Option("--licence", metavar="URL", help="For the metadata: the licence.", show_default=False),
]
TableName = Annotated[
    str | None,
    typer.Option("--name", metavar="TEXT", help="For the metadata: a name.", show_default="FILE's"),
]
Appearance = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="For the metadata: where it appears.", show_default=False),
]
Rows = Annotated[
    int | None,
    typer.Option("-n", "--rows", metavar="N", help="Rows to draw.", show_default="as many as are estimated"),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="S", help="For the same rows again.", show_default="drawn and told"),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="CONDITION",
        help="Rows with these values only: sex=Female, ward=north,south, age=30..40, paid=missing. "
        "May be repeated, once a column.",
        show_default=False,
    ),
]


def sample(
    context: typer.Context,
    *,
    release: Annotated[
        Path, typer.Argument(metavar="RELEASE", help="The release to draw from.", show_default=False)
    ],
    out: TableFile,
    rows: Rows = None,
    seed: Seed = None,
    method: Annotated[
        MethodName,
        typer.Option("--method", help="Counts as close to the model as integers allow, or independent rows."),
    ] = MethodName.systematic,
    where: Where = None,
    croissant: Described = False,
    licence: Licence = None,
    name: TableName = None,
    url: Appearance = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Draw synthetic rows from a release. This costs no privacy: draw as often as you like.

    In a CSV file a missing value is an empty field.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    if out.suffix.lower() not in {".csv", ".parquet"}:
        raise InputError(f"{out}: unknown kind of table; end the name in .csv or .parquet")
    require_room(out, force=force, keep=(release,))
    described = out.with_name(f"{out.name}.croissant.json")
    if croissant:
        require_room(described, force=force, keep=(release,))
    elif licence or name or url:
        raise InputError("--licence, --name and --url are for the metadata that --croissant writes; add it")
    from dpsynth.cli.where import conditions_of  # noqa: PLC0415  -- lazy, as below
    from dpsynth.data.writing import write_table  # noqa: PLC0415  -- lazy: `--help` needs no tables
    from dpsynth.release import bundle  # noqa: PLC0415  -- lazy, as above
    from dpsynth.release.croissant import croissant_of  # noqa: PLC0415  -- lazy, as above
    from dpsynth.release.documents import dump  # noqa: PLC0415  -- lazy, as above

    chosen = secrets.randbits(63) if seed is None else seed
    with screen.progress() as report:
        report("reading the release", 0.0)
        found = bundle.load(release)
        conditions = conditions_of(found.schema, where or [])
        report("drawing rows", 0.0)
        table = found.sample(rows, seed=chosen, method=method.value, frame="pandas", where=conditions)
        with replacing(out) as file:
            write_table(table, file, found.schema, progress=lambda done: report("writing rows", done))
            if croissant:
                named = {"name": name, "licence": licence, "url": url}
                metadata = croissant_of(
                    file,
                    found.schema,
                    found.statement,
                    file_name=out.name,
                    rows=len(table),
                    seed=chosen,
                    where=where or (),
                    **named,
                )
        if croissant:
            with replacing(described) as file:
                file.write_bytes(dump(metadata))
    screen.show(
        {
            "table": str(out),
            "rows": len(table),
            "columns": list(map(str, table.columns)),
            "seed": chosen,
            "method": method.value,
            "where": where or [],
            **({"croissant": str(described)} if croissant else {}),
        },
        f"Wrote {out}: {len(table):,} rows, {len(table.columns)} columns (seed {chosen})"
        + (f"\nWrote {described}" if croissant else ""),
    )
