"""The numbers in the documents are the kept results."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import render

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("name", "mark", "content"), render.PLACES)
def test_the_document_shows_the_kept_result(name, mark, content):
    text = (ROOT / name).read_text()
    assert render.render(text, mark, content()) == text


def test_a_document_without_the_marks_is_refused():
    with pytest.raises(ValueError, match="has no <!-- a -->"):
        render.render("text", "a", "content")
