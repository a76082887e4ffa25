"""Runs every method on every table, one after the other, and keeps a record of each run as it ends."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environments import EnvironmentFailed, python_of
from benchmarks.evaluator import BrokenTable, errors, read_codes
from benchmarks.methods import Method
from benchmarks.tables import RAW, TABLES, Table

__all__ = [
    "SUITES",
    "Run",
    "Suite",
    "kept",
    "measure",
    "planned",
    "reason",
    "revision",
    "run",
    "with_choices",
]

HERE = Path(__file__).resolve().parent
KEY = ("table", "epsilon", "delta", "method", "ways", "trial")


@dataclass(frozen=True)
class Suite:
    """What is compared.

    Attributes:
        ways: Workloads, for mechanisms that take one: all marginals of so many columns.
        seconds: Limit of one run, of processor time on each processor; by the clock, three times that.
    """

    tables: tuple[str, ...]
    epsilons: tuple[float, ...]
    ways: tuple[int, ...]
    trials: int
    seconds: float
    delta: float = 1e-9


SUITES = {
    "quick": Suite(("titanic",), (1.0,), (2,), 1, 600.0),
    "full": Suite((*TABLES, *RAW), (0.1, 1.0, 10.0), (2, 3), 5, 1800.0),
}


@dataclass(frozen=True)
class Run:
    """One method once on one table."""

    method: Method
    table: str
    epsilon: float
    delta: float
    ways: int | None
    trial: int

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes a record the record of this run."""
        return self.table, self.epsilon, self.delta, self.method.name, self.ways, self.trial


def planned(suite: Suite, methods: Sequence[Method], name: str) -> list[Run]:
    """Return the runs on one table, a first trial of everything before any second one."""
    return [
        Run(m, name, epsilon, suite.delta, ways, trial)
        for trial in range(suite.trials)
        for epsilon in suite.epsilons
        for m in methods
        for ways in (suite.ways if m.adaptive else (None,))
    ]


def run(
    suite: Suite,
    methods: Sequence[Method],
    *,
    out: Path,
    environments: Path,
    cpus: Sequence[int] = (),
    model_mb: float = 80.0,
    fresh: bool = False,
) -> list[dict[str, Any]]:
    """Do what a suite says and is not yet in ``out/peers.json``; return the records of this call.

    Args:
        suite: Tables, epsilons, workloads, trials and limits.
        methods: Whom to run; a program that cannot be run here is left out, and why is printed.
        out: Folder of ``peers.json``, which is rewritten after every run.
        environments: Folder of the programs' environments.
        cpus: Processors that every run is held to; all if empty.
        model_mb: Limit of a model's size, for mechanisms that take one.
        fresh: Do again what has been done, and replace its records.
    """
    pythons, made = _pythons(methods, environments), []
    for given in suite.tables:
        table = Table.load(given)
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            table.frame.to_csv(work / "data.csv", index=False)
            domain = dict(zip(table.frame.columns, table.sizes, strict=True))
            (work / "domain.json").write_text(json.dumps(domain), encoding="utf-8")
            for task in planned(suite, [m for m in methods if m.peer.name in pythons], table.name):
                if not fresh and task.key in {_key(r) for r in kept(out)}:
                    continue
                record = measure(
                    task,
                    table,
                    work,
                    python=pythons[task.method.peer.name],
                    seconds=suite.seconds,
                    cpus=cpus,
                    model_mb=model_mb,
                )
                _keep(out, record)
                made.append(record)
                print(_line(record), flush=True)
    return made


def measure(
    task: Run,
    table: Table,
    work: Path,
    *,
    python: str,
    seconds: float,
    cpus: Sequence[int] = (),
    model_mb: float = 80.0,
    adapters: Path = HERE / "peers",
) -> dict[str, Any]:
    """Run one method once and return its record; whatever goes wrong is said in it.

    Args:
        task: What to run.
        table: Its table.
        work: Folder with ``data.csv`` and ``domain.json``; gets the output and the logs.
        python: Interpreter of the method's environment.
        seconds: Time limit.
        cpus: Processors that the run is held to; all if empty.
        model_mb: Limit of a model's size, for mechanisms that take one.
        adapters: Folder of the adapter scripts.
    """
    result, report = work / "synthetic.csv", work / "report.json"
    for path in (result, report):
        path.unlink(missing_ok=True)
    command = [
        *(python, str(adapters / f"{task.method.peer.adapter}.py")),
        *(str(work / "data.csv"), str(work / "domain.json"), str(result)),
        *("--epsilon", repr(task.epsilon), "--delta", repr(task.delta), "--mechanism", task.method.mechanism),
        *("--model-mb", repr(model_mb), *(("--ways", str(task.ways)) if task.ways else ())),
    ]
    launcher = [sys.executable, "-I", str(HERE / "launch.py"), str(report), str(seconds)]
    threads = str(len(cpus) or os.cpu_count() or 1)
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")},
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), threads),
        "DPSYNTH_THIS_LIBRARY": str(HERE.parent),
        "DPSYNTH_ORDERED": "\n".join(table.ordered),
    }
    with (work / "stdout").open("w") as stdout, (work / "stderr").open("w") as stderr:
        started = subprocess.Popen(
            [*launcher, ",".join(map(str, cpus)), *command],
            stdout=stdout,
            stderr=stderr,
            cwd=work,
            env=environment,
        )
        with _ended(started):
            started.wait()
    record = {
        **dict(zip(KEY, task.key, strict=True)),
        "rows": len(table.frame),
        "columns": len(table.sizes),
        "limit_seconds": seconds,
        "model_mb": model_mb if task.method.adaptive else None,
        "machine": _machine(cpus),
    }
    outcome = _outcome(table, result, json.loads(report.read_text(encoding="utf-8")), work)
    if not task.method.peer.requirements:
        outcome["versions"] = {**outcome.get("versions", {}), **revision()}
    return {**record, **outcome}


