"""Errors that carry no exact count: what a debugger or a logger would show of their frames is emptied."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["no_counts_in_tracebacks"]


@contextmanager
def no_counts_in_tracebacks() -> Iterator[None]:
    """Empty the local variables of an error's frames: a debugger or a logger would show exact counts."""
    try:
        yield
    except BaseException as error:
        link: BaseException | None = error
        while link is not None:
            traceback.clear_frames(link.__traceback__)
            link = link.__context__
        raise
