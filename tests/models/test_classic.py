"""The pieces of classic models, by hand and against brute force."""

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from visto.errors import UsageError
from visto.models import MODELS
from visto.models.described import Described
from visto.models.knn import KNN, Bytes, Floats, Index, indexed, nearest, vote_weights
from visto.models.svm import KernelSVM
from visto.models.trees import Trees


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 300), st.integers(1, 5), st.integers(1, 12), st.integers(0, 3), st.booleans())
def test_nearest_is_brute_force(n: int, m: int, d: int, k: int, seed: int, whole: bool) -> None:
    random = torch.Generator().manual_seed(seed)
    queries, examples = torch.randn(n, d, generator=random), torch.randn(m, d, generator=random)
    if whole:  # many ties
        queries, examples = queries.round(), examples.round()
    distances, places = nearest(queries, indexed(examples), min(k, m))
    exact = (examples[None] - queries[:, None]).square().sum(2).sqrt()
    expected = exact.sort(dim=1, stable=True).values[:, : min(k, m)]
    assert torch.allclose(distances, expected, atol=1e-6)
    assert torch.equal(exact.gather(1, places), distances)
    assert all(len(set(row)) == len(row) for row in places.tolist())


def test_nearest_over_several_blocks() -> None:
    random = torch.Generator().manual_seed(0)
    queries, examples = torch.randn(7, 3, generator=random), torch.randn(9001, 3, generator=random)
    distances, places = nearest(queries, indexed(examples), 6)
    expected = torch.cdist(queries.double(), examples.double()).topk(6, largest=False)
    assert torch.equal(places, expected.indices)
    assert torch.allclose(distances.double(), expected.values, atol=1e-6)


@pytest.mark.parametrize("leading", [0.1, 1.0, 30.0])
def test_nearest_of_long_vectors(leading: float) -> None:
    """Whatever part of the distance the first numbers hold: those that do not settle it are looked at again."""
    random = torch.Generator().manual_seed(0)
    queries, examples = torch.randn(20, 300, generator=random), torch.randn(3000, 300, generator=random)
    queries[:, :144] *= leading
    examples[:, :144] *= leading
    distances, places = nearest(queries, indexed(examples), 4)
    expected = torch.cdist(queries.double(), examples.double()).topk(4, largest=False)
    assert torch.equal(places, expected.indices)
    assert torch.allclose(distances.double(), expected.values, rtol=1e-5)


def looked_at(examples: Tensor, lead: int) -> Index:
    """By bytes first on any processor, and however short they are."""
    bytes_, floats = Bytes.of(examples, lead), Floats.of(examples, lead)
    return Index(examples=examples, squares=examples.square().sum(1), looks=[bytes_, bytes_, floats])