def _outcome(table: Table, result: Path, taken: dict[str, Any], work: Path) -> dict[str, Any]:
    times = {k: taken[k] for k in ("wall_seconds", "cpu_seconds", "peak_mb")}
    if taken["timed_out"]:
        return {"status": "time limit", **times}
    if taken["code"] < 0:
        return {"status": "failed", "error": f"ended by signal {-taken['code']}", **times}
    if taken["code"]:
        return {"status": "failed", "error": reason((work / "stderr").read_text(errors="replace")), **times}
    try:
        lines = (work / "stdout").read_text(errors="replace").strip().splitlines() or [""]
        said = json.loads(lines[-1])
        found = errors(table, read_codes(result, table))
    except (BrokenTable, ValueError) as error:
        text = str(error) if isinstance(error, BrokenTable) else "the adapter's report could not be read"
        return {"status": "broken output", "error": text, **times}
    said["rows_out"] = said.pop("rows")
    seconds = said.get("fit_seconds", 0.0) + said.get("sample_seconds", 0.0)
    return {"status": "done", **found, "seconds": seconds, **said, **times}


def reason(stderr: str) -> str:
    """Return the line of a traceback that says most, without paths of this machine."""
    lines = [line.strip() for line in stderr.splitlines()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Exit|Interrupt|Failure)\b", line)]
    more = [line for line in lines if re.match(r'"?\w*(Failed|Error)\w*\(', line)]
    text = (more or named or [line for line in lines if line] or ["it said nothing"])[-1]
    return re.sub(r"(?:[A-Za-z]:)?[\\/](?:[\w.+@-]+[\\/])+", "", text)[:200]


def kept(out: Path) -> list[dict[str, Any]]:
    """Return the records that a folder of results has."""
    path = out / "peers.json"
    return json.loads(path.read_text(encoding="utf-8"))["records"] if path.is_file() else []


def _keep(out: Path, record: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    records = [r for r in kept(out) if _key(r) != _key(record)] + [record]
    lines = ",\n".join(json.dumps(r) for r in records)
    text = f'{{"benchmark": "peers", "records": [\n{lines}\n]}}\n'
    (out / "peers.json.new").write_text(text, encoding="utf-8")
    (out / "peers.json.new").replace(out / "peers.json")


def _key(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record[k] for k in KEY)


def _pythons(methods: Sequence[Method], environments: Path) -> dict[str, str]:
    found = {}
    for peer in dict.fromkeys(m.peer for m in methods):
        try:
            found[peer.name] = python_of(peer, environments)
        except EnvironmentFailed as error:
            print(f"{peer.name} is not run: {error}", flush=True)
    return found


def revision() -> dict[str, str]:
    """Return which commit of this library was measured, where it is a checkout."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    with contextlib.suppress(OSError):
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        if said.returncode == 0:
            return {"revision": said.stdout.strip()}
    return {}


def _machine(cpus: Sequence[int]) -> dict[str, Any]:
    names = Path("/proc/cpuinfo")
    text = names.read_text(encoding="utf-8") if names.is_file() else ""
    model = re.search(r"model name\s*:\s*(.+)", text)
    return {
        "processor": model.group(1) if model else platform.machine(),
        "cores_used": len(cpus) or os.cpu_count(),
        "python": platform.python_version(),
    }


def _line(record: dict[str, Any]) -> str:
    ways = f"{record['ways']}-way" if record["ways"] else ""
    head = f"{record['table']:18} {record['epsilon']:5g} {record['method']:24} {ways:6} {record['status']}"
    if record["status"] != "done":
        return f"{head} after {record['wall_seconds']:.0f} s {record.get('error', '')}"
    shown = " ".join(f"{record[f'tvd{k}']:.4f}" for k in (1, 2, 3))
    return f"{head} {shown} {record['seconds']:.1f} s {record['peak_mb']:.0f} MB"


@contextlib.contextmanager
def _ended(process: subprocess.Popen) -> Iterator[None]:
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def with_choices(suite: Suite, **choices: Any) -> Suite:
    """Return a suite with some of its parts replaced; parts that are None stay."""
    return dataclasses.replace(suite, **{k: v for k, v in choices.items() if v is not None})
