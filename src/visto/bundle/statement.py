"""What is signed: an in-toto statement, in OpenSSF's form for models (model-signing 1.0), that names files and hashes.

The subject's digest is the SHA-256 of all the files' hashes (32 bytes each) in the order of their names.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from visto.bundle.strict_json import dumps, loads
from visto.errors import ModelError

_SHA256 = re.compile(r"[0-9a-f]{64}")


def statement(name: str, digests: Mapping[str, str], *, ignored: Sequence[str] | None) -> bytes:
    """The statement that the model ``name`` has files of these hex SHA-256, by name; equal content gives equal bytes.

    ``ignored`` are files beside them that other verifiers shall pass over: the signature itself.
    """
    return dumps(_content(name, digests, ignored))


def digests_in(payload: bytes) -> dict[str, str]:
    """The hex SHA-256 of each file that a statement names. Raises ModelError unless it says just that.

    Which files are to be there is for the caller to check: what the statement says to ignore is not listened to here.
    """
    found = loads(payload, what="the signed statement")
    try:
        (subject,), predicate = found["subject"], found["predicate"]
        digests = {resource["name"]: resource["digest"] for resource in predicate["resources"]}
        ignored = predicate["serialization"].get("ignore_paths")
        plain = all(isinstance(name, str) and "/" not in name and name not in ("", ".", "..") for name in digests)
        hashed = all(isinstance(digest, str) and _SHA256.fullmatch(digest) for digest in digests.values())
        named = isinstance(subject["name"], str)
        listed = ignored is None or all(isinstance(path, str) for path in ignored)
        # all the rest, down to the order of the files, is as we would say it: no key more, none less, none twice
        if (
            plain
            and hashed
            and named
            and listed
            and dumps(found) == statement(subject["name"], digests, ignored=ignored)
        ):
            return digests
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    raise ModelError(
        "what was signed is not a list of plain files with their SHA-256",
        expected="what visto sign, or model_signing sign key, signs",
        hint="sign it again",
    )


def is_ours(payload: bytes) -> bool:
    """Whether the statement is spelt as we spell it; other tools order its keys by chance."""
    return dumps(loads(payload, what="the signed statement")) == payload


def _content(name: str, digests: Mapping[str, str], ignored: Sequence[str] | None) -> dict[str, Any]:
    names = sorted(digests)
    whole = hashlib.sha256(b"".join(bytes.fromhex(digests[file]) for file in names)).hexdigest()
    serialization: dict[str, Any] = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": whole}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": serialization if ignored is None else {**serialization, "ignore_paths": list(ignored)},
            "resources": [{"name": file, "algorithm": "sha256", "digest": digests[file]} for file in names],
        },
    }
