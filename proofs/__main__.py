"""``python -m proofs check``: list pages and pins, exit 1 if one is stale. Also: ``pin``, ``run``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from proofs.pins import notes, pages, pins, rewrite


def checks() -> tuple[str, ...]:
    """Return the modules that check claims by machine, in order of name: those with a ``run``."""
    folder = Path(__file__).parent / "checks"
    named = (p for p in sorted(folder.glob("*.py")) if "\ndef run(" in p.read_text(encoding="utf-8"))
    return tuple(f"proofs.checks.{p.stem}" for p in named)


def main(arguments: list[str]) -> int:
    """Run one command; return the exit code: 0 all fresh, 1 a stale pin, 2 not a command.

    Raises:
        AssertionError: a check found more than a page claims.
    """
    if arguments == ["pin"]:
        changed = rewrite()
        print(f"{len(changed)} pins renewed" + "".join(f"\n  {target}" for target in changed))
        return 0
    if arguments == ["run"]:
        for check in checks():
            print("\n".join(import_module(check).run()))
        return 0
    if arguments != ["check"]:
        print("usage: python -m proofs check | pin | run")
        return 2
    for page in pages():
        said = notes(page)
        print(f"{page.name:27} {said.get('status', 'no status')}")
        print(f"{'':27} reviewed {said.get('reviewed', 'by nobody')}")
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
