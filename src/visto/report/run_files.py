"""What lies beside a bundle in ``X.run``, read for a report: verbs meet through files."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from visto.data.ledger import Entry, Status
from visto.errors import ModelError, ResourceError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """Empty where a file is not there. ``source``: path (or name) and format of the data, as the run read it."""

    history: Sequence[Mapping[str, Any]] = ()
    ledger: Sequence[Entry] = ()
    learning_curve: Mapping[str, Any] | None = None
    tuning: Mapping[str, Any] | None = None
    source: tuple[str, str | None] | None = None


def read_run(bundle: Path) -> RunFiles:
    """Read what there is of the run that made ``bundle``. Raises ModelError for what no run writes, ResourceError."""
    folder = _folder(bundle)
    settings = _content(folder / "run.json")
    return RunFiles(
        history=_history(folder / "history.jsonl"),
        ledger=_ledger(folder / "ledger.csv"),
        learning_curve=read_learning_curve(bundle),
        tuning=read_tuning(bundle),
        source=_source(_object(settings, folder / "run.json")) if settings is not None else None,
    )


def trained_from(source: tuple[str, str | None] | None, way: str, format: str | None = None) -> tuple[str, str | None]:
    """The path (or name) and the format of the data that a run was started with. Raises UsageError.

    ``way`` is how to name other data; ``format`` goes before the run's own.
    """
    hint = f"name the data: {way}"
    if source is None:
        raise UsageError("what the model was trained from is not known here", hint=hint)
    path, read_as = source
    if "/" in path and not Path(path).exists():
        raise UsageError(f"what the model was trained from is not at {path} any more", hint=hint)
    return path, format or read_as


def read_learning_curve(bundle: Path) -> dict[str, Any] | None:
    """The learning curve of the run that made ``bundle``, where it has one. Raises ModelError, ResourceError."""
    return _document(_folder(bundle) / "learning-curve.json")


def read_tuning(bundle: Path) -> dict[str, Any] | None:
    """How the settings of ``bundle`` were chosen, where its run has that. Raises ModelError, ResourceError."""
    return _document(_folder(bundle) / "tuning.json")


def _document(path: Path) -> dict[str, Any] | None:
    text = _content(path)
    return _object(text, path) if text is not None else None


def _folder(bundle: Path) -> Path:
    return bundle.with_name(bundle.name.removesuffix(".visto") + ".run")


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ResourceError(f"cannot read {path}: {error.strerror}", hint="mend its permissions or its disk") from error


def _object(text: str, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _odd(path) from error
    if not isinstance(content, dict):
        raise _odd(path)
    return content


def _odd(path: Path) -> ModelError:
    return ModelError(f"{path} is not what a run writes", hint="move it elsewhere, and report without it")


def _history(path: Path) -> list[dict[str, Any]]:
    return [_object(row, path) for row in (_content(path) or "").split("\n") if row]


def _ledger(path: Path) -> list[Entry]:
    text = _content(path)
    if text is None:
        return []
    try:
        header, *rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (ValueError, csv.Error) as error:
        raise _odd(path) from error
    if header != ["id", "status", "reason"]:
        raise _odd(path)
    known: dict[str, Status] = {status: status for status in get_args(Status)}
    try:
        return [Entry(id=id, status=known[status], reason=reason) for id, status, reason in rows]
    except (ValueError, KeyError) as error:
        raise _odd(path) from error


def _source(settings: Mapping[str, Any]) -> tuple[str, str | None] | None:
    source = settings.get("source")
    if not isinstance(source, dict) or not isinstance(source.get("path"), str):
        return None
    format = source.get("format")
    return source["path"], format if isinstance(format, str) else None
