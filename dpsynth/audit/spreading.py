"""Work in pieces, in this process or several, until it is done or time is out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from typing import TypeVar

__all__ = ["spread"]

Task = TypeVar("Task")
Result = TypeVar("Result")


def spread(
    work: Callable[[Task], Result], tasks: Sequence[Task], *, processes: int, seconds: float
) -> list[Result]:
    """Return the results of the first tasks, in order: of all, or of those that time allows for.

    Noise comes from the operating system, so no process repeats another's, however it was begun.

    Args:
        work: A function of a module, which other processes can import.
        tasks: Its arguments, plain values; at least the first is always done.
        processes: 1: in this process, with whatever is patched here. More: in so many others.
        seconds: After which no task is begun; those that were are finished.

    Raises:
        ValueError: fewer than one process.
    """
    if processes < 1:
        raise ValueError(f"processes={processes!r} is not a whole number of at least 1")
    end = time.monotonic() + seconds
    if processes == 1:
        found: list[Result] = []
        for task in tasks:
            if found and time.monotonic() >= end:
                break
            found.append(work(task))
        return found
    with ProcessPoolExecutor(min(processes, len(tasks))) as pool:
        waiting = [pool.submit(work, task) for task in tasks]
        wait(waiting, timeout=None if end == math.inf else max(0.0, end - time.monotonic()))
        begun = [future for i, future in enumerate(waiting) if not i or not future.cancel()]
        return [future.result() for future in begun]
