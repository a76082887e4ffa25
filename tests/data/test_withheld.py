"""Errors of what holds rows: no frame keeps them, no other library's words go along."""

from __future__ import annotations

import pytest

from dpsynth.data.withheld import emptied, reading
from dpsynth.errors import DataError, DpsynthError

SECRET = "kx93canaryqz"


def fails(error):
    def inner(rows):
        held = list(rows)
        raise error(held[0])

    return inner


def refuses(rows):
    held = list(rows)
    try:
        fails(KeyError)(held)
    except KeyError:
        raise DataError("the table cannot be read") from None


def locals_of(error):
    """Every local variable of every frame of an error and of those it came from."""
    found, link = [], error
    while link is not None:
        frame = link.__traceback__
        while frame is not None:
            if frame.tb_frame.f_code.co_name != "caught":
                found.append(repr(frame.tb_frame.f_locals))
            frame = frame.tb_next
        link = link.__context__
    return " ".join(found)


def caught(function, kind=BaseException):
    with pytest.raises(kind) as raised:
        function([SECRET])
    return raised.value


def test_unguarded_functions_do_show_rows():
    """Guard of the guard."""
    assert SECRET in locals_of(caught(refuses))
    assert SECRET in str(caught(refuses).__context__)


@pytest.mark.parametrize("guard", [emptied, reading])
def test_frames_are_emptied_and_the_other_librarys_error_is_left_behind(guard):
    error = caught(guard(refuses), DataError)
    assert str(error) == "the table cannot be read"
    assert (error.__cause__, error.__context__) == (None, None)
    assert SECRET not in locals_of(error)


def test_what_was_being_handled_before_is_left_alone():
    def user():
        mine = "mine"
        raise ValueError(mine)

    before = None
    try:
        user()
    except ValueError as mine:
        before, error = mine, caught(reading(refuses), DataError)
    assert error.__context__ is before
    assert "'mine': 'mine'" in locals_of(before)


def test_an_unforeseen_error_tells_its_type_alone(monkeypatch):
    monkeypatch.delenv("DPSYNTH_TRACEBACK", raising=False)
    error = caught(reading(fails(KeyError)), DpsynthError)
    assert str(error).startswith("unexpected KeyError while reading rows; its message is withheld")
    assert (error.__cause__, error.__context__) == (None, None)
    assert SECRET not in str(error) + locals_of(error)


def test_what_is_no_exception_but_an_error_is_withheld_too(monkeypatch):
    class Panic(BaseException):
        pass

    monkeypatch.delenv("DPSYNTH_TRACEBACK", raising=False)
    assert "unexpected Panic" in str(caught(reading(fails(Panic)), DpsynthError))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, MemoryError, DataError])
def test_other_endings_pass_emptied(kind):
    error = caught(reading(fails(kind)), kind)
    assert SECRET not in locals_of(error)


def test_the_steward_may_see_all(monkeypatch):
    monkeypatch.setenv("DPSYNTH_TRACEBACK", "1")
    assert caught(reading(fails(KeyError)), KeyError).args == (SECRET,)


def test_a_guarded_function_is_still_itself():
    assert reading(refuses).__name__ == "refuses"
    assert emptied(lambda rows: rows[0])("ab") == "a"
