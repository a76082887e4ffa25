"""The level of an audit that runs a mechanism thousands of times on tables of the audit's own.

No data is needed and nothing real is in it, so that it may be shown with a release. Budgets matter less to a
fault than to its visibility: noise that is too small by some factor shows at epsilon 8 in a twentieth of the
runs that epsilon 1 takes. So each attack is run at both.
"""

from __future__ import annotations

import dataclasses

from dpsynth.audit.blackbox import blackbox_findings
from dpsynth.audit.finding import Finding
from dpsynth.audit.promised import promise_of
from dpsynth.audit.whitebox import ALPHA, required, runs_for, whitebox_findings
from dpsynth.audit.worst_case import WORST_CASES
from dpsynth.mechanisms import MECHANISMS, Mechanism
from dpsynth.privacy.guarantee import Backend, Guarantee
from dpsynth.synthesizer import Synthesizer

__all__ = ["Effort", "mechanism_level"]

_HIGH = 8.0
_MOST = 20_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is run, on each side.

    Attributes:
        first: Runs of the white-box audit on its first pair, at the high epsilon.
        others: Runs on each other pair; 0 leaves them out.
        configured: Most runs at the configured epsilon; as many as show a tightness of 0.8, if fewer.
        fits: Fits of the black-box audit at the high epsilon, on its first pair.
        fits_others: Fits on its other pair, and at the configured epsilon; 0 leaves them out.
        seconds: Wall-clock time after which nothing more is begun, but for a little of each attack.
    """

    first: int = 2_000
    others: int = 800
    configured: int = _MOST
    fits: int = 1_000
    fits_others: int = 400
    seconds: float = 600.0

    @classmethod
    def quick(cls) -> Effort:
        """Return what takes seconds, and shows gross faults alone."""
        return cls(first=300, others=0, configured=300, fits=60, fits_others=0, seconds=60.0)


def mechanism_level(
    synthesizer: Synthesizer, *, effort: Effort | None = None, seed: int = 0, processes: int = 1
) -> tuple[Finding, ...]:
    """Audit a mechanism on worst-case neighbours, white-box and black-box, at epsilon 8 and as configured.

    The tables are the audit's own: three columns of three codes, with the configured unit, bound and
    adjacency. Terms that speak of the configured schema (a workload) do not apply, and are left out.

    Args:
        synthesizer: Guarantee, mechanism and noise. Its schema is not used.
        effort: How much is run; by default about ten minutes in two processes.
        seed: Of the synthetic rows; the noise has none.
        processes: That share the work. A mechanism that is not the library's runs in this one alone.

    Returns:
        Publishable findings: ``whitebox.*`` for each pair and epsilon, then ``blackbox.*``. The chance of a
        false violation is at most 0.001 over all of them.

    Raises:
        InputError: fewer than 10 runs or 20 fits are asked for.

    Privacy: free; no real row is involved.
    """
    effort, guarantee, noise = effort or Effort(), synthesizer.guarantee, synthesizer.noise
    mechanism = _sendable(synthesizer.mechanism)
    processes = processes if isinstance(mechanism, str) else 1
    high = dataclasses.replace(guarantee, epsilon=_HIGH)
    both = (high,) if guarantee.epsilon == _HIGH else (high, guarantee)
    pairs = tuple(WORST_CASES) if effort.others else tuple(WORST_CASES)[:1]
    sizes = [effort.first, *[effort.others] * (len(pairs) - 1)]
    found: list[Finding] = []
    for own in both:
        at_high = own is high
        found += whitebox_findings(
            own,
            mechanism,
            noise=noise,
            pairs=pairs if at_high else ("crowds",),
            runs=sizes if at_high else _enough(own, noise, effort),
            alpha=ALPHA / 4,
            processes=processes,
            seconds=0.35 * effort.seconds,
        )
    attacks = [(high, "hidden", effort.fits), (high, "alone", effort.fits_others)]
    attacks += [(own, "hidden", effort.fits_others) for own in both[1:]]
    asked = [attack for attack in attacks if attack[2]]
    for own, pair, fits in asked:
        found += blackbox_findings(
            own,
            mechanism,
            noise=noise,
            pair=pair,
            fits=fits,
            alpha=ALPHA / 2 / len(asked),
            processes=processes,
            seconds=0.3 * effort.seconds * fits / sum(f for *_, f in asked),
            seed=seed,
        )
    return tuple(found)


def _enough(guarantee: Guarantee, noise: Backend, effort: Effort) -> int:
    """Return as many runs as show a little more than the required tightness, within the effort."""
    wanted = runs_for(promise_of(guarantee, noise), required(guarantee.epsilon) + 0.05)
    return min(effort.configured, max(effort.first, wanted))


def _sendable(mechanism: Mechanism) -> str | Mechanism:
    """Return a library mechanism's name; another as it is, in its own place under pure epsilon too.

    One of the library that was given terms is told by its code: a name alone is anyone's to take.
    """
    known = MECHANISMS.get(mechanism.name)
    if known is not None:
        adapted = bool(mechanism.takes) and _code(mechanism) is _code(known)
        if adapted or mechanism in (known, known.pure):
            return mechanism.name
    return dataclasses.replace(mechanism, pure=mechanism.pure or mechanism)


def _code(mechanism: Mechanism) -> object:
    """Return the function that runs, without the settings it was given."""
    return getattr(mechanism.run, "func", mechanism.run)
