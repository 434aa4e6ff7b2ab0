"""The speedrun net: patches that are whitened, filters that begin as the identity; and the second look."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.second_look import SecondLook, margins, second_look
from visto.models.speedrun import Group, Speedrun, Whitening, speedrun


def images(n: int = 64, side: int = 12) -> Tensor:
    """Correlated: each pixel is like its neighbours, the channels like each other."""
    noise = torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 3, stride=1, padding=1) + 0.5 * noise.mean(1, keepdim=True)


def test_whitened_patches_are_uncorrelated_and_of_one_size() -> None:
    layer = Whitening(3)
    layer.fit(images())
    found = layer(images())
    assert torch.equal(found[:, :12], -found[:, 12:])
    flat = found[:, :12].permute(1, 0, 2, 3).flatten(1)
    # not nearer: small values are divided by a little more than themselves
    torch.testing.assert_close(flat @ flat.T / flat.shape[1], torch.eye(12), atol=0.06, rtol=0)


def test_padded_there_is_a_patch_for_each_pixel() -> None:
    x = torch.arange(12.0).view(1, 1, 3, 4)
    plain, padded = Whitening(1)(x), Whitening(1, padded=True)(x)
    assert padded.shape == (1, 8, 3, 4) and torch.equal(padded[..., :2, :3], plain)
    assert padded[0, :4, 2, 3].tolist() == [11.0] * 4  # the last pixel alone
    sides = []
    model = speedrun(classes=2, channels=3, size=[32, 32], widths=[8, 8, 8], padded=True)
    assert isinstance(model, Speedrun)
    for group in model.groups:
        group.register_forward_hook(lambda *parts: sides.append(parts[2].shape[2]))
    model(torch.zeros(1, 3, 32, 32))
    assert sides == [16, 8, 4]


def test_filters_begin_as_the_identity() -> None:
    model = speedrun(classes=4, channels=3, size=[32, 32], widths=[32, 16])
    assert isinstance(model, Speedrun)
    x = torch.randn(2, 24, 9, 9)
    first, second = model.groups
    assert isinstance(first, Group) and isinstance(second, Group)
    torch.testing.assert_close(first.widen(x)[:, :24], F.max_pool2d(x, 2))
    narrowed = second.widen(torch.arange(32.0).view(1, 32, 1, 1).expand(1, 32, 5, 5))
    torch.testing.assert_close(narrowed[0, :, 1, 1], torch.arange(16.0))


@pytest.mark.parametrize("widths", [[], [0, 4]])
def test_widths_that_make_no_net(widths: list[int]) -> None:
    with pytest.raises(UsageError, match="widths"):
        speedrun(classes=2, channels=1, size=[8, 8], widths=widths)


class Corner(nn.Module):
    """Logits that are pixels: the first of the image, and the one right of it."""

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        return {"logits": images_nchw[:, 0, 0, :2]}


def test_the_mean_of_six_views_by_hand() -> None:
    image = torch.arange(9.0).view(1, 1, 3, 3)
    # the image: 0 1; moved down and right (reflected): 4 3; up and left: 4 5; mirrored: 2 1, 4 5, 4 3
    plain = torch.tensor([[0.0, 1.0], [4.0, 3.0], [4.0, 5.0]])
    mirrored = torch.tensor([[2.0, 1.0], [4.0, 5.0], [4.0, 3.0]])
    weights = torch.tensor([[0.5], [0.25], [0.25]])
    found = SecondLook(Corner(), margin=10.0, mirror=False)(image)["logits"]
    assert found.tolist() == [(plain * weights).sum(0).tolist()]
    found = SecondLook(Corner(), margin=10.0, mirror=True)(image)["logits"]
    assert found.tolist() == [((plain + mirrored) / 2 * weights).sum(0).tolist()]


def test_only_the_unsure_are_looked_at_again() -> None:
    sure = torch.arange(9.0).view(1, 1, 3, 3) * 5
    unsure = torch.arange(9.0).view(1, 1, 3, 3)
    assert margins(torch.tensor([[0.0, 5.0], [3.0, 1.0]])).tolist() == [5, 2]
    both = torch.cat([sure, unsure])
    model = SecondLook(Corner(), margin=2.0, mirror=True)
    found = model(both)["logits"]
    assert found[0].tolist() == [0, 5]
    assert found[1].tolist() == model(unsure)["logits"][0].tolist() != [0, 1]
    assert torch.equal(SecondLook(Corner(), margin=0.0, mirror=True)(both)["logits"], Corner()(both)["logits"])


class Counting(Corner):
    """How many images it is given at once."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        self.seen.append(len(images_nchw))
        return super().forward(images_nchw)


def test_views_go_together_but_never_more_than_a_batch_of_images() -> None:
    torch.manual_seed(0)
    images, inner = torch.rand(12, 1, 4, 4), Counting()
    images[4:, 0, 0, 0] += 9  # sure
    found = SecondLook(inner, margin=5.0, mirror=True)(images)["logits"]
    assert inner.seen == [12, 10, 10]  # 4 unsure images, 5 views of each
    alone = torch.cat([SecondLook(Corner(), margin=5.0, mirror=True)(image[None])["logits"] for image in images])
    assert torch.equal(found, alone)


def test_a_pixel_cannot_be_shifted() -> None:
    with pytest.raises(UsageError, match="second look"):
        second_look(classes=2, channels=1, size=[1, 8])
