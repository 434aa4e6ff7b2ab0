"""Write and read a bundle: a folder whose every byte is checked before it is trusted.

    X.visto/  manifest.json        what it is, and the SHA-256 of the files below
              manifest.sha256      the SHA-256 of manifest.json, as sha256sum writes it
              weights.safetensors  the parameters and buffers
              data.safetensors     digests of the images it has seen: "train" and "validation", uint8 N×16
              model.sig            a signature, if it was signed

The hash in ``manifest.sha256`` finds damage, not malice: only the signature speaks of who made it. Where keys are
trusted, it is verified first, and nothing is parsed but what they signed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from visto.bundle.keys import Keys
from visto.bundle.manifest import FileRecord, Manifest
from visto.bundle.plain_files import AGAIN, sha256
from visto.bundle.seal import Seal, read_signed, trusted_seal
from visto.bundle.sealed import DIGEST, MANIFEST, SEEN, WEIGHTS, Sealed, sealed_bundle
from visto.bundle.seen import check_seen, sorted_digests
from visto.bundle.strict_json import loads
from visto.bundle.trust import trusted_keys
from visto.errors import ModelError
from visto.files import new_folder

# 64 MiB holds the figures of 100,000 classes; more is not a manifest
MANIFEST_LIMIT = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What was read: weights by name, digests of the images seen, and the hex SHA-256 of ``manifest.json``.

    ``signed_by`` is the fingerprint of the trusted key that signed it, None where none had to.
    """

    path: Path
    manifest: Manifest
    weights: Mapping[str, Tensor]
    seen: Mapping[str, Tensor]
    digest: str
    signed_by: str | None = None


def write_bundle(path: Path, manifest: Manifest, weights: Mapping[str, Tensor], seen: Mapping[str, Tensor]) -> Path:
    """Write a new bundle at ``path``, whole or not at all; equal content gives equal bytes.

    ``manifest.files`` is filled in, the digests in ``seen`` are sorted. Raises UsageError where ``path`` exists,
    ResourceError where it cannot be written, ModelError for NaN among the weights (infinity is allowed: a buffer
    may hold an open threshold or a mask).
    """
    _check_numbers(weights)
    seen = {name: sorted_digests(digests) for name, digests in seen.items()}
    check_seen(seen)
    contents = {WEIGHTS: tensor_bytes(weights), SEEN: tensor_bytes(seen)}
    files = {name: FileRecord(sha256=sha256(content), size=len(content)) for name, content in contents.items()}
    contents[MANIFEST] = replace(manifest, files=files).to_bytes()
    Manifest.from_json(loads(contents[MANIFEST]))  # never write what would not be read
    contents[DIGEST] = digest_line(sha256(contents[MANIFEST]))
    with new_folder(path) as folder:
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    return path


def read_bundle(path: Path, trusted: Keys | None = None) -> Bundle:
    """Read a bundle, checking each file's hash on the very bytes that are then parsed.

    Where there are ``trusted`` keys (None: those of VISTO_TRUSTED_KEYS), one of them must have signed every one of
    these bytes; that is found out before any of them is parsed. Raises ModelError where the folder is no bundle, holds
    anything more or less than one, a byte was changed, or the signature is missing; ResourceError where it cannot be
    read, UsageError where VISTO_TRUSTED_KEYS names no keys.
    """
    keys = trusted_keys() if trusted is None else trusted
    sealed = sealed_bundle(path)
    return _read(sealed, trusted_seal(sealed, keys))


def read_own_bundle(path: Path) -> Bundle:
    """Read what this run or an earlier part of it wrote, or what is to be signed: without a signature.

    Raises as ``read_bundle`` does.
    """
    return _read(sealed_bundle(path), None)


def _read(sealed: Sealed, seal: Seal | None) -> Bundle:
    path = sealed.path
    content = read_signed(sealed, MANIFEST, limit=MANIFEST_LIMIT, seal=seal)
    digest = sha256(content)
    line = digest_line(digest)
    if read_signed(sealed, DIGEST, limit=len(line), seal=seal) != line:
        raise ModelError(f"{path / MANIFEST} was changed: {DIGEST} does not match it", hint=AGAIN)
    manifest = Manifest.from_json(loads(content))
    _check_listing(sealed, manifest)
    weights, seen = (_read_tensors(sealed, name, manifest.files[name], seal) for name in (WEIGHTS, SEEN))
    _check_numbers(weights)
    check_seen(seen)
    signed_by = seal.key if seal is not None else None
    return Bundle(path=path, manifest=manifest, weights=weights, seen=seen, digest=digest, signed_by=signed_by)


def digest_line(digest: str) -> bytes:
    """The content of ``manifest.sha256``."""
    return f"{digest}  {MANIFEST}\n".encode()


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    # clones, because tied weights share memory, which safetensors refuses
    plain = {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    return safetensors.torch.save(plain)


def _check_numbers(weights: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        if bool(torch.isnan(weight).any()):
            raise ModelError(f"the weight {name!r} holds NaN", hint="train it again with a lower learning rate")


def _check_listing(sealed: Sealed, manifest: Manifest) -> None:
    """After the version is known, so that a bundle of a later format asks for a later Visto, whatever it holds."""
    if set(manifest.files) != {WEIGHTS, SEEN}:
        raise ModelError(f"the manifest lists {sorted(manifest.files)}", expected=f"{WEIGHTS} and {SEEN}", hint=AGAIN)
    needed = {MANIFEST, DIGEST, *manifest.files}
    if missing := sorted(needed - sealed.names):
        raise ModelError(f"{sealed.path} lacks {', '.join(missing)}", hint=AGAIN)
    if extra := sorted(sealed.names - needed):
        raise ModelError(f"{sealed.path} holds what is no part of it: {', '.join(extra)}", hint="move it elsewhere")


def _read_tensors(sealed: Sealed, name: str, record: FileRecord, seal: Seal | None) -> dict[str, Tensor]:
    path = sealed.path / name
    content = read_signed(sealed, name, limit=record.size, seal=seal)
    if len(content) != record.size or sha256(content) != record.sha256:
        raise ModelError(f"{path} was changed: its SHA-256 is not the manifest's", expected=record.sha256, hint=AGAIN)
    return tensors_of(content, path)


def tensors_of(content: bytes, path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file's content. Raises ModelError, which names ``path``."""
    try:
        return safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{path} holds no tensors: {error}", hint=AGAIN) from error
