"""Convolutions by Winograd's method beside torch's in fp64: near enough for bf16, forward and back."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visto.models.convolution import Convolution
from visto.native import winograd

_NEAR = 0.025  # of the norm of what is exact: it is 0.010 to 0.013 where many channels are summed
pytestmark = pytest.mark.usefixtures("kernels")


def of_images(n: int, channels: int, height: int, width: int, *, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(n, height, width, channels, generator=random).permute(0, 3, 1, 2)
    return images.to(torch.bfloat16)


def of_filters(outputs: int, inputs: int) -> Tensor:
    return torch.randn(outputs, inputs, 3, 3, generator=torch.Generator().manual_seed(9)) / math.sqrt(9 * inputs)


def gap(rough: Tensor, exact: Tensor) -> float:
    return float((rough.double() - exact.double()).norm() / exact.double().norm())


def scattered(gradient: Tensor, bits: Tensor, height: int, width: int) -> Tensor:
    """The gradient of what was pooled, where the bits say; of 32 channels they have the even ones first."""
    n, channels, down, across = gradient.shape
    words = bits.view(n, down, across, channels // 32, 2, 1)
    channel = torch.arange(32)
    chosen = (words >> torch.where(channel % 2 == 0, channel // 2, 16 + channel // 2)) & 1
    right, lower = (chosen[..., k, :].reshape(n, down, across, channels).permute(0, 3, 1, 2) for k in range(2))
    out = torch.zeros(n, channels, height, width, dtype=gradient.dtype)
    for row in range(2):
        for column in range(2):
            here = (lower == row) & (right == column)
            out[:, :, row : 2 * down : 2, column : 2 * across : 2] = torch.where(here, gradient, 0)
    return out.contiguous(memory_format=torch.channels_last)


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(1, 5),
    inputs=st.sampled_from([1, 8, 24, 32, 40, 64]),
    outputs=st.sampled_from([32, 64, 96]),
    height=st.integers(1, 19),
    width=st.integers(1, 19),
)
def test_it_is_a_convolution(n: int, inputs: int, outputs: int, height: int, width: int) -> None:
    images, filters = of_images(n, inputs, height, width), of_filters(outputs, inputs)
    gradient = of_images(n, outputs, height, width, seed=1)
    exact = images.double().requires_grad_(), filters.double().requires_grad_()
    out = F.conv2d(*exact, padding=1)
    of_images_, of_filters_ = torch.autograd.grad(out, exact, gradient.double())
    made, bits = winograd.convolved(images, filters)
    assert bits is None and gap(made, out.detach()) < _NEAR
    assert gap(winograd.gradient_of_filters(images, gradient, None), of_filters_) < _NEAR
    if winograd.suits(outputs, inputs):
        found = winograd.gradient_of_images(gradient, filters, None, height, width)
        assert gap(found, of_images_) < _NEAR


@pytest.mark.parametrize("threads", [1, 2])
def test_sums_too_large_for_each_thread_are_shared_block_by_block(threads: int) -> None:
    images, filters, gradient = of_images(200, 160, 8, 8), of_filters(128, 160), of_images(200, 128, 8, 8, seed=1)
    exact = filters.double().requires_grad_()
    (expected,) = torch.autograd.grad(F.conv2d(images.double(), exact, padding=1), exact, gradient.double())
    torch.set_num_threads(threads)
    found = winograd.gradient_of_filters(images, gradient, None)
    assert gap(found, expected) < _NEAR
    for row in range(3):
        for column in range(3):
            assert gap(found[:, :, row, column], expected[:, :, row, column]) < 2 * _NEAR


@settings(deadline=None, max_examples=25)
@given(outputs=st.sampled_from([32, 64, 96]), height=st.integers(2, 19), width=st.integers(2, 19))
def test_pooling_takes_the_largest_and_its_gradient_goes_there(outputs: int, height: int, width: int) -> None:
    images, filters = of_images(3, 64, height, width), of_filters(outputs, 64)
    whole, _ = winograd.convolved(images, filters)
    pooled, bits = winograd.convolved(images, filters, pooled=True)
    assert bits is not None and torch.equal(pooled, F.max_pool2d(whole, 2))
    ones = torch.ones_like(pooled)
    places = scattered(ones, bits, height, width)
    assert torch.equal(F.avg_pool2d(whole.float() * places.float(), 2) * 4, pooled.float())
    gradient = of_images(*pooled.shape, seed=1)
    spread = scattered(gradient, bits, height, width)
    for found, expected in (
        (winograd.gradient_of_filters(images, gradient, bits), winograd.gradient_of_filters(images, spread, None)),
        (
            winograd.gradient_of_images(gradient, filters, bits, height, width),
            winograd.gradient_of_images(spread, filters, None, height, width),
        ),
    ):
        assert torch.equal(found, expected)


def test_the_largest_of_negative_and_equal_pixels() -> None:
    images = torch.zeros(1, 32, 4, 4, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
    images[:] = -1
    identity = torch.zeros(32, 32, 3, 3)
    identity[range(32), range(32), 1, 1] = 1
    pooled, bits = winograd.convolved(images, identity, pooled=True)
    assert torch.allclose(pooled.float(), torch.full((1, 32, 2, 2), -1.0), atol=0.02)
    assert bits is not None and scattered(torch.ones_like(pooled), bits, 4, 4).sum() == 4 * 32


def test_threads_share_the_work_and_change_no_more_than_the_order_of_sums() -> None:
    images, filters = of_images(7, 64, 15, 15), of_filters(64, 64)
    gradient, before = of_images(7, 64, 7, 7, seed=1), torch.get_num_threads()
    found, taps = [], []
    try:
        for threads in (1, 2, 3, 20):
            torch.set_num_threads(threads)
            made, bits = winograd.convolved(images, filters, pooled=True)
            back = winograd.gradient_of_images(gradient, filters, bits, 15, 15)
            found.append((made, back))
            taps.append([winograd.gradient_of_filters(images, gradient, bits) for _ in range(2)])
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
    for once, again in taps:
        assert torch.equal(once, again) and gap(once, taps[0][0]) < 1e-5


@pytest.mark.parametrize("pooled", [False, True])
def test_a_layer_learns_and_is_looked_at_by_it(pooled: bool) -> None:
    layer = Convolution(64, 32, pooled=pooled)
    images = of_images(4, 64, 8, 8)
    results = []
    for native in (False, True):
        layer.native = native
        ready = images.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            out = layer.train()(ready)
        out.float().sum().backward()
        assert ready.grad is not None and layer.weight.grad is not None
        results.append((out.detach(), ready.grad, layer.weight.grad.clone()))
        layer.weight.grad = None
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(layer.eval()(images), out)
    # where two pixels are nearly equal, another is the largest, and gradients go elsewhere
    for rough, exact in zip(results[1], results[0], strict=True):
        assert gap(rough, exact) < (0.2 if pooled else _NEAR)


def test_what_does_not_suit_is_convolved_directly() -> None:
    layer = Convolution(24, 32)
    layer.native = True
    assert layer.suits() and not layer.suits(first=False) and not Convolution(32, 24).suits()
    images = of_images(1, 24, 5, 5).float()
    exact = F.conv2d(images, layer.weight, padding=1)
    assert torch.equal(layer.train()(images.clone().requires_grad_()), exact)  # its gradient is wanted
    assert not torch.equal(layer(images).float(), exact)
