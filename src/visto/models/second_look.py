"""A model that looks again where it is least sure: at the image shifted by a pixel, and mirrored where that is allowed.

Test-time augmentation for the few images that need it: a quarter of them gets nearly all of the gain, at twice the time
of one look instead of six times.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import visto.models  # the table itself is asked for when a model is built: by then it is whole
from visto.errors import UsageError
from visto.spec import Spec

_ONE = {"name": "cnn", "arguments": {"depth": 1, "width": 4}}


class SecondLook(nn.Module):
    """``model`` gives logits; where the best is less than ``margin`` above the second, those of all views are averaged.

    The image itself weighs half, shifted up and left by a pixel a quarter, down and right a quarter; with ``mirror``
    each is the mean of itself and its mirror image (Jordan 2024, arXiv 2404.00498).
    """

    def __init__(self, model: nn.Module, margin: float, mirror: bool) -> None:
        super().__init__()
        self.model = model
        self.margin = margin
        self.mirror = mirror

    def forward(self, images_nchw: Tensor) -> dict[str, Tensor]:
        logits: Tensor = self.model(images_nchw)["logits"]
        unsure = margins(logits) < self.margin
        if torch.compiler.is_exporting():  # a graph of fixed shape cannot look at some only
            logits = torch.where(unsure[:, None], self.again(images_nchw, logits), logits)
        elif unsure.any():
            again = self.again(images_nchw[unsure], logits[unsure], most=len(images_nchw))
            logits = logits.index_put((unsure,), again)
        return {"logits": logits}

    def again(self, images_nchw: Tensor, first: Tensor, *, most: int = 0) -> Tensor:
        """The mean logits of all views, where ``first`` are those of the images themselves.

        The views go through the model together, as few at once as it takes to have at most ``most`` (0: any number).
        """
        height, width = images_nchw.shape[2:]
        padded = F.pad(images_nchw, (1, 1, 1, 1), mode="reflect")
        views = [padded[:, :, :height, :width], padded[:, :, 2:, 2:]]
        if self.mirror:
            views += [view.flip(3) for view in (images_nchw, *views)]
        together = torch.cat(views).contiguous(memory_format=torch.channels_last)
        parts = together.tensor_split(-(-len(together) // most)) if most else (together,)
        of_views: Tensor = torch.cat([self.model(part)["logits"] for part in parts])
        plain: list[Tensor] = [first, *of_views.view(len(views), -1, first.shape[1])]
        if self.mirror:
            plain = [(a + b) / 2 for a, b in zip(plain[:3], plain[3:], strict=True)]
        return plain[0] / 2 + plain[1] / 4 + plain[2] / 4


def margins(logits_nk: Tensor) -> Tensor:
    """How far the best logit is above the second (N): small where a model is unsure."""
    best = logits_nk.topk(2, dim=1).values
    return best[:, 0] - best[:, 1]


def second_look(
    *,
    classes: int,
    channels: int,
    size: Sequence[int],
    model: Mapping[str, Any] = _ONE,
    margin: float = 1.0,
    mirror: bool = False,
) -> nn.Module:
    """``model`` (``name`` and ``arguments``, as a bundle stores it), with a second look below ``margin``.

    Raises UsageError for images of one pixel a side, which cannot be shifted.
    """
    if min(size) < 2:
        raise UsageError(f"a second look at images of {size[1]}×{size[0]} pixels", expected="at least 2×2")
    spec: Spec[nn.Module] = Spec.from_json(model)
    inner = spec.with_arguments(classes=classes, channels=channels, size=list(size))
    return SecondLook(inner.build(visto.models.MODELS), margin, mirror)


def in_words(spec: Spec[Any]) -> str:
    """What a bundle's model is called.

    >>> in_words(Spec(name="second_look", arguments={"model": {"name": "cnn", "arguments": {}}}))
    'cnn with a second look'
    >>> in_words(Spec(name="svm", arguments={"features": ["hog"], "fitted": {"vectors": 1024}}))
    'svm on hog, 1,024 support vectors'
    >>> in_words(Spec(name="svm", arguments={"features": ["hog", "lbp"], "kernel": "linear"}))
    'linear svm on hog and lbp'
    """
    if spec.name == "second_look":
        return f"{spec.arguments['model']['name']} with a second look"
    features = spec.arguments.get("features", ())
    seen = " and ".join(filter(None, (", ".join(features[:-1]), features[-1]))) if features else ""
    name = f"linear {spec.name}" if spec.arguments.get("kernel") == "linear" else spec.name
    return ", ".join(filter(None, (f"{name} on {seen}" if seen else name, _sizes(spec))))


def _sizes(spec: Spec[Any]) -> str:
    """What the data decided of a classic model: the size by which it is known."""
    sizes = spec.arguments.get("fitted") or {}
    known = {"svm": ("vectors", "support vector"), "knn": ("images", "training image")}
    known |= {"tree": ("nodes", "node"), "forest": ("trees", "tree")}
    what, thing = known.get(spec.name, ("", ""))
    number = sizes.get(what)
    return "" if number is None else f"{number:,} {thing}{'' if number == 1 else 's'}"
