"""Augmentations by what they do to pixels; what all have in common is in test_conformance."""

import pytest
import torch
from torch import Generator

from visto.data.augment import _beta, affine, augment, check_names, colour, crop, erase, flip, mixup, zoom
from visto.errors import UsageError


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def test_flip_mirrors_about_half_of_the_images() -> None:
    images = torch.arange(12, dtype=torch.uint8).reshape(1, 1, 3, 4).repeat(400, 1, 1, 1)
    flipped = flip(images, seeded())
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    same = (flipped == images).flatten(1).all(1)
    assert bool((mirrored ^ same).all())
    assert 150 < int(mirrored.sum()) < 250


def test_crop_shifts_and_reflects() -> None:
    images = torch.arange(64, dtype=torch.uint8).reshape(1, 1, 8, 8).repeat(200, 1, 1, 1)
    seen = {tuple(image.flatten().tolist()) for image in crop(images, seeded())}
    assert len(seen) == 9  # up to one pixel each way, of eight
    down = torch.cat([images[0, 0, 1:2], images[0, 0, :7]])  # row -1 reflects to row 1
    assert tuple(down.flatten().tolist()) in seen


def test_erase_fills_with_the_mean_and_little_else() -> None:
    images = torch.randint(0, 256, (50, 3, 32, 32), dtype=torch.uint8)
    erased = erase(images, seeded())
    changed = (erased != images).any(1).float().mean((1, 2))
    assert 0 < float(changed.mean()) < 0.09
    assert erased.dtype == torch.uint8


def test_affine_and_colour_change_every_image_a_little() -> None:
    images = torch.randint(0, 256, (20, 3, 16, 16)).float()
    for function in (affine, colour):
        assert bool((function(images, seeded()) - images).abs().flatten(1).amax(1).gt(0.5).all())


def test_mixup_blends_images_and_labels_alike() -> None:
    images, labels = torch.eye(4).reshape(4, 4, 1, 1) * 100, torch.eye(4)
    mixed, soft = mixup(images, labels, 0.4, seeded())
    assert torch.allclose(mixed.flatten(1) / 100, soft)
    assert torch.allclose(soft.sum(1), torch.ones(4))


def test_beta_has_the_right_moments() -> None:
    generator = seeded()
    draws = torch.tensor([_beta(0.4, generator) for _ in range(4_000)])
    assert float(draws.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(draws.var()) == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.02)


def test_names_are_checked() -> None:
    with pytest.raises(UsageError, match="'rotate'"):
        check_names(["flip", "rotate"])
    images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    assert augment(images, (), seeded()) is images


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_zoom_shows_a_part_of_each_image(layout: torch.memory_format) -> None:
    """On a slope down and one across, a part of an image is a gentler slope: its ends say which rows were taken."""
    down = torch.arange(100, dtype=torch.uint8)[:, None].expand(100, 80)
    across = torch.arange(80, dtype=torch.uint8)[None, :].expand(100, 80)
    images = torch.stack([down, across]).expand(60, -1, -1, -1).contiguous(memory_format=layout)
    found = zoom(images, seeded())
    assert found.dtype == torch.uint8 and found.shape == images.shape
    rows, columns = found[:, 0].int(), found[:, 1].int()
    assert torch.equal(rows, rows[:, :, :1].expand_as(rows))  # nothing is turned
    tall, wide = rows[:, -1, 0] - rows[:, 0, 0], columns[:, 0, -1] - columns[:, 0, 0]
    assert 45 <= int(tall.min()) < 60 and 90 < int(tall.max()) <= 99
    assert 36 <= int(wide.min()) < 50 and 70 < int(wide.max()) <= 79
    assert len(set(rows[:, 0, 0].tolist())) > 10
    assert torch.equal(found, zoom(images, seeded()))
    assert (zoom(images.float(), seeded()) - found).abs().max() <= 1
