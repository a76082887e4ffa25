"""dpsynth itself, told the coded columns and which of them are ordered."""

from __future__ import annotations

import os
import sys

from adapter import Request, Steps, main


def synthesize(request: Request, steps: Steps):
    sys.path.insert(0, os.environ["DPSYNTH_THIS_LIBRARY"])
    with steps("import"):
        from dpsynth import Schema, Synthesizer  # noqa: PLC0415
    ordered = [f"c{i}" for i, n in enumerate(request.names) if n in os.environ["DPSYNTH_ORDERED"].split("\n")]
    schema = Schema.from_domain(request.domain, ordered=ordered)
    synthesizer = Synthesizer(
        schema,
        epsilon=request.epsilon,
        delta=request.delta,
        mechanism=request.mechanism,
        **({"workload": f"all-{request.ways}-way"} if request.told else {}),
    )
    table = request.frame()
    with steps("fit"):
        release = synthesizer.fit(table)
    with steps("sample"):
        return release.sample()


if __name__ == "__main__":
    main(synthesize, ("numpy", "scipy", "numba"))
