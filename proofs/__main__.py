"""``python -m proofs check``: list the pins, exit 1 if one is stale. ``python -m proofs pin``: renew them."""

from __future__ import annotations

import sys

from proofs.pins import pins, rewrite


def main(arguments: list[str]) -> int:
    """Run one command; return the exit code: 0 all fresh, 1 a stale pin, 2 not a command."""
    if arguments == ["pin"]:
        changed = rewrite()
        print(f"{len(changed)} pins renewed" + "".join(f"\n  {target}" for target in changed))
        return 0
    if arguments != ["check"]:
        print("usage: python -m proofs check | pin")
        return 2
    found = pins()
    for pin in found:
        state = "fresh" if pin.fresh else "GONE" if pin.actual is None else "STALE"
        print(f"{state:5}  {pin.page:27} {pin.target}")
    stale = [pin for pin in found if not pin.fresh]
    if stale:
        print(f"{len(stale)} of {len(found)} pins are stale: read these pages against the code, then `pin`")
        return 1
    print(f"all {len(found)} pins are fresh")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
