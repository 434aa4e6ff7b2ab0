"""Optimisers, and their state as named tensors (so that it is saved without pickle)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """L2 decay on matrices and filters only: on biases and norms it costs accuracy and buys nothing."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups: list[dict[str, object]] = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return [g for g in groups if g["params"]]


def adamw(model: nn.Module, weight_decay: float) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), β = 0.9, 0.99."""
    return AdamW(_groups(model, weight_decay), lr=0.0, betas=(0.9, 0.99), fused=True)


def sgd(model: nn.Module, weight_decay: float) -> Optimizer:
    """Stochastic gradient descent with Nesterov momentum 0.9."""
    return SGD(_groups(model, weight_decay), lr=0.0, momentum=0.9, nesterov=True, fused=True)


OPTIMISERS: dict[str, Callable[[nn.Module, float], Optimizer]] = {"adamw": adamw, "sgd": sgd}


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def named_state(optimiser: Optimizer) -> dict[str, Tensor]:
    """What the optimiser has gathered, as ``index.name`` → tensor."""
    return {
        f"{index}.{name}": value
        for index, parameter in enumerate(_parameters(optimiser))
        for name, value in optimiser.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def restore_state(optimiser: Optimizer, saved: Mapping[str, Tensor]) -> None:
    """Put back what ``named_state`` gave, in the memory layout of the parameters (the same sums, bit for bit)."""
    parameters = _parameters(optimiser)
    for key, value in saved.items():
        index, name = key.split(".", 1)
        parameter = parameters[int(index)]
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        optimiser.state[parameter][name] = value


def _parameters(optimiser: Optimizer) -> list[Tensor]:
    return [p for group in optimiser.param_groups for p in group["params"]]
