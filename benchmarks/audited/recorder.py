"""What every adapter does alike: hear noise and choices of a mechanism, answer from a script, write traces.

Run as ``python ADAPTER.py JOB.json OUT.json``. A job names a subject, its guarantee, its tables and its runs;
a run gives the answers of an earlier run again if it names one as its script. The mechanisms are the
program's own: what is replaced is only where noise is drawn, and there the program's own sampler draws it.
"""

from __future__ import annotations

import functools
import json
import math
import secrets
import sys
import time
from importlib import metadata
from pathlib import Path

__all__ = ["SHORT", "Instead", "Pending", "Recorder", "main", "numpy_noise", "patient", "quarter", "remember"]

SHORT = "fewer steps of estimation than it takes by default, which is work on noisy answers alone"


class AllAsked(BaseException):
    """All questions that a job waits for were answered: what follows is work on answers, and not done."""


class Recorder:
    """Log of the run that is under way.

    Attributes:
        calls: What was asked so far, as JSON values.
        table: The rows of the run, column by column.
        last: Number of calls after which a run is ended; None for none.
        seed: For choices that a program makes for free, such as the first column of a network.
    """

    def __init__(self) -> None:
        self.calls: list[dict] = []
        self.script: list[dict] = []
        self.table: dict[str, list] = {}
        self.seed = 0
        self.last: int | None = None

    def begin(self, table: dict[str, list], script: dict | None) -> None:
        """Forget the last run; the next is on these rows, with the answers and free choices of a trace."""
        self.calls, self.script, self.table = [], script["calls"] if script else [], table
        self.seed = script["seed"] if script else secrets.randbits(32)

    def scripted(self, kind: str, size: int):
        """Return the answer to the next call, or None where it is to be drawn."""
        at = len(self.calls)
        if at < len(self.script):
            call = self.script[at]
            if call["kind"] == kind and len(call["exact"]) == size:
                return call["answer"]
        return None

    def noisy(self, exact, scale: float, draw, *, asked: dict, norm: str = "l2", sensitivity: float = 1.0):
        """Record a measurement and return its answer, in the shape of ``exact``.

        Args:
            exact: Counts before noise.
            scale: Standard deviation, or scale of Laplace noise.
            draw: Returns the exact numbers plus the program's own noise.
            asked: What was public in the question.
            norm: ``"l2"`` or ``"l1"``.
            sensitivity: What the program's accounting allows one row to change.
        """
        import numpy as np

        exact = np.asarray(exact, dtype=np.float64)
        given = self.scripted("measure", exact.size)
        answer = np.asarray(draw() if given is None else given, dtype=np.float64).reshape(exact.shape)
        ratio = sensitivity / scale
        price = ratio**2 / 2 if norm == "l2" else ratio
        self._log("measure", asked, norm, sensitivity, scale, price, exact, answer.ravel().tolist())
        return answer

    def choose(self, scores, epsilon: float, booked: float, draw, *, asked: dict, sensitivity: float = 1.0):
        """Record a choice with probabilities proportional to ``exp(epsilon score / (2 sensitivity))``.

        Args:
            scores: Of the candidates.
            epsilon: What the probabilities are made with.
            booked: Epsilon that the program's accounting has for it, priced as ``epsilon**2 / 8`` of zCDP.
            draw: Returns an index, chosen by the program.
            asked: What was public in the question.
            sensitivity: What the program's accounting allows one row to change any score.
        """
        import numpy as np

        scores = np.asarray(scores, dtype=np.float64)
        given = self.scripted("select", scores.size)
        answer = int(draw() if given is None else given)
        self._log("select", asked, "range", sensitivity, epsilon, quarter(booked), scores, answer)
        return answer

    def _log(self, kind, asked, norm, sensitivity, scale, price, exact, answer) -> None:
        self.calls.append({
            "kind": kind,
            "asked": asked,
            "norm": norm,
            "sensitivity": float(sensitivity),
            "scale": float(scale),
            "price": float(price),
            "exact": exact.ravel().tolist(),
            "answer": answer,
        })  # fmt: skip
        if len(self.calls) == self.last:
            raise AllAsked


def quarter(epsilon: float) -> float:
    """Return the zCDP of an exponential mechanism: ``epsilon**2 / 8``."""
    return epsilon**2 / 8


class Pending:
    """Noise that was asked for and not yet added: the sum ``exact + pending`` is the measurement."""

    __array_ufunc__ = None  # numpy leaves the sum to __radd__

    def __init__(self, recorder: Recorder, scale: float, draw, asked: dict | None = None) -> None:
        self.recorder, self.scale, self.draw, self.asked = recorder, scale, draw, asked or {}

    def __add__(self, exact):
        import numpy as np

        known = np.asarray(exact, dtype=np.float64)
        return self.recorder.noisy(
            known,
            self.scale,
            lambda: known + np.asarray(self.draw(known.shape), dtype=np.float64),
            asked={**self.asked, "shape": list(known.shape)},
        )

    __radd__ = __add__


class Instead:
    """A module or generator with some of its names given another meaning, for one reader of it only."""

    def __init__(self, of, **meanings) -> None:
        self._of = of
        self.__dict__.update(meanings)

    def __getattr__(self, name: str):
        return getattr(self._of, name)


def remember(name: str, *modules) -> None:
    """Let modules remember the results of one function of public numbers that they all use: it takes long."""
    once = functools.cache(getattr(modules[0], name))
    for module in modules:
        setattr(module, name, once)


def patient(numpy):
    """Return numpy with an ``array`` and an ``asarray`` that leave pending noise as it is."""

    def kept(own):
        return lambda value, *rest, **more: value if isinstance(value, Pending) else own(value, *rest, **more)

    return Instead(numpy, array=kept(numpy.array), asarray=kept(numpy.asarray))


def numpy_noise(recorder: Recorder, rng):
    """Return ``normal(loc, scale, size)`` of a numpy generator whose noise is pending."""

    def normal(loc=0.0, scale=1.0, size=None):
        if loc != 0:
            raise NotImplementedError("noise around another mean than zero")
        return Pending(recorder, scale, lambda shape: rng.normal(loc, scale, size or shape))

    return normal


def main(prepare, packages: tuple[str, ...]) -> None:
    """Do a job: ``prepare(job, recorder)`` returns ``(run, claimed, notes)``.

    Args:
        prepare: Imports the program and gives ``run(rows) -> shape``, which fits and says what everybody can
            see of the output, the claim in zCDP, and what was done to make the program run.
        packages: Whose versions are stated.
    """
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    recorder = Recorder()
    recorder.last = job.get("last")
    run, claimed, notes = prepare(job, recorder)
    traces, start = [], time.perf_counter()
    for asked in job["runs"]:
        script = traces[asked["script"]] if asked.get("script") is not None else None
        recorder.begin(job["tables"][asked["table"]], script)
        try:
            shape, ended = run(recorder.table), "done"
        except AllAsked:
            shape, ended = {}, "done"
        except Exception as error:  # noqa: BLE001 - how a run ends is what is asked
            shape, ended = {}, f"{type(error).__name__}: {error}"
        spent = math.fsum(call["price"] for call in recorder.calls)
        outcome = {"ended": ended, "shape": shape}
        traces.append({
            "calls": recorder.calls,
            "outcome": outcome,
            "spent": spent,
            "claimed": claimed,
            "seed": recorder.seed,
        })  # fmt: skip
    result = {
        "versions": {p: metadata.version(p) for p in packages},
        "notes": notes,
        "seconds": time.perf_counter() - start,
        "traces": traces,
    }
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
