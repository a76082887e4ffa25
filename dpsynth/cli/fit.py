"""``dpsynth fit``: from a private table to a release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpsynth.cli.options import AsJson, Delta, Epsilon, Force, MechanismName, Noise, NoiseName, Quiet
from dpsynth.cli.paths import require_file, require_room
from dpsynth.cli.plan import configure
from dpsynth.cli.screen import screen_of

__all__ = ["fit"]


def fit(
    context: typer.Context,
    *,
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="The private table (.csv, .parquet).", show_default=False)
    ],
    schema: Annotated[
        Path,
        typer.Option(
            "--schema", metavar="FILE", help="The schema, without review marks.", show_default=False
        ),
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
    mechanism: MechanismName = "mst",
    noise: Noise = NoiseName.exact,
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Measure a private table under one guarantee and write a release.

    Every fit spends its whole epsilon: two releases of the same people cost the sum.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    synth = configure(schema, epsilon, delta, mechanism, noise)
    synth.schema.require_reviewed()
    synth.plan()
    require_file(data, "table")
    require_room(out, force=force, keep=(data, schema))
    with screen.progress() as report:
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
        },
        f"Wrote {out}\n"
        f"  guarantee  {statement.guarantee}\n"
        f"  spent      epsilon {statement.epsilon_spent:.6g} in {len(statement.entries)} acts ({mechanism})\n"
        f"  rows       about {round(release.model.total):,} (a noisy number)\n"
        f"Next: dpsynth verify {out}\n"
        f"      dpsynth sample {out} --out synthetic.csv",
    )
