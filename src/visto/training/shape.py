"""Which shape of input suits a pretrained net: measured on some of the training images, with its stages frozen."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from visto.data.cache import materialise
from visto.data.dataset import Item
from visto.data.loader import gather
from visto.learn import Recipe
from visto.learn.engine import has_fast_bf16
from visto.learn.feed import collated
from visto.learn.head import groups_of, losses_left_out
from visto.models import build_model
from visto.models.backbone import Backbone
from visto.models.folded import folded
from visto.preprocess import PREPROCESS, Fit, Standard
from visto.types import Task, Voice

_LOOKED_AT = 400
_BATCH = 32


def best_fit(
    fits: Sequence[Fit],
    recipe: Recipe,
    weights: Mapping[str, Tensor],
    task: Task[Any, Any],
    items: Sequence[Item],
    *,
    threads: int,
    voice: Voice,
) -> tuple[Fit, str]:
    """The fit with which a classifier on frozen stages answers best, and the words for it.

    Its loss is that on images left out of its fit (5 folds), over up to 400 images, evenly spread. Where there are too
    few images (under 40) to tell, the first of ``fits`` is taken.
    """
    looks = min(_LOOKED_AT, len(items))
    chosen = [items[k * len(items) // looks] for k in range(looks)]
    if len(fits) == 1 or looks < 40:
        return fits[0], ""
    model = build_model(recipe.model)
    assert isinstance(model, Backbone)  # noqa: S101  (the caller has looked: only those are pretrained)
    model.load_state_dict(dict(weights))
    frozen = folded(model.stages).to(torch.bfloat16 if has_fast_bf16() else torch.float32)
    losses = []
    for fit in fits:
        pixels = materialise(chosen, fit, threads=threads, progress=voice.progress)
        standard = recipe.preprocess.with_arguments(**fit.arguments).build(PREPROCESS)
        parts = torch.split(torch.arange(len(pixels)), _BATCH)
        rows = voice.progress(parts, total=len(parts), words="trying a shape")
        with torch.inference_mode():
            embedded = torch.cat([_embedded(frozen, standard, gather(pixels, part)) for part in rows])
        targets = collated(task, pixels, fit)
        losses.append(float(losses_left_out(task, embedded.clone(), targets, groups_of(pixels)).mean()))
    best = min(range(len(fits)), key=losses.__getitem__)
    tried = ", ".join(f"{f.size.width}×{f.size.height} {loss:.3f}" for f, loss in zip(fits, losses, strict=True))
    return fits[best], f"tried on {looks} of them, log-loss: {tried}"


def _embedded(frozen: torch.nn.Module, standard: Standard, images: Tensor) -> Tensor:
    kind = next(frozen.parameters()).dtype
    ready = standard.normalise(images).to(kind).contiguous(memory_format=torch.channels_last)
    out: Tensor = frozen(ready)
    return out.float()
