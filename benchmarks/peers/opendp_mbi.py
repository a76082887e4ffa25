"""AIM and MST of ``opendp[mbi]``: every key given, at the zCDP budget that it says the guarantee affords."""

from __future__ import annotations

from adapter import Request, Steps, main

FILLED = "nulls, which the table never had, filled from the column's other values"


def budget(dp, epsilon: float, delta: float) -> float:
    """Return the largest rho whose conversion by OpenDP is within the guarantee."""
    space = dp.atom_domain(T=float, nan=False), dp.absolute_distance(T=float)

    def gaussian(scale: float):
        return dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(dp.m.make_gaussian(*space, scale)), delta)

    scale = dp.binary_search_param(gaussian, d_in=1.0, d_out=(epsilon, delta), T=float)
    return 0.5 / scale**2


def synthesize(request: Request, steps: Steps):
    with steps("import"):
        import mbi  # noqa: F401, PLC0415
        import numpy as np  # noqa: PLC0415
        import opendp.prelude as dp  # noqa: PLC0415
        import polars as pl  # noqa: PLC0415
    dp.enable_features("contrib")
    rho = budget(dp, request.epsilon, request.delta)
    table = pl.from_pandas(request.frame()).lazy()
    algorithms = {
        "aim": lambda: dp.mbi.AIM(queries=request.ways, max_size=request.model_mb),
        "mst": dp.mbi.MST,
    }
    with steps("fit"):
        context = dp.Context.compositor(
            data=table, privacy_unit=dp.unit_of(contributions=1), privacy_loss=dp.loss_of(rho=rho)
        )
        keys = {c: list(range(size)) for c, size in request.domain.items()}
        query = context.query(rho=rho).select(*request.domain)
        release = query.contingency_table(keys=keys, algorithm=algorithms[request.mechanism]()).release()
    with steps("sample"):
        frame = release.synthesize().to_pandas()
    rng = np.random.default_rng()
    found = bool(frame.isna().to_numpy().any())
    for column, size in request.domain.items():
        absent = frame[column].isna()
        known = frame.loc[~absent, column].to_numpy()
        frame.loc[absent, column] = rng.choice(known if known.size else np.arange(size), int(absent.sum()))
    return frame.astype("int64"), [FILLED] if found else []


if __name__ == "__main__":
    main(synthesize, ("opendp", "mbi", "polars"))
