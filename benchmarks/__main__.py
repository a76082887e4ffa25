"""``python -m benchmarks NAME`` measures one thing (``--help`` lists the names) and keeps a result.

``python -m benchmarks run`` compares dpsynth with other programs; ``python -m benchmarks render`` writes kept
results into the documents.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks import compare, render
from benchmarks.environments import cache
from benchmarks.methods import chosen

MEASURED = (
    "adult",
    "goals",
    "noise",
    "scale",
    "ablation",
    "bought",
    "reliability",
    "audit_calibration",
    "audit_tightness",
)
RESULTS = Path(__file__).parent / "results"


def main(arguments: list[str] | None = None) -> None:
    """Run one benchmark and write ``results/<name>.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True)
    for name in MEASURED:
        command = commands.add_parser(name)
        command.add_argument("--runs", type=int, default=5, help="fresh repetitions (default 5)")
        command.add_argument("--out", type=Path, default=RESULTS, help="folder for the result")
    commands.add_parser("render")
    _options(commands.add_parser("run", help="dpsynth beside other programs"))
    given = parser.parse_args(arguments)
    if given.name == "render":
        render.run()
    elif given.name == "run":
        _compare(given)
    else:
        _measure(given)


def _options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--suite", choices=compare.SUITES, default="quick")
    command.add_argument("--tables", nargs="+", help="names, or folders with data.csv and domain.json")
    command.add_argument("--epsilons", nargs="+", type=float)
    command.add_argument("--methods", nargs="+", default=[], help="programs, or program:mechanism")
    command.add_argument(
        "--ways", nargs="+", type=int, choices=(1, 2, 3), help="workloads: all k-way marginals"
    )
    command.add_argument("--trials", type=int)
    command.add_argument(
        "--time-limit", type=float, dest="seconds", help="seconds of processor time for one run"
    )
    command.add_argument("--model-mb", type=float, default=80.0, help="limit of a model (default 80)")
    command.add_argument(
        "--cpus", nargs="+", type=int, default=[], help="processors that each run is held to"
    )
    command.add_argument("--environments", type=Path, default=cache(), help="where programs are installed")
    command.add_argument("--fresh", action="store_true", help="do again what has been done")
    command.add_argument("--out", type=Path, default=RESULTS, help="folder of peers.json")


def _compare(given: argparse.Namespace) -> None:
    names = ("tables", "epsilons", "ways", "trials", "seconds")
    suite = compare.with_choices(
        compare.SUITES[given.suite],
        **{k: tuple(v) if isinstance(v := getattr(given, k), list) else v for k in names},
    )
    compare.run(
        suite,
        chosen(given.methods),
        out=given.out,
        environments=given.environments,
        cpus=given.cpus,
        model_mb=given.model_mb,
        fresh=given.fresh,
    )


def _measure(given: argparse.Namespace) -> None:
    result = importlib.import_module(f"benchmarks.{given.name}").run(given.runs)
    packages = ("numpy", "scipy", "pandas", "pyarrow", "opendp")
    document = {
        "benchmark": given.name,
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "python": platform.python_version(),
        },
        "versions": {p: version(p) for p in packages},
        **result,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=2) + "\n"
    (given.out / f"{given.name}.json").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
