"""Singling out, linkability and attribute inference, through the ``anonymeter`` library, with a control set.

Each attack is made on training people and, in the same way, on people of the holdout. What succeeds on both
is what the synthetic table teaches about everybody; what succeeds on training people alone is what it gives
away about them: ``R = (r_train - r_control) / (1 - r_control)``.

Linkability and inference aim at one person at a time, so the guarantee bounds them: with ``f`` its trade-off
curve, ``r_train <= f(r_control)``, since the control is how the attack fares on somebody whose row is not in
the table (of one row more: ``1 / n`` is added). Singling out succeeds on any of ``n`` people, each with a
share of the chance, and is bounded by ``n f(r_control / n)``.

The library cannot live beside this one (it holds numpy below 1.27). It is run by an interpreter that has it,
named by an option or by ``DPSYNTH_ANONYMETER``, and gets codes, not values, over a pipe. How the naive
baseline of linkability and inference draws is the library's own chance.

References: Giomi, Boenisch, Wehmeyer, Tasnadi 2023, "A Unified Framework for Quantifying Privacy Risk in
Synthetic Data" (arXiv:2211.10459). Kulynych et al. 2025 (arXiv:2507.06969), one curve for all three.
"""

from __future__ import annotations

import importlib.util
import io
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dpsynth.audit.bounds import rate_upper, wilson
from dpsynth.audit.ceilings import Claim
from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.audit.tables import Codes
from dpsynth.domain import Domain

__all__ = ["VARIABLE", "anonymeter_findings", "interpreter"]

VARIABLE = "DPSYNTH_ANONYMETER"
LEAST = 100  # attacks on each side, below which a rate says nothing
_SECRETS = 3  # columns that are inferred
_MOST_SECONDS = 900


def interpreter(stated: str | os.PathLike[str] | None = None) -> str | None:
    """Return the Python interpreter that runs anonymeter: the stated one, the variable's, or this one.

    Args:
        stated: A path; None to look at ``DPSYNTH_ANONYMETER``, then whether it is importable here.

    Returns:
        A path, or None if there is none.
    """
    if stated is not None:
        return os.fspath(stated)
    if os.environ.get(VARIABLE):
        return os.environ[VARIABLE]
    return sys.executable if importlib.util.find_spec("anonymeter") is not None else None


def anonymeter_findings(
    real: Codes,
    control: Codes,
    synthetic: Codes,
    domain: Domain,
    claim: Claim,
    *,
    attacks: int,
    alpha: float,
    rng: np.random.Generator,
    python: str | os.PathLike[str] | None = None,
) -> tuple[Finding, ...]:
    """Run the three kinds of attack.

    Args:
        real: Training rows, one of each person.
        control: Holdout rows, one of each person.
        synthetic: The synthetic table.
        domain: Of all three.
        claim: Of the release.
        attacks: Most attacks of each kind on each side.
        alpha: Rate of false violations of each attack.
        rng: Chooses whom to attack and what is secret.
        python: Interpreter that has anonymeter; see :func:`interpreter`.

    Returns:
        Confidential findings; inconclusive ones where the library is not at hand or there are too few rows.
    """
    size = min(attacks, len(real), len(control))
    asked = _asked(domain, rng)
    seed = int(rng.integers(2**31))
    tables = {**_alike(real, control, size, rng), "synthetic": synthetic}
    size = len(tables["real"])
    if size < LEAST:
        why = f"it takes at least {LEAST} people on each side, no two of them alike"
        return tuple(_absent(a, why, size) for a in asked)
    asked = [{**own, "attacks": size} for own in asked]
    path = interpreter(python)
    if path is None:
        why = f"could not run: no interpreter has anonymeter; name one in {VARIABLE}"
        return tuple(_absent(a, why, 0) for a in asked)
    started = time.perf_counter()
    answers = _run(path, tables, domain, asked, seed)
    if isinstance(answers, str):
        return tuple(_absent(a, f"could not run: {answers}", 0) for a in asked)
    seconds = (time.perf_counter() - started) / max(1, len(asked))
    return tuple(
        _absent(own, f"could not run: anonymeter ended in {answer['error']}", 0)
        if "error" in answer
        else _judged(own, answer, claim, alpha=alpha, rows=len(real), domain=domain, seconds=seconds)
        for own, answer in zip(asked, answers, strict=True)
    )


def _alike(real: Codes, control: Codes, size: int, rng: np.random.Generator) -> dict[str, Codes]:
    """Draw as many people on both sides, no two of one side alike: the library counts unlike rows."""
    both = [np.unique(rows[rng.permutation(len(rows))[:size]], axis=0) for rows in (real, control)]
    least = min(map(len, both))
    first, second = (rows[rng.permutation(len(rows))[:least]] for rows in both)
    return {"real": first, "control": second}


