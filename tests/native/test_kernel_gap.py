"""The check of native kernels in a model: small where they are sound, large for each fault in one of them."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from visto.learn.engine import Engine
from visto.learn.kernel_gap import gap, kernel_gap
from visto.models.speedrun import speedrun
from visto.native import norm, winograd

NEAR = 0.1  # the engine's limit
Made = tuple[Tensor, Tensor | None]


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    torch.manual_seed(0)
    model = speedrun(classes=4, channels=1, size=(28, 28), widths=(32, 64))
    model.fit_to(strokes())  # type: ignore[operator]
    return model


def strokes() -> Tensor:
    """Bright rectangles on a flat ground, where the four pixels of most 2×2 are equal."""
    images = torch.zeros(8, 1, 28, 28)
    for k in range(8):
        images[k, 0, 4 + k : 20, 6 : 10 + k] = torch.rand(16 - k, 4 + k, generator=torch.Generator().manual_seed(k))
    return images - images.mean()


def gap_of(net: torch.nn.Module) -> float:
    native = Engine(precision="bf16", kernels="native")
    return kernel_gap(native.module(copy.deepcopy(net)).train(), native.images(strokes()), native.autocast)


@pytest.mark.usefixtures("kernels")
def test_sound_kernels_are_near(net: torch.nn.Module) -> None:
    assert 0 < gap_of(net) < NEAR / 2


def zeroed(part: tuple[slice | int, ...]) -> Callable[[Tensor], Tensor]:
    def spoilt(made: Tensor) -> Tensor:
        made[part] = 0
        return made

    return spoilt


EVERY = slice(None)
FAULTS: dict[str, Callable[[Tensor], Tensor]] = {
    "nothing": torch.zeros_like,
    "a row less": zeroed((EVERY, EVERY, -1)),
    "a column less": zeroed((EVERY, EVERY, EVERY, 0)),
    "a channel less": zeroed((EVERY, 5)),
    "the first of images or filters less": zeroed((0,)),
    "half": lambda made: made / 2,
    "mirrored": lambda made: made.flip(3),
    "one not a number": lambda made: made.index_fill_(0, torch.tensor([0]), math.nan),
}


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("which", ["convolved", "gradient_of_images", "gradient_of_filters"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_convolution_is_seen(
    net: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, which: str, fault: str
) -> None:
    real = getattr(winograd, which)

    def broken(*inputs: object, **how: object) -> Tensor | Made:
        made = real(*inputs, **how)
        return (FAULTS[fault](made[0]), made[1]) if isinstance(made, tuple) else FAULTS[fault](made)

    monkeypatch.setattr(winograd, which, broken)
    assert gap_of(net) > NEAR


@pytest.mark.usefixtures("kernels")
def test_a_fault_in_what_is_kept_of_pooling_is_seen(net: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    real = winograd.convolved

    def broken(images: Tensor, filters: Tensor, *, pooled: bool) -> Made:
        made, bits = real(images, filters, pooled=pooled)
        return made, None if bits is None else ~bits

    monkeypatch.setattr(winograd, "convolved", broken)
    assert gap_of(net) > NEAR


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("fault", ["made", "of images", "of bias"])
def test_a_fault_in_a_norm_is_seen(net: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    made, gradient = norm.activated, norm.gradient
    if fault == "made":
        monkeypatch.setattr(norm, "activated", lambda *inputs: zeroed((EVERY, 0))(made(*inputs)))
    else:
        spoil = (0.5, 1) if fault == "of images" else (1, 0.5)
        monkeypatch.setattr(norm, "gradient", lambda *i: tuple(a * b for a, b in zip(gradient(*i), spoil, strict=True)))
    assert gap_of(net) > NEAR


@pytest.mark.usefixtures("kernels")
def test_which_pixels_are_the_largest() -> None:
    random = torch.Generator().manual_seed(2)
    images = torch.randn(3, 7, 9, 32, generator=random).to(torch.bfloat16).permute(0, 3, 1, 2)
    filters = torch.randn(64, 32, 3, 3, generator=random) / 17
    whole, _ = winograd.convolved(images, filters)
    pooled, bits = winograd.convolved(images, filters, pooled=True)
    assert bits is not None
    picks = winograd.picks(bits, pooled.shape)
    four = torch.stack([whole[:, :, r:6:2, c:8:2] for r in (0, 1) for c in (0, 1)], 2)
    assert torch.equal(four.gather(2, picks[:, :, None]).squeeze(2), F.max_pool2d(whole, 2))
    assert set(picks.flatten().tolist()) == {0, 1, 2, 3}


def test_the_gap_is_that_of_the_worst_slice() -> None:
    exact = torch.tensor([[3.0, 4.0], [3.0, 4.0]])
    assert gap(exact, exact) == 0
    # rows: 1 of a norm of 5; columns: 1 of sqrt(18), which is less than the root mean square of the norms, 5
    assert gap(exact + torch.tensor([[1.0, 0.0], [0.0, 0.0]]), exact) == pytest.approx(0.2)
    # the second column is all wrong
    assert gap(exact * torch.tensor([1.0, 0.0]), exact) == pytest.approx(1.0)
    assert gap(torch.full((2,), math.nan), torch.ones(2)) == math.inf
    assert gap(torch.ones(2), torch.zeros(2)) > 1e6
    assert gap(torch.zeros(2), torch.zeros(2)) == 0
