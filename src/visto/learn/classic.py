"""Classic models: features of all images once, then a fit at once; no steps, no state, no augmentation."""

import inspect
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from visto.data.cache import Pixels
from visto.data.loader import in_order
from visto.learn.feed import evaluation_batch
from visto.learn.recipe import Recipe
from visto.learn.solve import Job, Late, solve
from visto.models import MODELS, build_model
from visto.models.described import Described
from visto.models.features.deep import Deep
from visto.preprocess import PREPROCESS
from visto.spec import Spec

_NOT_OPTIONS = {"classes", "channels", "size", "features", "components", "fitted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The model with what the data decided, its tensors by name, and what there is to say of the fit (or nothing)."""

    model: Spec[nn.Module]
    weights: Mapping[str, Tensor]
    warning: str = ""


def fit_classic(
    recipe: Recipe,
    train: Pixels,
    labels_n: Tensor,
    folder: Path,
    *,
    published: Mapping[str, Tensor] | None,
    seconds: float,
) -> Generator[str | Fitted | Late, None, None]:
    """Yields words of what it is at, several times a second, then the model, or that it would take too long.

    ``labels_n`` are the class indices, ``published`` the weights of the backbone for deep features, ``seconds`` the
    limit of the solver (0: none); it works in ``folder``, which is removed. Raises ResourceError.
    """
    module = build_model(recipe.model).eval()
    described = getattr(module, "described", None)
    if described is None:
        shares = torch.bincount(labels_n, minlength=recipe.model.arguments["classes"]) / len(labels_n)
        yield Fitted(model=recipe.model, weights={"shares": shares})
        return
    parts: list[Tensor] = []
    for part in _measured(described, recipe, train, published):
        parts.append(part)
        yield f"features of {sum(map(len, parts)):,} images"
    x_nd = described.fit_to(torch.cat(parts))
    own = {f"described.{name}": value for name, value in described.state_dict().items()}
    if recipe.model.name == "knn":
        model = recipe.model.with_arguments(fitted={"images": len(x_nd)})
        yield Fitted(model=model, weights={**own, "examples": x_nd, "labels": labels_n})
        return
    options = {
        **_options(recipe.model),
        "class_weight": "balanced" if recipe.balance == "weights" else None,
        "seed": recipe.seed % 2**32,
    }
    job = Job(model=recipe.model.name, options=options, seconds=seconds, threads=torch.get_num_threads())
    for found in solve(job, x_nd, labels_n, folder):
        if found is None:
            yield f"fitting {recipe.model.name} to {len(x_nd):,} images × {x_nd.shape[1]:,} features"
        elif isinstance(found, Late):
            yield found
        else:
            arrays = dict(found.arrays)
            model = recipe.model.with_arguments(fitted=_sizes(arrays))
            yield Fitted(model=model, weights={**own, **arrays}, warning=found.warning)


def _measured(
    described: Described, recipe: Recipe, train: Pixels, published: Mapping[str, Tensor] | None
) -> Iterator[Tensor]:
    """The features of the training images as they are, batch by batch."""
    for part in described.features:
        if isinstance(part, Deep) and published is not None:
            part.load_published(published)
    normalise = recipe.preprocess.build(PREPROCESS).normalise
    for _, images in in_order(train, evaluation_batch(train)):
        with torch.no_grad():
            yield described.measured(normalise(images))


def _options(model: Spec[nn.Module]) -> dict[str, Any]:
    """What the builder takes beside sizes and features, as given or by default: the solver's options."""
    known = inspect.signature(MODELS[model.name]).parameters.values()
    return {p.name: model.arguments.get(p.name, p.default) for p in known if p.name not in _NOT_OPTIONS}


def _sizes(arrays: dict[str, Tensor]) -> dict[str, int]:
    """The lengths that the data decided; takes ``depth`` out, which is no buffer."""
    if "vectors" in arrays:
        return {"vectors": len(arrays["vectors"])}
    if "roots" in arrays:
        depth = int(arrays.pop("depth"))
        return {
            "nodes": len(arrays["feature"]),
            "leaves": len(arrays["shares"]),
            "trees": len(arrays["roots"]),
            "depth": depth,
        }
    return {}
