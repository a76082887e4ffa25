"""The programs that a guarantee rests on, by version."""

from __future__ import annotations

import functools
import platform
from importlib import metadata

from dpsynth.privacy.curator import Backend

__all__ = ["versions"]

# What reads and bounds rows, counts them, draws the noise or computes budgets. What only works on noisy
# answers is left out: a fault there costs accuracy.
_RESTS_ON = ("mpmath", "narwhals", "numba", "numpy", "pandas", "pyarrow", "scipy")


@functools.cache
def versions(backend: Backend) -> tuple[tuple[str, str], ...]:
    """Return Python and the libraries whose correctness the guarantee rests on, each with its version.

    Looked up once a process: what is imported does not change.

    Args:
        backend: The source of the noise; OpenDP is named where it draws it.

    Privacy: free; says nothing of the rows.
    """
    libraries = (*_RESTS_ON, *(("opendp",) if backend == "opendp" else ()))
    found = [(name, metadata.version(name)) for name in sorted(libraries)]
    return (("python", platform.python_version()), *found)
