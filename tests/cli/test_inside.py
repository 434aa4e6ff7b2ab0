"""A bundle is the files that it lists: no command puts another into it, where it would spoil it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

import visto as api
from tests.cli.conftest import TINY, Visto, contents
from visto.errors import ModelError, UsageError

INSIDE = "m.visto/new"
COMMANDS: dict[str, Sequence[str]] = {
    "train": ("train", "photos", "-o", f"{INSIDE}.visto", *TINY),
    "tune": ("tune", "photos", "-o", f"{INSIDE}.visto", "--budget", "1s"),
    "export": ("export", "m.visto", "--data", "photos", "-o", f"{INSIDE}.onnx"),
    "export deeper": ("export", "m.visto", "--data", "photos", "-o", f"{INSIDE}/deep/a.onnx"),
    "keygen": ("keygen", "-o", f"{INSIDE}.key"),
    "predict": ("predict", "m.visto", "photos", "--draw", "m.visto"),
    "prepare": ("prepare", "photos/cat/0.png", "--steps", "gray", "-o", f"{INSIDE}.png"),
    "report": ("report", "m.visto", "photos", "-o", f"{INSIDE}.html"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_written_into_a_bundle(visto: Visto, bundle: Path, photos: Path, command: str) -> None:
    before = contents(bundle)
    ended = visto(*COMMANDS[command])
    assert ended.code == 2
    assert "would lie inside the bundle m.visto" in ended.err
    assert not ended.out
    assert contents(bundle) == before
    assert visto("info", bundle).code == 0


def test_nor_by_way_of_a_link_or_of_python(visto: Visto, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("link").symlink_to(bundle)
    assert "inside the bundle" in visto("keygen", "-o", "link/my.key").err
    with pytest.raises(UsageError, match="inside the bundle"):
        api.load(bundle).save(bundle / "again.visto")
    assert visto("keygen", "-o", f"{bundle}/../my.key").code == 0
    monkeypatch.chdir(bundle)
    assert "inside the bundle" in visto("keygen", "-o", "my.key").err


def test_a_copy_is_what_was_loaded(visto: Visto, bundle: Path) -> None:
    model = api.load(bundle)
    weights = (bundle / "weights.safetensors").read_bytes()
    (bundle / "weights.safetensors").write_bytes(weights[:-1])
    with pytest.raises(ModelError, match="was changed"):
        model.save("copy.visto")
    for file in bundle.iterdir():
        file.unlink()
    bundle.rmdir()
    with pytest.raises(ModelError, match="no bundle at"):
        model.save("copy.visto")
    visto("train", "digits", "-o", bundle, "--model", "majority", "-q")
    with pytest.raises(ModelError, match="is not what was loaded"):
        model.save("copy.visto")
    assert not Path("copy.visto").exists()
    api.load(bundle).save("copy.visto")
    assert contents(Path("copy.visto")) == contents(bundle)


def test_a_private_key_is_not_named_as_the_public_one(visto: Visto) -> None:
    ended = visto("keygen", "-o", "my.key.pub")
    assert ended.code == 2
    assert "a private key named my.key.pub" in ended.err
    assert not list(Path().iterdir())
