"""The weights of a linear model on pixels, a picture a class: where a brighter pixel speaks for it, where against."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from visto.models.described import Described
from visto.models.logistic import Linear
from visto.report.pictures import Picture, picture
from visto.report.words import shown

MOST_CLASSES = 20
_FOR, _AGAINST = (28, 95, 168), (179, 84, 30)  # blue and orange, told apart by all eyes; white between
_RIM = 0.01  # the part of the weights that may lie beyond the strongest colour: single pixels would pale the rest
_NAME = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightMap:
    """One class (of two, the second against the first), and the picture of its weights."""

    name: str
    picture: Picture
    words: str


def on_features(model: Linear, described: Described) -> Tensor:
    """K×D: what each feature weighs once they are on one scale, whatever axes they were turned onto."""
    weight = model.layer.weight.detach()
    return weight if described.axes is None else weight @ described.axes.T


def weight_maps(
    model: Linear, described: Described, *, shape: tuple[int, int, int], std: Sequence[float], classes: Sequence[str]
) -> list[WeightMap]:
    """For a model on pixels C×H×W (``shape``) alone, divided by ``std`` (a value a channel); at most 20 classes.

    A weight that all classes share changes no answer, so the mean over the classes is taken off. The weights of the
    colours of a pixel are added: what it counts for as grey.
    """
    weight = on_features(model, described)
    if described.scale is not None:
        weight = weight * described.scale
    weight = (weight - weight.mean(0)).view(-1, *shape) / torch.tensor(std).view(1, -1, 1, 1)
    maps = weight.sum(1)[1:] if len(weight) == 2 else weight.sum(1)[:MOST_CLASSES]
    limit = float(maps.abs().flatten().sort().values[int((1 - _RIM) * (maps.numel() - 1))]) or 1.0
    names = [f"{shown(classes[1], _NAME)}, not {shown(classes[0], _NAME)}"] if len(classes) == 2 else []
    names = names or [shown(name, _NAME) for name in classes[:MOST_CLASSES]]
    return [
        WeightMap(name=name, picture=picture(diverging(each / limit)), words=f"weights of the pixels for {name}")
        for name, each in zip(names, maps, strict=True)
    ]


def diverging(values_hw: Tensor) -> Tensor:
    """Values −1…1 (those beyond are taken for these) to uint8 3×H×W: orange below 0, white at it, blue above.

    >>> diverging(torch.tensor([[-2.0, 0.0, 1.0]]))[:, 0].T.tolist()
    [[179, 84, 30], [255, 255, 255], [28, 95, 168]]
    """
    values = values_hw.clamp(-1, 1)
    ends = torch.where(values >= 0, torch.tensor(_FOR).view(3, 1, 1), torch.tensor(_AGAINST).view(3, 1, 1))
    return (255 + (ends - 255) * values.abs()).round().to(torch.uint8)
