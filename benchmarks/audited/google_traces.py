"""Traces of google/dpsynth's MST, AIM and AIM-GDP, from a checkout at ``DPSYNTH_GOOGLE_DPSYNTH``.

The budget is given as zCDP to ``configure``, its documented way past the accountant. Options of a job:
``rounds`` of AIM, ``iterations`` of the estimation.
"""

from __future__ import annotations

import itertools
import os
import sys

from recorder import SHORT, Instead, Recorder, main, numpy_noise


def listen(recorder: Recorder, mbi, iterations: int) -> None:
    """Put the recorder at ``add_gaussian_noise`` and ``exponential_mechanism``; shorten the estimation."""
    from dpsynth.discrete_mechanisms import common
    from dpsynth.local_mode import primitives

    own_noise = primitives.add_gaussian_noise

    def add_gaussian_noise(rng, counts, sigma, max_records_per_user=1):
        answer = recorder.noisy(
            counts,
            max_records_per_user * sigma,
            lambda: own_noise(rng._of, counts, sigma, max_records_per_user),
            asked={"first": True},
            sensitivity=max_records_per_user,
        )
        return answer if answer.shape else float(answer)

    primitives.add_gaussian_noise = add_gaussian_noise
    own_choice = common.exponential_mechanism

    def exponential_mechanism(quality_scores, epsilon, sensitivity, rng, monotonic=False):
        return recorder.choose(
            quality_scores,
            epsilon * (2 if monotonic else 1),
            epsilon,
            lambda: own_choice(quality_scores, epsilon, sensitivity, rng._of, monotonic),
            asked={"of": int(quality_scores.size)},
            sensitivity=sensitivity,
        )

    common.exponential_mechanism = exponential_mechanism
    own_estimate = mbi.estimation.MirrorDescent.estimate

    def estimate(self, *given, iters=0, **more):
        return own_estimate(self, *given, iters=min(iters, iterations), **{**more, "callback_fn": quiet})

    def quiet(*_):
        pass

    mbi.estimation.MirrorDescent.estimate = estimate


def prepare(job, recorder: Recorder):
    sys.path.insert(0, os.environ["DPSYNTH_GOOGLE_DPSYNTH"])
    import mbi
    import numpy as np
    import pandas as pd
    from dpsynth.discrete_mechanisms import accounting

    import dpsynth
    from dpsynth import discrete_mechanisms as dm

    given, steps = job["options"], job["options"].get("iterations", 50)
    listen(recorder, mbi, steps)
    workload = list(itertools.combinations(job["domain"], 2))
    own = {"workload": workload, "max_rounds": given.get("rounds", 6), "pgm_iters": steps}
    mechanism = {
        "aim": lambda: dm.AIMConfig(**own),
        "aim-gdp": lambda: dm.AIMGDPConfig(**own),
        "mst": lambda: dm.MSTConfig(pgm_iters=steps),
    }[job["mechanism"]]()
    domains = {c: dpsynth.CategoricalAttribute(range(size)) for c, size in job["domain"].items()}
    claimed = accounting.zcdp_rho(job["epsilon"], job["delta"])
    config = dpsynth.TabularConfig(domains=domains, discrete_mechanism=mechanism)
    source = np.random.default_rng()

    def run(table):
        rng = Instead(source, normal=numpy_noise(recorder, source))
        made = config.configure(zcdp_rho=claimed)(rng, pd.DataFrame(table))
        return {"columns": list(made.synthetic_data.columns), "rows": len(made.synthetic_data)}

    return run, claimed, [SHORT, f"dpsynth {dpsynth.__version__}, a checkout"]


if __name__ == "__main__":
    main(prepare, ("mbi", "jax", "dp-accounting"))
