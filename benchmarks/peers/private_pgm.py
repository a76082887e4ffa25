"""Reference AIM and MST of private-pgm, from a checkout at ``DPSYNTH_PRIVATE_PGM``, on mbi 2.0.

The checkout's mechanisms were written for mbi 1.0. Five of its names are given the meaning they had there:
``estimation.mirror_descent``, ``Dataset(frame, domain)``, ``Dataset.df``, ``Domain.attrs`` and
``MarkovRandomField.cliques``; nothing of the mechanisms changes.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from adapter import Request, Steps, main

LARGEST_MARGINAL = 10_000  # cells; the default of the checkout's own command line
BRIDGE = "mbi 2.0 given the names of mbi 1.0 that the reference mechanisms use"
LEFT_OUT = (
    f"marginals of more than {LARGEST_MARGINAL:,} cells left out of AIM's workload, as its own program does"
)


def old_names(mbi, pd) -> None:
    """Give mbi 2.0 the five names of mbi 1.0 that the mechanisms use."""
    current = mbi.Dataset

    class Dataset(current):
        def __init__(self, data, domain, weights=None) -> None:
            if isinstance(data, pd.DataFrame):
                data = {c: data[c].to_numpy().astype("int64") for c in domain}
            super().__init__(data, domain, weights)

    def mirror_descent(domain, measurements, iters=1000, potentials=None, callback_fn=None):
        estimator = mbi.estimation.MirrorDescent()
        return estimator.estimate(
            domain, measurements, iters=iters, warm_start=potentials, callback_fn=callback_fn
        )

    current.df = property(lambda self: pd.DataFrame(self.to_dict()))
    mbi.Domain.attrs = property(lambda self: self.attributes)
    cliques = mbi.MarkovRandomField.cliques
    mbi.MarkovRandomField.cliques = property(lambda self: list(cliques.fget(self)))
    mbi.Dataset, mbi.estimation.mirror_descent = Dataset, mirror_descent


def synthesize(request: Request, steps: Steps):
    sys.path.insert(0, str(Path(os.environ["DPSYNTH_PRIVATE_PGM"]) / "mechanisms"))
    with steps("import"):
        import mbi  # noqa: PLC0415
        import pandas as pd  # noqa: PLC0415

        old_names(mbi, pd)
        import aim  # noqa: PLC0415
        import mst  # noqa: PLC0415
    domain = mbi.Domain.fromdict(request.domain)
    data = mbi.Dataset(request.frame(), domain)
    with steps("fit"):  # both mechanisms fit and sample in one call
        if request.mechanism == "mst":
            return mst.MST(data, request.epsilon, request.delta).df, [BRIDGE]
        workload = [
            (clique, 1.0)
            for clique in itertools.combinations(domain, request.ways)
            if domain.size(clique) <= LARGEST_MARGINAL
        ]
        mechanism = aim.AIM(request.epsilon, request.delta, max_model_size=request.model_mb)
        _, synthetic = mechanism.run(data, workload)
        return synthetic.df, [BRIDGE, LEFT_OUT]


if __name__ == "__main__":
    main(synthesize, ("mbi", "jax"))
