"""What a gradient learner is fed: batches for its steps, and the held-out images for its looks.

A feed also says which module learns: the whole model on pixels, or the upper part of one on what the frozen lower part
gives (``visto.learn.features``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from visto.data.augment import mixup
from visto.data.cache import Pixels, take
from visto.data.loader import Order, gather, in_order, input_pixels
from visto.errors import DataError
from visto.learn.balance import Balance
from visto.learn.engine import Engine
from visto.learn.randomness import generator, reseed
from visto.learn.recipe import Recipe
from visto.models import build_model
from visto.models.faster_rcnn import FasterRCNN
from visto.models.speedrun import Speedrun
from visto.models.yolo import Yolo
from visto.models.yolox_weights import unfold_batch_norm
from visto.preprocess import PREPROCESS, Fit
from visto.types import Batch, Size, Task, View, Voice

_UNFOLDED = 32  # images that say what a published net's batch norms would have seen
_WHITENED = 2000  # images whose patches the whitening rests on: about two million of them at 32×32
EVALUATION_PIXELS = 512 * 48 * 48  # a batch, so that large images do not fill the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What was found before the first step: ``decisions`` to be stored, and why no step follows (empty: one does)."""

    decisions: Mapping[str, Any] = field(default_factory=dict)
    ended: str = ""


