"""A builder and its arguments as data: what a bundle stores so that it can build the same thing again."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from visto.errors import ModelError, UsageError

R = TypeVar("R")

_PLAIN = (str, int, float, bool, type(None))


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_plain(v) for v in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _plain(v) for k, v in value.items())
    return isinstance(value, _PLAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec(Generic[R]):
    """The name of a builder in a table, and the keyword arguments to call it with (JSON values only).

    >>> Spec(name="pair", arguments={"b": 2}).build({"pair": lambda *, a=1, b: (a, b)})
    (1, 2)
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bad = [k for k, v in self.arguments.items() if not _plain(v)]
        if bad:
            raise UsageError(f"arguments of {self.name!r} that are not plain values: {', '.join(bad)}")

    def build(self, table: Mapping[str, Callable[..., R]]) -> R:
        """Call the builder. Raises UsageError for an unknown argument, ModelError for a name not in the table."""
        if self.name not in table:
            raise ModelError(
                f"{self.name!r} is not known here",
                expected=f"one of {', '.join(sorted(table))}",
                hint="install the package that brings it, or a newer Visto",
            )
        builder = table[self.name]
        known = inspect.signature(builder).parameters
        unknown = [k for k in self.arguments if k not in known]
        if unknown:
            raise UsageError(
                f"{self.name!r} takes no {', '.join(map(repr, unknown))}", expected=f"some of {', '.join(known)}"
            )
        return builder(**self.arguments)

    def with_arguments(self, **changes: Any) -> "Spec[R]":
        """The same builder with some arguments replaced."""
        return Spec(name=self.name, arguments={**self.arguments, **changes})

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "arguments": dict(self.arguments)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Spec[R]":
        return cls(name=content["name"], arguments=dict(content["arguments"]))
