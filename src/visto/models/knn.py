"""k nearest neighbours (Fix & Hodges 1951): the training images most alike vote; nothing is learnt, all is kept."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from visto.errors import UsageError
from visto.models.described import Described

WEIGHTS = ("distance", "uniform")
_SHORT = 192  # numbers: longer vectors are looked at by their first ones
_LEAD = 144  # of 784 axes of MNIST: by 128, 21 of 60,000 examples could be among the 5 nearest, in the median
_LEAD_OF_BYTES = 223  # they cost a quarter; of up to 260, sums of products are exact in fp32 too
_FEW = 32  # numbers: bytes save less than what they leave to be measured
_MEASURED = 32  # examples beyond k whose distance is measured exactly
_SPARE = 4  # beyond k of the nearest by products: what rounding may have put in the wrong order
_TIMES = 4  # as many are measured where those did not settle it
_ROUNDING = 1.0001
_SLIP = 2.0**-23  # twice fp32's rounding, relative to what is added up, for each term
_GROUP = 16  # examples of which the nearest is looked at first
_BLOCK = 1024  # examples at once: 4 MB of distances for 1,024 images


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
class Asked:
    """Queries as a look takes them: ``rows`` to be multiplied by its own, and what makes a bound of a product.

    The distance to an example whose product is p is at least ``step`` · √(2 p + ``squares``) - ``moved``.
    """

    rows: Tensor
    squares: Tensor
    moved: Tensor
    step: float

    def beyond(self, products_n: Tensor) -> Tensor:
        """The squared distances that examples of these products have at least."""
        looks = (2 * products_n + self.squares).clamp_min(0).sqrt() * self.step
        return (looks - self.moved).clamp_min(0).square()


@dataclass(frozen=True, slots=True, kw_only=True)
class Floats:
    """A look at examples M×D by the first ``lead`` of their numbers: ``rows`` and half of their squared lengths.

    These are less than half by what rounding may make of a product, in proportion to the lengths of both.
    """

    rows: Tensor
    halves: Tensor
    lead: int

    @classmethod
    def of(cls, examples_md: Tensor, lead: int) -> "Floats":
        rows = shortened(examples_md, lead)
        return cls(rows=rows, halves=rows.square().sum(1) * (0.5 - _SLIP * examples_md.shape[1]), lead=lead)

    def asked(self, queries_nd: Tensor) -> Asked:
        rows = shortened(queries_nd, self.lead)
        squares = rows.square().sum(1) * (1 - 2 * _SLIP * queries_nd.shape[1])
        return Asked(rows=rows, squares=squares, moved=torch.zeros_like(squares), step=1.0)

    def products(self, rows_ns: Tensor, start: int, stop: int, out: Tensor) -> None:
        """½ |example|² - example · query, for examples ``start`` to ``stop``."""
        torch.addmm(self.halves[start:stop], rows_ns, self.rows[start:stop].T, alpha=-1, out=out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """The same in whole steps, -127 to 127: their products are exact, and four times as fast.

    Vectors are first turned at random, about the ``centre``, so that no axis needs a larger step than others. Half of
    an example's squared length is in further columns, by which queries have 1 and 127s. No example was ``moved``
    farther than that.
    """

    rows: Tensor
    centre: Tensor
    turn: Tensor
    step: float
    moved: float
    lead: int

    @classmethod
    def of(cls, examples_md: Tensor, lead: int) -> "Bytes":
        short = shortened(examples_md, lead)
        centre, size = short.mean(0), short.shape[1]
        random = torch.randn(size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        turn = torch.linalg.qr(random).Q.float()
        turned = (short - centre) @ turn
        step = float(turned.abs().max()) / 127 or 1.0
        slips = _slips(short, turned, examples_md.shape[1])
        whole = (turned / step).round_()
        moved = float((turned.sub_(whole, alpha=step).norm(dim=1) + slips).max())
        halves = whole.square().sum(1).div_(2, rounding_mode="floor")
        high, low = halves.div(127, rounding_mode="floor"), halves.remainder(127)
        parts = (high[:, None] - torch.arange(0, int(high.max()), 127)).clamp_(0, 127)
        rows = torch.cat([part.to(torch.int8) for part in (whole.neg_(), low[:, None], parts)], 1)
        return cls(rows=rows, centre=centre, turn=turn, step=step, moved=moved, lead=lead)

    def asked(self, queries_nd: Tensor) -> Asked:
        short = shortened(queries_nd, self.lead)
        turned = (short - self.centre) @ self.turn
        whole = (turned / self.step).round_().clamp_(-127, 127)
        moved = (turned - self.step * whole).norm(dim=1) + _slips(short, turned, queries_nd.shape[1]) + self.moved
        times = whole.new_full((len(whole), self.rows.shape[1] - whole.shape[1]), 127)
        times[:, 0] = 1
        rows = torch.cat([whole, times], 1).to(torch.int8)
        return Asked(rows=rows, squares=whole.square().sum(1), moved=moved, step=self.step)

    def products(self, rows_ns: Tensor, start: int, stop: int, out: Tensor) -> None:
        """½ |example|², rounded down, - example · query, for examples ``start`` to ``stop``."""
        rows = self.rows[start:stop].T
        if out.is_contiguous():
            torch._int_mm(rows_ns, rows, out=out)
        else:  # the last block may be narrower than its place
            out.copy_(torch._int_mm(rows_ns, rows))


def _slips(short_ns: Tensor, turned_ns: Tensor, dimensions: int) -> Tensor:
    """How far from its place fp32 may have put each vector when it was shortened and turned: S sums of S terms each."""
    lengths: Tensor = short_ns.norm(dim=1) + turned_ns.norm(dim=1)
    return lengths * (_SLIP * (math.sqrt(short_ns.shape[1]) * short_ns.shape[1] + dimensions))


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Examples M×D made ready to be searched: their squared lengths, and ``looks`` at them, the quickest first."""

    examples: Tensor
    squares: Tensor
    looks: Sequence[Floats | Bytes]


