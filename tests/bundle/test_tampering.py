"""Every changed byte, name or kind of file is refused with exit code 4."""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visto.bundle import read_bundle
from visto.errors import ModelError, ResourceError


def _refused(path: Path, words: str = ".") -> ModelError:
    with pytest.raises(ModelError, match=words) as caught:
        read_bundle(path)
    assert caught.value.code == 4
    return caught.value


def _rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest and make its digest right again, as a forger would."""
    content = json.loads((path / "manifest.json").read_text())
    change(content)
    _rewrite_bytes(path, json.dumps(content).encode())


def _rewrite_bytes(path: Path, content: bytes) -> None:
    (path / "manifest.json").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (path / "manifest.sha256").write_text(f"{digest}  manifest.json\n")


def _replace_file(path: Path, name: str, content: bytes) -> None:
    """Change a file and make all hashes right again."""
    (path / name).write_bytes(content)
    record = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    _rewrite(path, lambda manifest: manifest["files"].update({name: record}))


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256", "data.safetensors"])
def test_flipped_byte_at_every_position(bundle_path: Path, name: str) -> None:
    file = bundle_path / name
    content = bytearray(file.read_bytes())
    for position in range(len(content)):
        content[position] ^= 1 << (position % 8)
        file.write_bytes(content)
        _refused(bundle_path)
        content[position] ^= 1 << (position % 8)
    file.write_bytes(content)
    read_bundle(bundle_path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10**9), mask=st.integers(1, 255))
def test_flipped_bits_in_the_weights(bundle_path: Path, position: int, mask: int) -> None:
    file = bundle_path / "weights.safetensors"
    original = file.read_bytes()
    content = bytearray(original)
    content[position % len(content)] ^= mask
    file.write_bytes(content)
    _refused(bundle_path, "SHA-256")
    file.write_bytes(original)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256", "data.safetensors", "weights.safetensors"])
@pytest.mark.parametrize("change", [lambda b: b + b"\n", lambda b: b[:-1], lambda b: b"", lambda b: b.upper()])
def test_longer_shorter_empty_or_other_case(bundle_path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    file = bundle_path / name
    file.write_bytes(change(file.read_bytes()))
    _refused(bundle_path)


def test_digest_with_windows_line_end_is_refused(bundle_path: Path) -> None:
    file = bundle_path / "manifest.sha256"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    _refused(bundle_path)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256", "data.safetensors", "weights.safetensors"])
def test_missing_renamed_linked_or_a_folder(tmp_path: Path, bundle_path: Path, name: str) -> None:
    file = bundle_path / name
    file.rename(bundle_path / "other.bin")
    _refused(bundle_path, name)  # renamed
    (bundle_path / "other.bin").rename(tmp_path / "outside")
    _refused(bundle_path, name)  # missing
    file.symlink_to(tmp_path / "outside")
    _refused(bundle_path, "link or a folder")
    file.unlink()
    file.mkdir()
    _refused(bundle_path, "link or a folder")
    file.rmdir()
    os.mkfifo(file)
    _refused(bundle_path, "link or a folder")


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "weights.safetensors.bak", "model.pkl"])
def test_extra_file(bundle_path: Path, name: str) -> None:
    (bundle_path / name).write_bytes(b"")
    _refused(bundle_path, "no part of it")


def test_extra_folder(bundle_path: Path) -> None:
    (bundle_path / "more").mkdir()
    _refused(bundle_path, "link or a folder")


def test_exchanged_files(bundle_path: Path) -> None:
    weights, data = bundle_path / "weights.safetensors", bundle_path / "data.safetensors"
    weights.rename(bundle_path / "x")
    data.rename(weights)
    (bundle_path / "x").rename(data)
    _refused(bundle_path)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    assert "visto train" in _refused(tmp_path / "nothing.visto", "no bundle at").hint
    (tmp_path / "model.onnx").write_bytes(b"")
    _refused(tmp_path / "model.onnx", "is no bundle but a file")
    (tmp_path / "photos").mkdir()
    _refused(tmp_path / "photos", r"manifest\.json is missing")


def test_unreadable_disk_is_a_resource_error(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", broken)
    with pytest.raises(ResourceError, match="cannot read"):
        read_bundle(bundle_path)


def test_later_format_asks_for_a_later_visto(bundle_path: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest.clear()
        manifest.update({"format_version": 2, "surprise": True})

    _rewrite(bundle_path, change)
    (bundle_path / "tree.safetensors").write_bytes(b"what format 2 may bring")
    error = _refused(bundle_path, "format 2")
    assert "format 1" in error.expected
    assert "pip install --upgrade visto" in error.hint


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b'\xef\xbb\xbf{"format_version": 1}',
        b'{"format_version": 1, "format_version": 1}',
        b'{"format_version": NaN}',
        b'{"format_version": -Infinity}',
        b'{"format_version": 1e999}',
        b'{"format_version": "\\ud800"}',
        b'{"format_version": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"format_version": 1} x',
    ],
)
def test_manifest_that_is_no_manifest(bundle_path: Path, content: bytes) -> None:
    _rewrite_bytes(bundle_path, content)
    _refused(bundle_path, "manifest")


def test_duplicate_key_deep_inside(bundle_path: Path) -> None:
    content = (bundle_path / "manifest.json").read_bytes()
    _rewrite_bytes(bundle_path, content.replace(b'"epochs": 3', b'"epochs": 3, "epochs": 4'))
    _refused(bundle_path, "duplicate key 'epochs'")


def test_manifest_larger_than_the_limit(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visto.bundle.store.MANIFEST_LIMIT", 100)
    _refused(bundle_path, "larger than it should be")


@pytest.mark.parametrize("size", [0, 10**30, 2**62])
def test_forged_size(bundle_path: Path, size: int) -> None:
    _rewrite(bundle_path, lambda manifest: manifest["files"]["weights.safetensors"].update(size=size))
    _refused(bundle_path)


@pytest.mark.parametrize("name", ["../weights.safetensors", "/etc/passwd", "a\\b", "..", "", "a\0b", "model.sig"])
def test_manifest_that_names_other_files(bundle_path: Path, name: str) -> None:
    _rewrite(bundle_path, lambda manifest: manifest["files"].update({name: {"sha256": "0" * 64, "size": 0}}))
    _refused(bundle_path)


def test_manifest_without_a_files_hash(bundle_path: Path) -> None:
    _rewrite(bundle_path, lambda manifest: manifest["files"].pop("weights.safetensors"))
    _refused(bundle_path, "manifest lists")


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"\xff" * 100, b"\x80\x04K\x01."])
def test_rightly_hashed_nonsense_for_weights(bundle_path: Path, content: bytes) -> None:
    _replace_file(bundle_path, "weights.safetensors", content)
    _refused(bundle_path, "holds no tensors")


def test_rightly_hashed_nan_weights(bundle_path: Path) -> None:
    _replace_file(bundle_path, "weights.safetensors", safetensors.torch.save({"w": torch.tensor(torch.nan)}))
    _refused(bundle_path, "NaN")


def test_rightly_hashed_digests_out_of_order(bundle_path: Path) -> None:
    seen = safetensors.torch.load_file(bundle_path / "data.safetensors")
    for train in (seen["train"].flip(0), seen["train"][[0, 0]]):
        content = safetensors.torch.save({**seen, "train": train.contiguous()})
        _replace_file(bundle_path, "data.safetensors", content)
        _refused(bundle_path, "not sorted")


def test_copy_is_the_same_bundle(tmp_path: Path, bundle_path: Path) -> None:
    copy = shutil.copytree(bundle_path, tmp_path / "copy.visto")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_bundle(copy).digest == read_bundle(bundle_path).digest
