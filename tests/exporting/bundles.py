"""Small bundles to export, never trained: what matters is that two ways to run them agree."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from visto.bundle import Bundle, Manifest, read_own_bundle, write_bundle
from visto.models import build_model
from visto.spec import Spec

CLASSES = ("cat", "dog", "eel")


def bundle(
    path: Path,
    model: str,
    *,
    task: str = "classification",
    size: Sequence[int] = (16, 24),
    channels: int = 3,
    classes: Sequence[str] = CLASSES,
    crop: str = "whole",
    arguments: Mapping[str, Any] | None = None,
    head: Mapping[str, Any] | None = None,
) -> Bundle:
    """A bundle of the model with weights drawn at random, batch norms too."""
    prepared = {"size": list(size), "channels": channels, "mean": [0.4] * channels, "std": [0.2] * channels}
    preprocess: Spec[Any] = Spec(name="standard", arguments={**prepared, **({"crop": crop} if crop != "whole" else {})})
    shared = {"classes": len(classes), "channels": channels, "size": list(size)}
    spec: Spec[Any] = Spec(name=model, arguments={**shared, **(arguments or {})})
    return _written(path, task, classes, spec, preprocess, head or {})


def of_clips(path: Path, model: str, *, every: int = 1, arguments: Mapping[str, Any] | None = None) -> Bundle:
    """A bundle for clips of frames of 12×16 pixels in colour."""
    shared = {"classes": len(CLASSES), "channels": 3, "size": [12, 16], "over": "frames"}
    spec: Spec[Any] = Spec(name=model, arguments={**shared, **(arguments or {})})
    prepared = {"size": [12, 16], "channels": 3, "mean": [0.4] * 3, "std": [0.2] * 3, "every": every}
    return _written(path, "sequence", CLASSES, spec, Spec(name="standard", arguments=prepared), {})


def of_series(path: Path, model: str, *, features: int = 2, arguments: Mapping[str, Any] | None = None) -> Bundle:
    """A bundle for series of so many numbers a step."""
    shared = {"classes": len(CLASSES), "channels": features, "size": [], "over": "steps"}
    spec: Spec[Any] = Spec(name=model, arguments={**shared, **(arguments or {})})
    prepared = {"channels": features, "mean": [0.5] * features, "std": [2.0] * features}
    return _written(path, "sequence", CLASSES, spec, Spec(name="series", arguments=prepared), {})


def _written(
    path: Path, task: str, classes: Sequence[str], model: Spec[Any], preprocess: Spec[Any], head: Mapping[str, Any]
) -> Bundle:
    torch.manual_seed(0)
    net = build_model(model)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean, module.running_var = torch.randn(module.num_features), torch.rand(module.num_features)
    manifest = Manifest(
        task=task,
        classes=tuple(classes),
        model=model,
        preprocess=preprocess,
        head=head,
        recipe={},
        data={"name": "made up", "train": 1, "validation": 1, "split_seed": 0},
        metrics={},
        holds_training_data=False,
        versions={},
        created="2026-01-31T00:00:00+00:00",
    )
    nothing = torch.zeros(0, 16, dtype=torch.uint8)
    seen = {"train": nothing, "validation": nothing}
    return read_own_bundle(write_bundle(path, manifest, net.state_dict(), seen))