def awkward(kind: str, n: int, d: int, random: torch.Generator) -> Tensor:
    vectors = torch.randn(n, d, generator=random)
    if kind == "ties":
        return vectors.round()
    if kind == "zeros":
        return vectors * (torch.rand(n, d, generator=random) < 0.1)
    if kind == "one vector":
        return vectors[:1].expand(n, d).contiguous()
    if kind == "copies":
        return vectors[torch.randint(max(1, n // 20), (n,), generator=random)]
    if kind == "clusters":
        return vectors[torch.randint(min(3, n), (n,), generator=random)] + 1e-3 * vectors
    if kind == "wide":
        return vectors * 10 ** (12 * torch.rand(d, generator=random) - 6)
    if kind == "one far":
        vectors[-1] *= 1e5
    if kind == "off centre":
        vectors += 10
    return vectors


KINDS = st.sampled_from(["plain", "ties", "zeros", "one vector", "copies", "clusters", "wide", "one far", "off centre"])
SIZES = {"n": st.integers(1, 20), "m": st.integers(1, 1500), "d": st.integers(1, 40), "lead": st.integers(1, 40)}


@settings(deadline=None, max_examples=150)
@given(KINDS, st.fixed_dictionaries(SIZES), st.integers(0, 9), st.sampled_from([Bytes, Floats]))
def test_no_example_is_nearer_than_a_look_says(
    kind: str, size: Mapping[str, int], seed: int, of: type[Bytes] | type[Floats]
) -> None:
    random = torch.Generator().manual_seed(seed)
    both = awkward(kind, size["n"] + size["m"], size["d"], random)
    queries, examples = both[: size["n"]], both[size["n"] :].contiguous()
    look = of.of(examples, size["lead"])
    asked = look.asked(queries)
    products = torch.empty(len(queries), len(examples), dtype=torch.int32 if of is Bytes else torch.float32)
    look.products(asked.rows, 0, len(examples), products)
    true = (queries[:, None].double() - examples.double()).square().sum(2)
    for column, exact in zip(products.T, true.T, strict=True):
        assert (asked.beyond(column.float()).double() <= exact * 1.0001).all()


@settings(deadline=None, max_examples=150)
@given(KINDS, st.fixed_dictionaries(SIZES), st.integers(1, 8), st.integers(0, 9))
def test_nearest_by_bytes_is_brute_force(kind: str, size: Mapping[str, int], k: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    both = awkward(kind, size["n"] + size["m"], size["d"], random)
    queries, examples = both[: size["n"]], both[size["n"] :].contiguous()
    k = min(k, len(examples))
    distances, places = nearest(queries, looked_at(examples, size["lead"]), k)
    true = (queries[:, None].double() - examples.double()).square().sum(2).sqrt()
    assert torch.allclose(distances.double(), true.gather(1, places), rtol=1e-5, atol=1e-30)
    expected = true.topk(k, largest=False)
    # which of two is nearer fp32 cannot tell closer than it multiplies them
    reach = queries.norm(dim=1, keepdim=True) + examples.norm(dim=1)[expected.indices]
    assert (distances.square() <= expected.values.square() * 1.00001 + 1e-5 * reach.square()).all()
    assert all(len(set(row)) == len(row) for row in places.tolist())


def test_the_very_image_outvotes_all_others() -> None:
    assert vote_weights(torch.tensor([[0.0, 1.0, 0.0], [1.0, 2.0, 4.0]])).tolist() == [[1, 0, 1], [1, 0.5, 0.25]]


def described(dimensions: int) -> Described:
    return Described(["raw"], channels=1, size=(1, dimensions), scaled=False, components=0)


def test_votes_by_hand() -> None:
    model = KNN(described(1), classes=3, neighbours=2, weights="distance", images=3)
    model.examples.copy_(torch.tensor([[0.0], [3.0], [9.0]]))
    model.labels.copy_(torch.tensor([0, 2, 1]))
    found = model.decide(torch.tensor([[1.0]]))
    assert torch.allclose(found["proba"], torch.tensor([[2 / 3, 0, 1 / 3]]))
    assert found["neighbours"].tolist() == [[0, 1]]
    assert torch.allclose(found["logits"].exp(), torch.tensor([[5 / 9, 1 / 9, 3 / 9]]))


def test_a_tree_by_hand() -> None:
    model = Trees(described(2), 2, nodes=3, leaves=2, trees=1, depth=1)
    model.feature.copy_(torch.tensor([1, 0, 0]))
    model.threshold.copy_(torch.tensor([0.5, 0.0, 0.0]))
    model.left.copy_(torch.tensor([1, 1, 2]))
    model.right.copy_(torch.tensor([2, 1, 2]))
    model.row.copy_(torch.tensor([0, 0, 1]))
    model.shares.copy_(torch.tensor([[1.0, 0.0], [0.25, 0.75]]))
    images = torch.tensor([[[[0.9, 0.5]]], [[[0.1, 0.6]]]])
    assert model(images)["proba"].tolist() == [[1.0, 0.0], [0.25, 0.75]]


def test_pairs_of_a_machine_by_hand() -> None:
    model = KernelSVM(described(1), 3, vectors=1)
    model.weights.copy_(torch.tensor([[1.0, -1.0, 0.0]]))
    decision = model.decide(torch.zeros(1, 1))["decision"]
    assert decision.tolist() == [[1.0, -1.0, 0.0]]
    # 0 beats 1, 2 beats 0, 1 and 2 are even: 2 is ahead
    assert model.decide(torch.zeros(1, 1))["logits"].argmax(1).item() == 2


def test_axes_keep_what_varies_most() -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.rand(200, 1, 4, 4, generator=random)
    images[:, 0, 0, 0] *= 50
    model = Described(["raw"], channels=1, size=(4, 4), scaled=True, components=3)
    settled = model.fit_to(model.measured(images))
    assert settled.shape == (200, 3)
    assert torch.allclose(settled, model(images), atol=1e-4)
    assert abs(float(model.axes[0, 0])) > 0.99  # raw pixels keep their proportions
    assert torch.allclose(settled.mean(0), torch.zeros(3), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("svm", {"features": ["wavelets"]}, "no features 'wavelets'"),
        ("svm", {"features": []}, "features none"),
        ("svm", {"kernel": "poly"}, "no kernel"),
        ("knn", {"neighbours": 0}, "0 neighbours"),
        ("knn", {"weights": "none"}, "no vote weights"),
        ("tree", {"leaf": 0}, "0 images a leaf"),
        ("forest", {"trees": 0}, "0 trees"),
        ("logistic", {"components": -1}, "components -1"),
    ],
)
def test_what_cannot_be_built(name: str, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        MODELS[name](classes=2, channels=1, size=[8, 8], **arguments)
