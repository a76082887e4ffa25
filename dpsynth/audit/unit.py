"""Level unit: what needs no data and takes a minute. Replay, a second accountant, and tests of the noise."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from dpsynth.audit.accounting import accounting_findings
from dpsynth.audit.choices import choice_findings
from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.audit.neighbours import Pair, neighbours
from dpsynth.audit.noise_tests import noise_findings
from dpsynth.audit.recording import LibrarySubject
from dpsynth.audit.replay import Compared, compare, judge
from dpsynth.mechanisms import MECHANISMS
from dpsynth.schema import OpenSchema, Schema
from dpsynth.synthesizer import Synthesizer

__all__ = ["own_subjects", "replay_findings", "unit_level"]

_WHOLE: Final = ("outlier 0 -> 1", "empty -> 1", "row of NaN")  # of these, the release is compared too
_SLOW: Final = {"aim"}  # of our own schemas these mechanisms get a part of the family
_PART: Final = (*_WHOLE, "outlier 1 -> 2", "unit of 3 rows apart", "unit of 5 rows alike")
_SECONDS: Final = 60.0  # for the replay of one synthesizer; a wide schema may take more than that
_ALPHA: Final = 1e-3  # false alarms of all tests of noise together
_BOUGHT_ROWS: Final = 400  # that labels may pass their threshold

_COLUMNS: Final = """
columns:
  town: {kind: categorical, values: [Ulm, Bonn, Kiel], missing: false, out_of_domain: other}
  size: {kind: ordinal, values: [s, m, l], missing: true, out_of_domain: missing}
  age: {kind: integer, lower: 0, upper: 99, edges: [20, 40, 60], missing: true, out_of_domain: clip}
"""
_OWN: Final[Mapping[str, str]] = {
    "rows": "privacy_unit: row" + _COLUMNS,
    "units": "privacy_unit: {column: who, max_rows: 3}" + _COLUMNS,
    "bought": """
privacy_unit: {column: who, max_rows: 2}
columns:
  town: {kind: categorical, values: buy, missing: buy}
  age: {kind: integer, lower: 0, upper: buy, edges: buy tree, missing: false, bins: 4, out_of_domain: clip}
