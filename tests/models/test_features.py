"""What all hand-made features have in common, and where each one refuses."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.features import FEATURES

SHAPES = ((1, 28, 28), (3, 32, 32), (3, 17, 40), (1, 41, 16), (3, 96, 96))


def _images(channels: int, height: int, width: int, n: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, channels, height, width), generator=generator) / 255


def _built(name: str, shape: Sequence[int]) -> nn.Module:
    return FEATURES[name](channels=shape[0], size=list(shape[1:]))


HAND_MADE = [name for name in FEATURES if name != "deep"]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", HAND_MADE)
def test_contract(name: str, shape: tuple[int, int, int]) -> None:
    features, images = _built(name, shape), _images(*shape)
    before = images.clone()
    found = features(images)
    assert found.dtype == torch.float32
    assert found.shape == (4, features.dimensions)
    assert bool(found.isfinite().all())
    assert not list(features.parameters()) and not features.state_dict()
    assert torch.equal(images, before)
    assert torch.equal(found, torch.cat([features(image[None]) for image in images]))
    assert torch.equal(found, features(images.contiguous(memory_format=torch.channels_last)))
    assert len({tuple(row) for row in found.tolist()}) == 4
    found.zero_()
    assert torch.equal(images, before)


@pytest.mark.parametrize("value", [0.0, 1 / 255, 0.5, 1.0])
@pytest.mark.parametrize("name", FEATURES)
def test_an_image_of_one_value(name: str, value: float) -> None:
    for shape in SHAPES:
        assert bool(_built(name, shape)(torch.full((2, *shape), value)).isfinite().all())


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 40)], ids=str)
@pytest.mark.parametrize("name", FEATURES)
def test_can_be_traced_for_any_batch(name: str, shape: tuple[int, int, int]) -> None:
    features = _built(name, shape)
    traced = torch.export.export(features, (_images(*shape),), dynamic_shapes=({0: torch.export.Dim("n")},))
    images = _images(*shape, n=7)
    assert torch.equal(traced.module()(images), features(images))


@pytest.mark.parametrize(
    ("name", "dimensions"),
    [
        ("raw", (784, 3072, 27648)),
        ("hog", (6 * 6 * 36, 7 * 7 * 36, 11 * 11 * 36)),
        ("lbp", (944, 944, 944)),
        ("colour", (175, 405, 405)),
        ("edges", (96, 96, 96)),
        ("co-occurrence", (84, 84, 84)),
    ],
)
def test_dimensions(name: str, dimensions: tuple[int, ...]) -> None:
    shapes = ((1, 28, 28), (3, 32, 32), (3, 96, 96))
    assert tuple(_built(name, shape).dimensions for shape in shapes) == dimensions


def test_cooccurrence_leaves_out_distances_that_do_not_fit() -> None:
    assert _built("co-occurrence", (1, 7, 30)).dimensions == 2 * 28


@pytest.mark.parametrize(
    ("name", "least"), [("hog", 16), ("lbp", 12), ("edges", 16), ("colour", 4), ("co-occurrence", 4)]
)
def test_images_that_are_too_small(name: str, least: int) -> None:
    assert bool(_built(name, (3, least, least))(_images(3, least, least)).isfinite().all())
    with pytest.raises(UsageError) as error:
        _built(name, (3, 20, least - 1))
    assert error.value.message == f"{name} on images of {least - 1}×20 pixels"
    assert error.value.expected == f"{least}×{least} or larger"
    assert error.value.hint == f"--features raw, or --size {least}"


def test_deep_features_are_frozen_and_of_each_image_alone() -> None:
    features, images = FEATURES["deep"](channels=1, size=(64, 64)).train(), _images(1, 64, 64)
    found = features(images)
    assert features.dimensions == 1280
    assert found.shape == (4, 1280)
    assert not any(p.requires_grad for p in features.parameters())
    assert torch.allclose(found, torch.cat([features(image[None]) for image in images]), atol=1e-5)
    assert torch.equal(found, features(images.expand(-1, 3, -1, -1)))
