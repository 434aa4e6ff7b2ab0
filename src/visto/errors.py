"""Every error a user can meet, each with the exit code of the command line.

    VistoError            1   internal: a mistake of ours
    ├── UsageError        2   the command or the call cannot be understood
    ├── DataError         3   the data is not what it should be
    ├── ModelError        4   a bundle is bad, changed or unverified
    ├── ResourceError     5   disk, memory, device, another run
    │   └── BudgetError   5   what was asked for takes longer than the budget
    ├── GateError         6   finished, but a check refused the result
    └── Interrupted     130   stopped by the user, state kept
        └── Terminated  143   stopped by the system, state kept

An error says what was met (message), what was expected, and what to do (hint).
"""

from typing import ClassVar


class VistoError(Exception):
    """The root: ``message`` is what was met, ``expected`` what should have been, ``hint`` what to do."""

    code: ClassVar[int] = 1

    def __init__(self, message: str, *, expected: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.message]
        if self.expected:
            parts.append(f"expected: {self.expected}")
        if self.hint:
            parts.append(f"hint: {self.hint}")
        return "\n".join(parts)

    def to_json(self) -> dict[str, object]:
        """The value of ``error`` in what ``--json`` prints."""
        return {"code": self.code, "message": self.message, "expected": self.expected, "hint": self.hint}


class UsageError(VistoError):
    code = 2


class DataError(VistoError):
    code = 3


class ModelError(VistoError):
    code = 4


class ResourceError(VistoError):
    code = 5


class BudgetError(ResourceError):
    """What was asked for takes longer than the budget allows."""


class GateError(VistoError):
    code = 6


class Interrupted(VistoError):
    code = 130


class Terminated(Interrupted):
    """Like Interrupted, by SIGTERM."""

    code = 143
