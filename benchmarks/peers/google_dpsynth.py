"""AIM, AIM-GDP, SWIFT and MST of google/dpsynth, from a checkout at ``DPSYNTH_GOOGLE_DPSYNTH``."""

from __future__ import annotations

import itertools
import os
import sys

from adapter import Request, Steps, main


def guard_zero(api, dp_accounting) -> None:
    """Let its search ask for a budget of zero, by which the released dp-accounting would divide."""
    search = api.MechanismConfig._find_optimal_rho  # noqa: SLF001

    def guarded(self, make_event_fn, target_epsilon, target_delta):
        def event(rho):
            return make_event_fn(rho) if rho > 0 else dp_accounting.NoOpDpEvent()

        return search(self, event, target_epsilon, target_delta)

    api.MechanismConfig._find_optimal_rho = guarded  # noqa: SLF001


def synthesize(request: Request, steps: Steps):
    sys.path.insert(0, os.environ["DPSYNTH_GOOGLE_DPSYNTH"])
    with steps("import"):
        import dp_accounting  # noqa: PLC0415
        import numpy as np  # noqa: PLC0415

        import dpsynth  # noqa: PLC0415
        from dpsynth import discrete_mechanisms as dm  # noqa: PLC0415
    guard_zero(dpsynth.api, dp_accounting)
    workload = list(itertools.combinations(request.domain, request.ways))
    mechanism = {
        "aim": lambda: dm.AIMConfig(workload=workload, max_model_size=request.model_mb),
        "aim-gdp": lambda: dm.AIMGDPConfig(workload=workload, max_model_size=request.model_mb),
        "swift": lambda: dm.SWIFTConfig(workload=workload),
        "mst": dm.MSTConfig,
    }[request.mechanism]()
    domains = {c: dpsynth.CategoricalAttribute(range(size)) for c, size in request.domain.items()}
    config = dpsynth.TabularConfig(domains=domains, discrete_mechanism=mechanism)
    table = request.frame()
    with steps("fit"):  # fits and samples in one call
        calibrated = config.calibrate(epsilon=request.epsilon, delta=request.delta)
        made = calibrated(np.random.default_rng(), table)
    return made.synthetic_data, ["dp-accounting from PyPI, its division by a budget of zero avoided"]


if __name__ == "__main__":
    main(synthesize, ("mbi", "jax", "dp-accounting"))
