"""An audit as Markdown: a table of all findings, then each with its numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from dpsynth.audit.finding import Audit, Finding
from dpsynth.report.wording import (
    CONFIDENTIAL,
    LEVELS,
    READING,
    VERDICTS,
    counted,
    figure,
    numbers_of,
    span,
    subject_lines,
)

__all__ = ["to_markdown"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~!&])")
_MOST_DETAILS = 4000


def to_markdown(audit: Audit, *, confidential: bool = False) -> str:
    """Write an audit as Markdown.

    Args:
        audit: All of whose findings are written: part publishable from confidential ones first.
        confidential: Whether to say at the top that it must not leave.
    """
    lines = ["# Audit" + (": confidential annex" if confidential else ""), ""]
    if confidential:
        lines += [f"**{CONFIDENTIAL}**", ""]
    lines += [READING, "", *_table(("what was audited", ""), subject_lines(audit.subject))]
    ran = ", ".join(level.value for level in audit.levels) or "none"
    lines += [
        "",
        f"Levels run: {ran}. Made {_text(audit.made)}, in {figure(round(audit.seconds, 1))} seconds.",
        "",
    ]
    verdicts = [(v.value, str(n), VERDICTS[v]) for v, n in counted(audit)]
    lines += _table(("verdict", "findings", "it means"), verdicts)
    rows = [
        (f.verdict.value, f.check, figure(f.value), f.unit, span(f), figure(f.ceiling), str(f.trials or "—"))
        for f in audit.findings
    ]
    header = ("verdict", "check", "found", "of", "interval", "allowed at most", "trials")
    lines += ["", *_table(header, rows)]
    for level, said in LEVELS.items():
        own = [finding for finding in audit.findings if finding.level is level]
        if own:
            lines += ["", f"## {said}"]
            for finding in own:
                lines += _finding(finding)
    return "\n".join(lines) + "\n"


def _finding(finding: Finding) -> list[str]:
    lines = ["", f"### {_text(finding.check)}: {finding.verdict.value}", "", _text(finding.summary), ""]
    lines += [f"- {_text(name)}: {_text(value)}" for name, value in numbers_of(finding)]
    if finding.details:
        text = json.dumps(dict(finding.details), ensure_ascii=True, indent=2)
        cut = (
            text
            if len(text) <= _MOST_DETAILS
            else f"{text[:_MOST_DETAILS]}\n... (all of it is in audit.json)"
        )
        lines += ["", *(f"    {line}" for line in cut.splitlines())]
    return lines


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(c if i < 2 else _text(c) for c in cells)} |" for i, cells in enumerate(lines)]


def _text(text: str) -> str:
    """Write a text so that nothing in it is read as Markdown or HTML."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
