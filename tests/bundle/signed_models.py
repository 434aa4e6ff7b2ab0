"""Two signed models to tamper with, a bundle and an exported file, and a look at what is made of them.

A model is what lies in its folder, by name.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from visto.bundle import (
    ExportManifest,
    Keys,
    check_files,
    looked_over,
    read_bundle,
    read_own_bundle,
    read_private_key,
    sealed_at,
    sign,
    trusted_keys,
    trusted_seal,
    write_bundle,
    write_exported,
    write_key,
)
from visto.bundle.keys import PrivateKey
from visto.errors import ModelError

GOLDEN = Path(__file__).parent.parent / "golden" / "digits-1.visto"


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link to a file of this content."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder in a file's place."""


@dataclass(frozen=True, slots=True)
class Pipe:
    """A pipe in a file's place."""


Content = Mapping[str, bytes | Link | Folder | Pipe]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model as its owner signed it, an ``older`` one by the same key, and both as a stranger signed them.

    ``path`` is where the model is, from its folder; ``keys`` holds the owner's.
    """

    path: str
    signature: str
    good: Mapping[str, bytes]
    older: Mapping[str, bytes]
    strangers: Mapping[str, bytes]
    strangers_older: Mapping[str, bytes]
    keys: Keys
    owner: PrivateKey
    stranger: PrivateKey


def bundle_case(place: Path) -> Case:
    """The golden bundle, and another with the same data but other weights. ``place`` is an empty folder."""
    golden = read_own_bundle(GOLDEN)
    older = replace(golden.manifest, files={}, created="2024-01-31T12:00:00+00:00")
    weights = {name: weight / 2 if weight.is_floating_point() else weight for name, weight in golden.weights.items()}
    write_bundle(place / "older", older, weights, golden.seen)
    return _case(content_of(GOLDEN), content_of(place / "older"), place, path="", signature="model.sig")


def export_case(place: Path) -> Case:
    """Files as an export leaves them, and older ones with the same ``run.py``. ``place`` is an empty folder."""
    new, older = exported(b"new graph" * 50), exported(b"old graph" * 50)
    return _case(new, older, place, path="cats.onnx", signature="cats.onnx.sig")


def exported(graph: bytes) -> dict[str, bytes]:
    """An export of the golden bundle but for its graph: what is sealed is looked at only as bytes."""
    bundle = read_own_bundle(GOLDEN)
    own = ExportManifest(
        parent=bundle.digest,
        manifest=bundle.manifest,
        precision="float32",
        opset=20,
        outputs=("scores",),
        metrics={},
        gate={"data": "digits", "images": 1, "agreement": 1.0, "figure": "accuracy", "drift": 0.0},
        versions={},
        created="2026-01-31T00:00:00+00:00",
    )
    with TemporaryDirectory() as folder:
        write_exported(Path(folder) / "cats.onnx", own, graph, bundle.seen, "print('cats')\n")
        return content_of(Path(folder))


def write(content: Content, folder: Path) -> Path:
    """Lay the content out in a new folder below ``folder``, which is given."""
    target = folder / "model"
    target.mkdir(parents=True)
    for name, entry in content.items():
        if isinstance(entry, bytes):
            (target / name).write_bytes(entry)
        elif isinstance(entry, Link):
            (folder / f"linked-{name}").write_bytes(entry.content)
            (target / name).symlink_to(folder / f"linked-{name}")
        elif isinstance(entry, Folder):
            (target / name).mkdir()
        else:
            os.mkfifo(target / name)
    return target


def content_of(folder: Path) -> dict[str, bytes]:
    """The files in a folder, by name."""
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def accepted(content: Content, case: Case, folder: Path) -> list[str]:
    """By which of our ways to look at it the model passes; raises what is not the ModelError that a bad one gives."""
    path = write(content, folder) / case.path
    passed = []
    for look in (verified, read_bundle) if not case.path else (verified,):
        try:
            look(path, case.keys)
            passed.append(look.__name__)
        except ModelError:
            pass
    return passed


def verified(path: Path, keys: Keys) -> None:
    """As ``visto verify`` does."""
    sealed = sealed_at(path)
    seal = trusted_seal(sealed, keys)
    assert seal is not None
    check_files(sealed, seal)


def _case(new: Content, older: Content, place: Path, *, path: str, signature: str) -> Case:
    signed: dict[tuple[str, str], dict[str, bytes]] = {}
    for who in ("owner", "stranger"):
        write_key(place / f"{who}.key")
        for name, content in (("new", new), ("older", older)):
            folder = write(content, place / f"{who}-{name}")
            whole = looked_over(folder / path)
            sign(whole.sealed, whole.digests, read_private_key(place / f"{who}.key"))
            signed[who, name] = content_of(folder)
    return Case(
        path=path,
        signature=signature,
        good=signed["owner", "new"],
        older=signed["owner", "older"],
        strangers=signed["stranger", "new"],
        strangers_older=signed["stranger", "older"],
        keys=trusted_keys([place / "owner.key.pub"]),
        owner=read_private_key(place / "owner.key"),
        stranger=read_private_key(place / "stranger.key"),
    )
