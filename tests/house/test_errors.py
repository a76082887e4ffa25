"""The tree drawn at the top of errors.py is the tree."""

from __future__ import annotations

import re

import pytest

from dpsynth import errors

DRAWN = re.compile(r"^ {4}(?P<branch>[│ ├└─]*)(?P<name>\w+)(?: \((?P<builtin>\w+)\))?(?: +(?P<note>.*))?$")


def _drawn() -> dict[str, tuple[str | None, str | None, str]]:
    """Return, for each class of the drawing, its parent, its builtin and its note."""
    found: dict[str, tuple[str | None, str | None, str]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = DRAWN.match(line)
        if match and match["name"].endswith("Error"):
            depth = len(match["branch"]) // 4
            found[match["name"]] = (path[depth - 1] if depth else None, match["builtin"], match["note"] or "")
            path[depth:] = [match["name"]]
    return found


def test_the_drawing_is_the_tree() -> None:
    drawn = _drawn()
    assert set(drawn) == set(errors.__all__)
    for name, (parent, builtin, _) in drawn.items():
        bases = [b.__name__ for b in getattr(errors, name).__bases__]
        assert bases == [parent or "Exception", *([builtin] if builtin else [])], name


def test_exit_codes_are_as_drawn() -> None:
    codes = {
        name: int(m[1])
        for name, (_, _, note) in _drawn().items()
        if (m := re.search(r"exit code (\d)", note))
    }
    assert codes == {"InputError": 2, "BudgetRefusedError": 3, "VerificationError": 4}
    for name, code in codes.items():
        assert getattr(errors, name).exit_code == code


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_a_dpsynth_error_with_a_contract(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, errors.DpsynthError)
    assert kind.__doc__


def test_where_a_schema_error_points() -> None:
    assert (
        str(errors.SchemaError("bad", key="columns.age", line=3, path="s.yaml"))
        == "s.yaml:3: columns.age: bad"
    )
    assert str(errors.SchemaError("bad")) == "schema: bad"
    assert str(errors.MissingFileError("no such file: x")) == "no such file: x"
    assert str(errors.MissingFileError()) == ""
