"""The command line: one file a command, each a thin layer over the Python surface.

Results go to standard output, all else to standard error. ``EXIT_CODES`` is what a command can end with.
"""

from __future__ import annotations

from dpsynth.cli.program import EXIT_CODES, app, main

__all__ = ["EXIT_CODES", "app", "main"]
