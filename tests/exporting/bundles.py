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
    torch.manual_seed(0)
    shared = {"classes": len(classes), "channels": channels, "size": list(size)}
    spec: Spec[Any] = Spec(name=model, arguments={**shared, **(arguments or {})})
    net = build_model(spec)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean, module.running_var = torch.randn(module.num_features), torch.rand(module.num_features)
    prepared = {"size": list(size), "channels": channels, "mean": [0.4] * channels, "std": [0.2] * channels}
    manifest = Manifest(
        task=task,
        classes=tuple(classes),
        model=spec,
        preprocess=Spec(name="standard", arguments={**prepared, **({"crop": crop} if crop != "whole" else {})}),
        head=head or {},
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
