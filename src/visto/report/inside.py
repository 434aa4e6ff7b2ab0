"""How a classic model decides: its tree, its weights, the training images it goes by; what there is to see in each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from markupsafe import Markup

from visto.bundle import Bundle
from visto.data.dataset import Item
from visto.evaluation import Evaluation
from visto.models.described import Described
from visto.models.knn import KNN
from visto.models.logistic import Linear
from visto.models.majority import Majority
from visto.models.svm import KernelSVM
from visto.models.trees import Trees
from visto.report.alike import Neighbours, neighbours, votes_words
from visto.report.classes import MOST_ROWS, Cell, Table, number
from visto.report.fitted import Fitted, joined
from visto.report.mistakes import Shown
from visto.report.plot_tree import tree_plot
from visto.report.questions import MOST_LEVELS, Asked, lines_of, outline
from visto.report.weight_maps import MOST_CLASSES, WeightMap, on_features, weight_maps
from visto.report.words import counted, percent, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What there is to look at: the bundle, what was judged and got wrong, and its training data where at hand.

    ``trained`` are the items of the training split in order, ``counts`` the training images of each class; both empty
    where they are not known.
    """

    bundle: Bundle
    evaluation: Evaluation
    wrong: Sequence[Shown]
    trained: Sequence[Item]
    counts: Sequence[int]
    samples: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """Sentences, and what else a model has to show: a drawn tree with its ``outline``, pictures, a table."""

    words: Sequence[str]
    tree: Markup | None = None
    outline: str = ""
    maps: Sequence[WeightMap] = field(default=())
    more_maps: int = 0
    neighbours: Neighbours | None = None
    table: Table | None = None


def inside(fitted: Fitted | None, material: Material) -> Inside | None:
    """None for a model that learnt step by step: it has no parts that speak for themselves."""
    if fitted is None:
        return None
    for kind, look in _LOOKS:
        if isinstance(fitted.module, kind):
            return look(fitted.module, fitted, material)
    return None


def _constant(model: Majority, fitted: Fitted, material: Material) -> Inside:
    names, shares = material.bundle.manifest.classes, model.shares.tolist()
    order = sorted(range(len(shares)), key=lambda k: -shares[k])
    words = (
        f"It answers “{shown(names[order[0]])}” to every image, whatever it shows: {percent(shares[order[0]])} of its "
        "training images were of that class. It is what every other model has to beat."
    )
    rows = [(shown(names[k]), [Cell(value=percent(shares[k]), order=shares[k])]) for k in order[:MOST_ROWS]]
    table = Table(first="Class", names=["Of its training images"], rows=rows, more=max(0, len(order) - MOST_ROWS))
    return Inside(words=[words], table=table)


def _linear(model: Linear, fitted: Fitted, material: Material) -> Inside:
    assert fitted.described is not None  # noqa: S101  (its features are what it weighs)
    classes = material.bundle.manifest.classes
    words = [
        f"It weighs {counted(fitted.numbers, 'number')} of an image, with a weight of its own for each class: the "
        "largest sum is the answer."
    ]
    if len(fitted.features) > 1:
        squares = on_features(model, fitted.described).square().sum(0)
        words.append(f"By the squares of its weights it goes by {_parts(fitted.described, squares)}.")
    if fitted.features != ("raw",):
        return Inside(words=words)
    shape, _, std = _pixels(material.bundle)
    maps = weight_maps(model, fitted.described, shape=shape, std=std, classes=classes)
    return Inside(words=words, maps=maps, more_maps=max(0, len(classes) - MOST_CLASSES))


def _parts(described: Described, amounts_d: torch.Tensor) -> str:
    """How much of some amounts (one a feature) each kind of feature has, in words."""
    sums = [float(part.sum()) for part in torch.split(amounts_d, described.widths)]
    total = sum(sums) or 1.0
    order = sorted(range(len(sums)), key=lambda k: -sums[k])
    return joined(tuple(f"{described.names[k]} ({percent(sums[k] / total)})" for k in order))


