"""JSON as a bundle allows it: one meaning only. No duplicate keys, no NaN or infinity, no broken text."""

import json
import math
from collections.abc import Mapping
from typing import Any

from visto.errors import ModelError


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"duplicate key {next(key for key in keys if keys.count(key) > 1)!r}")
    return content


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")


def _number(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _constant(text)


def dumps(content: Mapping[str, Any]) -> bytes:
    """Sorted keys, two spaces, UTF-8: equal content gives equal bytes. Raises ModelError for what JSON cannot say."""
    try:
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return (text + "\n").encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"a manifest that JSON cannot hold: {error}") from error


def loads(content: bytes, *, what: str = "the manifest", hint: str = "get the bundle again") -> Any:
    """Parse UTF-8 JSON. Raises ModelError for anything malformed, duplicated, not finite or too deep."""
    try:
        value = json.loads(content.decode(), object_pairs_hook=_unique, parse_constant=_constant, parse_float=_number)
        json.dumps(value, ensure_ascii=False).encode()  # an escaped lone surrogate would fail later, when printed
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{what} is not valid JSON: {error}", hint=hint) from error
    return value
