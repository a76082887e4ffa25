"""Coverage-guided fuzzing of ``load`` and ``verify``: ``python -m benchmarks.fuzz_release [SECONDS]``.

Needs ``pip install atheris``. Not part of the gate: the tests try fewer files, of stated kinds. An input says
which true release to take, which of its files (or the zip file as a whole), and what to change in it; a
changed file gets a true hash. Anything but the documented error, more than 2 GiB, or a file that takes 20
seconds stops the run.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["dpsynth"]):
    from benchmarks.hostile import SECONDS, bases, outcome, packed


def main(seconds: int) -> None:
    """Fuzz for so many seconds; libFuzzer reports on standard error."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        true = bases(folder)
        names = [sorted(set(members) - {"manifest.json"}) for members in true]
        zips = [packed(members) for members in true]
        path = folder / "stranger.dpsynth"

        def one(data: bytes) -> None:
            plan = atheris.FuzzedDataProvider(data)
            i = plan.ConsumeIntInRange(0, len(true) - 1)
            place = plan.ConsumeIntInRange(-3, len(names[i]) - 1)
            if place < 0:
                path.write_bytes(_changed(zips[i], plan))
            else:
                member = names[i][place]
                path.write_bytes(packed({**true[i], member: _changed(true[i][member], plan)}))
            outcome(path)

        limits = [f"-max_total_time={seconds}", f"-timeout={SECONDS}", "-rss_limit_mb=2048"]
        atheris.Setup(
            ["fuzz_release", *limits, "-max_len=512", "-len_control=0", "-print_final_stats=1"], one
        )
        atheris.Fuzz()


def _changed(content: bytes, plan: atheris.FuzzedDataProvider) -> bytes:
    """Return a file's bytes with up to eight changes that the input states."""
    changed = bytearray(content)
    for _ in range(plan.ConsumeIntInRange(1, 8)):
        at = plan.ConsumeIntInRange(0, len(changed))
        match plan.ConsumeIntInRange(0, 3):
            case 0:
                new = plan.ConsumeBytes(plan.ConsumeIntInRange(0, 12))
                changed[at : at + len(new)] = new
            case 1:
                changed[at:at] = plan.ConsumeBytes(plan.ConsumeIntInRange(0, 12))
            case 2:
                del changed[at : at + plan.ConsumeIntInRange(0, 200)]
            case _:
                again = changed[at : at + plan.ConsumeIntInRange(0, 200)]
                changed[at:at] = again * plan.ConsumeIntInRange(1, 50)
    return bytes(changed)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
