"""Batch norm and GELU by our own loops beside torch's in fp64."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from visto.models.norm import Norm

_NEAR = 0.004  # of the norm of what is exact: what rounding to bf16 leaves
pytestmark = pytest.mark.usefixtures("kernels")


def numbers(n: int, channels: int, height: int, width: int, *, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, height, width, channels, generator=random).permute(0, 3, 1, 2).to(torch.bfloat16)


def gap(rough: Tensor, exact: Tensor) -> float:
    return float((rough.double() - exact.double()).norm() / exact.double().norm())


def layer_of(channels: int, activation: str = "gelu") -> Norm:
    layer = Norm(channels, 0.15, activation)
    with torch.no_grad():
        layer.bias.copy_(torch.linspace(-1, 1, channels))
    layer.native = True
    return layer.train()


@pytest.mark.parametrize(("n", "channels", "side"), [(1, 32, 2), (3, 64, 15), (40, 96, 7)])
def test_it_is_batch_norm_and_gelu(n: int, channels: int, side: int) -> None:
    images, of_made = numbers(n, channels, side, side) * 3 + 1, numbers(n, channels, side, side, seed=1)
    layer, ready = layer_of(channels), images.clone().requires_grad_()
    made = layer(ready)
    made.backward(of_made)
    inputs = images.double().requires_grad_(), layer.bias.detach().double().requires_grad_()
    mean, variance = torch.zeros(channels).double(), torch.ones(channels).double()
    exact = F.gelu(F.batch_norm(inputs[0], mean, variance, None, inputs[1], True, 0.15, 1e-5))
    of_images, of_bias = torch.autograd.grad(exact, inputs, of_made.double())
    assert made.dtype == torch.bfloat16 and ready.grad is not None and layer.bias.grad is not None
    assert gap(made.detach(), exact.detach()) < _NEAR and gap(ready.grad, of_images) < _NEAR
    torch.testing.assert_close(layer.bias.grad.double(), of_bias, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.running_mean.double(), mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer.running_var.double(), variance, rtol=1e-5, atol=1e-6)


def test_a_look_takes_the_running_figures() -> None:
    images, layer = numbers(3, 64, 5, 5), layer_of(64).eval()
    layer.running_mean.copy_(torch.linspace(-2, 2, 64))
    layer.running_var.copy_(torch.linspace(0.1, 3, 64))
    with torch.no_grad():
        made = layer(images)
    figures = layer.running_mean.double(), layer.running_var.double()
    exact = F.gelu(F.batch_norm(images.double(), *figures, None, layer.bias.double(), False, 0.15, 1e-5))
    assert made.dtype == torch.bfloat16 and gap(made, exact.detach()) < _NEAR


def test_gelu_is_exact_far_out_and_near_zero() -> None:
    layer = layer_of(32)
    values = torch.cat([torch.linspace(-12, 12, 1201), torch.tensor([0.0, 1e-3, -1e-3])])
    images = values.view(-1, 1, 1, 1).expand(-1, 32, 1, 1).to(torch.bfloat16).contiguous()
    made = layer(images).float()
    exact = F.gelu(F.batch_norm(images.double(), None, None, None, layer.bias.double(), True))
    torch.testing.assert_close(made.double(), exact, rtol=2**-8, atol=1e-5)


def test_the_count_of_threads_changes_nothing() -> None:
    images, of_made, before = numbers(50, 64, 9, 9), numbers(50, 64, 9, 9, seed=1), torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            layer, ready = layer_of(64), images.clone().requires_grad_()
            made = layer(ready)
            made.backward(of_made)
            assert ready.grad is not None and layer.bias.grad is not None
            found.append((made.detach(), ready.grad, layer.bias.grad, layer.running_var))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_what_does_not_suit_is_torchs() -> None:
    images = numbers(2, 32, 4, 4).float()
    for layer in (layer_of(32, "relu"), layer_of(40), layer_of(32).eval()):
        few = images if len(layer.bias) == 32 else images.repeat(1, 2, 1, 1)[:, :40]
        made = layer(few)
        layer.native = False
        assert torch.equal(made, layer(few)) and made.dtype == torch.float32
    assert layer_of(32).suits() and not layer_of(40).suits() and not layer_of(32, "relu").suits()


def test_what_is_not_a_number_stays_so() -> None:
    images = numbers(2, 32, 4, 4)
    images[0, 3, 0, 0] = torch.nan
    made = layer_of(32)(images)
    assert made[:, 3].isnan().all() and made[:, 4].isfinite().all()
