"""The plain convolutional net: what of a filter meets no pixel does no work, and changes nothing."""

import pytest
import torch
import torch.nn.functional as F

from visto.models import MODELS
from visto.models.cnn import Within


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_filter_larger_than_the_image_gives_what_any_convolution_gives(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = Within(3, 4, kernel, stride=stride, padding=kernel // 2, bias=False)
    for high, wide in ((1, 1), (1, 8), (2, 2), (3, 2), (9, 4)):
        images = torch.randn(2, 3, high, wide)
        plain = F.conv2d(images, layer.weight, stride=stride, padding=kernel // 2)
        assert torch.allclose(layer(images), plain, atol=1e-5)


def test_large_kernels_on_small_images_have_finite_gradients_in_bf16() -> None:
    torch.manual_seed(0)
    model = MODELS["cnn"](classes=10, channels=1, size=[8, 8], kernel_size=7, depth=4, width=32)
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(torch.randn(32, 1, 8, 8))["logits"]
        logits.float().square().mean().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
