"""``dpsynth fit``: from a private table to a release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from warnings import catch_warnings

import typer

from dpsynth.cli.options import (
    Adjacency,
    AdjacencyName,
    AsJson,
    BookFile,
    DatasetName,
    Delta,
    Epsilon,
    Force,
    MechanismName,
    ModelSize,
    Noise,
    NoiseName,
    Quiet,
    Seconds,
    WorkloadText,
)
from dpsynth.cli.paths import require_file, require_room
from dpsynth.cli.plan import configure
from dpsynth.cli.screen import hung, screen_of
from dpsynth.errors import InputError, ReleaseError

if TYPE_CHECKING:
    from dpsynth.accountant import Accountant
    from dpsynth.accountant.totals import Totals
    from dpsynth.release.release import Release
    from dpsynth.schema import Schema

__all__ = ["account_line", "accountant_of", "fit"]


def fit(
    context: typer.Context,
    *,
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="The private table (.csv, .parquet).", show_default=False)
    ],
    schema: Annotated[
        Path,
        typer.Option("--schema", metavar="FILE", help="The schema file, reviewed.", show_default=False),
    ],
    epsilon: Epsilon,
    delta: Delta,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="RELEASE",
            help="The release to write: NAME.dpsynth is one file, any other name a folder.",
            show_default=False,
        ),
    ],
    mechanism: MechanismName = None,
    workload: WorkloadText = None,
    model_size: ModelSize = None,
    seconds: Seconds = None,
    noise: Noise = NoiseName.exact,
    adjacency: Adjacency = AdjacencyName.add_remove,
    book: BookFile = None,
    dataset: DatasetName = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure a private table under one guarantee and write a release.

    Every fit spends its whole epsilon: two releases of the same people cost the sum. A budget book keeps
    that account: with --book a fit is refused, before it reads a row, where its data set has no room.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    terms = {"workload": workload, "model_size": model_size, "seconds": seconds}
    terms["adjacency"] = adjacency.value
    synth = configure(schema, epsilon, delta, mechanism, noise, **terms)
    _require_reviewed(synth.schema)
    warnings = synth.plan().warnings
    require_file(data, "table")
    require_room(out, force=force, keep=(data, schema, *([book] if book else [])))
    _require_release(out)
    _require_columns(data, synth.schema)
    accountant = accountant_of(book, dataset)
    for warning in warnings:
        screen.say(hung(f"warning: {warning}", 2))
    with screen.progress() as report, catch_warnings(action="ignore", category=UserWarning):  # said above
        release = synth.fit(data, progress=report, accountant=accountant, dataset=dataset)
        report("writing the release", 0.0)
        release.save(out)
    statement = release.statement
    totals = accountant.show(statement.book.dataset)[0] if accountant and statement.book else None
    booked = "" if totals is None else f"{hung(account_line(book, totals), 4)}\n"
    content = _content(release, out, warnings)
    if totals is not None:
        content["book"] = {"path": str(book), **totals.to_dict()}
    screen.show(
        content,
        f"Wrote {out}\n"
        f"{hung(f'  {statement.guarantee}', 2)}\n"
        f"  spent: epsilon {statement.epsilon_spent:.6g} in {len(statement.entries)} acts "
        f"({statement.mechanism})\n"
        f"  rows: about {round(release.model.total):,} (a noisy number)\n"
        f"{booked}"
        f"Next: dpsynth verify {out}\n"
        f"      dpsynth sample {out} --out synthetic.csv",
    )


def _content(release: Release, out: Path, warnings: Sequence[str]) -> dict[str, Any]:
    """Return what a program is told of a fit."""
    statement = release.statement
    guarantee = statement.guarantee
    return {
        "release": str(out),
        "mechanism": statement.mechanism,
        "guarantee": {
            "epsilon": guarantee.epsilon,
            "delta": guarantee.delta,
            "unit": guarantee.unit,
            "rows_per_unit": guarantee.rows_per_unit,
            **({"adjacency": guarantee.adjacency} if guarantee.sides == 2 else {}),
        },
        "epsilon_spent": statement.epsilon_spent,
        "acts": len(statement.entries),
        "noisy_rows": round(release.model.total),
        "warnings": list(warnings),
    }


def accountant_of(book: Path | None, dataset: str | None) -> Accountant | None:
    """Open the book, if there is one, so that what is wrong with it is said before anything else is done.

    Raises:
        InputError: a data set is named without a book, or is not in it.
        BookError, VerificationError: the book cannot be opened, or was altered.
    """
    if book is None:
        if dataset is not None:
            raise InputError("--dataset names a data set of a budget book; give --book as well")
        return None
    from dpsynth.accountant import Accountant  # noqa: PLC0415  -- lazy: `--help` needs no book

    accountant = Accountant.open(book)
    accountant.show(dataset)
    return accountant


def account_line(book: Path | None, totals: Totals) -> str:
    """Say what a book's data set has spent, and what one more release may have."""
    return (
        f"  book: {book}, data set {totals.name}: epsilon {totals.epsilon_spent:.6g} of {totals.epsilon:g} "
        f"spent; one more release at delta {totals.delta:g} may have {totals.epsilon_left:g}"
    )


def _require_reviewed(schema: Schema) -> None:
    """Refuse a schema that still awaits review, in one line; ``schema check`` lists every mark.

    Raises:
        SchemaError: points at the first mark.
    """
    if schema.review:
        from dpsynth.schema.document import split  # noqa: PLC0415  -- lazy: `--help` needs no schema

        raise schema.problem(
            f"{len(schema.review)} values are still marked !REVIEW; this is the first, and "
            "dpsynth schema check lists them",
            *split(schema.review[0]),
        )


def _require_release(out: Path) -> None:
    """Refuse to replace what is not a release: saving would refuse it too, but after the budget is spent.

    Raises:
        ReleaseError: something else is there.
    """
    if not out.exists():
        return
    from dpsynth.release import bundle, container  # noqa: PLC0415  -- lazy: `--help` needs no release

    if container.is_archive(out) == out.is_dir():
        raise ReleaseError(f"{out}: NAME.dpsynth is one file, any other name a folder; choose another name")
    bundle.open_bundle(out)


def _require_columns(data: Path, schema: Schema) -> None:
    """Refuse a table without the schema's columns, by its column names alone.

    Raises:
        DataError: the table cannot be opened, or names the absent columns.
    """
    from dpsynth.data.source import open_source  # noqa: PLC0415  -- lazy: `--help` needs no tables

    unit = schema.privacy_unit
    open_source(data).require([*schema.columns, *([] if isinstance(unit, str) else [unit.column])])
