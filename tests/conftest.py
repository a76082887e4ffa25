"""What every test may use: real tables where they are at hand, and one Hypothesis profile."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

for library in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):  # before numpy is imported
    os.environ.setdefault(library, "1")

settings.register_profile(
    "dpsynth",
    deadline=None,  # the first example pays for lazy imports and compiled kernels
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("thorough", settings.get_profile("dpsynth"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dpsynth"))


def _data_folder() -> Path:
    stated = os.environ.get("DPSYNTH_DATA")
    return Path(stated) if stated else ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Give the path of a real table, such as ``real_data("adult/adult.csv")``; else skip."""

    def find(name: str) -> Path:
        path = _data_folder() / name
        if not path.exists():
            pytest.skip(f"needs the real table {name}; set DPSYNTH_DATA to the folder that holds it")
        return path

    return find
