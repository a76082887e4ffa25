"""Results as Markdown, written between the marks that wait for them; ``python -m benchmarks render``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.audit_table import audited
from benchmarks.peers_table import comparison, summary

__all__ = [
    "PLACES",
    "ablation",
    "audit_of_others",
    "bought",
    "goals",
    "headline",
    "planted",
    "reliability",
    "render",
    "run",
    "scale",
    "stages",
    "tightness",
]

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def _load(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())


def headline() -> str:
    """Return the table of the README: Adult, beside what other programs were measured to do."""
    adult, noise = _load("adult"), _load("noise")
    rows = [
        "| | 1-way | 2-way | 3-way | seconds | from a cold start | memory |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in ("oneshot", "mst", "independent"):
        r = adult[name]
        errors = " | ".join(f"{r[f'tvd{k}']:.4f}" for k in (1, 2, 3))
        times = f"{r['seconds']:.1f} | {r['cold_seconds']:.1f} | {r['peak_mb']:.0f} MB"
        rows.append(f"| dpsynth `{name}` | {errors} | {times} |")
    exact, opendp = (v for k, v in noise.items() if k.endswith(("(dpsynth)", "(OpenDP)")))
    what = f"""\
Adult ({adult["rows"]:,} rows, {adult["columns"]} columns), epsilon {adult["epsilon"]:g}, \
delta {adult["delta"]:g}: mean total variation distance over all
marginals, means of {adult["runs"]} fresh fits; median seconds to fit and to draw as many rows, on \
{adult["machine"]["cores"]} cores.
"""
    also = f"""
