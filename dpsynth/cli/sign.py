"""``dpsynth sign`` and ``dpsynth keygen``: stand for a release with a signature."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dpsynth.cli.options import AsJson, Quiet
from dpsynth.cli.paths import require_file, require_folder
from dpsynth.cli.screen import screen_of
from dpsynth.errors import InputError

__all__ = ["keygen", "sign"]

PASSPHRASE = "DPSYNTH_PASSPHRASE"  # noqa: S105  -- the name of a variable
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help=f"Holds the key's passphrase. Else {PASSPHRASE}, else asked for.",
        show_default=False,
    ),
]


def sign(
    context: typer.Context,
    *,
    release: Annotated[
        Path, typer.Argument(metavar="RELEASE", help="The release to sign.", show_default=False)
    ],
    key: Annotated[
        Path,
        typer.Option("--key", metavar="PEM", help="The private key (Ed25519, PKCS8).", show_default=False),
    ],
    passphrase_file: PassphraseFile = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Sign a release that passes all checks. Read its statement first: you stand for it.

    The signature covers every file. Needs the extra 'sign'.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    require_file(key, "key file")
    from dpsynth.release import signing  # noqa: PLC0415  -- lazy: `--help` needs no release
    from dpsynth.release.verify import verify  # noqa: PLC0415  -- lazy, as above

    verify(release).require_passed()
    found = signing.sign(release, key, passphrase=lambda: _passphrase(passphrase_file, new=False))
    screen.show(
        {"release": str(release), **found.to_dict()},
        f"Signed {release}\n  by {found.key}\nNext: dpsynth verify {release} --key PUBLIC.pem",
    )


def keygen(
    context: typer.Context,
    *,
    private: Annotated[
        Path, typer.Argument(metavar="PRIVATE", help="The private key to write.", show_default=False)
    ],
    public: Annotated[
        Path, typer.Argument(metavar="PUBLIC", help="The public key to write.", show_default=False)
    ],
    passphrase_file: PassphraseFile = None,
    plain: Annotated[
        bool, typer.Option("--no-passphrase", help="Leave the private key unencrypted.")
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Make a pair of keys to sign releases with: PEM files. Existing files are left alone.

    Guard the private key; give the public one, or its fingerprint, to whoever checks. Needs the extra 'sign'.
    """
    screen = screen_of(context, quiet=quiet, as_json=as_json)
    for file in (private, public):
        require_folder(file.absolute().parent)
        if file.exists():
            raise InputError(f"{file}: is there already; keys are never replaced")
    if plain and passphrase_file is not None:
        raise InputError("--no-passphrase and --passphrase-file exclude each other")
    from dpsynth.release import signing  # noqa: PLC0415  -- lazy: `--help` needs no release

    secret = None if plain else _passphrase(passphrase_file, new=True)
    mark = signing.create_keys(private, public, passphrase=secret)
    screen.show(
        {"private": str(private), "public": str(public), "key": mark, "encrypted": not plain},
        f"Wrote {private} ({'not encrypted' if plain else 'encrypted'}; keep it secret)\n"
        f"Wrote {public}\n  {mark}",
    )


def _passphrase(file: Path | None, *, new: bool) -> bytes:
    """Return a passphrase: from a file's first line, the environment, or whoever sits at the terminal.

    Raises:
        InputError: there is none, or it is empty.
    """
    if file is not None:
        require_file(file, "passphrase file")
        try:
            with file.open("rb") as lines:
                secret = lines.readline(4096).rstrip(b"\r\n")
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror or 'error'}") from None
    elif PASSPHRASE in os.environ:
        secret = os.environ[PASSPHRASE].encode("utf-8", "surrogateescape")
    elif sys.stdin.isatty():
        secret = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True).encode()
    else:
        raise InputError(f"the key needs a passphrase: --passphrase-file, {PASSPHRASE}, or a terminal")
    if not secret:
        raise InputError("the passphrase is empty")
    return bytes(secret)
