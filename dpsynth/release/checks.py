"""What a verification found: named checks, passed or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dpsynth.errors import VerificationError

__all__ = ["Check", "VerificationReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question and its answer.

    Attributes:
        name: What was asked.
        passed: Whether the release holds to it; false as well when it could not be asked.
        detail: What was compared with what.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """All checks of one release.

    Attributes:
        path: The release, as it was named.
        checks: Every check, in a fixed order, whatever the outcome.
    """

    path: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def require_passed(self) -> None:
        """Go on only if every check passed.

        Raises:
            VerificationError: names the checks that failed, and why.
        """
        if self.failed:
            found = "; ".join(f"{check.name}: {check.detail}" for check in self.failed)
            raise VerificationError(
                f"{self.path}: {len(self.failed)} of {len(self.checks)} checks failed: {found}. Do not rely "
                "on this release; ask whoever made it"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "path": self.path,
            "passed": self.passed,
            "checks": [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in self.checks],
        }

    def __str__(self) -> str:
        width = max(len(check.name) for check in self.checks)
        lines = [f"{'ok  ' if c.passed else 'FAIL'}  {c.name:<{width}}  {c.detail}" for c in self.checks]
        verdict = "all checks passed" if self.passed else f"{len(self.failed)} checks failed"
        return "\n".join([*lines, f"{self.path}: {verdict} ({len(self.checks)} made)"])
