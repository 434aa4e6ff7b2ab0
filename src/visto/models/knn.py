"""k nearest neighbours (Fix & Hodges 1951): the training images most alike vote; nothing is learnt, all is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.described import Described

WEIGHTS = ("distance", "uniform")
_SHORT = 192  # numbers: longer vectors are looked at by their first ones
_LEAD = 144  # of 784 axes of MNIST: by 128, 21 of 60,000 examples could be among the 5 nearest, in the median
_MEASURED = 32  # examples beyond k whose distance is measured exactly
_SPARE = 4  # where nothing is left out: what rounding may have put in the wrong order
_TIMES = 4  # as many are measured where those did not settle it
_ROUNDING = 1.0001
_GROUP = 16  # examples of which the nearest is looked at first
_BLOCK = 4096  # examples at once: 8 MB of distances for 512 images


class KNN(nn.Module):
    """``examples`` M×D and their ``labels`` M. ``proba`` N×K are the shares of the votes of the ``neighbours`` nearest.

    With weights ``distance`` a vote weighs 1 / distance, as in scikit-learn. ``logits`` are the logs of the shares with
    one vote more, spread over all classes: where all neighbours agree the rest is unlikely, not impossible.
    """

    holds_training_data = True
    examples: Tensor
    labels: Tensor

    def __init__(self, described: Described, classes: int, neighbours: int, weights: str, images: int) -> None:
        super().__init__()
        self.described = described
        self.classes = classes
        self.neighbours = neighbours
        self.by_distance = weights == "distance"
        self.register_buffer("examples", torch.zeros(images, described.dimensions))
        self.register_buffer("labels", torch.zeros(images, dtype=torch.int64))
        self.index: Index | None = None
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        return self.decide(self.described(images_nchw))

    def decide(self, features_nd: Tensor) -> dict[str, Tensor]:
        """The votes for features N×D."""
        k = min(self.neighbours, len(self.examples))
        if torch.compiler.is_exporting():
            distances, places = _by_products(features_nd, self.examples, k)
        else:
            self.index = self.index or indexed(self.examples)
            distances, places = nearest(features_nd, self.index, k)
        weights = vote_weights(distances) if self.by_distance else torch.ones_like(distances)
        votes = features_nd.new_zeros(features_nd.shape[0], self.classes)
        votes = votes.scatter_add(1, self.labels[places], weights)
        proba = votes / weights.sum(1, keepdim=True)
        return {"logits": ((k * proba + 1 / self.classes) / (k + 1)).log(), "proba": proba, "neighbours": places}


def _forget(model: nn.Module, _: object) -> None:
    """Other examples need another index."""
    assert isinstance(model, KNN)  # noqa: S101  (registered there)
    model.index = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Examples M×D made ready to be searched. ``short`` M×S stands for them: no two are closer than theirs say.

    Of long vectors it holds the first ``_LEAD`` numbers and the length of the rest: the distance between two such is at
    most that of the wholes (Cauchy and Schwarz), and nearly that where the first numbers are the main axes. ``norms``
    are the squared lengths of ``short``, ``squares`` those of ``examples``.
    """

    examples: Tensor
    short: Tensor
    norms: Tensor
    squares: Tensor

    @property
    def whole(self) -> bool:
        """Whether ``short`` leaves nothing out."""
        return self.short is self.examples


def indexed(examples_md: Tensor) -> Index:
    """The index of examples M×D."""
    short = shortened(examples_md)
    squares = examples_md.square().sum(1)
    norms = squares if short is examples_md else short.square().sum(1)
    return Index(examples=examples_md, short=short, norms=norms, squares=squares)


def shortened(vectors_nd: Tensor) -> Tensor:
    """The first numbers of each vector and the length of the rest, N×(_LEAD + 1); short vectors as they are."""
    if vectors_nd.shape[1] <= _SHORT:
        return vectors_nd
    return torch.cat([vectors_nd[:, :_LEAD], vectors_nd[:, _LEAD:].norm(dim=1, keepdim=True)], 1)


def nearest(queries_nd: Tensor, index: Index, k: int) -> tuple[Tensor, Tensor]:
    """Distances and places (N×k each, nearest first) of the k examples nearest to each query, by Euclid.

    Filter and refine (Faloutsos et al. 1994): short distances to all examples by blocked matrix products, exact ones to
    the few that are nearest so. Where an example that was not measured could still be nearer, more are. Of equally near
    ones the earlier come first.

    >>> examples = torch.tensor([[0.0], [10.0], [4.0]])
    >>> nearest(torch.tensor([[3.0]]), indexed(examples), 2)
    (tensor([[1., 3.]]), tensor([[2, 0]]))
    """
    return _nearest(queries_nd, index, k, k + (_SPARE if index.whole else _MEASURED))


