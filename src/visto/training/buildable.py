"""Whether a recipe can be carried out: asked before the long reading, not after it."""

import torch

from visto.data.augment_steps import STEP_AUGMENTATIONS
from visto.errors import UsageError
from visto.learn import Recipe
from visto.learn.engine import PRECISIONS, check_device
from visto.models import build_model
from visto.preprocess import PREPROCESS
from visto.tasks import TASKS, names_one_class

_STEPS = 3  # of a sequence to try a model on


def check_buildable(recipe: Recipe, classes: int) -> None:
    """Raise UsageError for a model that cannot be built, or cannot learn in such batches, and for an unknown precision.

    A trial step forward costs some milliseconds, and finds before the long reading what would fail after it.
    """
    check_device(recipe.device)
    if recipe.precision not in PRECISIONS:
        raise UsageError(f"no precision {recipe.precision!r}", expected=f"one of {', '.join(PRECISIONS)}")
    task = TASKS[recipe.task](classes=[str(k) for k in range(max(2, classes))])
    known = task.augmentations
    fit = recipe.preprocess.build(PREPROCESS).fit
    if fit.noun == "series":
        known = [name for name in known if name in STEP_AUGMENTATIONS]
    if odd := [name for name in recipe.augmentation if name not in known]:
        raise UsageError(f"--augment {odd[0]} with {recipe.task}", expected=f"none, or some of {', '.join(known)}")
    if recipe.second_look and not names_one_class(recipe.task):
        raise UsageError("a second look where an image has several labels", hint="leave --second-look out")
    if recipe.second_look and min(fit.shape[1:]) < 2:
        raise UsageError("a second look at images of a pixel's side", hint="--second-look 0 goes without")
    if recipe.optimiser == "muon" and (recipe.pretrained or recipe.learner == "transfer"):
        raise UsageError(
            "muon with pretrained weights: it would begin by changing the size of their filters",
            hint="leave --optimiser out, or train with --scratch",
        )
    try:
        # as many images as tell a batch of one (which batch normalisation refuses) from a larger one
        over = "steps" if task.needs == "forecast" else recipe.model.arguments.get("over", "rows")
        steps = (_STEPS,) if over != "rows" else ()
        images = torch.zeros(min(recipe.batch_size, 2), *steps, *fit.shape)
        with torch.no_grad():
            found = build_model(recipe.model).train()(images)
            shape = found["forecast" if task.needs == "forecast" else "logits"].shape
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError) as error:
        if "allocate memory" in str(error):
            raise
        # a builder checks little itself: torch's own words are what there is to say
        raise UsageError(
            f"the model {recipe.model.name} does not work with these settings: {error}",
            expected="arguments as visto models lists them, and a --batch-size that suits",
        ) from error
    if task.needs not in found:
        raise UsageError(f"the model {recipe.model.name} gives no {task.needs}", hint="leave --model out")
    if (shape[0], shape[-1]) != (len(images), classes):
        raise UsageError(f"the model {recipe.model.name} gives {shape[-1]} outputs", expected=f"{classes}, one a class")
