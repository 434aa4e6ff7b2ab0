"""What k nearest neighbours answered by: the training images most like those that it got wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from visto.bundle import Bundle
from visto.data.cache import materialise, take
from visto.data.dataset import Item
from visto.data.loader import gather
from visto.evaluation import Evaluation
from visto.models.described import Described
from visto.models.knn import KNN, indexed, nearest
from visto.preprocess import PREPROCESS, Standard
from visto.report.mistakes import Shown
from visto.report.pictures import Picture, picture
from visto.report.words import counted, shown

MOST_NEAR = 5
_NAME, _SIDE = 24, 96
_NO_DATA = "Their pictures can be shown where the training images are at hand: visto report with the data."
_OTHER_DATA = (
    "Their pictures are left out: the training images that can be read are not, in number and order, those it was "
    "made from."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A training image: its label, how far off it lies, and its picture where it can be shown."""

    label: str
    distance: str
    picture: Picture | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """A mistake, and the training images nearest to it, the nearest first."""

    mistake: Shown
    near: Sequence[Near]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """``why`` says why there are no pictures, where there are none though they were wanted."""

    found: Sequence[Alike]
    why: str


def neighbours(
    model: KNN,
    described: Described,
    bundle: Bundle,
    evaluation: Evaluation,
    wrong: Sequence[Shown],
    trained: Sequence[Item],
    *,
    samples: bool,
) -> Neighbours:
    """Of the ``wrong`` images, the surest first; ``trained`` are the items of the training split, in order.

    Their places in the model are found again by that order; each picture's numbers must be those that the model holds.
    """
    if not wrong:
        return Neighbours(found=(), why="")
    rows = torch.tensor([each.row for each in wrong], dtype=torch.int64)
    preprocess = bundle.manifest.preprocess.build(PREPROCESS)
    asked = _described(described, preprocess, gather(evaluation.pixels, rows))
    distances, places = nearest(asked, indexed(model.examples), min(MOST_NEAR, model.neighbours, len(model.examples)))
    images: Mapping[int, Tensor] = {}
    why = ""
    if samples:
        images, why = _pictured(model, described, preprocess, trained, sorted(set(places.flatten().tolist())))
    found = []
    for each, far, at in zip(wrong, distances.tolist(), places.tolist(), strict=True):
        names = [shown(bundle.manifest.classes[int(model.labels[place])], _NAME) for place in at]
        near = [_near(name, off, images.get(place)) for name, off, place in zip(names, far, at, strict=True)]
        found.append(Alike(mistake=each, near=near))
    return Neighbours(found=found, why=why)


def _near(name: str, distance: float, image: Tensor | None) -> Near:
    far = f"{distance:.3g}" if distance else "the same"
    return Near(
        label=name,
        distance=far,
        picture=picture(image, longest=_SIDE) if image is not None else None,
        words=f"training image: {name}, distance {far}",
    )


def _described(described: Described, preprocess: Standard, images_nchw: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = described(preprocess.normalise(images_nchw))
        return found


def _pictured(
    model: KNN, described: Described, preprocess: Standard, trained: Sequence[Item], places: Sequence[int]
) -> tuple[dict[int, Tensor], str]:
    """The images at some places of the model, by place, and why there are none."""
    if not trained:
        return {}, _NO_DATA
    pixels = materialise(trained, preprocess.fit, threads=torch.get_num_threads())
    if len(pixels) != len(model.examples):
        return {}, _OTHER_DATA
    chosen = take(pixels, torch.tensor(places, dtype=torch.int64))
    images = gather(chosen, torch.arange(len(places)))
    if not _same(_described(described, preprocess, images), model.examples[list(places)]):
        return {}, _OTHER_DATA
    return dict(zip(places, images, strict=True)), ""


def _same(found_nd: Tensor, kept_nd: Tensor) -> bool:
    """Whether features are the same, but for the rounding of another batch."""
    off = (found_nd - kept_nd).square().sum(1).sqrt()
    return bool((off <= 1e-3 * kept_nd.square().sum(1).sqrt().clamp_min(1e-6)).all())


def votes_words(model: KNN, numbers: int) -> str:
    """How an answer comes about."""
    k = min(model.neighbours, len(model.examples))
    how = "each weighing 1 / its distance" if model.by_distance else "all alike"
    images = counted(len(model.examples), "training image")
    voters = f"the {k} training images nearest to it vote, {how}" if k > 1 else "the nearest training image decides"
    return f"All {images} are kept, as {counted(numbers, 'number')} each. Of an image, {voters}."
