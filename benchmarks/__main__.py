"""``python -m benchmarks {adult,noise,ablation} [--runs N]`` measures, prints and keeps the result.

``python -m benchmarks render`` writes kept results into the documents.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks import render

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run one benchmark and write ``results/<name>.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=["adult", "noise", "ablation", "render"])
    parser.add_argument("--runs", type=int, default=5, help="fresh repetitions (default 5)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the result")
    arguments = parser.parse_args()
    if arguments.name == "render":
        render.run()
        return
    result = importlib.import_module(f"benchmarks.{arguments.name}").run(arguments.runs)
    packages = ("numpy", "scipy", "pandas", "pyarrow", "opendp")
    document = {
        "benchmark": arguments.name,
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.machine(),
            "python": platform.python_version(),
        },
        "versions": {p: version(p) for p in packages},
        **result,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(document, indent=2) + "\n"
    (arguments.out / f"{arguments.name}.json").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
