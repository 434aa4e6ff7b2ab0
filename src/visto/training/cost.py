"""What learning a recipe will cost on this machine, by a few trial steps on its own images."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from visto.data.cache import Pixels, take
from visto.data.loader import gather
from visto.errors import UsageError
from visto.learn import GradientLearner, PixelFeed, Recipe
from visto.learn.engine import Engine, has_fast_bf16
from visto.learn.features import Upper
from visto.models import build_model
from visto.models.backbone import Backbone
from visto.models.folded import folded
from visto.native import winograd
from visto.preprocess import PREPROCESS
from visto.tasks import TASKS

_FEW = 128  # images of a trial step
_LOOKED_AT = 32  # photos that a trial sends through frozen stages


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds: of frozen stages over one view of all images, of an epoch with its look, and of judging at the end."""

    view: float
    epoch: float
    end: float

    def of(self, recipe: Recipe) -> float:
        """All that ``recipe`` takes."""
        return self.fixed(recipe) + self.epoch * recipe.epochs

    def fixed(self, recipe: Recipe) -> float:
        """What it takes beside the epochs."""
        return self.view * (1 + recipe.views) + self.end


def cost_of(recipe: Recipe, classes: tuple[str, ...], train: Pixels, validation: int) -> Cost:
    """What it costs to learn from the images of ``train``, with so many images of ``validation``."""
    if recipe.learner == "transfer":
        return _transfer(recipe, len(train), validation)
    step, size = _step(recipe, classes, train)
    each = step / size
    return Cost(view=0.0, epoch=each * (len(train) + validation / 3), end=each * validation)  # a look goes forward only


def seconds_of_features(recipe: Recipe, train: Pixels) -> float:
    """Of one image, for a classic model."""
    described = getattr(build_model(recipe.model), "described", None)
    if described is None:
        return 0.0
    images = gather(train, torch.arange(min(_FEW, len(train)))).float() / 255
    with torch.inference_mode():
        return _timed(lambda: described.measured(images)) / len(images)


def _step(recipe: Recipe, classes: tuple[str, ...], train: Pixels) -> tuple[float, int]:
    """Seconds of a step, and its images."""
    few = take(train, torch.arange(min(_FEW, len(train))))
    trial = replace(recipe, batch_size=min(recipe.batch_size, len(few)), mixup=0.0, balance="none", repeats=1)
    task = TASKS[recipe.task](classes=classes, label_smoothing=recipe.label_smoothing)
    learner = GradientLearner(trial, task, PixelFeed(trial, task, few, few, None))
    learner.engine = replace(_engine(), kernels="native" if winograd.can_convolve() else "torch")
    state = learner.blank()
    return _timed(lambda: learner.descend(state, learner.feed.batch(0), 1e-6)), trial.batch_size


def _transfer(recipe: Recipe, images: int, validation: int) -> Cost:
    """The frozen stages over all views, and the steps above them; the whole model over the validation images."""
    model = build_model(recipe.model)
    if not isinstance(model, Backbone):
        raise UsageError(f"the model {recipe.model.name} has no stages that could be frozen")
    engine = _engine()
    kind = torch.bfloat16 if engine.precision == "bf16" else torch.float32
    frozen = folded(model.part(0, recipe.frozen)).to(kind)
    photos = torch.zeros(_LOOKED_AT, *recipe.preprocess.build(PREPROCESS).fit.shape)
    with torch.inference_mode():
        below = _timed(lambda: frozen(engine.images(photos.to(kind)))) / len(photos)
        kept = frozen(engine.images(photos.to(kind))).float()
    each = 0.0
    if recipe.frozen < len(model.stages):
        upper = Upper(model.part(recipe.frozen), model.dropout, model.classifier).train()
        features = kept.clone()

        def step() -> None:
            with engine.autocast():
                loss = upper(features)["logits"].float().square().mean()
            loss.backward()

        each = _timed(step) / len(photos)
    # validation goes through the frozen stages too, and at the end through all of them, in fp32
    return Cost(view=below * images, epoch=each * (images + validation / 3), end=4 * below * validation)


def _engine() -> Engine:
    return Engine(precision="bf16" if has_fast_bf16() else "fp32")


def _timed(step: Callable[[], object]) -> float:
    """The second of two runs: the first one warms up."""
    step()
    began = time.perf_counter()
    step()
    return time.perf_counter() - began
