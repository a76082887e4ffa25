"""Traces of smartnoise-synth's MST and AIM.

Options of a job: ``domain`` (False: its own transformer learns the categories, as in its documentation),
``sample`` (whether to draw rows without saying how many), ``rounds`` of AIM, ``iterations`` of the
estimation.
"""

from __future__ import annotations

from recorder import SHORT, Instead, Pending, Recorder, main, patient, remember


def listen(recorder: Recorder, iterations: int) -> None:
    """Put the recorder where noise is drawn: at ``gaussian_noise`` and at the two exponential mechanisms."""
    import numpy as np
    from snsynth.aim import aim
    from snsynth.mst import mst

    own = mst.gaussian_noise

    def gaussian_noise(sigma, size=None):
        return Pending(recorder, sigma, lambda _: own(sigma, size))

    def fewer(*given, iters=0, **more):
        return own_descent(*given, iters=min(iters, iterations), **more)

    own_descent = mst.estimation.mirror_descent
    for module in (mst, aim):
        module.gaussian_noise, module.np = gaussian_noise, patient(np)
        module.estimation = Instead(mst.estimation, mirror_descent=fewer)

    def tree_choice(self, q, eps, sensitivity, prng=np.random, monotonic=False):
        draw = own_tree_choice.__get__(self)
        return recorder.choose(
            q,
            eps * (2 if monotonic else 1),
            eps,
            lambda: draw(q, eps, sensitivity, monotonic=monotonic),
            asked={"of": int(q.size)},
            sensitivity=sensitivity,
        )

    own_tree_choice = mst.MSTSynthesizer.exponential_mechanism
    mst.MSTSynthesizer.exponential_mechanism = tree_choice

    def worst_choice(qualities, epsilon, sensitivity=1.0, base_measure=None):
        keys = list(qualities)
        index = recorder.choose(
            [float(q) for q in qualities.values()],
            epsilon,
            epsilon,
            lambda: keys.index(own_worst_choice(qualities, epsilon, sensitivity, base_measure)),
            asked={"among": [list(key) for key in keys]},
            sensitivity=sensitivity,
        )
        return keys[index]

    own_worst_choice, aim.exponential_mechanism = aim.exponential_mechanism, worst_choice


def prepare(job, recorder: Recorder):
    import pandas as pd
    from snsynth import Synthesizer
    from snsynth.aim import aim
    from snsynth.mst import mst
    from snsynth.transform.label import LabelTransformer
    from snsynth.transform.table import TableTransformer
    from snsynth.utils import cdp_rho

    remember("cdp_rho", mst, aim)
    given, mechanism = job["options"], job["mechanism"]
    listen(recorder, given.get("iterations", 50))
    own = {"rounds": given.get("rounds", 6), "degree": 2} if mechanism == "aim" else {}

    def public():
        columns = [LabelTransformer(nullable=False) for _ in job["domain"]]
        for column, size in zip(columns, job["domain"].values(), strict=True):
            column.fit(range(size))
        return {"transformer": TableTransformer(columns)}

    def run(table):
        frame = pd.DataFrame(table)
        synthesizer = Synthesizer.create(mechanism, epsilon=job["epsilon"], delta=job["delta"], **own)
        how = public() if given.get("domain", True) else {"categorical_columns": list(frame.columns)}
        synthesizer.fit(frame, preprocessor_eps=0.0, **how)
        shape = {"cardinality": [int(n) for n in synthesizer._transformer.cardinality]}
        if given.get("sample"):
            made = synthesizer.sample()
            shape |= {"rows": len(made), "columns": list(made.columns)}
        return shape

    return run, cdp_rho(job["epsilon"], job["delta"]), [SHORT]


if __name__ == "__main__":
    main(prepare, ("smartnoise-synth", "mbi", "opendp"))
