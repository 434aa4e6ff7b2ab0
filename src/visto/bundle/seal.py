"""Sign a model, and find out whether a signature holds: who made it, and what exactly was signed.

A signature says that its maker vouches for these bytes, all of them together. It hides nothing, and does not say that
they are the latest: an older model that was signed by the same key is as good.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from visto.bundle.envelope import ENVELOPE_LIMIT, Envelope, pack, signed_bytes, unpack
from visto.bundle.keys import Keys, PrivateKey, fingerprint, holds, is_low, signature_of
from visto.bundle.plain_files import read_plain, sha256, sha256_plain
from visto.bundle.sealed import Sealed
from visto.bundle.statement import digests_in, is_ours, statement
from visto.errors import ModelError
from visto.files import write_bytes

_DISTRUST = "get it again from whom you trust, and do not use this one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A signature that holds: the fingerprint of its ``key``, and the hex SHA-256 of every file, by name."""

    key: str
    digests: Mapping[str, str]


def sign(sealed: Sealed, digests: Mapping[str, str], key: PrivateKey) -> Seal:
    """Write the signature, in the place of an older one. ``digests`` are of what was found to be whole.

    Raises ResourceError where it cannot be written.
    """
    # a file's name need not be text; this one is for the reader only, for a model may be renamed
    name = os.fsencode(sealed.path.resolve().name).decode(errors="replace")
    payload = statement(name, digests, ignored=[sealed.signature.name])
    public = key.public_key()
    envelope = Envelope(key=fingerprint(public), payload=payload, signature=signature_of(key, signed_bytes(payload)))
    content = pack(envelope)
    seal = _opened(content, {envelope.key: public})  # never write what would not be read
    write_bytes(sealed.signature, content)
    return seal


def trusted_seal(sealed: Sealed, keys: Keys) -> Seal | None:
    """The seal by one of ``keys``; None where there are none, for then nothing has to be signed.

    Raises ModelError where nobody has signed it, someone else has, or other files are there than were signed. No file
    but the signature was looked at then: give the seal to ``read_signed`` for each of them.
    """
    if not keys:
        return None
    if not os.path.lexists(sealed.signature):
        raise ModelError(
            f"{sealed.path} is not signed",
            expected=f"a signature by {_named(keys)}",
            hint="get it again with its signature; visto sign makes one",
        )
    try:
        seal = _opened(read_plain(sealed.signature, limit=ENVELOPE_LIMIT), keys)
    except ModelError as error:
        raise ModelError(f"{sealed.signature}: {error.message}", expected=error.expected, hint=error.hint) from error
    if missing := sorted(seal.digests.keys() - sealed.names):
        raise ModelError(f"{sealed.path} lacks {', '.join(missing)}, which was signed", hint=_DISTRUST)
    if extra := sorted(sealed.names - seal.digests.keys()):
        raise ModelError(f"{sealed.path} holds {', '.join(extra)}, which was not signed", hint=_DISTRUST)
    return seal


def read_signed(sealed: Sealed, name: str, *, limit: int, seal: Seal | None) -> bytes:
    """One file, read once: with a seal just the bytes that were signed, which are then safe to parse.

    Raises ModelError where they were changed, for a link, or for more than ``limit`` bytes; ResourceError.
    """
    content = read_plain(sealed.root / name, limit=limit)
    if seal is not None:
        _check(sealed, name, sha256(content), seal)
    return content


def check_files(sealed: Sealed, seal: Seal) -> None:
    """Raise ModelError where a file is not the one that was signed, ResourceError."""
    for name in sorted(sealed.names):
        _check(sealed, name, sha256_plain(sealed.root / name), seal)


def _check(sealed: Sealed, name: str, digest: str, seal: Seal) -> None:
    if digest != seal.digests[name]:
        raise ModelError(f"{sealed.root / name} was changed after it was signed", hint=_DISTRUST)


def _opened(content: bytes, keys: Keys) -> Seal:
    """What a signature file says, where one of the keys made it. Raises ModelError."""
    envelope = unpack(content)
    if envelope.key not in keys:
        raise ModelError(
            f"signed by another key, or so it says: {envelope.key}",
            expected=_named(keys),
            hint="get a model that was signed by a key whose owner you trust",
        )
    if not holds(keys[envelope.key], envelope.signature, signed_bytes(envelope.payload)):
        raise ModelError("the signature is false: the key that it names did not make it", hint=_DISTRUST)
    digests = digests_in(envelope.payload)
    # Every signature has a twin that holds too (see is_low). It says the same, so of another tool's either will do; of
    # ours there is one, and so no other bytes than those that we wrote are ever accepted.
    if is_ours(envelope.payload) and not is_low(envelope.signature):
        raise ModelError("the signature was changed into its twin", hint=_DISTRUST)
    return Seal(key=envelope.key, digests=digests)


def _named(keys: Keys) -> str:
    return f"the key {next(iter(keys))}" if len(keys) == 1 else f"one of the keys {', '.join(sorted(keys))}"
