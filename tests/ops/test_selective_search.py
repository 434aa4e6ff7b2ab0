"""Selective search: flat shapes are found, whole and in parts; what it promises of its boxes; real blood cells."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from visto.data import read
from visto.data.decode import decode
from visto.errors import UsageError
from visto.ops.boxes import box_areas, box_iou
from visto.ops.selective_search import Weights, group, likeness, neighbours, regions, selective_search
from visto.types import Boxes

SHAPES = {(20, 30, 60, 110): (200, 40, 40), (90, 15, 165, 52): (30, 90, 200), (101, 81, 140, 133): (20, 120, 30)}
RED, BLUE = (200, 40, 40), (30, 90, 200)


def _scene(shapes: dict[tuple[int, int, int, int], tuple[int, int, int]], height: int, width: int) -> Tensor:
    image = torch.full((3, height, width), 230, dtype=torch.uint8)
    for (x0, y0, x1, y1), colour in shapes.items():
        image[:, y0:y1, x0:x1] = torch.tensor(colour, dtype=torch.uint8)[:, None, None]
    return image


def _best(boxes_m4: Tensor, *true: tuple[int, int, int, int]) -> list[float]:
    found: list[float] = box_iou(boxes_m4, torch.tensor(true, dtype=torch.float32)).amax(0).tolist()
    return found


def _noise(channels: int, height: int, width: int) -> Tensor:
    coarse = torch.randint(0, 256, (1, channels, 5, 7), generator=torch.Generator().manual_seed(3))
    return F.interpolate(coarse.float(), (height, width), mode="bicubic")[0].clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("times", [1, 3])
def test_flat_rectangles_are_found(times: int) -> None:
    """The larger image, 480×540, is worked on at a smaller size."""
    image = _scene(SHAPES, 160, 180).repeat_interleave(times, 1).repeat_interleave(times, 2)
    boxes = selective_search(image) / times
    assert min(_best(boxes, *SHAPES)) >= 0.9


def test_a_thing_of_two_colours_is_found_whole_and_in_parts() -> None:
    parts = {(40, 30, 80, 90): RED, (80, 30, 110, 90): BLUE}
    boxes = selective_search(_scene(parts, 120, 150))
    assert min(_best(boxes, (40, 30, 110, 90), *parts)) >= 0.9


def test_a_thing_in_a_thing_is_found_and_so_is_what_holds_it() -> None:
    nested = {(30, 20, 120, 100): RED, (60, 45, 90, 75): BLUE}
    assert min(_best(selective_search(_scene(nested, 120, 150)), *nested)) >= 0.9


@pytest.mark.parametrize("shape", [(3, 60, 80), (1, 60, 80), (3, 1, 1), (1, 1, 1), (3, 1, 40), (1, 40, 1), (3, 2, 3)])
def test_a_flat_image_is_one_box(shape: tuple[int, int, int]) -> None:
    boxes = selective_search(torch.full(shape, 90, dtype=torch.uint8))
    assert boxes.tolist() == [[0, 0, shape[2], shape[1]]]


@pytest.mark.parametrize(
    "shape", [(3, 60, 90), (1, 60, 90), (3, 301, 333), (3, 9, 7), (1, 3, 200), (3, 5, 1), (3, 2, 2)]
)
def test_boxes_lie_in_the_image_have_an_area_and_are_distinct(shape: tuple[int, int, int]) -> None:
    image = _noise(*shape)
    before = image.clone()
    boxes = selective_search(image)
    assert boxes.dtype == torch.float32 and boxes.shape[1:] == (4,) and 1 <= len(boxes) <= 300
    assert boxes.min() >= 0 and boxes[:, 2].max() <= shape[2] and boxes[:, 3].max() <= shape[1]
    assert bool((box_areas(boxes) > 0).all())
    assert box_iou(boxes, boxes).fill_diagonal_(0).max() <= 0.7 + 1e-6
    assert torch.equal(image, before)


def test_the_same_image_has_the_same_boxes_and_fewer_are_the_first_of_them() -> None:
    image = _noise(3, 60, 90)
    boxes = selective_search(image)
    assert len(boxes) > 7
    assert torch.equal(boxes, selective_search(image.clone()))
    assert torch.equal(boxes[:7], selective_search(image, most=7))


def test_grey_shapes_are_found() -> None:
    image = _scene(SHAPES, 160, 180).float().mean(0, keepdim=True).to(torch.uint8)
    assert min(_best(selective_search(image), *SHAPES)) >= 0.9


@pytest.mark.parametrize(
    "image",
    [torch.zeros(3, 8, 8), torch.zeros(8, 8, dtype=torch.uint8), torch.zeros(4, 8, 8, dtype=torch.uint8)],
    ids=["float", "two axes", "four channels"],
)
def test_other_images_are_refused(image: Tensor) -> None:
    with pytest.raises(ValueError, match="expected uint8 C×H×W"):
        selective_search(image)


@pytest.mark.parametrize(("shape", "most"), [((3, 8, 8), 0), ((3, 0, 8), 5)])
def test_nothing_to_look_for_or_in_is_refused(shape: tuple[int, int, int], most: int) -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        selective_search(torch.zeros(shape, dtype=torch.uint8), most=most)


def test_without_scikit_image_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "skimage"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Without(), *sys.meta_path])
    with pytest.raises(UsageError, match="scikit-image") as met:
        selective_search(torch.zeros(3, 8, 8, dtype=torch.uint8))
    assert 'pip install "visto[rcnn]"' in met.value.hint


class _Without:
    """An importer that finds no scikit-image."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] == "skimage":
            raise ModuleNotFoundError(f"No module named {name!r}", name="skimage")


