"""Architectures: plain modules from float images N×C×H×W to named tensors. A new model is one file and one line here.

A builder is called ``x(*, classes, channels, size, …) -> nn.Module`` with plain arguments only, so that a bundle can
store them; ``size`` is (height, width) of the input in pixels. A classifier returns ``{"logits": N×classes}``.
What reads step by step takes sequences as well (``visto.models.reader``).
Third parties join through the entry point ``visto.models``, those that find boxes through ``visto.detectors``.
"""

from collections.abc import Callable
from importlib.metadata import entry_points

import torch
from torch import nn

from visto.models.attention import attention
from visto.models.cnn import cnn
from visto.models.cnn_lstm import cnn_lstm
from visto.models.efficientnet_lite import efficientnet_lite0
from visto.models.ensemble import ensemble
from visto.models.faster_rcnn import faster_rcnn
from visto.models.forecaster import forecaster, linear, naive
from visto.models.knn import knn
from visto.models.logistic import logistic
from visto.models.majority import majority
from visto.models.mlp import mlp
from visto.models.rcnn import rcnn
from visto.models.recurrent import gru, lstm, rnn
from visto.models.resnet import resnet
from visto.models.resnet_imagenet import resnet18, resnet50
from visto.models.second_look import second_look
from visto.models.speedrun import speedrun
from visto.models.svm import svm
from visto.models.trees import forest, tree
from visto.models.yolo import yolo
from visto.spec import Spec

MODELS: dict[str, Callable[..., nn.Module]] = {
    "majority": majority,
    "logistic": logistic,
    "svm": svm,
    "knn": knn,
    "tree": tree,
    "forest": forest,
    "mlp": mlp,
    "cnn": cnn,
    "resnet": resnet,
    "speedrun": speedrun,
    "efficientnet_lite0": efficientnet_lite0,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "yolo": yolo,
    "faster_rcnn": faster_rcnn,
    "rcnn": rcnn,
    "rnn": rnn,
    "lstm": lstm,
    "gru": gru,
    "attention": attention,
    "cnn_lstm": cnn_lstm,
    "naive": naive,
    "linear": linear,
    "forecaster": forecaster,
    "ensemble": ensemble,
    "second_look": second_look,
}

# fitted at once to features (visto.models.features), not by gradients
CLASSIC = ("majority", "logistic", "svm", "knn", "tree", "forest")

# what finds boxes: {"boxes": N×A×4, "logits": N×A×classes, "objectness": N×A}; boxes may be N×A×classes×4
DETECTORS = ["yolo", "faster_rcnn", "rcnn"]

# read step by step: rows of an image, frames of a clip, steps of a series, as their argument ``over`` says
SEQUENTIAL = ("rnn", "lstm", "gru", "attention", "cnn_lstm")

# of these, what reads clips and nothing else
CLIPS_ONLY = ("cnn_lstm",)

# what foretells a series: {"forecast", "linear", "naive"}, N×horizon×channels each
FORECASTERS = ("naive", "linear", "forecaster")

# learnt one part after the other
STAGED = ("rcnn",)

for _entry in entry_points(group="visto.models"):
    MODELS.setdefault(_entry.name, _entry.load())
for _entry in entry_points(group="visto.detectors"):
    MODELS.setdefault(_entry.name, _entry.load())
    DETECTORS.append(_entry.name)


def build_model(spec: Spec[nn.Module]) -> nn.Module:
    """The model of a spec, freshly initialised from torch's global generator, filters laid out channels-last."""
    model = spec.build(MODELS)
    # torch's stub of Module.to lacks memory_format; a CPU convolves channels-last up to twice as fast
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
