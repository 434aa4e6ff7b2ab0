"""What is settled before a run on clips or series begins: how they are fitted, and which model learns."""

from visto.data.dataset import Dataset
from visto.data.sequence_facts import SequenceFacts, look_at_sequences
from visto.errors import UsageError
from visto.learn import Recipe
from visto.models import CLIPS_ONLY, SEQUENTIAL
from visto.models.weights import find
from visto.preprocess import Fit, StepsFit
from visto.quantities import frames_words
from visto.recipes import Request, few_clips, many_clips, series
from visto.training.plan import Plan
from visto.types import Size

_CLIPS = "cnn_lstm"
_SERIES = "lstm"
_FEW = 1_500  # clips below which a frozen encoder that has learnt on photos knows more than one that learns from them
_STEPS = 40  # of the frames of a typical clip, about so many are looked at
_LEAST = 4  # frames of the shortest clip met that are looked at
_SEEN = 128  # pixels a side of what an encoder sees that has learnt on photos: the least that it does well with
_LARGE = 64  # pixels a side that an encoder learns from


def plan_of_sequences(dataset: Dataset, request: Request) -> Plan:
    """Fit and model for clips or series. Raises UsageError for a model that reads no sequences."""
    facts = look_at_sequences([item for item in dataset.items if item.split == "train"] or dataset.items)
    name = request.model or (_CLIPS if facts.size else _SERIES)
    if name not in SEQUENTIAL or (name in CLIPS_ONLY and not facts.size):
        known = [model for model in SEQUENTIAL if facts.size or model not in CLIPS_ONLY]
        raise UsageError(f"the model {name} for {dataset.task}", expected=f"one of {', '.join(known)}")
    why = "as asked" if request.model else "frames are looked at, then read in order" if facts.size else "numbers"
    if facts.size is None:
        return _plan_of_series(name, why, facts, request)
    here = find(_CLIPS) is not None or bool(request.download)
    own = (request.arguments or {}).get("encoder", "efficientnet_lite0") != "efficientnet_lite0"
    pretrained = name == _CLIPS and not request.scratch and not own and here and len(dataset) < _FEW
    longest = max(facts.size.height, facts.size.width)
    side = request.size or (_SEEN if pretrained else min(_LARGE, longest))
    every = max(1, min(round(facts.steps / _STEPS), facts.shortest // _LEAST))
    channels = 3 if pretrained else facts.channels
    sight = f"{frames_words(every)} at {side}×{side} pixels"
    how = "an encoder that has learnt on photos stays as it is" if pretrained else "learnt from nothing"
    return Plan(
        fits=(Fit(size=Size(height=side, width=side), channels=channels, every=every),),
        model=name,
        pretrained=pretrained,
        grey=facts.channels == 1,
        why=f"model {name} ({why}; {how}), {sight}",
        sight=sight,
    )


def _plan_of_series(name: str, why: str, facts: SequenceFacts, request: Request) -> Plan:
    if request.size:
        raise UsageError("--size with series of numbers", hint="leave it out")
    sight = f"{facts.channels} number{'s' if facts.channels > 1 else ''} a step, about {facts.steps} steps"
    return Plan(
        fits=(StepsFit(facts.channels),),
        model=name,
        pretrained=False,
        grey=False,
        why=f"model {name} ({why}), {sight}",
        sight=sight,
    )


def for_sequences(recipe: Recipe, plan: Plan, *, count: int) -> Recipe:
    """The recipe for so many of them."""
    if isinstance(plan.fit, StepsFit):
        recipe = Recipe(
            task=recipe.task,
            model=recipe.model.with_arguments(over="steps"),
            preprocess=type(recipe.preprocess)(name="series", arguments=recipe.preprocess.arguments),
            batch_size=recipe.batch_size,
        )
        return series(recipe, count=count)
    recipe = Recipe(
        task=recipe.task,
        model=recipe.model.with_arguments(over="frames"),
        preprocess=recipe.preprocess,
        batch_size=recipe.batch_size,
        augmentation=recipe.augmentation,
    )
    return few_clips(recipe, clips=count, grey=plan.grey) if plan.pretrained else many_clips(recipe, clips=count)
