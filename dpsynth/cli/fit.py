"""``dpsynth fit``: from a private table to a release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from warnings import catch_warnings

import typer

from dpsynth.cli.options import (
    AsJson,
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
from dpsynth.errors import ReleaseError

if TYPE_CHECKING:
    from dpsynth.schema import Schema

__all__ = ["fit"]


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
    mechanism: MechanismName = "oneshot",
    workload: WorkloadText = None,
    model_size: ModelSize = None,
    seconds: Seconds = None,
    noise: Noise = NoiseName.exact,
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure a private table under one guarantee and write a release.

    Every fit spends its whole epsilon: two releases of the same people cost the sum.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    terms = {"workload": workload, "model_size": model_size, "seconds": seconds}
    synth = configure(schema, epsilon, delta, mechanism, noise, **terms)
    _require_reviewed(synth.schema)
    warnings = synth.plan().warnings
    require_file(data, "table")
    require_room(out, force=force, keep=(data, schema))
    _require_release(out)
    _require_columns(data, synth.schema)
    for warning in warnings:
        screen.say(hung(f"warning: {warning}", 2))
    with screen.progress() as report, catch_warnings(action="ignore", category=UserWarning):  # said above
        release = synth.fit(data, progress=report)
        report("writing the release", 0.0)
        release.save(out)
    statement = release.statement
    screen.show(
        {
            "release": str(out),
            "mechanism": statement.mechanism,
            "guarantee": {
                "epsilon": statement.guarantee.epsilon,
                "delta": statement.guarantee.delta,
                "unit": statement.guarantee.unit,
                "rows_per_unit": statement.guarantee.rows_per_unit,
            },
            "epsilon_spent": statement.epsilon_spent,
            "acts": len(statement.entries),
            "noisy_rows": round(release.model.total),
            "warnings": list(warnings),
        },
        f"Wrote {out}\n"
        f"{hung(f'  {statement.guarantee}', 2)}\n"
        f"  spent: epsilon {statement.epsilon_spent:.6g} in {len(statement.entries)} acts ({mechanism})\n"
        f"  rows: about {round(release.model.total):,} (a noisy number)\n"
        f"Next: dpsynth verify {out}\n"
        f"      dpsynth sample {out} --out synthetic.csv",
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
