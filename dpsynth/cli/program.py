"""The program ``dpsynth``: its commands, and how every command ends.

An exception's message can hold a private value when it comes from another library, and a traceback can show
one on every line. So only dpsynth's own errors, whose messages are written to be shown, are shown in full;
of any other the type alone, unless ``DPSYNTH_TRACEBACK=1`` is set.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dpsynth import __version__
from dpsynth.cli import (
    audit,
    budget,
    budget_verify,
    demo,
    explain,
    fit,
    gate,
    plan,
    sample,
    schema_check,
    schema_draft,
    sign,
    suggest_max_rows,
    verify,
)
from dpsynth.cli.options import AsJson, Quiet
from dpsynth.cli.screen import Screen, print_json
from dpsynth.errors import DocumentError, DpsynthError

__all__ = ["EXIT_CODES", "app", "main"]

EXIT_CODES = {
    0: "done",
    1: "unexpected error",
    2: "bad input",
    3: "budget refused",
    4: "a check failed",
    130: "interrupted",
}
_ORDER = (
    "schema",
    "budget",
    "suggest-max-rows",
    "plan",
    "explain",
    "fit",
    "verify",
    "audit",
    "gate",
    "sample",
    "keygen",
    "sign",
    "demo",
)
_EPILOG = "Exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."
_TRACEBACK = "DPSYNTH_TRACEBACK"
# Matrices are small here: threads save nothing, and on a busy machine they wait for each other for minutes.
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
# typer carries its own click since 0.17; this is its root of usage errors under any version.
_UsageError: type[Any] = typer.BadParameter.__mro__[2]


class Program(TyperGroup):
    """The group of all commands: runs one, and ends with an exit code and at most one error."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name the commands in the order of work."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002  -- the parent's signature; errors are always handled here
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run one command and exit."""
        arguments = list(sys.argv[1:] if args is None else args)
        as_json = "--json" in arguments
        try:
            code = super().main(
                args=arguments,
                prog_name=prog_name or "dpsynth",
                complete_var=complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except DpsynthError as error:
            code = _fail(error.exit_code, type(error).__name__, str(error), as_json, **_position(error))
        except _UsageError as error:
            path = error.ctx.command_path if getattr(error, "ctx", None) else "dpsynth"
            code = _fail(2, "UsageError", f"{error.format_message()}\n       see {path} --help", as_json)
        except (typer.Abort, KeyboardInterrupt):
            code = 130
        except Exception as error:  # noqa: BLE001  -- the last stop before a traceback that could show private values
            code = _unexpected(error, as_json)
        if code == 130:
            _fail(130, "KeyboardInterrupt", "interrupted", as_json)
        sys.exit(code or 0)


def _position(error: DpsynthError) -> dict[str, Any]:
    if not isinstance(error, DocumentError):
        return {}
    return {"path": error.path, "line": error.line, "key": error.key}


def _unexpected(error: Exception, as_json: bool) -> int:
    if os.environ.get(_TRACEBACK) == "1":
        traceback.print_exception(error)
    message = (
        f"unexpected {type(error).__name__}; its message is withheld, since it may hold private values\n"
        f"       please report it: SECURITY.md says how; {_TRACEBACK}=1 shows all, to your eyes only"
    )
    return _fail(1, type(error).__name__, message, as_json)


def _fail(code: int, kind: str, message: str, as_json: bool, **position: Any) -> int:
    """Write one error where it belongs, and return the exit code."""
    if as_json:
        print_json({"error": {"type": kind, "message": message, "exit_code": code, **position}})
    else:
        typer.secho(
            "error: ", err=True, nl=False, fg=None if os.environ.get("NO_COLOR") else "red", bold=True
        )
        typer.echo(message, err=True)
    return code


app = typer.Typer(
    name="dpsynth",
    cls=Program,
    add_completion=False,
    epilog=_EPILOG,
    pretty_exceptions_enable=False,  # they print local variables, which are private
    context_settings={"help_option_names": ["-h", "--help"]},
)
_schema = typer.Typer(help="Draft and check the file that says what is publicly known of a table.")
app.add_typer(_schema, name="schema")
_schema.command("draft", epilog=_EPILOG)(schema_draft.draft)
_schema.command("check", epilog=_EPILOG)(schema_check.check)
app.command("suggest-max-rows", epilog=_EPILOG)(suggest_max_rows.suggest_max_rows)
_budget = typer.Typer(help="Keep account of what all releases about a data set spend together.")
app.add_typer(_budget, name="budget")
_budget.command("create", epilog=_EPILOG)(budget.create)
_budget.command("show", epilog=_EPILOG)(budget.show)
_budget.command("history", epilog=_EPILOG)(budget.history)
_budget.command("verify", epilog=_EPILOG)(budget_verify.verify)
_budget.command("export", epilog=_EPILOG)(budget_verify.export)
app.command("plan", epilog=_EPILOG)(plan.plan)
app.command("explain", epilog=_EPILOG)(explain.explain)
app.command("fit", epilog=_EPILOG)(fit.fit)
app.command("sample", epilog=_EPILOG)(sample.sample)
app.command("keygen", epilog=_EPILOG)(sign.keygen)
app.command("sign", epilog=_EPILOG)(sign.sign)
app.command("verify", epilog=_EPILOG)(verify.verify)
app.command("audit", epilog=_EPILOG)(audit.audit)
app.command("gate", epilog=_EPILOG)(gate.gate)
app.command("demo", epilog=_EPILOG)(demo.demo)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dpsynth {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    quiet: Quiet = False,
    as_json: AsJson = False,
    version: Annotated[  # noqa: ARG001  -- its callback does the work
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Differentially private synthetic tables, with a statement of what they cost.

    The order of work: schema draft, schema check, plan, fit, verify, sample.
    To see it all on public data: demo.
    """
    context.obj = Screen(quiet=quiet, as_json=as_json)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command line; the console script."""
    for library in _THREADS:  # read when numpy is imported, which is later
        os.environ.setdefault(library, "1")
    if os.environ.get(_TRACEBACK) != "1":
        warnings.simplefilter("ignore")  # another library's warning can quote a value,
        logging.disable()  # and so can its log
    app()
