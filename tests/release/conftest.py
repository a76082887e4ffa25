"""One tiny release for the whole folder: made once, never changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpsynth.release.release import Release
from tests.release.building import members_of, tiny


@pytest.fixture(scope="session")
def release() -> Release:
    return tiny()


@pytest.fixture(scope="session")
def saved(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "tiny.dpsynth"
    release.save(path)
    return path


@pytest.fixture(scope="session")
def members(saved: Path) -> dict[str, bytes]:
    return members_of(saved)
