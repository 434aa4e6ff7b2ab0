"""An exported graph of one step as a recogniser of sequences: the state goes in, and comes out for the next step."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visto.bundle import FITTED, STEP, Exported
from visto.errors import ModelError
from visto.prediction.parts import preprocess_of, task_of
from visto.prediction.runtime import between, parsed, session
from visto.types import Answer, View

State = tuple[Tensor, ...]


class OneStepGraph:
    """Whole sequences are read step by step too. Frames are fitted as for a bundle; the graph does what follows.

    Raises ModelError, UsageError where onnxruntime is not installed.
    """

    causal = True

    def __init__(self, exported: Exported) -> None:
        manifest, form = exported.manifest, exported.own.stream
        if form is None:
            raise ModelError(f"{exported.path} takes no steps", expected="an exported model on sequences")
        self.classes = manifest.classes
        self.task = task_of(manifest)
        self.fit = preprocess_of(manifest, exported.path).fit
        self.seen = exported.seen
        self._form, self._outputs = form, list(exported.own.outputs)
        self._input = STEP if form.features else FITTED
        self._graph = exported.content
        self._run: Any = None

    def begin(self) -> State:
        """The state before the first step."""
        return tuple(torch.zeros(shape) for shape in self._form.state)

    def step(self, fitted: Tensor, state: State) -> tuple[Mapping[str, Tensor], State]:
        """The head's tensors after one step more (a frame uint8 1×C×H×W, numbers float32 1×F), and the next state."""
        if self._run is None:
            names = [self._input, *self._form.names]
            body = between(parsed(self._graph), names, [*self._outputs, *self._form.next_names])
            self._run = session(body)
        given = {self._input: np.ascontiguousarray(fitted.numpy())}
        given |= {name: value.numpy() for name, value in zip(self._form.names, state, strict=True)}
        found = [torch.from_numpy(value) for value in self._run.run([*self._outputs, *self._form.next_names], given)]
        many = len(self._outputs)
        return dict(zip(self._outputs, found[:many], strict=True)), tuple(found[many:])

    def tensors(self, sequences: Tensor) -> Mapping[str, Tensor]:
        """What the graph gives after the last step of each sequence: N×T×C×H×W, or N×T×F."""
        last = [self._last(steps) for steps in sequences]
        return {name: torch.cat([one[name] for one in last]) for name in self._outputs}

    def answers(self, sequences: Tensor, views: Sequence[View] = ()) -> Sequence[Answer[Any]]:
        return self.task.answers(self.tensors(sequences), views)

    def _last(self, steps: Tensor) -> Mapping[str, Tensor]:
        found: Mapping[str, Tensor] = {}
        state = self.begin()
        for step in steps.unbind():
            found, state = self.step(step[None], state)
        return found
