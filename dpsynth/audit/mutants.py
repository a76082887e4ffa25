"""Who guards the guard: every layer of the audit is run on planted bugs, and on code without one.

A mutant is the real code with one realistic defect; a layer kills it by a finding of verdict VIOLATION.
``python -m dpsynth.audit.mutants`` prints the kill matrix, mutants by layers. The mutants are not part of the
package: they are loaded by the name of their module, ``tests.audit.mutants`` by default, from a checkout.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from dpsynth import __version__
from dpsynth.audit.finding import Verdict
from dpsynth.audit.layers import LAYERS, Layer
from dpsynth.audit.mutant import Mutant, Setting
from dpsynth.errors import InputError

__all__ = ["Cell", "Matrix", "Sight", "clean_runs", "kill_matrix", "load_mutants"]

DEFAULT = "tests.audit.mutants"


class Sight(StrEnum):
    """What a layer saw of a mutant."""

    violation = "VIOLATION"
    nothing = "nothing"
    inconclusive = "inconclusive"  # a check could not run, and no other saw anything
    failed = "failed"  # the layer ended in an error: seen by a person, not by the audit


_MARKS = {
    Sight.violation: "killed",
    Sight.nothing: "-",
    Sight.inconclusive: "?",
    Sight.failed: "error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One layer on one mutant.

    Attributes:
        sight: What it saw.
        checks: Names of the checks that found a violation, each once.
        seconds: Wall-clock time.
        error: Type of the error that ended it, if one did.
    """

    sight: Sight
    checks: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Mutants by layers.

    Attributes:
        layers: Names of the layers that ran.
        mutants: Those that were planted, in order.
        cells: What each layer saw, by the mutant's name and the layer's.
    """

    layers: tuple[str, ...]
    mutants: tuple[Mutant, ...]
    cells: Mapping[tuple[str, str], Cell]

    def killers(self, mutant: Mutant) -> tuple[str, ...]:
        """Return the layers that saw a mutant."""
        return tuple(n for n in self.layers if self.cells[mutant.name, n].sight is Sight.violation)

    @property
    def survivors(self) -> tuple[str, ...]:
        """Names of the defects that no layer saw."""
        return tuple(m.name for m in self.mutants if not m.harmless and not self.killers(m))

    @property
    def alarmed(self) -> tuple[str, ...]:
        """Names of the changes that break nothing and were seen all the same."""
        return tuple(m.name for m in self.mutants if m.harmless and self.killers(m))

    @property
    def blind(self) -> tuple[tuple[str, str], ...]:
        """Mutant and layer, of the layers that were to see a mutant and did not."""
        return tuple(
            (m.name, n)
            for m in self.mutants
            for n in m.killers
            if n in self.layers and n not in self.killers(m)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        defects = [m for m in self.mutants if not m.harmless]
        return {
            "version": __version__,
            "layers": list(self.layers),
            "planted": len(defects),
            "killed": len(defects) - len(self.survivors),
            "survivors": list(self.survivors),
            "harmless": len(self.mutants) - len(defects),
            "alarmed": list(self.alarmed),
            "blind": [list(pair) for pair in self.blind],
            "mutants": [self._mutant(m) for m in self.mutants],
        }

    def _mutant(self, mutant: Mutant) -> dict[str, Any]:
        cells = {name: self.cells[mutant.name, name] for name in self.layers}
        return {
            "name": mutant.name,
            "breaks": mutant.breaks,
            "precedent": mutant.precedent,
            "setting": str(mutant.setting),
            "expected": list(mutant.killers),
            "layers": {
                name: {
                    "sight": cell.sight.value,
                    "checks": list(cell.checks),
                    "seconds": round(cell.seconds, 2),
                    **({"error": cell.error} if cell.error else {}),
                }
                for name, cell in cells.items()
            },
        }

    def __str__(self) -> str:
        """Return the matrix as a table for people."""
        width = max(len(m.name) for m in self.mutants) + 2
        lines = ["".join(["mutant".ljust(width), *(name.ljust(11) for name in self.layers)])]
        for mutant in self.mutants:
            seen = (_MARKS[self.cells[mutant.name, name].sight].ljust(11) for name in self.layers)
            lines.append("".join([mutant.name.ljust(width), *seen, _verdict(self, mutant)]))
        defects = sum(not m.harmless for m in self.mutants)
        killed, harmless = defects - len(self.survivors), len(self.mutants) - defects
        found = f"{killed} of {defects} planted bugs were found"
        alarms = f"{len(self.alarmed)} of {harmless} harmless changes raised an alarm"
        lines += ["", f"{found}; {alarms}."]
        return "\n".join(lines)


def _verdict(matrix: Matrix, mutant: Mutant) -> str:
    if mutant.harmless:
        return "FALSE ALARM" if matrix.killers(mutant) else "harmless"
    return "" if matrix.killers(mutant) else "SURVIVED"


def load_mutants(module: str = DEFAULT) -> tuple[Mutant, ...]:
    """Return the mutants of a module: its ``MUTANTS``.

    Raises:
        InputError: there is no such module, or it has no mutants, or two of one name.
    """
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise InputError(
            f"there is no module {module!r}: mutants are not part of the package; run this in a checkout of "
            "dpsynth, or name a module of your own with --mutants"
        ) from None
    mutants = getattr(found, "MUTANTS", None)
    if not isinstance(mutants, tuple) or not all(isinstance(m, Mutant) for m in mutants) or not mutants:
        raise InputError(f"module {module!r} has no MUTANTS: a tuple of dpsynth.audit.mutant.Mutant")
    names = [m.name for m in mutants]
    if repeated := sorted({n for n in names if names.count(n) > 1}):
        raise InputError(f"module {module!r} has two mutants called {repeated[0]!r}")
    return mutants


def kill_matrix(
    mutants: Sequence[Mutant],
    *,
    layers: Mapping[str, Layer] = LAYERS,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Matrix:
    """Plant each mutant in turn and run every layer on it.

    Args:
        mutants: What to plant.
        layers: By name, what to run.
        seed: Of the audit's own chance; noise is the operating system's.
        progress: Told the mutant and the layer.

    Privacy: free; the audit's own tables.
    """
    cells = {}
    for mutant in mutants:
        for name, layer in layers.items():
            if progress is not None:
                progress(f"{mutant.name}: {name}")
            with mutant.plant():
                cells[mutant.name, name] = _look(layer, mutant.setting, seed)
    return Matrix(layers=tuple(layers), mutants=tuple(mutants), cells=cells)


def clean_runs(
    runs: int,
    settings: Sequence[Setting],
    *,
    layers: Mapping[str, Layer] = LAYERS,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Run every layer on code without a defect, and count the runs with an alarm.

    Args:
        runs: Runs of each layer, over the settings in turn.
        settings: What is audited.
        layers: By name, what to run.
        seed: Of the first run's own chance; each run has the next.
        progress: Told the layer and the run.

    Returns:
        By layer: ``runs``, ``alarms``, the ``checks`` that raised them, and ``seconds``.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, layer in layers.items():
        seen = []
        for i in range(runs):
            if progress is not None:
                progress(f"clean run {i + 1} of {runs}: {name}")
            seen.append(_look(layer, settings[i % len(settings)], seed + i))
        found[name] = {
            "runs": runs,
            "alarms": sum(cell.sight is Sight.violation for cell in seen),
            "failed": sum(cell.sight is Sight.failed for cell in seen),
            "checks": sorted({check for cell in seen for check in cell.checks}),
            "seconds": round(sum(cell.seconds for cell in seen), 1),
        }
    return found


def _look(layer: Layer, setting: Setting, seed: int) -> Cell:
    start = time.perf_counter()
    try:
        findings = tuple(layer(setting, seed))
    except Exception as error:  # noqa: BLE001  -- whatever a defect does to a layer is what is looked for
        seconds = time.perf_counter() - start
        return Cell(sight=Sight.failed, seconds=seconds, error=type(error).__name__)
    checks = dict.fromkeys(f.check for f in findings if f.verdict is Verdict.violation)
    sight = Sight.violation if checks else Sight.nothing
    if not checks and any(f.verdict is Verdict.inconclusive for f in findings):
        sight = Sight.inconclusive
    return Cell(sight=sight, checks=tuple(checks), seconds=time.perf_counter() - start)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dpsynth.audit.mutants", description="Plant bugs, and print which layers find them."
    )
    parser.add_argument("--mutants", default=DEFAULT, metavar="MODULE", help="where they are")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these mutants")
    parser.add_argument("--layers", nargs="+", choices=tuple(LAYERS), default=list(LAYERS), metavar="LAYER")
    parser.add_argument("--clean", type=int, default=0, metavar="RUNS", help="runs without a defect, a layer")
    parser.add_argument("--seed", type=int, default=0, help="of the audit's own chance; not of noise")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the matrix as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the kill matrix; return 0, or 4 if a bug survived or a clean run raised an alarm."""
    given = _options(arguments)

    progress = None if given.quiet else _say
    try:
        mutants = _chosen(load_mutants(given.mutants), given.only)
        _check_runs(given.clean)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    layers = {name: LAYERS[name] for name in LAYERS if name in given.layers}
    matrix = kill_matrix(mutants, layers=layers, seed=given.seed, progress=progress)
    report = matrix.to_dict()
    sys.stdout.write(f"{matrix}\n")
    alarms = 0
    if given.clean:
        settings = list(dict.fromkeys(m.setting for m in mutants))
        report["clean"] = clean_runs(given.clean, settings, layers=layers, seed=given.seed, progress=progress)
        for name, found in report["clean"].items():
            alarms += found["alarms"]
            sys.stdout.write(f"{name}: {found['alarms']} alarms in {found['runs']} runs without a defect\n")
    if given.out is not None:
        given.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 4 if matrix.survivors or matrix.alarmed or alarms else 0


def _say(said: str) -> None:
    sys.stderr.write(f"{said}\n")


def _check_runs(runs: int) -> None:
    if runs < 0:
        raise InputError(f"--clean {runs} is not a number of runs")


def _chosen(mutants: tuple[Mutant, ...], names: Sequence[str] | None) -> tuple[Mutant, ...]:
    known = {m.name: m for m in mutants}
    if unknown := sorted(set(names or ()) - set(known)):
        raise InputError(f"there is no mutant {unknown[0]!r}; there are {', '.join(known)}")
    return tuple(known[name] for name in names) if names else mutants


if __name__ == "__main__":  # by its own name, so that mutants and runner share one class
    sys.exit(importlib.import_module("dpsynth.audit.mutants").main())
