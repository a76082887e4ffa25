"""An audit as files: what may leave with the release, and apart from it what may not."""

from __future__ import annotations

from pathlib import Path

from dpsynth.audit.finding import Audit
from dpsynth.errors import InputError
from dpsynth.report.markdown import to_markdown
from dpsynth.report.page import to_html

__all__ = ["ANNEX", "FILES", "write_audit"]

FILES = ("audit.json", "AUDIT.md", "audit.html")
ANNEX = "confidential"


def write_audit(audit: Audit, folder: Path) -> list[Path]:
    """Write an audit as JSON, Markdown and HTML; what was computed from real rows into a folder of its own.

    Args:
        audit: The whole.
        folder: Where to; made if it is absent. Files of an earlier audit there are replaced, and those of an
            annex that has no successor are removed, so that no two audits are mixed.

    Returns:
        The files, those that may leave first.

    Raises:
        InputError: a file cannot be written.

    Privacy: ``folder/confidential`` depends on real rows, without noise; only its owner can open it and read
    its files. A link in its place is not followed.
    """
    annex = folder / ANNEX
    try:
        folder.mkdir(exist_ok=True)
        written = _write(audit.publishable, folder, confidential=False)
        if audit.confidential.findings:
            if annex.is_symlink():
                raise InputError(f"{annex}: this is a link; what is confidential is not written through it")
            annex.mkdir(mode=0o700, exist_ok=True)
            annex.chmod(0o700)
            written += _write(audit.confidential, annex, confidential=True)
        elif annex.is_dir() and not annex.is_symlink():
            for name in FILES:
                (annex / name).unlink(missing_ok=True)
            if not any(annex.iterdir()):
                annex.rmdir()
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or 'input/output error'}") from None
    return written


def _write(audit: Audit, folder: Path, *, confidential: bool) -> list[Path]:
    paths = [folder / name for name in FILES]
    if confidential:
        for path in paths:  # made anew, for their owner alone: what is copied elsewhere stays so
            path.unlink(missing_ok=True)
            path.touch(mode=0o600, exist_ok=False)
    audit.save(paths[0])
    paths[1].write_text(to_markdown(audit, confidential=confidential), encoding="utf-8")
    paths[2].write_text(to_html(audit, confidential=confidential), encoding="utf-8")
    return paths
