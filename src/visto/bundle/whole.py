"""What is to be signed is looked over first: a signature never vouches for what would not load."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from visto.bundle.exported import read_own_exported
from visto.bundle.plain_files import sha256
from visto.bundle.sealed import DIGEST, MANIFEST, Sealed, sealed_at
from visto.bundle.store import digest_line, read_own_bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A model of which every hash was checked: the hex SHA-256 of its files by name, as they were when checked."""

    sealed: Sealed
    digests: Mapping[str, str]
    holds_training_data: bool


def looked_over(path: Path) -> Whole:
    """A bundle's folder or an exported file. Raises ModelError where it is not whole, ResourceError."""
    sealed = sealed_at(path)
    return _bundle(sealed) if sealed.root == path else _export(sealed)


def _bundle(sealed: Sealed) -> Whole:
    bundle = read_own_bundle(sealed.path)
    digests = {name: record.sha256 for name, record in bundle.manifest.files.items()}
    digests |= {MANIFEST: bundle.digest, DIGEST: sha256(digest_line(bundle.digest))}
    return Whole(sealed=sealed, digests=digests, holds_training_data=bundle.manifest.holds_training_data)


def _export(sealed: Sealed) -> Whole:
    exported = read_own_exported(sealed.path)
    digests = {name: record.sha256 for name, record in exported.own.files.items()}
    return Whole(
        sealed=sealed,
        digests={**digests, sealed.manifest: exported.digest},
        holds_training_data=exported.manifest.holds_training_data,
    )
