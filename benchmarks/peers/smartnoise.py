"""AIM and MST of smartnoise-synth, given transformers that were fitted on the public domain."""

from __future__ import annotations

from adapter import Request, Steps, main


def synthesize(request: Request, steps: Steps):
    with steps("import"):
        from snsynth import Synthesizer  # noqa: PLC0415
        from snsynth.transform.label import LabelTransformer  # noqa: PLC0415
        from snsynth.transform.table import TableTransformer  # noqa: PLC0415
    columns = []
    for size in request.domain.values():
        column = LabelTransformer(nullable=False)
        column.fit(range(size))
        columns.append(column)
    options = {"degree": request.ways, "max_model_size": request.model_mb}
    synthesizer = Synthesizer.create(
        request.mechanism,
        epsilon=request.epsilon,
        delta=request.delta,
        **(options if request.mechanism == "aim" else {}),
    )
    table = request.frame()
    with steps("fit"):
        synthesizer.fit(table, transformer=TableTransformer(columns), preprocessor_eps=0.0)
    with steps("sample"):
        return synthesizer.sample(len(table))


if __name__ == "__main__":
    main(synthesize, ("smartnoise-synth", "mbi", "opendp"))
