"""What a command shows: a result on standard output, all else on standard error."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer

__all__ = ["Screen", "hung", "print_json", "screen_of"]

_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Screen:
    """How much to show, and in what form.

    Attributes:
        quiet: Show nothing but errors (and, with ``as_json``, the result).
        as_json: Write the result as one JSON object.
    """

    quiet: bool = False
    as_json: bool = False

    def show(self, content: Mapping[str, Any], text: Any) -> None:
        """Write a command's result.

        Args:
            content: The result as plain JSON values.
            text: The same for people: a text, or something that rich can draw.
        """
        if self.as_json:
            print_json(content)
        elif not self.quiet:
            if isinstance(text, str):
                typer.echo(text)
            else:
                from rich.console import Console  # noqa: PLC0415  -- lazy: `--help` needs no console

                Console(file=sys.stdout, highlight=False).print(text)

    def say(self, text: str) -> None:
        """Write a remark to standard error, unless only the result is wanted."""
        if not self.quiet and not self.as_json:
            typer.echo(text, err=True)

    @contextmanager
    def progress(self) -> Iterator[Callable[[str, float], None]]:
        """Show a bar on standard error while the block runs; it leaves no trace.

        Yields:
            A function that takes the name of a stage and the fraction of it that is done. It shows nothing
            when standard error is not a terminal.
        """
        from rich.console import Console  # noqa: PLC0415  -- lazy: `--help` needs no console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415  -- lazy

        console = Console(file=sys.stderr)
        bar = Progress(
            TextColumn("{task.description:<24}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=self.quiet or not console.is_terminal,
        )
        with bar:
            task = bar.add_task("starting", total=1.0)

            def report(stage: str, fraction: float) -> None:
                bar.update(task, description=stage, completed=fraction)

            yield report


def screen_of(context: typer.Context, *, quiet: bool, as_json: bool) -> Screen:
    """Join what was asked of the command with what was asked of ``dpsynth`` before it."""
    before: Screen = context.find_root().obj or Screen()
    return Screen(quiet=quiet or before.quiet, as_json=as_json or before.as_json)


def hung(line: str, indent: int) -> str:
    """Break a line that is longer than a terminal is wide; what follows is indented."""
    indented = " " * indent
    return (
        textwrap.fill(
            line, _WIDTH, subsequent_indent=indented, break_long_words=False, break_on_hyphens=False
        )
        or line
    )


def print_json(content: Mapping[str, Any]) -> None:
    """Write one JSON object and nothing else to standard output."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
