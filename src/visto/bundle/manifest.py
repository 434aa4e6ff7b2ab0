"""The manifest: what a bundle is, where it comes from, and the SHA-256 of its other files."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from visto.bundle.strict_json import dumps
from visto.errors import ModelError, UsageError
from visto.spec import Spec
from visto.types import Figure

FORMAT_VERSION = 1
READABLE_VERSIONS = (1,)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def _bad(message: str, expected: str = "") -> ModelError:
    return ModelError(f"the manifest is not valid: {message}", expected=expected, hint="get the bundle again")


def _is(value: object, kind: type) -> bool:
    """isinstance, but True is not a whole number."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def as_object(content: object, keys: set[str], where: str) -> dict[str, Any]:
    """``content`` if it is an object with exactly these keys."""
    if not isinstance(content, dict):
        raise _bad(f"{where} is not an object")
    if content.keys() != keys:
        missing, unknown = sorted(keys - content.keys()), sorted(content.keys() - keys)
        raise _bad(f"{where} lacks {missing} and has unknown {unknown}", expected=f"the keys {sorted(keys)}")
    return content


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """What one file of the bundle must be: its hex SHA-256 and its size in bytes."""

    sha256: str
    size: int

    def __post_init__(self) -> None:
        if not _is(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            raise _bad(f"{self.sha256!r} is not a SHA-256", expected="64 hexadecimal digits in lower case")
        if not _is(self.size, int) or self.size < 0:
            raise _bad(f"a file of {self.size!r} bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything a bundle says of itself. Raises ModelError for a value that is not what its field holds.

    ``head`` holds the task's arguments, ``recipe`` the training recipe, ``data`` the training data's name, format,
    fingerprint and counts: plain JSON values (lists, not tuples, so that they read back equal). ``metrics`` are
    validation figures. ``created`` is an ISO 8601 time in UTC. ``files`` stays empty until the bundle is written.
    """

    task: str
    classes: tuple[str, ...]
    model: Spec[Any]
    preprocess: Spec[Any]
    head: Mapping[str, Any]
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    metrics: Mapping[str, Figure]
    holds_training_data: bool
    versions: Mapping[str, str]
    created: str
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        _check_version(self.format_version)
        if not _is(self.task, str) or not self.task:
            raise _bad(f"the task {self.task!r}", expected="a name")
        if not all(_is(name, str) and name for name in self.classes) or len(set(self.classes)) != len(self.classes):
            raise _bad(f"the classes {list(self.classes)!r}", expected="unique names")
        if not _is(self.holds_training_data, bool):
            raise _bad(f"holds_training_data is {self.holds_training_data!r}", expected="true or false")
        for name in ("head", "recipe", "data"):
            if not isinstance(getattr(self, name), Mapping):
                raise _bad(f"{name} is not an object")
        if not all(_is(text, str) for pair in self.versions.items() for text in pair):
            raise _bad("a version is not text")
        if bad := [name for name in self.files if not _PLAIN_NAME.fullmatch(name)]:
            raise _bad(f"the file name {bad[0]!r}", expected="a plain name")
        for name, figure in self.metrics.items():
            _check_figure(name, figure)
        check_created(self.created)

    def to_json(self) -> dict[str, Any]:
        """Plain values only, as they stand in ``manifest.json``."""
        return {
            "format_version": self.format_version,
            "task": self.task,
            "classes": list(self.classes),
            "model": self.model.to_json(),
            "preprocess": self.preprocess.to_json(),
            "head": dict(self.head),
            "recipe": dict(self.recipe),
            "data": dict(self.data),
            "metrics": {name: figure.to_json() for name, figure in self.metrics.items()},
            "holds_training_data": self.holds_training_data,
            "versions": dict(self.versions),
            "created": self.created,
            "files": {name: {"sha256": file.sha256, "size": file.size} for name, file in self.files.items()},
        }

    def to_bytes(self) -> bytes:
        """The bytes of ``manifest.json``: equal manifests give equal bytes."""
        return dumps(self.to_json())

    @classmethod
    def from_json(cls, content: object) -> "Manifest":
        """Raises ModelError for another format version, a missing or unknown key, or a wrong type."""
        if not isinstance(content, dict) or "format_version" not in content:
            raise _bad("it has no format_version")
        _check_version(content["format_version"])  # first: another version may have other keys
        content = as_object(content, {f.name for f in fields(cls)}, "the manifest")
        if not isinstance(content["classes"], list):
            raise _bad("classes is not a list")
        for name in ("metrics", "files", "versions"):
            if not isinstance(content[name], dict):
                raise _bad(f"{name} is not an object")
        return cls(
            format_version=content["format_version"],
            task=content["task"],
            classes=tuple(content["classes"]),
            model=_spec(content["model"], "model"),
            preprocess=_spec(content["preprocess"], "preprocess"),
            head=content["head"],
            recipe=content["recipe"],
            data=content["data"],
            metrics={name: as_figure(name, value) for name, value in content["metrics"].items()},
            holds_training_data=content["holds_training_data"],
            versions=content["versions"],
            created=content["created"],
            files={name: as_record(name, value) for name, value in content["files"].items()},
        )


def _check_version(version: object) -> None:
    if not isinstance(version, int) or isinstance(version, bool):
        raise _bad(f"format_version is {version!r}", expected="a whole number")
    if version not in READABLE_VERSIONS:
        raise ModelError(
            f"the bundle is of format {version}",
            expected=f"format {', '.join(map(str, READABLE_VERSIONS))}, which this Visto reads",
            hint="upgrade Visto: pip install --upgrade visto",
        )


def _check_figure(name: str, figure: Figure) -> None:
    numbers = [figure.value] + [bound for bound in (figure.low, figure.high) if bound is not None]
    # compared, not converted: a whole number of JSON may be too large for a float
    if not all((_is(n, int) or _is(n, float)) and abs(n) <= sys.float_info.max for n in numbers):
        raise _bad(f"the metric {name!r} is {figure.to_json()}", expected="finite numbers")


def check_created(created: object) -> None:
    try:
        time = datetime.fromisoformat(created) if isinstance(created, str) else None
    except ValueError:
        time = None
    if time is None or time.utcoffset() != timedelta(0):
        raise _bad(f"created is {created!r}", expected=f"a time in UTC such as {datetime(2025, 1, 31, tzinfo=UTC)}")


def _spec(content: object, where: str) -> Spec[Any]:
    content = as_object(content, {"name", "arguments"}, where)
    if not _is(content["name"], str) or not isinstance(content["arguments"], dict):
        raise _bad(f"{where} is not a name with arguments")
    try:
        return Spec.from_json(content)
    except UsageError as error:
        raise _bad(f"{where}: {error.message}") from error


def as_figure(name: str, content: object) -> Figure:
    content = as_object(content, {"value", "low", "high"}, f"the metric {name!r}")
    return Figure(value=content["value"], low=content["low"], high=content["high"])


def as_record(name: str, content: object) -> FileRecord:
    content = as_object(content, {"sha256", "size"}, f"the file {name!r}")
    return FileRecord(sha256=content["sha256"], size=content["size"])
