"""Made-up tables of people, honest releases of them, and generators that leak."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from dpsynth import Schema, Synthesizer

SIZES = {"a": 12, "b": 10, "c": 8, "d": 6, "e": 9, "f": 7}
SCHEMA = Schema.from_domain(SIZES, ordered=["a", "b"])


def people(rows, seed):
    """Rows of one population: columns that hang together a little."""
    rng = np.random.default_rng(seed)
    hidden = rng.integers(0, 4, rows)
    return pd.DataFrame(
        {k: (rng.integers(0, s, rows) * (rng.random(rows) < 0.6) + hidden) % s for k, s in SIZES.items()}
    )


def honest(frame, *, epsilon=1.0, delta=1e-5, schema=SCHEMA, mechanism="independent", **terms):
    """A release that keeps its promise."""
    return Synthesizer(schema, epsilon=epsilon, delta=delta, mechanism=mechanism, **terms).fit(frame)


def careless(frame):
    """A release with hardly any noise that claims epsilon 1."""
    loud = honest(frame, epsilon=10_000.0)
    return dataclasses.replace(loud, statement=honest(frame).statement)


@dataclasses.dataclass(frozen=True)
class Copier:
    """A generator that draws its output from the training rows, under an honest statement."""

    release: object
    frame: pd.DataFrame

    @property
    def schema(self):
        return self.release.schema

    @property
    def statement(self):
        return self.release.statement

    @property
    def measurements(self):
        return self.release.measurements

    def sample(self, n=None, *, seed=None):
        return self.frame.sample(n or len(self.frame), replace=True, random_state=seed).reset_index(drop=True)


def copier(frame):
    """Fit a generator that copies rows."""
    return Copier(honest(frame), frame[list(SIZES)])
