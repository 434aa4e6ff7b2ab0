"""The keys that sign and verify: ECDSA on the curve P-256 with SHA-256, in PEM files.

A key is known by its fingerprint: the hex SHA-256 of the public key as PEM text, which is what ``sha256sum my.key.pub``
prints of a file that ``visto keygen`` wrote.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from visto.bundle.plain_files import sha256
from visto.bundle.sealed import check_outside
from visto.errors import UsageError, VistoError
from visto.files import write_new

PrivateKey = EllipticCurvePrivateKey
PublicKey = EllipticCurvePublicKey
Keys = Mapping[str, PublicKey]  # by fingerprint

_MADE = "visto keygen -o NAME.key makes a private and a public one"
_KEY_LIMIT = 2**14  # bytes; such a key has 250
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256, as SEC 2 gives it


def write_key(path: Path) -> str:
    """Make a key: the private one at ``path`` (mode 0600), the public one beside it; gives the fingerprint.

    Raises UsageError where one of the two files exists, or the place or the name is none for a private key,
    ResourceError where they cannot be written.
    """
    if path.suffix == ".pub":  # that is the one to be given away
        raise UsageError(f"a private key named {path.name}", expected="a name such as my.key: my.key.pub is made too")
    check_outside(path)
    key = generate_private_key(SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_new(path, private, mode=0o600)
    try:
        write_new(public_path(path), _pem(key.public_key()), mode=0o644)
    except VistoError:
        path.unlink()
        raise
    return fingerprint(key.public_key())


def public_path(path: Path) -> Path:
    """Where the public half of the key at ``path`` lies."""
    return path.with_name(f"{path.name}.pub")


def fingerprint(key: PublicKey) -> str:
    """Hex SHA-256 of the key's PEM text."""
    return sha256(_pem(key))


def read_private_key(path: Path) -> PrivateKey:
    """Raises UsageError where it is not the one P-256 private key in a PEM file, without a passphrase."""
    content = _content(path, "private")
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError:
        raise UsageError(
            f"{path} is locked by a passphrase",
            expected="a private key without one",
            hint="unlock a copy of it: openssl pkcs8 -in KEY -out COPY",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        _no_key(path, "private")
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        _no_key(path, "private")
    return key


def read_public_keys(paths: Sequence[Path]) -> dict[str, PublicKey]:
    """The keys by fingerprint. Raises UsageError where a file does not hold just one P-256 public key as PEM."""
    keys = [_public_key(path) for path in paths]
    return {fingerprint(key): key for key in keys}


def signature_of(key: PrivateKey, content: bytes) -> bytes:
    """The signature in DER. Of its two forms (see ``is_low``) the one with the lower s."""
    r, s = decode_dss_signature(key.sign(content, ECDSA(hashes.SHA256())))
    return encode_dss_signature(r, min(s, _ORDER - s))


def holds(key: PublicKey, signature: bytes, content: bytes) -> bool:
    """Whether ``signature`` is one that the key's owner made for ``content``."""
    try:
        key.verify(signature, content, ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def is_low(signature: bytes) -> bool:
    """Whether s is the lower of s and n - s: both hold, and anybody can make the one of the other."""
    _, s = decode_dss_signature(signature)
    return s <= _ORDER - s


def _pem(key: PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _public_key(path: Path) -> PublicKey:
    content = _content(path, "public")
    if b"PRIVATE KEY" in content:
        raise UsageError(f"{path} is a private key", expected="the public one", hint=f"name {public_path(path)}")
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        _no_key(path, "public")
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        _no_key(path, "public")
    return key


def _content(path: Path, kind: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_KEY_LIMIT + 1)
    except OSError as error:
        words = f"cannot read the {kind} key {path}: {error.strerror or error}"
        raise UsageError(words, expected="a file with it", hint=_MADE) from error
    # of two keys in one file the second would be passed over in silence
    if len(content) > _KEY_LIMIT or content.count(b"-----BEGIN ") != 1:
        _no_key(path, kind)
    return content


def _no_key(path: Path, kind: str) -> NoReturn:
    raise UsageError(
        f"{path} is no {kind} key that is known here",
        expected=f"one {kind} key of the curve P-256 as PEM text",
        hint=_MADE,
    ) from None
