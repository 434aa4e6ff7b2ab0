"""A bundle reads back as it was written, and is written whole or not at all."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from visto.bundle import Manifest, read_bundle, write_bundle
from visto.errors import ModelError, ResourceError, UsageError
from visto.files import sha256_file

Tensors = dict[str, torch.Tensor]
FILES = {"manifest.json", "manifest.sha256", "weights.safetensors", "data.safetensors"}


def test_round_trip(bundle_path: Path, manifest: Manifest, weights: Tensors, seen: Tensors) -> None:
    bundle = read_bundle(bundle_path)
    assert bundle.path == bundle_path
    assert replace(bundle.manifest, files={}) == manifest
    assert set(bundle.weights) == set(weights)
    for name, weight in weights.items():
        assert bundle.weights[name].dtype == weight.dtype
        assert torch.equal(bundle.weights[name], weight)
    assert sorted(bundle.seen["train"].tolist()) == bundle.seen["train"].tolist() == sorted(seen["train"].tolist())
    assert bundle.seen["validation"].shape == (0, 16)
    assert bundle.digest == sha256_file(bundle_path / "manifest.json")
    assert {p.name for p in bundle_path.iterdir()} == FILES


def test_sha256sum_reads_the_digest_file(bundle_path: Path) -> None:
    line = f"{sha256_file(bundle_path / 'manifest.json')}  manifest.json\n"
    assert (bundle_path / "manifest.sha256").read_text() == line


def test_equal_content_gives_equal_bytes(
    tmp_path: Path, bundle_path: Path, manifest: Manifest, weights: Tensors, seen: Tensors
) -> None:
    shuffled = {name: weights[name] for name in reversed(weights)}
    doubled = {**seen, "train": torch.cat([seen["train"].flip(0), seen["train"]])}
    again = write_bundle(tmp_path / "again.visto", manifest, shuffled, doubled)
    for name in FILES:
        assert (again / name).read_bytes() == (bundle_path / name).read_bytes()


def test_inputs_are_not_changed_and_what_is_read_is_its_own(bundle_path: Path, weights: Tensors) -> None:
    read_bundle(bundle_path).weights["first.weight"].zero_()
    assert torch.equal(read_bundle(bundle_path).weights["first.weight"], weights["first.weight"])


def test_existing_path_is_never_overwritten(
    bundle_path: Path, manifest: Manifest, weights: Tensors, seen: Tensors
) -> None:
    before = (bundle_path / "manifest.json").read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        write_bundle(bundle_path, replace(manifest, task="detection"), weights, seen)
    assert (bundle_path / "manifest.json").read_bytes() == before


def test_signature_may_be_present(bundle_path: Path) -> None:
    (bundle_path / "model.sig").write_bytes(b"anything")
    read_bundle(bundle_path)


def test_link_to_a_bundle_is_followed(tmp_path: Path, bundle_path: Path) -> None:
    (tmp_path / "latest.visto").symlink_to(bundle_path)
    read_bundle(tmp_path / "latest.visto")


@pytest.mark.parametrize("call", ["fsync", "rename", "write_bytes"])
def test_full_disk_leaves_nothing_behind(
    tmp_path: Path, manifest: Manifest, weights: Tensors, seen: Tensors, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path if call == "write_bytes" else os, call, full)
    with pytest.raises(ResourceError, match="no room left"):
        write_bundle(tmp_path / "cats.visto", manifest, weights, seen)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_place_is_a_resource_error(
    tmp_path: Path, manifest: Manifest, weights: Tensors, seen: Tensors
) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(ResourceError, match="cannot write"):
            write_bundle(tmp_path / "cats.visto", manifest, weights, seen)
    finally:
        tmp_path.chmod(0o755)


def test_read_only_bundle_is_read(bundle_path: Path) -> None:
    for file in bundle_path.iterdir():
        file.chmod(0o444)
    bundle_path.chmod(0o555)
    read_bundle(bundle_path)
    bundle_path.chmod(0o755)


def test_nan_is_not_written(tmp_path: Path, manifest: Manifest, seen: Tensors) -> None:
    with pytest.raises(ModelError, match="'w' holds NaN"):
        write_bundle(tmp_path / "cats.visto", manifest, {"w": torch.tensor([1.0, torch.nan])}, seen)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"train": torch.zeros(1, 16, dtype=torch.uint8)},
        {"train": torch.zeros(1, 16), "validation": torch.zeros(0, 16, dtype=torch.uint8)},
        {"train": torch.zeros(1, 8, dtype=torch.uint8), "validation": torch.zeros(0, 16, dtype=torch.uint8)},
    ],
)
def test_odd_digests_are_not_written(tmp_path: Path, manifest: Manifest, weights: Tensors, bad: Tensors) -> None:
    with pytest.raises(ModelError, match="content digests"):
        write_bundle(tmp_path / "cats.visto", manifest, weights, bad)


def test_what_json_cannot_hold_is_not_written(
    tmp_path: Path, manifest: Manifest, weights: Tensors, seen: Tensors
) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (float("nan"), {1, 2}, "\ud800", deep):
        with pytest.raises(ModelError):
            write_bundle(tmp_path / "cats.visto", replace(manifest, data={"x": value}), weights, seen)
    assert list(tmp_path.iterdir()) == []
