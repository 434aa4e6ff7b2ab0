"""What a trained model gives for images, in fp32: what calibration and figures rest on."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from visto.data.cache import Pixels
from visto.data.loader import in_order
from visto.learn.feed import evaluation_batch
from visto.models import build_model
from visto.preprocess import Standard
from visto.spec import Spec
from visto.types import Task


def outputs(
    task: Task[Any, Any], model: Spec[nn.Module], preprocess: Standard, weights: Mapping[str, Tensor], pixels: Pixels
) -> dict[str, Tensor]:
    """What the task keeps of the model's raw tensors (logits N×K), for all images, in order."""
    module = build_model(model)
    module.load_state_dict(dict(weights))
    module.eval()
    parts = []
    with torch.inference_mode():
        for _, images in in_order(pixels, evaluation_batch(pixels)):
            ready = preprocess.normalise(images)
            if ready.ndim == 4:
                ready = ready.contiguous(memory_format=torch.channels_last)
            parts.append(task.keep(module(ready)))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
