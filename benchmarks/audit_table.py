"""The audit of other programs as Markdown: a line a subject, and below it what was found, in both runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["audited"]

_CHECKS = {
    "calls": "what is asked, or a parameter, depends on the rows",
    "sensitivity": "what is true moves by more than is booked",
    "selection": "a choice's loss is more than the epsilon that its price stands for",
    "price": "a call's noise costs more than is booked for it",
    "total": "the movements of one run cost more than all that is claimed",
    "ledger": "prices do not add up to what is claimed",
    "outcome": "how it ends, or the form of what comes out, depends on the rows",
}
_KINDS = {
    "joins": "",
    "outside": "where a row outside the domain joins, ",
    "replaced": "where a row is replaced instead, ",
}
_HEAD = (
    "| subject | used with | pairs | replay | mu claimed | measured | runs | seen, twice | at least (95 %) |",
    "|---|---|---:|---|---:|---:|---:|---:|---:|",
)


def audited(records: Sequence[dict[str, Any]]) -> str:
    """Return the table, the findings, what the programs say of themselves, and versions."""
    if not records:
        return "Nothing has been audited yet: `python -m benchmarks.audit_peers`."
    found = [r for r in records if r.get("findings")]
    said = dict.fromkeys(f"- `{r['subject'].split(':')[0]}`: {r['says']}." for r in records if r["says"])
    parts = ["\n".join([*_HEAD, *map(_line, records)])]
    if found:
        parts += ["What was found, each in two runs with fresh noise:", "\n".join(_findings(found))]
    if said:
        parts += ["What the programs say of themselves:", "\n".join(said)]
    return "\n\n".join([*parts, *_versions(records)])


def _line(record: dict[str, Any]) -> str:
    start = [f"`{record['subject']}`", record["used"], str(len(record["pairs"]))]
    if "failed" in record:
        return f"| {' | '.join([*start, 'could not run: ' + record['failed'].replace('|', '/')])} | | | | | |"
    broken = ", ".join(f["check"] for f in record["findings"] if f["kind"] == "joins")
    cells = [*start, f"**broken**: {broken}" if broken else "kept"]
    box = record["white_box"]
    if not box:
        return f"| {' | '.join(cells)} | | | | | |"
    cells += [f"{box[0]['mu_claimed']:.2f}", f"{box[0]['mu_booked']:.2f}", str(box[0]["trials"])]
    cells += [", ".join(f"{run[key]:.2f}" for run in box) for key in ("mu", "mu_lower")]
    return f"| {' | '.join(cells)} |"


def _findings(records: Iterable[dict[str, Any]]) -> Iterable[str]:
    for record in records:
        yield f"- `{record['subject']}` ({record['used']}):"
        for finding in record["findings"]:
            ratios = [f"{r:.2f}" for r in finding["ratios"] if r is not None]
            times = f", {' and '.join(ratios)} times" if ratios else ""
            why = f" In its code: {finding['why']}." if finding.get("why") else ""
            where = f"{len(finding['pairs'])} of {finding['of']} pairs"
            said = finding["said"][0].replace("|", "/")
            start = _KINDS[finding["kind"]] + _CHECKS[finding["check"]]
            yield f"  - {start} ({where}{times}); for instance: {said}.{why}"


def _versions(records: Iterable[dict[str, Any]]) -> Iterable[str]:
    seen = {}
    notes = {}
    for r in records:
        if "versions" in r:
            program = r["subject"].split(":")[0]
            seen[program] = ", ".join(f"{k} {v}" for k, v in r["versions"].items())
            notes.update(dict.fromkeys((program, note) for note in r["notes"]))
    if notes:
        yield "What was done to make a program run:"
        yield "\n".join(f"- {program}: {note}." for program, note in notes)
    if seen:
        yield f"Versions: {'; '.join(f'{k} ({v})' for k, v in seen.items())}."