def _by_products(queries_nd: Tensor, examples_md: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As ``nearest``, in fixed shapes, for an exported graph: all products, then exact distances to the best few."""
    near = examples_md.square().sum(1) - 2 * queries_nd @ examples_md.T
    some = near.topk(min(k + _MEASURED, examples_md.shape[0]), 1, largest=False).indices.sort(1).values
    exact = (examples_md[some] - queries_nd[:, None]).square().sum(2)
    found = exact.topk(k, 1, largest=False)
    return found.values.sqrt(), some.gather(1, found.indices)


def _nearest(queries_nd: Tensor, index: Index, k: int, count: int) -> tuple[Tensor, Tensor]:
    places, limit = _candidates(shortened(queries_nd), index, min(count, len(index.examples)))
    if places.shape[1] > k + _SPARE:
        # all but the nearest few by products, which one pass over the examples gives
        found = index.examples[places]
        near = index.squares[places] - 2 * torch.bmm(found, queries_nd[:, :, None]).squeeze(2)
        places = places.gather(1, near.topk(k + _SPARE, largest=False).indices).sort(1).values
    exact = (index.examples[places] - queries_nd[:, None]).square().sum(2)
    order = exact.sort(dim=1, stable=True)
    distances, places = order.values[:, :k], places.gather(1, order.indices[:, :k])
    unsure = limit < distances[:, -1] * _ROUNDING
    if not index.whole and bool(unsure.any()):
        more = _nearest(queries_nd[unsure], index, k, _TIMES * count)
        distances = distances.index_put((unsure,), more[0].square())
        places = places.index_put((unsure,), more[1])
    return distances.sqrt(), places


def _candidates(short_ns: Tensor, index: Index, count: int) -> tuple[Tensor, Tensor]:
    """The places (N×count, ascending) of the examples nearest by their short distances, and what all others exceed."""
    m, n = len(index.examples), len(short_ns)
    width = min(_BLOCK, -(-m // _GROUP) * _GROUP)
    stride = width // _GROUP
    # squared distances less the query's own square; one block at a time stays in the processor's cache
    blocks = short_ns.new_empty((-(-m // width), n, width))
    blocks[-1, :, m % width or width :] = torch.inf
    minima = []
    for block, start in zip(blocks, range(0, m, width), strict=True):
        stop = min(m, start + width)
        torch.addmm(
            index.norms[start:stop], short_ns, index.short[start:stop].T, alpha=-2, out=block[:, : stop - start]
        )
        minima.append(block.view(n, _GROUP, stride).amin(1))
    # the nearest lie in the groups whose nearest are nearest
    least = torch.cat(minima, 1)
    groups = least.topk(min(count + 1, least.shape[1]), largest=False)
    chosen = groups.indices[:, :count]
    within = (torch.arange(_GROUP) * stride).expand(n, chosen.shape[1], -1) + (chosen % stride)[:, :, None]
    of_block = (chosen // stride)[:, :, None].expand_as(within)
    found = blocks[of_block, torch.arange(n)[:, None, None], within].flatten(1)
    best = found.topk(min(count + 1, found.shape[1]), largest=False)
    places = (of_block * width + within).flatten(1).gather(1, best.indices[:, :count]).clamp_max(m - 1)
    left_out = torch.full((n,), torch.inf)
    for ranked, had in ((groups.values, chosen.shape[1]), (best.values, count)):
        if ranked.shape[1] > had:
            left_out = torch.minimum(left_out, ranked[:, had])
    return places.sort(1).values, left_out + short_ns.square().sum(1)


def vote_weights(distances_nk: Tensor) -> Tensor:
    """1 / distance; where neighbours are the very image, they alone vote."""
    same = distances_nk == 0
    return torch.where(same.any(1, keepdim=True), same.float(), 1 / distances_nk.clamp_min(1e-30))


def knn(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    features: Sequence[str] = ("raw",),
    components: int = 64,
    neighbours: int = 5,
    weights: str = "distance",
    fitted: Mapping[str, int] | None = None,
) -> nn.Module:
    """k nearest neighbours: ``neighbours`` vote, each as 1 / ``distance``, or all alike (``uniform``).

    ``components`` main axes of the features are kept (0: all). ``fitted`` is what the data decided: ``images``.
    """
    if weights not in WEIGHTS:
        raise UsageError(f"no vote weights {weights!r}", expected=f"one of {', '.join(WEIGHTS)}")
    if neighbours < 1:
        raise UsageError(f"{neighbours} neighbours", expected="1 or more")
    described = Described(features, channels=channels, size=size, scaled=True, components=components, turned=True)
    return KNN(described, classes, neighbours, weights, (fitted or {}).get("images", 8))