def _asked(domain: Domain, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return what is to be attacked, in the process's own form; columns are named by position."""
    names = [_name(c) for c in range(len(domain))]
    mixed = [names[i] for i in rng.permutation(len(names))]
    half = (len(mixed) + 1) // 2
    several = {"kind": "singling-out", "mode": "multivariate", "columns": min(4, len(names))}
    asked: list[dict[str, Any]] = [
        {"kind": "singling-out", "mode": "univariate", "columns": 1},
        *([several] if len(names) > 1 else []),
        *([{"kind": "linkability", "first": mixed[:half], "second": mixed[half:]}] if len(names) > 1 else []),
        *(
            {"kind": "inference", "secret": secret, "known": [n for n in names if n != secret]}
            for secret in (mixed[:_SECRETS] if len(names) > 1 else ())
        ),
    ]
    return asked


def _name(column: int) -> str:
    return f"c{column}"


def _run(
    path: str, tables: Mapping[str, Codes], domain: Domain, asked: Sequence[dict[str, Any]], seed: int
) -> list[dict[str, Any]] | str:
    """Ask the other interpreter; return its answers, or why there are none."""
    streams = {name: _stream(codes, domain) for name, codes in tables.items()}
    request = {"tables": [(n, len(s)) for n, s in streams.items()], "attacks": list(asked), "seed": seed}
    content = b"".join([json.dumps(request).encode() + b"\n", *streams.values()])
    program = Path(__file__).with_name("anonymeter_process.py")
    try:
        done = subprocess.run(  # noqa: S603  -- the caller's own interpreter, and a program of this package
            [path, "-I", str(program)],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # may quote a row
            timeout=_MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"anonymeter took longer than {_MOST_SECONDS} seconds"
    except OSError:
        return "the interpreter named for anonymeter cannot be started"
    try:
        answers = json.loads(done.stdout)
    except ValueError:
        return "the interpreter named for anonymeter gave no answer"
    fits = isinstance(answers, list) and len(answers) == len(asked)
    return answers if fits else "the interpreter named for anonymeter gave an answer of another kind"


def _stream(codes: Codes, domain: Domain) -> bytes:
    """Write codes as an Arrow stream: ordered columns as numbers (below 0: no value), others as texts."""
    import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

    columns = {}
    for place, (axis, own) in enumerate(zip(domain, codes.T, strict=True)):
        plain = np.where(own < axis.ordered, own, axis.ordered - 1 - own)
        texts = np.array([f"v{code}" for code in range(axis.size)], dtype=object)
        columns[_name(place)] = pa.array(plain if axis.ordered > 1 else texts[own])
    table = pa.table(columns)
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _check(asked: Mapping[str, Any]) -> str:
    kind = asked["kind"]
    return f"anonymeter.{kind}" + (f".{asked['mode']}" if kind == "singling-out" else "")


def _absent(asked: Mapping[str, Any], why: str, trials: int) -> Finding:
    return Finding(
        check=_check(asked),
        level=Level.data,
        summary=f"{why[0].upper()}{why[1:]}.",
        verdict=Verdict.inconclusive,
        value=None,
        unit="residual risk",
        trials=trials,
        publishable=False,
        details={"needed": LEAST},
    )


def _judged(
    asked: Mapping[str, Any],
    answer: Mapping[str, Any],
    claim: Claim,
    *,
    alpha: float,
    rows: int,
    domain: Domain,
    seconds: float,
) -> Finding:
    n = int(answer["attacks"])
    real, control, naive = (min(n, math.ceil(answer[k])) for k in ("real", "control", "naive"))
    risk, error = residual_risk(real, control, n, alpha)
    singling = asked["kind"] == "singling-out"

    def bound(baseline: float) -> float:
        if singling:
            return min(1.0, n * claim.ceiling(baseline / n))
        return claim.ceiling(min(1.0, baseline + 1 / rows))

    found = 1 - rate_upper(count=n - real, trials=n, alpha=alpha / 2)
    most = bound(rate_upper(count=control, trials=n, alpha=alpha / 2))
    could = 1 - rate_upper(count=0, trials=n, alpha=alpha / 2)
    informative = real > naive
    verdict = Verdict.violation if found > most else Verdict.consistent
    if verdict is Verdict.consistent and (could <= most or not informative):
        verdict = Verdict.inconclusive
    ceiling = bound(control / n)
    text = (
        f"It succeeds on {real / n:.1%} of the training people and on {control / n:.1%} of the holdout; the "
        f"guarantee allows {ceiling:.1%}"
    )
    if verdict is Verdict.violation:
        text += ". Training people are attacked more easily than promised."
    elif not informative:
        text += f". Blind guessing succeeds on {naive / n:.1%}: the attack says nothing."
    elif verdict is Verdict.inconclusive:
        text += ", so that no success at all would show a violation here."
    else:
        text += "."
    return Finding(
        check=_check(asked),
        level=Level.data,
        summary=text,
        verdict=verdict,
        value=risk,
        unit="residual risk",
        interval=(max(-1.0, risk - error), min(1.0, risk + error)),
        confidence=1 - alpha,
        trials=n,
        ceiling=max(0.0, (ceiling - control / n) / (1 - control / n)) if control < n else 0.0,
        baseline=0.0,
        publishable=False,
        seconds=seconds,
        details={
            "success": {"train": real / n, "control": control / n, "naive": naive / n, "ceiling": ceiling},
            "wilson": {
                "train": list(wilson(count=real, trials=n, alpha=alpha)),
                "control": list(wilson(count=control, trials=n, alpha=alpha)),
            },
            **({"secret": domain.names[int(asked["secret"][1:])]} if "secret" in asked else {}),
        },
    )


def residual_risk(real: int, control: int, attacks: int, alpha: float) -> tuple[float, float]:
    """Return ``R = (r - c) / (1 - c)`` and its error, from the centres and half-widths of Wilson intervals.

    Args:
        real: Successes on training people.
        control: Successes on people of the holdout.
        attacks: Attacks on each.
        alpha: One minus the confidence of the error.

    Returns:
        The risk, at most 1, negative where the control fares worse; and the half-width of its interval.

    Reference: Giomi et al. 2023, section 3 and appendix.
    """
    (r, dr), (c, dc) = (_centre(wilson(count=k, trials=attacks, alpha=alpha)) for k in (real, control))
    error = math.hypot(dr / (1 - c), (1 - r) * dc / (1 - c) ** 2)
    return (r - c) / (1 - c), error


def _centre(interval: tuple[float, float]) -> tuple[float, float]:
    low, high = interval
    return (low + high) / 2, (high - low) / 2
