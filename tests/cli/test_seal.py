"""keygen, sign and verify, and that no command loads what a trusted key has not signed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from tests.bundle.signed_models import exported, write
from tests.cli.conftest import TINY, Visto, contents
from visto.bundle import read_own_bundle
from visto.cli import app
from visto.files import sha256_file


@pytest.fixture
def key(visto: Visto) -> Path:
    assert visto("keygen", "-o", "my.key").code == 0
    return Path("my.key")


@pytest.fixture
def signed(visto: Visto, bundle: Path, key: Path) -> Path:
    assert visto("sign", bundle, "--key", key).code == 0
    return bundle


def _loading(model: Path, photos: Path) -> list[tuple[str | Path, ...]]:
    """Every command that loads a bundle."""
    return [
        ("info", model),
        ("evaluate", model, photos),
        ("predict", model, photos / "cat" / "0.png"),
        ("compare", model, model, photos),
        ("report", model, photos, "-o", "page.html"),
        ("train", photos, "-o", "tuned.visto", "--from", model, *TINY[4:]),
    ]


def test_a_key_is_made(visto: Visto) -> None:
    ended = visto("keygen", "-o", "my.key", "--json")
    assert ended.code == 0
    fingerprint = sha256_file(Path("my.key.pub"))
    assert ended.document == {"private_key": "my.key", "public_key": "my.key.pub", "fingerprint": fingerprint}
    assert Path("my.key").stat().st_mode & 0o777 == 0o600
    before = contents(visto.folder)
    ended = visto("keygen", "-o", "my.key")
    assert ended.code == 2
    assert "my.key exists already" in ended.err
    assert contents(visto.folder) == before
    assert "guard other.key" in visto("keygen", "-o", "other.key").err
    ended = visto("keygen", "-o", "quiet.key", "--quiet")
    assert not ended.err
    assert sha256_file(Path("quiet.key.pub")) in ended.out
    assert visto("keygen", "-o", "no folder/my.key").code == 5


def test_sign_and_verify(visto: Visto, bundle: Path, key: Path) -> None:
    fingerprint, digest = sha256_file(Path("my.key.pub")), sha256_file(bundle / "manifest.json")
    said = {"key": fingerprint, "digest": digest, "files": 4}
    ended = visto("sign", bundle, "--key", key, "--json")
    assert ended.document == {"signature": str(bundle / "model.sig"), **said}
    assert not ended.err
    ended = visto("verify", bundle, "--key", "my.key.pub", "--json")
    assert ended.document == {"model": str(bundle), "verified": True, **said}
    ended = visto("verify", bundle, "--key", "my.key.pub")
    assert fingerprint in ended.out
    assert digest in ended.out
    assert visto("sign", bundle, "--key", key, "--quiet").code == 0  # takes the place of the older one


def test_a_model_that_holds_training_data_is_signed_with_a_word(visto: Visto, photos: Path, key: Path) -> None:
    assert visto("train", photos, "-o", "k.visto", "--model", "knn", "--threads", "1").code == 0
    ended = visto("sign", "k.visto", "--key", key)
    assert ended.code == 0
    assert "holds training data" in ended.err
    assert not visto("sign", "k.visto", "--key", key, "--quiet").err


def test_an_exported_file_is_signed(visto: Visto, key: Path, tmp_path: Path) -> None:
    folder = write(exported(b"graph"), tmp_path / "out")
    (folder / "notes.txt").write_text("mine")
    ended = visto("sign", folder / "cats.onnx", "--key", key, "--json")
    assert ended.document["signature"] == str(folder / "cats.onnx.sig")
    assert ended.document["files"] == 4
    assert ended.document["digest"] == sha256_file(folder / "cats.onnx.json")
    assert visto("verify", folder / "cats.onnx", "--key", "my.key.pub").code == 0
    (folder / "run.py").write_text("import os")
    ended = visto("verify", folder / "cats.onnx", "--key", "my.key.pub")
    assert ended.code == 4
    assert "run.py was changed after it was signed" in ended.err
    ended = visto("sign", folder / "cats.onnx", "--key", key)
    assert ended.code == 4
    assert "run.py was changed" in ended.err


def _changed(bundle: Path) -> None:
    content = bytearray((bundle / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (bundle / "weights.safetensors").write_bytes(content)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (_changed, "was changed after it was signed"),
    "unsigned": (lambda bundle: (bundle / "model.sig").unlink(), "is not signed"),
    "more in it": (lambda bundle: (bundle / "a.txt").write_text("a"), "a.txt, which was not signed"),
    "less in it": (lambda bundle: (bundle / "data.safetensors").unlink(), "lacks data.safetensors, which was signed"),
    "a bad signature": (lambda bundle: (bundle / "model.sig").write_text("{}"), "the signature is damaged"),
    "no bundle": (shutil.rmtree, "no bundle at"),
}


@pytest.mark.parametrize("harm", REFUSED)
@pytest.mark.parametrize("how", ["option", "environment"])
def test_no_command_loads_what_is_not_signed(
    visto: Visto, signed: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, harm: str, how: str
) -> None:
    do, said = REFUSED[harm]
    do(signed)
    option = ("--trusted-key", "my.key.pub") if how == "option" else ()
    if how == "environment":
        monkeypatch.setenv("VISTO_TRUSTED_KEYS", "my.key.pub")
    for command in _loading(signed, photos):
        ended = visto(*command, *option)
        assert ended.code == 4, command
        assert said in ended.err
        assert not ended.out
    ended = visto("verify", signed, *(("--key", "my.key.pub") if option else ()), "--json")
    assert ended.code == 4
    assert said in ended.document["error"]["message"]


def test_what_is_signed_is_loaded(visto: Visto, signed: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in _loading(signed, photos):
        assert visto(*command, "--trusted-key", "my.key.pub", "--json").code == 0, command
    Path("page.html").unlink()
    assert visto("keygen", "-o", "other.key").code == 0
    monkeypatch.setenv("VISTO_TRUSTED_KEYS", "other.key.pub:my.key.pub")
    for command in _loading(signed, photos)[:-1]:
        assert visto(*command).code == 0, command
        # what the command names takes the place of what the environment does
        assert visto(*command, "--trusted-key", "other.key.pub").code == 4, command
    assert visto("verify", signed).code == 0


def test_one_s_own_training_needs_no_signature(
    visto: Visto, photos: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISTO_TRUSTED_KEYS", "my.key.pub")
    assert visto.train(photos).code == 0
    # a bundle that lay there already may be anybody's
    assert visto.train(photos, "--resume").code == 4
    assert visto("info", "a.visto").code == 4


def test_every_command_that_takes_a_bundle_asks_whom_to_trust() -> None:
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        options = {option for parameter in command.params for option in parameter.opts}
        takes = any(
            parameter.metavar in ("BUNDLE", "A", "MODEL") for parameter in command.params if parameter.name != "out"
        )
        assert takes == ("--trusted-key" in options or name in ("sign", "verify")), name


def test_info_says_who_signed(visto: Visto, bundle: Path, key: Path) -> None:
    assert ["signed", "no"] in [line.split() for line in visto("info", bundle).out.splitlines()]
    assert visto("info", bundle, "--json").document["signed_by"] is None
    visto("sign", bundle, "--key", key)
    assert "not looked at" in visto("info", bundle).out
    fingerprint = sha256_file(Path("my.key.pub"))
    assert fingerprint in visto("info", bundle, "--trusted-key", "my.key.pub").out
    shown = visto("info", bundle, "--trusted-key", "my.key.pub", "--json").document
    assert shown["signed_by"] == fingerprint
    assert shown["digest"] == read_own_bundle(bundle).digest


@pytest.mark.parametrize("value", ["nowhere.pub", "my.key", "m.visto", "photos/cat/0.png"])
def test_keys_that_are_none(visto: Visto, signed: Path, photos: Path, value: str) -> None:
    for command in [*_loading(signed, photos)]:
        ended = visto(*command, "--trusted-key", value)
        assert ended.code == 2, command
        assert value in ended.err
    assert visto("verify", signed, "--key", value).code == 2
    if value != "my.key":
        assert visto("sign", signed, "--key", value).code == 2
    assert visto("sign", signed, "--key", "my.key.pub").code == 2


def test_verify_without_a_key(visto: Visto, signed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = visto("verify", signed)
    assert ended.code == 2
    assert "--key NAME.key.pub" in ended.err
    monkeypatch.setenv("VISTO_TRUSTED_KEYS", "")
    ended = visto("info", signed)
    assert ended.code == 2
    assert "VISTO_TRUSTED_KEYS" in ended.err
