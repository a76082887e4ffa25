"""Replay and white-box tests of other programs' mechanisms: ``python -m benchmarks.audit_peers``.

Each subject runs in its own program's environment and writes traces as JSON; they are judged here. Every job
is done twice, by two processes with fresh noise, and only what both show is reported as found.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.audit_judge import Shown, agreed, shown, tightness
from benchmarks.audit_subjects import DOMAIN, PAIRS, SUBJECTS, Pair, PeerSubject, table_of
from benchmarks.environments import EnvironmentFailed, cache, python_of
from dpsynth.audit.replay import Compared
from dpsynth.audit.trace import Call, Outcome, Trace

__all__ = ["audit", "main", "replay_job", "sample_job", "traces_of"]

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results"
REPRODUCED = 2  # times that each job is done, by processes of their own
EPSILON, DELTA = 1.0, 1e-5
SAMPLED_EPSILON = 8.0  # of the white-box test: its power at a given ratio of noises is greatest there
ORDERS = ((0, 1), (1, 0))  # which of a pair's tables is run first, and which gives its answers again


def replay_job(subject: PeerSubject) -> dict[str, Any]:
    """Return the job of the replay: of each pair, both ways, a fresh run and one with its answers."""
    runs: list[dict[str, Any]] = []
    for name in subject.pairs:
        for first, second in ORDERS:
            runs += [{"table": f"{name}/{first}"}, {"table": f"{name}/{second}", "script": len(runs)}]
    return _job(subject, EPSILON, {n: PAIRS[n] for n in subject.pairs}, runs)


def sample_job(subject: PeerSubject, runs: int, calls: int) -> dict[str, Any]:
    """Return the job of the white-box test: fresh runs on a pair, each replayed on the other table.

    Args:
        subject: A mechanism that asks as many questions whatever it is answered.
        runs: On each of the two tables.
        calls: How many questions it asks: after the last of them a run is ended.
    """
    name = "an outlier joins ten equal rows"
    asked: list[dict[str, Any]] = []
    for first, second in ORDERS * runs:
        asked += [{"table": f"{name}/{first}"}, {"table": f"{name}/{second}", "script": len(asked)}]
    job = _job(subject, SAMPLED_EPSILON, {name: PAIRS[name]}, asked)
    return job | {"last": calls, "options": subject.options | {"iterations": 2}}  # any model will do here


def _job(
    subject: PeerSubject, epsilon: float, pairs: Mapping[str, Pair], runs: Sequence[Any]
) -> dict[str, Any]:
    tables = {
        f"{name}/{i}": table_of(rows)
        for name, pair in pairs.items()
        for i, rows in enumerate((pair.outside, pair.inside))
    }
    return {
        "mechanism": subject.mechanism,
        "epsilon": epsilon,
        "delta": DELTA,
        "options": subject.options,
        "domain": DOMAIN,
        "tables": tables,
        "runs": list(runs),
    }


def run_job(
    subject: PeerSubject, job: Mapping[str, Any], environments: Path, seconds: float
) -> dict[str, Any]:
    """Run a job inside the program's environment and return what its adapter wrote.

    Raises:
        EnvironmentFailed: the program cannot be run here, or the job failed or took too long.
    """
    python = python_of(subject.peer, environments)
    with tempfile.TemporaryDirectory() as folder:
        asked, made = Path(folder) / "job.json", Path(folder) / "traces.json"
        asked.write_text(json.dumps(job), encoding="utf-8")
        script = ROOT / "audited" / f"{subject.adapter}.py"
        command = [python, str(script), str(asked), str(made)]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        try:
            ran = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=seconds, env=environment
            )
        except subprocess.TimeoutExpired:
            raise EnvironmentFailed(f"took more than {seconds:.0f} seconds") from None
        if ran.returncode:
            raise EnvironmentFailed((ran.stderr.strip().splitlines() or ["it failed without a word"])[-1])
        return json.loads(made.read_text(encoding="utf-8"))


def traces_of(content: Mapping[str, Any]) -> list[Trace]:
    """Return what an adapter wrote as traces."""
    return [
        Trace(
            calls=tuple(_call(c) for c in trace["calls"]),
            outcome=Outcome(ended=trace["outcome"]["ended"], shape=trace["outcome"]["shape"]),
            spent=trace["spent"],
            claimed=trace["claimed"],
            calculus="zcdp",
        )
        for trace in content["traces"]
    ]


def _call(content: Mapping[str, Any]) -> Call:
    answer = content["answer"]
    return Call(
        kind=content["kind"],
        asked=content["asked"],
        norm=content["norm"],
        sensitivity=content["sensitivity"],
        scale=content["scale"],
        price=content["price"],
        exact=np.asarray(content["exact"], dtype=np.float64),
        answer=answer if isinstance(answer, int) else np.asarray(answer, dtype=np.float64),
    )


def replayed(subject: PeerSubject, content: Mapping[str, Any]) -> dict[str, dict[str, Shown]]:
    """Return what each check shows of each pair."""
    traces = iter(traces_of(content))
    return {
        name: shown(
            [
                Compared(subject=subject.name, pair=f"{name}, {way}", first=next(traces), second=next(traces))
                for way in ("as it says", "the other way")
            ]
        )
        for name in subject.pairs
    }


def findings(subject: PeerSubject, contents: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what every run of the replay shows, by kind of pair.

    Where a row is outside the domain, how it ends and what is asked is told, and the rest if it is new.
    """
    runs = [replayed(subject, c) for c in contents]
    found: list[dict[str, Any]] = []
    for kind in dict.fromkeys(PAIRS[p].kind for p in subject.pairs):
        names = [p for p in subject.pairs if PAIRS[p].kind == kind]
        told = {f["check"] for f in found} - {"calls", "outcome"} if kind == "outside" else set()
        for shared in agreed([{p: run[p] for p in names} for run in runs]):
            if shared["check"] not in told:
                why = subject.why.get(shared["check"], "") if kind == "joins" else ""
                found.append({"kind": kind, "of": len(names), **shared, "why": why})
    return found


