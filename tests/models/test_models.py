"""What is particular to each architecture; what all have in common is in test_conformance."""

import pytest
import torch
from torch import nn

from visto.errors import ModelError, UsageError
from visto.models import build_model
from visto.models.cnn import cnn
from visto.models.mlp import mlp
from visto.spec import Spec


def weights(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_mlp_has_the_weights_that_its_layers_say() -> None:
    model = mlp(classes=10, channels=1, size=(8, 8), hidden=(32,))
    # 64·32 dense, 2·32 norm, 32·10 + 10 dense
    assert weights(model) == 64 * 32 + 64 + 330


def test_cnn_depth_width_and_kernel_are_arguments() -> None:
    model = cnn(classes=2, channels=1, size=(8, 8), depth=1, width=4, kernel_size=5, activation="gelu")
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels) for m in convolutions] == [(1, 4), (4, 4), (4, 4)]
    assert {m.kernel_size for m in convolutions} == {(5, 5)}
    assert any(isinstance(m, nn.GELU) for m in model.modules())


@pytest.mark.parametrize("arguments", [{"kernel_size": 4}, {"depth": 0}, {"activation": "step"}])
def test_cnn_refuses_what_it_cannot_be(arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        build_model(Spec(name="cnn", arguments={"classes": 2, "channels": 1, "size": [8, 8], **arguments}))


def test_an_unknown_argument_is_named() -> None:
    with pytest.raises(UsageError, match="'colour'"):
        build_model(Spec(name="mlp", arguments={"classes": 2, "channels": 1, "size": [4, 4], "colour": 1}))


def test_an_unknown_model_is_named() -> None:
    with pytest.raises(ModelError, match="'vgg'"):
        build_model(Spec(name="vgg", arguments={}))


def test_models_are_laid_out_channels_last() -> None:
    model = build_model(Spec(name="resnet", arguments={"classes": 2, "channels": 3, "size": [32, 32]}))
    filters = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert all(f.is_contiguous(memory_format=torch.channels_last) for f in filters)
