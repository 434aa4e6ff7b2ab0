"""How far the native kernels of a model's layers are from fp32: each alone, on what it reads in the model.

The model as a whole cannot say. Where the pixels of a 2×2 are equal, as on a flat ground, it is chance which of them
counts as the largest, and a fresh net makes much of it: a sound kernel can be a third off by then. A layer alone, given
the same choice, is off by 1 to 3 %. Filters and gradients are stirred first: those of a fresh net are the identity for
the most part, by which a wrong neighbour comes to nothing, and hardly any for some channels.
"""

import contextlib
import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import backward

from visto.models.convolution import Convolution
from visto.models.norm import Norm
from visto.native import winograd

Layer = Convolution | Norm
Context = Callable[[], contextlib.AbstractContextManager[object]]


@dataclass(slots=True)
class _Call:
    """What a layer read, and the gradient of what it made; None where none came."""

    layer: Layer
    read: Tensor
    given: Tensor | None = None

    def give(self, gradient: Tensor) -> None:
        self.given = gradient


def kernel_gap(model: nn.Module, images: Tensor, context: Context) -> float:
    """The largest ``gap`` of any layer: of what it makes, of its gradients and of its running figures.

    ``model`` is ready to learn by native kernels, in ``context``; it keeps no gradients, but its figures have moved.
    Infinite where it runs none.
    """
    calls: list[_Call] = []

    def watch(layer: Layer, inputs: tuple[Tensor], made: Tensor) -> None:
        if layer.is_native(inputs[0]):
            calls.append(_Call(layer, inputs[0].detach().requires_grad_(inputs[0].requires_grad)))
            if made.requires_grad:
                made.register_hook(calls[-1].give)  # type: ignore[no-untyped-call]

    hooks = [layer.register_forward_hook(watch) for layer in model.modules() if isinstance(layer, Layer)]
    with context():
        outputs = list(model(images).values())
    sum(o.float().square().mean() for o in outputs).backward()
    for hook in hooks:
        hook.remove()
    model.zero_grad()
    return max((_alone(call, context) for call in calls), default=math.inf)


def gap(rough: Tensor, exact: Tensor) -> float:
    """The norm of their difference as a share of ``exact``'s: the largest for any row, column, channel or other slice.

    A slice with less than the root mean square of the norms counts as if it had that. Infinite where a number is not
    finite.
    """
    if not (rough.isfinite().all() and exact.isfinite().all()):
        return math.inf
    worst = 0.0
    for axis in range(exact.ndim):
        wrong, right = (
            t.double().movedim(axis, 0).reshape(t.shape[axis], -1).square().sum(1) for t in (rough - exact, exact)
        )
        worst = max(worst, float((wrong / right.clamp_min(right.mean()).clamp_min(1e-30)).max().sqrt()))
    return worst


def _alone(call: _Call, context: Context) -> float:
    layer, read = copy.deepcopy(call.layer).requires_grad_(), call.read
    if isinstance(layer, Convolution):
        layer.weight.data = _stirred(layer.weight.data, 1 / math.sqrt(layer.weight[0].numel()))
    exact = copy.deepcopy(layer).float()
    exact.native = False
    plain = read.detach().float().requires_grad_(read.requires_grad)
    with context():
        made: Tensor = layer(read)
    pairs: list[tuple[Tensor | None, Tensor | None]] = []
    if isinstance(exact, Convolution) and exact.pooled:
        exact.pooled = False
        whole = exact(plain)
        pairs.append((made, F.max_pool2d(whole, 2)))
        bits = made.grad_fn.saved_tensors[2]  # type: ignore[union-attr]  # which pixels were taken
        expected = _picked(whole, winograd.picks(bits, made.shape))
    else:
        expected = exact(plain)
    if call.given is not None:
        given = _stirred(call.given, float(call.given.float().square().mean().sqrt()) or 1.0)
        backward((made, expected), (given, given.float()))
    pairs += [(made, expected), (read.grad, plain.grad), *zip(layer.buffers(), exact.buffers(), strict=True)]
    pairs += [(a.grad, b.grad) for a, b in zip(layer.parameters(), exact.parameters(), strict=True)]
    return max(gap(a.detach().float(), b.detach()) for a, b in pairs if a is not None and b is not None)


def _stirred(values: Tensor, deviation: float) -> Tensor:
    """With normal noise added, the same in each run."""
    noise = torch.randn(values.shape, generator=torch.Generator().manual_seed(0)) * deviation
    return values + noise.to(values.dtype)


def _picked(images: Tensor, picks: Tensor) -> Tensor:
    """One pixel of each 2×2."""
    n, channels, down, across = picks.shape
    four = F.unfold(images[:, :, : 2 * down, : 2 * across], 2, stride=2).view(n, channels, 4, down, across)
    return four.gather(2, picks[:, :, None]).squeeze(2)
