"""What each choice in ``mst`` is worth: one changed at a time, on several tables and budgets."""

from __future__ import annotations

from fractions import Fraction

from benchmarks.reference_mst import REFERENCE_MST
from benchmarks.tables import TABLES, Table
from dpsynth import Synthesizer
from dpsynth.evaluate.fidelity import mean_total_variation
from dpsynth.mechanisms.mst import Settings, spanning_tree

__all__ = ["VARIANTS", "run"]

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


def run(runs: int, tables: tuple[str, ...] = tuple(TABLES), epsilons: tuple[float, ...] = (0.1, 1.0, 10.0)):
    """Return mean total variation over all 1- and 2-way marginals, means over ``runs`` fresh fits."""
    results = []
    for name in tables:
        table = Table.load(name)
        real = table.codes()
        for epsilon in epsilons:
            for variant, mechanism in VARIANTS.items():
                synth = Synthesizer(table.schema, epsilon=epsilon, delta=1e-9, mechanism=mechanism)
                errors = []
                for seed in range(runs):
                    codes = table.codes(synth.fit(table.frame).sample(seed=seed))
                    errors.append([mean_total_variation(real, codes, table.sizes, k) for k in (1, 2)])
                tvd1, tvd2 = (sum(e[k] for e in errors) / runs for k in (0, 1))
                results.append(
                    {"table": name, "epsilon": epsilon, "variant": variant, "tvd1": tvd1, "tvd2": tvd2}
                )
                print(f"{name:14} {epsilon:5} {variant:28} {tvd1:.4f} {tvd2:.4f}", flush=True)
    return {"runs": runs, "delta": 1e-9, "results": results}
