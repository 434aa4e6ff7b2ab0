"""Optimisers, and their state as named tensors (so that it is saved without pickle).

Not those of ``torch.optim``: making one imports torch's compiler, 1.5 seconds of every run. The arithmetic of AdamW and
SGD is torch's own, in its fused kernels.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from visto.learn.orthogonal import orthogonalised

_BESIDE_MUON = 1 / 2  # the share of the rate that biases and classifier take


@dataclass(slots=True, kw_only=True)
class Group:
    """Parameters that learn at ``share`` of the rate, with this decay of their size; ``lr`` is the rate of the step."""

    parameters: list[Tensor]
    share: float
    weight_decay: float
    lr: float = 0.0


@dataclass(slots=True)
class Optimiser(ABC):
    """``groups`` of parameters and, for each parameter by its place in them, the tensors gathered so far."""

    groups: list[Group]
    state: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    @abstractmethod
    def step(self) -> None:
        """Move every parameter that has a gradient, at its group's rate."""

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of every group: its share of ``rate`` (Howard and Ruder 2018)."""
        for group in self.groups:
            group.lr = rate * group.share

    def parameters(self) -> list[Tensor]:
        return [p for group in self.groups for p in group.parameters]

    def forget_gradients(self) -> None:
        for parameter in self.parameters():
            parameter.grad = None

    def named_state(self) -> dict[str, Tensor]:
        """What was gathered, as ``place.name`` → tensor."""
        return {f"{place}.{name}": value for place, own in self.state.items() for name, value in own.items()}

    def restore(self, saved: Mapping[str, Tensor]) -> None:
        """Put back what ``named_state`` gave, in the memory layout of the parameters (the same sums, bit for bit)."""
        parameters = self.parameters()
        for key, value in saved.items():
            place, name = key.split(".", 1)
            parameter = parameters[int(place)]
            if value.shape == parameter.shape:
                value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
            self.state.setdefault(int(place), {})[name] = value.to(parameter.device)

    def _moving(self) -> Iterator[tuple[Group, list[Tensor], list[Tensor], list[dict[str, Tensor]]]]:
        """Each group with its parameters that have a gradient, these gradients, and what was gathered for each."""
        place = 0
        for group in self.groups:
            places = range(place, place + len(group.parameters))
            place += len(group.parameters)
            moving = [(p, p.grad, self.state.setdefault(k, {})) for k, p in zip(places, group.parameters, strict=True)]
            chosen = [(p, g, own) for p, g, own in moving if g is not None]
            if chosen:
                yield group, [p for p, _, _ in chosen], [g for _, g, _ in chosen], [own for _, _, own in chosen]


class AdamW(Optimiser):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), β = 0.9, 0.99."""

    @torch.no_grad()
    def step(self) -> None:
        for group, parameters, gradients, gathered in self._moving():
            _adamw(group, parameters, gradients, gathered)


class SGD(Optimiser):
    """Stochastic gradient descent with Nesterov momentum 0.9."""

    @torch.no_grad()
    def step(self) -> None:
        for group, parameters, gradients, gathered in self._moving():
            torch._fused_sgd_(
                parameters,
                gradients,
                [_gathered(own, "momentum_buffer", p) for own, p in zip(gathered, parameters, strict=True)],
                weight_decay=group.weight_decay,
                momentum=0.9,
                lr=group.lr,
                dampening=0.0,
                nesterov=True,
                maximize=False,
                is_first_step=False,
            )


class Muon(Optimiser):
    """Muon (Jordan et al. 2024): momentum, then about the orthogonal matrix nearest to the step of a bank of filters.

    All directions of a bank are so learnt at one rate, which needs a fraction of the steps. As in the CIFAR-10 speed
    records the banks are kept at unit size, so that only their directions are learnt. What is no filter is AdamW's.
    """

    momentum = 0.6

    @torch.no_grad()
    def step(self) -> None:
        for group, parameters, gradients, gathered in self._moving():
            if parameters[0].ndim != 4:
                _adamw(group, parameters, gradients, gathered)
                continue
            for filters, gradient, own in zip(parameters, gradients, gathered, strict=True):
                before = _gathered(own, "momentum_buffer", filters)
                before.mul_(self.momentum).add_(gradient)
                ahead = before.mul(self.momentum).add_(gradient)
                filters.mul_(len(filters) ** 0.5 / filters.norm())
                _as_rows(filters).sub_(orthogonalised(_as_rows(ahead)), alpha=group.lr)


def _as_rows(filters: Tensor) -> Tensor:
    """A view with a row for each filter, its numbers in the order in which they lie in memory."""
    last = filters.stride(1) < filters.stride(3)  # channels after pixels, as in channels-last layout
    return (filters.permute(0, 2, 3, 1) if last else filters).view(len(filters), -1)


def _adamw(group: Group, parameters: list[Tensor], gradients: list[Tensor], gathered: list[dict[str, Tensor]]) -> None:
    pairs = list(zip(gathered, parameters, strict=True))
    steps = [own.setdefault("step", torch.zeros((), device=p.device)) for own, p in pairs]
    torch._foreach_add_(steps, 1)
    torch._fused_adamw_(
        parameters,
        gradients,
        [_gathered(own, "exp_avg", p) for own, p in pairs],
        [_gathered(own, "exp_avg_sq", p) for own, p in pairs],
        [],
        steps,
        lr=group.lr,
        beta1=0.9,
        beta2=0.99,
        weight_decay=group.weight_decay,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )


def _gathered(own: dict[str, Tensor], name: str, parameter: Tensor) -> Tensor:
    if name not in own:
        own[name] = torch.zeros_like(parameter)
    return own[name]


def adamw(model: nn.Module, weight_decay: float, lr_decay: float) -> Optimiser:
    return AdamW(_groups(model, weight_decay, lr_decay))


def sgd(model: nn.Module, weight_decay: float, lr_decay: float) -> Optimiser:
    return SGD(_groups(model, weight_decay, lr_decay))


def muon(model: nn.Module, weight_decay: float, lr_decay: float) -> Optimiser:
    """Filters in groups of their own; the rest learns at half of their rate."""
    groups = []
    for group in _groups(model, weight_decay, lr_decay):
        filters = [p for p in group.parameters if p.ndim == 4]
        others = [p for p in group.parameters if p.ndim != 4]
        if filters:
            groups.append(Group(parameters=filters, share=group.share, weight_decay=0.0))
        if others:
            share = _BESIDE_MUON * group.share
            groups.append(Group(parameters=others, share=share, weight_decay=group.weight_decay))
    return Muon(groups)


OPTIMISERS: dict[str, Callable[[nn.Module, float, float], Optimiser]] = {"adamw": adamw, "sgd": sgd, "muon": muon}


def _groups(model: nn.Module, weight_decay: float, lr_decay: float) -> list[Group]:
    """L2 decay on matrices and filters only: on biases and norms it costs accuracy and buys nothing.

    A group's share of the rate is ``lr_decay`` to the power of how many stages stand above it.
    """
    found: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = (lr_decay ** _stages_above(model, name), weight_decay if parameter.ndim > 1 else 0.0)
            found.setdefault(key, []).append(parameter)
    return [Group(parameters=group, share=share, weight_decay=decay) for (share, decay), group in found.items()]


def _stages_above(model: nn.Module, name: str) -> int:
    """How far a parameter lies below the classifier, in stages: 0 where the model has none."""
    stages = getattr(model, "stages", None)
    if not isinstance(stages, nn.Sequential) or not name.startswith("stages."):
        return 0
    names = [stage for stage, _ in stages.named_children()]
    return len(names) - names.index(name.split(".")[1])
