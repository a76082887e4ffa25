"""``dpsynth audit``: attacks on a promise, and what they found."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpsynth.cli.options import (
    AdjacencyName,
    AsJson,
    Force,
    MechanismName,
    NoiseName,
    Quiet,
    WorkloadText,
)
from dpsynth.cli.paths import require_file, require_folder
from dpsynth.cli.screen import hung, screen_of
from dpsynth.errors import InputError

if TYPE_CHECKING:
    from dpsynth.audit.finding import Audit
    from dpsynth.synthesizer import Synthesizer

__all__ = ["audit"]


class LevelName(StrEnum):
    """The levels, and all of them."""

    unit = "unit"
    mechanism = "mechanism"
    data = "data"
    all = "all"


def audit(
    context: typer.Context,
    *,
    release: Annotated[
        Path | None,
        typer.Argument(metavar="[RELEASE]", help="The release to audit.", show_default=False),
    ] = None,
    level: Annotated[
        list[LevelName] | None,
        typer.Option(
            "--level",
            help="unit: acts and noise, minutes. mechanism: attacks on made-up tables, some ten minutes. "
            "data: attacks on real rows, confidential. May be given several times.  [default: unit]",
            show_default=False,
        ),
    ] = None,
    real: Annotated[
        Path | None,
        typer.Option("--real", metavar="DATA", help="Level data: the rows the release was fitted on."),
    ] = None,
    holdout: Annotated[
        Path | None,
        typer.Option("--holdout", metavar="DATA", help="Level data: rows of other people, kept from it."),
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option("--schema", metavar="FILE", help="Without a release: on tables of this schema."),
    ] = None,
    epsilon: Annotated[
        float | None, typer.Option("--epsilon", metavar="E", help="Without a release: of the guarantee.")
    ] = None,
    delta: Annotated[
        float | None, typer.Option("--delta", metavar="D", help="Without a release: of the guarantee.")
    ] = None,
    mechanism: MechanismName = None,
    workload: WorkloadText = None,
    noise: Annotated[
        NoiseName | None,
        typer.Option("--noise", help="Without a release: the source of noise.  [default: exact]"),
    ] = None,
    adjacency: Annotated[
        AdjacencyName | None,
        typer.Option(
            "--adjacency", help="Without a release: which tables are neighbours.  [default: add-remove]"
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="S", help="Of all chance but noise, which has no seed.")
    ] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer trials where a level allows: less power.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Write audit.json, AUDIT.md and audit.html; what is confidential into DIR/confidential.",
            show_default=False,
        ),
    ] = None,
    force: Force = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Attack a promise and say what was found, with exit code 4 when it is broken.

    Of a release, or of a guarantee on tables of a schema or of the audit's own; without any, of everything in
    the library. Levels unit and mechanism need no private row. What level data finds is not private: it
    goes to DIR/confidential alone.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    levels = _levels(level or [LevelName.unit])
    alone = {
        "--schema": schema,
        "--epsilon": epsilon,
        "--delta": delta,
        "--mechanism": mechanism,
        "--noise": noise,
        "--adjacency": adjacency,
    }
    given = [name for name, value in alone.items() if value is not None]
    if release is not None and given:
        raise InputError(f"{given[0]} is for an audit without a release; a release states its own")
    _require_tables(levels, release, real, holdout, out)
    if out is not None:
        _require_free(out, force=force)
    from dpsynth.audit.running import run  # noqa: PLC0415  -- lazy: `--help` needs no audit

    subject: Any = release
    if release is None and (given or levels != ["unit"]):
        if epsilon is None or delta is None:
            raise InputError("name a release, or give both --epsilon and --delta")
        subject = _configured(
            schema,
            epsilon=epsilon,
            delta=delta,
            mechanism=mechanism,
            workload=workload,
            noise=noise or NoiseName.exact,
            adjacency=adjacency or AdjacencyName.add_remove,
        )
    with screen.progress() as report:
        found = run(
            subject,
            levels=levels,
            real=real,
            holdout=holdout,
            seed=seed,
            quick=quick,
            workload=None if given else workload,  # the synthesizer has it
            progress=report,
        )
    files = []
    if out is not None:
        from dpsynth.report.folder import write_audit  # noqa: PLC0415  -- lazy, as above

        files = write_audit(found, out)
    screen.show(_content(found, files), _text(found, files, out))
    if found.violations:
        raise typer.Exit(4)


def _levels(names: list[LevelName]) -> list[str]:
    if LevelName.all in names:
        return [name.value for name in LevelName if name is not LevelName.all]
    return [name.value for name in dict.fromkeys(names)]


def _require_tables(
    levels: list[str], release: Path | None, real: Path | None, holdout: Path | None, out: Path | None
) -> None:
    """Refuse level data without what it needs, and what it needs without it, before anything is run."""
    if "data" not in levels:
        if real is not None or holdout is not None:
            raise InputError("--real and --holdout are for --level data")
        return
    if release is None or real is None or holdout is None:
        raise InputError(
            "--level data attacks a release with the rows it was fitted on and rows it never saw: name a "
            "release, --real DATA and --holdout DATA"
        )
    if out is None:
        raise InputError("--level data writes a confidential annex: name a folder with --out DIR")
    require_file(real, "table")
    require_file(holdout, "table")


def _require_free(out: Path, *, force: bool) -> None:
    """Refuse a folder that holds something, unless it may be replaced.

    Raises:
        InputError: likewise, or there is a file, or the folder above is absent.
    """
    if out.exists():
        require_folder(out)
        if any(out.iterdir()) and not force:
            raise InputError(
                f"{out}: holds something already; choose another folder, or replace it with --force"
            )
        return
    require_folder(out.absolute().parent)


def _configured(
    schema: Path | None, *, noise: NoiseName, adjacency: AdjacencyName, **terms: Any
) -> Synthesizer:
    from dpsynth.audit.running import OWN_TABLES  # noqa: PLC0415  -- lazy: `--help` needs no audit
    from dpsynth.schema import read_schema  # noqa: PLC0415  -- lazy, as above
    from dpsynth.synthesizer import Synthesizer  # noqa: PLC0415  -- lazy, as above

    read = OWN_TABLES if schema is None else read_schema(schema)
    return Synthesizer(read, noise=noise.value, adjacency=adjacency.value, **terms)


def _content(found: Audit, files: list[Path]) -> dict[str, Any]:
    """Return what a program is told: of what is confidential, that there is something and where."""
    return {
        "audit": found.publishable.to_dict(),
        "violations": len(found.publishable.violations),
        "confidential": len(found.confidential.findings),
        "files": [str(file) for file in files],
    }


def _text(found: Audit, files: list[Path], out: Path | None) -> str:
    from dpsynth.report.wording import counted, figure, span, subject_lines  # noqa: PLC0415  -- lazy: `--help`

    shown = found.publishable
    said = dict(subject_lines(shown.subject))
    promise = f" at epsilon {said['epsilon']}, delta {said['delta']}" if "epsilon" in said else ""
    promise += f" ({said['adjacency']}, unit {said['unit']})" if "epsilon" in said else ""
    lines = [hung(f"Audit of {said['mechanism']}{promise}", 2)]
    for finding in shown.findings:
        numbers = [f"{figure(finding.value)} {finding.unit}"] if finding.value is not None else []
        numbers += [span(finding)] if finding.interval is not None else []
        numbers += [f"allowed {figure(finding.ceiling)}"] if finding.ceiling is not None else []
        lines.append(
            hung(f"  {finding.verdict.value:<12}  {finding.check}: {'; '.join(numbers)}".rstrip(": "), 16)
        )
        lines.append(hung(f"                {finding.summary}", 16))
    counts = ", ".join(f"{number} {verdict.value}" for verdict, number in counted(shown))
    lines += ["", f"{len(shown.findings)} findings: {counts}."]
    hidden = found.confidential.findings
    if files:
        lines.append(f"Wrote {', '.join(str(file) for file in files[:3])}")
    if hidden:
        lines.append(hung(f"CONFIDENTIAL, never to leave: {len(hidden)} findings in {out}/confidential", 2))
    verdict = "No broken promise was found; that is no proof that it is kept."
    if found.violations:
        verdict = "A promise is BROKEN: do not release; docs/audit.md says how to read it."
    return "\n".join([*lines, verdict])
