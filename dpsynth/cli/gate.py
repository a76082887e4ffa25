"""``dpsynth gate``: whether a release keeps to a policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dpsynth.cli.options import AsJson, Quiet
from dpsynth.cli.screen import hung, screen_of

if TYPE_CHECKING:
    from dpsynth.audit.gate import Ruling

__all__ = ["gate"]


def gate(
    context: typer.Context,
    *,
    release: Annotated[
        Path, typer.Argument(metavar="RELEASE", help="The release to judge.", show_default=False)
    ],
    policy: Annotated[
        Path,
        typer.Option("--policy", metavar="FILE", help="What it must keep to (YAML).", show_default=False),
    ],
    audit: Annotated[
        list[Path] | None,
        typer.Option(
            "--audit",
            metavar="AUDIT",
            help="An audit.json of this release; may be given several times.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", metavar="PEM", help="A public key that must have signed the release.", show_default=False
        ),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Judge a release by a policy, rule by rule, and end with exit code 4 when one is broken.

    The release is verified first. An audit counts only if it is of this release. No private table is needed.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    from dpsynth.audit.finding import Audit  # noqa: PLC0415  -- lazy: `--help` needs no audit
    from dpsynth.audit.gate import judge  # noqa: PLC0415  -- lazy, as above
    from dpsynth.audit.policy import Policy  # noqa: PLC0415  -- lazy, as above

    rules = Policy.load(policy)
    ruling = judge(rules, release, {str(file): Audit.load(file) for file in audit or ()}, key=key)
    content = {"policy": str(policy), **ruling.to_dict()}
    screen.show(content, _text(ruling, policy))
    if not ruling.passed:
        raise typer.Exit(4)


def _text(ruling: Ruling, policy: Path) -> str:
    lines = [
        hung(
            f"  {'kept  ' if rule.kept else 'BROKEN'}  {rule.name}: {rule.required}; found: {rule.found}", 10
        )
        for rule in ruling.rules
    ]
    lines += [hung(f"  note    {name} does not count: {reason}", 10) for name, reason in ruling.ignored]
    broken, total = len(ruling.broken), len(ruling.rules)
    verdict = f"All {total} rules are kept: {ruling.release} passes {policy}."
    if broken:
        verdict = f"{broken} of {total} rules are broken: {ruling.release} does not pass {policy}."
    return "\n".join([*lines, "", hung(verdict, 2)])
