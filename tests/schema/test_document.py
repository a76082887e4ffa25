"""Reading a schema file: what is taken, what is refused, and where each problem is said to be."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.errors import MissingFileError, SchemaError
from dpsynth.schema import Schema, document
from dpsynth.schema.document import Document, dotted, parse, read_text, split


@pytest.fixture(params=["C parser", "Python parser"], autouse=True)
def _both_parsers(request, monkeypatch):
    if request.param == "Python parser":
        monkeypatch.setattr(document, "_LOADER", yaml.SafeLoader)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("No", "No"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("1_000", "1_000"),
        ("0o7", "0o7"),
        ("0x1F", "0x1F"),
        ("007", "007"),
        ("-0", 0),
        ("+12", 12),
        ("12:30", "12:30"),
        ("190:20:30", "190:20:30"),
        ("2020-01-01", "2020-01-01"),
        ("2020-01-01 10:00:00", "2020-01-01 10:00:00"),
        ("0.1", Decimal("0.1")),
        ("-.5", Decimal("-0.5")),
        ("5.", Decimal(5)),
        ("1e3", Decimal(1000)),
        ("1.50", Decimal("1.50")),
        (".", "."),
        ("-", [None]),
        ("e5", "e5"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("9" * 200, "9" * 200),
        ("1e9999999", "1e9999999"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("|\n  5\n", "5\n"),
        ("<<", "<<"),
        ("=", "="),
    ],
)
def test_scalars_are_read_as_a_steward_expects(text, value):
    read = parse(f"key: {text}\n" if text != "-" else "key:\n  -\n").content["key"]
    assert read == value
    assert type(read) is type(value)


def test_keys_are_texts_as_written():
    content = parse("2020: 1\nyes: 2\nnull: 3\n~: 4\n1.50: 5\n'': 6\n? long\n: 7\n").content
    assert content == {"2020": 1, "yes": 2, "null": 3, "~": 4, "1.50": 5, "": 6, "long": 7}


def test_lines_are_those_of_the_keys_and_items():
    read = parse("a:\n  b: [1,\n    2]\n\n  'c.d':\n    - x\n")
    assert read.lines == {
        (): 1,
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "b", 0): 2,
        ("a", "b", 1): 3,
        ("a", "c.d"): 5,
        ("a", "c.d", 0): 6,
    }
    assert read.line_of(("a", "c.d", "nothing", "here")) == 5
    assert read.line_of(("z",)) == 1
    assert Document().line_of(("a",)) is None


def test_review_marks_any_value():
    read = parse(
        "a: !REVIEW 5\nb: !REVIEW [x, !REVIEW 0.5]\nc: !REVIEW\n  d: !REVIEW null\n"
        "e: !REVIEW '5'\nf: !REVIEW\n"
    )
    assert read.content == {"a": 5, "b": ["x", Decimal("0.5")], "c": {"d": None}, "e": "5", "f": None}
    assert read.review == (("a",), ("b",), ("b", 1), ("c",), ("c", "d"), ("e",), ("f",))


BAD = [
    ("a: 1\nb: 2\na: {c: [1]}\n", 3, "a", "stands twice, on lines 1 and 3"),
    ("a:\n  b: 1\n  b: 1\n", 3, "a.b", "stands twice, on lines 2 and 3"),
    ("a: 1\nb: &x 5\n", 2, "b", "anchors"),
    ("a: 1\nb: *x\n", 2, "b", "aliases"),
    ("a: [&x [1], *x]\n", 1, "a.0", "anchors"),
    (
        "a: 1\nb: !!python/object/apply:os.system [ls]\n",
        2,
        "b",
        "tag !!python/object/apply:os.system is not read",
    ),
    ("a: !!str 5\n", 1, "a", "tag !!str is not read"),
    ("a: !Foo {}\n", 1, "a", "tag !Foo is not read"),
    ("a: ! foo\n", 1, "a", "tag ! is not read"),
    ("!Foo a: 5\n", 1, "a", "tag !Foo is not read"),
    ("a: 1\n!REVIEW b: 5\n", 2, "b", "after the colon"),
    ("!REVIEW\na: 5\n", 1, None, "not before the whole schema"),
    ("a: 1\n---\nb: 1\n", 2, None, "second document"),
    ("a: 1\n[b]: 1\n", 2, None, "a key must be a text"),
    ("? {a: 1}\n: 1\n", 1, None, "a key must be a text"),
    ("a: 1\n  b: 2\n", 2, None, "not valid YAML"),
    ("a: 1\n\tb: 2\n", 2, None, "spaces, not tabs"),
    ("a: [1, 2\nb: 3\n", 2, None, "not valid YAML"),
    ("a: 'open\n", 2, None, "not valid YAML"),
    ("a: @x\n", 1, None, "not valid YAML"),
    ("a: " + "[" * 100 + "]" * 100, 1, None, "nested too deeply"),
    ("a: 1\nb: \x00\n", 2, None, "control character U+0000"),
    ("a: 1\nb: \x1b[0m\n", 2, None, "control character U+001B"),
    ("", 1, None, "the schema is empty"),
    ("# only a comment\n", 1, None, "the schema is empty"),
    ("---\n", 1, None, "the schema is empty"),
    ("- a\n- b\n", 1, None, "top level must be a mapping"),
    ("just text", 1, None, "top level must be a mapping"),
]


@pytest.mark.parametrize(("text", "line", "key", "said"), BAD)
def test_what_is_refused(text, line, key, said):
    with pytest.raises(SchemaError) as caught:
        parse(text, "s.yaml")
    assert said in caught.value.problem
    assert (caught.value.key, caught.value.path) == (key, "s.yaml")
    # the two parsers place an unfinished quote or bracket on neighbouring lines
    assert caught.value.line in ({line, line - 1} if "not valid YAML" in said else {line})
    assert str(caught.value).startswith(f"s.yaml:{caught.value.line}: ")


def test_every_problem_is_reported_in_file_order():
    with pytest.raises(SchemaError) as caught:
        parse("a: *x\nb: !Foo 1\nb: 2\n")
    lines = str(caught.value).split("\n")
    assert [line.split(" ")[0] for line in lines] == ["schema:1:", "schema:2:", "schema:3:"]
    assert (caught.value.key, caught.value.line) == ("a", 1)


def test_a_flood_of_problems_is_cut_short():
    with pytest.raises(SchemaError) as caught:
        parse("".join(f"k{i}: *x\n" for i in range(500)))
    assert str(caught.value).count("\n") == 20
    assert str(caught.value).endswith("... and 480 more")


def test_a_bomb_of_aliases_does_not_go_off():
    rows = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)]
    start = time.perf_counter()
    with pytest.raises(SchemaError, match="anchors"):
        parse("\n".join(rows))
    assert time.perf_counter() - start < 5


def test_a_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match="there is no such schema file"):
        Schema.load(tmp_path / "none.yaml")


def test_a_directory(tmp_path):
    with pytest.raises(SchemaError, match="is a directory") as caught:
        Schema.load(tmp_path)
    assert caught.value.path == str(tmp_path)


def test_a_name_that_is_no_path():
    with pytest.raises(SchemaError, match="its name is not a path"):
        read_text("a\0b")


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SchemaError, match="cannot be read: Not a directory"):
        read_text(tmp_path / "file" / "s.yaml")


def test_bytes_that_are_not_utf8(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"privacy_unit: row\ncolumns:\n  caf\xe9: {}\n")
    with pytest.raises(SchemaError, match="not UTF-8") as caught:
        Schema.load(path)
    assert caught.value.line == 3


def test_a_binary_file(tmp_path):
    path = tmp_path / "data.parquet"
    path.write_bytes(b"PAR1\x00\x15\x04\x15")
    with pytest.raises(SchemaError, match="not a text file"):
        Schema.load(path)


def test_a_byte_order_mark_is_skipped(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert parse(read_text(path)).content == {"a": 1, "b": 2}


def test_a_file_too_large_to_be_a_schema(tmp_path, monkeypatch):
    monkeypatch.setattr(document, "MAX_BYTES", 100)
    path = tmp_path / "data.csv"
    path.write_bytes(b"x" * 101)
    with pytest.raises(SchemaError, match="larger than 100 bytes"):
        read_text(path)


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_split_undoes_dotted(parts):
    assert split(dotted(tuple(parts))) == tuple(parts)


@pytest.mark.parametrize("key", ["", ".", "a.", ".a", "a..b", '"a', '"a"b', 'a"b'])
def test_split_refuses_what_is_no_dotted_key(key):
    with pytest.raises(ValueError, match=r"dotted key|Unterminated|Expecting"):
        split(key)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_schema_error(text):
    try:
        Schema.loads(text)
    except SchemaError as error:
        assert error.problem  # noqa: PT017  -- whether it raises depends on the text
