"""Every model in the table has a graph that answers as it does, or says that it has none."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import visto
from visto import testing
from visto.data.dataset import Dataset, Item, PixelRow
from visto.errors import UsageError
from visto.models import CLASSIC, CLIPS_ONLY, FORECASTERS, MODELS, SEQUENTIAL
from visto.models.features import FEATURES
from visto.types import Label

# to export: what is fitted, on which features, and the rest as small as they come, for the exporter walks each layer
FITTED_ON: dict[str, Sequence[str]] = {
    "majority": (),
    "logistic": ("raw", "co-occurrence"),
    "svm": ("hog",),
    "knn": ("lbp",),
    "tree": ("colour", "deep"),
    "forest": ("edges",),
}
SMALLEST: dict[str, dict[str, Any]] = {
    "rcnn": {"proposals": 20, "side": 32},
    "mlp": {"hidden": [8]},
    "cnn": {"depth": 2, "width": 4},
    "resnet": {"width": 4},
    "speedrun": {"widths": [8, 8, 8]},
    **{name: {"hidden": 8} for name in SEQUENTIAL},
    "faster_rcnn": {"width": 8, "hidden": 16, "proposals": 10},
    "second_look": {"margin": 0.3},  # some are looked at again
}


def patches(n: int = 60) -> Dataset:
    """Images of 8×4 patches of all colours, of which one is missing: that is their class."""
    random = np.random.default_rng(0)
    array = random.integers(0, 256, (n, 4, 8, 3), dtype=np.uint8).repeat(8, 1).repeat(4, 2)
    for k in range(n):
        array[k, ..., k % 3] //= 4
    items = tuple(
        Item(
            id=f"{k}",
            source=PixelRow(array, k),
            target=Label(index=k % 3),
            split="train" if k < n // 2 else "validation",
        )
        for k in range(n)
    )
    return Dataset(name="patches", format="made", task="classification", classes=("r", "g", "b"), items=items)


def fitted(name: str, path: Path) -> Callable[..., nn.Module]:
    """A builder of the classic model as it is once it is fitted to patches, whatever it is asked for."""
    features = FITTED_ON[name] or None
    made = visto.train(patches(), path, model=name, features=features, size=32).bundle

    def builder(*, classes: int, channels: int, size: Sequence[int]) -> nn.Module:
        model: nn.Module = made.manifest.model.build(MODELS)
        model.load_state_dict(dict(made.weights))
        return model

    return builder


def test_every_feature_is_exported() -> None:
    assert set(FITTED_ON) == set(CLASSIC)
    assert {name for some in FITTED_ON.values() for name in some} == set(FEATURES)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("rcnn", *CLIPS_ONLY, *FORECASTERS)])
def test_model_exported(name: str, tmp_path: Path) -> None:
    if name in CLASSIC:
        testing.check_export(fitted(name, tmp_path / "fitted.visto"), shape=(3, 32, 32))
    else:
        shape = (3, 8, 64) if name in SEQUENTIAL else (3, 32, 64)  # each row is a step, and each step is in the graph
        testing.check_export(partial(MODELS[name], **SMALLEST.get(name, {})), shape=shape)


def test_the_one_model_without_an_export_says_so() -> None:
    """Selective search is no tensor function: R-CNN has no ONNX form."""
    with pytest.raises(AssertionError, match="has no ONNX form"):
        testing.check_export(partial(MODELS["rcnn"], **SMALLEST["rcnn"]), shape=(3, 32, 32))


def test_the_check_of_exports_can_fail() -> None:
    class Otherwise(nn.Module):
        """Asked for its graph, it gives another."""

        def __init__(self, whole: nn.Module, by: float) -> None:
            super().__init__()
            self.whole, self.by = whole, by

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            logits: Tensor = self.whole(images)["logits"]
            off = torch.tensor([self.by, 0.0, 0.0])
            return {"logits": logits + off if torch.compiler.is_exporting() else logits}

    def builder(*, classes: int, channels: int, size: Sequence[int], by: float) -> nn.Module:
        return Otherwise(MODELS["mlp"](classes=classes, channels=channels, size=size, hidden=[8]), by)

    testing.check_export(partial(builder, by=1e-5))
    with pytest.raises(AssertionError, match="answers otherwise"):
        testing.check_export(partial(builder, by=0.02))


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript"])
def test_the_check_of_exports_names_what_it_needs(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UsageError, match=rf"(?s)needs? {missing}.*visto\[export\]"):
        testing.check_export(MODELS["mlp"])
