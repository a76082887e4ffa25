"""Run one command within a time limit and report what it took: ``launch.py REPORT SECONDS CPUS COMMAND...``.

The limit is of processor time on each processor, so that a machine with other work to do is no disadvantage;
by the clock it is three times that.

A process of its own, so that the peak memory of the benchmark itself is not counted as the command's: Linux
hands the memory record of a parent down to what it starts.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
import sys
import time
from pathlib import Path

__all__ = ["main"]


def main(report: str, limit: float, cpus: str, command: list[str]) -> None:
    """Run a command in its own process group, end the whole group at the limit, and write a JSON report.

    Args:
        report: Path of the report: ``code`` (negative for a signal), ``timed_out``, ``wall_seconds``,
            ``cpu_seconds`` (of it and all it waited for), ``peak_mb`` (of the largest of these processes).
        limit: Seconds of processor time, on each processor.
        cpus: Comma-separated processors to run on; empty for all.
        command: Program and arguments.
    """
    start, timed_out = time.perf_counter(), False
    allowed = math.ceil(limit * (len(cpus.split(",")) if cpus else os.cpu_count() or 1))
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (allowed, allowed + 10))
        if cpus and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {int(c) for c in cpus.split(",")})
        os.execvp(command[0], command)
    signal.signal(signal.SIGTERM, lambda *_: (_end(child), sys.exit(1)))
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        seconds = time.perf_counter() - start
        if pid:
            break
        if seconds > 3 * limit and not timed_out:
            timed_out = True
            _end(child)
        time.sleep(0.02 if seconds < 10 else 0.2)
    _end(child)  # what it left running
    code, used = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
    taken = {
        "code": code,
        "timed_out": timed_out or code == -signal.SIGXCPU or (code < 0 and used > allowed),
        "wall_seconds": seconds,
        "cpu_seconds": used,
        "peak_mb": usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2),
    }
    Path(report).write_text(json.dumps(taken), encoding="utf-8")


def _end(child: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4:])
