"""Traces of ``opendp[mbi]``'s AIM and MST: every key given, under zCDP.

Noise is drawn in its compiled core: the recorder hears exact counts in the functions that hand them over, and
the noisy ones in those that take them back. Options of a job: ``rho``, ``rounds`` of AIM, ``iterations``.
"""

from __future__ import annotations

from recorder import SHORT, Recorder, main


def listen(recorder: Recorder) -> None:
    """Put the recorder before and after each draw of a marginal, of a one-way count and of a choice."""
    heard: dict = {}

    def choose(index):
        epsilon = 2 * heard["sensitivity"] / heard["scale"]  # its Gumbel noise chooses by exp(score / scale)
        return recorder.choose(
            heard["scores"],
            epsilon,
            epsilon,
            lambda: index,
            asked={"of": len(heard["scores"])},
            sensitivity=heard["sensitivity"],
        )

    hear_first(recorder, heard)
    hear_marginals(recorder, heard)
    hear_choices(heard, choose)


def hear_first(recorder: Recorder, heard: dict) -> None:
    """Hear the one-way counts: a private frame of polars, then a function that collects it."""
    import numpy as np
    import polars as pl
    from opendp.extras.mbi import _table

    own_frame, own_pure = _table.make_private_lazyframe, _table._new_pure_function

    def make_private_lazyframe(*given, global_scale, threshold=None):
        heard["first"] = global_scale
        return own_frame(*given, global_scale=global_scale, threshold=threshold)

    def pure(function):
        def after(lazy):
            frame = function(lazy)
            name = frame.columns[0]
            frame = frame.sort(name)
            rows = np.asarray(recorder.table[name])
            known = [k for k in frame[name] if k is not None]
            unknown = int((~np.isin(rows, known)).sum())
            exact = [unknown if k is None else int((rows == k).sum()) for k in frame[name]]
            noisy = recorder.noisy(
                exact,
                heard["first"],
                frame["len"].to_numpy,
                asked={"columns": [name], "keys": [None if k is None else int(k) for k in frame[name]]},
            )
            return frame.with_columns(pl.Series("len", noisy.astype("int64")))

        return own_pure(after if function.__name__ == "<lambda>" else function)

    _table.make_private_lazyframe, _table._new_pure_function = make_private_lazyframe, pure


def hear_marginals(recorder: Recorder, heard: dict) -> None:
    """Hear ``make_noise_marginal``: a transformation that counts, noise, a function of the noisy counts."""
    from opendp.extras.mbi import _aim, _utilities

    own = _utilities.make_noise_marginal

    def make_noise_marginal(input_domain, input_metric, output_measure, clique, scale):
        own_make, own_pure = _utilities._make_transformation, _utilities._new_pure_function

        def counting(*given, function, **more):
            def keep(data):
                heard["counts"] = function(data)
                return heard["counts"]

            return own_make(*given, function=keep, **more)

        def answered(function):
            asked = {"columns": list(clique)}
            return own_pure(
                lambda noisy: function(recorder.noisy(heard["counts"], scale, lambda: noisy, asked=asked))
            )

        _utilities._make_transformation, _utilities._new_pure_function = counting, answered
        try:
            return own(input_domain, input_metric, output_measure, clique, scale)
        finally:
            _utilities._make_transformation, _utilities._new_pure_function = own_make, own_pure

    _utilities.make_noise_marginal = _aim.make_noise_marginal = make_noise_marginal


def hear_choices(heard: dict, choose) -> None:
    """Hear the noisy maximum: AIM's is followed by a function of the index, MST's is used as it is."""
    from opendp.extras.mbi import _aim, _mst

    for module in (_aim, _mst):
        module._make_transformation = scoring(module._make_transformation, heard)
    own_then, own_pure, own_max = _aim.then_noisy_max, _aim._new_pure_function, _mst.make_noisy_max

    def then_noisy_max(output_measure, scale):
        heard["scale"] = scale
        return own_then(output_measure=output_measure, scale=scale)

    def pure(function):
        chosen = function.__name__ == "<lambda>"
        return own_pure((lambda index: function(choose(index))) if chosen else function)

    def make_noisy_max(*space, output_measure, scale):
        heard["scale"] = scale
        return own_max(*space, output_measure=output_measure, scale=scale) >> own_pure(choose)

    _aim.then_noisy_max, _aim._new_pure_function, _mst.make_noisy_max = then_noisy_max, pure, make_noisy_max


def scoring(own, heard):
    """Keep the scores that a transformation returns and the sensitivity that it states."""

    def make(*given, function, stability_map, **more):
        def keep(data):
            heard["scores"] = function(data)
            return heard["scores"]

        def state(d_in):
            heard["sensitivity"] = float(stability_map(d_in))
            return heard["sensitivity"]

        return own(*given, function=keep, stability_map=state, **more)

    return make


def prepare(job, recorder: Recorder):
    import mbi
    import opendp.prelude as dp
    import polars as pl

    dp.enable_features("contrib")
    listen(recorder)
    given = job["options"]
    claimed = given["rho"]

    def estimator(domain, loss_fn, *, potentials=None):
        return mbi.estimation.mirror_descent(
            domain, loss_fn, potentials=potentials, iters=given.get("iterations", 50)
        )

    algorithm = {
        "aim": lambda: dp.mbi.AIM(queries=2, rounds=given.get("rounds", 6), estimator=estimator),
        "mst": lambda: dp.mbi.MST(estimator=estimator),
    }[job["mechanism"]]

    def run(table):
        frame = pl.DataFrame({c: pl.Series(c, v, dtype=pl.Int64) for c, v in table.items()}).lazy()
        context = dp.Context.compositor(
            data=frame, privacy_unit=dp.unit_of(contributions=1), privacy_loss=dp.loss_of(rho=claimed)
        )
        keys = {c: list(range(size)) for c, size in job["domain"].items()}
        query = context.query(rho=claimed).select(*job["domain"])
        made = query.contingency_table(keys=keys, algorithm=algorithm()).release()
        return {"keys": {c: len(k) for c, k in made.keys.items()}}

    return run, claimed, [SHORT]


if __name__ == "__main__":
    main(prepare, ("opendp", "mbi", "polars"))