""",
}


def unit_level(synthesizer: Synthesizer | None = None, *, seed: int = 0) -> tuple[Finding, ...]:
    """Audit without any data: replay on made-up neighbours, prices anew, and the noise against its law.

    Args:
        synthesizer: What is audited, on tables made up from its schema. By default every mechanism of the
            library, on schemas of the audit's own: of rows, of units with several rows, and with a domain to
            be bought; under each kind of noise, under pure epsilon, and under both meanings of neighbours.
        seed: Of the audit's own chance; the noise is always the real one.

    Returns:
        Findings of level unit, all publishable.

    Privacy: free; no rows but made-up ones.
    """
    if synthesizer is None:
        subjects = own_subjects()
        noisy = {s.calculus: s.synthesizer for s in subjects if s.synthesizer.mechanism.name == "mst"}
        found = (*replay_findings(subjects, seed=seed), *accounting_findings())
        return (*found, *_noise(list(noisy.values()), seed))
    subject = LibrarySubject(synthesizer=synthesizer)
    found = (*replay_findings([subject], seed=seed, seconds=_SECONDS), *accounting_findings())
    return (*found, *_noise([synthesizer], seed))


def _noise(synthesizers: Sequence[Synthesizer], seed: int) -> Iterator[Finding]:
    """Test the noise, and the choices by lot, under each guarantee; one false alarm in 1,000 audits."""
    alpha = _ALPHA / (2 * len(synthesizers))
    for synthesizer in synthesizers:
        subject = LibrarySubject(synthesizer=synthesizer)
        promise = subject.guarantee
        chosen = choice_findings(
            alpha=alpha, delta=promise.delta, noise=synthesizer.noise, adjacency=promise.adjacency
        )
        for finding in (*noise_findings(synthesizer, alpha=alpha, seed=seed), *chosen):
            yield dataclasses.replace(finding, details={**finding.details, "subject": subject.name})


def replay_findings(
    subjects: Sequence[LibrarySubject], *, seed: int = 0, seconds: float = math.inf
) -> tuple[Finding, ...]:
    """Replay subjects on neighbours made up from their schemas, and judge them together.

    Everything up to the last act is replayed on the whole family; the model and the release, which take
    longer, on three pairs of it.

    Args:
        subjects: At least one.
        seed: Of the audit's own chance.
        seconds: After which no further pair of a subject is begun.

    Returns:
        As :func:`~dpsynth.audit.replay.judge`; and, where time was too short for a family,
        ``replay.family``, inconclusive, with the pairs that were left out.
    """
    start = time.perf_counter()
    compared: list[Compared] = []
    left_out: list[str] = []
    for subject in subjects:
        compared += _compared(subject, seed, time.perf_counter() + seconds, left_out)
    took = time.perf_counter() - start
    found = judge(compared)
    if left_out:
        found = (*found, _unfinished(left_out, seconds))
    return tuple(dataclasses.replace(f, seconds=took) for f in found)


def _unfinished(left_out: Sequence[str], seconds: float) -> Finding:
    return Finding(
        check="replay.family",
        level=Level.unit,
        summary=f"After {seconds:g} seconds {len(left_out)} pairs of neighbours were not replayed: "
        f"{'; '.join(left_out)}. Audit fewer columns, or a quicker mechanism, to see them.",
        verdict=Verdict.inconclusive,
        value=None,
        unit="pairs",
        details={"left out": list(left_out)},
    )


def own_subjects() -> tuple[LibrarySubject, ...]:
    """Return what is audited by default: every mechanism, and every way of booking, on schemas of our own."""
    return tuple(LibrarySubject(synthesizer=s) for s in _own())


def _own_schemas() -> dict[str, Schema | OpenSchema]:
    return {name: (OpenSchema if "buy" in text else Schema).loads(text) for name, text in _OWN.items()}


def _own() -> Iterator[Synthesizer]:
    schemas = _own_schemas()

    def configured(schema: str, mechanism: str, **terms: Any) -> Synthesizer:
        workload = "all-2-way" if mechanism == "fixed" else None
        stated = {"epsilon": 2.0, "delta": 1e-6, **terms}
        return Synthesizer(schemas[schema], mechanism=mechanism, workload=workload, **stated)

    for name, mechanism in MECHANISMS.items():
        yield configured("rows", name)
        yield configured("units", name, adjacency="replace-one")
        if mechanism.pure is not None:
            yield configured("units", name, delta=0.0)
    for name in ("mst", "aim"):  # one scores, one chooses
        yield configured("units", name, noise="opendp")
    yield configured("units", "mst", delta=0.0, adjacency="replace-one")
    for noise in ("exact", "opendp"):
        yield configured("bought", "independent", epsilon=8.0, noise=noise)


def _compared(subject: LibrarySubject, seed: int, until: float, left_out: list[str]) -> list[Compared]:
    """Replay a family up to a moment, and note the pairs that were not begun by then."""
    adjacency = subject.guarantee.adjacency
    is_open = isinstance(subject.schema, OpenSchema)
    pairs = neighbours(subject.schema, adjacency=adjacency, rows=_BOUGHT_ROWS if is_open else 30, seed=seed)
    if subject.schema in _own_schemas().values() and subject.synthesizer.mechanism.name in _SLOW:
        pairs = tuple(pair for pair in pairs if pair.name in _PART)
    measuring = functools.partial(subject.run, measure_only=True)

    def in_time(family: Sequence[Pair]) -> Iterator[Pair]:
        for pair in family:
            if pair is family[0] or time.perf_counter() < until:
                yield pair
            else:
                left_out.append(pair.name)

    whole = [pair for pair in pairs if pair.name in _WHOLE]
    return [
        *compare(measuring, in_time(pairs), subject=subject.name),
        *compare(subject.run, in_time(whole), subject=f"{subject.name}, whole"),
    ]
