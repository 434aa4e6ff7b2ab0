"""Bundles that are not what was written, data that a model cannot be judged on, images that cannot be answered."""

import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Visto, contents, fill, picture


def _extra(bundle: Path) -> None:
    (bundle / "readme.txt").write_text("hello")


def _missing(bundle: Path) -> None:
    (bundle / "weights.safetensors").unlink()


def _no_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()


def _flipped(name: str) -> Callable[[Path], None]:
    def flip(bundle: Path) -> None:
        content = bytearray((bundle / name).read_bytes())
        content[len(content) // 2] ^= 4
        (bundle / name).write_bytes(content)

    return flip


def _shortened(bundle: Path) -> None:
    os.truncate(bundle / "weights.safetensors", 100)


def _piped(bundle: Path) -> None:
    (bundle / "weights.safetensors").unlink()
    os.mkfifo(bundle / "weights.safetensors")


def _later(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    content = json.dumps({**manifest, "format_version": 99, "news": 1}).encode()
    (bundle / "manifest.json").write_bytes(content)
    (bundle / "manifest.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  manifest.json\n")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "extra file": (_extra, "readme.txt"),
    "missing file": (_missing, "weights.safetensors"),
    "no manifest": (_no_manifest, "manifest.json is missing"),
    "flipped manifest": (_flipped("manifest.json"), "was changed"),
    "flipped digest": (_flipped("manifest.sha256"), "was changed"),
    "flipped weights": (_flipped("weights.safetensors"), "was changed"),
    "flipped data": (_flipped("data.safetensors"), "was changed"),
    "shortened": (_shortened, "was changed"),
    "a pipe in it": (_piped, "weights.safetensors"),
    "later format": (_later, "upgrade Visto"),
    "no bundle": (shutil.rmtree, "no bundle at"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle(visto: Visto, bundle: Path, photos: Path, damage: str) -> None:
    harm, said = DAMAGES[damage]
    harm(bundle)
    for command in (
        ("info", bundle),
        ("evaluate", bundle, photos),
        ("predict", bundle, photos),
        ("train", photos, "-o", "tuned.visto", "--from", bundle),
    ):
        ended = visto(*command)
        assert ended.code == 4
        assert said in ended.err
        assert not ended.out
    assert not list(Path().glob("tuned*"))


def test_a_file_for_a_bundle(visto: Visto, photos: Path) -> None:
    ended = visto("info", photos / "cat" / "0.png")
    assert ended.code == 4
    assert "is no bundle but a file" in ended.err


def _seen_only(bundle: Path, photos: Path, tmp_path: Path) -> Path:
    """The images of the test part taken away, of the others the copies, under other names."""
    from visto.data import read

    for item in read(photos).items:
        if item.split != "test":
            assert isinstance(item.source, Path)
            target = tmp_path / "seen" / item.id.replace("/", "/copy of ")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(item.source, target)
    return tmp_path / "seen"


def test_evaluate_on_what_was_seen(visto: Visto, bundle: Path, photos: Path, tmp_path: Path) -> None:
    seen = _seen_only(bundle, photos, tmp_path)
    ended = visto("evaluate", bundle, seen, "--json")
    assert ended.code == 3
    error = ended.document["error"]
    assert "no image is left to judge: 14 in all, 14 of them were used to make the model" in error["message"]
    assert "--split" in error["hint"]
    ended = visto("evaluate", bundle, seen, "--split", "train")
    assert ended.code == 0
    assert "careful: the model was made from 10 of these 10 images" in ended.err
    ended = visto("evaluate", bundle, seen, "--split", "train", "--json")
    assert ended.document["overlap"] == {"judged": 10, "left_out": 0}


def test_evaluate_leaves_out_what_was_seen(visto: Visto, bundle: Path, photos: Path) -> None:
    ended = visto("evaluate", bundle, photos, "--json")
    assert ended.code == 0
    assert ended.document["n"] == 2
    assert ended.document["overlap"] == {"judged": 0, "left_out": 14}
    assert "14 images left out" in ended.err


def test_evaluate_on_classes_that_are_not_known(visto: Visto, bundle: Path, tmp_path: Path) -> None:
    ended = visto("evaluate", bundle, fill(tmp_path / "zoo", ["cat", "yak"], start=50))
    assert ended.code == 3
    assert "'yak', which the model does not know" in ended.err
    assert "'cat', 'dog'" in ended.err


def test_evaluate_on_some_of_the_classes(visto: Visto, bundle: Path, tmp_path: Path) -> None:
    ended = visto("evaluate", bundle, fill(tmp_path / "cats", ["cat"], start=50), "--json")
    assert ended.code == 0
    assert ended.document["n"] == 8


def test_evaluate_with_bad_images(visto: Visto, bundle: Path, tmp_path: Path) -> None:
    data = fill(tmp_path / "new", start=50)
    (data / "cat" / "50.png").write_bytes(b"")
    ended = visto("evaluate", bundle, data)
    assert ended.code == 0
    assert "1 image could not be read, such as 'cat/50.png' (an empty file)" in ended.err
    for file in data.rglob("*.png"):
        file.write_bytes(b"")
    ended = visto("evaluate", bundle, data)
    assert ended.code == 3
    assert "16 cannot be read" in ended.err


@pytest.mark.parametrize("split", ["nonsense", "validation"])
def test_evaluate_on_a_split_that_is_not_there(visto: Visto, bundle: Path, tmp_path: Path, split: str) -> None:
    fill(tmp_path / "s" / "test", start=50)
    ended = visto("evaluate", bundle, tmp_path / "s", "--split", split)
    assert ended.code == (2 if split == "nonsense" else 3)
    assert split in ended.err


def test_predict_where_nothing_is(visto: Visto, bundle: Path, tmp_path: Path) -> None:
    ended = visto("predict", bundle, "nowhere.png")
    assert ended.code == 3
    assert "nowhere.png does not exist" in ended.err
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").write_text("hello")
    ended = visto("predict", bundle, "empty", "--json")
    assert ended.code == 3
    assert ended.document["error"]["message"] == "no images in empty"


def test_predict_with_a_bad_image_among_good_ones(visto: Visto, bundle: Path, photos: Path) -> None:
    (photos / "cat" / "3.png").write_bytes(b"")
    (photos / "cat" / "notes.txt").write_text("hello")
    ended = visto("predict", bundle, photos / "cat", "--json")
    assert ended.code == 3
    assert [line["id"] for line in ended.lines] == [f"{k}.png" for k in range(8)]
    assert ended.lines[3] == {"id": "3.png", "error": "an empty file"}
    assert all(len(line["answers"]) == 1 for line in ended.lines if line["id"] != "3.png")
    assert "notes.txt passed over: not an image by its name (.txt)" in ended.err
    for quiet in ((), ("--quiet",)):
        ended = visto("predict", bundle, photos / "cat", *quiet)
        assert ended.code == 3
        assert len(ended.out.splitlines()) == 7
        assert "3.png  error: an empty file" in ended.err


class _Stdin:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)


def test_predict_from_stdin(visto: Visto, bundle: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Stdin((photos / "cat" / "0.png").read_bytes()))
    ended = visto("predict", bundle, "-", "--json", "--draw", "drawn")
    assert ended.code == 0
    assert ended.document["id"] == "-"
    assert Path("drawn/stdin.png").exists()
    monkeypatch.setattr(sys, "stdin", _Stdin(b""))
    ended = visto("predict", bundle, "-", "--json")
    assert ended.code == 3
    assert ended.document == {"id": "-", "error": "an empty file"}


def test_predict_abstains(visto: Visto, bundle: Path, photos: Path) -> None:
    image = photos / "cat" / "0.png"
    ended = visto("predict", bundle, image, "--threshold", "1", "--top", "2", "--json")
    assert ended.code == 0
    assert ended.document["abstain"] is True
    assert ended.document["reason"] == "best score below 1"
    assert len(ended.document["answers"]) == 2
    assert "(abstains: best score below 1)" in visto("predict", bundle, image, "--threshold", "1").out
    ended = visto("predict", bundle, image, "--confidence", "1", "--json")
    assert isinstance(ended.document["label_set"], list)
    assert ended.document["abstain"] == (len(ended.document["label_set"]) != 1)
    assert len(visto("predict", bundle, image, "--top", "99", "--json").document["answers"]) == 2


def test_predict_draws(visto: Visto, bundle: Path, photos: Path) -> None:
    (photos / "cat" / "1.png").write_bytes(b"")
    picture(60, 9).save(photos / "cat_0.png")  # would be cat/0.png, were slashes replaced
    before = contents(photos)
    assert visto("predict", bundle, photos, "--draw", "drawn").code == 3
    drawn = sorted(str(f.relative_to("drawn")) for f in Path("drawn").rglob("*") if f.is_file())
    assert drawn == sorted(f"{name}.png" for name in before if name != "cat/1.png")
    for name in drawn:
        with Image.open(Path("drawn", name)) as image:
            image.load()
            assert min(image.size) >= 100
    os.chdir(photos / "dog")
    assert visto("predict", bundle, "../cat/0.png", "--draw", "deep/drawn").code == 0
    assert Path("deep/drawn/0.png.png").exists()
    assert not Path("deep/cat").exists()


def test_predict_cannot_draw(visto: Visto, bundle: Path, photos: Path) -> None:
    Path("file").write_text("mine")
    for place in ("file", "file/below", "/proc/drawn"):
        ended = visto("predict", bundle, photos / "cat" / "0.png", "--draw", place)
        assert ended.code == 5, place
        assert "cannot write" in ended.err
    assert Path("file").read_text() == "mine"
