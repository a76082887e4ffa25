"""What each choice is worth, one changed at a time, on several tables and budgets.

*Stages*: ``oneshot`` measures once, and the model is fitted and sampled from the same noisy answers again and
again, each time without one of its steps. So differences are those of the step alone, not of the noise.

*Mechanisms*: whole fits of ``mst`` with other settings, of ``oneshot`` and of the baselines.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from benchmarks.reference_mst import REFERENCE_MST
from benchmarks.tables import Table
from dpsynth import Synthesizer
from dpsynth.data.codec import Codec
from dpsynth.data.source import open_source
from dpsynth.evaluate.fidelity import mean_total_variation
from dpsynth.mechanisms import MECHANISMS
from dpsynth.mechanisms.mechanism import Measured, ignore_progress
from dpsynth.mechanisms.mst import Settings, spanning_tree
from dpsynth.model.polishing import EFFORT
from dpsynth.model.stages import Stages
from dpsynth.model.structure import fit_model
from dpsynth.privacy.curator import Curator

__all__ = ["STAGES", "VARIANTS", "run"]

TABLES = ("adult_coded14", "adult_coded", "titanic", "salary")
EPSILONS = (0.1, 1.0, 10.0)
DELTA = 1e-9
WAYS = (1, 2, 3)
THIRD = Fraction(1, 3)
VARIANTS = {
    "mst": "mst",
    "budget in thirds": spanning_tree(Settings(one_ways=THIRD, selection=THIRD)),
    "no noise penalty": spanning_tree(Settings(penalty=False)),
    "one coarse resolution": spanning_tree(Settings(resolutions=(128,))),
    "oneshot": "oneshot",
    "as published (Algorithm 1)": REFERENCE_MST,
    "independent": "independent",
}
STAGES = {"all": Stages()} | {
    field.name: Stages(**{field.name: False}) for field in dataclasses.fields(Stages)
}


def run(runs: int, tables: Sequence[str] = TABLES, epsilons: Sequence[float] = EPSILONS) -> dict[str, object]:
    """Return errors of all variants, means over ``runs`` fresh fits, and seconds of the stages' variants."""
    stages, results = [], []
    for name in tables:
        table = Table.load(name)
        for epsilon in epsilons:
            stages += _stages(table, epsilon, runs)
            results += _mechanisms(table, epsilon, runs)
    return {"runs": runs, "delta": DELTA, "stages": stages, "results": results}


def _mechanisms(table: Table, epsilon: float, runs: int) -> list[dict[str, object]]:
    real, found = table.codes(), []
    for variant, mechanism in VARIANTS.items():
        synth = Synthesizer(table.schema, epsilon=epsilon, delta=DELTA, mechanism=mechanism)
        errors = []
        for seed in range(runs):
            codes = table.codes(synth.fit(table.frame).sample(seed=seed))
            errors.append([mean_total_variation(real, codes, table.sizes, k) for k in WAYS[:2]])
        found.append({"table": table.name, "epsilon": epsilon, "variant": variant, **_means(errors)})
        print(table.name, epsilon, variant, found[-1], flush=True)
    return found


def _stages(table: Table, epsilon: float, runs: int) -> list[dict[str, object]]:
    """Fit the same measurements with every stage and without each; seconds are of fitting and drawing."""
    codec = Codec(table.schema)
    real, sizes = codec.codes(open_source(table.frame)), codec.domain.sizes
    guarantee = Synthesizer(table.schema, epsilon=epsilon, delta=DELTA).guarantee
    errors: dict[str, list[list[float]]] = {name: [] for name in STAGES}
    seconds: dict[str, list[float]] = {name: [] for name in STAGES}
    for seed in range(runs):
        curator = Curator(codec.encode(open_source(table.frame)), guarantee)
        measured = MECHANISMS["oneshot"].run(curator, ignore_progress)
        if not seed:
            _drawn(codec, measured, Stages(), seed)  # compiles what is compiled
        for name, stages in STAGES.items():
            start = time.perf_counter()
            drawn = _drawn(codec, measured, stages, seed)
            seconds[name].append(time.perf_counter() - start)
            errors[name].append([mean_total_variation(real, drawn, sizes, k) for k in WAYS])
    found = [
        {
            "table": table.name,
            "epsilon": epsilon,
            "without": "" if name == "all" else name.replace("_", " "),
            **_means(errors[name]),
            "seconds": float(np.median(seconds[name])),
        }
        for name in STAGES
    ]
    for line in found:
        print(line, flush=True)
    return found


def _drawn(codec: Codec, measured: Measured, stages: Stages, seed: int) -> list[np.ndarray]:
    """Return the codes of as many rows as the model estimates."""
    model = fit_model(codec.domain, measured.one_ways, measured.tables, stages=stages)
    n, rng = max(1, round(model.total)), np.random.default_rng(seed)
    return model.sample(n, rng, effort=EFFORT if stages.polishing else 0)


def _means(errors: list[list[float]]) -> dict[str, float]:
    return {f"tvd{k}": float(mean) for k, mean in enumerate(np.mean(errors, axis=0), start=1)}