class Feed(Protocol):
    """Batches by the number of their step, each a function of (seed, step) alone; the engine places them."""

    order: Order
    balance: Balance
    validation_targets: Any
    validation_images: int

    def prepare(self, engine: Engine, voice: Voice) -> None:
        """The long work before the first step, if any; found done where it was done before."""

    def module(self) -> nn.Module:
        """What learns, with the weights that it begins with."""

    def batch(self, step: int, done: float = 0.0) -> Batch[Any]:
        """The batch of a step, when the share ``done`` (0–1) of training is behind."""

    def held_out(self) -> Iterator[Tensor]:
        """The validation images that are looked at while training, in order, as the module takes them."""

    def trial(self) -> tuple[nn.Module, Tensor]:
        """A module and a few images for it, to try precisions on; asked before ``prepare``."""

    def begin(self, module: nn.Module, engine: Engine) -> Beginning:
        """Change the module's first weights to better ones, where the feed knows some."""

    def whole(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of the recipe's model, from those of the module."""


class Rows:
    """Which training images each step sees, as recipe and seed say: an order, balanced and repeated where asked."""

    def __init__(self, recipe: Recipe, targets_nk: Tensor) -> None:
        self.recipe = recipe
        self.order = Order(len(targets_nk), max(1, recipe.batch_size // recipe.repeats))
        self.balance = Balance(recipe.balance, targets_nk)
        self._first_flipped = torch.rand(len(targets_nk), generator=generator(recipe.seed, "flip", 0)) < 0.5

    def of(self, step: int) -> Tensor:
        """Rows of one step; with repeated augmentation each image stands there ``repeats`` times."""
        order, seed = self.order, self.recipe.seed
        if self.balance.chances is not None:
            rows = self.balance.draw(order.batch_size, generator(seed, "balance", step))
        else:
            if order.needs_shuffle(step):
                epoch = order.epoch(step)
                order.shuffle(epoch, generator(seed, "order", epoch))
            rows = order.rows(step)
        return rows.repeat_interleave(self.recipe.repeats)

    def flipped(self, rows: Tensor, step: int) -> Tensor | None:
        """Which of a step's ``rows`` to mirror: half of the images in one epoch, the other half in the next.

        So that two epochs see an image from both sides (Jordan 2024, arXiv 2404.00498). None, for chance to decide,
        where an epoch does not show each image once.
        """
        if self.balance.chances is not None or self.recipe.repeats > 1:
            return None
        return self._first_flipped[rows] ^ (self.order.epoch(step) % 2 == 1)


class PixelFeed:
    """Decoded images, augmented anew at each step; the whole model learns, from ``initial`` weights if any."""

    def __init__(
        self,
        recipe: Recipe,
        task: Task[Any, Any],
        train: Pixels,
        validation: Pixels,
        initial: Mapping[str, Tensor] | None,
    ) -> None:
        self.recipe = recipe
        self.task = task
        self.train = train
        self.looked_at = _some(validation, task.looked_at)
        self.validation_images = len(validation)
        self.initial = initial
        standard = recipe.preprocess.build(PREPROCESS)
        self.normalise = standard.normalise
        self.targets, self.validation_targets = (collated(task, p, standard.fit) for p in (train, self.looked_at))
        self.rows = Rows(recipe, self.targets)
        self.order, self.balance = self.rows.order, self.rows.balance

    def prepare(self, engine: Engine, voice: Voice) -> None:
        pass

    def module(self) -> nn.Module:
        model = started_model(self.recipe, self.initial)
        if isinstance(model, FasterRCNN):
            model.freeze(self.recipe.frozen)
        return model

    def batch(self, step: int, done: float = 0.0) -> Batch[Any]:
        """Drawn, augmented and normalised as (seed, step) say."""
        recipe = self.recipe
        rows = self.rows.of(step)
        random = generator(recipe.seed, "augment", step)
        flipped = self.rows.flipped(rows, step)
        images, targets = self.task.augment(
            gather(self.train, rows), self.targets[rows], recipe.augmentation, random, flipped, done
        )
        if recipe.mixup:
            images, targets = mixup(images.float(), targets, recipe.mixup, random)
        return Batch(
            inputs={"images": self.normalise(images)}, targets=targets, rows=rows, weights=self.balance.weights_of(rows)
        )

    def held_out(self) -> Iterator[Tensor]:
        for _, images in in_order(self.looked_at, evaluation_batch(self.looked_at)):
            yield self.normalise(images)

    def trial(self) -> tuple[nn.Module, Tensor]:
        return self.module(), self.batch(0).inputs["images"][:32]

    def begin(self, module: nn.Module, engine: Engine) -> Beginning:
        if isinstance(module, Speedrun) and self.initial is None:
            rows = torch.arange(len(self.train.items))[:: max(1, len(self.train.items) // _WHITENED)]
            module.fit_to(engine.images(self.normalise(gather(self.train, rows))))
        if isinstance(module, Yolo) and self.recipe.pretrained:
            rows = torch.arange(len(self.train.items))[:: max(1, len(self.train.items) // _UNFOLDED)][:_UNFOLDED]
            unfold_batch_norm(module, engine.images(self.normalise(gather(self.train, rows))))
        return Beginning()

    def whole(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(weights)


def started_model(recipe: Recipe, initial: Mapping[str, Tensor] | None) -> nn.Module:
    """The recipe's model with ``initial`` weights, or initialised as its seed says."""
    reseed(recipe.seed, "model", 0)
    model = build_model(recipe.model)
    if initial is not None:
        model.load_state_dict(dict(initial))
    return model


def evaluation_batch(pixels: Pixels) -> int:
    """How many images of this size are judged at once."""
    return max(1, min(512, EVALUATION_PIXELS // input_pixels(pixels)))


def collated(task: Task[Any, Any], pixels: Pixels, fit: Fit) -> Any:
    """The targets of all items as the task's columns. Raises DataError for an item without label."""
    for item in pixels.items:
        if item.target is None:
            raise DataError(f"{item.id} has no label: it cannot be learnt from")
    return task.collate([item.target for item in pixels.items], views_of(task, pixels, fit))


def _some(pixels: Pixels, most: int) -> Pixels:
    """At most so many of the images, evenly spread (0: all)."""
    if not most or len(pixels) <= most:
        return pixels
    return take(pixels, torch.arange(most) * len(pixels) // most)


def views_of(task: Task[Any, Any], pixels: Pixels, fit: Fit) -> list[View]:
    """How each image was brought to the model's input; nothing where the task does not ask where things are."""
    if task.needs != "boxes":
        return []
    return [fit.view(Size(height=height, width=width)) for height, width in pixels.sizes.tolist()]
