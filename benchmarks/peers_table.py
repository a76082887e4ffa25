"""The comparison as Markdown: for each workload, table and epsilon a line a method, and ratios to dpsynth."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.methods import DEFAULT, METHODS

__all__ = ["comparison", "summary"]

Records = Sequence[dict[str, Any]]
_WORKLOADS = {1: "single columns", 2: "pairs", 3: "triples"}
_HEAD = (
    "| method | 1-way | 2-way | 3-way | workload error | seconds | CPU s | import s | memory |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
)


def comparison(records: Records) -> str:
    """Return the whole comparison, with what each program spends beyond its word below it."""
    if not records:
        return "Nothing has been measured yet: `python -m benchmarks run`."
    parts, workloads = [], sorted({r["ways"] for r in records if r["ways"]} or {2})
    for ways in workloads:
        parts.append(f"### Workload: all {_WORKLOADS[ways]}")
        of_ways = [r for r in records if r["ways"] in (None, ways)]
        told = {_block(r) for r in of_ways if r["ways"] or ways == workloads[0]}
        parts += [_one(block, [r for r in of_ways if _block(r) == block]) for block in sorted(told)]
    return "\n\n".join([*parts, *_footnotes(records)])


def summary(records: Records, table: str = "adult_coded14", epsilon: float = 1.0) -> str:
    """Return the comparison on one table, for the front page."""
    chosen = [r for r in records if _block(r) == (table, epsilon) and r["ways"] in (None, 2)]
    if not chosen:
        return "Nothing has been measured yet: `python -m benchmarks run`."
    return _one((table, epsilon), chosen)


def _block(record: dict[str, Any]) -> tuple[str, float]:
    return record["table"], record["epsilon"]


def _one(block: tuple[str, float], records: Records) -> str:
    """Return one table's lines, by 2-way error; what did not finish stands last."""
    first = records[0]
    runs: dict[str, list[dict[str, Any]]] = {}
    for r in records:
        runs.setdefault(r["method"], []).append(r)
    means = {name: _mean(rs) for name, rs in runs.items()}
    base = means.get(DEFAULT)
    ranked = sorted(runs, key=lambda n: (means[n] is None, means[n]["tvd2"] if means[n] else 0.0, n))
    lines = [_finished(n, means[n], base, runs[n]) if means[n] else _unfinished(n, runs[n]) for n in ranked]
    title = f"**{block[0]}**, {first['rows']:,} rows, {first['columns']} columns, epsilon {block[1]:g}, "
    return "\n".join([f"{title}delta {first['delta']:g}", "", *_HEAD, *lines])


def _mean(records: Records) -> dict[str, float] | None:
    """Return means of errors and medians of costs over the runs that finished."""
    done = [r for r in records if r["status"] == "done"]
    if not done:
        return None
    errors = {k: statistics.fmean(r[k] for r in done) for k in ("tvd1", "tvd2", "tvd3", "workload_error")}
    costs = ("seconds", "cpu_seconds", "import_seconds", "peak_mb")
    return {**errors, **{k: statistics.median(r[k] for r in done) for k in costs}}


def _finished(name: str, mean: dict[str, float], base: dict[str, float] | None, records: Records) -> str:
    def beside(key: str, digits: int) -> str:
        value = f"{mean[key]:.{digits}f}"
        return value if base is None or name == DEFAULT else f"{value} ({_ratio(mean[key], base[key])})"

    done = sum(r["status"] == "done" for r in records)
    runs = (
        f", {done} runs"
        if len(records) == done > 1
        else f", {done} of {len(records)} runs"
        if done > 1
        else ""
    )
    cells = [
        *(f"{_shown(name)}{runs}", f"{mean['tvd1']:.4f}", beside("tvd2", 4), beside("tvd3", 4)),
        *(f"{mean['workload_error']:.3f}", f"{mean['seconds']:.1f}", beside("cpu_seconds", 1)),
        *(f"{mean['import_seconds']:.1f}", f"{mean['peak_mb']:,.0f} MB"),
    ]
    return f"| {' | '.join(cells)} |"


def _unfinished(name: str, records: Records) -> str:
    last = records[-1]
    if last["status"] == "time limit":
        said = f"not done when ended after {last['cpu_seconds'] / 60:.1f} minutes of processor time"
    else:
        said = f"{last['status']}: {last['error']}"
    cells = [_shown(name), said, *[""] * 4, f"{last['cpu_seconds']:.1f}", "", f"{last['peak_mb']:,.0f} MB"]
    return f"| {' | '.join(c.replace('|', '/') for c in cells)} |"


def _ratio(value: float, base: float) -> str:
    if not base:
        return "-"
    ratio = value / base
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.2f}x"


def _shown(name: str) -> str:
    program, mechanism = name.split(":")
    marks = [str(_CAVEATS.index(c) + 1) for c in METHODS[name].caveats] if name in METHODS else []
    notes = f" [{', '.join(marks)}]" if marks else ""
    return f"{program} `{mechanism}`{notes}"


_CAVEATS = list(dict.fromkeys(c for m in METHODS.values() for c in m.caveats))


def _footnotes(records: Records) -> Iterable[str]:
    seen = [METHODS[n] for n in dict.fromkeys(r["method"] for r in records) if n in METHODS]
    caveats = [c for c in _CAVEATS if any(c in m.caveats for m in seen)]
    if caveats:
        yield "What a program spends or reads beyond the guarantee it states:"
        yield "\n".join(f"- [{_CAVEATS.index(c) + 1}] {c}." for c in caveats)
    sources: dict[str, list[str]] = {}
    for m in seen:
        sources.setdefault(m.noise, []).append(m.peer.name)
    listed = "; ".join(f"{', '.join(dict.fromkeys(names))}: {noise}" for noise, names in sources.items())
    yield f"Where the privacy noise comes from: {listed}."
    notes = {(r["method"].split(":")[0], n) for r in records for n in r.get("notes", ())}
    versions = _versions(records)
    if notes:
        yield "What was done to make a program run:"
        yield "\n".join(f"- {program}: {note}." for program, note in sorted(notes))
    if versions:
        named = (
            f"{p} ({', '.join(k + ' ' + ' and '.join(v) for k, v in vs.items())})"
            for p, vs in sorted(versions.items())
        )
        yield f"Versions: {'; '.join(named)}."


def _versions(records: Records) -> dict[str, dict[str, list[str]]]:
    """Return every version of everything that took part: rows may be of different days."""
    found: dict[str, dict[str, list[str]]] = {}
    for r in records:
        for package, version in r.get("versions", {}).items():
            seen = found.setdefault(r["method"].split(":")[0], {}).setdefault(package, [])
            if version not in seen:
                seen.append(version)
    return found
