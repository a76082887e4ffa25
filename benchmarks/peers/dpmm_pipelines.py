"""AIM, MST and PrivBayes of dpmm, given the coded columns and the public domain."""

from __future__ import annotations

from adapter import Request, Steps, main


def synthesize(request: Request, steps: Steps):
    with steps("import"):
        from dpmm import pipelines  # noqa: PLC0415
    kinds = {"aim": "AIMPipeline", "mst": "MSTPipeline", "privbayes": "PrivBayesPipeline"}
    options = {"max_model_size": request.model_mb, "gen_kwargs": {"degree": request.ways}}
    pipeline = getattr(pipelines, kinds[request.mechanism])(
        epsilon=request.epsilon,
        delta=request.delta,
        n_jobs=1,
        disable_processing=True,  # the codes are what it models, so its second epsilon is not spent
        **(options if request.mechanism == "aim" else {}),
    )
    table = request.frame()
    with steps("fit"):
        pipeline.fit(table, domain=dict(request.domain))
    with steps("sample"):
        return pipeline.generate(n_records=len(table))


if __name__ == "__main__":
    main(synthesize, ("dpmm", "opendp"))
