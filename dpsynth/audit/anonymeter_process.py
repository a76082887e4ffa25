"""Runs ``anonymeter`` on three tables read from standard input, in whatever interpreter has it.

The library holds numpy below 1.27 and cannot be installed beside this one. So this file is a program: it
imports nothing of dpsynth, reads one line of JSON and three Arrow streams from standard input, and writes one
line of JSON to standard output. Rows are never written to disk.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Read a request, run its attacks and write how many of them succeeded."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    source = sys.stdin.buffer
    request = json.loads(source.readline())
    tables = {name: _table(source.read(size)) for name, size in request["tables"]}
    answers: list[dict[str, Any]] = []
    for attack in request["attacks"]:
        try:
            counts = _ATTACKS[attack["kind"]](tables, attack, request["seed"])
        except Exception as error:  # noqa: BLE001  -- its message may quote a row: the type alone is passed on
            answers.append({"error": type(error).__name__})
        else:
            answers.append(counts)
    sys.stdout.write(json.dumps(answers) + "\n")


def _table(content: bytes) -> Any:
    import pyarrow as pa  # noqa: PLC0415  -- of the other interpreter

    with pa.ipc.open_stream(io.BytesIO(content)) as stream:
        return stream.read_all().to_pandas()


def _counts(evaluator: Any, attacks: int) -> dict[str, float]:
    found = evaluator.results(confidence_level=0.95)
    counts = {"real": found.n_success, "control": found.n_control, "naive": found.n_baseline}
    return {"attacks": attacks, **{name: float(count) for name, count in counts.items()}}


def _singling_out(tables: dict[str, Any], attack: dict[str, Any], seed: int) -> dict[str, float]:
    from anonymeter.evaluators import SinglingOutEvaluator  # noqa: PLC0415  -- of the other interpreter

    evaluator = SinglingOutEvaluator(
        ori=tables["real"],
        syn=tables["synthetic"],
        control=tables["control"],
        n_attacks=attack["attacks"],
        n_cols=attack["columns"],
        max_attempts=200 * attack["attacks"],
        seed=seed,
    ).evaluate(mode=attack["mode"])
    return _counts(evaluator, attack["attacks"])


def _linkability(tables: dict[str, Any], attack: dict[str, Any], _: int) -> dict[str, float]:
    from anonymeter.evaluators import LinkabilityEvaluator  # noqa: PLC0415  -- as above

    evaluator = LinkabilityEvaluator(
        ori=tables["real"],
        syn=tables["synthetic"],
        control=tables["control"],
        n_attacks=attack["attacks"],
        aux_cols=(attack["first"], attack["second"]),
        n_neighbors=1,
    ).evaluate(n_jobs=1)
    return _counts(evaluator, attack["attacks"])


def _inference(tables: dict[str, Any], attack: dict[str, Any], _: int) -> dict[str, float]:
    from anonymeter.evaluators import InferenceEvaluator  # noqa: PLC0415  -- as above

    evaluator = InferenceEvaluator(
        ori=tables["real"],
        syn=tables["synthetic"],
        control=tables["control"],
        n_attacks=attack["attacks"],
        aux_cols=attack["known"],
        secret=attack["secret"],
        regression=False,
    ).evaluate(n_jobs=1)
    return _counts(evaluator, attack["attacks"])


_ATTACKS = {"singling-out": _singling_out, "linkability": _linkability, "inference": _inference}

if __name__ == "__main__":
    main()
