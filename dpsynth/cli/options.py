"""Options that several commands share, so that they mean and read the same everywhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Adjacency",
    "AdjacencyName",
    "AsJson",
    "Book",
    "BookFile",
    "DatasetName",
    "Delta",
    "Epsilon",
    "Force",
    "MechanismName",
    "ModelSize",
    "Noise",
    "NoiseName",
    "Quiet",
    "SchemaFile",
    "Seconds",
    "WorkloadText",
]


class NoiseName(StrEnum):
    """The noise backends."""

    exact = "exact"
    opendp = "opendp"


class AdjacencyName(StrEnum):
    """Which tables are neighbours."""

    add_remove = "add-remove"
    replace_one = "replace-one"


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result, or the error, as one JSON object.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the output if it exists.")]
Book = Annotated[
    Path, typer.Argument(metavar="BOOK", help="The budget book (an SQLite file).", show_default=False)
]
BookFile = Annotated[
    Path | None,
    typer.Option("--book", metavar="BOOK", help="Reserve the budget in this book first.", show_default=False),
]
DatasetName = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help="Which data set of the book; needed if it has several.",
        show_default=False,
    ),
]
SchemaFile = Annotated[
    Path, typer.Argument(metavar="SCHEMA", help="The schema file (YAML).", show_default=False)
]
Epsilon = Annotated[
    float,
    typer.Option("--epsilon", metavar="E", help="Of the guarantee; commonly 0.1 to 10.", show_default=False),
]
Delta = Annotated[
    float,
    typer.Option(
        "--delta",
        metavar="D",
        help="Of the guarantee; far below one over the number of people. 0: pure epsilon.",
        show_default=False,
    ),
]
Adjacency = Annotated[
    AdjacencyName,
    typer.Option("--adjacency", help="Whether a person comes or goes, or replaces another (more noise)."),
]
MechanismName = Annotated[
    str | None,
    typer.Option(
        "--mechanism",
        metavar="NAME",
        help="What to measure: oneshot, aim, mst, privbayes, fixed or independent.  "
        "[default: oneshot; mst where delta is 0]",
        show_default=False,
    ),
]
WorkloadText = Annotated[
    str | None,
    typer.Option(
        "--workload",
        metavar="W",
        help="The marginals that matter: all-3-way, target:COLUMN or a YAML file. If the mechanism takes it.",
    ),
]
ModelSize = Annotated[
    float | None,
    typer.Option("--model-size", metavar="MB", help="Most memory for the model. If the mechanism takes it."),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--seconds", metavar="S", help="When to spend what is left at once. If the mechanism takes it."
    ),
]
Noise = Annotated[
    NoiseName,
    typer.Option(
        "--noise",
        help="Exactly rounded Gaussian (delta 0: discrete Laplace), or OpenDP's discrete ones (slower).",
    ),
]