def _machines(model: KernelSVM, fitted: Fitted, material: Material) -> Inside:
    classes, counts = material.bundle.manifest.classes, material.counts
    own = support_of_classes(model, len(classes))
    trained = material.bundle.manifest.data.get("train", 0)
    part = f", {percent(sum(own) / trained)} of its {trained:,} training images" if sum(own) <= trained else ""
    words = [
        f"It compares an image with {counted(sum(own), 'support vector')}{part}: those that lie at the borders between "
        "classes. A class with many is hard to tell from others by what the model sees.",
    ]
    order = sorted(range(len(classes)), key=lambda k: -own[k])
    names = ["Support vectors"] + (["Of its training images"] if counts else [])
    rows = []
    for k in order[:MOST_ROWS]:
        cells = [number(own[k])]
        if counts:
            share = own[k] / counts[k] if counts[k] else 0.0
            cells.append(Cell(value=percent(share) if share <= 1 else "–", order=share))
        rows.append((shown(classes[k]), cells))
    table = Table(first="Class", names=names, rows=rows, more=max(0, len(order) - MOST_ROWS))
    return Inside(words=words, table=table)


def support_of_classes(model: KernelSVM, classes: int) -> list[int]:
    """How many support vectors are of each class: in a pair, those of the first weigh above 0, of the second below."""
    strongest = model.weights.abs().argmax(1)
    signs = model.weights.gather(1, strongest[:, None])[:, 0]
    first, second = model.first.argmax(1)[strongest], model.second.argmax(1)[strongest]
    found: list[int] = torch.bincount(torch.where(signs > 0, first, second), minlength=classes).tolist()
    return found


def _voters(model: KNN, fitted: Fitted, material: Material) -> Inside:
    assert fitted.described is not None  # noqa: S101
    found = neighbours(
        model,
        fitted.described,
        material.bundle,
        material.evaluation,
        material.wrong,
        material.trained,
        samples=material.samples,
    )
    return Inside(words=[votes_words(model, fitted.described.dimensions)], neighbours=found)


def _grown(model: Trees, fitted: Fitted, material: Material) -> Inside:
    assert fitted.described is not None  # noqa: S101
    leaf = model.left == torch.arange(len(model.left))
    nodes = f"{counted(len(model.left), 'node')}, of which {int(leaf.sum()):,} are ends"
    deepest = counted(model.depth, "question")
    words = [f"One tree of {nodes}; the longest way asks {deepest}."]
    if len(model.roots) > 1:
        words = [
            f"{counted(len(model.roots), 'tree')} answer, and the mean of their answers counts: {nodes}; the longest "
            f"way asks {deepest}. Each was grown from other images and features by chance, so no single one shows "
            "how the forest decides, and none is drawn."
        ]
    asked_of = torch.bincount(model.feature[~leaf].long(), minlength=fitted.numbers).float()
    if len(fitted.features) > 1:
        words.append(f"Its questions are about {_parts(fitted.described, asked_of)}.")
    if len(model.roots) > 1:
        return Inside(words=words)
    shape, mean, std = _pixels(material.bundle)
    asked = Asked(described=fitted.described, size=shape[1:], mean=mean, std=std)
    lines = lines_of(model, asked, material.bundle.manifest.classes)
    if hidden := sum(line.hidden for line in lines):
        words.append(
            f"Drawn are its first {MOST_LEVELS} levels of questions; {counted(hidden, 'node')} below them "
            f"{'is' if hidden == 1 else 'are'} not drawn, and only named by their commonest answers."
        )
    text = outline(lines)
    return Inside(words=words, tree=tree_plot(lines, words=f"First it asks: {lines[0].words}"), outline=text)


def _pixels(bundle: Bundle) -> tuple[tuple[int, int, int], Sequence[float], Sequence[float]]:
    """The shape C×H×W of what the model sees, and the mean and deviation that its channels were normalised by."""
    arguments: Mapping[str, Any] = bundle.manifest.preprocess.arguments
    height, width = arguments["size"]
    return (arguments["channels"], height, width), arguments["mean"], arguments["std"]


_LOOKS: Sequence[tuple[type, Callable[[Any, Fitted, Material], Inside]]] = (
    (Majority, _constant),
    (Linear, _linear),
    (KernelSVM, _machines),
    (KNN, _voters),
    (Trees, _grown),
)
