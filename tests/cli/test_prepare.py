"""``visto prepare``: the picture, what is said, and what is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.cli.conftest import Visto, contents, picture
from visto.preprocess import STEPS


def _pixels(path: str | Path, mode: str = "RGB") -> NDArray[np.uint8]:
    with Image.open(path) as opened:
        return np.asarray(opened.convert(mode))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    picture(120, 1, (60, 90)).save(tmp_path / "in.png")
    return tmp_path / "in.png"


def test_before_and_after_side_by_side(visto: Visto, image: Path) -> None:
    ended = visto("prepare", image, "--steps", "gray,clahe", "-o", "new/out.png")
    assert ended.code == 0
    assert "gray, clahe=2:8 on 90×60 pixels" in ended.out
    shown = _pixels("new/out.png")
    times = 3  # 90 pixels are enlarged to 270
    before, after = shown[8 : 8 + 60 * times, 8 : 8 + 90 * times], shown[8 : 8 + 60 * times, -8 - 90 * times : -8]
    assert np.array_equal(before[::times, ::times], _pixels(image))
    assert (after == after[..., :1]).all()
    assert not np.array_equal(before, after)
    assert (shown[8 + 60 * times + 4 :] < 100).any()  # words


def test_a_long_list_of_steps_below_a_narrow_picture(visto: Visto) -> None:
    picture(120, 1, (1, 1)).save("in.png")
    steps = ",".join(["gamma=0.8"] * 30)
    assert visto("prepare", "in.png", "--steps", steps, "-o", "out.png").code == 0
    height, width = _pixels("out.png").shape[:2]
    assert width == 2 * 224 + 3 * 8
    assert height > 224 + 5 * 20


def test_a_large_image_is_shown_smaller(visto: Visto) -> None:
    picture(120, 1, (1500, 3000)).save("in.png")
    ended = visto("prepare", "in.png", "--steps", "gray", "-o", "out.png")
    assert "--only-after" in ended.err
    assert _pixels("out.png").shape[1] == 2 * 1024 + 3 * 8
    ended = visto("prepare", "in.png", "--steps", "gray", "-o", "out.png", "--only-after")
    assert not ended.err
    assert _pixels("out.png").shape == (1500, 3000, 3)


def test_only_after(visto: Visto, image: Path) -> None:
    assert visto("prepare", image, "--steps", "gray", "-o", "out.png", "--only-after").code == 0
    grey = _pixels(image, "L")
    assert np.array_equal(_pixels("out.png", "L"), grey)


def test_the_size_of_training(visto: Visto, image: Path) -> None:
    ended = visto("prepare", image, "--steps", "median", "-o", "out.png", "--only-after", "--size", "32")
    assert "32×32 pixels" in ended.out
    assert _pixels("out.png").shape == (32, 32, 3)
    ended = visto("prepare", image, "--steps", "clahe", "-o", "out.png", "--size", "8")
    assert ended.code == 2
    assert "16×16" in ended.err


def test_json_and_quiet(visto: Visto, image: Path) -> None:
    ended = visto("prepare", image, "--steps", "grey,canny", "-o", "out.png", "--json", "--quiet")
    assert not ended.err
    document = ended.document
    assert document.pop("seconds") >= 0
    assert document == {
        "image": str(image),
        "out": "out.png",
        "steps": ["gray", "canny=50:100:1"],
        "notes": [],
        "width": 90,
        "height": 60,
    }


def test_the_list(visto: Visto) -> None:
    said = visto("prepare", "--list").out
    assert all(f"\n{name}" in f"\n{said}" for name in STEPS)
    assert "clahe=clip:tiles" in said
    listed = visto("prepare", "--list", "--json").document
    assert listed.keys() == STEPS.keys()
    assert listed["median"]["parameters"]["size"]["default"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "IMAGE"),
        (["in.png"], "--steps"),
        (["in.png", "--steps", "gray"], "--out"),
        (["in.png", "--steps", "nonsense", "-o", "out.png"], "nonsense"),
        (["in.png", "--steps", "gamma=99", "-o", "out.png"], "0.1 to 10"),
        (["in.png", "--steps", "", "-o", "out.png"], "without a name"),
        (["in.png", "--steps", "gray", "-o", "out.jpg"], ".png"),
        (["in.png", "--steps", "gray", "-o", "in.png"], "the image itself"),
        (["in.png", "--steps", "gray", "-o", "link.png"], "the image itself"),
        (["in.png", "--steps", "gray", "-o", "out.png", "--size", "1"], "--size"),
    ],
)
def test_misuse(visto: Visto, image: Path, arguments: list[str], said: str) -> None:
    Path("link.png").symlink_to(image)
    before = contents(visto.folder)
    ended = visto("prepare", *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert not ended.out
    assert visto("prepare", *arguments, "--json").document["error"]["code"] == 2
    assert contents(visto.folder) == before


def test_an_image_that_cannot_be_read_or_treated(visto: Visto, image: Path) -> None:
    Path("empty.png").touch()
    Image.new("RGB", (20, 20), "red").save("red.png")
    before = contents(visto.folder)
    for name, steps in (
        ("nowhere.png", "gray"),
        ("empty.png", "gray"),
        ("red.png", "otsu"),
        ("red.png", "adaptive=21"),
    ):
        ended = visto("prepare", name, "--steps", steps, "-o", "out.png")
        assert ended.code == 3
        assert name in ended.err
        assert not ended.out
    assert contents(visto.folder) == before


def test_a_place_that_cannot_be_written(visto: Visto, image: Path) -> None:
    Path("folder.png").mkdir()
    for out in ("folder.png", "/proc/out.png", f"{image}/out.png"):
        assert visto("prepare", image, "--steps", "gray", "-o", out).code == 5


def test_a_picture_that_is_there_is_replaced(visto: Visto, image: Path) -> None:
    for steps in ("gray", "sobel"):
        assert visto("prepare", image, "--steps", steps, "-o", "out.png", "--only-after").code == 0
    assert not np.array_equal(_pixels("out.png", "L"), _pixels(image, "L"))


def test_a_repair_is_said(visto: Visto) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint16) + 300).save("deep.png")
    ended = visto("prepare", "deep.png", "--steps", "gamma=0.5", "-o", "out.png")
    assert ended.code == 0
    assert "deep.png" in ended.err


def test_its_help_is_quick() -> None:
    code = """
import sys
from visto.__main__ import run
assert run(["prepare", "--help"]) == 0
assert run(["prepare"]) == 2
slow = {"torch", "numpy", "PIL"} & set(sys.modules)
assert not slow, slow
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
