"""A seal says who signed what, in a form that OpenSSF's model_signing reads and writes too."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from tests.bundle.signed_models import Case, bundle_case, content_of, export_case, exported, verified, write
from tests.bundle.tampers import ORDER
from visto.bundle import (
    looked_over,
    public_path,
    read_bundle,
    read_own_bundle,
    read_private_key,
    sealed_at,
    sealed_bundle,
    sign,
    trusted_keys,
    trusted_seal,
    write_key,
)
from visto.bundle.envelope import Envelope, pack, signed_bytes, unpack
from visto.bundle.plain_files import read_plain
from visto.bundle.statement import digests_in, statement
from visto.errors import ModelError, ResourceError, UsageError
from visto.files import sha256_file

JUDGE = pytest.mark.skipif(
    not (importlib.util.find_spec("model_signing") and importlib.util.find_spec("OpenSSL")),
    reason="model-signing and pyopenssl are not installed",
)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return bundle_case(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return export_case(tmp_path_factory.mktemp("exports"))


def _signed(model: Path, key: Path) -> Path:
    whole = looked_over(model)
    sign(whole.sealed, whole.digests, read_private_key(key))
    return whole.sealed.signature


def _judge(*arguments: str | Path) -> str:
    """What OpenSSF's own tool says. Fails where that is no."""
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout


# what a seal says


def test_a_signed_bundle_is_read_as_before(bundle_path: Path, key: Path) -> None:
    keys = trusted_keys([public_path(key)])
    before = read_bundle(bundle_path)
    assert before.signed_by is None
    assert _signed(bundle_path, key) == bundle_path / "model.sig"
    after = read_bundle(bundle_path, keys)
    assert after.signed_by in keys
    assert after.manifest == before.manifest
    seal = trusted_seal(sealed_bundle(bundle_path), keys)
    assert seal is not None
    assert seal.digests == {
        name: sha256_file(bundle_path / name) for name in content_of(bundle_path) - {"model.sig": 0}.keys()
    }
    moved = bundle_path.rename(bundle_path.with_name("other.visto"))
    read_bundle(moved, keys)


def test_one_of_several_keys_will_do(bundle_path: Path, key: Path, tmp_path: Path) -> None:
    write_key(tmp_path / "other.key")
    _signed(bundle_path, key)
    read_bundle(bundle_path, trusted_keys([tmp_path / "other.key.pub", tmp_path / "my.key.pub"]))
    with pytest.raises(ModelError, match="signed by another key"):
        read_bundle(bundle_path, trusted_keys([tmp_path / "other.key.pub"]))
    _signed(bundle_path, tmp_path / "other.key")  # takes the place of the first
    read_bundle(bundle_path, trusted_keys([tmp_path / "other.key.pub"]))
    assert len(content_of(bundle_path)) == 5


def test_what_is_not_signed_is_refused_where_keys_are_trusted(bundle_path: Path, key: Path) -> None:
    with pytest.raises(ModelError, match="is not signed"):
        read_bundle(bundle_path, trusted_keys([public_path(key)]))
    assert read_bundle(bundle_path, {}).signed_by is None


