"""The road walked once, on a public table."""

from __future__ import annotations

from dpsynth.demo.demo import Demo, Outcome, run

__all__ = ["Demo", "Outcome", "run"]
