"""What a planted bug is: a value that says what it breaks, and how to plant it.

The bugs themselves live outside the shipped package, in ``tests/audit/mutants``; nothing here can plant one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from dpsynth.privacy.guarantee import Adjacency, Backend

__all__ = ["LAYERS", "Mutant", "Setting"]

LAYERS = ("accounting", "replay", "noise", "whitebox")
"""The layers of an audit that need no data, from the quickest to the slowest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is audited: a mechanism at a guarantee, on the audit's own tables.

    Attributes:
        mechanism: Its name.
        epsilon: Of the guarantee.
        delta: Of the guarantee; 0 for Laplace noise and choices by lot.
        adjacency: Which tables are neighbours.
        rows_per_unit: Most rows that one unit has; above 1 the tables have a column of units.
        noise: Where the noise comes from.
        bought: Whether the tables leave categories and bounds to be bought.
    """

    mechanism: str = "mst"
    epsilon: float = 8.0
    delta: float = 1e-5
    adjacency: Adjacency = "add-remove"
    rows_per_unit: int = 1
    noise: Backend = "exact"
    bought: bool = False

    def __str__(self) -> str:
        said = [self.mechanism, f"epsilon {self.epsilon:g}", f"delta {self.delta:g}"]
        said += [self.adjacency] if self.adjacency != "add-remove" else []
        said += [f"{self.rows_per_unit} rows a unit"] if self.rows_per_unit > 1 else []
        said += [f"{self.noise} noise"] if self.noise != "exact" else []
        said += ["bought domain"] if self.bought else []
        return ", ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One realistic defect of the real code, or a change that breaks nothing.

    Attributes:
        name: Short, of lower-case words and hyphens.
        breaks: What is no longer true with it.
        precedent: Where it was found in released software.
        plant: Makes a context in which the code of this process has the defect, and after which it has not.
        killers: The layers that are to see it, quickest first; none for a change that breaks nothing.
        setting: Where the defect shows.

    Raises:
        ValueError: a layer that does not exist.
    """

    name: str
    breaks: str
    precedent: str
    plant: Callable[[], AbstractContextManager[None]]
    killers: tuple[str, ...] = ()
    setting: Setting = field(default_factory=Setting)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.killers) - set(LAYERS)):
            raise ValueError(f"mutant {self.name!r} names no layer of the audit: {unknown[0]!r}")

    @property
    def harmless(self) -> bool:
        """Whether nothing is broken: a layer that sees it is at fault."""
        return not self.killers
