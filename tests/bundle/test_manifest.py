"""The manifest takes exactly its own keys and types."""

import copy
import json
from typing import Any

import pytest

from visto.bundle import FileRecord, Manifest
from visto.bundle.strict_json import loads
from visto.errors import ModelError

KEYS = [
    "format_version",
    "task",
    "classes",
    "model",
    "preprocess",
    "head",
    "recipe",
    "data",
    "metrics",
    "holds_training_data",
    "versions",
    "created",
    "files",
]


def test_json_round_trip(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Manifest.from_json(loads(manifest.to_bytes())) == manifest
    assert sorted(manifest.to_json()) == sorted(KEYS)
    assert (
        manifest.to_bytes().decode()
        == json.dumps(manifest.to_json(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    )


@pytest.mark.parametrize("key", KEYS)
def test_missing_key(manifest: Manifest, key: str) -> None:
    content = manifest.to_json()
    del content[key]
    with pytest.raises(ModelError, match=key):
        Manifest.from_json(content)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [None, 3.5, [[]], {"a": {}}, "", [{"a": 1}]])
def test_wrong_type(manifest: Manifest, key: str, value: object) -> None:
    if key in ("head", "recipe", "data") and isinstance(value, dict):
        return  # any object will do
    with pytest.raises(ModelError):
        Manifest.from_json({**manifest.to_json(), key: value})


@pytest.mark.parametrize("where", [(), ("model",), ("preprocess",), ("metrics", "accuracy"), ("files", "a.bin")])
def test_unknown_key(manifest: Manifest, where: tuple[str, ...]) -> None:
    content: dict[str, Any] = copy.deepcopy(manifest.to_json())
    content["files"] = {"a.bin": {"sha256": "0" * 64, "size": 1}}
    Manifest.from_json(content)
    inner = content
    for key in where:
        inner = inner[key]
    inner["surprise"] = 1
    with pytest.raises(ModelError, match="surprise"):
        Manifest.from_json(content)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format_version", True),
        ("format_version", 0),
        ("holds_training_data", 1),
        ("classes", ["a", "a"]),
        ("classes", ["a", ""]),
        ("classes", "ab"),
        ("created", "yesterday"),
        ("created", "2025-01-31T12:00:00"),
        ("created", "2025-01-31T12:00:00+01:00"),
        ("versions", {"visto": 1}),
        ("model", {"name": 1, "arguments": {}}),
        ("model", {"name": "a", "arguments": []}),
        ("metrics", {"f1": {"value": "1", "low": None, "high": None}}),
        ("metrics", {"f1": {"value": None, "low": None, "high": None}}),
        ("metrics", {"f1": {"value": True, "low": None, "high": None}}),
        ("metrics", {"f1": {"value": 10**400, "low": None, "high": None}}),
        ("files", {"a/b": {"sha256": "0" * 64, "size": 1}}),
        ("files", {"a": {"sha256": "A" * 64, "size": 1}}),
        ("files", {"a": {"sha256": "0" * 64, "size": -1}}),
        ("files", {"a": {"sha256": "0" * 64, "size": True}}),
    ],
)
def test_bad_value(manifest: Manifest, key: str, value: object) -> None:
    with pytest.raises(ModelError):
        Manifest.from_json({**manifest.to_json(), key: value})


def test_file_record_checks_itself() -> None:
    assert FileRecord(sha256="0" * 64, size=0).size == 0
    with pytest.raises(ModelError, match="SHA-256"):
        FileRecord(sha256="0" * 63 + "\n", size=0)
