"""Boxes follow the pixels: painted rectangles are enclosed by their boxes after every augmentation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from visto.data.augment_boxes import BORDER, BOX_AUGMENTATIONS, Piece, augment_boxes, composed, flipped

HEIGHT, WIDTH = 64, 96
COLOURS = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=torch.uint8)
Both = tuple[Tensor, Tensor]


def generator(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def painted(n: int, seed: int, *, most: int = 3) -> Both:
    """Black images, each with up to ``most`` rectangles, every one of another colour, in columns of their own."""
    random = generator(seed)
    images = torch.zeros(n, 3, HEIGHT, WIDTH, dtype=torch.uint8)
    targets = torch.full((n, most + 1, 6), -1.0)
    for image, rows in zip(images, targets, strict=True):
        for k in range(int(torch.randint(0, most + 1, (), generator=random))):
            x0 = k * WIDTH // most + int(torch.randint(0, 8, (), generator=random))
            y0 = int(torch.randint(0, HEIGHT - 30, (), generator=random))
            x1, y1 = (
                x0 + int(torch.randint(12, 24, (), generator=random)),
                y0 + int(torch.randint(12, 30, (), generator=random)),
            )
            image[:, y0:y1, x0:x1] = COLOURS[k][:, None, None]
            rows[k] = torch.tensor([k, x0, y0, x1, y1, k % 2])
    return images, targets


def seen(image: Tensor, kind: int) -> Tensor:
    """The box around what is mostly of that colour: x0, y0, x1, y1; fails where there is nothing."""
    others = [k for k in range(3) if k != kind]
    mask = image[kind].int() - image[others].int().amax(0) > 127
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    return torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()


def real(rows: Tensor) -> Tensor:
    return rows[rows[:, 0] >= 0]


def check_places(images: Tensor, targets: Tensor) -> int:
    """Every box encloses exactly the pixels of its colour, to 2 pixels; how many there were."""
    count = 0
    for image, rows in zip(images, targets, strict=True):
        for row in real(rows):
            assert bool(((seen(image, int(row[0])) - row[1:5]).abs() <= 2).all()), row
            count += 1
    return count


def check_all_are_named(images: Tensor, targets: Tensor) -> None:
    """What of a colour is well in sight has a box."""
    for image, rows in zip(images, targets, strict=True):
        for kind in range(3):
            others = [k for k in range(3) if k != kind]
            many = int((image[kind].int() - image[others].int().amax(0) > 127).sum())
            assert many < 200 or kind in real(rows)[:, 0].tolist()


@pytest.mark.parametrize("name", ["flip", "zoom"])
@pytest.mark.parametrize("seed", range(4))
def test_boxes_follow_the_pixels(name: str, seed: int) -> None:
    images, targets = painted(16, seed)
    assert check_places(images, targets) > 5
    moved, boxes = BOX_AUGMENTATIONS[name](images, targets, generator(seed))
    assert not torch.equal(moved, images)
    assert check_places(moved, boxes) > 5
    check_all_are_named(moved, boxes)


@pytest.mark.parametrize("seed", range(6))
def test_boxes_follow_the_pixels_into_a_mosaic(seed: int) -> None:
    """A box is filled with its colour, and ends where the colour does; what has no box is a small part of a thing."""
    images = torch.zeros(4, 3, HEIGHT, WIDTH, dtype=torch.uint8)
    targets = torch.full((4, 1, 6), -1.0)
    for k in range(3):
        images[k, :, 20:44, 30:66] = COLOURS[k][:, None, None]
        targets[k, 0] = torch.tensor([k, 30, 20, 66, 44, 0])
    moved, boxes = images, targets
    while torch.equal(moved, images):  # chance may make none
        moved, boxes = BOX_AUGMENTATIONS["mosaic"](images, targets, generator(seed))
        seed += 100
    for image, rows in zip(moved, boxes, strict=True):
        assert not bool((image == BORDER).all(0).any()), "a mosaic has no border"
        unnamed = image.int().clone()
        for kind, x0, y0, x1, y1, _ in real(rows).tolist():
            inner = image[int(kind), round(y0) + 1 : round(y1) - 1, round(x0) + 1 : round(x1) - 1]
            assert bool((inner > 127).all())
            unnamed[int(kind), max(0, round(y0) - 2) : round(y1) + 2, max(0, round(x0) - 2) : round(x1) + 2] = 0
        assert int((unnamed > 127).sum()) <= 4 * 0.2 * 36 * 24 * 1.35**2


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0.4, 2.5),
    st.floats(0.4, 2.5),
    st.floats(-60, 60),
    st.floats(-60, 60),
    st.integers(0, 40),
    st.integers(0, 30),
    st.integers(50, WIDTH),
    st.integers(40, HEIGHT),
    st.integers(0, 99),
)
def test_a_piece_shows_what_its_boxes_say(
    across: float, down: float, right: float, below: float, x0: int, y0: int, x1: int, y1: int, seed: int
) -> None:
    images, targets = painted(1, seed)
    piece = Piece(source=0, scale=(across, down), move=(right, below), window=(x0, y0, x1, y1))
    moved, boxes = composed(images, targets, [[piece]])
    edges = torch.tensor([x0, y0, x0, y0, x1, y1, x1, y1]).float().view(2, 4)
    for row in real(boxes[0]):
        assert bool((row[1:5] >= edges[0]).all()) and bool((row[1:5] <= edges[1]).all())
    # pixels are taken whole: half a pixel of the source is up to 1.25 of the result
    for row in real(boxes[0]):
        if min(row[3] - row[1], row[4] - row[2]) > 4:
            assert bool(((seen(moved[0], int(row[0])) - row[1:5]).abs() <= 2.5).all()), row
    outside = moved[0].clone()
    outside[:, y0:y1, x0:x1] = BORDER
    assert bool((outside == BORDER).all())


@pytest.mark.parametrize("name", BOX_AUGMENTATIONS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_conformance(name: str, layout: torch.memory_format) -> None:
    for n, channels in ((5, 3), (1, 3), (3, 1)):
        images, targets = painted(n, 7)
        images = images[:, :channels].contiguous(memory_format=layout)
        before = images.clone(), targets.clone()
        first, second = (BOX_AUGMENTATIONS[name](images, targets, generator(3)) for _ in range(2))
        assert torch.equal(images, before[0]) and torch.equal(targets, before[1])
        assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
        assert first[0].shape == images.shape
        assert first[1].dtype == torch.float32 and first[1].shape[0] == n and first[1].shape[2] == 6
        boxes = real(first[1].flatten(0, 1))
        assert bool((boxes[:, 1:3] >= 0).all() and (boxes[:, 3] <= WIDTH).all() and (boxes[:, 4] <= HEIGHT).all())
        assert bool((boxes[:, 3:5] > boxes[:, 1:3]).all())
        assert bool((boxes[:, 5] >= boxes[:, 0] % 2).all()), "ignored boxes stay ignored"


def test_the_result_is_bytes_where_places_change() -> None:
    images, targets = painted(4, 0)
    for name in ("mosaic", "zoom", "flip"):
        assert augment_boxes(images, targets, [name], generator(0))[0].dtype == torch.uint8
    out, boxes = augment_boxes(images, targets, tuple(BOX_AUGMENTATIONS), generator(0))
    assert out.shape == images.shape
    assert float(out.min()) >= 0 and float(out.max()) <= 255
    assert boxes.shape[2] == 6


def test_images_without_boxes() -> None:
    images = torch.zeros(3, 3, HEIGHT, WIDTH, dtype=torch.uint8)
    for targets in (torch.full((3, 0, 6), -1.0), torch.full((3, 2, 6), -1.0)):
        for name in BOX_AUGMENTATIONS:
            _, boxes = BOX_AUGMENTATIONS[name](images, targets, generator(0))
            assert not len(real(boxes.flatten(0, 1)))


def test_a_flip_twice_is_none_and_is_asked_for_row_by_row() -> None:
    images, targets = painted(6, 2)
    which = torch.tensor([True, False, True, False, False, True])
    once = augment_boxes(images, targets, ["flip"], generator(0), which)
    assert torch.equal(once[0][1], images[1]) and torch.equal(once[0][0], images[0].flip(2))
    assert check_places(*once) == len(real(targets.flatten(0, 1)))
    twice = flipped(*once, which)
    assert torch.equal(twice[0], images)
    assert torch.equal(real(twice[1].flatten(0, 1)), real(targets.flatten(0, 1)))


def test_what_is_hardly_left_in_sight_is_ignored() -> None:
    images = torch.zeros(1, 3, HEIGHT, WIDTH, dtype=torch.uint8)
    targets = torch.tensor([[[0.0, 0, 0, 20, 20, 0], [1, 40, 0, 60, 20, 0]]])
    piece = Piece(source=0, scale=(1.0, 1.0), move=(-17.0, 0.0), window=(0, 0, WIDTH, HEIGHT))
    _, boxes = composed(images, targets, [[piece]])
    assert boxes.tolist() == [[[0.0, 0.0, 0.0, 3.0, 20.0, 1.0], [1.0, 23.0, 0.0, 43.0, 20.0, 0.0]]]
    away = Piece(source=0, scale=(1.0, 1.0), move=(-20.0, 0.0), window=(0, 0, WIDTH, HEIGHT))
    assert composed(images, targets, [[away]])[1].tolist() == [[[1.0, 20.0, 0.0, 40.0, 20.0, 0.0]]]


def test_small_boxes_stay_where_nothing_is_changed() -> None:
    images = torch.zeros(1, 3, HEIGHT, WIDTH, dtype=torch.uint8)
    targets = torch.tensor([[[0.0, 5, 5, 6.5, 9, 0]]])
    piece = Piece(source=0, scale=(1.0, 1.0), move=(0.0, 0.0), window=(0, 0, WIDTH, HEIGHT))
    assert torch.equal(composed(images, targets, [[piece]])[1], targets)