def indexed(examples_md: Tensor) -> Index:
    """The index of examples M×D."""
    dimensions = examples_md.shape[1]
    looks: list[Floats | Bytes] = [Floats.of(examples_md, _LEAD if dimensions > _SHORT else dimensions)]
    if dimensions > _FEW and torch.cpu._is_vnni_supported():  # else PyTorch multiplies bytes one by one
        by_bytes = Bytes.of(examples_md, _LEAD_OF_BYTES)
        looks = [by_bytes, by_bytes, *looks]
    return Index(examples=examples_md, squares=examples_md.square().sum(1), looks=looks)


def shortened(vectors_nd: Tensor, lead: int) -> Tensor:
    """The first numbers of each vector and the length of the rest, N×(lead + 1); short vectors as they are.

    No two are closer than these say (Cauchy and Schwarz), and hardly farther where the first numbers are the main axes.
    """
    if vectors_nd.shape[1] <= lead:
        return vectors_nd
    return torch.cat([vectors_nd[:, :lead], vectors_nd[:, lead:].norm(dim=1, keepdim=True)], 1)


def nearest(queries_nd: Tensor, index: Index, k: int) -> tuple[Tensor, Tensor]:
    """Distances and places (N×k each, nearest first) of the k examples nearest to each query, by Euclid.

    Filter and refine (Faloutsos et al. 1994): short distances to all examples by blocked matrix products, exact ones to
    the few that are nearest so. Where an example that was not measured could still be nearer, the next look decides, or
    more are measured. Of equally near ones the earlier come first.

    >>> examples = torch.tensor([[0.0], [10.0], [4.0]])
    >>> nearest(torch.tensor([[3.0]]), indexed(examples), 2)
    (tensor([[1., 3.]]), tensor([[2, 0]]))
    """
    return _nearest(queries_nd, index, index.looks, k, k + _MEASURED)


def _by_products(queries_nd: Tensor, examples_md: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As ``nearest``, in fixed shapes, for an exported graph: all products, then exact distances to the best few."""
    near = examples_md.square().sum(1) - 2 * queries_nd @ examples_md.T
    some = near.topk(min(k + _MEASURED, examples_md.shape[0]), 1, largest=False).indices.sort(1).values
    exact = (examples_md[some] - queries_nd[:, None]).square().sum(2)
    found = exact.topk(k, 1, largest=False)
    return found.values.sqrt(), some.gather(1, found.indices)


def _nearest(
    queries_nd: Tensor, index: Index, looks: Sequence[Floats | Bytes], k: int, count: int
) -> tuple[Tensor, Tensor]:
    look = looks[0]
    whole = look.rows is index.examples
    measured = k + _SPARE if whole else count
    places, limit = _candidates(look, queries_nd, min(measured, len(index.examples)))
    if places.shape[1] > k + _SPARE:
        near = index.squares[places] - 2 * _products(queries_nd, index.examples, places)
        places = places.gather(1, near.topk(k + _SPARE, largest=False).indices).sort(1).values
    exact = (index.examples[places] - queries_nd[:, None]).square().sum(2)
    order = exact.sort(dim=1, stable=True)
    distances, places = order.values[:, :k], places.gather(1, order.indices[:, :k])
    unsure = limit < distances[:, -1] * _ROUNDING
    if not whole and bool(unsure.any()):
        # where this look settled little, the same one would not settle much more
        left = looks[-1:] if 4 * int(unsure.sum()) > len(unsure) else looks[1:] or looks
        more = _nearest(queries_nd[unsure], index, left, k, _TIMES * count if left[0] is look else count)
        distances = distances.index_put((unsure,), more[0].square())
        places = places.index_put((unsure,), more[1])
    return distances.sqrt(), places


def _products(queries_nd: Tensor, examples_md: Tensor, places_nc: Tensor) -> Tensor:
    """Of each query with its own examples, N×C; they are read where they lie: to gather them takes 4 times as long."""
    n, c = places_nc.shape
    starts = torch.arange(0, n * c + 1, c)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # that compressed rows are in beta
        pairs = torch.sparse_csr_tensor(starts, places_nc.flatten(), torch.zeros(n * c), (n, len(examples_md)))
    products: Tensor = torch.sparse.sampled_addmm(pairs, queries_nd, examples_md.T, beta=0).values()
    return products.view(n, c)


def _candidates(look: Floats | Bytes, queries_nd: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The places (N×count, ascending) of the examples that look nearest, and what the squares of all others exceed."""
    asked = look.asked(queries_nd)
    m, n = len(look.rows), len(queries_nd)
    width = min(_BLOCK, -(-m // _GROUP) * _GROUP)
    stride = width // _GROUP
    dtype, far = (torch.int32, 2**31 - 1) if isinstance(look, Bytes) else (torch.float32, torch.inf)
    # one block at a time stays in the processor's cache
    blocks = torch.empty((-(-m // width), n, width), dtype=dtype)
    blocks[-1, :, m % width or width :] = far
    minima = []
    for block, start in zip(blocks, range(0, m, width), strict=True):
        stop = min(m, start + width)
        look.products(asked.rows, start, stop, block[:, : stop - start])
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
    left_out = torch.full((n,), far, dtype=dtype)
    for ranked, had in ((groups.values, chosen.shape[1]), (best.values, count)):
        if ranked.shape[1] > had:
            left_out = torch.minimum(left_out, ranked[:, had])
    return places.sort(1).values, asked.beyond(left_out.float()).masked_fill(left_out == far, torch.inf)


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
