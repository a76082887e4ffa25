"""The road walked once, on a public table."""

from __future__ import annotations

from dpsynth.demo.demo import SCHEMA, Demo, Outcome, run

__all__ = ["SCHEMA", "Demo", "Outcome", "run"]
