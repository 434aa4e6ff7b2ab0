"""Keys to sign with: as others read them, never overwritten, and of one kind only."""

import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.bundle.signed_models import content_of
from visto.bundle import public_path, read_private_key, trusted_keys, write_key
from visto.bundle.keys import fingerprint
from visto.errors import ResourceError, UsageError
from visto.files import sha256_file


def test_keys_are_as_others_read_them(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    public = public_path(key)
    (found,) = trusted_keys([public])
    assert found == fingerprint(read_private_key(key).public_key()) == sha256_file(public)


def test_keys_are_never_overwritten(tmp_path: Path, key: Path) -> None:
    before = content_of(tmp_path)
    with pytest.raises(UsageError, match=r"my\.key exists already"):
        write_key(key)
    (tmp_path / "new.key.pub").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"new\.key\.pub exists already"):
        write_key(tmp_path / "new.key")
    (tmp_path / "link.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="exists already"):
        write_key(tmp_path / "link.key")
    (tmp_path / "link.key").unlink()
    assert content_of(tmp_path) == {**before, "new.key.pub": b"mine"}
    with pytest.raises(ResourceError, match="cannot write"):
        write_key(tmp_path / "no folder" / "my.key")


def _pem(key: Any) -> tuple[bytes, bytes]:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_other_keys_are_refused(tmp_path: Path, key: Path) -> None:
    good = (key.read_bytes(), public_path(key).read_bytes())
    pairs = {
        "another curve": _pem(ec.generate_private_key(ec.SECP384R1())),
        "a curve like it": _pem(ec.generate_private_key(ec.SECP256K1())),
        "RSA": _pem(rsa.generate_private_key(65537, 2048)),
        "two keys": (good[0] * 2, good[1] * 2),
        "the other half": (good[1], good[0]),
        "nothing": (b"", b""),
        "no key": (b"-----BEGIN PRIVATE KEY-----\n", b"-----BEGIN PUBLIC KEY-----\n"),
        "too long": (good[0] + b" " * 2**14, good[1] + b" " * 2**14),
    }
    for name, (private, public) in pairs.items():
        (tmp_path / "private").write_bytes(private)
        (tmp_path / "public").write_bytes(public)
        with pytest.raises(UsageError):
            read_private_key(tmp_path / "private")
        with pytest.raises(UsageError):
            trusted_keys([tmp_path / "public"])
        assert name
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="cannot read the private key"):
            read_private_key(path)
        with pytest.raises(UsageError, match="cannot read the public key"):
            trusted_keys([path])
    locked = ec.generate_private_key(ec.SECP256R1())
    content = locked.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tmp_path / "locked").write_bytes(content)
    with pytest.raises(UsageError, match="locked by a passphrase"):
        read_private_key(tmp_path / "locked")
