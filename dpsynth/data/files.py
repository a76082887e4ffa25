"""Tables from files: CSV as text alone, Parquet with its types. Nothing is inferred from values.

CSV: comma-separated (tab for ``.tsv``), quotes doubled, newlines allowed in quotes, UTF-8 with or without
a byte-order mark. Every column is text: guessing types would let one row change what another becomes. A
value that is not UTF-8 is read as Latin-1. A row with more or fewer fields than the header is skipped: it
cannot be told which of its fields is which, and an error would quote it. The table is what this parser
reads; two neighbouring tables differ in one row as read.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dpsynth.errors import DataError, MissingFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SUPPORTED", "CsvFile", "ParquetFile", "open_file"]

SUPPORTED: Final = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")

_BOM: Final = b"\xef\xbb\xbf"
_HEADER_BYTES: Final = 1 << 20
_BLOCK: Final = 1 << 30


class CsvFile:
    """A comma- or tab-separated text file whose header has been read.

    Raises:
        DataError: the file cannot be opened, is empty, or is UTF-16.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._delimiter = "\t" if ".tsv" in path.name.lower() else ","
        content = self._content()
        head = bytes(memoryview(content)[: _HEADER_BYTES + 3])
        if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            raise DataError(f"{path.name} is UTF-16 text; save it as UTF-8")
        self._start = len(_BOM) if head.startswith(_BOM) else 0
        while head[self._start : self._start + 1] in {b"\r", b"\n"}:
            self._start += 1
        text = io.StringIO(as_text(head[self._start :]), newline="")
        try:
            self.names: tuple[str, ...] = tuple(next(csv.reader(text, delimiter=self._delimiter), ()))
        except csv.Error:
            raise DataError(f"the first line of {path.name} cannot be read as column names") from None
        if not any(self.names):
            raise DataError(f"{path.name} is empty; its first line must hold the column names")

    def _content(self) -> Any:
        import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import

        try:
            if self._path.name.lower().endswith(".gz"):
                with pa.input_stream(str(self._path), compression="gzip") as stream:
                    return stream.read_buffer()
            with pa.memory_map(str(self._path)) as mapped:
                return mapped.read_buffer()
        except (pa.ArrowException, OSError, EOFError):
            raise DataError(f"{self._path.name} cannot be read; is it complete?") from None

    def read(self, names: Sequence[str]) -> Any:
        """Return an Arrow table of these columns, as bytes.

        Raises:
            DataError: the file cannot be parsed.
        """
        import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import
        from pyarrow import csv as arrow_csv  # noqa: PLC0415  -- lazy, as above

        content = self._content().slice(self._start)
        if content.size <= _HEADER_BYTES and bytes(content[-1:]) not in {b"\n", b"\r"}:
            content = pa.py_buffer(bytes(content) + b"\n")  # a header alone must end its line
        keys = [f"f{self.names.index(name)}" for name in names]
        # One block: with several, a stray quote that runs past a block's end would be an error.
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(content),
                read_options=arrow_csv.ReadOptions(
                    column_names=[f"f{i}" for i in range(len(self.names))],
                    skip_rows_after_names=1,
                    block_size=min(content.size + 1, _BLOCK),
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self._delimiter,
                    newlines_in_values=True,
                    invalid_row_handler=lambda _row: "skip",
                ),
                convert_options=arrow_csv.ConvertOptions(
                    check_utf8=False,
                    include_columns=keys,
                    column_types=dict.fromkeys(keys, pa.binary()),
                    strings_can_be_null=False,
                ),
            )
        except (pa.ArrowException, OSError):
            raise DataError(f"{self._path.name} cannot be parsed as CSV") from None
        return table.rename_columns(list(names))


class ParquetFile:
    """A Parquet file whose footer has been read.

    Raises:
        DataError: the file is not Parquet, or is truncated.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import
        from pyarrow import parquet  # noqa: PLC0415  -- lazy, as above

        self._path = path
        try:
            self.schema: Any = parquet.read_schema(path)
        except (pa.ArrowException, OSError):
            raise DataError(f"{path.name} is not a complete Parquet file; write it again") from None
        self.names: tuple[str, ...] = tuple(self.schema.names)

    def read(self, names: Sequence[str]) -> Any:
        """Return an Arrow table of these columns.

        Raises:
            DataError: the file is damaged.
        """
        import pyarrow as pa  # noqa: PLC0415  -- lazy: pyarrow costs 0.1 s at import
        from pyarrow import parquet  # noqa: PLC0415  -- lazy, as above

        try:
            with parquet.ParquetFile(self._path) as file:
                return file.read(columns=list(names)).select(list(names))
        except (pa.ArrowException, OSError, KeyError):
            raise DataError(
                f"{self._path.name} is damaged: its columns cannot be read; write it again"
            ) from None


def open_file(path: Path) -> CsvFile | ParquetFile:
    """Open a table by its file name's ending.

    Raises:
        MissingFileError: there is no such file.
        DataError: the ending is not supported, or the file cannot be opened.
    """
    name = path.name.lower()
    if not name.endswith(SUPPORTED):
        raise DataError(f"{path.name}: unknown kind of file; supported endings are {', '.join(SUPPORTED)}")
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file")
    return ParquetFile(path) if name.endswith(".parquet") else CsvFile(path)


def as_text(value: bytes) -> str:
    """Decode as UTF-8, or else as Latin-1, which never fails."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")
