"""The last layer, fitted at once to frozen embeddings: what a fine-tuned net begins with (Kumar et al. 2022)."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from visto.data.cache import Pixels
from visto.learn.balance import Balance
from visto.types import Batch, Task

# C of a logistic regression on standardised embeddings: over 0.01 to 0.1 its held-out accuracy hardly changes
_STRENGTH = 0.03
_FOLDS = 5
_ITERATIONS = 60


def fit_head(
    task: Task[Any, Any],
    embeddings_nd: Tensor,
    targets_nk: Tensor,
    *,
    weights: Tensor | None,
    balance: Balance,
    images: int,
    start: nn.Linear | None = None,
) -> nn.Linear:
    """The linear layer D → K with the least loss of the task plus an L2 term, by L-BFGS in fp32.

    For classification it is multinomial logistic regression. Embeddings are standardised for the fit, and the layer
    takes them as they are. The loss is the task's own, the rows weighted (N) and the logits shifted by the balance.
    ``images`` is how many images the rows are views of: the L2 term is that of so many. With ``start``, a layer that
    knows something already, the term draws towards it instead of towards zero.
    """
    mean, deviation = embeddings_nd.mean(0), embeddings_nd.std(0, correction=0).clamp_min(1e-6)
    scaled = (embeddings_nd - mean) / deviation
    rows = torch.arange(len(scaled))
    batch: Batch[Any] = Batch(inputs={"images": scaled}, targets=targets_nk, rows=rows, weights=weights)
    layer = nn.Linear(embeddings_nd.shape[1], targets_nk.shape[1])
    with torch.no_grad():
        layer.weight.copy_(start.weight * deviation if start is not None else torch.zeros_like(layer.weight))
        layer.bias.copy_(start.bias + start.weight @ mean if start is not None else torch.zeros_like(layer.bias))
    before = layer.weight.detach().clone()
    model = balance.shifted(_Named(layer))
    penalty = 1 / (2 * _STRENGTH * images)
    solver = torch.optim.LBFGS(layer.parameters(), max_iter=_ITERATIONS, history_size=10, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        solver.zero_grad()
        total = task.loss(model, batch).total + penalty * (layer.weight - before).square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    solver.step(cost)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        layer.weight.div_(deviation)
        layer.bias.sub_(layer.weight @ mean)
    return layer.requires_grad_(True)


Start = Callable[[Tensor, Tensor], nn.Linear]  # from embeddings N×D and labels N×K to what their head begins with


def nearest_classes(published: nn.Linear, embeddings_nd: Tensor, targets_nk: Tensor) -> nn.Linear:
    """For each of K classes the row of a published classifier that tells it best: D → K.

    It is the published class whose mean probability is highest on images of the class, less that on all others.
    """
    with torch.no_grad():
        shares = published(embeddings_nd).softmax(1)
        inside, outside = targets_nk, 1 - targets_nk
        gaps = inside.T @ shares / inside.sum(0).clamp_min(1)[:, None]
        gaps -= outside.T @ shares / outside.sum(0).clamp_min(1)[:, None]
        rows = gaps.argmax(1)
        layer = nn.Linear(published.in_features, len(rows))
        layer.weight.copy_(published.weight[rows])
        layer.bias.copy_(published.bias[rows])
    return layer


def logits_left_out(
    task: Task[Any, Any],
    embeddings_nd: Tensor,
    targets_nk: Tensor,
    groups: Sequence[Hashable],
    start: Start | None = None,
) -> Tensor:
    """For each of N images the logits (N×K) of a head that was fitted without it and its ``groups`` (N), in 5 folds."""
    balance = Balance("none", targets_nk)
    rows = torch.arange(len(targets_nk))
    fold_of: dict[Hashable, int] = {}
    # by class, then dealt out like cards: every fold gets its share of each
    for row in torch.argsort(targets_nk.argmax(1), stable=True).tolist():
        fold_of.setdefault(groups[row], len(fold_of) % _FOLDS)
    folds = torch.tensor([fold_of[group] for group in groups])
    logits = torch.zeros_like(targets_nk)
    for fold in range(_FOLDS):
        inside, outside = rows[folds != fold], rows[folds == fold]
        if len(inside) and len(outside):
            some, labels = embeddings_nd[inside], targets_nk[inside]
            layer = fit_head(
                task,
                some,
                labels,
                weights=None,
                balance=balance,
                images=len(inside),
                start=start(some, labels) if start else None,
            )
            with torch.no_grad():
                logits[outside] = layer(embeddings_nd[outside])
    return logits


def groups_of(pixels: Pixels) -> list[Hashable]:
    """What may not be parted between fitting and judging: images of a group, else those of one content."""
    digests = pixels.digests.numpy()
    return [item.group or bytes(digest) for item, digest in zip(pixels.items, digests, strict=True)]


def errors_left_out(
    task: Task[Any, Any],
    embeddings_nd: Tensor,
    targets_nk: Tensor,
    truth: Sequence[Any],
    groups: Sequence[Hashable],
    start: Start | None = None,
) -> int:
    """On how many of N images the head answers wrongly that was fitted without them."""
    logits = logits_left_out(task, embeddings_nd, targets_nk, groups, start)
    answers = task.answers(task.head({"logits": logits}), ())
    return sum(a.value.classes != target.classes for a, target in zip(answers, truth, strict=True))


def losses_left_out(
    task: Task[Any, Any],
    embeddings_nd: Tensor,
    targets_nk: Tensor,
    groups: Sequence[Hashable],
    start: Start | None = None,
) -> Tensor:
    """The task's loss on each of N images (N) by the head that was fitted without it."""
    batch: Batch[Any] = Batch(
        inputs={"images": logits_left_out(task, embeddings_nd, targets_nk, groups, start)},
        targets=targets_nk,
        rows=torch.arange(len(targets_nk)),
    )
    each = task.loss(_Named(nn.Identity()), batch).each
    assert each is not None  # noqa: S101  (both tasks give it)
    return each


class _Named(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, embeddings_nd: Tensor) -> dict[str, Tensor]:
        return {"logits": self.layer(embeddings_nd)}
