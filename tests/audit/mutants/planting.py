"""How a defect is planted: names of the real code are bound to others, for as long as a context lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest import mock

import numpy as np

from dpsynth.privacy import curator

__all__ = ["Seen", "change", "planted", "seeing"]

Change = tuple[Any, str, Any]


def change(target: Any, name: str, new: Any) -> Change:
    """One name of a module, a class or a mapping, and what it is to be bound to."""
    return target, name, new


@contextmanager
def _bound(changes: tuple[Change, ...]) -> Iterator[None]:
    with ExitStack() as stack:
        for target, name, new in changes:
            if isinstance(target, dict):
                stack.enter_context(mock.patch.dict(target, {name: new}))
            else:
                stack.enter_context(mock.patch.object(target, name, new))
        yield


def planted(*changes: Change) -> Callable[[], AbstractContextManager[None]]:
    """Return what plants these changes, all of them at once."""
    return lambda: _bound(changes)


class Seen:
    """The private rows of the latest fit, as the defective code got hold of them."""

    def __init__(self) -> None:
        self.codes: tuple[np.ndarray, ...] = ()

    @property
    def rows(self) -> int:
        """Their exact number."""
        return self.codes[0].size if self.codes else 0


def seeing(build: Callable[[Seen], tuple[Change, ...]]) -> Callable[[], AbstractContextManager[None]]:
    """Return what plants changes that know the private rows: whatever a curator opens is kept for them."""

    @contextmanager
    def plant() -> Iterator[None]:
        seen, real = Seen(), curator.open_codes

        @wraps(real)
        def open_codes(table: Any) -> Any:
            seen.codes = real(table)
            return seen.codes

        with _bound((change(curator, "open_codes", open_codes), *build(seen))):
            yield

    return plant
