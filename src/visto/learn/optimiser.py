"""Optimisers, and their state as named tensors (so that it is saved without pickle)."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer


def _groups(model: nn.Module, weight_decay: float, lr_decay: float) -> list[dict[str, object]]:
    """L2 decay on matrices and filters only: on biases and norms it costs accuracy and buys nothing.

    ``share`` is a group's part of the learning rate: ``lr_decay`` to the power of how many stages stand above it.
    """
    found: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = (lr_decay ** _stages_above(model, name), weight_decay if parameter.ndim > 1 else 0.0)
            found.setdefault(key, []).append(parameter)
    return [{"params": group, "share": share, "weight_decay": decay} for (share, decay), group in found.items()]


def _stages_above(model: nn.Module, name: str) -> int:
    """How far a parameter lies below the classifier, in stages: 0 where the model has none."""
    stages = getattr(model, "stages", None)
    if not isinstance(stages, nn.Sequential) or not name.startswith("stages."):
        return 0
    names = [stage for stage, _ in stages.named_children()]
    return len(names) - names.index(name.split(".")[1])


def adamw(model: nn.Module, weight_decay: float, lr_decay: float) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), β = 0.9, 0.99."""
    return AdamW(_groups(model, weight_decay, lr_decay), lr=0.0, betas=(0.9, 0.99), fused=True)


def sgd(model: nn.Module, weight_decay: float, lr_decay: float) -> Optimizer:
    """Stochastic gradient descent with Nesterov momentum 0.9."""
    return SGD(_groups(model, weight_decay, lr_decay), lr=0.0, momentum=0.9, nesterov=True, fused=True)


OPTIMISERS: dict[str, Callable[[nn.Module, float, float], Optimizer]] = {"adamw": adamw, "sgd": sgd}


def set_rate(optimiser: Optimizer, rate: float) -> None:
    """Set the learning rate of every group: its share of ``rate`` (Howard and Ruder 2018)."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


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
