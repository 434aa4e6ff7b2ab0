"""Boxes on a picture: where they are drawn, in which colours, and that every label can be read."""

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from visto.ops.picture import COLOURS, boxed
from visto.types import Boxes

GREY = 128


def _boxes(*rows: tuple[float, float, float, float], labels: list[int] | None = None) -> Boxes:
    labels = labels or [0] * len(rows)
    return Boxes(xyxy=torch.tensor(rows).reshape(-1, 4), labels=torch.tensor(labels, dtype=torch.int64))


def _ground(height: int = 300, width: int = 400, channels: int = 3) -> torch.Tensor:
    return torch.full((channels, height, width), GREY, dtype=torch.uint8)


def _pixels(content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


def _of(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The box around all pixels of that colour, as edges x0, y0, x1, y1."""
    rows, columns = np.nonzero((pixels == colour).all(axis=-1))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_a_box_is_drawn_on_its_edge() -> None:
    pixels = _pixels(boxed(_ground(), _boxes((100, 50, 300, 200)), [""]))
    assert pixels.shape == (300, 400, 3)
    assert _of(pixels, COLOURS[0]) == (100, 50, 300, 200)
    assert (pixels[70:180, 120:280] == GREY).all()
    assert (pixels[:48] == GREY).all()
    assert (pixels[49, 100:300] < 50).all()  # the dark line around it
    assert (pixels[60, 99] < 50).all()


def test_small_pictures_are_enlarged_with_their_boxes() -> None:
    pixels = _pixels(boxed(_ground(75, 100), _boxes((25, 10, 50, 60)), [""]))
    assert pixels.shape == (225, 300, 3)
    assert _of(pixels, COLOURS[0]) == (75, 30, 150, 180)


def test_classes_have_their_own_colours_and_then_dashes() -> None:
    many = len(COLOURS)
    rows = [(20.0 + 40 * k, 100.0, 50.0 + 40 * k, 200.0) for k in range(many)]
    pixels = _pixels(boxed(_ground(), _boxes(*rows, labels=list(range(many))), [""] * many))
    assert [_of(pixels, colour)[:2] for colour in COLOURS] == [(20 + 40 * k, 100) for k in range(many)]
    first, again = (_pixels(boxed(_ground(), _boxes(*rows[:1]), [""], [look])) for look in (0, many))
    of_colour = [int((picture == COLOURS[0]).all(axis=-1).sum()) for picture in (first, again)]
    assert 0.3 * of_colour[0] < of_colour[1] < 0.7 * of_colour[0]


def _seen_by(colour: tuple[int, int, int], matrix: list[list[float]]) -> NDArray[np.float64]:
    """The colour as a dichromat sees it (Machado, Oliveira and Fernandes 2009), linear RGB."""
    linear = (np.array(colour) / 255) ** 2.2
    return np.asarray(np.array(matrix) @ linear).clip(0, 1) ** (1 / 2.2)


@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ],
    ids=["any", "protan", "deutan", "tritan"],
)
def test_colours_are_told_apart(matrix: list[list[float]]) -> None:
    seen = [_seen_by(colour, matrix) for colour in COLOURS]
    nearest = min(float(np.abs(a - b).max()) for i, a in enumerate(seen) for b in seen[:i])
    assert nearest > 0.08  # of 1; red and green of full brightness come as near as 0.02 to others


@pytest.mark.parametrize("colour", range(len(COLOURS)))
@pytest.mark.parametrize("corner", [(0, 0), (370, 0), (0, 280), (370, 280), (180, 140)])
def test_words_are_inside_the_picture_and_stand_out(colour: int, corner: tuple[int, int]) -> None:
    x, y = corner
    words = "a long name 0.93"
    bare, named = (
        _pixels(boxed(_ground(), _boxes((x, y, x + 30, y + 20)), [text], [colour])).astype(int) for text in ("", words)
    )
    changed = np.abs(named - bare).max(axis=-1) > 0
    ground = changed & (named == COLOURS[colour]).all(axis=-1)
    ink = changed & ((named == 0).all(axis=-1) | (named == 255).all(axis=-1))
    assert ground.sum() > 600
    assert ink.sum() > 5
    assert (changed & ~ground).sum() > 300  # letters, most of their pixels between the two
    wide = np.flatnonzero(changed.any(axis=0))
    assert wide.max() - wide.min() > 80  # all of it, not cut at the edge
    shades = [_luminance(tuple(named[ink][0])), _luminance(COLOURS[colour])]
    assert (max(shades) + 0.05) / (min(shades) + 0.05) > 4.5  # WCAG 2, level AA


def _luminance(colour: tuple[int, ...]) -> float:
    linear = [v / 255 / 12.92 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_labels_make_way_for_each_other() -> None:
    """Two boxes at nearly the same place: both labels are there, side by side."""
    two = _boxes((150, 100, 300, 200), (152, 102, 302, 202), labels=[0, 1])
    pixels = _pixels(boxed(_ground(), two, ["first 0.9", "second 0.8"]))
    alone = _pixels(boxed(_ground(), _boxes((150, 100, 300, 200)), ["first 0.9"]))
    wholes = [int((picture == COLOURS[0]).all(axis=-1)[:99].sum()) for picture in (pixels, alone)]
    assert wholes[0] == wholes[1] > 0
    assert int((pixels == COLOURS[1]).all(axis=-1)[:99].sum()) > 300


def test_long_words_are_cut_and_letters_that_are_missing_replaced() -> None:
    box = _boxes((100, 100, 200, 200))
    pixels = _pixels(boxed(_ground(), box, ["word " * 100]))
    assert pixels.shape == (300, 400, 3)
    assert boxed(_ground(), box, ["Señal é ß 猫"]) == boxed(_ground(), box, ["Senal e ss ?"])


def test_boxes_of_any_shape() -> None:
    """Outside, over all, without size; grey pictures and none."""
    rows = [(-50.0, -50.0, 900.0, 900.0), (390.0, 290.0, 400.0, 300.0), (10.0, 10.0, 10.0, 10.0), (800, 800, 900, 900)]
    for channels in (1, 3):
        pixels = _pixels(boxed(_ground(channels=channels), _boxes(*rows), ["a", "b", "c", "d"]))
        assert _of(pixels, COLOURS[0]) == (0, 0, 400, 300)
    assert (_pixels(boxed(_ground(), _boxes(), [])) == GREY).all()


def test_the_best_box_lies_on_top() -> None:
    pair = _boxes((100, 100, 200, 200), (100, 100, 200, 200), labels=[0, 1])
    for scores, on_top in (([0.9, 0.1], 0), ([0.1, 0.9], 1)):
        scored = Boxes(xyxy=pair.xyxy, labels=pair.labels, scores=torch.tensor(scores))
        pixels = _pixels(boxed(_ground(), scored, ["", ""]))
        assert tuple(pixels[100, 150].tolist()) == COLOURS[on_top]


def test_one_word_and_colour_a_box() -> None:
    with pytest.raises(ValueError, match="1 boxes with 2 words"):
        boxed(_ground(), _boxes((1, 1, 5, 5)), ["a", "b"])
    with pytest.raises(ValueError, match="and 0 colours"):
        boxed(_ground(), _boxes((1, 1, 5, 5)), ["a"], [])
