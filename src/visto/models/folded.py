"""The same function with less work: batch norms folded into the convolutions before them."""

from copy import deepcopy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from visto.models.backbone import Backbone
from visto.models.faster_rcnn import FasterRCNN
from visto.models.rcnn import RCNN
from visto.models.yolo import Yolo

M = TypeVar("M", bound=nn.Module)


def folded(module: M) -> M:
    """A copy in which each batch norm is part of the convolution that stands before it: less time, no gradient.

    Only for modules whose children stand in the order in which they are called.
    """
    module = deepcopy(module).eval()
    for parent in list(module.modules()):
        before: tuple[str, nn.Module] | None = None
        for name, child in list(parent.named_children()):
            if before and isinstance(before[1], nn.Conv2d) and isinstance(child, nn.BatchNorm2d):
                setattr(parent, before[0], fuse_conv_bn_eval(before[1], child))
                setattr(parent, name, nn.Identity())
            before = (name, child)
    return module.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def for_answers(model: nn.Module) -> nn.Module:
    """The model as it answers fastest, the same but for rounding: folded, where its children are known to allow it."""
    return folded(model) if isinstance(model, Backbone | FasterRCNN | RCNN | Yolo) else model
