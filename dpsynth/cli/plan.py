"""``dpsynth plan``: what a fit will measure and what it will cost, before any row is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpsynth.cli.options import (
    Adjacency,
    AdjacencyName,
    AsJson,
    Delta,
    Epsilon,
    MechanismName,
    ModelSize,
    Noise,
    NoiseName,
    Quiet,
    SchemaFile,
    Seconds,
    WorkloadText,
)
from dpsynth.cli.screen import hung, screen_of

if TYPE_CHECKING:
    from pathlib import Path

    from dpsynth.synthesizer import Synthesizer

__all__ = ["configure", "plan"]


def plan(
    context: typer.Context,
    *,
    schema: SchemaFile,
    epsilon: Epsilon,
    delta: Delta,
    mechanism: MechanismName = None,
    workload: WorkloadText = None,
    model_size: ModelSize = None,
    seconds: Seconds = None,
    rows: Annotated[
        int | None,
        typer.Option("--rows", metavar="N", help="A public guess of the number of rows, for warnings."),
    ] = None,
    noise: Noise = NoiseName.exact,
    adjacency: Adjacency = AdjacencyName.add_remove,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what a fit will measure, at what price and with how much memory. No row is read."""
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    terms = {"workload": workload, "model_size": model_size, "seconds": seconds}
    terms["adjacency"] = adjacency.value
    found = configure(schema, epsilon, delta, mechanism, noise, **terms).plan(rows=rows)
    screen.show(found.to_dict(), "\n".join(hung(line, 4) for line in str(found).splitlines()))


def configure(
    schema: Path, epsilon: float, delta: float, mechanism: str | None, noise: NoiseName, **terms: Any
) -> Synthesizer:
    """Read a schema and join it with a guarantee, a mechanism and the terms it is to keep.

    Raises:
        SchemaError, GuaranteeError, InputError: as :class:`~dpsynth.synthesizer.Synthesizer` says.
    """
    from dpsynth.schema import read_schema  # noqa: PLC0415  -- lazy: `--help` needs no schema
    from dpsynth.synthesizer import Synthesizer  # noqa: PLC0415  -- lazy, as above

    return Synthesizer(
        read_schema(schema), epsilon=epsilon, delta=delta, mechanism=mechanism, noise=noise.value, **terms
    )