def audit(
    subject: PeerSubject, environments: Path, *, runs: int, seconds: float, kept: Path
) -> dict[str, Any]:
    """Return what was found of one subject, or why it could not be run.

    Args:
        subject: Whose mechanism, and how it is used.
        environments: Where programs are installed.
        runs: White-box runs a side.
        seconds: Limit of one job.
        kept: Folder of what adapters wrote; what is there of the same job is judged again.
    """
    record: dict[str, Any] = {
        "subject": subject.name,
        "used": subject.used,
        "says": subject.says,
        "pairs": list(subject.pairs),
        "epsilon": EPSILON,
        "delta": DELTA,
    }

    def done(kind: str, job: Mapping[str, Any]) -> list[dict[str, Any]]:
        contents = []
        for again in range(REPRODUCED):
            path = kept / f"{re.sub('[^a-z]+', '-', subject.name)}.{kind}.{again}.json"
            content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            if content.get("job") != job:
                content = run_job(subject, job, environments, seconds) | {"job": job}
                path.write_text(json.dumps(content), encoding="utf-8")
            contents.append(content)
        return contents

    samples: list[dict[str, Any]] = []
    try:
        replays = done("replay", replay_job(subject))
        first = replays[0]
        calls = len(first["traces"][0]["calls"])
        if subject.sampled and runs:
            samples = done("sample", sample_job(subject, runs, calls))
    except EnvironmentFailed as failure:
        return record | {"failed": str(failure)}
    return record | {
        "versions": first["versions"],
        "notes": first["notes"],
        "claimed_rho": first["traces"][0]["claimed"],
        "calls": calls,
        "seconds": [content["seconds"] for content in replays],
        "findings": findings(subject, replays),
        "white_box": [{"epsilon": SAMPLED_EPSILON} | tightness(traces_of(c)) for c in samples],
    }


def main(arguments: Iterable[str] | None = None) -> None:
    """Audit the subjects that are named, or all; what is kept of the others stays."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit_peers", description=__doc__)
    parser.add_argument("--subjects", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), metavar="NAME")
    parser.add_argument("--runs", type=int, default=300, help="white-box runs a side (default 300)")
    parser.add_argument("--seconds", type=float, default=1800.0, help="limit of one job (default 1800)")
    parser.add_argument("--environments", type=Path, default=cache(), help="where programs are installed")
    parser.add_argument("--traces", type=Path, help="folder of traces that are kept, and judged if there")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of audit_peers.json")
    given = parser.parse_args(None if arguments is None else list(arguments))
    path = given.out / "audit_peers.json"
    kept = json.loads(path.read_text(encoding="utf-8"))["records"] if path.is_file() else []
    records = {r["subject"]: r for r in kept}
    for name in given.subjects:
        with tempfile.TemporaryDirectory() as folder:
            records[name] = audit(
                SUBJECTS[name],
                given.environments,
                runs=given.runs,
                seconds=given.seconds,
                kept=given.traces or Path(folder),
            )
        what = (
            records[name].get("failed")
            or ", ".join(f["check"] for f in records[name]["findings"])
            or "nothing"
        )
        print(f"{name}: {what}", flush=True)
        document = {
            "benchmark": "audit_peers",
            "python": sys.version.split()[0],
            "records": [records[s] for s in SUBJECTS if s in records],
        }
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