A cold start includes imports and compiling. Exact noise costs {exact:.2f} µs a number, beside \
{opendp:.0f} µs for OpenDP's
discrete Gaussian in the same run."""
    return "\n".join([what, *rows, also])


def ablation() -> str:
    """Return the table of docs/method.md: 2-way error of each variant, and its ratio to ``mst``."""
    results = _load("ablation")["results"]
    variants = list(dict.fromkeys(r["variant"] for r in results))
    errors = {(r["table"], r["epsilon"], r["variant"]): r["tvd2"] for r in results}
    rows = ["| table | epsilon | " + " | ".join(variants) + " |", "|---|---:" + "|---:" * len(variants) + "|"]
    for table, epsilon in dict.fromkeys((r["table"], r["epsilon"]) for r in results):
        base = errors[table, epsilon, "mst"]
        cells = [f"{base:.4f}"] + [
            f"{errors[table, epsilon, v]:.4f} ({errors[table, epsilon, v] / base:.2f})" for v in variants[1:]
        ]
        rows.append(f"| {table} | {epsilon:g} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def stages() -> str:
    """Return the table of docs/method.md: 2-way error with all steps, and its change without each."""
    results = _load("ablation")["stages"]
    names = [n for n in dict.fromkeys(r["without"] for r in results) if n]
    found = {(r["table"], r["epsilon"], r["without"]): r for r in results}
    rows = [
        "| table | epsilon | all steps | seconds | " + " | ".join(f"without {n}" for n in names) + " |",
        "|---|---:|---:|---:" + "|---:" * len(names) + "|",
    ]
    for table, epsilon in dict.fromkeys((r["table"], r["epsilon"]) for r in results):
        whole = found[table, epsilon, ""]
        cells = [f"{whole['tvd2']:.4f}", f"{whole['seconds']:.1f}"]
        for name in names:
            other = found[table, epsilon, name]
            change = 100 * (other["tvd2"] / whole["tvd2"] - 1)
            cells.append(f"{change:+.1f} % ({other['seconds']:.1f} s)")
        rows.append(f"| {table} | {epsilon:g} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def scale() -> str:
    """Return the table of many columns and large ones."""
    found = _load("scale")
    rows = [
        "| table | mechanism | 1-way | 2-way | estimated tables | seconds | of them sampling | peak memory |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in ("wide", "kdd_census_income"):
        for mechanism, r in found[name].items():
            rows.append(
                f"| {name}, {r['rows']:,.0f} x {r['columns']:.0f} | {mechanism} | {r['tvd1']:.4f} | "
                f"{r['tvd2']:.4f} | {r['estimated_tables']:.0f} | {r['seconds']:.0f} | "
                f"{r['sample_seconds']:.0f} | {r['peak_mb']:.0f} MB |"
            )
    return "\n".join(rows)


def goals() -> str:
    """Return the table of the default mechanism's errors beside the goals set for them."""
    found = _load("goals")
    rows = [
        "| table | epsilon | 1-way | goal | 2-way | goal | 3-way | goal | seconds |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for r in found["results"]:
        cells = [
            f"{error:.4f} ± {spread:.4f} | {goal:g}"
            for error, spread, goal in zip(r["errors"], r["standard_errors"], r["goal"], strict=True)
        ]
        rows.append(f"| {r['table']} | {r['epsilon']:g} | {' | '.join(cells)} | {r['seconds']:.1f} |")
    return "\n".join(rows)


def reliability() -> str:
    """Return the table of what was tried to make the book, the readers and the fits fail."""
    found = _load("reliability")
    kills, races, tampered = found["kills"], found["races"], found["tampered"]
    hostile, leaks = found["hostile"], found["leaks"]
    struck = ", ".join(f"{count} {where}" for where, count in kills["struck"].items())
    harmless = (
        f"{hostile['found_out']:,} found out by `verify`, {hostile['read']:,} no worse than another release"
    )
    roads = (
        f"{leaks['fits']} sources, {leaks['failures']} failures, {leaks['refusals']} refusals, "
        f"{leaks['commands']} commands"
    )
    rows = [
        ("fits with a book, killed at a random instant", f"{kills['kills']:,} ({struck})"),
        (
            "... acts lost, budgets overspent, books damaged",
            f"{_counts(kills, 'unbooked', 'overspent', 'damaged')}",
        ),
        (
            "processes racing for the last of a budget",
            f"{races['processes']:,} for {races['room_for']} places",
        ),
        ("... granted, overspent", f"{races['grants']}, {races['overspent']}"),
        ("kinds of tampering with a book", f"{tampered['kinds']}"),
        ("... detected, refused further spending", f"{_counts(tampered, 'detected', 'refused_spending')}"),
        (f"strange release files, of {len(hostile['kinds'])} kinds", f"{hostile['tried']:,}"),
        ("... refused by `load`", f"{hostile['refused']:,} ({harmless})"),
        (
            f"... other errors, or beyond {hostile['memory_limit_mb']:,} MB or 20 seconds",
            f"{hostile['broke'] + len(hostile['faults'])}",
        ),
        ("roads searched for canaries", roads),
        ("... bytes searched, canaries found", f"{leaks['bytes_scanned']:,}, {len(leaks['found'])}"),
    ]
    return "\n".join(["| tried | outcome |", "|---|---|", *(f"| {what} | {came} |" for what, came in rows)])


def _counts(found: dict[str, Any], *names: str) -> str:
    return ", ".join(f"{found[name]:,}" for name in names)


def bought() -> str:
    """Return what it costs to buy a domain instead of knowing it."""
    found = _load("bought")
    rows = [
        "| epsilon | domain | 1-way | 2-way | ratio | 100 widths | ratio | values found | bought for |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    base = {r["epsilon"]: r for r in found["results"] if r["schema"] == "public"}
    for r in found["results"]:
        due = base[r["epsilon"]]
        rows.append(
            f"| {r['epsilon']:g} | {r['schema']} | {r['tvd1']:.4f} | {r['tvd2']:.4f} | "
            f"{r['tvd2'] / due['tvd2']:.2f} | {r['tvd2_widths']:.4f} | "
            f"{r['tvd2_widths'] / due['tvd2_widths']:.2f} | {r['values_found']:.0f} | "
            f"{100 * r['share_bought']:.0f} % |"
        )
    return "\n".join(rows)


def beside_others() -> str:
    """Return the comparison with other programs, all of it."""
    return comparison(_records())


def beside_others_in_short() -> str:
    """Return the comparison with other programs on one table."""
    return summary(_records())


def audit_of_others() -> str:
    """Return what the audit of other programs found."""
    return audited(_load("audit_peers")["records"] if (RESULTS / "audit_peers.json").is_file() else [])


def _records() -> list[dict[str, Any]]:
    return _load("peers")["records"] if (RESULTS / "peers.json").is_file() else []


def tightness() -> str:
    """Return how much of what each mechanism claims its white-box audit shows."""
    rows = [
        "| mechanism | epsilon | runs a side | claimed mu | estimate | bound / claim | of what is measured |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    kept = [r for r in _load("audit_tightness")["rows"] if r["unit"] == "mu"]
    for r in sorted(kept, key=lambda r: (-r["epsilon"], r["mechanism"])):
        part = r.get("tightness_of_measured")
        rows.append(
            f"| `{r['mechanism']}` | {r['epsilon']:g} | {r['runs_a_side']:,} | {r['claimed']:.3f} | "
            f"{r['estimate']:.3f} | {r['tightness']:.2f} | {'' if part is None else f'{part:.2f}'} |"
        )
    return "\n".join(rows)


def planted() -> str:
    """Return which layers of the audit found which planted bug, and what code without one made of them."""
    found = _load("audit_mutants")
    layers = found["layers"]
    marks = {"VIOLATION": "found", "nothing": "", "inconclusive": "?", "failed": "ends in an error"}
    rows = [f"| planted | {' | '.join(layers)} | what it breaks |", "|---" * (len(layers) + 2) + "|"]
    for mutant in found["mutants"]:
        seen = " | ".join(marks[mutant["layers"][name]["sight"]] for name in layers)
        rows.append(f"| `{mutant['name']}` | {seen} | {mutant['breaks']} |")
    clean = ", ".join(f"{c['alarms']} of {c['runs']} by {name}" for name, c in found["clean"].items())
    said = f"""\
{found["killed"]} of {found["planted"]} planted bugs were found, and {len(found["alarmed"])} of \
{found["harmless"]} harmless changes raised an alarm. Alarms in runs
without a defect: {clean}.
"""
    return "\n".join([said, *rows])


PLACES = (
    ("README.md", "benchmark-results", headline),
    ("README.md", "beside-others", beside_others_in_short),
    ("benchmarks/README.md", "beside-others", beside_others),
    ("benchmarks/README.md", "audit-of-others", audit_of_others),
    ("benchmarks/README.md", "goals", goals),
    ("benchmarks/README.md", "scale", scale),
    ("benchmarks/README.md", "reliability", reliability),
    ("benchmarks/README.md", "bought", bought),
    ("benchmarks/README.md", "planted", planted),
    ("benchmarks/README.md", "tightness", tightness),
    ("docs/method.md", "ablation", ablation),
    ("docs/method.md", "stages", stages),
)


def render(text: str, mark: str, content: str) -> str:
    """Return a document with what stands between its two marks replaced.

    Raises:
        ValueError: the document has not both marks.
    """
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the document has no {begin} ... {end}")
    return f"{before}{begin}\n{content}\n{end}{after}"


def run() -> None:
    """Write all results into the documents."""
    for name, mark, content in PLACES:
        path = ROOT / name
        path.write_text(render(path.read_text(), mark, content()))
