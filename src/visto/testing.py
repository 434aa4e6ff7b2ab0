"""The conformance checks: what every entry of a table must do. Third parties call the same on what they bring.

    from visto.testing import check_model
    def test_mine() -> None:
        check_model(my_builder)

A check raises AssertionError that says what is wrong.
"""

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn

from visto.data import FORMATS
from visto.data.dataset import Dataset
from visto.spec import Spec

# (channels, height, width): digits, MNIST, CIFAR, an odd and oblong one, a photo
SHAPES: tuple[tuple[int, int, int], ...] = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 17, 40), (3, 96, 96))


def check_model(builder: Callable[..., nn.Module], shapes: Sequence[tuple[int, int, int]] = SHAPES) -> None:
    """A classifier's builder: its shapes, gradients, saving, batching, and that it leaves its input alone."""
    for channels, height, width in shapes:
        for classes in (2, 7):
            torch.manual_seed(0)
            model = builder(classes=classes, channels=channels, size=[height, width])
            images = torch.randn(4, channels, height, width)
            _check_output(model, images, classes)
            _check_gradients(model, images)
            _check_saving(builder, model, images, classes)


def _require(condition: bool, words: str) -> None:
    if not condition:
        raise AssertionError(words)


def _check_output(model: nn.Module, images: Tensor, classes: int) -> None:
    model.eval()
    before = images.clone()
    with torch.no_grad():
        logits = model(images)["logits"]
        single = torch.cat([model(image[None])["logits"] for image in images])
    _require(tuple(logits.shape) == (len(images), classes), f"logits are {tuple(logits.shape)}, not N×{classes}")
    _require(bool(torch.isfinite(logits).all()), "logits are not finite")
    _require(torch.equal(images, before), "the input was changed")
    _require(torch.allclose(logits, single, atol=1e-4), "a batch of one does not equal its row in a batch of n")


def _check_gradients(model: nn.Module, images: Tensor) -> None:
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return  # what it knows is no function of gradients
    model = copy.deepcopy(model).train()
    model(images)["logits"].square().sum().backward()
    for name, parameter in model.named_parameters():
        _require(parameter.grad is not None, f"no gradient reaches {name}")


def _check_saving(builder: Callable[..., nn.Module], model: nn.Module, images: Tensor, classes: int) -> None:
    spec: Spec[nn.Module] = Spec(
        name="it", arguments={"classes": classes, "channels": images.shape[1], "size": list(images.shape[2:])}
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
        stored: Spec[nn.Module] = Spec.from_json(json.loads(json.dumps(spec.to_json())))
        again = stored.build({"it": builder}).eval()
        again.load_state_dict(load_file(path))
    with torch.no_grad():
        same = torch.equal(model.eval()(images)["logits"], again(images)["logits"])
    _require(same, "the model that was saved and read again answers otherwise")


def check_augmentation(function: Callable[[Tensor, Generator], Tensor]) -> None:
    """An augmentation: shape and range kept, input left alone, and a function of its generator alone."""
    for shape in SHAPES:
        images = torch.randint(0, 256, (6, *shape), dtype=torch.uint8)
        before = images.clone()
        first, second = (function(images, torch.Generator().manual_seed(3)) for _ in range(2))
        _require(first.shape == images.shape, f"shape {tuple(first.shape)}, not {tuple(images.shape)}")
        _require(torch.equal(images, before), "the input was changed")
        _require(torch.equal(first, second), "two equal generators gave two results")
        _require(float(first.min()) >= -0.01 and float(first.max()) <= 255.01, "pixels outside 0–255")


def check_dataset(dataset: Dataset) -> None:
    """What a reader gives: unique ids, known splits and classes, labels within them, every rejection with a reason."""
    ids = [item.id for item in dataset.items]
    _require(len(set(ids)) == len(ids), "two items have one id")
    _require(dataset.format in FORMATS, f"format {dataset.format!r} is not in the table")
    _require(len(set(dataset.classes)) == len(dataset.classes), "two classes have one name")
    for item in dataset.items:
        known = item.target is not None and max(item.target.classes, default=0) < len(dataset.classes)
        _require(known, f"{item.id} has no known class")
        _require(item.split is not None, f"{item.id} is in no split")
    for entry in dataset.ledger:
        _require(entry.status == "kept" or bool(entry.reason), f"{entry.id} is {entry.status} without a reason")