def test_likeness_by_hand() -> None:
    """Grey values of 3 rows × 4: a black column, then two white, and a mid-grey one whose lowest pixel is white."""
    rows = [[0, 1, 1, 0.5], [0, 1, 1, 0.5], [0, 1, 1, 1]]
    segments = np.array([[0, 1, 1, 2], [0, 1, 1, 2], [0, 1, 1, 2]])
    found = regions(np.array(rows)[..., None], segments)
    assert found.sizes_n.tolist() == [3, 6, 3]
    assert found.boxes_n4.tolist() == [[0, 0, 1, 3], [1, 0, 3, 3], [3, 0, 4, 3]]
    assert neighbours(segments).tolist() == [[0, 1], [1, 2]]
    one, two = np.array([1, 0]), np.array([2, 2])

    def told(weights: Weights) -> list[float]:
        values: list[float] = likeness(found, one, two, weights).tolist()
        return values

    assert told(Weights(colour=1)) == pytest.approx([1 / 3, 0])  # a third of region 2 is white
    assert told(Weights(size=1)) == pytest.approx([1 - 9 / 12, 1 - 6 / 12])
    assert told(Weights(fill=1)) == pytest.approx([1, 1 - 6 / 12])  # 0 and 2 leave the six pixels between them
    assert told(Weights(colour=3, size=1, fill=1)) == pytest.approx([1 + 1 / 4 + 1, 1])
    flat = regions(np.full((3, 4, 1), 0.3), segments)
    assert likeness(flat, one, two, Weights(texture=1)).tolist() == pytest.approx([1, 1])


def test_two_textures_of_one_colour_are_less_alike() -> None:
    """Stripes that run down, across, and down again."""
    y, x = np.mgrid[0:12, 0:36]
    stripes = np.where((x // 12) == 1, y // 2 % 2, x // 2 % 2) * 0.5
    found = regions(stripes[..., None], x // 12)
    alike = likeness(found, np.array([0, 0]), np.array([2, 1]), Weights(texture=1))
    assert alike[0] > 0.85 and alike[1] < 0.3


def test_the_most_alike_are_joined_first() -> None:
    pixels = np.repeat(np.array([[0.1, 0.1, 0.9, 0.5]]), 2, 0)[..., None]
    segments = np.array([[0, 1, 2, 3], [0, 1, 2, 3]])
    found = group(regions(pixels, segments), neighbours(segments), Weights(colour=1))
    assert len(found.sizes_n) == 7
    assert found.boxes_n4[4].tolist() == [0, 0, 2, 2] and found.boxes_n4[6].tolist() == [0, 0, 4, 2]
    assert found.sizes_n[4:].tolist()[0] == 4 and found.sizes_n[6] == 8
    assert found.colours_nb.sum(1) == pytest.approx(1)


@pytest.mark.shared_data
def test_blood_cells_are_among_the_boxes() -> None:
    """0.955 of all in the split to train."""
    data = read(Path(os.environ["VISTO_DATA"]) / "bccd")
    hits = []
    for item in [item for item in data.items if item.split == "train"][::30]:
        assert isinstance(item.source, Path) and isinstance(item.target, Boxes)
        image = decode(item.source.read_bytes()).pixels
        times = 416 / max(image.shape[1:])
        size = [round(side * times) for side in image.shape[1:]]
        small = F.interpolate(image[None], size, mode="bilinear", antialias=True)[0]
        hits.append(box_iou(selective_search(small), item.target.xyxy * times).amax(0) >= 0.5)
    assert torch.cat(hits).float().mean() >= 0.9
