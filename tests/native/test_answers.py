"""Convolutions in fp32 by Winograd's method beside torch's in fp64."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visto.models.convolution import Convolution
from visto.native import answers

pytestmark = pytest.mark.usefixtures("kernels")


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(1, 5),
    inputs=st.sampled_from([1, 16, 24, 33, 64]),
    outputs=st.sampled_from([32, 64, 96]),
    height=st.integers(2, 19),
    width=st.integers(2, 19),
    pooled=st.booleans(),
)
def test_it_is_a_convolution(n: int, inputs: int, outputs: int, height: int, width: int, pooled: bool) -> None:
    images, filters = numbers(n, inputs, height, width), numbers(outputs, inputs, 3, 3, seed=1)
    exact = F.conv2d(images.double(), filters.double(), padding=1)
    if pooled:
        exact = F.max_pool2d(exact, 2)
    for layout in (torch.contiguous_format, torch.channels_last):
        made = answers.convolved(images.contiguous(memory_format=layout), filters, pooled=pooled)
        assert made.shape == exact.shape and float((made - exact).norm() / exact.norm()) < 4e-6


def test_the_count_of_threads_changes_nothing() -> None:
    images, filters, before = numbers(7, 24, 15, 15), numbers(64, 24, 3, 3, seed=1), torch.get_num_threads()
    try:
        made = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            made.append(answers.convolved(images, filters, pooled=True))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(made[0], made[1]) and torch.equal(made[0], made[2])


def test_it_is_for_many_images_without_a_gradient() -> None:
    layer, images = Convolution(64, 64, pooled=True), numbers(120, 64, 16, 16)
    assert not answers.pays(images, layer.weight)  # a gradient may be wanted
    direct = layer(images)
    with torch.inference_mode():
        assert answers.pays(images, layer.weight)
        assert not answers.pays(images[:100], layer.weight)
        assert not answers.pays(images.double(), layer.weight)
        assert not answers.pays(images, Convolution(64, 40).weight)
        with torch.autocast("cpu", torch.bfloat16):
            assert not answers.pays(images, layer.weight)
        torch.testing.assert_close(layer(images), direct.detach(), rtol=1e-4, atol=1e-5)
        assert not torch.equal(layer(images), direct)
