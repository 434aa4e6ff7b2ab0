"""One sequence as a model watches it: the scores after each step, and those of its steps in other orders.

Of clips only what is new is looked at: a frame is described once for each frame that it follows, whatever the order.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from visto.models.cnn_lstm import CnnLstm
from visto.prediction import TorchRecogniser

_NUMBERS = 4_000_000  # of a batch: 16 MB
_STEPS = 32_768


class Watching(Protocol):
    """``judge`` takes V×T places of the steps, in the order in which they are to be seen, to scores V×K."""

    def judge(self, places_vt: Tensor) -> Tensor: ...

    def along(self) -> Tensor | None:
        """The scores after each step, T×K; None where the model looks at the whole before it says anything."""


def watching(recogniser: TorchRecogniser, steps_t: Tensor) -> Watching:
    """A clip T×C×H×W or a series T×F, as ``recogniser`` watches it."""
    if isinstance(recogniser.model, CnnLstm):
        with torch.inference_mode():
            return _Frames(recogniser.model, recogniser.task.head, recogniser.normalise(steps_t))
    return _Steps(recogniser, steps_t)


class _Steps:
    """Whatever reads steps: each order is read from its beginning."""

    def __init__(self, recogniser: TorchRecogniser, steps_t: Tensor) -> None:
        self.recogniser, self.steps = recogniser, steps_t

    def judge(self, places_vt: Tensor) -> Tensor:
        at_once = max(1, min(_NUMBERS // max(1, self.steps.numel()), _STEPS // len(self.steps)))
        some = torch.split(places_vt, at_once)
        return torch.cat([self.recogniser.tensors(self.steps[places])["scores"] for places in some])

    def along(self) -> Tensor | None:
        if not self.recogniser.causal:
            return None
        state, scores = self.recogniser.begin(), []
        for step in self.steps:
            out, state = self.recogniser.step(step[None], state)
            scores.append(out["scores"])
        return torch.cat(scores)


class _Frames:
    """A net that describes each frame, and another that reads the descriptions."""

    def __init__(self, model: CnnLstm, head: nn.Module, frames_tchw: Tensor) -> None:
        self.model, self.head, self.frames = model, head, frames_tchw
        self._known: dict[int, Tensor] = {}

    @torch.inference_mode()
    def judge(self, places_vt: Tensor) -> Tensor:
        found = self._described(places_vt)
        return _scores(self.head, [self.model.upper(some)["logits"] for some in torch.split(found, 64)])

    @torch.inference_mode()
    def along(self) -> Tensor | None:
        if not self.model.causal:
            return None
        state, logits = self.model.upper.reader.start(1), []
        for features in self._described(torch.arange(len(self.frames))[None])[0]:
            after, state = self.model.upper.step(features[None], state)
            logits.append(after)
        return _scores(self.head, logits)

    def _described(self, places_vt: Tensor) -> Tensor:
        """V×T×D: each frame as what it comes to after the one before it."""
        t = len(self.frames)
        before = torch.cat([places_vt[:, :1], places_vt[:, :-1]], 1) if self.model.motion else places_vt
        keys = places_vt * t + before
        new = torch.tensor(sorted(set(keys.flatten().tolist()) - self._known.keys()), dtype=torch.int64)
        for some in torch.split(new, max(1, _NUMBERS // self.frames[0].numel() // 8)):
            if len(some):
                found = self.model.look(self.frames[some // t], self.frames[some % t])
                self._known |= dict(zip(some.tolist(), found, strict=True))
        return torch.stack([self._known[key] for key in keys.flatten().tolist()]).view(*keys.shape, -1)


def _scores(head: nn.Module, logits: list[Tensor]) -> Tensor:
    scores: Tensor = head({"logits": torch.cat(logits)})["scores"]
    return scores
