"""Traces of dpmm's MST, AIM and PrivBayes: of the codes alone, or of the pipeline with its preprocessing.

Options of a job: ``processing`` (the pipeline as its README shows it), ``domain`` (whether it is given; of a
column that is processed, its categories), ``iterations`` of the estimation, ``rounds`` of AIM.
"""

from __future__ import annotations

from recorder import SHORT, Pending, Recorder, main, quarter, remember

KINDS = {"mst": "MSTPipeline", "aim": "AIMPipeline", "privbayes": "PrivBayesPipeline"}


def listen(recorder: Recorder) -> None:
    """Put the recorder where noise is drawn: at ``gaussian_noise`` and three exponential mechanisms."""
    import numpy as np
    from dpmm.models import aim, mst, priv_bayes
    from dpmm.models.base.mechanisms import mechanism

    own = mechanism.gaussian_noise

    def gaussian_noise(sigma, size=None):
        return Pending(recorder, sigma, lambda shape: own(sigma=sigma, size=shape))

    mechanism.gaussian_noise = aim.gaussian_noise = gaussian_noise

    def tree_choice(self, q, eps, sensitivity, monotonic=False):
        effective = eps * (2 if monotonic else 1)
        draw = own_tree_choice.__get__(self)
        return recorder.choose(
            q,
            effective,
            eps,
            lambda: draw(q, eps, sensitivity, monotonic),
            asked={"of": int(q.size)},
            sensitivity=sensitivity,
        )

    own_tree_choice, mst.MST.exponential_mechanism = mst.MST.exponential_mechanism, tree_choice

    def worst_choice(self, qualities, epsilon, sensitivity=1.0, base_measure=None):
        keys, draw = list(qualities), own_worst_choice.__get__(self)
        index = recorder.choose(
            list(qualities.values()),
            epsilon,
            epsilon,
            lambda: keys.index(draw(qualities, epsilon, sensitivity, base_measure)),
            asked={"among": [list(key) for key in keys]},
            sensitivity=sensitivity,
        )
        return keys[index]

    own_worst_choice, aim.AIM.exponential_mechanism = aim.AIM.exponential_mechanism, worst_choice

    own_sensitivity = priv_bayes.ExponentialMechanism.compute_delta

    def sensitivity_of(self, data):
        self.epsilon_each = self.epsilon / len(data.domain.attrs)  # as the program splits it
        return own_sensitivity(self, data)

    def parent_choice(self, input_vector):
        chances, rng = own_parent_choice(self, input_vector), np.random.default_rng()
        index = recorder.choose(
            input_vector,
            self.epsilon_each,
            self.epsilon_each,
            lambda: rng.choice(len(chances), p=chances),
            asked={"of": len(chances)},
            sensitivity=self.delta * self.epsilon_each,
        )
        return np.eye(len(chances))[index]  # what is drawn from it is the index

    own_parent_choice = priv_bayes.ExponentialMechanism.__call__
    priv_bayes.ExponentialMechanism.compute_delta = sensitivity_of
    priv_bayes.ExponentialMechanism.__call__ = parent_choice


def shorten(mst, iterations: int) -> None:
    """Let the model that MST chooses by be estimated in fewer steps than the 2,500 it asks for."""
    own = mst.FactoredInference
    mst.FactoredInference = lambda domain, iters, **more: own(domain, iters=min(iters, iterations), **more)


def prepare(job, recorder: Recorder):
    import pandas as pd
    from dpmm import pipelines
    from dpmm.models import mst, priv_bayes
    from dpmm.models.base.mechanisms import cdp_rho
    from dpmm.models.base.mechanisms import mechanism as base

    listen(recorder)
    given = job["options"]
    shorten(mst, given.get("iterations", 50))
    remember("cdp_rho", base, mst, priv_bayes)
    mechanism = job["mechanism"]
    own = {"n_iters": given.get("iterations", 50)}
    if mechanism == "aim":
        own |= {"rounds": given.get("rounds", 6), "degree": 2}

    def run(table):
        columns = {
            c: v.astype("category") if given.get("processing") else v for c, v in table_of(table).items()
        }
        frame = pd.DataFrame(columns)
        pipeline = getattr(pipelines, KINDS[mechanism])(
            epsilon=job["epsilon"],
            delta=job["delta"],
            n_jobs=1,
            compress=given.get("compress", mechanism == "mst"),
            disable_processing=not given.get("processing"),
            gen_kwargs=own,
        )
        domain = {
            c: {"categories": list(range(n))} if given.get("processing") else n
            for c, n in job["domain"].items()
        }
        pipeline.fit(frame, domain=domain if given.get("domain", True) else None, random_state=recorder.seed)
        sizes = pipeline.gen.generator.model.domain.config if not given.get("compress") else {}
        made = pipeline.generate(n_records=20, random_state=0)
        return {"columns": list(made.columns), "modelled": {str(c): int(n) for c, n in sizes.items()}}

    def table_of(table):
        return {c: pd.Series(v, dtype="int64") for c, v in table.items()}

    if mechanism == "privbayes":  # epsilon/2 for its choices, split over the columns, and (epsilon/2, delta)
        each = job["epsilon"] / 2 / len(job["domain"])
        claimed = cdp_rho(job["epsilon"] / 2, job["delta"]) + len(job["domain"]) * quarter(each)
    else:
        claimed = cdp_rho(job["epsilon"], job["delta"])
    return run, claimed, [SHORT]


if __name__ == "__main__":
    main(prepare, ("dpmm", "opendp"))