def test_the_environment_names_keys(bundle_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_TRUSTED_KEYS", str(public_path(key)))
    with pytest.raises(ModelError, match="is not signed"):
        read_bundle(bundle_path)
    read_own_bundle(bundle_path)
    _signed(bundle_path, key)
    assert read_bundle(bundle_path).signed_by is not None
    with pytest.raises(UsageError, match="an empty list"):
        trusted_keys([])
    for value in ("", os.pathsep, f"{public_path(key)}{os.pathsep}", "nowhere.pub"):
        monkeypatch.setenv("VISTO_TRUSTED_KEYS", value)
        with pytest.raises(UsageError):
            read_bundle(bundle_path)


@pytest.mark.parametrize(
    ("name", "parser"),
    [("manifest.json", "visto.bundle.store.loads"), ("weights.safetensors", "safetensors.torch.load")],
)
def test_nothing_is_parsed_before_it_is_known_to_be_signed(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, parser: str
) -> None:
    monkeypatch.setattr(parser, _never)
    model = write({**case.good, name: case.older[name]}, tmp_path)
    with pytest.raises(ModelError, match="was changed after it was signed"):
        read_bundle(model, case.keys)


def test_not_even_a_signature_is_parsed_before_it_is_known_to_hold(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visto.bundle.statement.loads", _never)
    strange = unpack(case.strangers["model.sig"])
    (owner,) = case.keys
    false = pack(Envelope(key=owner, payload=strange.payload, signature=strange.signature))
    for number, content in enumerate([case.strangers["model.sig"], false, b"{}"]):
        with pytest.raises(ModelError, match=r"model\.sig: (signed by another|the signature is (false|damaged))"):
            read_bundle(write({**case.good, "model.sig": content}, tmp_path / str(number)), case.keys)


def _never(*arguments: Any, **more: Any) -> Any:
    raise AssertionError("something that was not signed was parsed")


def test_what_was_hashed_is_what_is_parsed(bundle_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is read once: whoever changes it in between changes nothing."""
    _signed(bundle_path, key)
    before = read_bundle(bundle_path)

    def then_change(path: Path, *, limit: int) -> bytes:
        content = read_plain(path, limit=limit)
        path.write_bytes(b"changed")
        return content

    monkeypatch.setattr("visto.bundle.seal.read_plain", then_change)
    after = read_bundle(bundle_path, trusted_keys([public_path(key)]))
    assert after.manifest == before.manifest
    assert all(bool((after.weights[name] == weight).all()) for name, weight in before.weights.items())
    assert set(content_of(bundle_path).values()) == {b"changed"}


# what is signed


def test_only_what_is_whole_is_signed(bundle_path: Path, key: Path) -> None:
    (bundle_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="was changed"):
        _signed(bundle_path, key)
    assert not (bundle_path / "model.sig").exists()


@pytest.mark.parametrize("name", ["cats.onnx", "cats.onnx.seen", "run.py", "cats.onnx.json"])
def test_only_an_export_that_is_whole_is_signed(tmp_path: Path, key: Path, name: str) -> None:
    folder = write(exported(b"graph"), tmp_path / "out")
    _signed(folder / "cats.onnx", key)
    (folder / "cats.onnx.sig").unlink()
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content + b"}")
    with pytest.raises(ModelError):
        _signed(folder / "cats.onnx", key)
    (folder / name).unlink()
    with pytest.raises(ModelError, match="no exported file at" if name == "cats.onnx" else f"{name} is missing"):
        _signed(folder / "cats.onnx", key)
    assert not (folder / "cats.onnx.sig").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest.pop("files"),
        lambda manifest: manifest.pop("holds_training_data"),
        lambda manifest: manifest.update(holds_training_data=1),
        lambda manifest: manifest["files"].pop("run.py"),
        lambda manifest: manifest["files"].update(more=manifest["files"]["run.py"]),
        lambda manifest: manifest["files"]["run.py"].update(sha256="x"),
        lambda manifest: manifest["files"]["run.py"].pop("size"),
        lambda manifest: manifest.update(files=[]),
    ],
)
def test_an_export_with_another_manifest(tmp_path: Path, key: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    folder = write(exported(b"graph"), tmp_path / "out")
    manifest = json.loads((folder / "cats.onnx.json").read_text())
    change(manifest)
    (folder / "cats.onnx.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError):
        _signed(folder / "cats.onnx", key)


def test_a_signature_that_cannot_be_written(bundle_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _signed(bundle_path, key)
    before = (bundle_path / "model.sig").read_bytes()

    def full(*arguments: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="no room left"):
        _signed(bundle_path, key)
    assert (bundle_path / "model.sig").read_bytes() == before
    assert not list(bundle_path.glob("*.part"))


# what the right key has signed, but not as a model


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.pop("_type"),
        lambda s: s.update(predicateType="https://model_signing/signature/v0.9"),
        lambda s: s.update(more=1),
        lambda s: s.update(subject=[]),
        lambda s: s["subject"].append(s["subject"][0]),
        lambda s: s["subject"][0].update(name=7),
        lambda s: s["subject"][0]["digest"].update(sha256="0" * 64),
        lambda s: s["subject"][0]["digest"].update(sha512="0" * 128),
        lambda s: s["predicate"].update(more=1),
        lambda s: s["predicate"].pop("serialization"),
        lambda s: s["predicate"]["serialization"].update(method="shards"),
        lambda s: s["predicate"]["serialization"].update(hash_type="blake3"),
        lambda s: s["predicate"]["serialization"].update(allow_symlinks=True),
        lambda s: s["predicate"]["serialization"].update(allow_symlinks=0),
        lambda s: s["predicate"]["serialization"].update(ignore_paths="model.sig"),
        lambda s: s["predicate"]["serialization"].update(ignore_paths=[1]),
        lambda s: s["predicate"].update(resources={}),
        lambda s: s["predicate"]["resources"].reverse(),
        lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][-1]),
        lambda s: s["predicate"]["resources"].append(None),
        lambda s: s["predicate"]["resources"][0].update(algorithm="sha1"),
        lambda s: s["predicate"]["resources"][0].update(digest="0" * 63),
        lambda s: s["predicate"]["resources"][0].update(digest=s["predicate"]["resources"][0]["digest"].upper()),
        lambda s: s["predicate"]["resources"][0].update(name="../manifest.json"),
        lambda s: s["predicate"]["resources"][0].update(name=["data.safetensors"]),
        lambda s: s["predicate"]["resources"][0].update(more=1),
        lambda s: s["predicate"]["resources"][0].pop("algorithm"),
    ],
)
def test_a_statement_is_taken_literally(case: Case, change: Callable[[dict[str, Any]], Any]) -> None:
    payload = unpack(case.good["model.sig"]).payload
    digests_in(payload)
    content = json.loads(payload)
    change(content)
    with pytest.raises(ModelError, match="what was signed"):
        digests_in(json.dumps(content).encode())


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b"null", b"\xff", b'{"subject": 1}', b"[" * 100_000])
def test_what_is_no_statement(payload: bytes) -> None:
    with pytest.raises(ModelError):
        digests_in(payload)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda digests: digests.pop("weights.safetensors"), "which was not signed"),
        (lambda digests: digests.update(more="0" * 64), "lacks more"),
        (lambda digests: digests.clear(), "which was not signed"),
        (lambda digests: digests.update({"model.sig": "0" * 64}), "lacks model.sig"),
        (lambda digests: digests.update({"weights.safetensors": "0" * 64}), "was changed"),
    ],
)
def test_signed_files_are_exactly_those_that_are_there(
    case: Case, tmp_path: Path, change: Callable[[dict[str, str]], Any], said: str
) -> None:
    digests = digests_in(unpack(case.good["model.sig"]).payload)
    change(digests)
    model = write(case.good, tmp_path)
    sign(sealed_bundle(model), digests, case.owner)
    for look in (verified, read_bundle):
        with pytest.raises(ModelError, match=said):
            look(model, case.keys)


def test_a_signature_is_of_what_dsse_signs(case: Case) -> None:
    envelope = unpack(case.good["model.sig"])
    text = f"DSSEv1 28 application/vnd.in-toto+json {len(envelope.payload)} ".encode() + envelope.payload
    assert signed_bytes(envelope.payload) == text
    case.owner.public_key().verify(envelope.signature, text, ec.ECDSA(hashes.SHA256()))
    assert pack(envelope) == case.good["model.sig"]


def test_the_twin_of_a_signature(case: Case, tmp_path: Path) -> None:
    """It holds as well, and is refused all the same, where Visto signed; another tool may write either."""
    good = unpack(case.good["model.sig"])
    ours, theirs = good.payload, json.dumps(json.loads(good.payload)).encode()
    for number, (payload, allowed) in enumerate([(ours, 1), (theirs, 2)]):
        r, s = decode_dss_signature(case.owner.sign(signed_bytes(payload), ec.ECDSA(hashes.SHA256())))
        passed = 0
        for twin in (s, ORDER - s):
            changed = pack(Envelope(key=good.key, payload=payload, signature=encode_dss_signature(r, twin)))
            model = write({**case.good, "model.sig": changed}, tmp_path / f"{number} {twin}")
            try:
                read_bundle(model, case.keys)
                passed += 1
            except ModelError as error:
                assert "twin" in error.message
        assert passed == allowed


def test_a_huge_signature_is_not_read(case: Case, tmp_path: Path) -> None:
    model = write(case.good, tmp_path)
    os.truncate(model / "model.sig", 2**40)
    with pytest.raises(ModelError, match="larger than it should be"):
        read_bundle(model, case.keys)


def test_the_name_of_a_model_may_be_no_text(case: Case, tmp_path: Path, key: Path) -> None:
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.visto"))
    write(case.good, tmp_path).rename(odd)
    _signed(odd, key)
    verified(odd, trusted_keys([public_path(key)]))


# the judge


@JUDGE
def test_model_signing_accepts_our_bundle(bundle_path: Path, key: Path) -> None:
    _signed(bundle_path, key)
    options = ("--signature", bundle_path / "model.sig", "--public_key", public_path(key))
    assert "succeeded" in _judge("verify", "key", bundle_path, *options)


@JUDGE
def test_we_accept_a_bundle_that_model_signing_signed(bundle_path: Path, key: Path) -> None:
    _judge("sign", "key", bundle_path, "--signature", bundle_path / "model.sig", "--private_key", key)
    keys = trusted_keys([public_path(key)])
    verified(bundle_path, keys)
    assert read_bundle(bundle_path, keys).signed_by in keys
    (bundle_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="was changed after it was signed"):
        verified(bundle_path, keys)


@JUDGE
def test_model_signing_and_exported_files(tmp_path: Path, key: Path) -> None:
    folder = write(exported(b"graph"), tmp_path / "out")
    model, signature = folder / "cats.onnx", folder / "cats.onnx.sig"
    _judge("sign", "key", folder, "--signature", signature, "--private_key", key)
    verified(model, trusted_keys([public_path(key)]))
    _signed(model, key)
    (folder / "dogs.onnx").write_bytes(b"other")
    options = ("--signature", signature, "--public_key", public_path(key), "--ignore_unsigned_files")
    assert "succeeded" in _judge("verify", "key", folder, *options)
    assert sealed_at(model).names == {"cats.onnx", "cats.onnx.json", "cats.onnx.seen", "run.py"}


def test_a_statement_is_said_in_one_way() -> None:
    digests = {"b": "2" * 64, "a": "1" * 64}
    said = statement("cats", digests, ignored=["model.sig"])
    assert said == statement("cats", dict(reversed(digests.items())), ignored=["model.sig"])
    assert digests_in(said) == digests
    assert digests_in(statement("cats", digests, ignored=None)) == digests
