"""Write and read a bundle: a folder whose every byte is checked before it is trusted.

    X.visto/  manifest.json        what it is, and the SHA-256 of the files below
              manifest.sha256      the SHA-256 of manifest.json, as sha256sum writes it
              weights.safetensors  the parameters and buffers
              data.safetensors     digests of the images it has seen: "train" and "validation", uint8 N×16
              model.sig            a signature, if it was signed

The hash in ``manifest.sha256`` finds damage, not malice: only the signature speaks of who made it.
"""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from visto.bundle.manifest import FileRecord, Manifest
from visto.bundle.seen import check_seen, sorted_digests
from visto.bundle.strict_json import loads
from visto.errors import ModelError, ResourceError
from visto.files import new_folder

MANIFEST, DIGEST, WEIGHTS, SEEN, SIGNATURE = (
    "manifest.json",
    "manifest.sha256",
    "weights.safetensors",
    "data.safetensors",
    "model.sig",
)
# 64 MiB holds the figures of 100,000 classes; more is not a manifest
MANIFEST_LIMIT = 64 * 2**20

_AGAIN = "get the bundle again, or train it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What was read: weights by name, digests of the images seen, and the hex SHA-256 of ``manifest.json``."""

    path: Path
    manifest: Manifest
    weights: Mapping[str, Tensor]
    seen: Mapping[str, Tensor]
    digest: str


def write_bundle(path: Path, manifest: Manifest, weights: Mapping[str, Tensor], seen: Mapping[str, Tensor]) -> Path:
    """Write a new bundle at ``path``, whole or not at all; equal content gives equal bytes.

    ``manifest.files`` is filled in, the digests in ``seen`` are sorted. Raises UsageError where ``path`` exists,
    ResourceError where it cannot be written, ModelError for NaN among the weights (infinity is allowed: a buffer
    may hold an open threshold or a mask).
    """
    _check_numbers(weights)
    seen = {name: sorted_digests(digests) for name, digests in seen.items()}
    check_seen(seen)
    contents = {WEIGHTS: _tensor_bytes(weights), SEEN: _tensor_bytes(seen)}
    files = {name: FileRecord(sha256=_sha256(content), size=len(content)) for name, content in contents.items()}
    contents[MANIFEST] = replace(manifest, files=files).to_bytes()
    Manifest.from_json(loads(contents[MANIFEST]))  # never write what would not be read
    contents[DIGEST] = _digest_line(_sha256(contents[MANIFEST]))
    with new_folder(path) as folder:
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    return path


def read_bundle(path: Path) -> Bundle:
    """Read a bundle, checking each file's hash on the very bytes that are then parsed.

    Raises ModelError where the folder is no bundle, holds anything more or less than one, or a byte was changed;
    ResourceError where it cannot be read.
    """
    present = _listing(path)
    content = _read(path / MANIFEST, limit=MANIFEST_LIMIT)
    digest = _sha256(content)
    line = _digest_line(digest)
    if _read(path / DIGEST, limit=len(line)) != line:
        raise ModelError(f"{path / MANIFEST} was changed: {DIGEST} does not match it", hint=_AGAIN)
    manifest = Manifest.from_json(loads(content))
    _check_listing(path, present, manifest)
    weights, seen = (_read_tensors(path / name, manifest.files[name]) for name in (WEIGHTS, SEEN))
    _check_numbers(weights)
    check_seen(seen)
    return Bundle(path=path, manifest=manifest, weights=weights, seen=seen, digest=digest)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_line(digest: str) -> bytes:
    return f"{digest}  {MANIFEST}\n".encode()


def _tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    # clones, because tied weights share memory, which safetensors refuses
    plain = {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    return safetensors.torch.save(plain)


def _check_numbers(weights: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        if bool(torch.isnan(weight).any()):
            raise ModelError(f"the weight {name!r} holds NaN", hint="train it again with a lower learning rate")


def _listing(path: Path) -> set[str]:
    """The names in the folder, all plain files, the manifest and its digest among them."""
    try:
        if not path.exists():
            raise ModelError(f"no bundle at {path}", hint="check the name; visto train DATA -o NAME.visto makes one")
        if not path.is_dir():
            raise ModelError(f"{path} is no bundle but a file", expected="the folder that visto train wrote")
        with os.scandir(path) as entries:
            plain = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    except OSError as error:
        raise _unreadable(path, error) from error
    if missing := [name for name in (MANIFEST, DIGEST) if name not in plain]:
        raise ModelError(f"{path} is no bundle: {missing[0]} is missing", expected="the folder that visto train wrote")
    if odd := sorted(name for name in plain if not plain[name]):
        raise ModelError(f"{path / odd[0]} is a link or a folder", expected="plain files only", hint=_AGAIN)
    return set(plain)


def _check_listing(path: Path, present: set[str], manifest: Manifest) -> None:
    """After the version is known, so that a bundle of a later format asks for a later Visto, whatever it holds."""
    if set(manifest.files) != {WEIGHTS, SEEN}:
        raise ModelError(f"the manifest lists {sorted(manifest.files)}", expected=f"{WEIGHTS} and {SEEN}", hint=_AGAIN)
    needed = {MANIFEST, DIGEST, *manifest.files}
    if missing := sorted(needed - present):
        raise ModelError(f"{path} lacks {', '.join(missing)}", hint=_AGAIN)
    if extra := sorted(present - needed - {SIGNATURE}):
        raise ModelError(f"{path} holds what is no part of it: {', '.join(extra)}", hint="move it elsewhere")


def _read(path: Path, *, limit: int) -> bytes:
    """The whole file, read once. Raises ModelError where it is a link or larger than ``limit`` bytes."""
    try:
        # no link, even if one took the file's place since it was listed; no waiting for the other end of a pipe
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ModelError(f"{path} is not a plain file", hint=_AGAIN)
            size = os.fstat(handle).st_size
            # one byte more than expected shows a file that grows; never more than that into memory
            content = file.read(size + 1) if size <= limit else b""
    except OSError as error:
        raise _unreadable(path, error) from error
    if max(size, len(content)) > limit:
        raise ModelError(f"{path} is larger than it should be", expected=f"{limit} bytes at most", hint=_AGAIN)
    return content


def _unreadable(path: Path, error: OSError) -> ResourceError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return ResourceError(f"cannot read {path}: {reason}", hint="mend its permissions or its disk")


def _read_tensors(path: Path, record: FileRecord) -> dict[str, Tensor]:
    content = _read(path, limit=record.size)
    if len(content) != record.size or _sha256(content) != record.sha256:
        raise ModelError(f"{path} was changed: its SHA-256 is not the manifest's", expected=record.sha256, hint=_AGAIN)
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{path} holds no tensors: {error}", hint=_AGAIN) from error
