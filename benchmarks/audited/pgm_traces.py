"""Traces of the reference MST and AIM of private-pgm, from a checkout at ``DPSYNTH_PRIVATE_PGM``, on mbi 2.0.

Options of a job: ``rounds`` of AIM, ``iterations`` of the estimation.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from recorder import SHORT, Instead, Recorder, main, numpy_noise, remember


def listen(recorder: Recorder, mst, aim, iterations: int) -> None:
    """Put the recorder at numpy's ``normal`` and the exponential mechanisms; shorten the estimation."""
    import numpy as np

    normal = numpy_noise(recorder, np.random)
    mst.np = Instead(np, random=Instead(np.random, normal=normal))
    own_tree_choice = mst.exponential_mechanism

    def tree_choice(q, eps, sensitivity, prng=np.random, monotonic=False):
        effective = eps * (2 if monotonic else 1)
        return recorder.choose(
            q,
            effective,
            eps,
            lambda: own_tree_choice(q, eps, sensitivity, prng, monotonic),
            asked={"of": int(q.size)},
            sensitivity=sensitivity,
        )

    mst.exponential_mechanism = tree_choice

    class Heard(aim.AIM):
        def gaussian_noise(self, sigma, size):
            return normal(0, sigma, size)

        def exponential_mechanism(self, qualities, epsilon, sensitivity=1.0, base_measure=None):
            keys = list(qualities)
            draw = super().exponential_mechanism
            index = recorder.choose(
                [float(q) for q in qualities.values()],
                epsilon,
                epsilon,
                lambda: keys.index(draw(qualities, epsilon, sensitivity, base_measure)),
                asked={"among": [list(key) for key in keys]},
                sensitivity=sensitivity,
            )
            return keys[index]

    aim.AIM, own_aim = Heard, aim.AIM
    own_aim.__init__.__globals__["AIM"] = own_aim  # it calls itself by name
    own_descent = mst.estimation.mirror_descent

    def fewer(*given, iters=1000, **more):
        return own_descent(*given, iters=min(iters, iterations), **more)

    mst.estimation = aim.estimation = Instead(mst.estimation, mirror_descent=fewer)
    return Heard


def prepare(job, recorder: Recorder):
    sys.path.insert(0, str(Path(os.environ["DPSYNTH_PRIVATE_PGM"]) / "mechanisms"))
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "peers"))
    import mbi
    import pandas as pd
    from private_pgm import BRIDGE, old_names

    old_names(mbi, pd)
    import aim
    import mechanism
    import mst
    from cdp2adp import cdp_rho

    given = job["options"]
    remember("cdp_rho", mechanism, mst)
    heard = listen(recorder, mst, aim, given.get("iterations", 50))
    domain = mbi.Domain.fromdict(job["domain"])
    workload = [(clique, 1.0) for clique in itertools.combinations(domain, 2)]

    def run(table):
        data = mbi.Dataset(pd.DataFrame(table), domain)
        if job["mechanism"] == "mst":
            made = mst.MST(data, job["epsilon"], job["delta"]).df
        else:
            made_by = heard(job["epsilon"], job["delta"], rounds=given.get("rounds", 6), max_iters=50)
            made = made_by.run(data, workload)[1].df
        return {"columns": sorted(made.columns), "rows": len(made)}

    return run, cdp_rho(job["epsilon"], job["delta"]), [SHORT, BRIDGE]


if __name__ == "__main__":
    main(prepare, ("mbi", "jax"))
