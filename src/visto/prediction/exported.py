"""An exported file as a recogniser: images are fitted as for a bundle, all that follows is done by the file's graph.

The first part of the graph makes of any image the pixels that ``Fit`` makes; that is what the file was compared on
before it was kept. Here ``Fit`` does it, faster and for the same cache.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from visto.bundle import FITTED, FITTED_BOXES, Exported
from visto.prediction.parts import preprocess_of, task_of
from visto.prediction.runtime import between, parsed, session
from visto.types import Answer, View


class OnnxRecogniser:
    """An exported file, run by onnxruntime with as many threads as torch has when it first answers."""

    def __init__(self, exported: Exported) -> None:
        manifest = exported.manifest
        self.exported = exported
        self.classes = manifest.classes
        self.task = task_of(manifest)
        self.fit = preprocess_of(manifest, exported.path).fit
        self.seen = exported.seen
        self.outputs = [FITTED_BOXES if name == "boxes" else name for name in exported.own.outputs]
        self._part = between(parsed(exported.content), FITTED, self.outputs).SerializeToString()
        self._session: Any = None

    def tensors(self, images_nchw: Tensor) -> Mapping[str, Tensor]:
        """What the graph gives for a batch of fitted images: named tensors of fixed shape."""
        self._session = self._session or session(self._part)
        found = self._session.run(self.outputs, {FITTED: images_nchw.contiguous().numpy()})
        return dict(zip(self.exported.own.outputs, map(torch.from_numpy, found), strict=True))

    def answers(self, images_nchw: Tensor, views: Sequence[View] = ()) -> Sequence[Answer[Any]]:
        return self.task.answers(self.tensors(images_nchw), views)
