"""A recogniser on disk: an immutable folder in which every byte is accounted for."""

from visto.bundle.manifest import FORMAT_VERSION, FileRecord, Manifest
from visto.bundle.seen import seen_before, sorted_digests
from visto.bundle.store import Bundle, read_bundle, write_bundle

__all__ = [
    "FORMAT_VERSION",
    "Bundle",
    "FileRecord",
    "Manifest",
    "read_bundle",
    "seen_before",
    "sorted_digests",
    "write_bundle",
]
