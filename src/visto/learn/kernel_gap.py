"""How far the native kernels of a model's layers are from fp32: each alone, on what it reads in the model.

The model as a whole cannot say. Where the pixels of a 2×2 are equal, as on a flat ground, it is chance which of them
counts as the largest, and a fresh net makes much of it: a sound kernel can be a third off by then. A layer alone, given
the same choice, is off by 2 %.
"""

import contextlib
import copy
import math
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import backward

from visto.models.convolution import Convolution
from visto.models.norm import Norm
from visto.native import winograd

Layer = Convolution | Norm
Context = Callable[[], contextlib.AbstractContextManager[object]]


def kernel_gap(model: nn.Module, images: Tensor, context: Context) -> float:
    """The largest ``gap`` of any layer: of what it makes, of its gradients and of its running figures.

    ``model`` is ready to learn by native kernels, in ``context``; it keeps no gradients, but its figures have moved.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, Layer)]
    read: dict[nn.Module, Tensor] = {}
    given: dict[nn.Module, Tensor] = {}

    def watch(layer: Layer, inputs: tuple[Tensor], made: Tensor) -> None:
        if layer.is_native(inputs[0]) and made.requires_grad:
            read[layer] = inputs[0].detach().requires_grad_(inputs[0].requires_grad)
            made.register_hook(lambda gradient: given.update({layer: gradient}))  # type: ignore[no-untyped-call]

    hooks = [layer.register_forward_hook(watch) for layer in layers]
    with context():
        outputs = list(model(images).values())
    sum(o.float().square().mean() for o in outputs).backward()
    for hook in hooks:
        hook.remove()
    model.zero_grad()
    return max((_alone(layer, read[layer], given[layer], context) for layer in layers if layer in given), default=0.0)


def gap(rough: Tensor, exact: Tensor) -> float:
    """The norm of their difference as a share of ``exact``'s: the largest for any row, column, channel or other slice.

    A slice with less than the root mean square of the norms counts as if it had that. Infinite where ``rough`` is not
    finite.
    """
    if not rough.isfinite().all():
        return math.inf
    worst = 0.0
    for axis in range(exact.ndim):
        wrong, right = (
            t.double().movedim(axis, 0).reshape(t.shape[axis], -1).square().sum(1) for t in (rough - exact, exact)
        )
        worst = max(worst, float((wrong / right.clamp_min(right.mean()).clamp_min(1e-30)).max().sqrt()))
    return worst


def _alone(layer: Layer, read: Tensor, given: Tensor, context: Context) -> float:
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
    backward((made, expected), (given, given.float()))
    pairs += [(made, expected), (read.grad, plain.grad), *zip(layer.buffers(), exact.buffers(), strict=True)]
    pairs += [(a.grad, b.grad) for a, b in zip(layer.parameters(), exact.parameters(), strict=True)]
    layer.zero_grad()
    return max(gap(a.detach().float(), b.detach()) for a, b in pairs if a is not None and b is not None)


def _picked(images: Tensor, picks: Tensor) -> Tensor:
    """One pixel of each 2×2."""
    n, channels, down, across = picks.shape
    four = F.unfold(images[:, :, : 2 * down, : 2 * across], 2, stride=2).view(n, channels, 4, down, across)
    return four.gather(2, picks[:, :, None]).squeeze(2)
