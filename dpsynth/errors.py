"""Everything that can go wrong, as one small tree.

::

    DpsynthError
    ├── InputError (ValueError)                  exit code 2
    │   ├── GuaranteeError                       epsilon, delta or a share of them is not usable
    │   ├── DocumentError                        a file that people write is wrong; says the line and the key
    │   │   ├── SchemaError                      the schema
    │   │   └── PolicyError                      the policy of a gate
    │   ├── DataError                            the table cannot be read as the schema says
    │   │   └── MissingFileError (FileNotFoundError)
    │   ├── ReleaseError                         a release file is malformed, truncated or hostile
    │   └── BookError                            a budget book cannot be opened, read or written
    ├── BudgetRefusedError (RuntimeError)        exit code 3: the act would overspend; nothing was drawn
    ├── VerificationError (RuntimeError)         exit code 4: a release or a book does not say the truth
    └── SealedError (TypeError)                  something tried to look at exact counts outside the door

Every message names the thing, the bound and the next step. No message contains a value read from a
private row: column names, public bounds and budgets may appear, data may not.
"""

from __future__ import annotations

__all__ = [
    "BookError",
    "BudgetRefusedError",
    "DataError",
    "DocumentError",
    "DpsynthError",
    "GuaranteeError",
    "InputError",
    "MissingFileError",
    "PolicyError",
    "ReleaseError",
    "SchemaError",
    "SealedError",
    "VerificationError",
]


class DpsynthError(Exception):
    """Root of every error that dpsynth raises on purpose."""

    exit_code = 1


class InputError(DpsynthError, ValueError):
    """What was given cannot be used."""

    exit_code = 2


class GuaranteeError(InputError):
    """An epsilon, a delta or a share of a budget is outside its range."""


class DocumentError(InputError):
    """A file that people write is wrong.

    Attributes:
        path: The file, when it came from one.
        line: The 1-based line in that file, when known.
        key: The dotted path of the key, such as ``columns.age.lower``.
        problem: What is wrong and what to do, without the position.
    """

    what = "document"

    def __init__(
        self, problem: str, *, key: str | None = None, line: int | None = None, path: str | None = None
    ) -> None:
        self.problem, self.key, self.line, self.path = problem, key, line, path
        named = path or self.what
        where = f"{named}:{line}" if line is not None else named
        super().__init__(f"{where}: {key}: {problem}" if key else f"{where}: {problem}")


class SchemaError(DocumentError):
    """A schema is wrong."""

    what = "schema"


class PolicyError(DocumentError):
    """A policy is wrong."""

    what = "policy"


class DataError(InputError):
    """A table cannot be read as the schema says."""


class MissingFileError(DataError, FileNotFoundError):
    """A named file does not exist."""

    def __str__(self) -> str:
        """Return the message; ``FileNotFoundError`` would format it as an errno."""
        return str(self.args[0]) if self.args else ""


class ReleaseError(InputError):
    """A release file is malformed, truncated or hostile."""


class BookError(InputError):
    """A budget book cannot be opened, read or written."""


class BudgetRefusedError(DpsynthError, RuntimeError):
    """An act would spend more than is left; nothing was drawn and nothing was written."""

    exit_code = 3


class VerificationError(DpsynthError, RuntimeError):
    """A release, or a budget book, does not say the truth about itself."""

    exit_code = 4


class SealedError(DpsynthError, TypeError):
    """Something tried to look at exact rows or counts outside the door."""
