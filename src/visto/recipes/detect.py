"""From a recipe for a classifier to one for a detector."""

from dataclasses import replace

from visto.learn import Recipe
from visto.models.weights import WEIGHTS

_LOOKS = {True: 12_000, False: 15_000}  # at a training image, in all: with published weights, and without
_SOONER = {"faster_rcnn": 0.75}  # of these: from half of them on its figure on validation hardly rose
_MANY = 1000  # training images
_REGIONS = 128  # in a batch, a quarter of them on things, as in the paper
_AVERAGED = 0.03  # of the steps, that the average of the weights looks back on


def detect(recipe: Recipe, *, images: int, pretrained: bool) -> Recipe:
    """Whole images letterboxed, mosaics until near the end, an average of the weights that is judged.

    From published weights, 60 epochs at most and 10 at least; from scratch, a quarter more; of Faster R-CNN a quarter
    less. 205 photos of blood cells at 416×320 pixels, YOLOX nano: mAP 0.63 in 59 epochs from COCO weights, 0.55 in 60
    from scratch.
    """
    frozen = 0
    if pretrained:
        known = WEIGHTS[recipe.model.name]
        preprocess = recipe.preprocess.with_arguments(mean=list(known.mean), std=list(known.std))
        recipe, frozen = replace(recipe, preprocess=preprocess), known.frozen
    least, most = (10, 60) if pretrained else (12, 75)
    epochs = max(least, min(most, _LOOKS[pretrained] / max(1, images))) * _SOONER.get(recipe.model.name, 1.0)
    return replace(
        recipe,
        pretrained=pretrained,
        frozen=frozen,
        epochs=round(epochs),
        batch_size=16 if images >= _MANY else 8,  # steps are what few images lack
        lr=1e-3 if pretrained else 2e-3,
        schedule="one_cycle",
        weight_decay=0.05,
        augmentation=("mosaic", "zoom", "flip", "colour"),
    )


def in_stages(recipe: Recipe) -> Recipe:
    """R-CNN: the CNN is fine-tuned on regions of the images in 0–1, machines and boxes are fitted to what it says.

    Two epochs, each as long as it takes to see as many regions on things as there are.
    """
    channels = recipe.model.arguments["channels"]
    return replace(
        recipe,
        preprocess=recipe.preprocess.with_arguments(mean=[0.0] * channels, std=[1.0] * channels),
        learner="staged",
        epochs=2,
        batch_size=_REGIONS,
        lr=1e-3,
        ema=0.95,
        augmentation=("flip",),
    )


def averaged(recipe: Recipe, *, images: int) -> Recipe:
    """The same with an average of the weights over a thirtieth of its steps."""
    steps = recipe.epochs * max(1, images // recipe.batch_size)
    return replace(recipe, ema=round(max(0.9, min(0.999, 1 - 1 / max(1.0, _AVERAGED * steps))), 5))
