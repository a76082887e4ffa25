"""What an error of a function that holds rows may take along: its own words, and nothing of the rows.

A traceback's frames keep their local variables, and an exception keeps the one it was raised from. Tools that
record errors show both. So the frames of a function that was handed rows are emptied when it fails, and what
another library said, which can quote a cell, is left out.
"""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from dpsynth.errors import DpsynthError

__all__ = ["emptied", "reading"]

_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")
_PASSED = (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError)  # these quote nothing


def emptied(function: Callable[_Args, _Result]) -> Callable[_Args, _Result]:
    """Let errors of a function go on without the local variables of its frames.

    An error of dpsynth's own also leaves behind the error of another library that it was made from.
    """

    @functools.wraps(function)
    def guarded(*args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        before = sys.exception()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            del args, kwargs
            _empty(error, before)
            raise

    return guarded


def reading(function: Callable[_Args, _Result]) -> Callable[_Args, _Result]:
    """Let errors of a function that reads rows go on emptied, and of other libraries' errors the type alone.

    ``DPSYNTH_TRACEBACK=1`` in the environment lets them pass as they are, for the steward's own eyes.

    Raises:
        DpsynthError: an error that dpsynth did not foresee; names its type.
    """

    @functools.wraps(function)
    def guarded(*args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except (DpsynthError, *_PASSED):
            raise
        except BaseException as error:
            if os.environ.get("DPSYNTH_TRACEBACK") == "1":
                raise
            kind = type(error).__name__
            raise DpsynthError(
                f"unexpected {kind} while reading rows; its message is withheld, since it may hold private "
                "values. Please report it: SECURITY.md says how; DPSYNTH_TRACEBACK=1 shows all, to your eyes "
                "only"
            ) from None

    return emptied(guarded)


def _empty(error: BaseException, before: BaseException | None) -> None:
    """Empty the frames of an error and of those it came from, up to one that was there before."""
    link: BaseException | None = error
    while link is not None and link is not before:
        traceback.clear_frames(link.__traceback__)
        link = link.__context__
    if isinstance(error, DpsynthError):
        error.__cause__, error.__context__ = None, before
        error.__suppress_context__ = True
