"""Exported files that are not where they are looked for, lack one another, or were renamed: the words say which."""

from pathlib import Path

import pytest

from tests.bundle.signed_models import exported, write
from tests.cli.conftest import Visto, contents


@pytest.fixture
def files(visto: Visto, tmp_path: Path) -> Path:
    """The folder of ``cats.onnx``, with a key beside it."""
    assert visto("keygen", "-o", "my.key").code == 0
    return write(exported(b"graph"), tmp_path / "out")


def commands(model: Path) -> list[tuple[str | Path, ...]]:
    return [
        ("info", model),
        ("predict", model, "photo.jpg"),
        ("sign", model, "--key", "my.key"),
    ]


def refused(visto: Visto, model: Path, said: str, advice: str) -> None:
    for command in commands(model):
        before = contents(visto.folder)
        ended = visto(*command)
        assert ended.code == 4
        assert said in ended.err
        assert advice in ended.err
        assert not ended.out
        assert contents(visto.folder) == before


def test_no_file_of_that_name(visto: Visto, files: Path) -> None:
    refused(visto, files / "dogs.onnx", "no exported file at", "visto export X.visto")


@pytest.mark.parametrize("name", ["cats.onnx.json", "cats.onnx.seen", "run.py"])
def test_one_left_behind(visto: Visto, files: Path, name: str) -> None:
    (files / name).unlink()
    refused(visto, files / "cats.onnx", f"cats.onnx is not whole: {name} is missing", "copy all of them")


def test_one_renamed(visto: Visto, files: Path) -> None:
    (files / "cats.onnx").rename(files / "dogs.onnx")
    refused(visto, files / "dogs.onnx", "dogs.onnx.json, dogs.onnx.seen are missing", "under the names")


def test_all_renamed(visto: Visto, files: Path) -> None:
    for ending in (".onnx", ".onnx.json", ".onnx.seen"):
        (files / f"cats{ending}").rename(files / f"dogs{ending}")
    refused(visto, files / "dogs.onnx", "speaks of cats.onnx, cats.onnx.seen, run.py", "give the files the names back")


@pytest.mark.parametrize("name", ["cats.onnx.json", "run.py"])
def test_another_of_its_files(visto: Visto, files: Path, name: str) -> None:
    refused(visto, files / name, "is no bundle but a file", "X.onnx, which visto export wrote")


def test_a_manifest_that_is_cut_off(visto: Visto, files: Path) -> None:
    manifest = files / "cats.onnx.json"
    manifest.write_bytes(manifest.read_bytes()[:-3])
    refused(visto, files / "cats.onnx", f"{manifest} is not valid JSON", "export it again")


def test_a_bundle_may_have_any_name(visto: Visto, bundle: Path, photos: Path) -> None:
    """A folder is a bundle: the one that visto train -o cats.onnx writes, too."""
    model = bundle.rename("cats.onnx")
    assert visto("keygen", "-o", "my.key").code == 0
    assert visto("info", model).code == 0
    assert visto("predict", model, photos).code == 0
    assert visto("sign", model, "--key", "my.key").code == 0
    assert visto("verify", model, "--key", "my.key.pub").code == 0


@pytest.mark.parametrize("key", ["none.key", "photos"])
def test_a_key_that_cannot_be_read(visto: Visto, bundle: Path, photos: Path, key: str) -> None:
    for command in (("sign", bundle, "--key", key), ("verify", bundle, "--key", key)):
        ended = visto(*command)
        assert ended.code == 2
        assert f"key {key}: " in ended.err
        assert "visto keygen" in ended.err
