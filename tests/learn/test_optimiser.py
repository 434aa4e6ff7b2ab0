"""The optimisers against torch's own, and Muon's orthogonal steps against the singular value decomposition."""

import pytest
import torch
from torch import Tensor, nn

from visto.learn.optimiser import OPTIMISERS, AdamW, Group, Muon
from visto.learn.orthogonal import orthogonalised
from visto.native.winograd import laid_out


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))


def learn(network: nn.Module, step: object, forget: object, steps: int = 5) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        images = torch.randn(6, 3, 8, 8, generator=generator)
        network(images).square().sum().backward()
        step()  # type: ignore[operator]
        forget()  # type: ignore[operator]
    return [p.detach().clone() for p in network.parameters()]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_as_torch_does_it(name: str) -> None:
    ours, theirs = model(), model()
    optimiser = OPTIMISERS[name](ours, 0.05, 1.0)
    optimiser.set_rate(1e-3)
    matrices = [p for p in theirs.parameters() if p.ndim > 1]
    vectors = [p for p in theirs.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    reference: torch.optim.Optimizer
    if name == "adamw":
        reference = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.99), fused=True)
    else:
        reference = torch.optim.SGD(groups, lr=1e-3, momentum=0.9, nesterov=True, fused=True)
    expected = learn(theirs, reference.step, reference.zero_grad)
    found = learn(ours, optimiser.step, optimiser.forget_gradients)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16)])
def test_orthogonalised_keeps_the_singular_vectors_and_evens_the_values(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, values, vh = torch.linalg.svd(matrix, full_matrices=False)
    inside = u.T @ orthogonalised(matrix) @ vh.T  # diagonal where the singular vectors are kept
    assert (inside - torch.diag(inside.diagonal())).abs().max() < 0.05
    assert inside.diagonal().min() > 0.05 and inside.diagonal().max() < 1.3
    large = values > 0.3 * values[0]
    assert inside.diagonal()[large].min() > 0.6


def test_a_step_of_muon_by_hand() -> None:
    filters = torch.zeros(2, 2, 1, 1)
    filters[0, 0], filters[1, 1] = 3.0, 4.0  # of size 5, to be √2
    parameter = nn.Parameter(filters.clone())
    parameter.grad = torch.tensor([[0.0, 2.0], [-2.0, 0.0]]).view(2, 2, 1, 1)
    muon = Muon([Group(parameters=[parameter], share=1.0, weight_decay=0.0)])
    muon.set_rate(0.1)
    muon.step()
    turned = (filters * (2**0.5 / 5) - parameter.detach()) / 0.1
    even = turned.view(2, 2)
    assert even[0, 1] == -even[1, 0] and 0.6 < float(even[0, 1]) < 1.3
    assert even[0, 0].abs() < 1e-5 and even[1, 1].abs() < 1e-5
    torch.testing.assert_close(muon.state[0]["momentum_buffer"], parameter.grad)


def test_muon_steps_alike_in_each_layout() -> None:
    random = torch.Generator().manual_seed(0)
    filters, gradient = torch.randn(8, 4, 3, 3, generator=random), torch.randn(8, 4, 3, 3, generator=random)
    moved = []
    layouts = filters.clone(), filters.contiguous(memory_format=torch.channels_last), laid_out(filters)
    for alike in layouts:
        parameter = nn.Parameter(alike)
        parameter.grad = gradient.clone()  # may lie otherwise than the filters
        muon = Muon([Group(parameters=[parameter], share=1.0, weight_decay=0.0)])
        muon.set_rate(0.1)
        muon.step()
        moved.append(parameter.detach())
    for other in moved[1:]:
        torch.testing.assert_close(moved[0], other, rtol=0, atol=2e-3)


def test_a_parameter_without_gradient_stays() -> None:
    still, moved = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    moved.grad = torch.ones(3)
    optimiser = AdamW([Group(parameters=[still, moved], share=1.0, weight_decay=0.0)])
    optimiser.set_rate(0.1)
    optimiser.step()
    assert still.tolist() == [1, 1, 1]
    assert moved.tolist() == pytest.approx([0.9] * 3)
    assert set(optimiser.named_state()) == {"1.step", "1.exp_avg", "1.exp_avg_sq"}
