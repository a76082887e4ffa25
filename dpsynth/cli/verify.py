"""``dpsynth verify``: recompute what a release says about itself, from the release alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpsynth.cli.options import AsJson, Quiet
from dpsynth.cli.screen import hung, screen_of

__all__ = ["verify"]


def verify(
    context: typer.Context,
    *,
    release: Annotated[
        Path, typer.Argument(metavar="RELEASE", help="The release to check.", show_default=False)
    ],
    statement: Annotated[
        bool, typer.Option("--statement", help="Also print the release's privacy statement.")
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", metavar="PEM", help="A public key that must have signed it.", show_default=False
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Recompute a release's ledger and hashes, offline, and report each check.

    Ends with exit code 4 when a check fails, or when the signature that --key asks for is missing, wrong
    or stale. No private table is needed.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    from dpsynth.release import bundle  # noqa: PLC0415  -- lazy: `--help` needs no release
    from dpsynth.release.verify import verify as recompute  # noqa: PLC0415  -- lazy, as above

    report = recompute(release, key=key)
    failed = sum(not check.passed for check in report.checks)
    verdict = (
        f"{failed} of {len(report.checks)} checks failed: do not rely on {release}"
        if failed
        else f"All {len(report.checks)} checks passed: {release} agrees with its ledger."
    )
    lines = [
        hung(f"  {'pass' if check.passed else 'FAIL'}  {check.name}: {check.detail}", 8)
        for check in report.checks
    ]
    content = {"release": str(release), **report.to_dict()}
    if statement and not failed:
        found = bundle.load(release).statement
        lines += ["", str(found)]
        content["statement"] = found.to_dict()
    screen.show(content, "\n".join([*lines, "", verdict]))
    if failed:
        raise typer.Exit(4)
