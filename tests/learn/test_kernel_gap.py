"""The check of native kernels in a model: small where they are sound, large for each fault in one of them."""

import copy
import math
from collections.abc import Callable
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visto.learn import engine
from visto.learn.engine import Engine
from visto.learn.kernel_gap import gap, kernel_gap
from visto.models.norm import Norm
from visto.models.speedrun import speedrun
from visto.native import norm, winograd

NEAR = 0.1  # the engine's limit
Made = tuple[Tensor, Tensor | None]
Fault = Callable[[Tensor], Tensor]


def net_of(*widths: int) -> nn.Module:
    torch.manual_seed(0)
    return speedrun(classes=4, channels=1, size=(28, 28), widths=widths)


def strokes() -> Tensor:
    """Bright rectangles on a flat ground, where the four pixels of most 2×2 are equal."""
    images = torch.zeros(8, 1, 28, 28)
    for k in range(8):
        images[k, 0, 4 + k : 20, 6 : 10 + k] = torch.rand(16 - k, 4 + k, generator=torch.Generator().manual_seed(k))
    return images - images.mean()


def gap_of(net: nn.Module) -> float:
    native = Engine(precision="bf16", kernels="native")
    return kernel_gap(native.module(copy.deepcopy(net)).train(), native.images(strokes()), native.autocast)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("widths", [(32, 64), (32, 32), (16, 32, 32)])
def test_sound_kernels_are_near(widths: tuple[int, ...]) -> None:
    net = net_of(*widths)
    assert 0 < gap_of(net) < NEAR / 2
    net.fit_to(strokes())  # type: ignore[operator]
    assert 0 < gap_of(net) < NEAR / 2


@pytest.mark.usefixtures("kernels")
def test_a_net_without_native_layers_has_no_gap_to_speak_of() -> None:
    assert gap_of(net_of(24)) == math.inf


@pytest.mark.usefixtures("kernels")
def test_frozen_layers_are_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    net = net_of(32, 32)
    for parameter in net.groups[0].parameters():  # type: ignore[index, union-attr]
        parameter.requires_grad_(False)
    assert 0 < gap_of(net) < NEAR / 2
    spoil(monkeypatch, "convolved", lambda made: made / 2, pooled=True)
    assert gap_of(net) > NEAR


def spoil(monkeypatch: pytest.MonkeyPatch, which: str, fault: Fault, *, pooled: bool) -> None:
    """Have ``fault`` change what a function of the kernels makes where something is pooled, or where nothing is."""
    real = getattr(winograd, which)

    def broken(*inputs: Tensor, **how: bool) -> Tensor | Made:
        made = real(*inputs, **how)
        here = how["pooled"] if which == "convolved" else inputs[2] is not None
        if here != pooled:
            return cast("Tensor | Made", made)
        return (fault(made[0]), made[1]) if isinstance(made, tuple) else fault(made)

    monkeypatch.setattr(winograd, which, broken)


def zeroed(part: tuple[slice | int, ...]) -> Fault:
    def fault(made: Tensor) -> Tensor:
        made[part] = 0
        return made

    return fault


EVERY = slice(None)
FAULTS: dict[str, Fault] = {
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
@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("which", ["convolved", "gradient_of_images", "gradient_of_filters"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_convolution_is_seen(
    monkeypatch: pytest.MonkeyPatch, which: str, fault: str, pooled: bool
) -> None:
    spoil(monkeypatch, which, FAULTS[fault], pooled=pooled)
    assert gap_of(net_of(32, 64)) > NEAR


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("widths", [(32, 64), (32, 32), (16, 32, 32)])
@pytest.mark.parametrize("which", ["convolved", "gradient_of_images"])
def test_mirrored_filters_are_seen_though_a_fresh_net_begins_as_the_identity(
    monkeypatch: pytest.MonkeyPatch, widths: tuple[int, ...], which: str
) -> None:
    real = getattr(winograd, which)
    monkeypatch.setattr(
        winograd, which, lambda first, filters, *more, **how: real(first, filters.flip(3), *more, **how)
    )
    assert gap_of(net_of(*widths)) > NEAR


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("smallest", [True, False])
def test_a_fault_in_pooling_is_seen(monkeypatch: pytest.MonkeyPatch, smallest: bool) -> None:
    real = winograd.convolved

    def broken(images: Tensor, filters: Tensor, *, pooled: bool) -> Made:
        if smallest and pooled:  # of each 2×2, with bits that say so
            made, bits = real(images, -filters, pooled=True)
            return -made, bits
        made, bits = real(images, filters, pooled=pooled)
        return made, None if bits is None else ~bits

    monkeypatch.setattr(winograd, "convolved", broken)
    assert gap_of(net_of(32, 64)) > NEAR


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("fault", ["made", "of images", "of bias", "figures"])
def test_a_fault_in_a_norm_is_seen(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    made, gradient, forward = norm.activated, norm.gradient, Norm.forward

    def still(layer: Norm, x: Tensor) -> Tensor:
        """Natively, the running variance stays as it was."""
        before = layer.running_var.clone()
        out = forward(layer, x)
        if layer.native:
            layer.running_var.copy_(before)
        return out

    if fault == "made":
        monkeypatch.setattr(norm, "activated", lambda *inputs: zeroed((EVERY, 0))(made(*inputs)))
    elif fault == "figures":
        monkeypatch.setattr(Norm, "forward", still)
    else:
        less = (0.5, 1) if fault == "of images" else (1, 0.5)
        monkeypatch.setattr(norm, "gradient", lambda *i: tuple(a * b for a, b in zip(gradient(*i), less, strict=True)))
    assert gap_of(net_of(32, 64)) > NEAR


@pytest.mark.usefixtures("kernels")
def test_a_run_does_without_kernels_that_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_trial", lambda *_: lambda: 1.0)
    monkeypatch.setattr(engine, "disagreement", lambda *_: 0.0)
    assert engine.choose("auto", "cpu", net_of(32, 64), strokes()).kernels == "native"
    spoil(monkeypatch, "gradient_of_filters", torch.zeros_like, pooled=False)
    found = engine.choose("auto", "cpu", net_of(32, 64), strokes())
    assert (
        found.kernels == "torch" and "without native kernels: a layer by them differs from fp32 by 100%" in found.reason
    )
    spoil(monkeypatch, "gradient_of_filters", lambda made: made * math.nan, pooled=False)
    assert "they give no numbers" in engine.choose("auto", "cpu", net_of(32, 64), strokes()).reason


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
    assert gap(torch.full((2,), math.nan), torch.ones(2)) == gap(torch.ones(2), torch.full((2,), math.inf)) == math.inf
    assert gap(torch.ones(2), torch.zeros(2)) > 1e6
    assert gap(torch.zeros(2), torch.zeros(2)) == 0
