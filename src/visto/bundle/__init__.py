"""A recogniser on disk: an immutable folder in which every byte is accounted for, and may be signed."""

from visto.bundle.exported import (
    FITTED,
    FITTED_BOXES,
    IMAGES,
    Exported,
    ExportManifest,
    check_free,
    read_exported,
    read_own_exported,
    write_exported,
)
from visto.bundle.keys import Keys, public_path, read_private_key, write_key
from visto.bundle.manifest import FORMAT_VERSION, FileRecord, Manifest
from visto.bundle.seal import Seal, check_files, read_signed, sign, trusted_seal
from visto.bundle.sealed import Sealed, check_outside, is_export, sealed_at, sealed_bundle, sealed_export
from visto.bundle.seen import seen_before, sorted_digests
from visto.bundle.steps import STEP, StepForm
from visto.bundle.store import Bundle, read_bundle, read_own_bundle, write_bundle
from visto.bundle.trust import trusted_keys
from visto.bundle.whole import Whole, looked_over

__all__ = [
    "FITTED",
    "FITTED_BOXES",
    "FORMAT_VERSION",
    "IMAGES",
    "STEP",
    "Bundle",
    "ExportManifest",
    "Exported",
    "FileRecord",
    "Keys",
    "Manifest",
    "Seal",
    "Sealed",
    "StepForm",
    "Whole",
    "check_files",
    "check_free",
    "check_outside",
    "is_export",
    "looked_over",
    "public_path",
    "read_bundle",
    "read_exported",
    "read_own_bundle",
    "read_own_exported",
    "read_private_key",
    "read_signed",
    "sealed_at",
    "sealed_bundle",
    "sealed_export",
    "seen_before",
    "sign",
    "sorted_digests",
    "trusted_keys",
    "trusted_seal",
    "write_bundle",
    "write_exported",
    "write_key",
]
