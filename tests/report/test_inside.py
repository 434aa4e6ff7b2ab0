"""How classic models decide: trees, weights, neighbours, from buffers made by hand."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.report.conftest import Read, classic_of, evaluation_of
from visto.bundle import Bundle
from visto.data.dataset import Item, PixelRow
from visto.evaluation import Evaluation
from visto.models.logistic import Linear
from visto.models.svm import KernelSVM
from visto.models.trees import Trees
from visto.report.fitted import fitted_of
from visto.report.inside import support_of_classes
from visto.report.questions import Asked, lines_of, outline
from visto.report.weight_maps import on_features, weight_maps
from visto.types import Label

Report = Callable[..., Read]
CATS = ("cat", "dog", "owl")
ROWS = [(0, 0, 0.9), (1, 1, 0.8), (2, 2, 0.8), (0, 1, 0.7), (1, 2, 0.6)] * 4


def judged() -> Evaluation:
    return evaluation_of(CATS, ROWS)


def chain(length: int) -> dict[str, Tensor]:
    """A tree of so many questions, each about another pixel, one below the no of the other."""
    nodes = 2 * length + 1
    left = [k + 1 if k % 2 == 0 and k < nodes - 1 else k for k in range(nodes)]
    right = [k + 2 if k % 2 == 0 and k < nodes - 1 else k for k in range(nodes)]
    ends = [k for k in range(nodes) if left[k] == k]
    shares = torch.zeros(len(ends), 3)
    shares[torch.arange(len(ends)), torch.arange(len(ends)) % 3] = 0.75
    shares[torch.arange(len(ends)), (torch.arange(len(ends)) + 1) % 3] = 0.25
    whole = {
        "feature": [9 + k for k in range(nodes)],
        "left": left,
        "right": right,
        "row": [ends.index(k) if k in ends else 0 for k in range(nodes)],
        "roots": [0],
    }
    held = {name: torch.tensor(values, dtype=torch.int32) for name, values in whole.items()}
    return {**held, "threshold": torch.full((nodes,), 0.25, dtype=torch.float64), "shares": shares}


def tree_of(length: int) -> Bundle:
    sizes = {"nodes": 2 * length + 1, "leaves": length + 1, "trees": 1, "depth": length}
    return classic_of("tree", CATS, chain(length), features=["raw"], fitted=sizes)


def test_a_tree_is_drawn_and_said(report: Report) -> None:
    page = report(judged(), bundle=tree_of(6), history=[])
    for words in (
        "One tree of 13 nodes, of which 7 are ends; the longest way asks 6 questions.",
        "5 nodes below them are not drawn",
        "pixel (1, 1) red ≤ 0.25 yes: cat (75.0 %) no: pixel (3, 1) red ≤ 0.25",
        "no: 5 more nodes: cat, dog, owl",
        "fitted at once by scikit-learn to raw pixels (192 numbers an image)",
        "1.5 s of features and fit",
        "tree on raw, 13 nodes",
        "It took no steps",
    ):
        assert words in page.said, words
    for words in ("60 epochs", "adamw", "learning rate", "Augmentation"):
        assert words not in page.said.split("The whole recipe")[0], words


def test_the_lines_of_a_tree() -> None:
    fitted = fitted_of(tree_of(2))
    assert fitted is not None and fitted.described is not None
    assert isinstance(fitted.module, Trees)
    asked = Asked(described=fitted.described, size=(8, 8), mean=[0.5] * 3, std=[0.5] * 3)
    assert outline(lines_of(fitted.module, asked, CATS)).replace("\xa0", " ").splitlines() == [
        "pixel (1, 1) red ≤ 0.625",
        "  yes: cat (75.0 %)",
        "  no: pixel (3, 1) red ≤ 0.625",
        "    yes: dog (75.0 %)",
        "    no: owl (75.0 %)",
    ]
    assert asked.question(191, 0.0) == "pixel (7, 7) blue ≤ 0.5"
    (line,) = lines_of(fitted.module, asked, CATS, levels=0)
    assert line.hidden == 5
    leaf = fitted_of(tree_of(0))
    assert leaf is not None and isinstance(leaf.module, Trees)
    assert [line.words for line in lines_of(leaf.module, asked, CATS)] == ["cat (75.0\xa0%)"]


def trained(count: int = 6) -> tuple[list[Item], Tensor]:
    """Training images, and their pixels N×192 as a model sees them."""
    draw = np.random.default_rng(0)
    array = draw.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    items = [
        Item(id=f"train:{k}", source=PixelRow(array, k), target=Label(index=k % 3), split="train") for k in range(count)
    ]
    return items, torch.from_numpy(array).permute(0, 3, 1, 2).float().div(255).flatten(1)


def knn_of(examples: Tensor) -> Bundle:
    held = {"examples": examples, "labels": torch.arange(len(examples)) % 3}
    return classic_of("knn", CATS, held, features=["raw"], components=0, fitted={"images": len(examples)})


def test_neighbours_are_shown_where_the_data_is_at_hand(report: Report) -> None:
    items, examples = trained()
    page = report(judged(), bundle=knn_of(examples), history=[], trained_on=items)
    for words in (
        "All 6 training images are kept, as 192 numbers each.",
        "the 5 training images nearest to it vote, each weighing 1 / its distance",
        "nothing is learnt: 6 training images are kept, as raw pixels (192 numbers an image)",
        "It contains 6 training images, whose pixels can be read from it",
        "2 more mistakes",
    ):
        assert words in page.said, words
    near = [a for a in page.all("img") if a["alt"].startswith("training image: ")]
    assert len(near) == 8 * 5


@pytest.mark.parametrize("change", ["order", "number", "none", "samples"])
def test_neighbours_without_their_pictures(report: Report, change: str) -> None:
    items, examples = trained()
    given: Sequence[Item] = {"order": items[::-1], "number": items[1:], "none": []}.get(change, items)
    page = report(judged(), bundle=knn_of(examples), history=[], trained_on=given, samples=change != "samples")
    assert not [a for a in page.all("img") if a["alt"].startswith("training image: ")]
    assert "What its surest mistakes look like to it" in page.said
    words = {"none": "can be shown where the training images are at hand", "samples": "left out, as asked"}
    assert words.get(change, "are not, in number and order") in page.said


def test_weights_are_pictures(report: Report) -> None:
    weight = torch.zeros(3, 192)
    weight[0, 5], weight[1, 5] = 3.0, -3.0
    held = {"layer.weight": weight, "layer.bias": torch.zeros(3), "described.scale": torch.full((192,), 0.5)}
    page = report(judged(), bundle=classic_of("logistic", CATS, held, features=["raw"]), history=[])
    assert [a["alt"] for a in page.all("img")][-3:] == [f"weights of the pixels for {name}" for name in CATS]
    assert "It weighs 192 numbers of an image" in page.said
    two = classic_of("svm", CATS[:2], {}, features=["raw"], kernel="linear", components=0, balance="weights")
    page = report(evaluation_of(CATS[:2], [(0, 0, 0.9), (1, 0, 0.9)]), bundle=two, history=[])
    assert "weights of the pixels for dog, not cat" in page.all("img")[-1]["alt"]
    assert "each class weighing alike" in page.said
    assert "linear svm on raw" in page.said


def test_weights_are_turned_back() -> None:
    """A direction among the axes is a direction among the pixels."""
    held = {"described.axes": torch.eye(192)[:, 7:9], "layer.weight": torch.tensor([[1.0, 0], [0, 1], [0, 0]])}
    bundle = classic_of("logistic", CATS, held, features=["raw"], components=2)
    fitted = fitted_of(bundle)
    assert fitted is not None and fitted.described is not None and isinstance(fitted.module, Linear)
    assert on_features(fitted.module, fitted.described).nonzero().tolist() == [[0, 7], [1, 8]]
    assert fitted.axes == 2
    many = tuple(f"c{k}" for k in range(25))
    plain = fitted_of(classic_of("logistic", many, {}, features=["raw"]))
    assert plain is not None and plain.described is not None and isinstance(plain.module, Linear)
    maps = weight_maps(plain.module, plain.described, shape=(3, 8, 8), std=[1.0] * 3, classes=many)
    assert [each.name for each in maps] == list(many[:20])


def test_support_vectors_are_counted_by_class(report: Report) -> None:
    # pairs (0, 1), (0, 2), (1, 2): positive weights are of the first
    weights = torch.tensor([[2.0, 0, 0], [-2.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0]], dtype=torch.float64)
    held = {"vectors": torch.zeros(4, 192), "weights": weights}
    bundle = classic_of("svm", CATS, held, features=["raw"], components=0, fitted={"vectors": 4})
    fitted = fitted_of(bundle)
    assert fitted is not None and isinstance(fitted.module, KernelSVM)
    assert support_of_classes(fitted.module, 3) == [1, 1, 2]
    page = report(judged(), bundle=bundle, history=[], listed={"train": {"cat": 3, "dog": 3, "owl": 4}})
    for words in ("4 support vectors, 40.0 % of its 10 training images", "owl 2 50.0 %", "It holds training data"):
        assert words in page.said, words


def test_a_forest_and_a_constant_are_said(report: Report) -> None:
    held = {name: torch.cat([value] * 2) for name, value in chain(1).items()}
    held |= {"roots": torch.tensor([0, 3], dtype=torch.int32), "row": torch.tensor([0, 0, 1, 0, 2, 3]).int()}
    held |= {"left": torch.tensor([1, 1, 2, 4, 4, 5]).int(), "right": torch.tensor([2, 1, 2, 5, 4, 5]).int()}
    sizes = {"nodes": 6, "leaves": 4, "trees": 2, "depth": 1}
    page = report(judged(), bundle=classic_of("forest", CATS, held, features=["raw"], fitted=sizes), history=[])
    assert "2 trees answer, and the mean of their answers counts: 6 nodes, of which 4 are ends" in page.said
    majority = classic_of("majority", CATS, {"shares": torch.tensor([0.2, 0.5, 0.3])})
    page = report(judged(), bundle=majority, history=[])
    assert "It answers “dog” to every image, whatever it shows: 50.0 %" in page.said
    assert "Random seed" not in page.said
    assert "nothing is learnt but the share of each class" in page.said


def test_what_is_held_is_said_of_any_model(report: Report) -> None:
    bundle = tree_of(1)
    assert "It holds training data" not in report(judged(), bundle=bundle).said
    bundle = replace(bundle, manifest=replace(bundle.manifest, holds_training_data=True))
    assert "By its nature it contains what training images look like." in report(judged(), bundle=bundle).said
