"""The layers of an audit that need no data, each a function of a setting: what planted bugs are shown to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from dpsynth.audit.accounting import accounting_findings
from dpsynth.audit.choices import choice_findings
from dpsynth.audit.finding import Finding
from dpsynth.audit.mutant import Setting
from dpsynth.audit.noise_tests import noise_findings
from dpsynth.audit.recording import LibrarySubject
from dpsynth.audit.unit import replay_findings
from dpsynth.audit.whitebox import whitebox_findings
from dpsynth.schema import OpenSchema, Schema
from dpsynth.synthesizer import Synthesizer

__all__ = ["LAYERS", "Layer", "synthesizer_of"]

Layer: TypeAlias = Callable[[Setting, int], Sequence[Finding]]
"""Runs one layer on a setting; the other argument is the seed of the audit's own chance."""

_ALPHA: Final = 1e-3  # of a false alarm of one run of a layer
_DRAWS: Final = 6_000  # of noise
_PAIRS: Final = ("alone",)  # worst-case neighbours of the white-box audit
_RUNS: Final = 150  # on each of them: what shows a bug of the planted ones' size at epsilon 8
_FEWER: Final = {"aim": 30}  # of slow mechanisms, whose bugs are planted for other layers

_SCHEMA: Final = """
privacy_unit: {unit}
columns:
  town: {{kind: categorical, values: {towns}, missing: true, out_of_domain: other}}
  age: {{kind: integer, lower: 0, upper: {oldest}, bins: 4, missing: true}}
  debt: {{kind: real, lower: 0, upper: 9, decimals: 1, bins: 2, missing: false}}
"""


def synthesizer_of(setting: Setting) -> Synthesizer:
    """Return what is audited at a setting, on a schema of the audit's own.

    Raises:
        InputError: the setting is of no mechanism, or its guarantee is none.
    """
    bought, k = setting.bought, setting.rows_per_unit
    text = _SCHEMA.format(
        unit="row" if k == 1 else f"{{column: who, max_rows: {k}}}",
        towns="buy" if bought else "[Ulm, Bonn]",
        oldest="buy" if bought else 99,
    )
    return Synthesizer(
        OpenSchema.loads(text) if bought else Schema.loads(text),
        epsilon=setting.epsilon,
        delta=setting.delta,
        mechanism=setting.mechanism,
        noise=setting.noise,
        adjacency=setting.adjacency,
    )


def _accounting(_setting: Setting, _seed: int) -> Sequence[Finding]:
    return accounting_findings()


def _replay(setting: Setting, seed: int) -> Sequence[Finding]:
    return replay_findings([LibrarySubject(synthesizer=synthesizer_of(setting))], seed=seed)


def _noise(setting: Setting, seed: int) -> Sequence[Finding]:
    chosen = choice_findings(
        alpha=_ALPHA / 2, delta=setting.delta, noise=setting.noise, adjacency=setting.adjacency
    )
    drawn = noise_findings(synthesizer_of(setting), draws=_DRAWS, alpha=_ALPHA / 2, seed=seed)
    return (*chosen, *drawn)


def _whitebox(setting: Setting, _seed: int) -> Sequence[Finding]:
    promise, runs = synthesizer_of(setting).guarantee, _FEWER.get(setting.mechanism, _RUNS)
    return whitebox_findings(
        promise, setting.mechanism, noise=setting.noise, pairs=_PAIRS, runs=runs, alpha=_ALPHA
    )


LAYERS: Final[Mapping[str, Layer]] = {
    "accounting": _accounting,
    "replay": _replay,
    "noise": _noise,
    "whitebox": _whitebox,
}
"""By name, from the quickest to the slowest."""
