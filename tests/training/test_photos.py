"""Photos by the command line: transfer, preparation, balance, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.training.killing import VISTO, killed

import visto
from visto.__main__ import run
from visto.bundle import read_bundle
from visto.recipes import Request
from visto.training import tune
from visto.types import Silent

QUICK = ("--size", "64", "--views", "1", "--epochs", "2", "--threads", "1")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def photos(root: Path, counts: dict[str, int]) -> Path:
    """Colour pictures of 90×120 pixels: stripes across, stripes down, checks."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:90, :120]
    patterns = {"across": y // 8 % 2, "down": x // 8 % 2, "checks": (x // 8 + y // 8) % 2}
    for label, count in counts.items():
        (root / label).mkdir(parents=True)
        for k in range(count):
            pixels = patterns[label][..., None] * random.integers(60, 190, 3) + random.integers(0, 60, (90, 120, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(root / label / f"{k}.png")
    return root


def test_photos_are_learnt_by_transfer_and_the_reason_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = photos(tmp_path / "photos", {"across": 20, "down": 20, "checks": 20})
    assert run(["train", str(data), "-o", "a.visto", *QUICK]) == 0
    assert "efficientnet_lite0 (the images are photos" in capsys.readouterr().err
    manifest = read_bundle(Path("a.visto")).manifest
    assert (manifest.recipe["learner"], manifest.recipe["pretrained"]) == ("transfer", True)
    assert manifest.preprocess.arguments["crop"] == "middle"
    assert not Path("a.run/features").exists()
    assert Path("a.run/report.html").stat().st_size > 10_000
    assert run(["evaluate", "a.visto", str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["accuracy"]["value"] > 0.8
    # goes on from the parent, through its frozen stages too
    assert run(["train", str(data), "-o", "b.visto", "--from", "a.visto", "--epochs", "1", "--threads", "1"]) == 0


def test_a_killed_transfer_ends_the_same(tmp_path: Path) -> None:
    data = photos(tmp_path / "photos", {"across": 24, "down": 24})
    # the precision that a run chooses by itself rests on measured times: another run may choose another
    command = ["train", str(data), *QUICK, "-q", "--precision", "fp32"]
    assert run([*command, "-o", "whole.visto"]) == 0
    for kept in ("features", "state"):
        out = f"{kept}.visto"
        killed([*VISTO, *command, "-o", out], Path(f"{kept}.run", kept).exists)
        assert run([*command, "-o", out, "--resume"]) == 0
        assert Path(out, "weights.safetensors").read_bytes() == Path("whole.visto/weights.safetensors").read_bytes()


def test_what_a_pretrained_model_leaves_to_choose(tmp_path: Path) -> None:
    data = visto.read(photos(tmp_path / "photos", {"across": 75, "down": 75}))
    search = ("lr", "epochs", "unfreeze", "augment")
    request = Request(tune=True, search=search, trials=2, size=64, views=1, epochs=1.0, batch_size=16)
    bundle = tune(data, tmp_path / "t.visto", request, voice=Silent(), threads=1).bundle
    tuning = visto.load(tmp_path / "t.visto").tuning
    assert tuning is not None
    assert [choice["name"] for choice in tuning["choices"]] == list(search)
    assert tuning["choices"][2]["options"] == [0, 3, 6]
    assert len(tuning["trials"]) == 2
    assert tuning["trials"][0]["figure"] is not None
    assert bundle.manifest.recipe["learner"] == "transfer"
    assert not (tmp_path / "t.run" / "tuning").exists()


def test_a_preparation_is_stored_and_applied_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = photos(tmp_path / "photos", {"across": 12, "down": 12})
    blank = tmp_path / "photos" / "down" / "blank.png"
    Image.new("RGB", (90, 120), (9, 9, 9)).save(blank)
    command = ["train", str(data), "-o", "a.visto", "--scratch", "--prepare", "gray, otsu", "--size", "32"]
    assert run([*command, "--epochs", "1", "--threads", "1"]) == 0
    manifest = read_bundle(Path("a.visto")).manifest
    assert manifest.preprocess.arguments["prepare"] == ["gray", "otsu"]
    assert manifest.preprocess.arguments["channels"] == 1
    assert "blank.png,rejected" in Path("a.run/ledger.csv").read_text()
    assert set(visto.load("a.visto").recogniser.fit(visto_image(data)).unique().tolist()) == {0, 255}
    assert run(["predict", "a.visto", str(blank)]) == 3
    assert "blank.png  error:" in capsys.readouterr().err
    assert run(["train", str(data), "-o", "b.visto", "--prepare", "sharpen,foo"]) == 2
    assert "foo" in capsys.readouterr().err
    assert not Path("b.run/run.json").exists()


def visto_image(data: Path) -> "object":
    import torch

    pixels = np.asarray(Image.open(data / "across" / "0.png"))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]


@pytest.mark.parametrize("balance", ["weights", "sampling", "logits"])
def test_classes_of_unequal_size_can_be_balanced(balance: str, tmp_path: Path) -> None:
    data = photos(tmp_path / "photos", {"across": 30, "down": 5})
    command = ["train", str(data), "-o", "a.visto", "--balance", balance, "--repeats", "2", "--batch-size", "8"]
    assert run([*command, "--scratch", "--size", "32", "--epochs", "1", "--threads", "1"]) == 0
    recipe = read_bundle(Path("a.visto")).manifest.recipe
    assert (recipe["balance"], recipe["repeats"]) == (balance, 2)


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--balance", "evenly"], 2, "balance"),
        (["--unfreeze", "3", "--scratch"], 2, "--unfreeze"),
        (["--views", "-1"], 2, "views"),
        (["--model", "resnet50"], 2, "not on this machine"),
        (["--repeats", "0"], 2, "repeats"),
        (["--lr-decay", "2"], 2, "lr decay"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(
    more: list[str], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = photos(tmp_path / "photos", {"across": 4, "down": 4})
    assert run(["train", str(data), "-o", "a.visto", *more]) == code
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error
    assert not Path("a.run/ledger.csv").exists()


def test_a_weights_file_with_a_wrong_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = photos(tmp_path / "photos", {"across": 4, "down": 4})
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "efficientnet-lite0-57934424.pth").write_bytes(b"changed")
    monkeypatch.setenv("VISTO_WEIGHTS", str(tmp_path / "mirror"))
    assert run(["train", str(data), "-o", "a.visto", *QUICK]) == 4
    assert "SHA-256" in capsys.readouterr().err
