"""Checks of file names, made before any private row is read and any budget is spent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dpsynth.errors import InputError, MissingFileError

__all__ = ["replacing", "require_file", "require_folder", "require_room"]


def require_file(path: Path, what: str) -> None:
    """Refuse a file that is not there.

    Raises:
        MissingFileError: there is nothing of that name.
        InputError: it is a folder.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: there is no such {what}; check the path")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name a {what}")


def require_room(path: Path, *, force: bool, keep: tuple[Path, ...] = ()) -> None:
    """Refuse an output that cannot be written, or that would replace something unasked.

    Args:
        path: The output.
        force: Whether an existing output may be replaced.
        keep: Inputs, which no output may replace.

    Raises:
        InputError: the folder is absent or not writable, the output is there already, or it is an input.
    """
    if path.exists():
        if any(other.exists() and path.samefile(other) for other in keep):
            raise InputError(f"{path}: the output would replace the input; choose another name")
        if not force:
            raise InputError(f"{path}: is there already; choose another name, or replace it with --force")
        if not os.access(path, os.W_OK):
            raise InputError(f"{path}: may not be written; change its permissions or choose another name")
    require_folder(path.absolute().parent)


def require_folder(folder: Path) -> None:
    """Refuse a folder that is not there or cannot be written to.

    Raises:
        InputError: likewise.
    """
    if not folder.exists():
        raise InputError(f"{folder}: there is no such folder; create it first")
    if not folder.is_dir():
        raise InputError(f"{folder}: this is a file, not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: this folder may not be written to; choose another")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all.

    Yields:
        A temporary name beside ``path``. It takes the place of ``path`` when the block ends well.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".dpsynth-") as folder:
            draft = Path(folder) / path.name
            yield draft
            draft.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or type(error).__name__}") from None
