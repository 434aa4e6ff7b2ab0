"""What is to be signed is looked over first: a signature never vouches for what would not load."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visto.bundle.manifest import FileRecord
from visto.bundle.plain_files import read_plain, sha256, sha256_plain
from visto.bundle.sealed import DIGEST, MANIFEST, Sealed, sealed_at
from visto.bundle.store import MANIFEST_LIMIT, digest_line, read_own_bundle
from visto.bundle.strict_json import loads
from visto.errors import ModelError


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
    content = read_plain(sealed.root / sealed.manifest, limit=MANIFEST_LIMIT)
    manifest = loads(content, what=sealed.manifest)
    records = _records(sealed, manifest)
    digests = {name: sha256_plain(sealed.root / name) for name in records}
    for name, record in records.items():
        if digests[name] != record.sha256:
            raise ModelError(
                f"{sealed.root / name} was changed: its SHA-256 is not the manifest's", hint="export it again"
            )
    return Whole(
        sealed=sealed,
        digests={**digests, sealed.manifest: sha256(content)},
        holds_training_data=manifest["holds_training_data"],
    )


def _records(sealed: Sealed, manifest: Any) -> dict[str, FileRecord]:
    """What an exported file's manifest says of the files beside it."""
    try:
        records = {
            name: FileRecord(sha256=record["sha256"], size=record["size"]) for name, record in manifest["files"].items()
        }
        if isinstance(manifest["holds_training_data"], bool) and records.keys() == sealed.names - {sealed.manifest}:
            return records
    except (KeyError, TypeError, AttributeError):
        pass
    raise ModelError(
        f"{sealed.root / sealed.manifest} is not the manifest of {sealed.path.name}",
        expected=f"the SHA-256 and size of {', '.join(sorted(sealed.names - {sealed.manifest}))}",
        hint="export it again",
    )
