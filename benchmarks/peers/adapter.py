"""What every adapter does alike: read the request, time the steps, write the table and one line of JSON.

Run as ``python ADAPTER.py TABLE.csv DOMAIN.json OUT.csv --epsilon E --delta D --mechanism NAME``. It imports
nothing but the standard library until the clock runs, so that ``import_seconds`` is the price of the program.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib import metadata

__all__ = ["Request", "Steps", "main"]


class Request:
    """One table to synthesize under one guarantee.

    Attributes:
        domain: Number of codes of each column; the columns are called ``c0``, ``c1``, ... since some programs
            give names such as ``len`` or ``a>b`` a meaning of their own.
        epsilon: Of the guarantee.
        delta: Of the guarantee.
        mechanism: The program's own name of a mechanism.
        ways: The workload is all marginals of this many columns, where a mechanism can be told.
        told: Whether the mechanism is one that is to be told.
        model_mb: Limit of a model's size in MB, where a mechanism can be told.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.paths = arguments.table, arguments.out
        with open(arguments.domain, encoding="utf-8") as file:  # noqa: PTH123
            sizes = json.load(file)
        self.names = list(sizes)
        self.domain = {f"c{i}": int(size) for i, size in enumerate(sizes.values())}
        self.epsilon: float = arguments.epsilon
        self.delta: float = arguments.delta
        self.mechanism: str = arguments.mechanism
        self.told = arguments.ways is not None
        self.ways: int = arguments.ways or 2
        self.model_mb: float = arguments.model_mb

    def frame(self):
        """Return the real table as a pandas frame of 64-bit integers."""
        import pandas as pd  # noqa: PLC0415

        table = pd.read_csv(self.paths[0], usecols=self.names)[self.names].astype("int64")
        table.columns = list(self.domain)
        return table

    def write(self, frame) -> int:
        """Write the synthetic table under its real names and return its number of rows."""
        frame = frame[list(self.domain)]
        frame.columns = self.names
        frame.to_csv(self.paths[1], index=False)
        return len(frame)


class Steps:
    """Seconds of each step: ``with steps("fit"): ...``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str) -> Steps:
        """Name the step that is about to be entered."""
        self.name, self.start = name, time.perf_counter()
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.seconds[f"{self.name}_seconds"] = time.perf_counter() - self.start


def main(synthesize, packages: tuple[str, ...]) -> None:
    """Run ``synthesize(request, steps) -> frame`` and print its times, versions and rows.

    Args:
        synthesize: Imports the program in ``steps("import")``, fits in ``steps("fit")``, samples in
            ``steps("sample")``; may return ``(frame, notes)`` with what it had to do to make the program run.
        packages: Whose versions are stated.
    """
    parser = argparse.ArgumentParser()
    for name in ("table", "domain", "out"):
        parser.add_argument(name)
    parser.add_argument("--epsilon", type=float, required=True)
    parser.add_argument("--delta", type=float, required=True)
    parser.add_argument("--mechanism", required=True)
    parser.add_argument("--ways", type=int)
    parser.add_argument("--model-mb", type=float, default=80.0)
    request, steps = Request(parser.parse_args()), Steps()
    made = synthesize(request, steps)
    frame, notes = made if isinstance(made, tuple) else (made, [])
    rows = request.write(frame)
    versions = {p: metadata.version(p) for p in packages}
    print(
        "\n" + json.dumps({**steps.seconds, "rows": rows, "versions": versions, "notes": notes}), flush=True
    )
