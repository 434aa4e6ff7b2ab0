"""The signature file: a DSSE envelope in a Sigstore bundle, byte for byte as ``model_signing sign key`` writes it.

It holds a payload, a signature of it, and which key made that. Such a file has one form only: white space, another
order, a second signature, a name said twice, another spelling of the same base64 are all refused, by a comparison with
what ``pack`` gives. So no parser of JSON ever sees a byte that nobody signed.
"""

import base64
import contextlib
import re
from dataclasses import dataclass

from visto.errors import ModelError

ENVELOPE_LIMIT = 2**18  # bytes; of four files it has 2,500

_TYPE = b"application/vnd.in-toto+json"

_FORM = (
    b'{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",'
    b'"verificationMaterial":{"publicKey":{"hint":"%s"},"tlogEntries":[]},'
    b'"dsseEnvelope":{"payload":"%s","payloadType":"' + _TYPE + b'","signatures":[{"sig":"%s","keyid":""}]}}'
)
_HEAD, _TO_PAYLOAD, _TO_SIGNATURE, _TAIL = map(re.escape, _FORM.split(b"%s"))
_BASE64 = b"([0-9A-Za-z+/]+=*)"
_PATTERN = re.compile(_HEAD + b"([0-9a-f]{64})" + _TO_PAYLOAD + _BASE64 + _TO_SIGNATURE + _BASE64 + _TAIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """``key`` is the fingerprint of the key that ``signature`` (DER) claims to be made with."""

    key: str
    payload: bytes
    signature: bytes


def signed_bytes(payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding, which keeps payload and type apart.

    >>> signed_bytes(b"{}")
    b'DSSEv1 28 application/vnd.in-toto+json 2 {}'
    """
    return b"DSSEv1 %d %s %d %s" % (len(_TYPE), _TYPE, len(payload), payload)


def pack(envelope: Envelope) -> bytes:
    """The bytes of the signature file."""
    parts = envelope.key.encode(), base64.b64encode(envelope.payload), base64.b64encode(envelope.signature)
    return _FORM % parts


def unpack(content: bytes) -> Envelope:
    """The one envelope that ``pack`` makes these bytes of. Raises ModelError where there is none."""
    found = _PATTERN.fullmatch(content)
    if found is not None:
        with contextlib.suppress(ValueError):  # base64 that ends too early
            payload, signature = (base64.b64decode(part, validate=True) for part in found.groups()[1:])
            envelope = Envelope(key=found[1].decode(), payload=payload, signature=signature)
            if pack(envelope) == content:
                return envelope
    raise ModelError(
        "the signature is damaged, or of another kind",
        expected="what visto sign, or model_signing sign key, writes",
        hint="get the model and its signature again, or sign it again",
    )
