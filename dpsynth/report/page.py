"""An audit as one HTML file: no script, nothing from elsewhere, readable on paper, in light and in dark."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from dpsynth.audit.finding import Audit, Finding, Verdict
from dpsynth.report.axis import draw
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

__all__ = ["to_html"]

_SIGNS = {Verdict.violation: "✕", Verdict.consistent: "✓", Verdict.inconclusive: "?"}
_STYLE = Path(__file__).with_name("page.css")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # a browser then loads and runs nothing at all


def to_html(audit: Audit, *, confidential: bool = False) -> str:
    """Write an audit as one HTML file.

    Args:
        audit: All of whose findings are written: part publishable from confidential ones first.
        confidential: Whether to say at the top that it must not leave.
    """
    title = "Audit: confidential annex" if confidential else "Audit"
    mechanism = dict(subject_lines(audit.subject)).get("mechanism", "")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(f'{title}: {mechanism}' if mechanism else title)}</title>",
        f"<style>{_STYLE.read_text(encoding='utf-8')}</style></head><body><main>",
        f"<h1>{escape(title)}</h1>",
    ]
    if confidential:
        parts.append(f'<p class="confidential" role="note"><strong>{escape(CONFIDENTIAL)}</strong></p>')
    parts += [f"<p>{escape(READING)}</p>", _subject(audit), _verdicts(audit), _contents(audit)]
    for level, said in LEVELS.items():
        own = [(i, f) for i, f in enumerate(audit.findings) if f.level is level]
        if own:
            name, _, what = said.partition(": ")
            parts.append(f"<section><h2>{escape(name)}</h2><p>{escape(what)}</p>")
            parts += [_finding(f, i) for i, f in own]
            parts.append("</section>")
    return "\n".join([*parts, _legend(), "</main></body></html>"]) + "\n"


def _subject(audit: Audit) -> str:
    rows = "".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in subject_lines(audit.subject))
    ran = escape(", ".join(level.value for level in audit.levels) or "none")
    made = f"<dt>levels run</dt><dd>{ran}</dd><dt>made</dt><dd>{escape(audit.made)}</dd>"
    took = f"<dt>seconds</dt><dd>{figure(round(audit.seconds, 1))}</dd>"
    return f'<h2>What was audited</h2><dl class="subject">{rows}{made}{took}</dl>'


def _verdicts(audit: Audit) -> str:
    items = "".join(
        f"<li>{_badge(verdict)} <strong>{count}</strong> <span>{escape(VERDICTS[verdict])}</span></li>"
        for verdict, count in counted(audit)
    )
    return f'<h2>Verdicts</h2><ul class="verdicts">{items}</ul>'


def _contents(audit: Audit) -> str:
    if not audit.findings:
        return "<p>No check was run.</p>"
    rows = "".join(
        f'<tr><td>{_badge(f.verdict)}</td><td><a href="#f{i}">{escape(f.check)}</a></td>'
        f"<td>{figure(f.value)} {escape(f.unit)}</td><td>{escape(span(f))}</td>"
        f"<td>{figure(f.ceiling)}</td></tr>"
        for i, f in enumerate(audit.findings)
    )
    head = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("verdict", "check", "found", "interval", "allowed at most")
    )
    return (
        '<h2>All findings</h2><div class="wide" role="region" aria-label="All findings" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _finding(finding: Finding, number: int) -> str:
    rows = "".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in numbers_of(finding))
    details = ""
    if finding.details:
        text = escape(json.dumps(dict(finding.details), ensure_ascii=True, indent=2))
        details = f"<details><summary>details</summary><pre>{text}</pre></details>"
    return (
        f'<article id="f{number}" class="{finding.verdict.name}"><h3>{escape(finding.check)} '
        f"{_badge(finding.verdict)}</h3><p>{escape(finding.summary)}</p>{draw(finding)}<dl>{rows}</dl>"
        f"{details}</article>"
    )


def _badge(verdict: Verdict) -> str:
    sign = f'<span aria-hidden="true">{_SIGNS[verdict]}</span>'
    return f'<span class="badge {verdict.name}">{sign} {verdict.value}</span>'


def _legend() -> str:
    return (
        "<footer><h2>How to read a picture</h2><p>The dot is what was found, the bar its interval; an arrow "
        "is an end that is not known. The solid line is the most that the guarantee allows: a bar that "
        "begins beyond it is a violation. The dashed line is the most that so many trials could have shown: "
        "where it lies short of the solid one, a violation could have been missed. The dotted line is what "
        "somebody finds who sees nothing that was released.</p></footer>"
    )
